using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Tests.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Records;

/// <summary>The quick walk over plain records gives what the general way gives, or nothing, whatever was learnt before.</summary>
public class PlainRecordTests
{
    private static readonly TopicConfiguration Meter = DefaultTopics.All[DefaultTopics.Meter];

    private static readonly TopicConfiguration[] Topics =
    [
        .. DefaultTopics.All.Values,
        Meter with { Envelope = [new EnvelopeForm(EnvelopeKind.Member, "a"), new EnvelopeForm(EnvelopeKind.Output), new EnvelopeForm(EnvelopeKind.Member, "b"), new EnvelopeForm(EnvelopeKind.List)], OrderMember = "sendTime" },
        Meter with { Envelope = [new EnvelopeForm(EnvelopeKind.Output), new EnvelopeForm(EnvelopeKind.Object)], StationPaths = ["output", "a.b", "stationId"] },
        Meter with { Envelope = [new EnvelopeForm(EnvelopeKind.Object), new EnvelopeForm(EnvelopeKind.Member, "a"), new EnvelopeForm(EnvelopeKind.List)], StationPaths = ["a", "b", "stationId", "a"] },
    ];

    // With what was learnt from the records before.
    private static readonly ConditionalWeakTable<TopicConfiguration, (PlainItem Item, MemberLocator Locator)[]> Items = new();

    private static readonly MemberLocator[] Locators =
    [
        new(["stationId"]), new(["a", "b", "a"]), new(["a.b", "a", "b.a.stationId", "sendTime"]), new(["x.y.z", "output.a", "output"]), new([]),
        new(["hostCode", "gunPower.gunNo", "gunPower.outputPowerPerGunAvg", "sendTime", "stations"]),
    ];

    [Fact]
    public void Random_records_are_split_as_in_the_general_way() => CheckSeeds(4_000, random =>
    {
        var topic = random.Pick(Topics);
        // Names that were learnt long ago, from everybody's records, or from this record's neighbour alone.
        if (random.Next(2) == 0) topic = topic with { };
        Agree(topic, new RandomJson(random).Record(topic));
        return Agree(topic, new RandomJson(random).Record(topic));
    }).ShouldBeGreaterThan(500);

    [Fact]
    public void Mutated_records_are_split_as_in_the_general_way() => CheckSeeds(10_000, random =>
    {
        var topic = random.Pick(Topics);
        if (random.Next(2) == 0) topic = topic with { };
        var name = DefaultTopics.All.FirstOrDefault(pair => ReferenceEquals(pair.Value, topic)).Key;
        var record = name is not null && random.Next(2) == 0 ? Encoding.UTF8.GetBytes(SampleRecords.Of(name)) : new RandomJson(random).Record(topic);
        Agree(topic, record);
        for (var i = random.Next(3); i >= 0; i--) record = RandomJson.Mutate(random, record);
        return Agree(topic, record);
    }).ShouldBeGreaterThan(300);

    [Fact]
    public void Members_are_found_where_the_reader_finds_them() => CheckSeeds(10_000, random =>
    {
        var locator = random.Pick(Locators);
        var json = new RandomJson(random).Object(3);
        Locate(locator, json);
        if (random.Next(2) == 0) json = RandomJson.Mutate(random, json);
        return Locate(locator, json);
    }).ShouldBeGreaterThan(3_000);

    [Fact]
    public void A_value_is_stepped_over_only_as_the_reader_reads_it() => CheckSeeds(20_000, random =>
    {
        var json = new RandomJson(random).Value(3);
        if (random.Next(3) > 0) json = RandomJson.Mutate(random, json);
        var end = PlainJson.Blanks(json, 0);
        end = PlainJson.Value(json, end, 64);
        var isWhole = end >= 0 && PlainJson.Blanks(json, end) == json.Length;
        if (isWhole) (IsJson(json) && !JsonText.HasLoneSurrogate(json)).ShouldBeTrue(Shown(json));
        else (IsJson(json) && !HasSurrogate(json)).ShouldBeFalse(Shown(json));
        return isWhole;
    }).ShouldBeGreaterThan(5_000);

