using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;
using Npgsql;

namespace Analytics.Actors.Tests.Storage;

/// <summary>
/// What a server and the way to it can do wrong, at each step of a commit: what the node is told must be what is in the
/// database, or "unknown", and then a takeover reads the truth.
/// </summary>
[Collection(PostgreSqlTests.Name)]
public sealed class PostgreSqlFailureTests : IAsyncLifetime
{
    // As it ends on the wire; every transaction begins with READ COMMITTED.
    private const string CommitMessage = "COMMIT\0";
    private static readonly ShardId Zero = new(0), One = new(1);

    // For the tests whose fault is silence. The others do not depend on how busy the machine is.
    private static readonly PostgreSqlStoreOptions Impatient = new() { CommandTimeout = TimeSpan.FromSeconds(5), LockTimeout = TimeSpan.FromSeconds(1) };
    private static readonly TimeSpan NotForEver = TimeSpan.FromSeconds(60);
    private readonly PostgreSqlServer server;
    private readonly string schema = $"test_{Guid.NewGuid():n}";
    private readonly TcpProxy proxy;
    private readonly List<PostgreSqlCheckpointStore> stores = [];
    private PostgreSqlCheckpointStore store = null!;
    private Epoch epoch;

    public PostgreSqlFailureTests(PostgreSqlServer server)
    {
        this.server = server;
        proxy = new TcpProxy(server.Port);
    }

    public async Task InitializeAsync()
    {
        store = await Open(proxy.Port, new PostgreSqlStoreOptions());
        epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        await store.CommitAsync([Checkpoint(1, Station("first"))], default);
    }

    public async Task DisposeAsync()
    {
        foreach (var opened in stores) await opened.DisposeAsync();
        proxy.Dispose();
    }

    [Fact]
    public async Task A_commit_whose_answer_is_lost_is_unknown_and_a_takeover_finds_it()
    {
        proxy.When(CommitMessage, TcpProxy.Fault.CutBeforeAnswer);
        await Should.ThrowAsync<CommitOutcomeUnknownException>(() => Commit(2, "second"));
        await TheTruthIs(2, "first", "second");
    }

    [Fact]
    public async Task A_commit_that_never_arrives_is_unknown_and_a_takeover_finds_nothing_of_it()
    {
        proxy.When(CommitMessage, TcpProxy.Fault.CutBefore);
        await Should.ThrowAsync<CommitOutcomeUnknownException>(() => Commit(2, "second"));
        await TheTruthIs(1, "first");
    }

    [Fact]
    public async Task A_commit_that_is_never_answered_is_unknown_when_its_time_is_up()
    {
        store = await Open(proxy.Port, Impatient);
        proxy.When(CommitMessage, TcpProxy.Fault.Silence);
        await Should.ThrowAsync<CommitOutcomeUnknownException>(() => Commit(2, "second").WaitAsync(NotForEver));
        proxy.Heal();
        await TheTruthIs(2, "first", "second");
    }

    [Theory]
    [InlineData("UPDATE shard")]
    [InlineData("INSERT INTO entity")]
    public async Task A_connection_that_breaks_before_the_commit_leaves_nothing_behind(string statement)
    {
        proxy.When(statement, TcpProxy.Fault.CutBefore);
        var failure = await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second"));
        failure.Message.ShouldContain("the PostgreSQL database 'postgres' on 127.0.0.1");
        (await Commit(2, "again")).ShouldBe([CheckpointOutcome.Committed]);
        await TheTruthIs(2, "again", "first");
    }

    [Theory]
    [InlineData("UPDATE shard")]
    [InlineData("INSERT INTO entity")]
    public async Task A_statement_whose_answer_is_lost_leaves_nothing_behind(string statement)
    {
        proxy.When(statement, TcpProxy.Fault.CutBeforeAnswer);
        await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second"));
        (await Commit(2, "again")).ShouldBe([CheckpointOutcome.Committed]);
        await TheTruthIs(2, "again", "first");
    }

