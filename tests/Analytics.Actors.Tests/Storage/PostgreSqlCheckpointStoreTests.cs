using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;
using Npgsql;

namespace Analytics.Actors.Tests.Storage;

/// <summary>The conformance suite on a server.</summary>
[Collection(PostgreSqlTests.Name)]
public sealed class PostgreSqlCheckpointStoreTests(PostgreSqlServer server) : CheckpointStoreConformance
{
    private readonly string schema = server.NewSchema();

    protected override ICheckpointStore Connect() => new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(schema));

    protected override ICheckpointStore ConnectToNothing() => new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(server.NewSchema()));

    protected override Task AgeNodesAsync(long ms) =>
        ((PostgreSqlCheckpointStore)Store).WithConnection(connection => connection.RunAsync("UPDATE cluster_node SET seen_ms = seen_ms - $1", ms));

    [Fact]
    public async Task A_node_that_starts_waits_for_a_migration_however_long_it_takes()
    {
        var own = server.NewSchema();
        await using var store = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(own), new PostgreSqlStoreOptions { LockTimeout = TimeSpan.FromSeconds(2) });
        await store.OpenAsync("analytics", 1, default);
        await using var other = new NpgsqlConnection(own);
        await other.OpenAsync();
        await using var transaction = await other.BeginTransactionAsync();
        await using var migration = other.CreateCommand();
        // The lock of migrations, and a statement that takes longer than the lock timeout; that long a transaction may stand still, too.
        migration.CommandText = $"SELECT pg_advisory_xact_lock({0x616e616c79746963})";
        await migration.ExecuteNonQueryAsync();
        var pinning = store.PinRulesAsync([new RoutingRule("a", "b")], default).AsTask();
        migration.CommandText = "SELECT pg_sleep(3)";
        await migration.ExecuteNonQueryAsync();
        await transaction.CommitAsync();
        (await pinning).ShouldBeEmpty();
    }
}
