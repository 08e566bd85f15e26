using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// Where state survives. One implementation per database, one conformance suite for all. Every method may fail with
/// <see cref="StoreUnavailableException"/>: then nothing was done. Nothing here retries; the node decides.
/// </summary>
public interface ICheckpointStore : IDeadLetterStore, IConfigurationStore, IAsyncDisposable
{
    /// <summary>
    /// Creates or migrates the schema, and pins what must not change: on first use it records the shard count and a
    /// random store id; afterwards a different shard count or group is refused with <see cref="StoreRefusedException"/>.
    /// </summary>
    ValueTask<StoreIdentity> OpenAsync(string group, int shardCount, CancellationToken cancellation);

    /// <summary>
    /// Takes a shard over: raises its epoch and commits, and only then reads its state, so that whatever an earlier
    /// owner commits later is fenced. The epoch's row also remembers whether the last owner released it in order.
    /// Where it fails the epoch may be raised all the same; repeating it raises it once more, which does no harm.
    /// </summary>
    ValueTask<RecoveredShard> TakeOverAsync(ShardId shard, string owner, CancellationToken cancellation);

    /// <summary>
    /// Commits the checkpoints of several shards in one transaction (group commit). Each one's first statement raises
    /// its shard's checkpoint number where epoch and number are still as expected; a shard for which that changes no row
    /// drops out as <see cref="CheckpointOutcome.Fenced"/> and the others commit. Outcomes are in the order given.
    /// Throws <see cref="CommitOutcomeUnknownException"/> where it cannot be known whether the transaction committed.
    /// </summary>
    ValueTask<IReadOnlyList<CheckpointOutcome>> CommitAsync(IReadOnlyList<ShardCheckpoint> checkpoints, CancellationToken cancellation);

    /// <summary>
    /// Reads entities of a shard by kind: all of that kind, by key, where <paramref name="keys"/> is null, else those keys
    /// that exist, in the order asked for.
    /// </summary>
    ValueTask<IReadOnlyList<EntityState>> ReadEntitiesAsync(ShardId shard, EntityKind kind, IReadOnlyList<string>? keys, CancellationToken cancellation);

    /// <summary>
    /// A page of a shard's entities of one kind: at most <paramref name="limit"/> of those whose key comes after
    /// <paramref name="after"/> in the order of UTF-8 bytes (null: from the first one).
    /// </summary>
    ValueTask<IReadOnlyList<EntityState>> ReadPageAsync(ShardId shard, EntityKind kind, string? after, int limit, CancellationToken cancellation);

    /// <summary>
    /// What is known of each source partition (partition count pinned per topic, incarnation, gaps), and the change of one:
    /// see <see cref="SourceState"/>. Upserts and returns all stored rows, by topic and partition; an empty list only reads.
    /// A change that may not replace what is stored (<see cref="SourceState.MayReplace"/>) is left out, and the answer tells.
    /// </summary>
    ValueTask<IReadOnlyList<SourceState>> UpdateSourcesAsync(IReadOnlyList<SourceState> changed, CancellationToken cancellation);

    /// <summary>How far all shards have read their data partitions, as their last checkpoints have it, in no order.</summary>
    ValueTask<IReadOnlyList<PartitionPosition>> ReadPositionsAsync(CancellationToken cancellation);

    /// <summary>
    /// Pins the routing rules, by name: new names are added. Returns, by name and in their order, those that are stored
    /// otherwise; then nothing was changed.
    /// </summary>
    ValueTask<IReadOnlyList<ChangedRule>> PinRulesAsync(IReadOnlyList<RoutingRule> rules, CancellationToken cancellation);
}

/// <summary>One rule of routing: what it is about, and its text.</summary>
public readonly record struct RoutingRule(string Name, string Rule);

/// <summary>A rule that the store holds otherwise.</summary>
public readonly record struct ChangedRule(string Name, string Stored, string Given);

