using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using Google.Protobuf;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What a node decides: which shards it runs, when it commits, and what it does when it has lost one.</summary>
public class NodeDecisionTests
{
    private const long Now = CoreNode.StartMs;
    private static readonly ShardId Zero = new(0), One = new(1);
    private readonly ShardSettings settings;
    private readonly MemoryCheckpointStore store = new("c0decafe0123");
    private readonly NodeCore core;
    private readonly List<NodeEffect> effects = [];
    private bool loadsAtOnce = true;

    public NodeDecisionTests()
    {
        settings = new ShardSettings { Pipeline = PipelineFiles.Valid(OneModule("\"batch\": \"none\", \"retries\": 3")), Group = CoreNode.Group, ShardCount = 2, StoreId = "c0decafe0123" };
        core = new NodeCore(new NodeSettings { Shards = settings, CheckpointIntervalMs = 1_000, UrgentIntervalMs = 10, ReleaseLimitMs = 5_000, RetryPauseMinMs = 200, RetryPauseMaxMs = 2_000, Seed = 5 });
        store.OpenAsync(CoreNode.Group, 2, default).AsTask().GetAwaiter().GetResult();
    }

    [Fact]
    public void A_shard_is_read_only_after_its_takeover()
    {
        Handle(new ShardsAssigned([Zero, One]));
        Take<TakeOver>().Select(effect => effect.Shard).ShouldBe([Zero, One]);
        core.Phases.ShouldBe([(Zero, ShardPhase.TakingOver), (One, ShardPhase.TakingOver)]);
        Read(Zero, 0);
        core.Running.ShouldBeEmpty();
        Handle(new ShardTakenOver(TakeOver(One)));
        Take<StartReading>().ShouldBe([new StartReading(new TopicPartition(settings.PartsTopic, 1), 0), new StartReading(new TopicPartition(settings.BatchTopic, 1), 0)]);
        core.Running.Single().Id.ShouldBe(One);
    }

    [Fact]
    public void A_record_waits_until_its_station_is_loaded_and_later_ones_wait_behind_it()
    {
        Run(Zero);
        loadsAtOnce = false;
        Read(Zero, 0);
        Read(Zero, 1);
        var load = Take<ShardLoad>().Single().ShouldBeOfType<LoadStations>();
        load.Stations.ShouldBe(["S0"]);
        var shard = core.Find(Zero)!;
        shard.ArrivalCount.ShouldBe(2);
        shard.Positions[shard.PartsLog].Next.ShouldBe(1, "only what was processed counts");
        Handle(Load(load));
        shard.ArrivalCount.ShouldBe(0);
        shard.Positions[shard.PartsLog].Next.ShouldBe(3);
        shard.StationCount.ShouldBe(1);
    }

    [Fact]
    public void A_station_that_could_not_be_read_is_read_again_after_a_pause()
    {
        Run(Zero);
        loadsAtOnce = false;
        Read(Zero, 0);
        var load = Take<LoadStations>().Single();
        Handle(new LoadFailed(load, "the store is away"));
        Take<Warn>().Single().Text.ShouldContain("the store is away");
        Take<ShardLoad>().ShouldBeEmpty();
        core.NextDueMs!.Value.ShouldBeInRange(Now, Now + 2_000);
        Handle(new TimePassed(), Now + 2_000);
        Take<ShardLoad>().Single().ShouldBe(load);
        Handle(Load(load), Now + 2_000);
        core.Find(Zero)!.ArrivalCount.ShouldBe(0);
    }

    [Fact]
    public void A_clock_that_is_set_back_does_not_stop_checkpoints()
    {
        Run(Zero);
        Read(Zero, 1, Now + 500);
        Take<Commit>().ShouldBeEmpty();
        var hourBefore = Now - 3_600_000;
        Handle(new TimePassed(), hourBefore);
        core.NextDueMs!.Value.ShouldBeLessThanOrEqualTo(hourBefore + 1_000);
        Handle(new TimePassed(), hourBefore + 1_000);
        Take<Commit>().ShouldNotBeEmpty();
    }

