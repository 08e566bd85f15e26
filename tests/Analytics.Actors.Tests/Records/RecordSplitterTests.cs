using System.Runtime.InteropServices;
using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Tests.Windows;

namespace Analytics.Actors.Tests.Records;

/// <summary>How records are taken apart: envelopes, ids, parts and their items.</summary>
public class RecordSplitterTests
{
    private static readonly TopicConfiguration Object = DefaultTopics.All[DefaultTopics.Meter];
    private static readonly TopicConfiguration List = DefaultTopics.All[DefaultTopics.Param];
    private static readonly TopicConfiguration Member = DefaultTopics.All[DefaultTopics.Weather];
    private static readonly TopicConfiguration Output = DefaultTopics.All[DefaultTopics.Output("pv_prediction")];

    [Theory]
    [InlineData("\"S1\"", "S1")]
    [InlineData("1234567890123456789", "1234567890123456789")]
    [InlineData("9007199254740993", "9007199254740993")]
    [InlineData("123456789012345678901234567890", "123456789012345678901234567890")]
    [InlineData("-7", "-7")]
    [InlineData("\"00\"", "00")]
    [InlineData("\"1.0\"", "1.0")]
    [InlineData("\"\\u0053\\u0031\"", "S1")]
    [InlineData("\"\\ud83d\\ude00\"", "😀")]
    [InlineData("\"站1\"", "站1")]
    public void Texts_and_integers_are_ids_with_their_exact_digits(string written, string id) =>
        Split(Object, $$"""{"stationId":{{written}}}""").Parts.Single().StationText.ShouldBe(id);

