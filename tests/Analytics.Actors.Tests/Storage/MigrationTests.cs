using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Storage;

/// <summary>The schema's history, and how a file gets from any version of it to the latest.</summary>
public sealed class MigrationTests : IDisposable
{
    private readonly DatabaseFile file = new();

    [Fact]
    public void Steps_are_numbered_from_one_without_a_gap_and_exist_in_both_dialects()
    {
        Migrations.All.Select(migration => migration.Number).ShouldBe(Enumerable.Range(1, Migrations.All.Count));
        Migrations.All.Select(migration => migration.Name).ShouldBeUnique();
        foreach (var migration in Migrations.All)
        {
            migration.Sqlite.ShouldNotBeNullOrWhiteSpace();
            migration.PostgreSql.ShouldNotBeNullOrWhiteSpace();
            Tables(migration.PostgreSql).ShouldBe(Tables(migration.Sqlite));
        }

        // The dialects differ in types, never in tables and columns.
        static IEnumerable<string> Tables(string sql) => sql.Split('\n')
            .Select(line => line.Trim()).Where(line => line.Length > 0 && !line.StartsWith("--", StringComparison.Ordinal) && !line.StartsWith(')'))
            .Select(line => line.StartsWith("CREATE", StringComparison.Ordinal) || line.StartsWith("PRIMARY", StringComparison.Ordinal) ? line : line.Split(' ')[0]);
    }

    [Fact]
    public async Task Opening_again_applies_nothing_twice_and_keeps_the_data()
    {
        var first = await Open();
        await using (var store = new SqliteCheckpointStore(file.Path))
        {
            await store.OpenAsync("analytics", 2, default);
            await store.TakeOverAsync(new ShardId(1), "node", default);
        }
        var second = await Open();
        second.ShouldBe(first);
        second.SchemaVersion.ShouldBe(Migrations.Latest);
        Query("SELECT count(*) FROM schema_version").ShouldBe(Migrations.All.Count);
        Query("SELECT count(*) FROM shard").ShouldBe(2);
        Query("SELECT epoch FROM shard WHERE shard = 1").ShouldBe(1);
    }

    [Fact]
    public async Task A_database_of_a_newer_binary_is_refused_and_the_binary_named()
    {
        await Open();
        Run("INSERT INTO schema_version (version, name, applied_by) VALUES (99, 'from the future', 'analytics 7.3.0')");
        var refusal = await Should.ThrowAsync<StoreRefusedException>(Open);
        refusal.Message.ShouldContain("schema version 99");
        refusal.Message.ShouldContain("Run analytics 7.3.0 or newer");
        refusal.Message.ShouldContain($"up to {Migrations.Latest}");
    }

    [Fact]
    public async Task A_migration_that_fails_leaves_nothing_behind()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file.Path)!);
        // The last table of the first step is there already, and is not ours.
        Run("CREATE TABLE source (something TEXT)");
        await Should.ThrowAsync<StoreUnavailableException>(Open);
        Query("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").ShouldBe(1);

        Run("DROP TABLE source");
        (await Open()).SchemaVersion.ShouldBe(Migrations.Latest);
    }

    [Fact]
    public async Task Nodes_that_open_a_new_file_at_the_same_time_agree()
    {
        const int Nodes = 6;
        var stores = Enumerable.Range(0, Nodes).Select(_ => new SqliteCheckpointStore(file.Path)).ToArray();
        using var start = new Barrier(Nodes);
        try
        {
            var identities = await Task.WhenAll(stores.Select(store => Task.Factory.StartNew(() =>
            {
                start.SignalAndWait();
                return store.OpenAsync("analytics", 2, default).AsTask();
            }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap()));
            identities.Distinct().ShouldHaveSingleItem();
            var epochs = await Task.WhenAll(stores.Select(store => store.TakeOverAsync(new ShardId(0), "node", default).AsTask()));
            epochs.Select(taken => taken.Epoch.Value).Order().ShouldBe(Enumerable.Range(1, Nodes).Select(i => (long)i));
        }
        finally
        {
            foreach (var store in stores) await store.DisposeAsync();
        }
    }

    [Fact]
    public async Task Stores_made_apart_have_different_ids()
    {
        using var other = new DatabaseFile();
        var first = await Open();
        await using var store = new SqliteCheckpointStore(other.Path);
        (await store.OpenAsync("analytics", 2, default)).StoreId.ShouldNotBe(first.StoreId);
    }

    public void Dispose() => file.Dispose();

    private async Task<StoreIdentity> Open()
    {
        await using var store = new SqliteCheckpointStore(file.Path);
        return await store.OpenAsync("analytics", 2, default);
    }

    private long Query(string sql)
    {
        using var session = SqliteSession.Open(file.Path, new SqliteStoreOptions(), readOnly: false);
        return session.Prepare(sql).Read(row => row.Integer(0)).Single();
    }

    private void Run(string sql)
    {
        using var session = SqliteSession.Open(file.Path, new SqliteStoreOptions(), readOnly: false);
        session.Run(sql);
    }
}
