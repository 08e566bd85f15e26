using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Protocol;
using Google.Protobuf;

namespace Analytics.Actors.Tests.Formats;

/// <summary>
/// Envelopes of parts as they are read and written by hand: byte for byte what the generated code reads and writes, whatever
/// the bytes are.
/// </summary>
public class PartsWireTests
{
    private static readonly string[] Texts = ["", "S1", "METERS", "站点七", "é", new string('x', 200), "0123456789abcdef0123456789abcdef"];
    private static readonly long[] Numbers = [0, 1, -1, 127, 128, 300, 16_384, int.MaxValue, int.MinValue, 1L << 35, long.MaxValue, long.MinValue];
    private readonly PartsReader reader = new();
    private readonly RoutedParts parts = new();

    [Fact]
    public void What_is_written_by_hand_is_what_the_generated_code_writes()
    {
        for (var seed = 0; seed < 3_000; seed++)
        {
            var envelope = Envelope(new Random(seed));
            var expected = envelope.ToByteArray();
            reader.Read(expected, parts).ShouldBeNull();
            Written().ShouldBe(expected, $"seed {seed}");
        }
    }

    [Fact]
    public void What_is_broken_or_unknown_is_read_as_the_generated_code_reads_it()
    {
        var (broken, read) = (0, 0);
        for (var seed = 0; seed < 30_000; seed++)
        {
            var random = new Random(seed);
            var bytes = Mutated(Envelope(random).ToByteArray(), random);
            if (AsGenerated(bytes, out var failure) is not { } expected)
            {
                reader.Read(bytes, parts).ShouldBe(failure, $"seed {seed}");
                parts.Records.Count.ShouldBe(0);
                broken++;
                continue;
            }

            reader.Read(bytes, parts).ShouldBeNull();
            Known(Written()).ShouldBe(expected, $"seed {seed}: {Convert.ToHexString(bytes)}");
            read++;
        }

        broken.ShouldBeGreaterThan(1_000);
        read.ShouldBeGreaterThan(1_000);
    }

    [Theory]
    [InlineData("0A030A01FF", "a topic that is no UTF-8")]
    [InlineData("0A054A030A01FF", "a station that is no UTF-8")]
    [InlineData("0A064A0438013802", "indexes that are not packed")]
    [InlineData("0A0B4A05080142011208004A00", "an index before a station, twice")]
    [InlineData("0A024A000A004A00", "an unknown field of the envelope")]
    [InlineData("0A0B4A02100142030A016D4A00", "a record's batch behind a part")]
    [InlineData("0A04A3018C01", "a group that does not end as it began")]
    [InlineData("0A058B0108018C01", "a group")]
    [InlineData("0A0810FFFFFFFFFFFFFFFFFF01", "a number that is too long for its record")]
    [InlineData("0A0B10FFFFFFFFFFFFFFFFFF01", "a number of ten bytes")]
    [InlineData("8A80000012", "a tag spelled in more bytes than it needs")]
    [InlineData("8A8000020801", "the same, with a record")]
    [InlineData("0A8080808010", "a length beyond what a length may be")]
    [InlineData("0AFFFFFFFF0F", "a negative length")]
    [InlineData("0AFFFFFFFF071801", "a length that makes the library read beyond its buffer")]
    [InlineData("00", "no field has the number 0")]
    [InlineData("0A0B5A020A015A025A022008", "a replay in two pieces")]
    [InlineData("0A0A4A082A020A012A021001", "a rejection in two pieces")]
    [InlineData("0A065A040AFF0102", "a replay that is broken")]
    public void Odd_bytes_are_read_as_the_generated_code_reads_them(string hex, string what)
    {
        var bytes = Convert.FromHexString(hex);
        if (AsGenerated(bytes, out var failure) is not { } expected)
        {
            reader.Read(bytes, parts).ShouldBe(failure, what);
            return;
        }

        reader.Read(bytes, parts).ShouldBeNull(what);
        Known(Written()).ShouldBe(expected, what);
    }

