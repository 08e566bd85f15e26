using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>Something that the store did, in its order.</summary>
public abstract record StoreEntry(long TimeMs, string Process, ShardId Shard, Epoch Epoch);

/// <summary>A takeover raised a shard's epoch.</summary>
public sealed record TakenOver(long TimeMs, string Process, ShardId Shard, Epoch Epoch) : StoreEntry(TimeMs, Process, Shard, Epoch);

/// <summary>A checkpoint committed.</summary>
/// <param name="Events">What the shard told since its last checkpoint: what this one made lasting.</param>
/// <param name="StoreId">The id of the store then.</param>
public sealed record Committed(long TimeMs, string Process, ShardCheckpoint Checkpoint, IReadOnlyList<ShardEvent> Events, string StoreId)
    : StoreEntry(TimeMs, Process, Checkpoint.Shard, Checkpoint.Epoch);

/// <summary>
/// The memory store of the product, with a journal of what it did: the checkers' view of the cluster, and what a backup is
/// made of.
/// </summary>
public sealed class SimulatedStore
{
    private readonly Cluster cluster;
    private readonly List<StoreEntry> timeline = [];
    private readonly Dictionary<ShardId, (Epoch Epoch, long Number)> fences = [];
    private MemoryCheckpointStore store;
    private int? backup;
    private IReadOnlyList<SourceState> backupSources = [];
    private IReadOnlyList<SourceGrant> backupGrants = [];
    private readonly Dictionary<(TopicPartition Partition, long Version), long> positionsAtApply = [];

    public SimulatedStore(Cluster cluster, string storeId)
    {
        this.cluster = cluster;
        store = Open(storeId);
    }

    /// <summary>What led to the state that the store holds now: without what a restored backup has undone.</summary>
    public IReadOnlyList<StoreEntry> Timeline => timeline;

    /// <summary>Raised by each restored backup; a request made to an earlier one never arrives.</summary>
    public int Generation { get; private set; }

    public bool IsDown { get; set; }

    public bool HasBackup => backup is not null;

    /// <summary>The epoch in which a shard can be committed now.</summary>
    public Epoch EpochOf(ShardId shard) => fences.TryGetValue(shard, out var fence) ? fence.Epoch : default;

    public void Backup() => (backup, backupSources, backupGrants) = (timeline.Count, Sources([]), Grants());

    /// <summary>The backup comes back, under a new store id.</summary>
    public void Restore(string storeId)
    {
        timeline.RemoveRange(backup!.Value, timeline.Count - backup.Value);
        Generation++;
        store = Open(storeId);
        fences.Clear();
        foreach (var entry in timeline) Replay(store, entry);
        Sources(backupSources);
        Raise(backupGrants.Select(grant => new GrantRequest(grant.Partition, grant.Incarnation, grant.Granted)).ToList(), Version);
    }

    /// <summary>How far the outputs go that the restored store remembers, as <c>analytics store renew</c> writes it down.</summary>
    public IReadOnlyList<EarlierRun> EndsOf(string storeId)
    {
        List<EarlierRun> ends = [new(new OriginRun(storeId, new ShardId(0), "", 0), 0)];
        foreach (var last in timeline.OfType<Committed>().GroupBy(entry => entry.Shard).Select(entries => entries.Last()))
        {
            foreach (var destination in ShardState.Parser.ParseFrom(last.Checkpoint.ShardState).Destinations)
                ends.Add(new EarlierRun(new OriginRun(storeId, last.Shard, destination.Topic, destination.Partition), destination.NextSequence));
        }

        return ends;
    }

    /// <summary>The number of the configuration's newest version.</summary>
    public long Version { get; private set; } = 1;

    /// <summary>Somebody applies the next version. All of them change the rules of routing.</summary>
    public void Apply()
    {
        var next = Version + 1;
        foreach (var (partition, position) in cluster.Log.RouterOffsets) positionsAtApply[(partition, next)] = position;
        Version = Now(store.ApplyConfigurationAsync(new ConfigurationChange(Version, $"version {next}", "simulation", cluster.World.NowMs, "", true), default)).Current;
        if (Version > 1) cluster.World.Note($"configuration version {Version} is applied: {string.Join(", ", Grants().Select(grant => $"{grant.Partition} from {grant.Rules[^1].FromOffset}"))}");
    }

    public IReadOnlyList<SourceGrant> Raise(IReadOnlyList<GrantRequest> requests, long known) => AsTold(Now(store.RaiseGrantsAsync(requests, known, default)));

    /// <summary>What is granted, and from where on which version routes.</summary>
    public IReadOnlyList<SourceGrant> Grants() => AsTold(Now(store.ReadGrantsAsync(default)));

    /// <summary>
    /// The version that routes an offset of a partition, in its newest life; of a source keyed by station that which its shard
    /// ran when it committed the offset.
    /// </summary>
    public long VersionAt(TopicPartition partition, long offset) => cluster.Settings.IsKeyed(partition.Topic)
        ? cluster.Checkers.KeyedVersions.GetValueOrDefault((partition, offset), 1)
        : Grants().LastOrDefault(grant => grant.Partition == partition)?.VersionAt(offset) ?? 1;

