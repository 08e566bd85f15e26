using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Storage;
using Google.Protobuf;
using Npgsql;

namespace Analytics.Actors.Tests.Storage;

/// <summary>What an operator asks of a store, whatever its database: what is in it, and a new id after a backup was restored.</summary>
public abstract class StoreAdministrationTests : IAsyncLifetime
{
    private static readonly ShardId Zero = new(0), One = new(1);
    private static readonly TopicPartition Results = new("analytics.batch-results", 1), Upload = new("MODULE-OUTPUT-PV_PREDICTION", 0);
    private readonly List<ICheckpointStore> connections = [];

    /// <summary>A connection to this test's database, not opened yet; it is a store and its administration.</summary>
    protected abstract ICheckpointStore Connect();

    protected abstract string Kind { get; }

    [Fact]
    public async Task A_store_is_described_without_being_opened()
    {
        var (store, identity) = await OpenAsync();
        var epoch = (await store.TakeOverAsync(One, "node-1", default)).Epoch;
        await store.CommitAsync([Checkpoint(One, epoch, 1) with { Release = true }], default);

        var found = await Administration().DescribeAsync(default);
        (found.Kind, found.StoreId, found.Group, found.SchemaVersion).ShouldBe((Kind, identity.StoreId, "analytics", Migrations.Latest));
        found.EarlierIds.ShouldBeEmpty();
        found.Shards.ShouldBe([new(Zero, new Epoch(0), 0, "", true), new(One, epoch, 1, "node-1", true)]);
    }

    [Fact]
    public async Task Where_no_store_is_nothing_is_made()
    {
        await Should.ThrowAsync<StoreRefusedException>(async () => await Administration().DescribeAsync(default));
        var refusal = await Should.ThrowAsync<StoreRefusedException>(async () => await Administration().RenewAsync(false, default));
        refusal.Message.ShouldContain("holds no store");
        await Should.ThrowAsync<StoreRefusedException>(async () => await Administration().DescribeAsync(default));
    }

    [Fact]
    public async Task A_renewal_changes_the_id_raises_every_epoch_and_remembers_where_outputs_ended()
    {
        var (store, before) = await OpenAsync();
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        var state = new ShardState { NextTrigger = 3 };
        state.Destinations.Add(new DestinationState { Topic = Results.Topic, Partition = Results.Partition, NextSequence = 12 });
        state.Destinations.Add(new DestinationState { Topic = Upload.Topic, Partition = Upload.Partition, NextSequence = 4 });
        await store.CommitAsync([Checkpoint(Zero, epoch, 1) with { ShardState = state.ToByteArray() }], default);
        await CloseAsync();

        var renewal = await Administration().RenewAsync(false, default);
        renewal.Before.ShouldBe(before.StoreId);
        renewal.After.ShouldMatch("^[0-9a-f]{12}$");
        renewal.Shards.ShouldBe(2);

        var (again, after) = await OpenAsync();
        after.StoreId.ShouldBe(renewal.After);
        var earlier = after.Earlier;
        earlier.Contains(before.StoreId).ShouldBeTrue();
        earlier.Contains(after.StoreId).ShouldBeFalse();
        earlier.TookBack(new Origin(before.StoreId, Zero, 1, 11), Results.Topic).ShouldBeFalse();
        earlier.TookBack(new Origin(before.StoreId, Zero, 1, 12), Results.Topic).ShouldBeTrue();
        earlier.TookBack(new Origin(before.StoreId, Zero, 0, 3), Upload.Topic).ShouldBeFalse();
        earlier.TookBack(new Origin(before.StoreId, One, 0, 0), Upload.Topic).ShouldBeTrue("that shard had written nothing");
        earlier.TookBack(new Origin(after.StoreId, Zero, 1, 99), Results.Topic).ShouldBeFalse();
        earlier.TookBack(new Origin("another00000", Zero, 1, 99), Results.Topic).ShouldBeFalse();

        var recovered = await again.TakeOverAsync(Zero, "node", default);
        recovered.CheckpointNumber.ShouldBe(1);
        recovered.ShardState.ShouldBe(state.ToByteArray());
        (await Administration().DescribeAsync(default)).EarlierIds.ShouldBe([before.StoreId]);
    }