    [Theory]
    [InlineData("v0.1.json")]
    [InlineData("v0.2.json")]
    [InlineData("v0.2-dead-letters.json")]
    public void What_an_older_version_wrote_is_read_and_written_back_identically(string file)
    {
        var golden = JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Root, "tests", "Analytics.Actors.Tests", "Formats", file)))!;
        var bytes = Convert.FromHexString((string)golden["messages"]!["parts-envelope"]!);
        reader.Read(bytes, parts).ShouldBeNull();
        Written().ShouldBe(bytes);
    }

    // Without fields that this version does not know, which the reader passes over but for those of a batch, a rejection or a replay.
    private static byte[] Known(byte[] bytes) => PartsEnvelope.Parser.WithDiscardUnknownFields(true).ParseFrom(bytes).ToByteArray();

    private static byte[]? AsGenerated(byte[] bytes, out string failure)
    {
        // What the generated code says, but for a length that makes the library read beyond its buffer.
        try
        {
            failure = "";
            PartsEnvelope.Parser.ParseFrom((ReadOnlySpan<byte>)bytes);
            return Known(bytes);
        }
        catch (Exception exception) when (exception is InvalidProtocolBufferException or IndexOutOfRangeException)
        {
            failure = exception.Message;
            return null;
        }
    }

    private byte[] Written()
    {
        using var written = new MemoryStream();
        foreach (ref readonly var record in parts.Records.Span)
        {
            var size = PartsWriter.SizeOf(parts, record);
            var field = new byte[PartsWriter.FieldSize(size)];
            PartsWriter.Write(parts, record, field.AsSpan(PartsWriter.Begin(PartsEnvelope.RecordsFieldNumber, size, field)));
            written.Write(field);
        }

        return written.ToArray();
    }

    private static PartsEnvelope Envelope(Random random)
    {
        var envelope = new PartsEnvelope();
        for (var records = random.Next(4); records > 0; records--)
        {
            var record = new RecordParts
            {
                Topic = Text(random), Incarnation = (int)Number(random), Partition = (int)Number(random), Offset = Number(random), TimestampMs = Number(random),
                PreviousOffset = Number(random), Origin = Text(random), Global = random.Next(3) == 0, Rules = Number(random),
                Replay = random.Next(4) == 0 ? new ReplayedFrom { Topic = Text(random), Offset = Number(random), Item = random.Next(2) == 0 } : null,
            };
            for (var batches = random.Next(3); batches > 0; batches--) record.Batches.Add(Batch(random));
            for (var count = random.Next(5); count > 0; count--) record.Parts.Add(PartOf(random));
            envelope.Records.Add(record);
        }

        return envelope;
    }

    private static Part PartOf(Random random)
    {
        var part = new Part
        {
            Station = Text(random), Index = (int)Number(random), Ordinal = (int)Number(random),
            Rejected = random.Next(4) == 0 ? new RejectedPart { Code = Text(random), Bytes = ByteString.CopyFromUtf8(Text(random)), Length = Number(random), Checksum = (uint)Number(random) } : null,
        };
        for (var items = random.Next(4); items > 0; items--) part.Items.Add(ByteString.CopyFromUtf8(Text(random)));
        for (var indexes = random.Next(3) * random.Next(3); indexes > 0; indexes--) part.ItemIndexes.Add((int)Number(random));
        for (var batches = random.Next(2) * random.Next(3); batches > 0; batches--) part.Batches.Add(Batch(random));
        return part;
    }

    private static BatchReference Batch(Random random)
    {
        var batch = new BatchReference { Module = Text(random), BatchId = Text(random) };
        if (random.Next(2) == 0) batch.WindowStartMs = Number(random);
        return batch;
    }

    // Bytes changed, cut off, doubled or put in: also what happens to be right, with fields unknown or in another order.
    private static byte[] Mutated(byte[] bytes, Random random)
    {
        var changed = bytes.ToList();
        for (var times = random.Next(1, 4); times > 0; times--)
        {
            var at = random.Next(changed.Count + 1);
            switch (random.Next(5))
            {
                case 0 when at < changed.Count: changed[at] = (byte)random.Next(256); break;
                case 1 when at < changed.Count: changed[at] ^= (byte)(1 << random.Next(8)); break;
                case 2: changed.RemoveRange(at, Math.Min(random.Next(5), changed.Count - at)); break;
                case 3: changed.InsertRange(0, Unknown(random)); break;
                default: changed.AddRange(random.Next(2) == 0 ? bytes : Unknown(random)); break;
            }
        }

        return [.. changed];
    }

    private static byte[] Unknown(Random random) => random.Next(4) switch
    {
        0 => [0x78, 0x81, 0x01],
        1 => [0x7A, 0x02, 0x00, 0xFF],
        2 => [0x7D, 1, 2, 3, 4],
        _ => [0x79, 1, 2, 3, 4, 5, 6, 7, 8],
    };

    private static string Text(Random random) => random.Next(8) == 0 ? Encoding.UTF8.GetString([(byte)random.Next(32, 127)]) : Texts[random.Next(Texts.Length)];

    private static long Number(Random random) => Numbers[random.Next(Numbers.Length)];
}