    [Theory]
    [InlineData("0")]
    [InlineData("-0")]
    [InlineData("\"0\"")]
    [InlineData("\"\"")]
    [InlineData("null")]
    [InlineData("true")]
    [InlineData("false")]
    [InlineData("1.0")]
    [InlineData("1.5")]
    [InlineData("1e3")]
    [InlineData("1E3")]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("\"a\\u0000b\"")]
    [InlineData("\"a\\nb\"")]
    public void Everything_else_is_no_id(string written) => Codes(Object, $$"""{"stationId":{{written}}}""").ShouldBe("0 invalid-id");

    [Fact]
    public void An_id_has_at_most_256_bytes()
    {
        var longest = new string('x', 254) + "é";
        Encoding.UTF8.GetByteCount(longest).ShouldBe(256);
        Split(Object, $$"""{"stationId":"{{longest}}"}""").Parts.Single().StationText.ShouldBe(longest);
        Codes(Object, $$"""{"stationId":"x{{longest}}"}""").ShouldBe("0 invalid-id");
        Codes(Object, $$"""{"stationId":{{new string('9', 257)}}}""").ShouldBe("0 invalid-id");
        Codes(Object, $$"""{"stationId":"{{new string('x', 10_000)}}"}""").ShouldBe("0 invalid-id");
        // 256 bytes written as escapes are six times as long, and still an id.
        Split(Object, $$"""{"stationId":"{{string.Concat(Enumerable.Repeat("\\u0078", 256))}}"}""").Parts.Single().StationText.ShouldBe(new string('x', 256));
    }

    [Fact]
    public void The_first_path_that_holds_a_valid_id_names_the_station()
    {
        Split(Object, """{"station_id":"B","stationId":"A"}""").Parts.Single().StationText.ShouldBe("A");
        Split(Object, """{"stationId":null,"station_id":"B"}""").Parts.Single().StationText.ShouldBe("B");
        Split(Output, """{"stations":[{"stationId":"A","station_id":"B"}]}""").Parts.Single().StationText.ShouldBe("B");
        Codes(Object, """{"other":"A"}""").ShouldBe("0 no-id");
    }

    [Fact]
    public void An_id_may_lie_in_a_nested_object()
    {
        var topic = Object with { StationPaths = ["head.station.id", "stationId"] };
        Split(topic, """{"stationId":"B","head":{"station":{"id":17}}}""").Parts.Single().StationText.ShouldBe("17");
        Split(topic, """{"stationId":"B","head":{"station":3}}""").Parts.Single().StationText.ShouldBe("B");
        var list = topic with { Envelope = List.Envelope };
        Split(list, """[ {"stationId":"C"}, {"head":{"station":{"id":"A"}}} ]""").Parts.Select(part => part.StationText).ShouldBe(["C", "A"]);
    }

    [Fact]
    public void Items_are_gathered_per_station_in_order_of_first_appearance_as_slices_of_the_record()
    {
        var record = DefaultTopics.Bytes("""[{"stationId":"B","n":1}, {"stationId":"A","n":2} ,{"stationId":"B","n":3},{"stationId":"C"},{"stationId":"A","n":5}]""");
        var split = SampleRecords.Split(List, record);
        split.Parts.Select(part => (part.StationText, part.Index, part.Ordinal, part.ItemCount)).ShouldBe([("B", 0, 0, 2), ("A", 1, 0, 2), ("C", 3, 0, 1)]);
        Text(split.ItemsOf(split.Parts[0])[1]).ShouldBe("""{"stationId":"B","n":3}""");
        Text(split.ItemsOf(split.Parts[1])[0]).ShouldBe("""{"stationId":"A","n":2}""");
        MemoryMarshal.TryGetArray(record, out var whole).ShouldBeTrue();
        foreach (var item in split.Items)
        {
            MemoryMarshal.TryGetArray(item, out var slice).ShouldBeTrue();
            slice.Array.ShouldBeSameAs(whole.Array);
        }
    }

    [Fact]
    public void Good_items_count_beside_bad_ones()
    {
        var split = Split(List, """[1,{"stationId":"A"},{"x":1},null,{"stationId":0},{"stationId":"A","a":1,"a":2},{"stationId":"B"}]""");
        GoldenEnvelopeTests.Describe(split).ShouldBe("A x1, B x1 | 0 item-not-object, 2 no-id, 3 item-not-object, 4 invalid-id, 5 duplicate-key");
        Text(split.Rejected[1].Bytes).ShouldBe("""{"x":1}""");
    }

    [Fact]
    public void Alternatives_are_tried_in_order()
    {
        var pv = DefaultTopics.All[DefaultTopics.Pv];
        Describe(pv, """{"stationId":"A"}""").ShouldBe("A x1 |");
        Describe(pv, """{"stationId":"A","photovoltaicMessage":[{"stationId":"B"}]}""").ShouldBe("B x1 |");
        Describe(pv, """{"stationId":"A","photovoltaicMessage":5}""").ShouldBe("A x1 |");
        // "results" stands second, also where it comes first in the record.
        Describe(Output, """{"results":[{"station_id":"R"},1],"stations":[{"station_id":"S"}]}""").ShouldBe("S x1 |");
        Describe(Output, """{"results":[{"station_id":"R"}]}""").ShouldBe("R x1 |");
        Describe(DefaultTopics.All[DefaultTopics.Order], """[{"stationId":"A"},{"stationId":"A"}]""").ShouldBe("A x2 |");
        Describe(DefaultTopics.All[DefaultTopics.Order], """{"stationId":"A"}""").ShouldBe("A x1 |");
    }

    [Fact]
    public void A_single_result_is_its_output_under_the_records_id()
    {
        var split = Split(Output, """{"station_id":"S1","module":"pv_prediction","output":{"pv":[1]},"timestamp":1.5}""");
        split.Parts.Single().StationText.ShouldBe("S1");
        Text(split.Items.Single()).ShouldBe("""{"pv":[1]}""");
        Codes(Output, """{"station_id":"S1","output":null}""").ShouldBe("0 item-not-object");
        Codes(Output, """{"output":{"pv":[1]}}""").ShouldBe("0 no-id");
        Codes(Output, """{"station_id":"S1","output":{"pv":1,"pv":2}}""").ShouldBe("0 duplicate-key");
    }

    [Fact]
    public void An_empty_list_is_valid_and_names_nobody()
    {
        Describe(List, "[]").ShouldBe("|");
        Describe(Member, """{"weather":[]}""").ShouldBe("|");
    }

    [Fact]
    public void A_global_record_stays_whole()
    {
        var calendar = DefaultTopics.All[DefaultTopics.Calendar];
        var record = """ {"calendar":[{"date":"2025-01-01"}],"source":"x"} """;
        var split = Split(calendar, record);
        split.IsGlobal.ShouldBeTrue();
        split.Parts.Single().ShouldSatisfyAllConditions(part => part.StationText.ShouldBe(""), part => part.Index.ShouldBe(0));
        Text(split.Items.Single()).ShouldBe(record);
        Split(calendar, """{"calendar":{}}""").IsGlobal.ShouldBeTrue();
        Codes(calendar, """{"calendar":{}}""").ShouldBe("0 wrong-envelope");
        Codes(calendar, """[{"date":"2025-01-01"}]""").ShouldBe("0 wrong-envelope");
        Codes(calendar, """{"calendar":[],"calendar":[]}""").ShouldBe("0 duplicate-key");
    }

    [Fact]
    public void Items_of_a_part_are_ordered_by_time_where_the_topic_asks_for_it()
    {
        var price = DefaultTopics.All[DefaultTopics.Price];
        var split = Split(price, """
            {"fee":[{"stationId":"A","sendTime":"2025-10-21 00:00:00","n":1},{"stationId":"A","sendTime":"2025-10-20 00:00:00","n":2},
            {"stationId":"A","n":3},{"stationId":"A","sendTime":"2025-10-20T00:00:00","n":4}]}
            """);
        split.Items.Select(item => Text(item)[^2]).ShouldBe("3241".ToCharArray());
        split.Parts.Single().Index.ShouldBe(0);
    }

    [Fact]
    public void A_members_name_may_be_written_with_escapes()
    {
        Describe(Member, """{"we\u0061ther":[{"st\u0061tionId":"A"}]}""").ShouldBe("A x1 |");
        Codes(List, """[{"stationId":"A","a":1,"\u0061":2}]""").ShouldBe("0 duplicate-key");
    }

    [Fact]
    public void A_byte_order_mark_is_passed_over() => Describe(Object, "\uFEFF{\"stationId\":\"A\"}").ShouldBe("A x1 |");

    private static SplitRecord Split(TopicConfiguration topic, string record) => SampleRecords.Split(topic, DefaultTopics.Bytes(record));
    private static string Describe(TopicConfiguration topic, string record) => GoldenEnvelopeTests.Describe(Split(topic, record));
    private static string Text(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span);

    /// <summary>The rejections of a record that gives no part.</summary>
    private static string Codes(TopicConfiguration topic, string record) => Describe(topic, record)[2..];
}
