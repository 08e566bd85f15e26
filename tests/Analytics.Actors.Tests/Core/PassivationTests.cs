using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Stations leave memory when nobody needs them, and come back with all they held when somebody does.</summary>
public class PassivationTests
{
    private const string Both = """ "m": { "topics": ["METERS", "PARAMS"], "requires": ["METERS"] } """;

    private static CoreNodeOptions AtMost(int stations) => new() { Adjust = settings => settings with { StationsMax = stations, PassivateAfterMs = 5_000 } };

    [Fact]
    public void More_stations_than_memory_may_hold_are_right_all_the_same()
    {
        var node = new CoreNode(With(Both), AtMost(2));
        var stations = Enumerable.Range(1, 9).Select(number => $"S{number}").ToArray();
        node.Produce(Params, "[" + string.Join(",", stations.Select(station => $$"""{"stationId":"{{station}}","capacity":"{{station}}"}""")) + "]");
        node.Advance(2_000);
        node.Shard.Stations.Count.ShouldBe(2);
        node.Shard.StationCount.ShouldBe(9);
        node.Calls.Clear();
        node.Produce(Meters, Values(7, stations));
        node.Calls.Select(call => (string)call.Input["capacity"]!).ShouldBe(stations, ignoreOrder: true);
        node.Advance(2_000);
        node.Shard.Stations.Count.ShouldBe(2);
        node.Events.OfType<StationsPassivated>().Sum(passivated => passivated.Count).ShouldBe(14);
        node.Uploads("m").Count.ShouldBe(2);
    }

    [Fact]
    public void An_idle_station_leaves_and_its_next_record_finds_what_it_held()
    {
        var node = new CoreNode(With(Both), AtMost(100));
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Advance(130_000);
        node.Shard.Stations.ShouldBeEmpty();
        node.Shard.StationCount.ShouldBe(1);
        node.Calls.Clear();
        node.Produce(Meters, Values(1, "S1"));
        ((int)node.Calls.ShouldHaveSingleItem().Input["capacity"]!).ShouldBe(5);
    }

    [Fact]
    public void A_station_that_owes_a_call_stays()
    {
        var node = new CoreNode(With(Both), AtMost(0)).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(130_000);
        node.Shard.Stations.Keys.ShouldBe(["S1"]);
        node.Answer("m", "S1", Result("""{"a":1}"""));
        node.Advance(2_000);
        node.Shard.Stations.ShouldBeEmpty();
    }

    [Fact]
    public void A_takeover_loads_no_station_that_owes_nothing()
    {
        var node = new CoreNode(With(Both));
        node.Produce(Meters, Values(1, [.. Enumerable.Range(1, 500).Select(number => $"S{number}")]));
        node.Advance(2_000);
        node.Restart();
        node.Shard.Stations.ShouldBeEmpty();
        node.Shard.StationCount.ShouldBe(500);
        node.Produce(Meters, Values(2, "S77"));
        node.Shard.Stations.Keys.ShouldBe(["S77"]);
        node.Shard.StationCount.ShouldBe(500);
    }

    [Fact]
    public void The_timer_of_a_station_that_is_not_in_memory_wakes_it()
    {
        const string Every = """ "m": { "topics": ["METERS"], "trigger": { "interval": "10min" }, "batch": "none" } """;
        var node = new CoreNode(With(Every), AtMost(0));
        node.Produce(Meters, Values(3, "S1"));
        node.Advance(2_000);
        node.Shard.Stations.ShouldBeEmpty();
        node.Advance(600_000);
        ((int)node.Calls.ShouldHaveSingleItem().Input["value"]!).ShouldBe(3);
        node.Restart();
        node.Advance(600_000);
        node.Calls.Count.ShouldBe(2);
    }

