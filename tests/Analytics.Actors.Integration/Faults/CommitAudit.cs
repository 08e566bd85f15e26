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

    /// <summary>What happened to a shard's rows, by the database's clock.</summary>
    /// <param name="Next">Of a commit that moved its position in the parts' log: the next offset; else null.</param>
    /// <param name="Owner">Of a takeover: by whom; else null.</param>
    /// <param name="IsRelease">The last checkpoint of an owner that gives it up in order.</param>
    internal sealed record ShardChange(int Shard, DateTime At, long? Next, string? Owner, bool IsRelease);

    public static async Task<CommitAudit> StartAsync(string address, int shards = Cluster.Shards)
    {
        await using (var store = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(address))) await store.OpenAsync(Cluster.Group, shards, CancellationToken.None);
        var audit = new CommitAudit(address);
        await using var command = audit.source.CreateCommand(
            """
            CREATE TABLE audit (shard int, epoch bigint, checkpoint bigint, is_takeover boolean, owner text, committer text, released boolean, at timestamptz);
            CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO audit VALUES (NEW.shard, NEW.epoch, NEW.checkpoint, NEW.epoch <> OLD.epoch, NEW.owner, current_setting('application_name'), NEW.released, clock_timestamp());
                RETURN NULL;
            END $$;
            CREATE TRIGGER note AFTER UPDATE ON shard FOR EACH ROW EXECUTE FUNCTION note();
            CREATE TABLE audit_position (shard int, next_offset bigint, at timestamptz);
            CREATE FUNCTION note_position() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO audit_position VALUES (NEW.shard, NEW.next_offset, clock_timestamp());
                RETURN NULL;
            END $$;
            CREATE TRIGGER note AFTER INSERT OR UPDATE ON position FOR EACH ROW WHEN (NEW.topic LIKE '%.station-events') EXECUTE FUNCTION note_position();
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

    /// <summary>All takeovers, releases and progress, in the order in which they happened to each shard.</summary>
    public async Task<IReadOnlyList<ShardChange>> ReadChangesAsync()
    {
        await using var command = source.CreateCommand(
            """
            SELECT shard, at, NULL, CASE WHEN is_takeover THEN owner END, released FROM audit WHERE (is_takeover OR released) AND owner <> 'the test'
            UNION ALL SELECT shard, at, next_offset, NULL, false FROM audit_position
            ORDER BY 1, 2
            """);
        await using var reader = await command.ExecuteReaderAsync();
        List<ShardChange> changes = [];
        while (await reader.ReadAsync())
        {
            changes.Add(new ShardChange(
                reader.GetInt32(0), reader.GetDateTime(1), reader.IsDBNull(2) ? null : reader.GetInt64(2), reader.IsDBNull(3) ? null : reader.GetString(3), reader.GetBoolean(4)));
        }

        return changes;
    }

    /// <summary>Who owns how many shards that are not released.</summary>
    public async Task<IReadOnlyDictionary<int, string>> ReadOwnersAsync()
    {
        await using var command = source.CreateCommand("SELECT shard, owner FROM shard WHERE NOT released AND owner <> ''");
        await using var reader = await command.ExecuteReaderAsync();
        var owners = new Dictionary<int, string>();
        while (await reader.ReadAsync()) owners.Add(reader.GetInt32(0), reader.GetString(1));
        return owners;
    }

    public ValueTask DisposeAsync() => source.DisposeAsync();
}
