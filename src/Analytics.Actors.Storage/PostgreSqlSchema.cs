using System.Security.Cryptography;
using Analytics.Actors.Core.Checkpoints;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>Brings a PostgreSQL database to this binary's schema, and pins what belongs to it for good.</summary>
internal static class PostgreSqlSchema
{
    /// <summary>
    /// "analytic" in ASCII. Whoever changes the schema or what is pinned holds this lock until its transaction ends; it
    /// belongs to the database, so two schemas in one database wait for each other, which does no harm.
    /// </summary>
    private const long LockKey = 0x616e616c79746963;

    /// <summary>Taken by every transaction that must be the only one of its kind.</summary>
    public static Task LockAsync(NpgsqlConnection connection) => connection.RunAsync($"SELECT pg_advisory_xact_lock({LockKey})");

    /// <summary>The same where a node starts: another's migration may take longer than any ordinary transaction.</summary>
    public static async Task LockForStartAsync(NpgsqlConnection connection)
    {
        await connection.RunAsync("SET LOCAL lock_timeout = 0").ConfigureAwait(false);
        await LockAsync(connection).ConfigureAwait(false);
    }

    /// <summary>Runs inside one transaction; nodes that open one database at the same time do so one after the other.</summary>
    public static async Task<StoreIdentity> OpenAsync(NpgsqlConnection connection, string database, string group, int shardCount)
    {
        await LockForStartAsync(connection).ConfigureAwait(false);
        var encoding = await connection.QueryAsync("SHOW server_encoding", row => row.GetString(0)).ConfigureAwait(false);
        if (encoding[0] != "UTF8") throw new StoreRefusedException($"{database} has the encoding {encoding[0]}, which cannot hold every text. Make one with the encoding UTF8.");
        await MigrateAsync(connection, database).ConfigureAwait(false);
        return await PinAsync(connection, database, group, shardCount).ConfigureAwait(false);
    }

    /// <summary>The last migration applied; 0 for a database that is not ours yet.</summary>
    public static async Task<int> ReadVersionAsync(NpgsqlConnection connection, string database)
    {
        if ((await connection.QueryAsync("SELECT to_regclass('schema_version') IS NOT NULL", row => row.GetBoolean(0)).ConfigureAwait(false))[0] is false) return 0;
        var applied = await connection.QueryAsync(
            "SELECT version, name, applied_by FROM schema_version ORDER BY version DESC LIMIT 1",
            row => (Version: row.GetInt32(0), Name: row.GetString(1), By: row.GetString(2))).ConfigureAwait(false);
        if (applied.Count == 0) return 0;
        StoreRefusals.RequireKnownVersion(database, applied[0].Version, applied[0].Name, applied[0].By);
        return applied[0].Version;
    }

    /// <summary>Inside a transaction that holds the lock.</summary>
    public static async Task MigrateAsync(NpgsqlConnection connection, string database)
    {
        await connection.RunAsync(Migrations.VersionTable.PostgreSql).ConfigureAwait(false);
        var version = await ReadVersionAsync(connection, database).ConfigureAwait(false);
        foreach (var migration in Migrations.All.Where(migration => migration.Number > version))
        {
            await connection.RunAsync(migration.PostgreSql).ConfigureAwait(false);
            await connection.RunAsync(
                "INSERT INTO schema_version (version, name, applied_by) VALUES ($1, $2, $3)", migration.Number, migration.Name, Migrations.Binary).ConfigureAwait(false);
        }
    }

    private static async Task<StoreIdentity> PinAsync(NpgsqlConnection connection, string database, string group, int shardCount)
    {
        var pinned = await connection.QueryAsync(
            "SELECT store_id, consumer_group, shard_count FROM store",
            row => (StoreId: row.GetString(0), Group: row.GetString(1), ShardCount: row.GetInt32(2))).ConfigureAwait(false);
        if (pinned.Count > 0)
        {
            StoreRefusals.RequireSamePins(database, pinned[0].Group, pinned[0].ShardCount, group, shardCount);
            return new StoreIdentity(pinned[0].StoreId, Migrations.Latest) { Earlier = await PostgreSqlAdministration.ReadEarlierAsync(connection).ConfigureAwait(false) };
        }

        var storeId = RandomNumberGenerator.GetHexString(12, lowercase: true);
        await connection.RunAsync("INSERT INTO store (id, store_id, consumer_group, shard_count) VALUES (1, $1, $2, $3)", storeId, group, shardCount).ConfigureAwait(false);
        await connection.RunAsync(
            "INSERT INTO shard (shard, epoch, checkpoint, owner, released, state) SELECT n, 0, 0, '', true, ''::bytea FROM generate_series(0, $1 - 1) AS n", shardCount).ConfigureAwait(false);
        return new StoreIdentity(storeId, Migrations.Latest);
    }
}