    [Fact]
    public void A_silent_second_that_no_batch_waits_for_is_delivered_after_a_restart()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["ORDERS"], "batch": "none" } """));
        node.Produce(Orders, Order("S1", 1));
        node.Advance(500);
        node.Restart();
        node.Calls.ShouldBeEmpty();
        node.Advance(700);
        node.Calls.ShouldHaveSingleItem();
        node.Advance(5_000);
        node.TakeOverAll().SelectMany(shard => shard.Entities).ShouldAllBe(entity => entity.Kind != EntityKind.Station, "nothing waits any more");
    }

    [Fact]
    public void A_global_record_after_a_takeover_does_not_change_what_an_owed_call_was_to_see()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "CALENDAR"], "requires": ["METERS"] } """)).Hold("m");
        node.Produce(Calendar, """{"day":"Monday"}""");
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(2_000);
        node.Crash();
        node.Write(Calendar, """{"day":"Tuesday"}""");
        node.Calls.Clear();
        node.Start();
        node.Run();
        node.Advance(2_000);
        ((string)node.Calls.ShouldHaveSingleItem().Input["day"]!).ShouldBe("Monday");
    }

    [Fact]
    public void A_global_topic_that_calls_modules_calls_those_of_every_station_after_a_takeover()
    {
        var node = new CoreNode(Build(
            """ "METERS": { "envelope": "list", "fields": ["value"], "triggers": false }, "CALENDAR": { "scope": "global", "fields": ["day"], "triggers": true } """,
            """ "m": { "topics": ["METERS", "CALENDAR"], "requires": ["METERS"], "batch": "none" } """), AtMost(1));
        var stations = Enumerable.Range(1, 450).Select(number => $"S{number:000}").ToArray();
        node.Produce(Meters, Values(1, stations));
        node.Advance(2_000);
        node.Crash();
        node.Write(Calendar, """{"day":"Monday"}""");
        node.Start();
        node.Run();
        node.Calls.Select(call => call.Station).Order(StringComparer.Ordinal).ShouldBe(stations);
    }

    [Fact]
    public void A_record_with_many_stations_is_processed_when_the_last_of_them_is_there()
    {
        var node = new CoreNode(With(Both), AtMost(1));
        var stations = Enumerable.Range(1, 1_200).Select(number => $"S{number}").ToArray();
        node.Produce(Meters, Values(1, stations));
        node.Advance(2_000);
        node.Produce(Meters, Values(2, stations));
        node.Advance(2_000);
        node.Calls.Count.ShouldBe(2_400);
        node.Uploads("m").ShouldAllBe(upload => (int)upload["station_count"]! == 1_200);
        node.Shard.Stations.Count.ShouldBe(1);
    }

    // A shard of the first version: it did not count its stations, and an open second had no row of its own.
    [Fact]
    public void A_state_of_the_first_version_is_counted_and_its_timers_run()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["ORDERS"], "batch": "none" } """));
        node.Produce(Orders, Order("S1", 1));
        node.Produce(Meters, Values(1, "S2"));
        node.Advance(500);
        node.Crash();
        var shard = node.TakeOverAll().Single();
        var state = ShardState.Parser.ParseFrom(shard.ShardState);
        state.ClearStations();
        var first = new ShardCheckpoint
        {
            Shard = shard.Shard, Epoch = shard.Epoch, Number = shard.CheckpointNumber + 1, ShardState = state.ToByteArray(),
            Entities = [.. shard.Entities.Where(entity => entity.Kind == EntityKind.Station).Select(entity => entity with { State = null })],
            Positions = [], Marks = [], OutboxAdded = [], OutboxRemoved = [], Release = true,
        };
        Commit(node, first);
        node.Start();
        node.Run();
        node.Shard.StationCount.ShouldBe(2);
        node.Advance(1_000);
        node.Calls.ShouldHaveSingleItem();
        node.Advance(2_000);
        node.Restart();
        node.Shard.StationCount.ShouldBe(2);
    }

    private static void Commit(CoreNode node, ShardCheckpoint checkpoint) =>
        node.Store.CommitAsync([checkpoint], default).AsTask().GetAwaiter().GetResult().ShouldBe([CheckpointOutcome.Committed]);
}
