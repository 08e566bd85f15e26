using Analytics.Actors.Core;
using Analytics.Actors.Core.Shards;
using static Analytics.Actors.Tests.CoreRules.BatchTests;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Orders by the second in a whole node: each closed second is delivered once, also over restarts.</summary>
public class OrderTests
{
    private const string Module = """ "m": { "topics": ["ORDERS"], "retries": 5 } """;

    [Fact]
    public void A_second_is_delivered_when_a_later_one_arrives()
    {
        var node = new CoreNode(With(Module));
        node.Produce(Orders, Order("S1", 1), timestampMs: StartMs);
        node.Advance(300);
        node.Produce(Orders, Order("S1", 2), timestampMs: StartMs + 300);
        node.Calls.ShouldBeEmpty();
        node.Advance(700);
        node.Produce(Orders, Order("S1", 3), timestampMs: StartMs + 1_000);
        Numbers(node).ShouldBe(["1,2"]);
        node.Uploads("m").Select(upload => (string)upload["batch_id"]!).ShouldBe(["ORDERS:0:0", "ORDERS:0:1"], "both records opened a batch, and one call answers both");
    }

    [Fact]
    public void A_second_is_delivered_after_a_second_of_silence()
    {
        var node = new CoreNode(With(Module));
        node.Produce(Orders, Order("S1", 1));
        node.Advance(600);
        node.Produce(Orders, Order("S1", 2), timestampMs: StartMs + 500);
        node.Advance(999);
        node.Calls.ShouldBeEmpty();
        node.Advance(1);
        Numbers(node).ShouldBe(["1,2"]);
        node.Events.OfType<TimerFired>().Single().Kind.ShouldBe("order-second");
        node.Advance(60_000);
        node.Calls.Count.ShouldBe(1);
    }

    [Fact]
    public void A_silent_second_is_delivered_after_a_restart_too()
    {
        var node = new CoreNode(With(Module));
        node.Produce(Orders, Order("S1", 1));
        node.Advance(500);
        node.Restart();
        node.Calls.ShouldBeEmpty();
        node.Advance(500);
        Numbers(node).ShouldBe(["1"]);
        node.Restart();
        node.Advance(10_000);
        Numbers(node).ShouldBe(["1"]);
        Stations(node.Upload("m")).ShouldBe(["S1"]);
    }

    [Fact]
    public void Every_closed_second_is_delivered_once_over_restarts_at_any_step()
    {
        for (var crash = 1; crash <= 120; crash += 7)
        {
            var node = new CoreNode(With(Module), new CoreNodeOptions { CrashAtSteps = new HashSet<int> { crash, crash + 11 } });
            for (var number = 0; number < 6; number++)
            {
                node.Advance(400);
                node.Produce(Orders, Order("S1", number), timestampMs: node.NowMs);
            }

            node.Advance(10_000);
            // A call may be made again after a crash; what was answered is answered once.
            var delivered = node.Uploads("m").SelectMany(upload => upload["stations"]!.AsArray()).Count();
            delivered.ShouldBe(6, $"crash after step {crash}");
            node.Calls.Select(call => call.Input["car_order"]!.ToJsonString()).Distinct().SelectMany(orders => System.Text.Json.Nodes.JsonNode.Parse(orders)!.AsArray())
                .Select(order => (int)order!["no"]!).ShouldBe([0, 1, 2, 3, 4, 5], ignoreOrder: true, $"crash after step {crash}");
            node.DeadLetters.ShouldBeEmpty();
        }
    }

    [Fact]
    public void A_late_order_is_counted_and_joins_the_next_second()
    {
        var node = new CoreNode(With(Module));
        node.Produce(Orders, Order("S1", 1));
        node.Advance(3_000);
        Numbers(node).ShouldBe(["1"]);
        node.Produce(Orders, Order("S1", 2), timestampMs: StartMs);
        node.Events.OfType<OrderLate>().ShouldHaveSingleItem().Count.ShouldBe(1);
        node.Restart();
        node.Produce(Orders, Order("S1", 3), timestampMs: StartMs + 100);
        node.Advance(1_000);
        Numbers(node).ShouldBe(["1", "2,3"]);
        node.Uploads("m").Count.ShouldBe(3);
        node.Uploads("m").ShouldAllBe(upload => (int)upload["station_count"]! == 1);
    }

    [Fact]
    public void An_order_for_an_older_open_second_is_delivered_apart()
    {
        var node = new CoreNode(With(Module)).Hold("m");
        node.Produce(Orders, Order("S1", 2), timestampMs: StartMs - 1_000);
        node.Produce(Orders, Order("S1", 1), timestampMs: StartMs - 5_000);
        node.Advance(2_000);
        node.Answer("m", "S1", Result("{}"));
        node.Answer("m", "S1", Result("{}"));
        Numbers(node).ShouldBe(["1", "2"]);
        node.Events.OfType<OrderLate>().ShouldBeEmpty();
        node.Uploads("m").Select(upload => (string)upload["batch_id"]!).ShouldBe(["ORDERS:0:1", "ORDERS:0:0"]);
    }

    [Fact]
    public void A_record_with_orders_of_several_seconds_is_answered_with_the_last_of_them()
    {
        var orders = Build(
            """ "ORDERS": { "envelope": ["object", "list"], "mode": "second", "window": 2, "time": "at", "shape": { "kind": "orders", "member": "car_order" } } """, Module);
        var node = new CoreNode(orders).Module("m", call => Result($$"""{"no":{{call.Input["car_order"]![0]!["no"]}}}"""));
        node.Produce("ORDERS", $$"""[{"stationId":"S1","no":1,"at":{{StartMs - 5_000}}},{"stationId":"S1","no":2,"at":{{StartMs}}},{"stationId":"S2","no":3,"at":"nonsense"}]""");
        Numbers(node).ShouldBe(["1"]);
        node.Advance(1_000);
        Numbers(node).ShouldBe(["1", "2"]);
        var batch = node.Uploads("m").Single(upload => upload.ContainsKey("batch_id"));
        batch["stations"]!.ToJsonString().ShouldBe("""[{"no":2,"station_id":"S1"}]""");
        Texts(batch["missing"]).ShouldBe(["S2"]);
        node.DeadLetterReasons.ShouldBe(["bad-time"]);
    }

    [Fact]
    public void Each_second_is_the_input_of_its_own_call_although_others_closed_meanwhile()
    {
        var node = new CoreNode(With(Module)).Hold("m");
        for (var number = 1; number <= 3; number++) node.Produce(Orders, Order("S1", number), timestampMs: StartMs - 10_000 + number * 1_000);
        node.Advance(1_000);
        node.Restart();
        for (var number = 1; number <= 3; number++) node.Answer("m", "S1", Result("{}"));
        Numbers(node).ShouldBe(["1", "1", "2", "3"], "the first one's call was running when the process died");
    }

    [Fact]
    public void A_second_waits_with_its_trigger_for_what_is_missing()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["ORDERS", "PARAMS"] } """));
        node.Produce(Orders, Order("S1", 1));
        node.Advance(1_000);
        node.Produce(Orders, Order("S1", 2), timestampMs: StartMs + 1_000);
        node.Restart();
        node.Advance(1_500);
        Numbers(node).ShouldBeEmpty();
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        Numbers(node).ShouldBe(["1", "2", "2"], "each second once, and the call that PARAMS triggered with what is newest");
    }

    private static IEnumerable<string> Numbers(CoreNode node) =>
        node.Calls.Select(call => string.Join(',', call.Input["car_order"]!.AsArray().Select(order => (int)order!["no"]!)));
}