    [Fact]
    public void Rows_of_a_shard_that_another_node_has_taken_over_are_not_given_to_its_old_owner()
    {
        Run(Zero);
        loadsAtOnce = false;
        Read(Zero, 0);
        var load = Take<LoadStations>().Single();
        // Another owner, who applies the record first.
        TakeOver(Zero);
        Load(load).ShouldBe(new LoadFenced(load));
        Handle(new LoadFenced(load));
        Take<Warn>().Single().Text.ShouldContain("fenced");
        core.Find(Zero).ShouldBeNull();
        core.Phases.ShouldBe([(Zero, ShardPhase.Waiting)], "it is still assigned, so it is taken over again");
    }

    [Fact]
    public void What_was_loaded_for_an_earlier_epoch_changes_nothing()
    {
        Run(Zero);
        loadsAtOnce = false;
        Read(Zero, 0);
        var load = Take<LoadStations>().Single();
        Handle(new ShardsLost([Zero]));
        Handle(new ShardsAssigned([Zero]));
        Handle(new ShardTakenOver(TakeOver(Zero)));
        Handle(Load(load));
        core.Find(Zero)!.Stations.ShouldBeEmpty();
    }

    [Fact]
    public void Reading_goes_on_at_the_stored_positions()
    {
        Run(Zero);
        Read(Zero, 0);
        Read(Zero, 1);
        CommitAll();
        Handle(new ShardsLost([Zero]));
        Take<StopReading>().Count().ShouldBe(2);
        Handle(new ShardsAssigned([Zero]));
        Handle(new ShardTakenOver(TakeOver(Zero)));
        Take<StartReading>().First().Next.ShouldBe(3);
        // An echo from before the seek changes nothing.
        Read(Zero, 1);
        core.Find(Zero)!.RepeatedParts.ShouldBe(0);
        core.Find(Zero)!.IsDirty.ShouldBeTrue("its calls wait for the checkpoint that counts their attempts");
        core.Find(Zero)!.Positions[core.Find(Zero)!.PartsLog].Next.ShouldBe(3);
    }

    [Fact]
    public void A_failed_takeover_is_tried_again_after_a_random_pause()
    {
        Handle(new ShardsAssigned([Zero]));
        effects.Clear();
        Handle(new TakeOverFailed(Zero, "no database"));
        Take<Warn>().Single().Text.ShouldContain("no database");
        core.Phases.Single().Phase.ShouldBe(ShardPhase.Waiting);
        var due = core.NextDueMs!.Value;
        due.ShouldBeInRange(Now + 200, Now + 2_000);
        Handle(new TimePassed(), due - 1);
        Take<TakeOver>().ShouldBeEmpty();
        Handle(new TimePassed(), due);
        Take<TakeOver>().Single().Shard.ShouldBe(Zero);
    }

    [Fact]
    public void A_fenced_shard_that_is_still_assigned_is_taken_over_again_and_the_others_go_on()
    {
        Run(Zero);
        Run(One);
        Read(Zero, 0);
        Read(One, 0);
        TakeOver(Zero);
        var commit = Commit();
        var outcomes = Store(commit.Checkpoints);
        outcomes.ShouldBe([CheckpointOutcome.Fenced, CheckpointOutcome.Committed]);
        effects.Clear();
        Handle(new CommitFinished(outcomes), Now + 1_000);
        Take<Warn>().Single().Text.ShouldContain("fenced");
        Take<AbandonShard>().Single().Shard.ShouldBe(Zero);
        Take<StopReading>().Select(effect => effect.Partition.Partition).ShouldBe([0, 0]);
        Take<ReleaseShard>().ShouldBeEmpty();
        core.Phases.ShouldBe([(Zero, ShardPhase.Waiting), (One, ShardPhase.Running)]);
        Handle(new TimePassed(), core.NextDueMs!.Value + 2_000);
        Take<TakeOver>().Single().Shard.ShouldBe(Zero);
    }

