using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.BatchTests;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.Defects;

/// <summary>Defects of the library that this system replaces (SPEC.md, section 8): what a station held, and what a module saw.</summary>
public class StationDefects
{
    private const string OrderModule = """ "m": { "topics": ["ORDERS"] } """;

    [Fact]
    public void Defect07_no_order_within_one_poll_is_lost()
    {
        var node = new CoreNode(With(OrderModule));
        for (var number = 1; number <= 5; number++) node.Write(Orders, Order("S1", number));
        node.Write(Orders, $"[{Order("S1", 6)},{Order("S1", 7)}]");
        node.Advance(2_000);
        OrdersOf(node).ShouldBe(["1,2,3,4,5,6,7"]);
        node.Uploads("m").Count.ShouldBe(6);
    }

    [Fact]
    public void Defect07_the_last_second_does_not_get_stuck_also_over_a_restart()
    {
        var node = new CoreNode(With(OrderModule));
        node.Produce(Orders, Order("S1", 1));
        node.Restart();
        node.Advance(1_000);
        OrdersOf(node).ShouldBe(["1"]);
        Stations(node.Upload("m")).ShouldBe(["S1"]);
    }

    [Fact]
    public void Defect07_a_late_order_does_not_corrupt_the_window()
    {
        var node = new CoreNode(With(OrderModule));
        node.Produce(Orders, Order("S1", 1));
        node.Advance(5_000);
        node.Produce(Orders, Order("S1", 2), timestampMs: node.NowMs);
        node.Produce(Orders, Order("S1", 3), timestampMs: StartMs);
        node.Produce(Orders, Order("S1", 4), timestampMs: node.NowMs);
        node.Advance(5_000);
        OrdersOf(node).ShouldBe(["1", "2,3,4"]);
        node.Events.OfType<OrderLate>().Sum(late => late.Count).ShouldBe(1);
        node.Uploads("m").Count.ShouldBe(4);
    }

    [Fact]
    public void Defect08_an_idle_station_is_not_computed_again()
    {
        var node = new CoreNode(PipelineFiles.DefaultConfiguration());
        node.Produce("SCHEDULE-STATION-PARAM", """[{"stationId":"1001","gunNum":2}]""");
        node.Produce("SCHEDULE-STATION-REALTIME-DATA", """{"realTimeData":[{"stationId":"1001","sendTime":"2025-11-13 01:00:00"}]}""");
        node.Advance(10_000);
        var calls = node.Calls.Count;
        calls.ShouldBeGreaterThan(0);
        node.Advance(3_600_000);
        node.Restart();
        node.Advance(3_600_000);
        node.Calls.Count.ShouldBe(calls);
    }

    [Fact]
    public void Defect09_each_topic_has_its_own_limit_of_age()
    {
        var node = new CoreNode(PipelineFiles.DefaultConfiguration()).Hold("load_prediction");
        node.Produce("SCHEDULE-STATION-PARAM", """[{"stationId":"1001","gunNum":2}]""");
        node.Produce("SCHEDULE-STATION-REALTIME-DATA", """{"realTimeData":[{"stationId":"1001","sendTime":"2025-11-13 01:00:00"}]}""");
        node.Produce("SCHEDULE-DEVICE-STORAGE", """{"stationId":"1001","storageCode":"B1"}""");
        node.Produce("SCHEDULE-DEVICE-METER", """{"stationId":"1001","meterPower":1}""");
        Held().ShouldBe(["SCHEDULE-DEVICE-METER", "SCHEDULE-DEVICE-STORAGE", "SCHEDULE-STATION-PARAM", "SCHEDULE-STATION-REALTIME-DATA"]);
        node.Advance(12 * 60_000);
        Held().ShouldBe(["SCHEDULE-DEVICE-METER", "SCHEDULE-STATION-PARAM", "SCHEDULE-STATION-REALTIME-DATA"]);
        node.Advance(60 * 60_000);
        Held().ShouldBe(["SCHEDULE-STATION-PARAM", "SCHEDULE-STATION-REALTIME-DATA"]);
        node.Advance(36L * 24 * 3_600_000);
        Held().ShouldBe(["SCHEDULE-STATION-PARAM"], "what has no limit stays");

        IEnumerable<string> Held() => node.Shard.Stations["1001"].Windows.Where(window => !window.Value.IsEmpty && !window.Key.StartsWith("MODULE", StringComparison.Ordinal))
            .Select(window => window.Key).Order(StringComparer.Ordinal);
    }

