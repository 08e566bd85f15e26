using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Storage;

/// <summary>What is read back of a shard. The caller holds one read transaction around each method.</summary>
internal static class SqliteShardReader
{
    /// <summary>
    /// Everything comes from one snapshot, the checkpoint's number too. Where yet another owner has taken over and
    /// committed since <paramref name="epoch"/> was raised, the snapshot is whole all the same, and the first
    /// checkpoint under this epoch is fenced.
    /// </summary>
    public static RecoveredShard Read(SqliteSession session, ShardId shard, Epoch epoch, bool releasedInOrder)
    {
        var (number, state) = session.Prepare("SELECT checkpoint, state FROM shard WHERE shard = ?1")
            .Bind(1, shard.Value).Read(row => (row.Integer(0), row.Blob(1))).Single();
        return new RecoveredShard
        {
            Shard = shard,
            Epoch = epoch,
            CheckpointNumber = number,
            ReleasedInOrder = releasedInOrder,
            ShardState = state,
            Entities = ReadResidentEntities(session, shard),
            Positions = ReadPositions(session, shard),
            Marks = ReadMarks(session, shard),
            Outbox = ReadOutbox(session, shard),
        };
    }

    public static List<EntityState> ReadEntities(SqliteSession session, ShardId shard, EntityKind kind, IReadOnlyList<string>? keys)
    {
        if (keys is null)
        {
            return session.Prepare("SELECT kind, key, state FROM entity WHERE shard = ?1 AND kind = ?2 ORDER BY key")
                .Bind(1, shard.Value).Bind(2, (int)kind).Read(Entity);
        }
        var one = session.Prepare("SELECT kind, key, state FROM entity WHERE shard = ?1 AND kind = ?2 AND key = ?3");
        var found = new List<EntityState>(keys.Count);
        foreach (var key in keys) found.AddRange(one.Bind(1, shard.Value).Bind(2, (int)kind).Bind(3, key).Read(Entity));
        return found;
    }

    public static List<EntityState> ReadPage(SqliteSession session, ShardId shard, EntityKind kind, string? after, int limit)
    {
        // Every key comes after "", but for itself: the first page has a statement of its own.
        var page = after is null
            ? session.Prepare("SELECT kind, key, state FROM entity WHERE shard = ?1 AND kind = ?2 ORDER BY key LIMIT ?3")
            : session.Prepare("SELECT kind, key, state FROM entity WHERE shard = ?1 AND kind = ?2 AND key > ?4 ORDER BY key LIMIT ?3").Bind(4, after);
        return page.Bind(1, shard.Value).Bind(2, (int)kind).Bind(3, limit).Read(Entity);
    }

    private static List<EntityState> ReadResidentEntities(SqliteSession session, ShardId shard) =>
        session.Prepare("SELECT kind, key, state FROM entity WHERE shard = ?1 AND kind IN (?2, ?3) ORDER BY kind, key")
            .Bind(1, shard.Value).Bind(2, (int)EntityKind.Batch).Bind(3, (int)EntityKind.Global).Read(Entity);

    private static EntityState Entity(SqliteStatement row) => new((EntityKind)row.Integer(0), row.Text(1), row.Blob(2));

    private static List<PartitionPosition> ReadPositions(SqliteSession session, ShardId shard) =>
        session.Prepare("""
            SELECT topic, partition, next_offset, last_timestamp_ms, last_checksum, incarnation
            FROM position WHERE shard = ?1 ORDER BY topic, partition
            """)
            .Bind(1, shard.Value).Read(Position);

    private static PartitionPosition Position(SqliteStatement row) =>
        new(Partition(row), row.Integer(2), row.Integer(3), (uint)row.Integer(4), (int)row.Integer(5));

    public static IReadOnlyList<PartitionPosition> ReadAllPositions(SqliteSession session) =>
        session.Prepare("SELECT topic, partition, next_offset, last_timestamp_ms, last_checksum, incarnation FROM position").Read(Position);

    private static List<MarkState> ReadMarks(SqliteSession session, ShardId shard) =>
        session.Prepare("""
            SELECT log_topic, log_partition, source, highest_offset, highest_index, highest_ordinal, applied_count, applied_hash
            FROM mark WHERE shard = ?1 ORDER BY log_topic, log_partition, source
            """)
            .Bind(1, shard.Value)
            .Read(row => new MarkState(
                Partition(row), row.Text(2), new Place(row.Integer(3), (int)row.Integer(4), (int)row.Integer(5)),
                row.Integer(6), unchecked((ulong)row.Integer(7))));

    private static List<OutboxEntry> ReadOutbox(SqliteSession session, ShardId shard) =>
        session.Prepare("""
            SELECT topic, partition, sequence, key, value, headers, timestamp_ms
            FROM outbox WHERE shard = ?1 ORDER BY topic, partition, sequence
            """)
            .Bind(1, shard.Value)
            .Read(row => new OutboxEntry(
                Partition(row), row.Integer(2), row.BlobOrNull(3), row.Blob(4), OutboxHeaders.Read(row.Text(5)), row.Integer(6)));

    private static TopicPartition Partition(SqliteStatement row) => new(row.Text(0), (int)row.Integer(1));
}
