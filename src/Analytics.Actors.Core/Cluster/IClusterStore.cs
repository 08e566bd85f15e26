namespace Analytics.Actors.Core.Cluster;

/// <summary>
/// Where nodes tell of themselves, so that any of them can show all. It decides nothing: Kafka's group places shards, and a
/// shard's epoch says who may write. A node that cannot reach it goes on. Times are the store's own, because nodes' clocks differ.
/// </summary>
public interface IClusterStore
{
    /// <summary>
    /// Writes the node's row, seen now, and returns all rows. Where another process took the id since, or somebody declared this
    /// session down, its row is left as it is, and the answer tells.
    /// </summary>
    ValueTask<IReadOnlyList<NodeRow>> RegisterAsync(NodeEntry entry, CancellationToken cancellation);

    /// <summary>All rows, by node id.</summary>
    ValueTask<IReadOnlyList<NodeRow>> ReadNodesAsync(CancellationToken cancellation);

    /// <summary>Who took each shard over last, by shard; released or fenced ones have an empty name.</summary>
    ValueTask<IReadOnlyList<ShardOwnerRow>> ReadOwnersAsync(CancellationToken cancellation);

    /// <summary>
    /// Declares a node down: raises the epoch of every shard that it took over last, so that it can commit nothing more, and marks
    /// its row, so that it ends when it hears of it. Returns the shards. Of a node without a row: those shards all the same; of
    /// one that left in order, or is down already, the row stays as it is. The event down is appended in the same transaction.
    /// </summary>
    ValueTask<IReadOnlyList<ShardId>> FenceNodeAsync(string node, string by, CancellationToken cancellation);

    /// <summary>Removes the row of a node that is gone for good; a live session writes it again.</summary>
    ValueTask ForgetNodeAsync(string node, CancellationToken cancellation);

    /// <summary>Appends events, which get their numbers and the store's time, and drops those beyond the newest 10,000.</summary>
    ValueTask AppendEventsAsync(IReadOnlyList<ClusterEvent> events, CancellationToken cancellation);

    /// <summary>
    /// Events with a number above <paramref name="after"/>, in order, at most <paramref name="limit"/>; null: the newest ones.
    /// </summary>
    ValueTask<IReadOnlyList<NumberedEvent>> ReadEventsAsync(long? after, int limit, CancellationToken cancellation);
}

/// <summary>What a node says of itself.</summary>
public enum NodeState
{
    Starting = 1,
    Running = 2,

    /// <summary>It hands its shards over and will end.</summary>
    Leaving = 3,

    /// <summary>It ended in order.</summary>
    Left = 4,

    /// <summary>An operator declared it down; only <see cref="IClusterStore.FenceNodeAsync"/> writes this.</summary>
    Down = 5,
}

/// <summary>One node as it registers itself.</summary>
/// <param name="Session">Random, of one process: tells two processes with the same id apart.</param>
/// <param name="Address">Where other nodes reach its API, such as http://10.0.0.1:8000; empty while it is not known.</param>
/// <param name="Roles">router, shard, api.</param>
/// <param name="StartedMs">By its own clock, milliseconds since 1970 UTC.</param>
/// <param name="ConfigurationVersion">The version of the cluster's configuration that it runs.</param>
public sealed record NodeEntry(
    string Node, string Session, string Address, string Version, IReadOnlyList<string> Roles, NodeState State,
    long StartedMs, int Shards, NodeLoad Load, long ConfigurationVersion);

/// <summary>How busy a node is.</summary>
/// <param name="RecordsPerSecond">Records applied by its shards, over the last seconds.</param>
/// <param name="CallsRunning">Module calls that run.</param>
/// <param name="CpuShare">Of all its processors, 0 to 1.</param>
/// <param name="MemoryBytes">Resident.</param>
public readonly record struct NodeLoad(double RecordsPerSecond, int CallsRunning, double CpuShare, long MemoryBytes);

/// <summary>A node's row.</summary>
/// <param name="AgeMs">Since it was last seen, by the store's clock.</param>
public sealed record NodeRow(NodeEntry Entry, long AgeMs)
{
    /// <summary>After so long without a sign of a node that had not ended in order it counts as vanished.</summary>
    public const long VanishedAfterMs = 6_000;

    public bool IsVanished => Entry.State is NodeState.Starting or NodeState.Running or NodeState.Leaving && AgeMs > VanishedAfterMs;
}

/// <summary>Who took a shard over last, in which epoch, and whether it was released in order since.</summary>
public readonly record struct ShardOwnerRow(ShardId Shard, string Owner, Epoch Epoch, bool IsReleased);

/// <summary>What happened in the cluster. Kinds are stored as text: never rename one.</summary>
/// <param name="Kind">
/// joined, leaving, left, down, vanished, takenOver, released, lost, fenced, gap, configuration, steered (an operator's order).
/// </param>
/// <param name="Node">The node that it happened to or that reports it.</param>
/// <param name="Shard">Null where it concerns none.</param>
/// <param name="DurationMs">Of a handover: takenOver from the assignment to reading, released from the revocation to the last checkpoint; null: none.</param>
/// <param name="By">Who ordered it; empty: nobody.</param>
/// <param name="Detail">For people.</param>
public sealed record ClusterEvent(string Kind, string Node, ShardId? Shard, long? DurationMs, string By, string Detail)
{
    /// <summary>The newest so many are kept.</summary>
    public const int Kept = 10_000;

    /// <summary>A node was declared down, and these shards fenced.</summary>
    public static ClusterEvent Down(string node, string by, IReadOnlyList<ShardId> fenced) => new(
        "down", node, null, null, by, fenced.Count == 0 ? "it owned no shards" : $"fenced shards {string.Join(", ", fenced.Select(shard => shard.Value))}");
}

/// <summary>A stored event.</summary>
/// <param name="AtMs">When it was stored, by the store's clock, milliseconds since 1970 UTC.</param>
public sealed record NumberedEvent(long Number, long AtMs, ClusterEvent Event);
