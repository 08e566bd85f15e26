using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Positions;

/// <summary>What a shard does about a log that is not the one that it had read.</summary>
public class ShardPositionTests
{
    private const long Now = CoreNode.StartMs;
    private static readonly ShardId Zero = new(0);
    private static readonly OutOfRangePolicy Stop = new(OutOfRangeKind.Stop);
    private readonly ShardSettings settings;
    private readonly MemoryCheckpointStore store = new("c0decafe0123");
    private readonly NodeCore core;
    private readonly List<NodeEffect> effects = [];
    private readonly TopicPartition parts;

    public ShardPositionTests()
    {
        settings = new ShardSettings { Pipeline = PipelineFiles.Valid(SmallPipelines.OneModule("\"batch\": \"none\"")), Group = CoreNode.Group, ShardCount = 2, StoreId = "c0decafe0123" };
        core = new NodeCore(new NodeSettings { Shards = settings, Seed = 5 });
        parts = new TopicPartition(settings.PartsTopic, 0);
        store.OpenAsync(CoreNode.Group, 2, default).AsTask().GetAwaiter().GetResult();
        Handle(new ShardsAssigned([Zero]));
    }

    [Fact]
    public void A_log_that_was_never_read_begins_at_its_offset_zero_so_what_was_trimmed_before_is_a_gap()
    {
        var facts = ShardPositions.Stored(TakeOver(), parts, null, Stop);
        PositionCheck.Decide(facts with { Log = new(0, 9) }).ShouldBe(new PositionDecision.GoOn(0, 0));
        PositionCheck.Decide(facts with { Log = new(3, 9) }).ShouldBe(new PositionDecision.Stop(GapReason.Trimmed, 0));
    }

    [Fact]
    public void The_record_before_a_shards_position_is_remembered_by_its_checkpoint_and_compared()
    {
        Start(TakeOver());
        Read(0);
        CommitAll();
        var facts = ShardPositions.Stored(TakeOver(), parts, null, Stop) with { Log = new(0, 5) };
        PositionCheck.WitnessOffset(facts).ShouldBe(0);
        PositionCheck.Decide(facts with { Found = RecordWitness.Of(Now, [1]) }).ShouldBe(new PositionDecision.GoOn(1, 0));
        PositionCheck.Decide(facts with { Found = RecordWitness.Of(Now, [2]) }).ShouldBe(new PositionDecision.Stop(GapReason.Recreated, 1));
    }

    [Fact]
    public void A_refused_shard_is_not_run_until_its_positions_are_set_and_can_be_given_back_meanwhile()
    {
        Handle(new ShardRefused(Zero, "station-events[0]: Recreated"));
        core.Phases.ShouldBe([(Zero, ShardPhase.Stopped)]);
        Take<Warn>().Single().Text.ShouldContain("shard 0 is not run");
        core.Running.ShouldBeEmpty();
        core.NextDueMs.ShouldBeNull();
        Handle(new TimePassed(), Now + 60_000);
        Take<TakeOver>().Count().ShouldBe(1, "only the first");

        effects.Clear();
        Handle(new PositionsChanged([Zero]));
        Take<TakeOver>().Single().Shard.ShouldBe(Zero);
        core.Phases.ShouldBe([(Zero, ShardPhase.TakingOver)]);

        Handle(new ShardRefused(Zero, "still"));
        effects.Clear();
        Handle(new ShardsRevoked([Zero]));
        Take<ReleaseShard>().ShouldBe([new ReleaseShard(Zero, true)]);
        core.Phases.ShouldBeEmpty();
    }

