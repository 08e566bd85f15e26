using System.Security.Cryptography;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>What an operator asks of a PostgreSQL database.</summary>
internal static class PostgreSqlAdministration
{
    /// <summary>How often a renewal looks for sessions of nodes, a tenth of a second apart, before it is refused.</summary>
    private const int LooksMax = 20;

    public static async Task<StoreDescription> DescribeAsync(NpgsqlConnection connection, string database)
    {
        var version = await PostgreSqlSchema.ReadVersionAsync(connection, database).ConfigureAwait(false);
        if (version == 0) throw StoreRefusals.NoStore(database);
        var (storeId, group) = await ReadStoreAsync(connection, database).ConfigureAwait(false);
        var shards = await connection.QueryAsync("SELECT shard, epoch, checkpoint, owner, released FROM shard ORDER BY shard", row =>
            new ShardDescription(new ShardId(row.GetInt32(0)), new Epoch(row.GetInt64(1)), row.GetInt64(2), row.GetString(3), row.GetBoolean(4))).ConfigureAwait(false);
        return new StoreDescription("postgresql", database, storeId, group, version, shards)
        {
            EarlierIds = version < Migrations.EarlierRuns
                ? []
                : await connection.QueryAsync("SELECT DISTINCT store_id FROM earlier_run ORDER BY store_id", row => row.GetString(0)).ConfigureAwait(false),
        };
    }

    /// <summary>Inside a transaction.</summary>
    public static async Task<StoreRenewal> RenewAsync(NpgsqlConnection connection, string database, bool force)
    {
        await PostgreSqlSchema.LockAsync(connection).ConfigureAwait(false);
        if (await PostgreSqlSchema.ReadVersionAsync(connection, database).ConfigureAwait(false) == 0) throw StoreRefusals.NoStore(database);
        // What a node leaves is to be seen until the server has ended its sessions.
        for (var look = 1; !force && await IsInUseAsync(connection).ConfigureAwait(false); look++)
        {
            if (look == LooksMax) throw StoreRefusals.NodesConnected(database);
            await connection.RunAsync("SELECT pg_sleep(0.1), pg_stat_clear_snapshot()").ConfigureAwait(false);
        }

        await PostgreSqlSchema.MigrateAsync(connection, database).ConfigureAwait(false);
        var before = (await ReadStoreAsync(connection, database).ConfigureAwait(false)).StoreId;
        var after = RandomNumberGenerator.GetHexString(12, lowercase: true);
        var shards = await connection.QueryAsync(
            "SELECT shard, epoch, state FROM shard ORDER BY shard FOR UPDATE", row => (Shard: row.GetInt32(0), Epoch: row.GetInt64(1), State: row.Bytes(2))).ConfigureAwait(false);
        var ends = Renewals.EndsOf(before, shards.Select(shard => (shard.Shard, shard.State)));
        await connection.RunAsync(
            "INSERT INTO earlier_run (store_id, shard, topic, partition, next_sequence) SELECT * FROM unnest($1, $2, $3, $4, $5)",
            ends.Select(end => end.Run.Store).ToList(), ends.Select(end => end.Run.Shard.Value).ToList(), ends.Select(end => end.Run.Topic).ToList(),
            ends.Select(end => end.Run.Partition).ToList(), ends.Select(end => end.NextSequence).ToList()).ConfigureAwait(false);
        await connection.RunAsync("UPDATE shard SET epoch = $1", Renewals.EpochAbove(shards.Max(shard => shard.Epoch), DateTimeOffset.UtcNow)).ConfigureAwait(false);
        await connection.RunAsync("UPDATE store SET store_id = $1", after).ConfigureAwait(false);
        return new StoreRenewal(before, after, shards.Count);
    }

    public static async Task<EarlierStores> ReadEarlierAsync(NpgsqlConnection connection) =>
        await connection.QueryAsync("SELECT store_id, shard, topic, partition, next_sequence FROM earlier_run", row =>
            new EarlierRun(new OriginRun(row.GetString(0), new ShardId(row.GetInt32(1)), row.GetString(2), row.GetInt32(3)), row.GetInt64(4))).ConfigureAwait(false)
            is { Count: > 0 } runs ? new EarlierStores(runs) : EarlierStores.None;

    // Nodes are known by the name under which they connect, which is this session's too.
    private static async Task<bool> IsInUseAsync(NpgsqlConnection connection) => (await connection.QueryAsync(
        """
        SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = current_setting('application_name') AND pid <> pg_backend_pid())
        """,
        row => row.GetBoolean(0)).ConfigureAwait(false))[0];

    private static async Task<(string StoreId, string Group)> ReadStoreAsync(NpgsqlConnection connection, string database) =>
        await connection.QueryAsync("SELECT store_id, consumer_group FROM store", row => (row.GetString(0), row.GetString(1))).ConfigureAwait(false)
            is [var store] ? store : throw StoreRefusals.NoStore(database);
}