    [Fact]
    public void A_commit_whose_outcome_is_unknown_loses_its_shards_and_releases_nothing()
    {
        Run(Zero);
        Read(Zero, 0);
        Answer("""{"x":1}""");
        var commit = Commit(Now + 10);
        // It did take place, but the node does not know.
        Store(commit.Checkpoints).ShouldBe([CheckpointOutcome.Committed]);
        effects.Clear();
        Handle(new CommitUnknown("connection lost"), Now + 20);
        Take<SendOutputs>().ShouldBeEmpty();
        core.Phases.Single().Phase.ShouldBe(ShardPhase.Waiting);
        Handle(new CommitFinished([CheckpointOutcome.Committed]), Now + 30);
        Take<SendOutputs>().ShouldBeEmpty();
        Handle(new TimePassed(), Now + 3_000);
        Take<TakeOver>().Count().ShouldBe(1);
        Handle(new ShardTakenOver(TakeOver(Zero)), Now + 3_000);
        Take<SendOutputs>().Single().Entries.Single().Destination.Topic.ShouldBe("MODULE-OUTPUT-M");
    }

    [Fact]
    public void A_commit_that_did_not_take_place_is_repeated_as_it_is()
    {
        Run(Zero);
        Read(Zero, 0);
        Answer("""{"x":1}""");
        var commit = Commit(Now + 10);
        effects.Clear();
        Handle(new CommitFailed("busy"), Now + 20);
        Read(Zero, 1, Now + 30);
        Handle(new TimePassed(), Now + 40);
        Take<Commit>().ShouldBeEmpty("it waits");
        Handle(new TimePassed(), Now + 3_000);
        var again = Take<Commit>().Single();
        again.Checkpoints.ShouldBeSameAs(commit.Checkpoints);
        Handle(new CommitFinished(Store(again.Checkpoints)), Now + 3_000);
        Take<SendOutputs>().Count().ShouldBe(1);
        Handle(new TimePassed(), Now + 4_000);
        Take<Commit>().Single().Checkpoints.Single().Number.ShouldBe(3, "what came meanwhile goes into the next");
    }

    [Fact]
    public void One_commit_is_under_way_and_holds_every_changed_shard()
    {
        Run(Zero);
        Run(One);
        Read(Zero, 0);
        Read(One, 0);
        var commit = Commit();
        commit.Checkpoints.Select(checkpoint => checkpoint.Shard).ShouldBe([Zero, One]);
        Read(Zero, 1);
        Handle(new TimePassed(), Now + 10_000);
        Take<Commit>().ShouldBeEmpty();
    }

    [Fact]
    public void Results_hurry_a_checkpoint_and_other_changes_wait_for_the_interval()
    {
        Run(Zero);
        Read(Zero, 0);
        CommitAll();
        Read(Zero, 1, Now + 1_000);
        core.NextDueMs.ShouldBe(Now + 2_000);
        Answer("{}", Now + 1_100);
        Take<Commit>().Count().ShouldBe(1, "a result waits, and the last commit is more than 10 ms ago");
    }

    [Fact]
    public void A_revoked_shard_finishes_its_calls_and_is_released_in_order_with_its_last_checkpoint()
    {
        Run(Zero);
        Read(Zero, 0);
        Handle(new ShardsRevoked([Zero]));
        core.Phases.Single().Phase.ShouldBe(ShardPhase.Releasing);
        Take<StopReading>().Count().ShouldBe(2);
        Handle(new TimePassed(), Now + 2_000);
        effects.OfType<Commit>().ShouldAllBe(commit => !commit.Checkpoints.Single().Release);
        Finish(Now + 2_000);
        Answer("{}", Now + 2_500);
        var results = Commit(Now + 2_500).Checkpoints.Single();
        results.Release.ShouldBeFalse("its results leave first");
        Handle(new CommitFinished(Store([results])), Now + 2_501);
        Take<Commit>().ShouldBeEmpty();
        Acknowledge(Now + 2_505);
        var last = Commit(Now + 2_505).Checkpoints.Single();
        last.Release.ShouldBeTrue();
        Take<ReleaseShard>().ShouldBeEmpty();
        Handle(new CommitFinished(Store([last])), Now + 2_510);
        Take<ReleaseShard>().ShouldBe([new ReleaseShard(Zero, true)]);
        core.Phases.ShouldBeEmpty();
        TakeOver(Zero).ReleasedInOrder.ShouldBeTrue();
    }

