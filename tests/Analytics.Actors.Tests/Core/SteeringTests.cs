using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Operators pause, resume and forget single stations: done when they hear so, and no batch waits for it.</summary>
public class SteeringTests
{
    private const string Both = """ "m": { "topics": ["METERS", "PARAMS"], "requires": ["METERS"] } """;

    private static long number;

    private static long Order(CoreNode node, StationOrder order, string station = "S1", Epoch? epoch = null)
    {
        node.Tell(new StationOrdered(++number, new ShardId(0), epoch ?? node.Shard.Epoch, station, order, "anna"));
        return number;
    }

    private static void ShouldEnd(CoreNode node, long order, StationOrderOutcome outcome) =>
        node.OrdersEnded.Where(ended => ended.Number == order).ShouldHaveSingleItem().Outcome.ShouldBe(outcome);

    [Fact]
    public void A_paused_station_answers_nothing_and_its_windows_go_on()
    {
        var node = new CoreNode(With(Both));
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Advance(100);
        node.Calls.Clear();
        ShouldEnd(node, Order(node, StationOrder.Pause), StationOrderOutcome.Done);

        node.Produce(Meters, Values(2, "S1", "S2"));
        node.Advance(100);
        node.Calls.ShouldHaveSingleItem().Station.ShouldBe("S2");
        var upload = node.Uploads("m")[^1];
        ((int)upload["expected_count"]!).ShouldBe(2);
        upload["missing"]!.AsArray().Select(station => (string)station!).ShouldBe(["S1"]);

        ShouldEnd(node, Order(node, StationOrder.Resume), StationOrderOutcome.Done);
        node.Calls.Clear();
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        ((int)node.Calls.ShouldHaveSingleItem().Input["value"]!).ShouldBe(2, "the window took the record that came while it was paused");
        node.Events.OfType<StationSteered>().Select(steered => (steered.Order, steered.By)).ShouldBe([(StationOrder.Pause, "anna"), (StationOrder.Resume, "anna")]);
    }

    [Theory]
    [InlineData(StationOrder.Pause)]
    [InlineData(StationOrder.Forget)]
    public void What_is_owed_is_answered_at_once_and_a_running_call_keeps_its_place_until_it_returns(StationOrder order)
    {
        var node = new CoreNode(With(Both)).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Meters, Values(2, "S1"));
        ShouldEnd(node, Order(node, order), StationOrderOutcome.Done);
        node.Advance(100);
        node.Shard.Batches.Batches.ShouldBeEmpty("both batches have their answer");
        node.Shard.IsFull.ShouldBeFalse();
        node.Shard.RunningCalls.ShouldBe(0);