/// <summary>What a database says of itself.</summary>
/// <param name="StoreId">Random, 12 hex digits, made with the database, renewed when a backup is restored.</param>
/// <param name="SchemaVersion">The number of the last migration applied.</param>
public sealed record StoreIdentity(string StoreId, int SchemaVersion)
{
    /// <summary>What the store remembers of the outputs that it wrote under the ids that it had before it was renewed.</summary>
    public EarlierStores Earlier { get; init; } = EarlierStores.None;
}

/// <summary>What became of one checkpoint of a group commit.</summary>
public enum CheckpointOutcome
{
    Committed,

    /// <summary>The shard's epoch or checkpoint number is no longer the expected one: somebody else owns it.</summary>
    Fenced,
}

/// <summary>What an entity's row holds. The numbers are stored: never change one.</summary>
public enum EntityKind
{
    /// <summary>A station without its windows: triggers, timers. Key: station id.</summary>
    Station = 1,

    /// <summary>One window of a station. Key: station id, U+001F, topic.</summary>
    Window = 2,

    /// <summary>One batch. Key: module, U+001F, batch id; of a further row with what changed since: the same, U+001F, its number.</summary>
    Batch = 3,

    /// <summary>The window of a global topic. Key: topic.</summary>
    Global = 4,
}

/// <summary>One entity's persisted state (protobuf). A null state in a checkpoint deletes the row.</summary>
public sealed record EntityState(EntityKind Kind, string Key, byte[]? State);

/// <summary>How far a shard has read one of its data partitions.</summary>
/// <param name="Next">The next offset to read.</param>
/// <param name="LastTimestampMs">Timestamp of the last record read, to recognise a recreated topic; -1 without one.</param>
/// <param name="LastChecksum">CRC-32C of the last record's value; 0 without one.</param>
/// <param name="Incarnation">The partition's life that the position is of.</param>
public sealed record PartitionPosition(TopicPartition Partition, long Next, long LastTimestampMs, uint LastChecksum, int Incarnation = 0)
{
    /// <summary>The record before <see cref="Next"/> is remembered.</summary>
    public bool HasWitness => Next > 0 && (LastTimestampMs != -1 || LastChecksum != 0);

    public RecordWitness Witness => new(LastTimestampMs, LastChecksum);
}

/// <summary>
/// The highest place that a shard has seen of one sender's run, with a witness of what it applied: the number of parts
/// and the XOR of the hashes of their places.
/// </summary>
/// <param name="Log">The data partition in which the run arrives.</param>
/// <param name="Source">Key of the run: a source partition with its incarnation, or an origin (store, shard, topic, partition).</param>
public sealed record MarkState(TopicPartition Log, string Source, Place Highest, long AppliedCount, ulong AppliedHash);

/// <summary>One record waiting to leave. Topic and partition are fixed here, the sequence is contiguous per (shard, topic, partition).</summary>
/// <param name="Headers">Header names with values in UTF-8.</param>
public sealed record OutboxEntry(
    TopicPartition Destination, long Sequence, byte[]? Key, byte[] Value,
    IReadOnlyList<KeyValuePair<string, string>> Headers, long TimestampMs);

/// <summary>Everything of a destination up to and including a sequence has been acknowledged and may go.</summary>
public sealed record OutboxAcknowledgement(TopicPartition Destination, long UpToSequence);

/// <summary>All that one checkpoint writes of one shard, in one transaction.</summary>
public sealed record ShardCheckpoint
{
    public required ShardId Shard { get; init; }
    public required Epoch Epoch { get; init; }

    /// <summary>This checkpoint's number; the stored one must be the number before it.</summary>
    public required long Number { get; init; }

    /// <summary>Small state of the shard itself (protobuf), always written.</summary>
    public required byte[] ShardState { get; init; }
    public required IReadOnlyList<EntityState> Entities { get; init; }

    /// <summary>Only the changed ones.</summary>
    public required IReadOnlyList<PartitionPosition> Positions { get; init; }

    /// <summary>Only the changed ones.</summary>
    public required IReadOnlyList<MarkState> Marks { get; init; }
    public required IReadOnlyList<OutboxEntry> OutboxAdded { get; init; }
    public required IReadOnlyList<OutboxAcknowledgement> OutboxRemoved { get; init; }

