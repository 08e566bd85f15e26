using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

/// <summary>Defects of the library that this system replaces (SPEC.md, section 8), as far as records and windows answer for them.</summary>
public class DefectTests
{
    private const long NowMs = 1_763_000_000_000;

    [Fact]
    public void Defect15_a_topic_whose_data_cannot_be_shaped_is_not_available()
    {
        var windows = new Dictionary<string, TopicWindow> { [DefaultTopics.Param] = DefaultTopics.Window(DefaultTopics.Param), [DefaultTopics.Order] = DefaultTopics.Window(DefaultTopics.Order) };
        windows[DefaultTopics.Param].Apply(DefaultTopics.Items("{{{"), NowMs, NowMs);
        windows[DefaultTopics.Order].Apply(DefaultTopics.Items("""{"stationId":"S1"}"""), NowMs, NowMs);
        var quality = InputAssembler.Assemble("customer_mining", "S1", windows, NowMs).Quality;
        quality.AvailableTopics.ShouldBeEmpty();
        quality.FailedTopics.Single().Key.ShouldBe(DefaultTopics.Param);
        quality.FailedTopics.Single().Value.ShouldNotBeEmpty();
        // An order in a second that is still open is no data yet.
        quality.MissingTopics.ShouldBe([DefaultTopics.Order]);
        quality.AvailabilityRatio.ShouldBe(0.0);
    }

    [Fact]
    public void Defect15_what_cannot_be_shaped_is_rejected_when_it_arrives_where_that_can_be_told()
    {
        foreach (var (topic, item) in new[]
        {
            (DefaultTopics.Gun, """{"gunNo":"01","status":"idle"}"""), (DefaultTopics.Calendar, """{"calendar":{}}"""),
            (DefaultTopics.Price, "[]"), (DefaultTopics.Realtime, """{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":{}}}"""),
            (DefaultTopics.Dcdc, """{"hostCode":"H1","dcWorkStatus":["00"],"dcdcPower":[1,2]}"""),
        })
        {
            var window = DefaultTopics.Window(topic);
            var change = window.Apply([DefaultTopics.Bytes(item)], NowMs, NowMs);
            change.Rejected.Count.ShouldBe(1, topic);
            change.Changed.ShouldBeFalse(topic);
            window.IsEmpty.ShouldBeTrue(topic);
        }
    }

    [Fact]
    public void Defect16_series_of_one_input_have_one_length()
    {
        var window = DefaultTopics.Window(DefaultTopics.All[DefaultTopics.Realtime] with { Window = 4 });
        window.Apply(DefaultTopics.Items(
            """{"sendTime":"2025-11-04 01:00:00","outputPowerPerStationAvg":10,"gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[1],"outputPowerPerGunMax":[2]}}""",
            """{"sendTime":"2025-11-04 04:00:00","gunPower":{"gunNo":["01","02"],"outputPowerPerGunAvg":[3,4]}}"""), NowMs, NowMs);
        var shape = window.Shape()!;
        foreach (var name in new[] { "sendTime", "outputPowerPerGunAvg", "outputPowerPerGunMax", "outputPowerPerStationAvg" })
            JsonNode.Parse(shape.GetJson(name).Span)!.AsArray().Count.ShouldBe(4, name);
        Text(shape, "outputPowerPerGunAvg").ShouldBe("[[1,0],[0,0],[0,0],[3,4]]");
    }

    [Fact]
    public void Defect16_rows_off_the_hour_are_not_lost()
    {
        var window = DefaultTopics.Window(DefaultTopics.All[DefaultTopics.Realtime] with { Window = 3 });
        window.Apply(DefaultTopics.Items(
            """{"sendTime":"2025-11-04 01:05:00","outputPowerPerStationAvg":1}""", """{"sendTime":"2025-11-04 02:59:59","outputPowerPerStationAvg":2}""",
            """{"sendTime":"2025-11-04 03:20:00","outputPowerPerStationAvg":3}"""), NowMs, NowMs);
        Text(window.Shape()!, "outputPowerPerStationAvg").ShouldBe("[1,2,3]");
    }

    [Fact]
    public void Defect16_tariffs_stay_in_their_positions()
    {
        var window = DefaultTopics.Window(DefaultTopics.Price);
        window.Apply(DefaultTopics.Items("""{"stationId":"S1","feeNo48":"04","feeNo2":"01"}"""), NowMs, NowMs);
        var fees = JsonNode.Parse(window.Shape()!.GetJson("car_price").Span)!["feeNo"]!.AsArray();
        fees.Count.ShouldBe(48);
        fees[0].ShouldBeNull();
        ((string)fees[1]!).ShouldBe("01");
        fees[46].ShouldBeNull();
        ((string)fees[47]!).ShouldBe("04");
    }

    [Fact]
    public void Defect21_linear_takes_nulls_and_text_and_moves_no_known_value()
    {
        Pad("[1,null,3]", 5).ShouldBe("[1,1,1,2,3]");
        Pad("[1,2,null]", 4).ShouldBe("[1,1,2,2]");
        Pad("[1,\"b\",null]", 4).ShouldBe("[1,1,\"b\",\"b\"]");
        Pad("[1,2]", 5).ShouldBe("[1,1,1,1,2]");
        Pad("[1,2,3,4]", 3).ShouldBe("[2,3,4]");
        Pad("[null]", 2).ShouldBe("[null,null]");
        Pad("[true,null,false]", 3).ShouldBe("[true,true,false]");
    }

    private static string Pad(string sequence, int length)
    {
        var bytes = DefaultTopics.Bytes(sequence);
        var values = JsonList.Elements(bytes.Span).Select(slice => slice.Of(bytes)).ToArray();
        return $"[{string.Join(',', Fill.Pad(values, [], length, FillStrategy.Linear).Select(value => Encoding.UTF8.GetString(value.Span)))}]";
    }

    private static string Text(InputFragment fragment, string name) => Encoding.UTF8.GetString(fragment.GetJson(name).Span);
}