    [Fact]
    public async Task A_renewed_store_can_be_renewed_again_and_epochs_only_rise()
    {
        await OpenAsync();
        await CloseAsync();
        var first = await Administration().RenewAsync(false, default);
        var between = (await Administration().DescribeAsync(default)).Shards.Select(shard => shard.Epoch).Distinct().ShouldHaveSingleItem();
        await CloseAsync();
        var second = await Administration().RenewAsync(false, default);
        var description = await Administration().DescribeAsync(default);
        description.Shards.ShouldAllBe(shard => shard.Epoch.Value > between.Value);
        description.EarlierIds.ShouldBe([first.Before, second.Before], ignoreOrder: true);
        // Above all that was ever given out, of which a restored database knows nothing.
        between.Value.ShouldBeGreaterThan(DateTimeOffset.UtcNow.AddHours(-1).ToUnixTimeMilliseconds());
    }

    [Fact]
    public async Task While_a_node_is_connected_a_renewal_is_refused()
    {
        var (store, before) = await OpenAsync();
        await store.TakeOverAsync(Zero, "node", default);
        var refusal = await Should.ThrowAsync<StoreRefusedException>(async () => await Administration().RenewAsync(false, default));
        refusal.Message.ShouldContain("stop the nodes first");
        (await Administration().DescribeAsync(default)).StoreId.ShouldBe(before.StoreId);
        (await store.TakeOverAsync(Zero, "node", default)).Epoch.ShouldBe(new Epoch(2));
    }

    [Fact]
    public async Task A_forced_renewal_fences_running_nodes_and_refuses_their_takeovers()
    {
        var (store, before) = await OpenAsync();
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        await store.CommitAsync([Checkpoint(Zero, epoch, 1)], default);
        var renewal = await Administration().RenewAsync(true, default);

        (await store.CommitAsync([Checkpoint(Zero, epoch, 2)], default)).ShouldBe([CheckpointOutcome.Fenced]);
        var refusal = await Should.ThrowAsync<StoreRefusedException>(async () => await store.TakeOverAsync(Zero, "node", default));
        refusal.Message.ShouldContain(before.StoreId);
        refusal.Message.ShouldContain(renewal.After);
        var (next, _) = await OpenAsync();
        (await next.TakeOverAsync(Zero, "node", default)).CheckpointNumber.ShouldBe(1);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await CloseAsync();
        DeleteDatabase();
    }

    protected virtual void DeleteDatabase() { }

    protected async Task CloseAsync()
    {
        foreach (var connection in connections) await connection.DisposeAsync();
        connections.Clear();
    }

    protected async Task<(ICheckpointStore Store, StoreIdentity Identity)> OpenAsync()
    {
        var store = Connect();
        connections.Add(store);
        return (store, await store.OpenAsync("analytics", 2, default));
    }

    protected IStoreAdministration Administration()
    {
        var store = Connect();
        connections.Add(store);
        return (IStoreAdministration)store;
    }

    private static ShardCheckpoint Checkpoint(ShardId shard, Epoch epoch, long number) => new()
    {
        Shard = shard, Epoch = epoch, Number = number, ShardState = [],
        Entities = [], Positions = [], Marks = [], OutboxAdded = [], OutboxRemoved = [],
    };
}

public sealed class SqliteAdministrationTests : StoreAdministrationTests
{
    private readonly DatabaseFile file = new();

    protected override string Kind => "sqlite";

    protected override ICheckpointStore Connect() => new SqliteCheckpointStore(file.Path);

    protected override void DeleteDatabase() => file.Dispose();
}

[Collection(PostgreSqlTests.Name)]
public sealed class PostgreSqlAdministrationTests(PostgreSqlServer server) : StoreAdministrationTests
{
    private readonly string schema = server.NewSchema();

    // Tests of other schemas leave connections behind for a moment; nodes are known by this name.
    private readonly string name = $"Application Name=node-{Guid.NewGuid():n}";

    protected override string Kind => "postgresql";

    protected override ICheckpointStore Connect() => new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse($"{schema};{name}"));

    /// <summary>Right after its last node has stopped the server still shows that one's sessions, for as long as it takes to end them.</summary>
    [Fact]
    public async Task A_node_that_is_just_going_does_not_refuse_a_renewal()
    {
        var (_, before) = await OpenAsync();
        await CloseAsync();
        var node = new NpgsqlConnection($"{schema};{name};Pooling=false");
        await node.OpenAsync();
        await using var last = new NpgsqlCommand("SELECT pg_sleep(0.5)", node);
        var going = last.ExecuteNonQueryAsync();
        var renewing = Administration().RenewAsync(false, default).AsTask();
        await going;
        await node.DisposeAsync();
        (await renewing).Before.ShouldBe(before.StoreId);
    }
}