    /// <summary>New dead letters, under numbers that the shard never used before; all are open.</summary>
    public IReadOnlyList<DeadLetter> LettersAdded { get; init; } = [];

    /// <summary>Dead letters that were replayed or discarded. One that is not stored any more is passed over.</summary>
    public IReadOnlyList<DeadLetterChange> LettersChanged { get; init; } = [];

    /// <summary>What is deleted after that, the new ones included; null: nothing.</summary>
    public DeadLetterExpiry? LettersExpired { get; init; }

    /// <summary>The owner's last checkpoint before an orderly release: the next owner need not be careful.</summary>
    public bool Release { get; init; }

    /// <summary>A group commit holds one checkpoint of each shard: two of one shard are one checkpoint that was not joined.</summary>
    public static void RequireOnePerShard(IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var seen = new HashSet<ShardId>(checkpoints.Count);
        foreach (var checkpoint in checkpoints)
            if (!seen.Add(checkpoint.Shard)) throw new ArgumentException($"Shard {checkpoint.Shard} has two checkpoints in one group commit.", nameof(checkpoints));
    }
}

/// <summary>What a takeover reads.</summary>
public sealed record RecoveredShard
{
    public required ShardId Shard { get; init; }

    /// <summary>The new epoch, raised by this takeover.</summary>
    public required Epoch Epoch { get; init; }

    /// <summary>Number of the last committed checkpoint; 0 for a shard that never had one.</summary>
    public required long CheckpointNumber { get; init; }

    /// <summary>The last owner released the shard in order (or there was none).</summary>
    public required bool ReleasedInOrder { get; init; }

    /// <summary>Empty for a new shard.</summary>
    public required byte[] ShardState { get; init; }

    /// <summary>
    /// Batches and globals, by kind and key: what the owner must have at once. Stations and their windows are read when
    /// they are needed, so that a takeover takes as long with many of them as with few.
    /// </summary>
    public required IReadOnlyList<EntityState> Entities { get; init; }
    public required IReadOnlyList<PartitionPosition> Positions { get; init; }

    /// <summary>Positions that a check changed after they were read; the shard's next checkpoint writes them.</summary>
    public IReadOnlyList<PartitionPosition> Moved { get; init; } = [];

    /// <summary>Partitions of sources keyed by station that a check found unfit to be read: the shard runs without them.</summary>
    public IReadOnlyList<TopicPartition> NotRead { get; init; } = [];
    public required IReadOnlyList<MarkState> Marks { get; init; }

    /// <summary>In order of destination and sequence: all to be sent again.</summary>
    public required IReadOnlyList<OutboxEntry> Outbox { get; init; }
}

/// <summary>
/// What the store knows of a source partition. Of a shard's logs there is a row only where a gap was recorded or an operator
/// set a position; how far they are read is in the shard's own positions.
/// </summary>
/// <param name="PartitionCount">Partitions that the topic had when this one was first seen.</param>
/// <param name="GapFrom">First offset of the last skipped range, -1 without one.</param>
/// <param name="GapTo">First offset after that range; -1 with a GapFrom: nobody has decided yet, the partition is stopped.</param>
/// <param name="GapReason">Why, and who.</param>
public sealed record SourceState(TopicPartition Partition, int PartitionCount, int Incarnation, long GapFrom = -1, long GapTo = -1, string GapReason = "")
{
    /// <summary>When the gap was recorded, milliseconds since 1970 UTC; -1 without one.</summary>
    public long GapAtMs { get; init; } = -1;

    /// <summary>The next offset to read as of the last time it was written here, at most a second or so behind; -1: not known.</summary>
    public long Next { get; init; } = -1;

    /// <summary>See <see cref="PartitionPosition"/>: the record before <see cref="Next"/>.</summary>
    public long LastTimestampMs { get; init; } = -1;
    public uint LastChecksum { get; init; }

    /// <summary>Reading is to go on at <see cref="Next"/>, and no reader has been told yet.</summary>
    public bool IsWanted { get; init; }

    public PartitionPosition Position => new(Partition, Next, LastTimestampMs, LastChecksum, Incarnation);