        if (order == StationOrder.Pause) Order(node, StationOrder.Resume);
        node.Produce(Meters, Values(3, "S1"));
        node.Calls.Count.ShouldBe(1, "the code of the first call still runs");
        node.Answer("m", "S1", Result("""{"late":1}"""));
        node.Calls.Count.ShouldBe(2);
        node.Answer("m", "S1", Result("""{"new":1}"""));
        node.Advance(100);
        node.Uploads("m").ShouldHaveSingleItem()["stations"]!.AsArray().ShouldHaveSingleItem()!["new"].ShouldNotBeNull();
    }

    [Fact]
    public void A_paused_station_stays_paused_after_a_crash_and_when_it_was_passivated()
    {
        var node = new CoreNode(With(Both), new CoreNodeOptions { Adjust = settings => settings with { StationsMax = 0, PassivateAfterMs = 1_000 } });
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(130_000);
        node.Shard.Stations.ShouldBeEmpty();
        ShouldEnd(node, Order(node, StationOrder.Pause), StationOrderOutcome.Done);
        node.Advance(130_000);
        node.Shard.Stations.ShouldBeEmpty();
        node.Restart();
        node.Advance(2_000);
        node.Calls.Clear();
        node.Produce(Meters, Values(2, "S1"));
        node.Calls.ShouldBeEmpty();
        node.Advance(2_000);
        node.Shard.Batches.Batches.ShouldBeEmpty();
        Order(node, StationOrder.Resume);
        node.Produce(Meters, Values(3, "S1"));
        node.Calls.ShouldHaveSingleItem();
    }

    [Fact]
    public void A_forgotten_station_is_gone_from_the_store_and_its_next_record_makes_it_anew()
    {
        var node = new CoreNode(With(Both));
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Orders, SmallPipelines.Order("S1", 1));
        node.Advance(100);
        node.Shard.StationCount.ShouldBe(1);
        ShouldEnd(node, Order(node, StationOrder.Forget), StationOrderOutcome.Done);
        node.Shard.StationCount.ShouldBe(0);
        node.Advance(200_000);
        node.Shard.Stations.ShouldBeEmpty();
        node.Calls.Clear();
        node.Produce(Meters, Values(2, "S1"));
        var input = node.Calls.ShouldHaveSingleItem().Input;
        input.ContainsKey("capacity").ShouldBeFalse();
        ((int)input["value"]!).ShouldBe(2);
        node.Shard.StationCount.ShouldBe(1);
        node.Advance(100);
        node.TakeOverAll()[0].Entities.Where(row => row.Kind == Analytics.Actors.Core.Checkpoints.EntityKind.Window).Select(row => row.Key.Split('\u001f')[1]).ShouldBe([Meters]);
    }

    [Fact]
    public void A_record_that_comes_with_the_order_makes_the_station_anew_in_the_same_checkpoint()
    {
        var node = new CoreNode(With(Both), new CoreNodeOptions { CheckpointIntervalMs = 1_000 });
        node.Produce(Params, """[{"stationId":"S1","capacity":5}]""");
        node.Advance(2_000);
        var before = node.Checkpoints.Count;
        node.Write(Meters, Values(2, "S1"));
        var order = Order(node, StationOrder.Forget);
        node.Advance(2_000);
        ShouldEnd(node, order, StationOrderOutcome.Done);
        node.Checkpoints.Count.ShouldBeGreaterThan(before);
        node.Restart();
        node.Calls.Clear();
        node.Produce(Meters, Values(3, "S1"));
        node.Advance(2_000);
        node.Calls.ShouldHaveSingleItem().Input.ContainsKey("capacity").ShouldBeFalse();
    }

    [Fact]
    public void An_order_of_another_epoch_or_for_an_unknown_station_does_nothing()
    {
        var node = new CoreNode(With(Both));
        ShouldEnd(node, Order(node, StationOrder.Pause, "nobody"), StationOrderOutcome.UnknownStation);
        node.Produce(Meters, Values(1, "S1"));
        var earlier = node.Shard.Epoch;
        node.Restart();
        ShouldEnd(node, Order(node, StationOrder.Pause, epoch: earlier), StationOrderOutcome.NotCarriedOut);
        node.Calls.Clear();
        node.Produce(Meters, Values(2, "S1"));
        node.Calls.ShouldHaveSingleItem();
    }

    [Fact]
    public void An_order_is_done_when_its_checkpoint_has_committed_and_not_before()
    {
        var node = new CoreNode(With(Both));
        node.Produce(Meters, Values(1, "S1"));
        node.Advance(100);
        List<NodeEffect> effects = [];
        node.Core.Handle(new StationOrdered(77, new ShardId(0), node.Shard.Epoch, "S1", StationOrder.Pause, "anna"), node.NowMs, effects);
        node.Core.Settle(node.NowMs + 20, effects);
        effects.OfType<StationOrderEnded>().ShouldBeEmpty();
        var commit = effects.OfType<Commit>().ShouldHaveSingleItem();
        effects.Clear();
        node.Core.Handle(new CommitFinished([.. commit.Checkpoints.Select(_ => Analytics.Actors.Core.Checkpoints.CheckpointOutcome.Fenced)]), node.NowMs, effects);
        effects.OfType<StationOrderEnded>().ShouldHaveSingleItem().Outcome.ShouldBe(StationOrderOutcome.Unknown);
    }

    [Fact]
    public void Answers_of_a_station_are_kept_for_a_while_the_newest_first()
    {
        var node = new CoreNode(With(Both));
        for (var value = 1; value <= 3; value++) node.Produce(Meters, Values(value, "S1", "S2"));
        Order(node, StationOrder.Pause);
        node.Produce(Meters, Values(4, "S1"));
        var recent = node.Shard.Outputs.Recent.Of("S1", 3);
        recent.Select(answer => answer.BatchId).ShouldBe([$"{Meters}:0:3", $"{Meters}:0:2", $"{Meters}:0:1"]);
        recent[0].Reason.ShouldBe("the station is paused");
        recent[1].Attempt.ShouldBe(1);
    }
}