    [Theory]
    [InlineData("0", true)]
    [InlineData("-0", true)]
    [InlineData("-0.0e-0", true)]
    [InlineData("12345678901234567890.5E+05", true)]
    [InlineData("01", false)]
    [InlineData("-01", false)]
    [InlineData("1.", false)]
    [InlineData(".1", false)]
    [InlineData("+1", false)]
    [InlineData("-", false)]
    [InlineData("1e", false)]
    [InlineData("1e+", false)]
    [InlineData("1.e1", false)]
    [InlineData("0x1", false)]
    [InlineData("NaN", false)]
    [InlineData("truE", false)]
    [InlineData("truee", false)]
    [InlineData("nul", false)]
    [InlineData("\"\\u00e9\\n\\/\"", true)]
    [InlineData("\"\\u00g9\"", false)]
    [InlineData("\"\\u00e\"", false)]
    [InlineData("\"\\u00e\0\"", false)]
    [InlineData("\"\\x\"", false)]
    [InlineData("\"\u007f\"", true)]
    [InlineData("\"\u0001\"", false)]
    [InlineData("\"0123456789012345678\u001f01234567890123456789\"", false)]
    [InlineData("\"012345678901234567890123456789", false)]
    [InlineData("[1,]", false)]
    [InlineData("[,1]", false)]
    [InlineData("[1 2]", false)]
    [InlineData("[ 1 ,\t[ ] , { } ]\r\n", true)]
    [InlineData("{\"a\":1,}", false)]
    [InlineData("{\"a\" :1}", true)]
    [InlineData("{\"a\"}", false)]
    [InlineData("{a:1}", false)]
    [InlineData("{\"a\":1}}", false)]
    [InlineData("[/**/]", false)]
    public void Values_are_stepped_over_as_strictly_as_the_reader_reads(string value, bool isJson)
    {
        IsJson(Encoding.UTF8.GetBytes(value)).ShouldBe(isJson);
        var record = Encoding.UTF8.GetBytes($$"""{"stationId":"A","x":{{value}}}""");
        Agree(Meter, Encoding.UTF8.GetBytes("""{"stationId":"A","x":1}"""));
        Agree(Meter, record).ShouldBe(isJson);
    }

    [Theory]
    [InlineData("""{"stationId":"A","x":1,"x":2}""")]
    [InlineData("""{"x":1,"stationId":"A","x":2}""")]
    [InlineData("""{"stationId":"A","stationId":"A"}""")]
    [InlineData("""{"stationId":"A","\u0078":1,"x":2}""")]
    [InlineData("""{"stationId":"A","x":1,"\u0078":2}""")]
    public void A_repeat_is_found_whatever_is_known_of_the_names(string record)
    {
        foreach (var neighbour in new[] { record, """{"stationId":"A","x":1}""", """{"x":1,"stationId":"A"}""", """{"y":1,"x":1,"stationId":"A"}""", "{}" })
        {
            var topic = Meter with { };
            Agree(topic, Encoding.UTF8.GetBytes(neighbour));
            Agree(topic, Encoding.UTF8.GetBytes(record)).ShouldBeFalse();
        }
    }

    [Fact]
    public void Names_without_end_are_not_all_kept_and_change_nothing()
    {
        var topic = Meter with { };
        for (var i = 0; i < 500; i++)
        {
            var taken = Agree(topic, Encoding.UTF8.GetBytes($$"""{"stationId":"A","m{{i}}":1,"m{{i + 1}}":2}"""));
            taken.ShouldBe(i + 3 <= NameTable.CountMax, $"record {i}");
        }

        Agree(topic, Encoding.UTF8.GetBytes($$"""{"stationId":"A","{{new string('x', 100_000)}}":1}""")).ShouldBeFalse();
        Agree(topic, Encoding.UTF8.GetBytes("""{"stationId":"A","m1":1}""")).ShouldBeTrue();
    }

