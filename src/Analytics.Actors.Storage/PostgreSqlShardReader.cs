using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>What is read back of a shard. The caller holds one snapshot (REPEATABLE READ) around each method.</summary>
internal static class PostgreSqlShardReader
{
    /// <summary>
    /// Everything comes from one snapshot, the checkpoint's number too. Where yet another owner has taken over and
    /// committed since <paramref name="epoch"/> was raised, the snapshot is whole all the same, and the first
    /// checkpoint under this epoch is fenced.
    /// </summary>
    public static async Task<RecoveredShard> ReadAsync(NpgsqlConnection connection, ShardId shard, Epoch epoch, bool releasedInOrder)
    {
        await using var batch = connection.CreateBatch();
        batch.Add("SELECT checkpoint, state FROM shard WHERE shard = $1", shard.Value);
        batch.Add("SELECT kind, key, state FROM entity WHERE shard = $1 AND kind IN ($2, $3) ORDER BY kind, key", shard.Value, (short)EntityKind.Batch, (short)EntityKind.Global);
        batch.Add("SELECT topic, partition, next_offset, last_timestamp_ms, last_checksum, incarnation FROM position WHERE shard = $1 ORDER BY topic, partition", shard.Value);
        batch.Add(
            """
            SELECT log_topic, log_partition, source, highest_offset, highest_index, highest_ordinal, applied_count, applied_hash
            FROM mark WHERE shard = $1 ORDER BY log_topic, log_partition, source
            """,
            shard.Value);
        batch.Add(
            """
            SELECT topic, partition, sequence, key, value, headers, timestamp_ms
            FROM outbox WHERE shard = $1 ORDER BY topic, partition, sequence
            """,
            shard.Value);
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false);
        var (number, state) = (await reader.RowsAsync(row => (row.GetInt64(0), row.Bytes(1))).ConfigureAwait(false)).Single();
        return new RecoveredShard
        {
            Shard = shard,
            Epoch = epoch,
            CheckpointNumber = number,
            ReleasedInOrder = releasedInOrder,
            ShardState = state,
            Entities = await reader.NextRowsAsync(Entity).ConfigureAwait(false),
            Positions = await reader.NextRowsAsync(Position).ConfigureAwait(false),
            Marks = await reader.NextRowsAsync(row => new MarkState(
                Partition(row), row.GetString(2), new Place(row.GetInt64(3), row.GetInt32(4), row.GetInt32(5)),
                row.GetInt64(6), unchecked((ulong)row.GetInt64(7)))).ConfigureAwait(false),
            Outbox = await reader.NextRowsAsync(row => new OutboxEntry(
                Partition(row), row.GetInt64(2), row.IsDBNull(3) ? null : row.Bytes(3), row.Bytes(4), OutboxHeaders.Read(row.GetString(5)), row.GetInt64(6))).ConfigureAwait(false),
        };
    }

    public static async Task<IReadOnlyList<PartitionPosition>> ReadAllPositionsAsync(NpgsqlConnection connection) =>
        await connection.QueryAsync("SELECT topic, partition, next_offset, last_timestamp_ms, last_checksum, incarnation FROM position", Position).ConfigureAwait(false);

    public static async Task<IReadOnlyList<EntityState>> ReadEntitiesAsync(NpgsqlConnection connection, ShardId shard, EntityKind kind, IReadOnlyList<string>? keys) => keys is null
        ? await connection.QueryAsync("SELECT kind, key, state FROM entity WHERE shard = $1 AND kind = $2 ORDER BY key", Entity, shard.Value, (short)kind).ConfigureAwait(false)
        : await connection.QueryAsync(
            """
            SELECT entity.kind, entity.key, entity.state FROM unnest($3) WITH ORDINALITY AS asked (key, place)
            JOIN entity ON entity.shard = $1 AND entity.kind = $2 AND entity.key = asked.key ORDER BY asked.place
            """,
            Entity, shard.Value, (short)kind, keys.Select(PostgreSqlCommands.Utf8.GetBytes).ToList()).ConfigureAwait(false);

    public static async Task<IReadOnlyList<EntityState>> ReadPageAsync(NpgsqlConnection connection, ShardId shard, EntityKind kind, string? after, int limit) => after is null
        ? await connection.QueryAsync("SELECT kind, key, state FROM entity WHERE shard = $1 AND kind = $2 ORDER BY key LIMIT $3", Entity, shard.Value, (short)kind, limit).ConfigureAwait(false)
        : await connection.QueryAsync(
            "SELECT kind, key, state FROM entity WHERE shard = $1 AND kind = $2 AND key > $4 ORDER BY key LIMIT $3",
            Entity, shard.Value, (short)kind, limit, PostgreSqlCommands.Utf8.GetBytes(after)).ConfigureAwait(false);

    private static EntityState Entity(NpgsqlDataReader row) => new((EntityKind)row.GetInt16(0), row.Key(1), row.Bytes(2));

    private static PartitionPosition Position(NpgsqlDataReader row) =>
        new(Partition(row), row.GetInt64(2), row.GetInt64(3), (uint)row.GetInt64(4), row.GetInt32(5));

    private static TopicPartition Partition(NpgsqlDataReader row) => new(row.GetString(0), row.GetInt32(1));
}
