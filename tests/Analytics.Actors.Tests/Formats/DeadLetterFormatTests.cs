using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Tests.Formats;

/// <summary>What came with dead letters as rows, on top of version 0.1. The golden file is never changed.</summary>
public class DeadLetterFormatTests
{
    private static readonly JsonObject Golden = (JsonObject)JsonNode.Parse(
        File.ReadAllText(Path.Combine(Repository.Root, "tests", "Analytics.Actors.Tests", "Formats", "v0.2-dead-letters.json")))!;

    private static readonly ReplayedFrom From = new() { Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3_000_000_000, Index = 4, Item = true, Shard = 5, Number = 17 };

    private static readonly IReadOnlyDictionary<string, IMessage> Messages = new Dictionary<string, IMessage>
    {
        ["parts-envelope"] = new PartsEnvelope
        {
            Records =
            {
                new RecordParts
                {
                    Topic = "core.replays", Offset = 7, Origin = "c0decafe0123.4.5.6", Replay = From,
                    Parts =
                    {
                        new Part { Station = "S1", Items = { ByteString.CopyFromUtf8("{}"), ByteString.CopyFromUtf8("[]") }, ItemIndexes = { 3, 300 } },
                        new Part { Index = 9, Rejected = new RejectedPart { Code = "no-id", Length = 3, Form = 2 } },
                    },
                },
            },
        },
        ["replayed-record"] = new ReplayedRecord { From = From, TimestampMs = 1_763_000_000_000, Station = "站点1", Value = ByteString.CopyFromUtf8("{}") },
        ["shard-state"] = new ShardState { NextTrigger = 44, LastLetter = 17, LastLetterMs = 1_763_000_000_000 },
    };

    [Theory]
    [InlineData("parts-envelope")]
    [InlineData("replayed-record")]
    [InlineData("shard-state")]
    public void A_message_is_read_with_its_content_and_written_back_identically(string name)
    {
        var golden = (string)Golden["messages"]![name]!;
        Convert.ToHexString(Messages[name].ToByteArray()).ShouldBe(golden);
        Messages[name].Descriptor.Parser.ParseFrom(Convert.FromHexString(golden)).ShouldBe(Messages[name]);
    }

    [Fact]
    public void A_letter_keeps_its_form_with_its_id_and_what_it_replayed()
    {
        var letter = new DeadLetter(new SourcePartition("METERS", 1, 2), 3, 4, "S1", new Rejection("wrong-type", "why"), "xyz"u8.ToArray(), 70_000, 0xfedcba98, 1_763_000_000_000)
        {
            Id = new DeadLetterId(new ShardId(3), 17), ReplayOf = new DeadLetterId(new ShardId(5), 9_000_000_000), Form = RejectedForm.Item, RecordTimestampMs = 1,
        };
        System.Text.Encoding.UTF8.GetString(letter.ToJson()).ShouldBe((string)Golden["texts"]!["dead-letter"]!);
    }

    [Fact]
    public void Numbers_in_rows_and_messages_keep_their_meaning()
    {
        string.Join(' ', Enum.GetValues<RejectedForm>().Select(form => $"{form}={(int)form}")).ShouldBe("Internal=0 Record=1 Item=2 Element=3");
        string.Join(' ', Enum.GetValues<DeadLetterState>().Select(state => $"{state}={(int)state}")).ShouldBe("Open=1 Replayed=2 Discarded=3");
    }
}