    [Fact]
    public void As_many_levels_are_taken_as_in_the_general_way()
    {
        foreach (var topic in Topics)
            for (var levels = 58; levels < 70; levels++)
            {
                var deep = new string('[', levels) + new string(']', levels);
                var nested = string.Concat(Enumerable.Repeat("{\"a\":", levels)) + "1" + new string('}', levels);
                foreach (var value in new[] { deep, nested })
                    foreach (var record in new[] { """{"stationId":"A","x":#}""", """{"stationId":"A","output":{"x":#}}""", """[{"stationId":"A","a":#}]""", """{"stationId":"A","a":[{"a":1,"x":#}]}""" })
                        Agree(topic, Encoding.UTF8.GetBytes(record.Replace("#", value)));
                Locate(Locators[2], Encoding.UTF8.GetBytes(nested));
                Locate(Locators[2], Encoding.UTF8.GetBytes("{\"a\":{\"b\":" + deep + "}}"));
            }
    }

    private static readonly byte[][] Numbered = [.. Enumerable.Range(0, 1_000).Select(number => Encoding.UTF8.GetBytes(
        $$$"""{"stationId":"S{{{number}}}","meterPower":{{{number}}}.5,"a":{"b":{{{number + 1}}} } }"""))];

    private static readonly byte[] List = Encoding.UTF8.GetBytes(
        """{"fee":[{"stationId":"A","sendTime":"2025-10-20 00:00:00"},{"stationId":"A","sendTime":"2025-10-21 00:00:00"},{"stationId":"B"},{"stationId":"C"}]}""");

    [Fact]
    public void Records_that_differ_in_their_values_alone_cost_no_allocation()
    {
        var split = new SplitRecord();
        var found = new JsonSlice[1];
        var price = DefaultTopics.All[DefaultTopics.Price];
        var nested = Meter with { StationPaths = ["a.b", "stationId"] };
        var locator = new MemberLocator(["meterPower"]);
        for (var pass = 0; pass < 2; pass++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var number = 0; number < 1_000; number++)
            {
                RecordSplitter.Split(Meter, Numbered[number], split);
                locator.TryLocate(split.Items[0].Span, found).ShouldBeTrue();
                RecordSplitter.Split(nested, Numbered[number], split);
                RecordSplitter.Split(price, List, split);
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (pass > 0) allocated.ShouldBe(0);
        }
    }

    /// <summary>Splits both ways; true where the quick one took the record.</summary>
    private static bool Agree(TopicConfiguration topic, byte[] record)
    {
        var plan = EnvelopePlan.For(topic);
        var general = new SplitRecord();
        ReadOnlyMemory<byte> json = record.AsSpan().StartsWith("\uFEFF"u8) ? record.AsMemory(3) : record;
        if (json.IsEmpty) return false;
        var isUtf8 = Utf8.IsValid(json.Span);
        RecordSplitter.SplitGenerally(plan, record, json, isUtf8, general);
        var split = SampleRecords.Split(topic, record);
        Describe(split, record).ShouldBe(Describe(general, record), Shown(record));
        AgreeOnItem(topic, record, general);
        return isUtf8 && new PlainRecord(plan, json, new SplitRecord()).TrySplit();
    }

