using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Tests.Windows;

namespace Analytics.Actors.Tests.Records;

/// <summary>What cannot be used is rejected by its code, in every topic, and no exception leaves the splitter.</summary>
public class RecordSplitterBadInputTests
{
    public static TheoryData<string> Topics => new(DefaultTopics.All.Keys);

    [Theory]
    [MemberData(nameof(Topics))]
    public void What_is_not_json_is_rejected_whole(string name)
    {
        foreach (var text in new[] { "x", "{", "[", "{\"a\":", "[1,", "{\"a\":1}}", "[1]]", "{'a':1}", "[1,]", "nul", "\"", "01", "{} {}", "NaN", "// x" })
            Rejected(name, Encoding.UTF8.GetBytes(text)).ShouldBe("not-json", text);
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void A_record_cut_anywhere_is_rejected_whole(string name)
    {
        var record = Encoding.UTF8.GetBytes(SampleRecords.Of(name));
        for (var length = 1; length < record.Length; length++) Rejected(name, record[..length]).ShouldBe("not-json", $"{length} bytes");
        SampleRecords.Split(DefaultTopics.All[name], record).Rejected.ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void An_absent_value_is_rejected_as_empty(string name)
    {
        Rejected(name, []).ShouldBe("empty");
        Rejected(name, "\uFEFF"u8.ToArray()).ShouldBe("empty");
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void The_wrong_envelope_is_rejected_whole(string name)
    {
        foreach (var text in new[] { "null", "5", "\"x\"", "true" }) Rejected(name, Encoding.UTF8.GetBytes(text)).ShouldBe("wrong-envelope", text);
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void A_thousand_levels_are_too_deep(string name)
    {
        foreach (var (open, close) in new[] { ("[", "]"), ("{\"a\":", "}") })
        {
            var deep = string.Concat(Enumerable.Repeat(open, 1000)) + "1" + string.Concat(Enumerable.Repeat(close, 1000));
            Rejections(name, Encoding.UTF8.GetBytes(deep)).ShouldNotBeEmpty();
            Rejections(name, Encoding.UTF8.GetBytes(SampleRecords.Of(name).Replace("\"S1\"", $"\"S1\",\"deep\":{deep}"))).ShouldBe(["too-deep"]);
        }
    }

    [Fact]
    public void Sixty_four_levels_are_allowed_and_one_more_is_not()
    {
        static string Record(int levels) => "{\"stationId\":\"A\",\"x\":" + new string('[', levels - 1) + new string(']', levels - 1) + "}";
        SampleRecords.Split(DefaultTopics.All[DefaultTopics.Meter], DefaultTopics.Bytes(Record(64))).Parts.Count.ShouldBe(1);
        Rejected(DefaultTopics.Meter, Encoding.UTF8.GetBytes(Record(65))).ShouldBe("too-deep");
    }

    [Fact]
    public void A_deep_item_does_not_spoil_the_others()
    {
        var deep = new string('[', 1000) + new string(']', 1000);
        var split = SampleRecords.Split(DefaultTopics.All[DefaultTopics.Param], DefaultTopics.Bytes($$"""[{"stationId":"A"},{"stationId":"B","x":{{deep}}},{{deep}},{"stationId":"C"}]"""));
        GoldenEnvelopeTests.Describe(split).ShouldBe("A x1, C x1 | 1 too-deep, 2 too-deep");
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void Invalid_utf8_is_rejected(string name)
    {
        foreach (var bad in new byte[][] { [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE7, 0xAB] })
            Rejections(name, WithBytes(SampleRecords.Of(name), "S1", bad)).ShouldBe(["invalid-utf8"], Convert.ToHexString(bad));
    }

    [Fact]
    public void Invalid_utf8_in_one_item_does_not_spoil_the_others()
    {
        var record = WithBytes("""[{"stationId":"A"},{"stationId":"B","x":"?"},{"stationId":"C"}]""", "?", [0xFF]);
        GoldenEnvelopeTests.Describe(SampleRecords.Split(DefaultTopics.All[DefaultTopics.Param], record)).ShouldBe("A x1, C x1 | 1 invalid-utf8");
        var outside = WithBytes("""{"x":"?","weather":[{"stationId":"A"}]}""", "?", [0xFF]);
        GoldenEnvelopeTests.Describe(SampleRecords.Split(DefaultTopics.All[DefaultTopics.Weather], outside)).ShouldBe("| 0 invalid-utf8");
    }

    [Theory]
    [InlineData("\\ud800")]
    [InlineData("\\udc00")]
    [InlineData("\\ud800\\ud800")]
    [InlineData("\\ud800x")]
    [InlineData("\\\\\\udfff")]
    public void Half_a_surrogate_pair_is_no_text(string escaped)
    {
        var split = SampleRecords.Split(DefaultTopics.All[DefaultTopics.Param], DefaultTopics.Bytes(
            $$"""[{"stationId":"{{escaped}}"},{"stationId":"A","x":"{{escaped}}"},{"stationId":"A","{{escaped}}":1},{"stationId":"B","x":"\\ud800"}]"""));
        GoldenEnvelopeTests.Describe(split).ShouldBe("B x1 | 0 invalid-utf8, 1 invalid-utf8, 2 invalid-utf8");
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void A_member_written_twice_is_rejected(string name)
    {
        var record = SampleRecords.Of(name);
        var inItem = Encoding.UTF8.GetBytes(record.Replace("\"S1\"", "\"S1\",\"twice\":1,\"twice\":1"));
        // The elements of a global record stay together up to its window, which rejects them singly.
        if (DefaultTopics.All[name].Scope == TopicScope.Station) Rejections(name, inItem).ShouldBe(["duplicate-key"]);
        else DefaultTopics.Window(name).Apply([inItem], 0, 0).Rejected.Single().Reason.Code.ShouldBe("duplicate-key");
        if (record[0] == '{') Rejections(name, Encoding.UTF8.GetBytes("{\"twice\":1,\"twice\":1," + record[1..])).ShouldBe(["duplicate-key"]);
    }

    [Fact]
    public void Members_are_told_apart_also_in_very_large_objects()
    {
        var members = string.Join(",", Enumerable.Range(0, 5000).Select(i => $"\"m{i}\":{i}"));
        SampleRecords.Split(DefaultTopics.All[DefaultTopics.Meter], DefaultTopics.Bytes($$"""{"stationId":"A",{{members}}}""")).Parts.Count.ShouldBe(1);
        foreach (var repeated in new[] { "m0", "m100", "m4999", "stationId" })
            Rejected(DefaultTopics.Meter, Encoding.UTF8.GetBytes($$"""{"stationId":"A",{{members}},"{{repeated}}":1}""")).ShouldBe("duplicate-key", repeated);
    }

    [Fact]
    public void Ten_megabytes_are_no_trouble()
    {
        const int size = 10_000_000;
        var text = new string('x', size);
        SampleRecords.Split(DefaultTopics.All[DefaultTopics.Meter], DefaultTopics.Bytes($$"""{"stationId":"A","x":"{{text}}"}""")).Parts.Count.ShouldBe(1);
        Rejected(DefaultTopics.Meter, Encoding.UTF8.GetBytes($$"""{"stationId":"{{text}}"}""")).ShouldBe("invalid-id");
        Rejected(DefaultTopics.Meter, Encoding.UTF8.GetBytes(text)).ShouldBe("not-json");
        Rejected(DefaultTopics.Meter, Encoding.UTF8.GetBytes(new string('[', size))).ShouldBe("not-json");
        Rejected(DefaultTopics.Meter, Encoding.UTF8.GetBytes($$"""{"stationId":{{new string('1', size)}}}""")).ShouldBe("invalid-id");
        var numbers = SampleRecords.Split(DefaultTopics.All[DefaultTopics.Param], DefaultTopics.Bytes("[" + string.Concat(Enumerable.Repeat("1,", size / 2)) + "{\"stationId\":\"A\"}]"));
        numbers.Parts.Single().Index.ShouldBe(size / 2);
        numbers.Rejected.Count.ShouldBe(size / 2);
    }

    [Fact]
    public void A_rejection_shows_the_bytes_that_it_is_about()
    {
        var record = DefaultTopics.Bytes("{\"x\":1");
        var rejected = SampleRecords.Split(DefaultTopics.All[DefaultTopics.Meter], record).Rejected.Single();
        rejected.Bytes.ShouldBe(record);
        rejected.Reason.Detail.ShouldNotBeEmpty();
    }

    private static string Rejected(string topic, byte[] record) => Rejections(topic, record).Single();

    /// <summary>The codes of a record of which nothing can be used.</summary>
    private static IEnumerable<string> Rejections(string topic, byte[] record)
    {
        var split = SampleRecords.Split(DefaultTopics.All[topic], record);
        split.Parts.ShouldBeEmpty();
        split.IsGlobal.ShouldBe(DefaultTopics.All[topic].Scope == TopicScope.Global);
        return split.Rejected.Select(item => item.Reason.Code);
    }

    private static byte[] WithBytes(string record, string text, byte[] bytes)
    {
        var at = record.IndexOf(text, StringComparison.Ordinal);
        return [.. Encoding.UTF8.GetBytes(record[..at]), .. bytes, .. Encoding.UTF8.GetBytes(record[(at + text.Length)..])];
    }
}
