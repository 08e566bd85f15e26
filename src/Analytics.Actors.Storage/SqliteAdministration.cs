using System.Security.Cryptography;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Storage;

/// <summary>What an operator asks of a SQLite file.</summary>
internal static class SqliteAdministration
{
    public static StoreDescription Describe(SqliteSession session, string path)
    {
        var version = SqliteSchema.ReadVersion(session, path);
        if (version == 0) throw StoreRefusals.NoStore(path);
        var (storeId, group) = ReadStore(session, path);
        var shards = session.Prepare("SELECT shard, epoch, checkpoint, owner, released FROM shard ORDER BY shard").Read(row =>
            new ShardDescription(new ShardId((int)row.Integer(0)), new Epoch(row.Integer(1)), row.Integer(2), row.Text(3), row.Integer(4) != 0));
        return new StoreDescription("sqlite", path, storeId, group, version, shards)
        {
            EarlierIds = version < Migrations.EarlierRuns ? [] : session.Prepare("SELECT DISTINCT store_id FROM earlier_run ORDER BY store_id").Read(row => row.Text(0)),
        };
    }

    /// <summary>Inside a write transaction.</summary>
    public static StoreRenewal Renew(SqliteSession session, string path)
    {
        if (SqliteSchema.ReadVersion(session, path) == 0) throw StoreRefusals.NoStore(path);
        SqliteSchema.Migrate(session, path);
        var before = ReadStore(session, path).StoreId;
        var after = RandomNumberGenerator.GetHexString(12, lowercase: true);
        var shards = session.Prepare("SELECT shard, epoch, state FROM shard").Read(row => (Shard: (int)row.Integer(0), Epoch: row.Integer(1), State: row.Blob(2)));
        foreach (var (run, next) in Renewals.EndsOf(before, shards.Select(shard => (shard.Shard, shard.State))))
        {
            session.Prepare("INSERT INTO earlier_run (store_id, shard, topic, partition, next_sequence) VALUES (?1, ?2, ?3, ?4, ?5)")
                .Bind(1, run.Store).Bind(2, run.Shard.Value).Bind(3, run.Topic).Bind(4, run.Partition).Bind(5, next).Execute();
        }

        var epoch = Renewals.EpochAbove(shards.Max(shard => shard.Epoch), DateTimeOffset.UtcNow);
        session.Prepare("UPDATE shard SET epoch = ?1").Bind(1, epoch).Execute();
        session.Prepare("UPDATE store SET store_id = ?1").Bind(1, after).Execute();
        return new StoreRenewal(before, after, shards.Count);
    }

    public static EarlierStores ReadEarlier(SqliteSession session) =>
        session.Prepare("SELECT store_id, shard, topic, partition, next_sequence FROM earlier_run").Read(row =>
            new EarlierRun(new OriginRun(row.Text(0), new ShardId((int)row.Integer(1)), row.Text(2), (int)row.Integer(3)), row.Integer(4)))
            is { Count: > 0 } runs ? new EarlierStores(runs) : EarlierStores.None;

    private static (string StoreId, string Group) ReadStore(SqliteSession session, string path) =>
        session.Prepare("SELECT store_id, consumer_group FROM store").Read(row => (row.Text(0), row.Text(1))) is [var store] ? store : throw StoreRefusals.NoStore(path);
}
