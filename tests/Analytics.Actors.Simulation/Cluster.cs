using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// The whole cluster: nodes that crash and come back, one log, one store, and a coordinator that moves shards and source
/// partitions as Kafka's groups do: in order, or without the old owner knowing.
/// </summary>
public sealed class Cluster
{
    private readonly List<SimulatedProcess?> processes = [];
    private readonly Dictionary<ShardId, SimulatedProcess> shardOwners = [];
    private readonly Dictionary<TopicPartition, SimulatedProcess> sourceOwners = [];
    private readonly Dictionary<ShardId, SimulatedProcess> moving = [];
    private readonly Dictionary<ShardId, (Epoch Epoch, long Number)> fences = [];
    private int started;

    public Cluster(World world, ShardSettings settings, Faults faults, PlantedBug bug, int nodes)
    {
        World = world;
        Settings = settings;
        Faults = faults;
        Bug = bug;
        Store = new MemoryCheckpointStore(settings.StoreId);
        Store.OpenAsync(settings.Group, settings.ShardCount, default).AsTask().GetAwaiter().GetResult();
        for (var node = 0; node < nodes; node++) processes.Add(new SimulatedProcess(this, node, ++started));
    }

    public World World { get; }
    public ShardSettings Settings { get; }
    public Faults Faults { get; set; }
    public PlantedBug Bug { get; }
    public SimulatedLog Log { get; } = new();
    public MemoryCheckpointStore Store { get; }
    public Checkers Checkers { get; } = new();

    /// <summary>Source partitions that the routers read.</summary>
    public required IReadOnlyList<TopicPartition> Sources { get; init; }

    public IEnumerable<SimulatedProcess> Alive => processes.OfType<SimulatedProcess>().Where(process => process.IsAlive);

    public bool IsQuiet => processes.All(process => process is { IsAlive: true, IsQuiet: true })
        && shardOwners.Count == Settings.ShardCount && moving.Count == 0;

    /// <summary>What keeps the cluster from resting, for the story of a failure.</summary>
    public IEnumerable<string> Restless =>
        Alive.SelectMany(process => process.Restless)
            .Concat(Enumerable.Range(0, Settings.ShardCount).Select(shard => new ShardId(shard)).Where(shard => !shardOwners.ContainsKey(shard)).Select(shard => $"shard {shard} has no owner"))
            .Concat(moving.Keys.Select(shard => $"shard {shard} is moving"));

    public SimulatedProcess? OwnerOf(TopicPartition source) => sourceOwners.GetValueOrDefault(source);

    /// <summary>A router writes a committed position with the record before it.</summary>
    public void StoreSource(PartitionPosition position) =>
        Store.UpdateSourcesAsync([new SourceState(position.Partition, 0, position.Incarnation).At(position)], default).AsTask().GetAwaiter().GetResult();

    public void Start()
    {
        Rebalance();
        PlanRebalance();
    }

    public void Crashed(SimulatedProcess process)
    {
        processes[process.Node] = null;
        foreach (var shard in shardOwners.Where(pair => pair.Value == process).Select(pair => pair.Key).ToList()) shardOwners.Remove(shard);
        foreach (var source in sourceOwners.Where(pair => pair.Value == process).Select(pair => pair.Key).ToList()) sourceOwners.Remove(source);
        World.After(World.Between(100, 3_000), () =>
        {
            processes[process.Node] = new SimulatedProcess(this, process.Node, ++started);
            World.Note($"{processes[process.Node]!.Name} starts");
            Rebalance();
        });
        World.After(World.Between(50, 500), Rebalance);
    }

    /// <summary>The old owner is done with the shard: the new one begins.</summary>
    public void Released(SimulatedProcess process, ShardId shard)
    {
        if (!moving.Remove(shard, out var next)) return;
        World.Note($"{process.Name} released shard {shard}");
        Give(shard, next);
    }

    public void Observe(SimulatedProcess process, ShardEvent happened)
    {
        if (happened is PartApplied or BatchTimedOut or RecordMissing) World.Note($"{process.Name} {happened}");
        Checkers.Observe(happened);
    }

