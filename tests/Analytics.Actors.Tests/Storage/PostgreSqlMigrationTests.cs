using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Storage;

/// <summary>How a database on a server gets from any version of the schema to the latest, as <see cref="MigrationTests"/> for files.</summary>
[Collection(PostgreSqlTests.Name)]
public sealed class PostgreSqlMigrationTests(PostgreSqlServer server)
{
    private readonly string schema = $"test_{Guid.NewGuid():n}";

    [Fact]
    public async Task Opening_again_applies_nothing_twice_and_keeps_the_data()
    {
        var first = await Open();
        await using (var store = Connect())
        {
            await store.OpenAsync("analytics", 2, default);
            await store.TakeOverAsync(new ShardId(1), "node", default);
        }

        (await Open()).ShouldBe(first);
        Query("SELECT count(*) FROM {0}.schema_version").ShouldBe((long)Migrations.All.Count);
        Query("SELECT count(*) FROM {0}.shard").ShouldBe(2L);
        Query("SELECT epoch FROM {0}.shard WHERE shard = 1").ShouldBe(1L);
    }

    [Fact]
    public async Task A_database_of_any_earlier_version_is_brought_up_to_date()
    {
        foreach (var older in Migrations.All.SkipLast(1))
        {
            await using var made = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(server.NewSchema()));
            await made.WithConnection(async connection =>
            {
                await connection.RunAsync(Migrations.VersionTable.PostgreSql);
                foreach (var step in Migrations.All.Where(step => step.Number <= older.Number))
                {
                    await connection.RunAsync(step.PostgreSql);
                    await connection.RunAsync("INSERT INTO schema_version (version, name, applied_by) VALUES ($1, $2, 'analytics 0.0.1')", step.Number, step.Name);
                }

                return true;
            });
            (await made.OpenAsync("analytics", 2, default)).SchemaVersion.ShouldBe(Migrations.Latest);
            (await made.TakeOverAsync(new ShardId(0), "node", default)).Epoch.ShouldBe(new Epoch(1));
        }
    }

    [Fact]
    public async Task A_database_of_a_newer_binary_is_refused_and_the_binary_named()
    {
        await Open();
        Query("INSERT INTO {0}.schema_version (version, name, applied_by) VALUES (99, 'from the future', 'analytics 7.3.0')");
        var refusal = await Should.ThrowAsync<StoreRefusedException>(Open);
        refusal.Message.ShouldContain("the PostgreSQL database 'postgres'");
        refusal.Message.ShouldContain("schema version 99");
        refusal.Message.ShouldContain("Run analytics 7.3.0 or newer");
    }

    [Fact]
    public async Task A_migration_that_fails_leaves_nothing_behind()
    {
        server.Schema(schema);
        // The last table of the first step is there already, and is not ours.
        Query("CREATE TABLE {0}.source (something text)");
        await Should.ThrowAsync<StoreUnavailableException>(Open);
        Query("SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = '{0}'").ShouldBe("source");
        Query("DROP TABLE {0}.source");
        (await Open()).SchemaVersion.ShouldBe(Migrations.Latest);
    }

    [Fact]
    public async Task Nodes_that_open_a_new_database_at_the_same_time_agree()
    {
        const int Nodes = 6;
        var stores = Enumerable.Range(0, Nodes).Select(_ => Connect()).ToArray();
        try
        {
            var identities = await Task.WhenAll(stores.Select(store => Task.Run(() => store.OpenAsync("analytics", 2, default).AsTask())));
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
    public async Task A_database_that_cannot_hold_every_text_is_refused()
    {
        var name = $"latin_{Guid.NewGuid():n}";
        server.Execute($"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
        await using var store = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse($"postgres://postgres@127.0.0.1:{server.Port}/{name}?sslmode=disable"));
        var refusal = await Should.ThrowAsync<StoreRefusedException>(async () => await store.OpenAsync("analytics", 2, default));
        refusal.Message.ShouldContain("LATIN1");
        refusal.Message.ShouldContain("UTF8");
    }

    private PostgreSqlCheckpointStore Connect() => new(PostgreSqlAddress.Parse(server.Schema(schema)));

    private async Task<StoreIdentity> Open()
    {
        await using var store = Connect();
        return await store.OpenAsync("analytics", 2, default);
    }

    private object? Query(string sql) => server.Execute(sql.Replace("{0}", schema, StringComparison.Ordinal));
}
