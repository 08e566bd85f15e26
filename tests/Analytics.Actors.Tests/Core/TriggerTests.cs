using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.BatchTests;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>When a module is called, how often, and that the call is answered whatever happens.</summary>
public class TriggerTests
{
    [Fact]
    public void Requires_all_waits_for_every_topic()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"], "onIncomplete": "wait" } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(60_000);
        node.Calls.ShouldBeEmpty();
        node.Events.OfType<BatchCompleted>().ShouldHaveSingleItem().Results.ShouldBe(0, "it has answered: nothing, as it is not ready");
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        var call = node.Calls.ShouldHaveSingleItem();
        ((int)call.Input["value"]!).ShouldBe(1);
        ((int)call.Input["capacity"]!).ShouldBe(5);
        Stations(node.Upload("m")).ShouldBe(["S1"]);
    }

    [Fact]
    public void Requires_any_needs_one_topic()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"], "requires": "any", "onIncomplete": "wait" } """));
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        var quality = node.Calls.ShouldHaveSingleItem().Input["_data_quality"]!;
        Texts(quality["missing_topics"]).ShouldBe([Meters]);
        ((double)quality["availability_ratio"]!).ShouldBe(0.5);
    }

    [Fact]
    public void A_required_list_needs_those_topics_and_no_other()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"], "requires": ["PARAMS"], "onIncomplete": "wait" } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Calls.ShouldBeEmpty();
        node.Produce(Params, """[{"stationId":"S2","capacity":5}]""");
        node.Calls.ShouldHaveSingleItem().Station.ShouldBe("S2");
    }

    [Fact]
    public void On_incomplete_call_calls_once_per_trigger_after_the_delay()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"], "onIncomplete": { "call": "2s" } } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(1_999);
        node.Calls.ShouldBeEmpty();
        node.Advance(1);
        Texts(node.Calls.ShouldHaveSingleItem().Input["_data_quality"]!["missing_topics"]).ShouldBe([Params]);
        node.Events.OfType<TimerFired>().ShouldContain(fired => fired.Kind == "incomplete");
        node.Advance(600_000);
        node.Calls.Count.ShouldBe(1, "a station that stays incomplete is not called again and again");
        node.Produce(Meters, Values(2, "S1"));
        node.Advance(2_000);
        node.Calls.Count.ShouldBe(2);
    }

    [Fact]
    public void What_was_missing_may_come_in_time()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"] } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(1_000);
        node.Restart();
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Calls.Count.ShouldBe(2, "one for the trigger that waited, one for its own");
        node.Calls.ShouldAllBe(call => call.Input["_data_quality"]!["missing_topics"]!.AsArray().Count == 0);
        node.Uploads("m").Count.ShouldBe(2);
    }

    [Fact]
    public void The_delay_of_an_incomplete_trigger_survives_a_restart()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS"] } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(1_500);
        node.Restart();
        node.Advance(499);
        node.Calls.ShouldBeEmpty();
        node.Advance(1);
        node.Calls.Count.ShouldBe(1);
    }

    [Fact]
    public void Calls_of_one_station_and_module_never_overlap_and_others_run_beside_them()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS"] }, "n": { "topics": ["METERS"] } """)).Hold("m").Hold("n");
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Meters, Values(2, "S1", "S2"));
        node.Calls.Select(call => (call.Module, call.Station)).ShouldBe([("m", "S1"), ("n", "S1"), ("m", "S2"), ("n", "S2")]);
        node.Answer("m", "S1", Result("{}"));
        node.Calls.Count.ShouldBe(5);
        ((int)node.Calls[^1].Input["value"]!).ShouldBe(2);
        node.Calls[^1].Module.ShouldBe("m");
    }

    [Fact]
    public void Coalesce_every_answers_each_trigger_with_the_input_of_its_own_time()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        for (var value = 1; value <= 3; value++) node.Produce(Meters, Values(value, "S1"));
        for (var value = 1; value <= 3; value++) node.Answer("m", "S1", Result("{}"));
        node.Calls.Select(call => (int)call.Input["value"]!).ShouldBe([1, 2, 3]);
        node.Uploads("m").Select(upload => (string)upload["batch_id"]!).ShouldBe(["METERS:0:0", "METERS:0:1", "METERS:0:2"]);
    }

    [Fact]
    public void Coalesce_latest_answers_all_batches_that_wait_with_one_call()
    {
        var node = new CoreNode(OneModule("\"coalesce\": \"latest\"")).Hold("m");
        for (var value = 1; value <= 4; value++) node.Produce(Meters, Values(value, "S1"));
        node.Calls.Count.ShouldBe(1);
        node.Answer("m", "S1", Result("""{"n":1}"""));
        node.Answer("m", "S1", Result("""{"n":2}"""));
        node.Calls.Select(call => (int)call.Input["value"]!).ShouldBe([1, 4]);
        node.Uploads("m").Select(upload => ((string)upload["batch_id"]!, (int)upload["stations"]![0]!["n"]!)).ShouldBe(
            [("METERS:0:0", 1), ("METERS:0:1", 2), ("METERS:0:2", 2), ("METERS:0:3", 2)]);
    }

    [Fact]
    public void An_interval_calls_without_events_and_only_where_it_is_asked_for()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS"], "trigger": { "interval": "10s" } }, "n": { "topics": ["METERS"] } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Calls.Select(call => call.Module).ShouldBe(["n"]);
        node.Advance(9_999);
        node.Calls.Count.ShouldBe(1);
        node.Advance(1);
        node.Advance(5_000);
        node.Restart();
        node.Advance(4_999);
        node.Calls.Count(call => call.Module == "m").ShouldBe(1);
        node.Advance(1);
        node.Calls.Count(call => call.Module == "m").ShouldBe(2);
        node.Calls.Count(call => call.Module == "n").ShouldBe(1);
        node.Uploads("m").Count.ShouldBe(2, "nobody asked for a batch: each goes alone");
        node.Events.OfType<TimerFired>().Count(fired => fired.Kind == "interval").ShouldBe(2);
    }

    [Fact]
    public void Intervals_do_not_pile_up_behind_a_call_that_does_not_return()
    {
        var node = new CoreNode(OneModule("\"trigger\": { \"interval\": \"10s\" }")).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(1_000_000);
        node.Shard.Stations["S1"].TriggerCount.ShouldBe(2, "one runs, one waits");
        node.Answer("m", "S1", Result("{}"));
        node.Calls.Count.ShouldBe(2);
    }

    [Fact]
    public void An_interval_beside_events()
    {
        var node = new CoreNode(OneModule("\"trigger\": { \"event\": true, \"interval\": \"10s\" }"));
        node.Produce(Meters, Values(1, "S1"));
        node.Calls.Count.ShouldBe(1);
        node.Advance(10_000);
        node.Calls.Count.ShouldBe(2);
    }

    [Fact]
    public void A_topic_that_triggers_nothing_only_adds_to_the_input()
    {
        var node = new CoreNode(Build(
            """ "METERS": { "envelope": "list", "fields": ["value"] }, "PARAMS": { "envelope": "list", "fields": ["capacity"], "triggers": false } """,
            """ "m": { "topics": ["METERS", "PARAMS"] } """));
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Advance(10_000);
        node.Calls.ShouldBeEmpty();
        node.Log(Group + ".batch-results").ShouldBeEmpty();
        node.Produce(Meters, Values(1, "S1"));
        node.Calls.Count.ShouldBe(1);
    }

    [Fact]
    public void A_disabled_module_is_neither_called_nor_expected()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS"], "enabled": false }, "n": { "topics": ["METERS"] } """));
        node.Produce(Meters, Values(1, "S1"));
        node.Calls.Select(call => call.Module).ShouldBe(["n"]);
        node.Events.OfType<BatchOpened>().Select(opened => opened.Module).ShouldBe(["n"]);
    }

    [Fact]
    public void Errors_are_retried_with_a_pause_that_doubles_and_the_last_one_is_the_answer()
    {
        var node = new CoreNode(OneModule("\"retries\": 2, \"retryDelay\": \"200ms\", \"batch\": { \"kind\": \"record\", \"deadline\": \"1min\" }"));
        node.Module("m", call => Error("attempt " + call.Call.Id.Attempt));
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Calls.Count.ShouldBe(2);
        node.Advance(199);
        node.Calls.Count.ShouldBe(2);
        node.Advance(1);
        node.Calls.Count.ShouldBe(4);
        node.Advance(399);
        node.Calls.Count.ShouldBe(4);
        node.Advance(1);
        node.Calls.Count.ShouldBe(6);
        node.Advance(50_000);
        node.Calls.Count.ShouldBe(6);
        node.Events.OfType<CallEnded>().Where(ended => ended.Station == "S1").Select(ended => ended.Reason).ShouldBe(["attempt 1", "attempt 2", "attempt 3"]);
        node.Events.OfType<TimerFired>().Count(fired => fired.Kind == "retry").ShouldBe(4);
        node.Events.OfType<BatchCompleted>().ShouldHaveSingleItem().Results.ShouldBe(0);
    }

    [Fact]
    public void A_retry_goes_before_later_triggers_and_sees_the_input_of_its_own()
    {
        var node = new CoreNode(OneModule());
        node.Module("m", call => call.Call.Id.Attempt == 1 && (int)call.Input["value"]! == 1 ? Error("once") : Result("{}"));
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Meters, Values(2, "S1"));
        node.Calls.Count.ShouldBe(1);
        node.Advance(200);
        node.Calls.Select(call => (int)call.Input["value"]!).ShouldBe([1, 1, 2]);
    }

    [Fact]
    public void An_error_that_no_batch_waits_for_is_dead_lettered()
    {
        var node = new CoreNode(OneModule("\"batch\": \"none\", \"retries\": 0")).Module("m", _ => Error("broken"));
        node.Produce(Meters, Values(1, "S1"));
        var letter = node.DeadLetters.ShouldHaveSingleItem();
        ((string)letter["reason"]!).ShouldBe("call-failed");
        ((string)letter["detail"]!).ShouldContain("broken");
        ((string)letter["station"]!).ShouldBe("S1");
    }

    [Fact]
    public void A_call_past_its_time_has_answered_but_keeps_its_slot()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        var stuck = node.Calls[0].Call.Id;
        node.Answer("m", "S1", TimedOut, releases: false);
        node.Events.OfType<BatchCompleted>().ShouldHaveSingleItem();
        node.Shard.StuckCalls.ShouldBe([("S1", "m")]);
        node.Produce(Meters, Values(2, "S1", "S2"));
        node.Calls.Count.ShouldBe(2, "S2 is called, S1 waits");
        node.Advance(4_000);
        node.Release(stuck);
        node.Shard.StuckCalls.ShouldBeEmpty();
        node.Calls.Count.ShouldBe(3);
        node.Answer("m", "S1", Result("{}"));
        node.Answer("m", "S2", Result("{}"));
        Stations(node.Upload("m")).ShouldBe(["S1", "S2"]);
    }

    [Fact]
    public void A_stuck_call_keeps_its_slot_although_the_station_holds_nothing_any_more()
    {
        var node = new CoreNode(OneModule(topicOptions: "\"ttl\": \"1min\"")).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        var stuck = node.Calls[0].Call.Id;
        node.Answer("m", "S1", TimedOut, releases: false);
        node.Advance(300_000);
        node.Produce(Meters, Values(2, "S1"));
        node.Calls.Count.ShouldBe(1);
        node.Release(stuck);
        node.Calls.Count.ShouldBe(2);
    }

    [Fact]
    public void A_trigger_that_the_process_died_of_becomes_an_error_and_a_dead_letter()
    {
        var node = new CoreNode(OneModule("\"retries\": 2, \"batch\": { \"kind\": \"record\", \"deadline\": \"1h\" }")).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Answer("m", "S2", Result("{}"));
        node.Restart();
        node.Calls.Count(call => call.Station == "S1").ShouldBe(2);
        node.Restart();
        node.Calls.Count(call => call.Station == "S1").ShouldBe(2, "the process died twice during this call");
        node.Calls.Count(call => call.Station == "S2").ShouldBe(1);
        Texts(node.Upload("m")["failed"]).ShouldBe(["S1"]);
        var letter = node.DeadLetters.ShouldHaveSingleItem();
        ((string)letter["reason"]!).ShouldBe("call-failed");
        ((int)letter["offset"]!).ShouldBe(0);
        node.Restart();
        node.Calls.Count.ShouldBe(3);
        node.DeadLetters.Count.ShouldBe(1);
    }

    [Fact]
    public void A_failed_attempt_is_no_death_of_the_process()
    {
        var node = new CoreNode(OneModule("\"retries\": 2, \"batch\": { \"kind\": \"record\", \"deadline\": \"1h\" }")).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        node.Answer("m", "S1", Error("1"));
        node.Advance(200);
        node.Answer("m", "S1", Error("2"));
        // Two attempts have failed, none is running: the third one is still due.
        node.Restart();
        node.Advance(1_000);
        node.Calls.Count.ShouldBe(3);
        node.Answer("m", "S1", Result("{}"));
        Stations(node.Upload("m")).ShouldBe(["S1"]);
        node.DeadLetters.ShouldBeEmpty();
    }

    [Fact]
    public void After_a_crash_a_call_begins_only_when_its_attempt_is_recorded()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        node.Crash();
        node.Start();
        while (node.Calls.Count == 1 && node.Step()) { }
        var attempts = node.Checkpoints[^1].Entities.Single(entity => entity.Kind == EntityKind.Station);
        Analytics.Actors.Core.Protocol.StationState.Parser.ParseFrom(attempts.State!).Triggers.Single().Attempts.ShouldBe(2);
    }

    [Fact]
    public void An_orderly_stop_is_no_attempt()
    {
        var node = new CoreNode(OneModule("\"retries\": 1")).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        for (var stop = 0; stop < 3; stop++)
        {
            node.Tell(new StopRequested());
            node.Advance(5_000);
            node.Core.Phases.ShouldBeEmpty();
            node.Restart();
        }

        node.DeadLetters.ShouldBeEmpty();
        node.Calls.Count.ShouldBe(4);
        node.Calls.ShouldAllBe(call => call.Call.Id.Attempt == 1);
    }

    [Fact]
    public void What_a_module_owes_is_answered_although_the_module_is_gone()
    {
        var before = With(""" "m": { "topics": ["METERS"] }, "n": { "topics": ["METERS"] } """);
        var node = new CoreNode(before, new CoreNodeOptions { Adjust = settings => settings with { CallsMax = 3 } }).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Meters, Values(2, "S1"));
        node.Produce(Meters, Values(3, "S1"));
        node.Shard.IsFull.ShouldBeTrue();
        node.Restart(PipelineFiles.Valid(With(""" "m": { "topics": ["METERS"], "enabled": false }, "n": { "topics": ["METERS"] } """)));
        node.Shard.IsFull.ShouldBeFalse("nothing is owed any more");
        node.Shard.Batches.Batches.ShouldBeEmpty();
        node.Produce(Meters, Values(4, "S1"));
        node.Calls[^1].Module.ShouldBe("n");
        ((int)node.Calls[^1].Input["value"]!).ShouldBe(4);
    }

    [Fact]
    public void An_interval_that_was_taken_out_of_the_configuration_fires_no_more()
    {
        var node = new CoreNode(OneModule("\"trigger\": { \"event\": true, \"interval\": \"10s\" }"));
        node.Produce(Meters, Values(1, "S1"));
        node.Restart(PipelineFiles.Valid(OneModule()));
        node.Advance(60_000);
        node.Calls.Count.ShouldBe(1);
    }

    [Fact]
    public void Reading_pauses_while_as_many_calls_are_owed_as_may_be()
    {
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Adjust = settings => settings with { CallsMax = 2 } }).Hold("m");
        for (var value = 1; value <= 5; value++) node.Produce(Meters, Values(value, "S1"));
        node.Shard.Positions[node.Shard.PartsLog].Next.ShouldBe(2);
        for (var value = 1; value <= 5; value++) node.Answer("m", "S1", Result("{}"));
        node.Calls.Count.ShouldBe(5);
        node.Uploads("m").Count.ShouldBe(5);
    }
}