    [Fact]
    public async Task A_server_that_falls_silent_holds_nobody_up_for_ever()
    {
        store = await Open(proxy.Port, Impatient);
        proxy.When("UPDATE shard", TcpProxy.Fault.Silence);
        await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second").WaitAsync(NotForEver));
        // New connections are not answered either.
        await Task.WhenAll(
            Should.ThrowAsync<StoreUnavailableException>(async () => await store.TakeOverAsync(Zero, "node", default).AsTask().WaitAsync(NotForEver)),
            Should.ThrowAsync<StoreUnavailableException>(async () => await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default).AsTask().WaitAsync(NotForEver)));
        proxy.Heal();
        (await Eventually(() => Commit(2, "again"))).ShouldBe([CheckpointOutcome.Committed]);
        await TheTruthIs(2, "again", "first");
    }

    [Fact]
    public async Task A_session_that_an_administrator_ends_in_the_middle_leaves_nothing_behind()
    {
        var entities = new ObservedList<EntityState>([Station("second"), Station("third")], at: 1, () => EndSessions().ShouldBe(1));
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.CommitAsync([Checkpoint(2) with { Entities = entities }], default));
        (await Eventually(() => Commit(2, "again"))).ShouldBe([CheckpointOutcome.Committed]);
        await TheTruthIs(2, "again", "first");
    }

    [Theory]
    [InlineData("PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10)")]
    [InlineData("PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(10)")]
    [InlineData("RAISE 'nobody knows' USING ERRCODE = '40003'")]
    [InlineData("RAISE 'out of memory, perhaps' USING ERRCODE = '53200'")]
    public async Task A_commit_that_the_server_answers_with_a_failure_is_unknown(string whileCommitting)
    {
        AtCommit(whileCommitting);
        await Should.ThrowAsync<CommitOutcomeUnknownException>(() => Commit(2, "second"));
        await TheTruthIs(1, "first");
    }

    [Theory]
    [InlineData("40001")]
    [InlineData("40P01")]
    [InlineData("23505")]
    public async Task A_commit_that_the_server_proves_to_be_rolled_back_is_repeated(string state)
    {
        AtCommit($"RAISE 'rolled back' USING ERRCODE = '{state}'");
        await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second"));
        server.Execute($"DROP TRIGGER at_commit ON {schema}.shard");
        (await Commit(2, "again")).ShouldBe([CheckpointOutcome.Committed]);
        await TheTruthIs(2, "again", "first");
    }

    /// <summary>So a server answers whose wait for its standbys was cancelled: committed here, perhaps not there.</summary>
    [Fact]
    public async Task A_commit_that_is_answered_with_a_warning_is_unknown()
    {
        AtCommit("RAISE WARNING 'canceling wait for synchronous replication due to user request'");
        var unknown = await Should.ThrowAsync<CommitOutcomeUnknownException>(() => Commit(2, "second"));
        unknown.Message.ShouldContain("synchronous replication");
        server.Execute($"DROP TRIGGER at_commit ON {schema}.shard");
        await TheTruthIs(2, "first", "second");
    }

    [Fact]
    public async Task A_takeover_whose_commit_fails_may_simply_be_repeated()
    {
        proxy.When(CommitMessage, TcpProxy.Fault.CutBeforeAnswer);
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.TakeOverAsync(Zero, "node", default));
        (await store.TakeOverAsync(Zero, "node", default)).Epoch.ShouldBe(new Epoch(epoch.Value + 2));
    }

    [Fact]
    public async Task A_server_that_crashes_in_the_middle_and_comes_back_has_every_acknowledged_checkpoint()
    {
        var entities = new ObservedList<EntityState>([Station("second"), Station("third")], at: 1, () => server.Stop("immediate"));
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.CommitAsync([Checkpoint(2) with { Entities = entities }], default));
        try
        {
            await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second"));
            await Should.ThrowAsync<StoreUnavailableException>(async () => await store.TakeOverAsync(Zero, "node", default));
            await Should.ThrowAsync<StoreUnavailableException>(async () => await store.UpdateSourcesAsync([], default));
        }
        finally
        {
            server.Start();
        }

        (await Eventually(() => Commit(2, "again"))).ShouldBe([CheckpointOutcome.Committed]);
        await TheTruthIs(2, "again", "first");
    }

    [Fact]
    public async Task A_server_that_is_restarted_while_nothing_happens_is_found_again()
    {
        server.Stop("fast");
        server.Start();
        (await Eventually(() => Commit(2, "second"))).ShouldBe([CheckpointOutcome.Committed]);
        await TheTruthIs(2, "first", "second");
    }

    [Fact]
    public async Task An_owner_that_froze_in_the_middle_of_a_commit_loses_its_transaction_and_the_next_one_takes_over()
    {
        store = await Open(server.Port, Impatient);
        var next = await Open(server.Port, new PostgreSqlStoreOptions());
        RecoveredShard? taken = null;
        // Frozen: it asks nothing more until the next owner has the shard.
        var entities = new ObservedList<EntityState>([Station("second"), Station("third")], at: 1,
            () => taken = Eventually(() => next.TakeOverAsync(Zero, "next", default).AsTask()).GetAwaiter().GetResult());
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.CommitAsync([Checkpoint(2) with { Entities = entities }], default));
        taken.ShouldNotBeNull().CheckpointNumber.ShouldBe(1);
        (await Eventually(() => Commit(2, "second"))).ShouldBe([CheckpointOutcome.Fenced]);
    }

    [Fact]
    public async Task A_row_that_another_transaction_keeps_makes_the_store_unavailable_and_not_stuck()
    {
        store = await Open(server.Port, Impatient);
        await using var other = new NpgsqlConnection(server.Schema(schema));
        await other.OpenAsync();
        await using (await other.BeginTransactionAsync())
        {
            await other.RunAsync("SELECT 1 FROM shard FOR UPDATE");
            var failure = await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second"));
            failure.Message.ShouldContain("lock timeout");
            await Should.ThrowAsync<StoreUnavailableException>(async () => await store.TakeOverAsync(Zero, "node", default));
            (await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).Count.ShouldBe(1);
        }

        (await Eventually(() => Commit(2, "second"))).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Fact]
    public async Task Groups_of_two_nodes_in_opposite_orders_do_not_wait_for_each_other()
    {
        var owner = await Open(server.Port, new PostgreSqlStoreOptions());
        var zombie = await Open(server.Port, new PostgreSqlStoreOptions());
        var shards = Enumerable.Range(0, 4).Select(i => new ShardId(i)).ToArray();
        var old = new Dictionary<ShardId, Epoch>();
        foreach (var shard in shards) old[shard] = (await zombie.TakeOverAsync(shard, "zombie", default)).Epoch;
        var first = new Dictionary<ShardId, RecoveredShard>();
        foreach (var shard in shards) first[shard] = await owner.TakeOverAsync(shard, "owner", default);
        const int Rounds = 50;

        var committing = Task.Run(async () =>
        {
            for (var round = 1; round <= Rounds; round++)
                (await owner.CommitAsync([.. shards.Select(shard => Checkpoint(first[shard].CheckpointNumber + round, Station($"{round}")) with { Shard = shard, Epoch = first[shard].Epoch })], default)).ShouldAllBe(outcome => outcome == CheckpointOutcome.Committed);
        });
        while (!committing.IsCompleted)
            (await zombie.CommitAsync([.. shards.Reverse().Select(shard => Checkpoint(1, Station("late")) with { Shard = shard, Epoch = old[shard] })], default)).ShouldAllBe(outcome => outcome == CheckpointOutcome.Fenced);
        await committing;
        (await owner.TakeOverAsync(One, "owner", default)).CheckpointNumber.ShouldBe(Rounds);
    }

    [Fact]
    public async Task A_commit_waits_for_the_disk_whatever_the_server_thinks()
    {
        foreach (var setting in (string[])["off", "local"])
        {
            await using var careless = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse($"{server.Schema(schema)};Options=-c synchronous_commit={setting}"));
            (await careless.WithConnection(connection => connection.QueryAsync("SHOW synchronous_commit", row => row.GetString(0)))).ShouldBe(["on"]);
        }

        await using var careful = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse($"{server.Schema(schema)};Options=-c synchronous_commit=remote_apply"));
        (await careful.WithConnection(connection => connection.QueryAsync("SHOW synchronous_commit", row => row.GetString(0)))).ShouldBe(["remote_apply"]);
    }

    [Fact]
    public async Task Of_several_hosts_the_one_that_is_there_is_found()
    {
        var several = server.Schema(schema).Replace("Host=127.0.0.1;", $"Host=127.0.0.1:{PostgreSqlServer.FreePort()},127.0.0.1:{server.Port};", StringComparison.Ordinal);
        foreach (var address in (string[])[several, several + ";Target Session Attributes=primary"])
        {
            await using var found = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(address));
            await found.OpenAsync("analytics", 4, default);
            (await found.TakeOverAsync(Zero, "node", default)).CheckpointNumber.ShouldBe(1);
        }
    }

    [Fact]
    public async Task A_database_that_does_not_exist_is_named_and_no_password_is()
    {
        await using var nowhere = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse($"postgres://postgres:hunter2@127.0.0.1:{server.Port}/nowhere?sslmode=disable"));
        var failure = await Should.ThrowAsync<StoreUnavailableException>(async () => await nowhere.OpenAsync("analytics", 2, default));
        failure.Message.ShouldContain("\"nowhere\" does not exist");
        failure.ToString().ShouldNotContain("hunter2");
    }

    [Fact]
    public async Task A_closed_store_says_so()
    {
        await store.DisposeAsync();
        await store.DisposeAsync();
        await Should.ThrowAsync<ObjectDisposedException>(async () => await store.TakeOverAsync(Zero, "node", default));
        await Should.ThrowAsync<ObjectDisposedException>(async () => await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default));
    }

    private async Task<PostgreSqlCheckpointStore> Open(int port, PostgreSqlStoreOptions options)
    {
        var opened = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(server.Schema(schema, port)), options);
        stores.Add(opened);
        await opened.OpenAsync("analytics", 4, default);
        return opened;
    }

    private Task<IReadOnlyList<CheckpointOutcome>> Commit(long number, string key) => store.CommitAsync([Checkpoint(number, Station(key))], default).AsTask();

    /// <summary>What the next owner finds, on a way of its own.</summary>
    private async Task TheTruthIs(long number, params string[] stations)
    {
        var next = await Open(server.Port, new PostgreSqlStoreOptions());
        var found = await next.TakeOverAsync(Zero, "next", default);
        found.CheckpointNumber.ShouldBe(number);
        (await next.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).Select(entity => entity.Key).ShouldBe(stations);
        (await store.CommitAsync([Checkpoint(number + 1, Station("too late"))], default).AsTask().ContinueWith(commit => commit.IsFaulted ? CheckpointOutcome.Fenced : commit.Result[0], TaskScheduler.Default)).ShouldBe(CheckpointOutcome.Fenced);
    }

    /// <summary>Something that the server does inside COMMIT of every transaction that changes a shard.</summary>
    private void AtCommit(string statements)
    {
        server.Execute($"CREATE FUNCTION {schema}.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statements}; RETURN NULL; END $$");
        server.Execute($"CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE OF checkpoint ON {schema}.shard DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.at_commit()");
    }

    private long EndSessions() => (long)server.Execute(
        "SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'analytics' AND state = 'idle in transaction') AS ended")!;

    /// <summary>As a node does it: what was not done is tried again.</summary>
    private static async Task<T> Eventually<T>(Func<Task<T>> work)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await work();
            }
            catch (StoreUnavailableException) when (attempt < 50)
            {
            }
        }
    }

    private ShardCheckpoint Checkpoint(long number, params EntityState[] entities) => new()
    {
        Shard = Zero, Epoch = epoch, Number = number, ShardState = [],
        Entities = entities, Positions = [], Marks = [], OutboxAdded = [], OutboxRemoved = [],
    };

    private static EntityState Station(string key) => new(EntityKind.Station, key, [1]);
}