    /// <summary>The partition is stopped at <see cref="GapFrom"/> until an operator decides.</summary>
    public bool IsStopped => GapFrom >= 0 && GapTo < 0;

    /// <summary>The row with another position in the same life; a position that is reached is no longer wanted.</summary>
    public SourceState At(PartitionPosition position) =>
        this with { Next = position.Next, LastTimestampMs = position.LastTimestampMs, LastChecksum = position.LastChecksum, IsWanted = false };

    /// <summary>
    /// Whether this row may take the place of the stored one: an incarnation never falls, and one that somebody wants is a
    /// new one. So of two who change a position at the same time one finds that he did not.
    /// </summary>
    public bool MayReplace(SourceState stored) => Incarnation > stored.Incarnation || (Incarnation == stored.Incarnation && !IsWanted);
}

/// <summary>Who took a shard over last.</summary>
public readonly record struct ShardOwner(string Name, Epoch Epoch);

/// <summary>The store cannot be reached or refused work for now; nothing was done.</summary>
public class StoreUnavailableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Whether the commit took place is unknown: its shards count as lost and are taken over again.</summary>
public sealed class CommitOutcomeUnknownException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The store does not fit this node (shard count, schema of a newer version); the message says what would be right.</summary>
public sealed class StoreRefusedException(string message) : Exception(message);

/// <summary>What every store can do by the methods that it has.</summary>
public static class CheckpointStoreExtensions
{
    /// <summary>
    /// Takes a shard over with all of its state, for checks and reports. Stations and windows are read after the epoch was
    /// raised and committed, so no earlier owner can change them any more.
    /// </summary>
    public static async ValueTask<RecoveredShard> TakeOverWholeAsync(this ICheckpointStore store, ShardId shard, string owner, CancellationToken cancellation)
    {
        var recovered = await store.TakeOverAsync(shard, owner, cancellation).ConfigureAwait(false);
        return recovered with { Entities = [.. await store.ReadStationsAsync(shard, null, null, cancellation).ConfigureAwait(false), .. recovered.Entities] };
    }

    /// <summary>
    /// Reads what a load asks for, and makes the message that reports it. Rows of a shard that has another owner by now are
    /// not given to the one that asked: they are not the rows that it left.
    /// </summary>
    public static async ValueTask<Nodes.NodeMessage> LoadAsync(this ICheckpointStore store, Nodes.ShardLoad load, CancellationToken cancellation)
    {
        var loaded = await ReadAsync(store, load, cancellation).ConfigureAwait(false);
        // Asked after the rows were read: an epoch that still stands then stood all the while.
        var owner = await store.OwnerAsync(load.Shard, cancellation).ConfigureAwait(false);
        return owner.Epoch == load.Epoch ? loaded : new Nodes.LoadFenced(load);
    }

    /// <summary>The rows of these stations, and of these windows of theirs; null: all of the shard.</summary>
    public static async ValueTask<IReadOnlyList<EntityState>> ReadStationsAsync(
        this ICheckpointStore store, ShardId shard, IReadOnlyList<string>? stations, IReadOnlyList<string>? windowKeys, CancellationToken cancellation) =>
    [
        .. await store.ReadEntitiesAsync(shard, EntityKind.Station, stations, cancellation).ConfigureAwait(false),
        .. await store.ReadEntitiesAsync(shard, EntityKind.Window, windowKeys, cancellation).ConfigureAwait(false),
    ];

    private static async ValueTask<Nodes.NodeMessage> ReadAsync(ICheckpointStore store, Nodes.ShardLoad load, CancellationToken cancellation)
    {
        switch (load)
        {
            case Nodes.LoadStations ids:
                return new Nodes.StationsLoaded(ids, await store.ReadStationsAsync(load.Shard, ids.Stations, ids.WindowKeys, cancellation).ConfigureAwait(false));
            case Nodes.LoadPage page:
                return new Nodes.PageLoaded(page, await store.ReadPageAsync(load.Shard, page.Kind, page.After, page.Limit, cancellation).ConfigureAwait(false));
            default:
                throw new ArgumentOutOfRangeException(nameof(load), load, "not a load");
        }
    }
}
