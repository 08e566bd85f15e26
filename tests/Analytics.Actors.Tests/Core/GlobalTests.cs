using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Global data reaches every station of every shard, present and future, and survives restarts.</summary>
public class GlobalTests
{
    private const string Module = """ "m": { "topics": ["METERS", "CALENDAR"], "requires": ["METERS"] } """;

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public void Before_a_station_after_it_and_after_a_restart(int shards)
    {
        var stations = Enumerable.Range(1, 12).Select(number => $"S{number}").ToArray();
        var node = new CoreNode(With(Module), new CoreNodeOptions { Shards = shards });
        node.Produce(Meters, Values(1, stations[..6]));
        node.Calls.ShouldAllBe(call => !call.Input.ContainsKey("day"));
        node.Produce(Calendar, """{"day":"Monday"}""");
        node.Calls.Count.ShouldBe(6, "it triggers nothing");
        node.Produce(Meters, Values(2, stations));
        node.Calls.Skip(6).Count().ShouldBe(12);
        node.Calls.Skip(6).ShouldAllBe(call => (string)call.Input["day"]! == "Monday");
        node.Restart();
        node.Produce(Meters, Values(3, stations));
        node.Calls.Skip(18).Count().ShouldBe(12);
        node.Calls.Skip(18).ShouldAllBe(call => (string)call.Input["day"]! == "Monday");
        node.TakeOverAll().ShouldAllBe(shard => shard.Entities.Count(entity => entity.Kind == EntityKind.Global) == 1);
    }

    [Fact]
    public void A_call_that_waits_for_global_data_goes_on_when_they_come()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "CALENDAR"], "onIncomplete": { "call": "1h" } } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Calls.ShouldBeEmpty();
        node.Produce(Calendar, """{"day":"Monday"}""");
        ((string)node.Calls.ShouldHaveSingleItem().Input["day"]!).ShouldBe("Monday");
    }

    [Fact]
    public void A_global_topic_may_trigger_where_the_configuration_says_so()
    {
        var node = new CoreNode(Build(
            """ "METERS": { "envelope": "list", "fields": ["value"], "triggers": false }, "CALENDAR": { "scope": "global", "fields": ["day"], "triggers": true } """,
            """ "m": { "topics": ["METERS", "CALENDAR"], "requires": ["METERS"], "batch": "none" } """));
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Calls.ShouldBeEmpty();
        node.Produce(Calendar, """{"day":"Monday"}""");
        node.Calls.Select(call => call.Station).ShouldBe(["S1", "S2"]);
    }

    [Fact]
    public void What_is_wrong_with_a_global_record_is_said_once()
    {
        var pipeline = Build(
            """ "METERS": { "envelope": "list" }, "CALENDAR": { "scope": "global", "fields": [{ "from": "day", "type": "text" }] } """, Module);
        var node = new CoreNode(pipeline, new CoreNodeOptions { Shards = 4 });
        node.Produce(Calendar, """{"day":5}""");
        node.Produce(Calendar, "[]");
        node.DeadLetterReasons.ShouldBe(["wrong-type", "wrong-envelope"], ignoreOrder: true);
    }
}