    public IReadOnlyList<CheckpointOutcome> Commit(SimulatedProcess process, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var written = Bug.StoreWithoutFence ? checkpoints.Select(Unfence).ToList() : checkpoints;
        var outcomes = Store.CommitAsync(written, default).AsTask().GetAwaiter().GetResult();
        for (var index = 0; index < outcomes.Count; index++)
        {
            if (outcomes[index] == CheckpointOutcome.Committed) fences[written[index].Shard] = (written[index].Epoch, written[index].Number);
            World.Note($"{process.Name} checkpoint {checkpoints[index].Number} of shard {checkpoints[index].Shard} in epoch {checkpoints[index].Epoch}: {outcomes[index]}");
        }

        return outcomes;
    }

    /// <summary>Reads rows for a shard's owner, who may have been fenced since.</summary>
    public NodeMessage Load(ShardLoad load) => Store.LoadAsync(load, default).AsTask().GetAwaiter().GetResult();

    /// <param name="whole">With stations and windows, as the checkers want them.</param>
    public RecoveredShard TakeOver(ShardId shard, string owner, bool whole = false)
    {
        var recovered = (whole ? Store.TakeOverWholeAsync(shard, owner, default) : Store.TakeOverAsync(shard, owner, default)).AsTask().GetAwaiter().GetResult();
        fences[shard] = (recovered.Epoch, recovered.CheckpointNumber);
        return recovered;
    }

    /// <summary>Faults end: every node is up, and the cluster must come to rest with everything right.</summary>
    public void Heal()
    {
        Faults = Faults.None;
        World.Note("healing");
    }

    private void PlanRebalance()
    {
        if (Faults.RebalanceEveryMs == 0) return;
        World.After(World.Between(Faults.RebalanceEveryMs / 2, Faults.RebalanceEveryMs * 2), () =>
        {
            Rebalance();
            PlanRebalance();
        });
    }

    private void Rebalance()
    {
        var alive = Alive.ToList();
        if (alive.Count == 0) return;
        for (var number = 0; number < Settings.ShardCount; number++)
        {
            var shard = new ShardId(number);
            if (moving.ContainsKey(shard)) continue;
            var target = alive[World.Random.Next(alive.Count)];
            if (!shardOwners.TryGetValue(shard, out var owner)) Give(shard, target);
            else if (World.Chance(0.3) && owner != target) Move(shard, owner, target);
        }

        foreach (var source in Sources)
        {
            var target = alive[World.Random.Next(alive.Count)];
            // Telling one of its shards may have crashed it a moment ago; its crash plans another rebalance.
            if (!target.IsAlive) continue;
            sourceOwners.TryGetValue(source, out var owner);
            if (owner is not null && (owner == target || !World.Chance(0.3))) continue;
            sourceOwners[source] = target;
            // A zombie router goes on for a while with what is no longer its own.
            if (owner is not null) World.After(World.Chance(Faults.LoseWithoutNotice) ? World.Between(100, 2_000) : 0, () => Revoke(owner, source));
            target.AssignSources([source]);
        }
    }

    private void Revoke(SimulatedProcess process, TopicPartition source)
    {
        if (process.IsAlive && sourceOwners.GetValueOrDefault(source) != process) process.RevokeSources([source]);
    }

    private void Move(ShardId shard, SimulatedProcess owner, SimulatedProcess target)
    {
        if (World.Chance(Faults.LoseWithoutNotice))
        {
            // The old owner hears of it late: two processes believe that the shard is theirs.
            World.Note($"shard {shard} moves from {owner.Name} to {target.Name} without notice");
            Give(shard, target);
            World.After(World.Between(100, 3_000), () =>
            {
                if (shardOwners.GetValueOrDefault(shard) != owner) owner.Tell(new ShardsLost([shard]));
            });
            return;
        }

        moving.Add(shard, target);
        owner.Tell(new ShardsRevoked([shard]));
        // Kafka does not wait for ever either.
        World.After(2_000, () =>
        {
            if (!moving.TryGetValue(shard, out var still) || still != target) return;
            moving.Remove(shard);
            owner.Tell(new ShardsLost([shard]));
            Give(shard, target);
        });
    }

    private void Give(ShardId shard, SimulatedProcess target)
    {
        if (!target.IsAlive)
        {
            shardOwners.Remove(shard);
            World.After(100, Rebalance);
            return;
        }

        shardOwners[shard] = target;
        target.Tell(new ShardsAssigned([shard]));
    }

    // The planted bug: the store takes a checkpoint of whatever epoch and number as the expected one.
    private ShardCheckpoint Unfence(ShardCheckpoint checkpoint)
    {
        var (epoch, number) = fences[checkpoint.Shard];
        return checkpoint with { Epoch = epoch, Number = number + 1 };
    }
}