    [Fact]
    public void A_running_shard_whose_position_is_set_is_released_in_order_and_taken_over_anew()
    {
        Start(TakeOver());
        Read(0);
        CommitAll();
        effects.Clear();
        Handle(new PositionsChanged([Zero]));
        core.Phases.ShouldBe([(Zero, ShardPhase.Releasing)]);
        core.Settle(Now + 5_000, effects);
        var last = Take<Commit>().Single().Checkpoints.Single();
        last.Release.ShouldBeTrue();
        Handle(new CommitFinished(Store([last])));
        core.Phases.ShouldBe([(Zero, ShardPhase.Waiting)]);
        effects.Clear();
        Handle(new TimePassed(), Now + 10_000);
        Take<TakeOver>().Single().Shard.ShouldBe(Zero);
    }

    [Fact]
    public void A_position_that_an_operator_set_is_taken_up_once_and_written_by_the_next_checkpoint()
    {
        Start(TakeOver());
        Read(0);
        Read(1);
        CommitAll();
        var row = new SourceState(parts, 2, 1) { Next = 1, IsWanted = true };
        var recovered = TakeOver();
        var facts = ShardPositions.Stored(recovered, parts, row, Stop) with { Log = new(0, 2) };
        var on = PositionCheck.Decide(facts).ShouldBe<PositionDecision, PositionDecision.GoOn>(new PositionDecision.GoOn(1, 1));
        Handle(new ShardsLost([Zero]));
        Handle(new ShardsAssigned([Zero]));
        effects.Clear();
        Start(recovered.MovedTo(new PartitionPosition(parts, on.Next, -1, 0, on.Incarnation)));
        Take<StartReading>().First().ShouldBe(new StartReading(parts, 1));
        CommitAll();

        var after = TakeOver();
        after.Positions.Single(position => position.Partition == parts).ShouldBe(new PartitionPosition(parts, 1, -1, 0, 1));
        // The row is older than the position now, and what is read afterwards stays in the same life.
        ShardPositions.Stored(after, parts, row, Stop).IsWanted.ShouldBeFalse();
        Handle(new ShardsLost([Zero]));
        Handle(new ShardsAssigned([Zero]));
        Start(after);
        Read(1);
        core.Find(Zero)!.Positions[parts].Incarnation.ShouldBe(1);
    }

    [Fact]
    public void A_partition_that_the_anchor_topic_has_grown_by_is_not_taken_over_and_an_operator_hears_of_it()
    {
        effects.Clear();
        Handle(new ShardsAssigned([new ShardId(2), new ShardId(1)]));
        Take<TakeOver>().Single().Shard.ShouldBe(new ShardId(1));
        Take<Warn>().Single().Text.ShouldContain("2 are pinned");
        // It can be taken away again like any other.
        Handle(new ShardsRevoked([new ShardId(2)]));
        Take<ReleaseShard>().ShouldBe([new ReleaseShard(new ShardId(2), true)]);
    }

    private RecoveredShard TakeOver() => store.TakeOverAsync(Zero, "node", default).AsTask().GetAwaiter().GetResult();

    private IReadOnlyList<CheckpointOutcome> Store(IReadOnlyList<ShardCheckpoint> checkpoints) => store.CommitAsync(checkpoints, default).AsTask().GetAwaiter().GetResult();

    private void Start(RecoveredShard recovered) => Handle(new ShardTakenOver(recovered));

    private void Read(long offset) => Handle(new RecordsRead(parts, [new LogRecord(parts, offset, Now, new byte[] { 1 })]));

    private void CommitAll()
    {
        effects.Clear();
        core.Settle(Now + 60_000, effects);
        var commit = Take<Commit>().Single();
        Handle(new CommitFinished(Store(commit.Checkpoints)));
    }

    private void Handle(NodeMessage message, long nowMs = Now) => core.Handle(message, nowMs, effects);

    private IEnumerable<T> Take<T>() => effects.OfType<T>();
}

internal static class DecisionExpectation
{
    public static TDecision ShouldBe<TBase, TDecision>(this TBase actual, TDecision expected) where TDecision : class, TBase
    {
        actual.ShouldBe((TBase)expected);
        return expected;
    }
}