    [Fact]
    public void Defect09_memory_does_not_grow_with_stations_that_fell_silent()
    {
        var node = new CoreNode(OneModule(topicOptions: "\"ttl\": \"10min\""));
        for (var minute = 0; minute < 60; minute++)
        {
            node.Produce(Meters, Values(minute, $"S{minute}"));
            node.Advance(60_000);
        }

        node.Shard.Stations.Count.ShouldBeLessThanOrEqualTo(12);
        node.Restart();
        node.Shard.Stations.Count.ShouldBeLessThanOrEqualTo(12, "nor does the store");
    }

    [Fact]
    public void Defect14_a_bad_message_is_neither_skipped_in_silence_nor_in_the_way()
    {
        var bad = new (string Value, string Reason)[]
        {
            ("not json", "not-json"), ("", "empty"), ("5", "wrong-envelope"), ("""{"a":1}""", "wrong-envelope"), ("[1]", "item-not-object"),
            ("""[{"value":1}]""", "no-id"), ("""[{"stationId":0}]""", "invalid-id"), ("""[{"stationId":"S9","value":1,"value":2}]""", "duplicate-key"),
        };
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Shards = 4 });
        foreach (var (value, _) in bad)
        {
            node.Write(Meters, value);
            node.Write(Meters, Values(1, "S1"));
        }

        node.Run();
        node.Calls.Count.ShouldBe(bad.Length);
        node.Uploads("m").Count.ShouldBe(bad.Length);
        node.DeadLetters.OrderBy(letter => (long)letter["offset"]!).Select(letter => ((long)letter["offset"]!, (string)letter["reason"]!))
            .ShouldBe(bad.Select((item, index) => (index * 2L, item.Reason)));
        var first = node.DeadLetters.MinBy(letter => (long)letter["offset"]!)!;
        ((string)first["topic"]!).ShouldBe(Meters);
        Encoding.UTF8.GetString(Convert.FromBase64String((string)first["bytes"]!)).ShouldBe("not json");
        ((long)first["length"]!).ShouldBe(8);
        node.Router.Committable.ShouldContain((new Analytics.Actors.Core.TopicPartition(Meters, 0), bad.Length * 2));
    }

    [Fact]
    public void Defect14_of_a_list_the_good_items_still_count()
    {
        var node = new CoreNode(OneModule());
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":null},"text",{"stationId":"S2","value":2}]""");
        Stations(node.Upload("m")).ShouldBe(["S1", "S2"]);
        node.DeadLetters.Select(letter => ((int)letter["index"]!, (string)letter["reason"]!)).ShouldBe([(1, "invalid-id"), (2, "item-not-object")]);
    }

    [Fact]
    public void Defect17_a_module_cannot_change_what_is_held()
    {
        const string held = """{"deep":[1,2]}""";
        var node = new CoreNode(With(""" "m": { "topics": ["METERS"], "retries": 1 }, "n": { "topics": ["METERS"] } """));
        byte[]? returned = null;
        node.Module("m", call =>
        {
            var input = call.Call.Input.ToJson();
            if (call.Call.Id.Attempt > 1) return Result(JsonNode.Parse(input)!.ToJsonString());
            // It edits what it was given in every way that it has, and fails.
            Encoding.UTF8.GetString(input).ShouldContain(held);
            input.AsSpan().Fill((byte)'9');
            call.Input["value"]!["deep"]![0] = 99;
            returned = input;
            return Error("after editing");
        });
        node.Produce(Meters, $$"""[{"stationId":"S1","value":{{held}}}]""");
        node.Advance(200);
        returned.ShouldNotBeNull();
        node.Uploads("m").Single()["stations"]![0]!["value"]!.ToJsonString().ShouldBe(held, "the second attempt has a copy of its own");
        node.Calls.Single(call => call.Module == "n").Input["value"]!.ToJsonString().ShouldBe(held);
        node.Shard.Stations["S1"].Windows[Meters].Shape()!.ToJsonObject().ShouldBe(Encoding.UTF8.GetBytes($$"""{"value":{{held}}}"""));
    }

    [Fact]
    public void Defect18_a_topic_that_did_not_change_is_not_parsed_again()
    {
        var node = new CoreNode(PipelineFiles.DefaultConfiguration());
        node.Produce("SCHEDULE-STATION-PARAM", """[{"stationId":"1001","gunNum":2}]""");
        node.Produce("SCHEDULE-STATION-REALTIME-DATA", """{"realTimeData":[{"stationId":"1001","sendTime":"2025-11-13 01:00:00"}]}""");
        node.Produce("SCHEDULE-DEVICE-STORAGE", """{"stationId":"1001","storageCode":"B1"}""");
        for (var power = 0; power < 5; power++)
            node.Produce("SCHEDULE-DEVICE-HOST-ACDC", $$"""{"stationId":"1001","hostCode":"H1","acPower":{{power}}}""");

        var inputs = node.Calls.Where(call => call.Module == "evaluation_model").TakeLast(5).Select(call => call.Call.Input).ToList();
        foreach (var topic in new[] { "SCHEDULE-STATION-PARAM", "SCHEDULE-STATION-REALTIME-DATA", "SCHEDULE-DEVICE-STORAGE" })
            inputs.Select(input => input.Fragments.Single(fragment => fragment.Topic == topic).Fragment).Distinct(ReferenceEqualityComparer.Instance).Count().ShouldBe(1, topic);
        inputs.Select(input => input.Fragments.Single(fragment => fragment.Topic == "SCHEDULE-DEVICE-HOST-ACDC").Fragment).Distinct(ReferenceEqualityComparer.Instance).Count().ShouldBe(5);
    }

    [Fact]
    public void Defect19_a_changed_configuration_takes_effect_and_keeps_what_still_fits()
    {
        const string modules = """ "m": { "topics": ["METERS", "PARAMS"], "requires": "any" } """;
        var node = new CoreNode(Build(
            """
            "METERS": { "envelope": "list", "window": 4, "fields": ["value"] },
            "PARAMS": { "envelope": "list", "fields": ["capacity"] }
            """, modules));
        for (var value = 1; value <= 4; value++) node.Produce(Meters, $$"""[{"stationId":"S1","value":{{value}},"unit":"kW"}]""");
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Calls[^1].Input["value"]!.ToJsonString().ShouldBe("[1,2,3,4]");

        // A smaller window, another field, one topic gone and a new one.
        node.Restart(PipelineFiles.Valid(Build(
            """
            "METERS": { "envelope": "list", "window": 2, "fields": ["value", { "from": "unit", "as": "of" }] },
            "EVENTS": { "envelope": "data", "fields": ["kind"] }
            """, """ "m": { "topics": ["METERS", "EVENTS"], "requires": "any" } """)));
        node.Produce("EVENTS", """{"data":[{"stationId":"S1","kind":"start"}]}""");
        var input = node.Calls[^1].Input;
        input["value"]!.ToJsonString().ShouldBe("[3,4]");
        input["of"]!.ToJsonString().ShouldBe("[\"kW\",\"kW\"]");
        ((string)input["kind"]!).ShouldBe("start");
        input.ContainsKey("capacity").ShouldBeFalse();
        node.Produce(Meters, Values(5, "S1"));
        node.Calls[^1].Input["value"]!.ToJsonString().ShouldBe("[4,5]");
    }

    private static IEnumerable<string> OrdersOf(CoreNode node) =>
        node.Calls.Select(call => string.Join(',', call.Input["car_order"]!.AsArray().Select(order => (int)order!["no"]!)));
}
