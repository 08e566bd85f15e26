using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Google.Protobuf;

namespace Analytics.Actors.Tests.Formats;

/// <summary>
/// What version 0.2 added to databases and logs: windows of event time, batches that are over and kept for late answers,
/// further rows of large batches, stations in rows. As <see cref="FormatTests"/> for version 0.1.
/// </summary>
public class Version02Tests
{
    private const long WindowMs = 1_763_000_000_000;
    private static readonly JsonObject Golden = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Root, "tests", "Analytics.Actors.Tests", "Formats", "v0.2.json")))!;

    private static readonly Dictionary<string, IMessage> Messages = new()
    {
        ["parts-envelope"] = new PartsEnvelope
        {
            Records =
            {
                new RecordParts
                {
                    Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3, TimestampMs = WindowMs + 1, PreviousOffset = -1,
                    Batches = { new BatchReference { Module = "m", BatchId = "METERS:2:3" } },
                    Parts =
                    {
                        new Part
                        {
                            Station = "S1", Items = { Text("""{"a":1}""") },
                            Batches = { new BatchReference { Module = "w", BatchId = "METERS:2025-11-13T02:13:20Z", WindowStartMs = WindowMs } },
                        },
                    },
                },
            },
        },
        ["batch-envelope-manifests"] = new BatchEnvelope
        {
            Manifests =
            {
                new Manifest
                {
                    Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3, PreviousOffset = 2,
                    Windows =
                    {
                        new WindowAddition { Module = "w", StartMs = WindowMs, NewestMs = WindowMs + 7, Stations = { "S1", "S2" } },
                        new WindowAddition { Module = "w", StartMs = 0, NewestMs = 1, Stations = { "S3" } },
                    },
                },
            },
        },
        ["batch-envelope-answers"] = new BatchEnvelope
        {
            Origin = "c0decafe0123.0.1.2",
            Answers =
            {
                new Answer
                {
                    Module = "w", BatchId = "METERS:2025-11-13T02:13:20Z", Station = "S1", Outcome = Outcome.Result, Result = Text("""{"x":1}"""),
                    Topic = "METERS", Partition = 2, Offset = 3, Attempt = 1, WindowStartMs = WindowMs,
                },
            },
        },
        ["shard-state"] = new ShardState
        {
            NextTrigger = 44, Stations = 7,
            WindowClocks = { new WindowClockState { Module = "w", Topic = "METERS", HighestMs = WindowMs + 9_000, ForgottenMs = WindowMs - 9_999 } },
        },
        ["station-state"] = new StationState
        {
            Triggers =
            {
                new TriggerState
                {
                    Id = 41, Module = "w", CapturedMs = WindowMs + 500,
                    Batches = { new OpenBatch { BatchId = "METERS:2025-11-13T02:13:20Z", Topic = "METERS", Partition = 2, Offset = 3, WindowStartMs = WindowMs } },
                },
            },
            WakeMs = WindowMs + 60_000,
        },
        ["batch-state-window"] = new BatchState
        {
            Module = "w", Batch = new OpenBatch { BatchId = "METERS:2025-11-13T02:13:20Z", Topic = "METERS", Partition = 2, Offset = 3, WindowStartMs = WindowMs },
            ManifestSeen = true, OpenedMs = WindowMs + 100, DeadlineMs = WindowMs + 5_100, Expected = { "S1", "S2" }, Announced = { 3, 1 },
            Answers =
            {
                new BatchAnswerState { Station = "S1", Outcome = 1, Result = Text("""{"x":1}"""), Answered = 2 },
                new BatchAnswerState { Station = "S9", Outcome = 2, Reason = "early" },
            },
        },
        // A further row: S1 has answered for the third time, and S2 too.
        ["batch-state-window-tail"] = new BatchState
        {
            Module = "w", Batch = new OpenBatch { BatchId = "METERS:2025-11-13T02:13:20Z", Topic = "METERS", Partition = 2, Offset = 3, WindowStartMs = WindowMs },
            ManifestSeen = true, OpenedMs = WindowMs + 100, DeadlineMs = WindowMs + 6_000, Expected = { "S1", "S2" }, Announced = { 3, 1 },
            Answers =
            {
                new BatchAnswerState { Station = "S1", Outcome = 1, Result = Text("""{"x":2}"""), Answered = 3 },
                new BatchAnswerState { Station = "S2", Outcome = 3, Reason = "no" },
            },
        },
        ["batch-state-window-over"] = new BatchState
        {
            Module = "w", Batch = new OpenBatch { BatchId = "METERS:2025-11-13T02:13:20Z", Topic = "METERS", Partition = 2, Offset = 3, WindowStartMs = WindowMs },
            ManifestSeen = true, OpenedMs = WindowMs + 100, DeadlineMs = WindowMs + 6_000, Expected = { "S1" }, Announced = { 1 },
            Answers = { new BatchAnswerState { Station = "S1", Outcome = 1, Told = true } },
            EndedMs = WindowMs + 6_000, RetainedUntilMs = WindowMs + 606_000, Revision = 1, ExpectedCount = 1,
        },
        ["batch-state-over"] = new BatchState
        {
            Module = "m", Batch = new OpenBatch { BatchId = "METERS:2:3", Topic = "METERS", Partition = 2, Offset = 3 },
            ManifestSeen = true, OpenedMs = WindowMs, DeadlineMs = WindowMs + 5_000, Expected = { "S3", "S4" },
            Answers = { new BatchAnswerState { Station = "S3", Outcome = 1, Result = Text("""{"x":3}""") } },
            EndedMs = WindowMs + 5_000, RetainedUntilMs = WindowMs + 605_000, Revision = 1, ExpectedCount = 4, RevisionDueMs = WindowMs + 7_000,
        },
    };

    public static TheoryData<string> Names => new(Messages.Keys);

    [Theory]
    [MemberData(nameof(Names))]
    public void A_message_of_version_02_is_read_with_its_content_and_written_back_identically(string name)
    {
        var read = Messages[name].Descriptor.Parser.ParseFrom(Bytes(name));
        read.ShouldBe(Messages[name]);
        Convert.ToHexString(read.ToByteArray()).ShouldBe(Hex(name));
    }

    [Fact]
    public void Every_message_has_golden_bytes_and_the_other_way_round() =>
        Golden["messages"]!.AsObject().Select(entry => entry.Key).ShouldBe(Messages.Keys, ignoreOrder: true);

    [Fact]
    public void A_window_of_version_02_goes_on_where_it_was()
    {
        var batch = BatchStateMessage.Load(Bytes("batch-state-window"));
        batch.Opening.ShouldBe(new Analytics.Actors.Core.Stations.BatchDebt("METERS:2025-11-13T02:13:20Z", new SourcePartition("METERS", 0, 2), 3, WindowMs));
        (batch.IsOpen, batch.DueMs, batch.ExpectedCount, batch.AnsweredCount).ShouldBe((true, WindowMs + 5_100, 2, 0));
        Convert.ToHexString(batch.Save()).ShouldBe(Hex("batch-state-window"));
    }

    [Fact]
    public void The_rows_of_a_large_batch_of_version_02_give_it_back()
    {
        var head = new EntityState(EntityKind.Batch, Key("batch-key"), Bytes("batch-state-window"));
        var tail = new EntityState(EntityKind.Batch, Key("batch-tail-key"), Bytes("batch-state-window-tail"));
        BatchStateMessage.TailKey(new BatchKey("w", "METERS:2025-11-13T02:13:20Z"), 0).ShouldBe(tail.Key);
        var batch = BatchStateMessage.Load([tail, head]).ShouldHaveSingleItem();
        batch.AnsweredCount.ShouldBe(2);
        batch.DueMs.ShouldBe(WindowMs + 6_000);
        batch.Expected.Select(member => $"{member.Station} {member.Outcome} {member.Result.ToStringUtf8()}").ShouldBe(["S1 Result {\"x\":2}", "S2 Error "]);
    }

    [Theory]
    [InlineData("batch-state-over", WindowMs + 7_000, 4, 3)]
    [InlineData("batch-state-window-over", WindowMs + 606_000, 1, 1)]
    public void A_batch_of_version_02_that_is_over_still_takes_late_answers(string name, long dueMs, int expected, int answered)
    {
        var batch = BatchStateMessage.Load(Bytes(name));
        (batch.IsOver, batch.IsOpen, batch.Revision).ShouldBe((true, false, 1));
        (batch.DueMs, batch.ExpectedCount, batch.AnsweredCount).ShouldBe((dueMs, expected, answered));
        Convert.ToHexString(batch.Save()).ShouldBe(Hex(name));
    }

    private static string Hex(string name) => (string)Golden["messages"]![name]!;

    private static byte[] Bytes(string name) => Convert.FromHexString(Hex(name));

    private static string Key(string name) => (string)Golden["texts"]![name]!;

    private static ByteString Text(string text) => ByteString.CopyFromUtf8(text);
}
