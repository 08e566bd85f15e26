using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Tests.Storage;

/// <summary>The store in memory is its own database: every connection is the same object.</summary>
public sealed class MemoryCheckpointStoreTests : CheckpointStoreConformance
{
    private long nowMs = 1_700_000_000_000;
    private readonly MemoryCheckpointStore database;

    public MemoryCheckpointStoreTests() => database = new MemoryCheckpointStore("00c0ffee0000", () => nowMs);

    protected override ICheckpointStore Connect() => database;

    protected override ICheckpointStore ConnectToNothing() => new MemoryCheckpointStore("00c0ffee0001");

    protected override Task AgeNodesAsync(long ms)
    {
        nowMs += ms;
        return Task.CompletedTask;
    }

    [Fact]
    public async Task Every_call_has_answered_before_it_returns()
    {
        var store = new MemoryCheckpointStore("00c0ffee0002");
        var opened = store.OpenAsync(Group, ShardCount, default);
        opened.IsCompletedSuccessfully.ShouldBeTrue();
        (await opened).StoreId.ShouldBe("00c0ffee0002");
        store.TakeOverAsync(Zero, "node", default).IsCompletedSuccessfully.ShouldBeTrue();
        store.CommitAsync([Full(Zero, 1, 1, "x")], default).IsCompletedSuccessfully.ShouldBeTrue();
        store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default).IsCompletedSuccessfully.ShouldBeTrue();
        store.UpdateSourcesAsync([], default).IsCompletedSuccessfully.ShouldBeTrue();
    }
}
