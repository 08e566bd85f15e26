using Analytics.Actors.Integration.Support;
using Analytics.Actors.Storage;
using Npgsql;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// The database's own account of every commit: a trigger notes which session changed a shard's checkpoint, and who its
/// owner was then. A commit by another than the owner is stale, whatever the nodes say of it.
/// </summary>
internal sealed class CommitAudit : IAsyncDisposable
{
    private readonly NpgsqlDataSource source;

    private CommitAudit(string address) => source = NpgsqlDataSource.Create(address + ";Pooling=false");

    /// <summary>Commits of checkpoints of one shard, in how many epochs, and how many of them by another than the owner.</summary>
    internal sealed record Commits(long Count, long Takeovers, long Stale)
    {
        public override string ToString() => $"{Count} checkpoints of shards committed, {Takeovers} takeovers, {Stale} stale commits";
    }

    public static async Task<CommitAudit> StartAsync(string address)
    {
        await using (var store = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(address))) await store.OpenAsync(Cluster.Group, Cluster.Shards, CancellationToken.None);
        var audit = new CommitAudit(address);
        await using var command = audit.source.CreateCommand(
            """
            CREATE TABLE audit (shard int, epoch bigint, checkpoint bigint, is_takeover boolean, owner text, committer text);
            CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO audit VALUES (NEW.shard, NEW.epoch, NEW.checkpoint, NEW.epoch <> OLD.epoch, NEW.owner, current_setting('application_name'));
                RETURN NULL;
            END $$;
            CREATE TRIGGER note AFTER UPDATE ON shard FOR EACH ROW EXECUTE FUNCTION note();
            """);
        await command.ExecuteNonQueryAsync();
        return audit;
    }

    public async Task<Commits> ReadAsync()
    {
        await using var command = source.CreateCommand(
            """
            SELECT count(*) FILTER (WHERE NOT is_takeover), count(*) FILTER (WHERE is_takeover), count(*) FILTER (WHERE NOT is_takeover AND committer <> owner)
            FROM audit WHERE owner <> 'the test'
            """);
        await using var reader = await command.ExecuteReaderAsync();
        await reader.ReadAsync();
        return new Commits(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2));
    }

    public ValueTask DisposeAsync() => source.DisposeAsync();
}
