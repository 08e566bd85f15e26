using System.Security.Cryptography;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Storage;

/// <summary>Brings a SQLite file to this binary's schema, and pins what belongs to the file for good.</summary>
internal static class SqliteSchema
{
    /// <summary>
    /// One write transaction, whose lock is the lock among nodes that open one file at the same time: the first one
    /// creates everything, the others find it done.
    /// </summary>
    public static StoreIdentity Open(SqliteSession session, string path, string group, int shardCount)
    {
        session.Run("PRAGMA journal_mode = WAL");
        return session.Write(() =>
        {
            Migrate(session, path);
            return Pin(session, path, group, shardCount);
        });
    }

    /// <summary>Inside a write transaction.</summary>
    public static void Migrate(SqliteSession session, string path)
    {
        session.Run(Migrations.VersionTable.Sqlite);
        var version = ReadVersion(session, path);
        foreach (var migration in Migrations.All)
        {
            if (migration.Number <= version) continue;
            session.Run(migration.Sqlite);
            session.Prepare("INSERT INTO schema_version (version, name, applied_by) VALUES (?1, ?2, ?3)")
                .Bind(1, migration.Number).Bind(2, migration.Name).Bind(3, Migrations.Binary).Execute();
        }
    }

    /// <summary>The last migration applied; 0 for a file that is not ours yet.</summary>
    public static int ReadVersion(SqliteSession session, string path)
    {
        if (session.Prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").Read(row => row.Integer(0)).Count == 0) return 0;
        var applied = session
            .Prepare("SELECT version, name, applied_by FROM schema_version ORDER BY version DESC LIMIT 1")
            .Read(row => (Version: row.Integer(0), Name: row.Text(1), By: row.Text(2)))
            .FirstOrDefault();
        StoreRefusals.RequireKnownVersion(path, applied.Version, applied.Name, applied.By);
        return (int)applied.Version;
    }

    private static StoreIdentity Pin(SqliteSession session, string path, string group, int shardCount)
    {
        var pinned = session.Prepare("SELECT store_id, consumer_group, shard_count FROM store")
            .Read(row => (StoreId: row.Text(0), Group: row.Text(1), ShardCount: row.Integer(2)));
        if (pinned.Count == 0)
        {
            var storeId = RandomNumberGenerator.GetHexString(12, lowercase: true);
            session.Prepare("INSERT INTO store (id, store_id, consumer_group, shard_count) VALUES (1, ?1, ?2, ?3)")
                .Bind(1, storeId).Bind(2, group).Bind(3, shardCount).Execute();
            for (var shard = 0; shard < shardCount; shard++)
            {
                session.Prepare("INSERT INTO shard (shard, epoch, checkpoint, owner, released, state) VALUES (?1, 0, 0, '', 1, x'')")
                    .Bind(1, shard).Execute();
            }
            return new StoreIdentity(storeId, Migrations.Latest);
        }
        var earlier = SqliteAdministration.ReadEarlier(session);
        StoreRefusals.RequireSamePins(path, pinned[0].Group, pinned[0].ShardCount, group, shardCount);
        return new StoreIdentity(pinned[0].StoreId, Migrations.Latest) { Earlier = earlier };
    }
}