    [Fact]
    public void A_revoked_shard_begins_no_more_calls()
    {
        Run(Zero);
        Read(Zero, 0);
        Read(Zero, 1);
        Take<BeginCall>().Count().ShouldBe(1, "the second one waits for the first");
        Handle(new ShardsRevoked([Zero]));
        Answer("{}", Now + 100);
        Take<BeginCall>().ShouldBeEmpty();
        // The next owner makes the call that was not begun; nothing is waited for.
        Finish(Now + 100);
        Take<ReleaseShard>().ShouldBe([new ReleaseShard(Zero, true)]);
        StationState.Parser.ParseFrom(TakeOverWhole(Zero).Entities.Single(entity => entity.Kind == EntityKind.Station).State!).Triggers.Single().Attempts.ShouldBe(0);
    }

    [Fact]
    public void A_revoked_shard_waits_for_its_calls_no_longer_than_its_limit()
    {
        Run(Zero);
        Read(Zero, 0);
        Handle(new ShardsRevoked([Zero]));
        // What changed is still committed at the interval.
        Handle(new TimePassed(), Now + 1_000);
        Finish(Now + 1_000);
        core.NextDueMs.ShouldBe(Now + 5_000);
        Handle(new TimePassed(), Now + 5_000);
        Finish(Now + 5_000);
        Take<ReleaseShard>().ShouldBe([new ReleaseShard(Zero, true, CallsUnfinished: 1)]);
        Take<AbandonShard>().Single().Shard.ShouldBe(Zero);
        StationState.Parser.ParseFrom(TakeOverWhole(Zero).Entities.Single(entity => entity.Kind == EntityKind.Station).State!).Triggers.Single().Attempts.ShouldBe(0, "an orderly stop is no attempt");
    }

    [Fact]
    public void A_lost_shard_stops_at_once_and_its_commit_comes_to_nothing()
    {
        Run(Zero);
        Read(Zero, 0);
        Answer("{}");
        var commit = Commit(Now + 10);
        Handle(new ShardsLost([Zero]));
        Take<ReleaseShard>().ShouldBe([new ReleaseShard(Zero, false)]);
        Take<AbandonShard>().Count().ShouldBe(1);
        effects.Clear();
        Handle(new CommitFinished(Store(commit.Checkpoints)));
        effects.ShouldBeEmpty("the next owner sends what it recorded");
        Answer("{}");
        Handle(new OutputsSent(Zero, new Epoch(1), new TopicPartition("MODULE-OUTPUT-M", 0), 0));
        effects.ShouldBeEmpty();
    }

    [Fact]
    public void A_shard_that_is_revoked_during_its_takeover_is_released_when_that_ends()
    {
        Handle(new ShardsAssigned([Zero]));
        Handle(new ShardsRevoked([Zero]));
        Take<ReleaseShard>().ShouldBeEmpty();
        Handle(new ShardTakenOver(TakeOver(Zero)));
        Take<ReleaseShard>().Single().Shard.ShouldBe(Zero);
        core.Phases.ShouldBeEmpty();
        Handle(new ShardsRevoked([One]));
        Take<ReleaseShard>().Single().ShouldBe(new ReleaseShard(One, true), "who never had it need not be waited for");
    }

    [Fact]
    public void A_shard_that_comes_back_while_it_is_released_is_taken_over_again()
    {
        Run(Zero);
        Read(Zero, 0);
        Handle(new ShardsRevoked([Zero]));
        Handle(new ShardsAssigned([Zero]));
        Answer("{}", Now + 10);
        Finish(Now + 10);
        Take<ReleaseShard>().Single().InOrder.ShouldBeTrue();
        core.Phases.Single().Phase.ShouldBe(ShardPhase.Waiting);
        Handle(new TimePassed(), Now + 3_000);
        Take<TakeOver>().Single().Shard.ShouldBe(Zero);
    }

    [Fact]
    public void A_stop_releases_every_shard()
    {
        Run(Zero);
        Run(One);
        Handle(new StopRequested());
        Finish();
        Take<ReleaseShard>().Select(effect => effect.InOrder).ShouldBe([true, true]);
        core.Phases.ShouldBeEmpty();
        core.NextDueMs.ShouldBeNull();
    }

    [Fact]
    public void A_node_that_stops_takes_nothing_over_that_the_group_still_gives_it()
    {
        Run(Zero);
        Handle(new StopRequested());
        Finish();
        Take<ReleaseShard>().Count().ShouldBe(1);
        Handle(new ShardsAssigned([Zero, One]));
        Take<TakeOver>().ShouldBeEmpty();
        core.Phases.ShouldBeEmpty();
        Handle(new ShardsRevoked([Zero, One]));
        Take<ReleaseShard>().Select(effect => effect.Shard).ShouldBe([Zero, One]);
    }