    // Where it is read as an item, it is one; and its members are where the reader finds them.
    private static int AgreeOnItem(TopicConfiguration topic, byte[] record, SplitRecord general)
    {
        var read = 0;
        foreach (var (item, locator) in Items.GetValue(topic, static topic => [.. Locators.Select(locator => (new PlainItem(topic, locator), locator))]))
        {
            if (!item.TryRead(record, out var id)) continue;
            read++;
            general.Rejected.ShouldBeEmpty(Shown(record));
            var part = general.Parts.ShouldHaveSingleItem(Shown(record));
            part.Station.Span.SequenceEqual(id).ShouldBeTrue(Shown(record));
            general.ItemsOf(part).ToArray().ShouldHaveSingleItem().Span.SequenceEqual(record).ShouldBeTrue(Shown(record));
            var (expected, found) = (new JsonSlice[locator.SlotCount], new JsonSlice[locator.SlotCount]);
            locator.TryRead(record, expected).ShouldBeTrue(Shown(record));
            item.TryLocate((byte[])record.Clone(), found).ShouldBeFalse("these are other bytes");
            item.TryLocate(record, found).ShouldBe(locator.Flat is not null);
            if (locator.Flat is not null) found.ShouldBe(expected, Shown(record));
            item.Forget();
            item.TryLocate(record, found).ShouldBeFalse("they may be others now");
        }

        return read;
    }

    [Theory]
    [InlineData(""" {"stationId":"A","x":"0123456789012345678901234567890123456789","y":123.45,"z":[1,2,"a"],"sendTime":null}""")]
    [InlineData("""{"stationId":"A","x":"0123456789012345678901234567890123456789","y":123.45,"z":[1,2,"a"],"sendTime":null}""")]
    [InlineData("""{"stationId":"A","sendTime":-1e5,"a":0,"x":{"y":[]}, "y" : "\u00e9"}""")]
    [InlineData("""{"sendTime":"2025-10-20 00:00:00","a":0.5,"stationId":12345678901234567890}""")]
    public void An_object_that_is_the_item_itself_is_read_in_one_pass(string text)
    {
        var record = Encoding.UTF8.GetBytes(text);
        var general = SampleRecords.Split(Meter, record);
        AgreeOnItem(Meter, record, general).ShouldBe(Locators.Length);
        AgreeOnItem(Meter, record, general).ShouldBe(Locators.Length);
    }

    private static bool Locate(MemberLocator locator, byte[] json)
    {
        var read = new JsonSlice[locator.SlotCount];
        var found = new JsonSlice[locator.SlotCount];
        var isObject = locator.TryRead(json, read);
        locator.TryLocate(json, found).ShouldBe(isObject, Shown(json));
        if (isObject) found.ShouldBe(read, Shown(json));
        return isObject;
    }

    /// <summary>All that a split says, with slices as places in the record.</summary>
    private static string Describe(SplitRecord split, byte[] record)
    {
        var text = new StringBuilder(split.IsGlobal ? "global" : "stations");
        foreach (var part in split.Parts)
        {
            text.Append($"\n{part.StationText} {part.Index} {part.Ordinal} {part.FirstItem} {part.ItemCount} {part.IsScattered} [{string.Join(' ', split.ItemIndexesOf(part).ToArray())}]");
            foreach (var item in split.ItemsOf(part)) text.Append(' ').Append(Place(item));
        }

        foreach (var rejected in split.Rejected) text.Append($"\n{rejected.Index} {rejected.Reason} {rejected.Form} {Place(rejected.Bytes)}");
        return text.ToString();

        string Place(ReadOnlyMemory<byte> slice) => record.AsSpan().Overlaps(slice.Span, out var at) ? $"{at}+{slice.Length}" : "elsewhere";
    }

    private static bool IsJson(byte[] json)
    {
        try
        {
            var reader = new Utf8JsonReader(json);
            while (reader.Read())
            {
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool HasSurrogate(byte[] json) => Encoding.Latin1.GetString(json).Contains("\\ud", StringComparison.OrdinalIgnoreCase);

    private static string Shown(byte[] json) => $"{Encoding.UTF8.GetString(json)} = {Convert.ToHexString(json)}";

    /// <summary>Runs a check of as many seeds; returns how often it was true.</summary>
    private static int CheckSeeds(int count, Func<Random, bool> check)
    {
        var taken = 0;
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            if (check(new Random(seed))) taken++;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(count));
        return taken;
    }
}