    // The planted bug: a version begins at the router's committed position instead of at what is granted.
    private IReadOnlyList<SourceGrant> AsTold(IReadOnlyList<SourceGrant> grants) => !cluster.Bug.RulesBeginAtPositions ? grants : grants.Select(grant => grant with
    {
        Rules = [.. grant.Rules.Select(rules => rules with { FromOffset = rules.FromOffset > 0 && positionsAtApply.TryGetValue((grant.Partition, rules.Version), out var at) ? at : rules.FromOffset })],
    }).ToList();

    /// <summary>What is known of source partitions.</summary>
    /// <summary>How far the shards' last checkpoints have read their logs.</summary>
    public IReadOnlyDictionary<TopicPartition, long> Positions() =>
        Now(store.ReadPositionsAsync(default)).ToDictionary(position => position.Partition, position => position.Next);

    public IReadOnlyList<SourceState> Sources(IReadOnlyList<SourceState> changed) => Now(store.UpdateSourcesAsync(changed, default));

    /// <summary>A router writes committed positions, each in its row.</summary>
    public void Update(IReadOnlyList<PartitionPosition> positions)
    {
        var rows = Sources([]).ToDictionary(row => row.Partition);
        Sources(positions.Select(position => (rows.GetValueOrDefault(position.Partition) ?? new SourceState(position.Partition, 0, position.Incarnation)).At(position) with { Incarnation = position.Incarnation }).ToList());
    }

    public RecoveredShard TakeOver(ShardId shard, SimulatedProcess process)
    {
        if (cluster.Bug.RaisesNoEpoch && fences.TryGetValue(shard, out var stands)) return Peek(shard) with { Epoch = stands.Epoch };
        var early = cluster.Bug.ReadsBeforeRaising ? process.ReadEarly(shard) : null;
        var recovered = Now(store.TakeOverAsync(shard, process.Name, default));
        fences[shard] = (recovered.Epoch, recovered.CheckpointNumber);
        var entry = new TakenOver(cluster.World.NowMs, process.Name, shard, recovered.Epoch);
        timeline.Add(entry);
        cluster.Checkers.TookOver(entry);
        cluster.World.Note($"{process.Name} takes over shard {shard} in epoch {recovered.Epoch}, checkpoint {recovered.CheckpointNumber}, {(recovered.ReleasedInOrder ? "released in order" : "not released")}");
        return early is null ? recovered : early with { Epoch = recovered.Epoch, CheckpointNumber = recovered.CheckpointNumber };
    }

    public NodeMessage Load(ShardLoad load) => Now(store.LoadAsync(load, default));

    public IReadOnlyList<CheckpointOutcome> Commit(SimulatedProcess process, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var written = cluster.Bug.StoreWithoutFence ? checkpoints.Select(Unfence).ToList() : checkpoints;
        var outcomes = Now(store.CommitAsync(written, default));
        for (var index = 0; index < outcomes.Count; index++)
        {
            var checkpoint = written[index];
            cluster.World.Note($"{process.Name} checkpoint {checkpoints[index].Number} of shard {checkpoint.Shard} in epoch {checkpoints[index].Epoch}: {outcomes[index]}{(checkpoint.Release ? ", its last" : "")}");
            if (outcomes[index] != CheckpointOutcome.Committed) continue;
            fences[checkpoint.Shard] = (checkpoint.Epoch, checkpoint.Number);
            var entry = new Committed(cluster.World.NowMs, process.Name, checkpoints[index], process.EventsOf(checkpoints[index]), cluster.Settings.StoreId);
            timeline.Add(entry);
            cluster.Checkers.Committed(entry);
        }

        return outcomes;
    }

    /// <summary>What a takeover would read now, without taking over: for the checkers, and for one planted bug.</summary>
    public RecoveredShard Peek(ShardId shard)
    {
        var copy = Open("peek");
        foreach (var entry in timeline.Where(entry => entry.Shard == shard)) Replay(copy, entry);
        return Now(copy.TakeOverWholeAsync(shard, "peek", default));
    }

    private MemoryCheckpointStore Open(string storeId)
    {
        var opened = new MemoryCheckpointStore(storeId);
        Now(opened.OpenAsync(cluster.Settings.Group, cluster.Settings.ShardCount, default));
        Now(opened.ApplyConfigurationAsync(new ConfigurationChange(0, "version 1", "simulation", 0, "", false), default));
        return opened;
    }

    private void Replay(MemoryCheckpointStore into, StoreEntry entry)
    {
        if (entry is Committed committed)
        {
            var checkpoint = cluster.Bug.StoreWithoutFence && ReferenceEquals(into, store) ? Unfence(committed.Checkpoint) : committed.Checkpoint;
            Now(into.CommitAsync([checkpoint], default));
            fences[entry.Shard] = (checkpoint.Epoch, checkpoint.Number);
        }
        else
        {
            var recovered = Now(into.TakeOverAsync(entry.Shard, entry.Process, default));
            fences[entry.Shard] = (recovered.Epoch, recovered.CheckpointNumber);
        }
    }

    // The planted bug: the store takes a checkpoint of whatever epoch and number as the expected one.
    private ShardCheckpoint Unfence(ShardCheckpoint checkpoint)
    {
        var (epoch, number) = fences[checkpoint.Shard];
        return checkpoint with { Epoch = epoch, Number = number + 1 };
    }

    // The memory store answers before it returns.
    private static T Now<T>(ValueTask<T> answered) => answered.AsTask().GetAwaiter().GetResult();
}