    private void Handle(NodeMessage message, long nowMs = Now)
    {
        core.Handle(message, nowMs, effects);
        core.Settle(nowMs, effects);
        // What shards want to read they get at once, unless the test is about that.
        while (loadsAtOnce && Take<ShardLoad>() is { } loads && loads.Any())
        {
            foreach (var load in loads) core.Handle(Load(load), nowMs, effects);
            core.Settle(nowMs, effects);
        }
    }

    private IEnumerable<T> Take<T>() where T : NodeEffect
    {
        var taken = effects.OfType<T>().ToList();
        effects.RemoveAll(effect => effect is T);
        return taken;
    }

    private NodeMessage Load(ShardLoad load) => store.LoadAsync(load, default).AsTask().GetAwaiter().GetResult();

    private RecoveredShard TakeOver(ShardId shard) => store.TakeOverAsync(shard, "node", default).AsTask().GetAwaiter().GetResult();

    private RecoveredShard TakeOverWhole(ShardId shard) => store.TakeOverWholeAsync(shard, "node", default).AsTask().GetAwaiter().GetResult();

    private IReadOnlyList<CheckpointOutcome> Store(IReadOnlyList<ShardCheckpoint> checkpoints) => store.CommitAsync(checkpoints, default).AsTask().GetAwaiter().GetResult();

    private void Run(ShardId shard)
    {
        Handle(new ShardsAssigned([shard]));
        Handle(new ShardTakenOver(TakeOver(shard)));
        // The first change is committed at once. From here on commits are spaced.
        var partition = new TopicPartition(settings.PartsTopic, shard.Value);
        Handle(new RecordsRead(partition, [new LogRecord(partition, 0, Now, default)]));
        Handle(new TimePassed(), Now);
        if (!effects.OfType<Commit>().Any()) Handle(new TimePassed(), Now + 1_000);
        Finish();
        effects.Clear();
    }

    private void Read(ShardId shard, long offset, long nowMs = Now)
    {
        var partition = new TopicPartition(settings.PartsTopic, shard.Value);
        var envelope = new PartsEnvelope
        {
            Records =
            {
                new RecordParts
                {
                    Topic = Meters, Partition = shard.Value, Offset = offset, PreviousOffset = offset - 1, TimestampMs = Now,
                    Parts = { new Part { Station = "S" + shard, Items = { ByteString.CopyFromUtf8($$"""{"value":{{offset}}}""") } } },
                },
            },
        };
        Handle(new RecordsRead(partition, [new LogRecord(partition, offset + 1, Now, envelope.ToByteArray())]), nowMs);
    }

    // The running call of shard 0.
    private void Answer(string json, long nowMs = Now)
    {
        var call = effects.OfType<BeginCall>().LastOrDefault()?.Call.Id ?? new CallId(Zero, new Epoch(1), 1, 1);
        Handle(new CallReturned(call, CoreNode.Result(json), true), nowMs);
    }

    private Commit Commit(long nowMs = Now + 1_000)
    {
        if (!effects.OfType<Commit>().Any()) Handle(new TimePassed(), nowMs);
        return Take<Commit>().Single();
    }

    private void CommitAll(long nowMs = Now + 1_000) => Handle(new CommitFinished(Store(Commit(nowMs).Checkpoints)), nowMs);

    // Commits and acknowledges whatever is under way until nothing is.
    private void Finish(long nowMs = Now)
    {
        while (effects.OfType<Commit>().Any() || effects.OfType<SendOutputs>().Any())
        {
            foreach (var commit in Take<Commit>().ToList()) Handle(new CommitFinished(Store(commit.Checkpoints)), nowMs);
            Acknowledge(nowMs);
        }
    }

    private void Acknowledge(long nowMs)
    {
        foreach (var send in Take<SendOutputs>().ToList())
        {
            foreach (var entry in send.Entries) Handle(new OutputsSent(send.Shard, send.Epoch, entry.Destination, entry.Sequence), nowMs);
        }
    }
}
