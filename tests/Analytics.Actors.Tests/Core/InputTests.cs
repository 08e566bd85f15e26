using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using static Analytics.Actors.Tests.CoreRules.BatchTests;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What a module sees: its input is what the windows held at the trigger, whatever happens afterwards.</summary>
public class InputTests
{
    [Fact]
    public void An_input_captured_at_its_trigger_survives_a_crash_although_the_window_moved_on()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Meters, Values(2, "S1"));
        node.Produce(Meters, Values(3, "S1"));
        node.Restart();
        for (var value = 1; value <= 3; value++) node.Answer("m", "S1", Result("{}"));
        node.Calls.Skip(1).Select(call => (int)call.Input["value"]!).ShouldBe([1, 2, 3]);
        node.Uploads("m").Count.ShouldBe(3);
    }

    [Fact]
    public void Only_what_the_window_no_longer_holds_is_written_with_the_trigger()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        Trigger(node).Topics.Single().Superseded.ShouldBeFalse();
        Trigger(node).Topics.Single().Json.IsEmpty.ShouldBeTrue("the window's own row has it");
        node.Produce(Meters, Values(2, "S1"));
        Trigger(node).Topics.Single().Superseded.ShouldBeTrue();
        Trigger(node).Topics.Single().Json.ToStringUtf8().ShouldBe("""{"value":1}""");
    }

    [Fact]
    public void A_global_record_that_comes_meanwhile_changes_no_captured_input()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "CALENDAR"], "requires": ["METERS"] } """)).Hold("m");
        node.Produce(Calendar, """{"day":"Monday"}""");
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Calendar, """{"day":"Tuesday"}""");
        node.Restart();
        ((string)node.Calls[^1].Input["day"]!).ShouldBe("Monday");
        node.Answer("m", "S1", Result("{}"));
        node.Produce(Meters, Values(2, "S1"));
        ((string)node.Calls[^1].Input["day"]!).ShouldBe("Tuesday");
    }

    [Fact]
    public void A_later_topic_overwrites_an_equal_key_and_the_quality_says_so()
    {
        var node = new CoreNode(Build(
            """ "A": { "envelope": "list" , "fields": ["power", "stationId", "same"] }, "B": { "envelope": "list", "fields": ["power", "same"] } """,
            """ "m": { "topics": ["A", "B"], "onIncomplete": "wait" } """));
        node.Produce("B", """[{"stationId":"S1","power":2,"same":7}]""");
        node.Produce("A", """[{"stationId":"S1","power":1,"same":7}]""");
        var input = node.Calls.ShouldHaveSingleItem().Input;
        ((int)input["power"]!).ShouldBe(2);
        Texts(input["_data_quality"]!["overwritten"]).ShouldBe(["power"]);
    }

    [Fact]
    public void The_station_id_of_an_input_is_never_overwritten()
    {
        const string modules = """ "first": { "topics": ["METERS"] }, "second": { "topics": ["METERS"], "dependsOn": ["first"], "onIncomplete": "wait" } """;
        var node = new CoreNode(With(modules)).Module("first", _ => Result("""{"stationId":"other","_data_quality":"good","load":5}"""));
        node.Produce(Meters, Values(1, "00123456789012345678"));
        var input = node.Calls.Single(call => call.Module == "second").Input;
        ((string)input["stationId"]!).ShouldBe("00123456789012345678");
        input["_data_quality"].ShouldBeOfType<JsonObject>();
        ((int)input["load"]!).ShouldBe(5);
    }

    [Fact]
    public void What_a_module_does_to_its_input_changes_nothing_else()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS"], "retries": 1 }, "n": { "topics": ["METERS"] } """));
        node.Module("m", call =>
        {
            var json = call.Call.Input.ToJson();
            json.AsSpan().Fill((byte)'9');
            call.Input["value"] = "edited";
            return call.Call.Id.Attempt == 1 ? Error("again") : Result(call.Input.ToJsonString());
        });
        node.Produce(Meters, """[{"stationId":"S1","value":{"deep":[1,2]}}]""");
        node.Advance(200);
        node.Calls.Count.ShouldBe(3);
        node.Calls.Where(call => call.Module == "n" || call.Call.Id.Attempt == 2).ShouldAllBe(call =>
            JsonNode.Parse(call.Call.Input.ToJson(), null, default)!["value"]!.ToJsonString() == """{"deep":[1,2]}""");
        Encoding.UTF8.GetString(node.Shard.Stations["S1"].Windows[Meters].Shape()!.GetJson("value").Span).ShouldBe("""{"deep":[1,2]}""");
    }

    [Fact]
    public void A_topic_that_did_not_change_is_not_shaped_again()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"], "onIncomplete": "wait" } """));
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Meters, Values(2, "S1"));
        var (first, second) = (node.Calls[0].Call.Input.Fragments, node.Calls[1].Call.Input.Fragments);
        second[1].Fragment.ShouldBeSameAs(first[1].Fragment);
        second[0].Fragment.ShouldNotBeSameAs(first[0].Fragment);
    }

    [Fact]
    public void The_age_is_that_of_the_newest_entry()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"], "onIncomplete": "wait" } """));
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""", timestampMs: StartMs - 30_000);
        node.Advance(1_500);
        node.Produce(Meters, Values(1, "S1"), timestampMs: node.NowMs + 60_000);
        var ages = node.Calls.ShouldHaveSingleItem().Input["_data_quality"]!["age_seconds"]!;
        ((double)ages[Params]!).ShouldBe(31.5);
        ((double)ages[Meters]!).ShouldBe(0, "a time in the future counts as now");
    }

    [Fact]
    public void Every_topic_expires_by_its_own_ttl()
    {
        var node = new CoreNode(Build(
            """
            "METERS": { "envelope": "list", "fields": ["value"], "ttl": "10min" },
            "MONTHS": { "envelope": "list", "fields": ["month"], "ttl": "35d", "triggers": false },
            "PARAMS": { "envelope": "list", "fields": ["capacity"], "triggers": false }
            """,
            """ "m": { "topics": ["METERS", "MONTHS", "PARAMS"], "requires": "any", "trigger": { "event": true, "interval": "8min" } } """));
        node.Produce("MONTHS", """[{"stationId":"S1","month":11}]""");
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Produce(Meters, Values(1, "S1"));
        Missing().ShouldBeEmpty();
        node.Advance(8 * 60_000);
        Missing().ShouldBeEmpty();
        node.Advance(8 * 60_000);
        Missing().ShouldBe([Meters]);
        node.Restart();
        node.Advance(36L * 24 * 3_600_000);
        Missing().ShouldBe([Meters, "MONTHS"]);
        ((int)node.Calls[^1].Input["capacity"]!).ShouldBe(5);

        IEnumerable<string> Missing() => Texts(node.Calls[^1].Input["_data_quality"]!["missing_topics"]);
    }

    [Fact]
    public void A_station_of_which_nothing_is_left_goes_from_memory_and_from_the_store()
    {
        var node = new CoreNode(OneModule(topicOptions: "\"ttl\": \"10min\""));
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Advance(9 * 60_000);
        node.Produce(Meters, Values(1, "S2"));
        node.Advance(3 * 60_000);
        node.Shard.Stations.Keys.ShouldBe(["S2"]);
        node.TakeOverAll().Single().Entities.Where(entity => entity.Kind is EntityKind.Station or EntityKind.Window).Select(entity => entity.Key)
            .ShouldBe([$"S2\u001f{Meters}"]);
    }

    [Fact]
    public void A_record_of_a_topic_that_is_gone_is_dead_lettered_and_its_batch_answered()
    {
        const string modules = """ "m": { "topics": ["METERS"] }""";
        var node = new CoreNode(With(modules), new CoreNodeOptions { CheckpointIntervalMs = 1_000_000 });
        node.Produce(Meters, Values(1, "S1"));
        node.Restart(Pipeline.PipelineFiles.Valid(Build(""" "PARAMS": { "envelope": "list" } """, """ "m": { "topics": ["PARAMS"] } """)));
        node.Advance(1_000_100);
        node.DeadLetterReasons.Distinct().ShouldBe(["unknown-topic"]);
        node.Events.OfType<BatchCompleted>().ShouldHaveSingleItem().Results.ShouldBe(0);
        node.Shard.Batches.Batches.ShouldBeEmpty();
    }

    private static TriggerState Trigger(CoreNode node) => node.Checkpoints
        .SelectMany(checkpoint => checkpoint.Entities).Where(entity => entity.Kind == EntityKind.Station)
        .Select(entity => StationState.Parser.ParseFrom(entity.State!)).Last().Triggers[0];
}
