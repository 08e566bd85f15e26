using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Storage;

/// <summary>The conformance suite on a file.</summary>
public sealed class SqliteCheckpointStoreTests : CheckpointStoreConformance
{
    private readonly DatabaseFile file = new();

    protected override ICheckpointStore Connect() => new SqliteCheckpointStore(file.Path);

    protected override ICheckpointStore ConnectToNothing() => new SqliteCheckpointStore(file.Path + ".other");

    protected override Task AgeNodesAsync(long ms) =>
        ((SqliteCheckpointStore)Store).WithWriter(session => session.Prepare("UPDATE cluster_node SET seen_ms = seen_ms - ?1").Bind(1, ms).Execute());

    protected override void DeleteDatabase() => file.Dispose();
}

/// <summary>What only a file can do wrong: crashes, a full disk, locks of others, commits that fail.</summary>
public sealed class SqliteFailureTests : IAsyncLifetime
{
    private static readonly ShardId Zero = new(0);
    private readonly DatabaseFile file = new();
    private readonly List<SqliteCheckpointStore> stores = [];

    [Fact]
    public async Task The_writer_waits_for_the_disk_at_every_commit_and_logs_ahead()
    {
        var store = await Open(file.Path);
        var synchronous = await store.WithWriter(session => session.Prepare("PRAGMA synchronous").Read(row => row.Integer(0)).Single());
        var journal = await store.WithWriter(session => session.Prepare("PRAGMA journal_mode").Read(row => row.Text(0)).Single());
        synchronous.ShouldBe(2, "2 is FULL");
        journal.ShouldBe("wal");
    }

    [Fact]
    public async Task An_acknowledged_checkpoint_is_there_after_the_power_fails()
    {
        var store = await Open(file.Path);
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        for (var number = 1; number <= 3; number++)
        {
            await store.CommitAsync([Checkpoint(epoch, number, [Station($"{number}", 100)])], default);
            var found = await TakeOverCopy(file.CopyAsAfterPowerLoss());
            found.CheckpointNumber.ShouldBe(number);
            found.Entities.Count.ShouldBe(number);
        }
    }

    [Fact]
    public async Task Of_a_transaction_in_progress_nothing_is_there_after_the_power_fails()
    {
        // A small cache, so that pages of the unfinished transaction really are in the log when it is copied.
        var store = await Open(file.Path, new SqliteStoreOptions { CacheKilobytes = 64 });
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        await store.CommitAsync([Checkpoint(epoch, 1, [Station("before", 100)])], default);
        var logBefore = new FileInfo(file.Path + "-wal").Length;
        string? copy = null;
        var entities = new ObservedList<EntityState>([.. Enumerable.Range(0, 200).Select(i => Station($"{i}", 10_000))], at: 150, () => copy = file.CopyAsAfterPowerLoss());

        var outcome = await store.CommitAsync([Checkpoint(epoch, 2, entities)], default);

        outcome.ShouldBe([CheckpointOutcome.Committed]);
        new FileInfo(copy.ShouldNotBeNull() + "-wal").Length.ShouldBeGreaterThan(logBefore + 500_000, "else this test shows nothing");
        var found = await TakeOverCopy(copy);
        found.CheckpointNumber.ShouldBe(1);
        found.Entities.Select(entity => entity.Key).ShouldBe(["before"]);
        (await store.TakeOverWholeAsync(Zero, "node", default)).Entities.Count.ShouldBe(201);
    }

    [Fact]
    public async Task A_failure_in_the_middle_rolls_back_and_the_store_goes_on()
    {
        var store = await Open(file.Path);
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        var entities = new ObservedList<EntityState>([Station("a", 10), Station("b", 10)], at: 1, () => throw new InvalidDataException("in the middle"));
        await Should.ThrowAsync<InvalidDataException>(async () => await store.CommitAsync([Checkpoint(epoch, 1, entities)], default));
        (await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).ShouldBeEmpty();
        (await store.CommitAsync([Checkpoint(epoch, 1, [Station("c", 10)])], default)).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Fact]
    public async Task A_commit_that_fails_has_an_unknown_outcome_and_a_takeover_finds_the_truth()
    {
        var store = await Open(file.Path);
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        await FailNextCommit(store);
        await Should.ThrowAsync<CommitOutcomeUnknownException>(async () => await store.CommitAsync([Checkpoint(epoch, 1, [Station("a", 10)])], default));

        var again = await store.TakeOverWholeAsync(Zero, "node", default);
        again.Epoch.ShouldBe(new Epoch(epoch.Value + 1));
        again.Entities.Count.ShouldBe((int)again.CheckpointNumber);
        (await store.CommitAsync([Checkpoint(again.Epoch, again.CheckpointNumber + 1, [Station("b", 10)])], default)).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Fact]
    public async Task Takeovers_and_sources_whose_commit_fails_may_simply_be_repeated()
    {
        var store = await Open(file.Path);
        await FailNextCommit(store);
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.TakeOverAsync(Zero, "node", default));
        await store.TakeOverAsync(Zero, "node", default);
        await FailNextCommit(store);
        SourceState source = new(new("PARAM", 0), 3, 0);
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.UpdateSourcesAsync([source], default));
        (await store.UpdateSourcesAsync([source], default)).ShouldBe([source]);
    }

    [Fact]
    public async Task A_full_disk_rolls_back_and_the_store_goes_on_when_there_is_room_again()
    {
        var store = await Open(file.Path);
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        await store.WithWriter(session =>
        {
            var pages = session.Prepare("PRAGMA page_count").Read(row => row.Integer(0)).Single();
            return session.Prepare($"PRAGMA max_page_count = {pages + 2}").Read(row => row.Integer(0)).Single();
        });
        var failure = await Should.ThrowAsync<StoreUnavailableException>(async () => await store.CommitAsync([Checkpoint(epoch, 1, [Station("small", 10), Station("big", 100_000)])], default));
        failure.Message.ShouldContain("full");
        failure.Message.ShouldContain(file.Path);
        (await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).ShouldBeEmpty();

        // The limit belonged to the connection that failed; the store uses a new one.
        (await store.CommitAsync([Checkpoint(epoch, 1, [Station("big", 100_000)])], default)).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Fact]
    public async Task A_lock_that_another_process_keeps_makes_the_store_unavailable_for_writers_only()
    {
        var store = await Open(file.Path, new SqliteStoreOptions { BusyTimeout = TimeSpan.FromMilliseconds(50) });
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        using (var other = SqliteSession.Open(file.Path, new SqliteStoreOptions(), readOnly: false))
        {
            other.Run("BEGIN IMMEDIATE");
            await Should.ThrowAsync<StoreUnavailableException>(async () => await store.CommitAsync([Checkpoint(epoch, 1, [Station("a", 10)])], default));
            (await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).ShouldBeEmpty();
        }
        (await store.CommitAsync([Checkpoint(epoch, 1, [Station("a", 10)])], default)).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Fact]
    public async Task Reading_goes_on_while_a_commit_is_in_its_middle_and_sees_the_state_before_it()
    {
        var store = await Open(file.Path);
        var epoch = (await store.TakeOverAsync(Zero, "node", default)).Epoch;
        IReadOnlyList<EntityState>? seen = null;
        var entities = new ObservedList<EntityState>([Station("a", 10), Station("b", 10)], at: 1,
            () => seen = store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default).AsTask().GetAwaiter().GetResult());
        await store.CommitAsync([Checkpoint(epoch, 1, entities)], default);
        seen.ShouldNotBeNull().ShouldBeEmpty();
        (await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_file_that_is_no_database_is_refused()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file.Path)!);
        await File.WriteAllTextAsync(file.Path, string.Concat(Enumerable.Repeat("This is a text, and a long one. ", 200)));
        var refusal = await Should.ThrowAsync<StoreRefusedException>(() => Open(file.Path));
        refusal.Message.ShouldContain(file.Path);
    }

    [Fact]
    public async Task A_directory_that_cannot_be_made_is_reported_with_its_path()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetDirectoryName(file.Path)!)!);
        await File.WriteAllTextAsync(Path.GetDirectoryName(file.Path)!, "a file where the directory should be");
        var failure = await Should.ThrowAsync<StoreUnavailableException>(() => Open(file.Path));
        failure.Message.ShouldContain(file.Path);
    }

    [Fact]
    public async Task A_closed_store_says_so()
    {
        var store = await Open(file.Path);
        await store.DisposeAsync();
        await store.DisposeAsync();
        await Should.ThrowAsync<ObjectDisposedException>(async () => await store.TakeOverAsync(Zero, "node", default));
        await Should.ThrowAsync<ObjectDisposedException>(async () => await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default));
        File.Exists(file.Path + "-wal").ShouldBeFalse("the last connection folds the log into the file");
    }

    [Fact]
    public void A_missing_library_names_the_package_to_install()
    {
        var failure = Should.Throw<DllNotFoundException>(() => SqliteNative.LoadSystemLibrary("libsqlite3-that-does-not-exist.so.0"));
        failure.Message.ShouldContain("libsqlite3-0");
        Version.Parse(SqliteNative.EnsureLoaded()).ShouldBeGreaterThanOrEqualTo(new Version(3, 37, 0));
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var store in stores) await store.DisposeAsync();
        file.Dispose();
    }

    private async Task<SqliteCheckpointStore> Open(string path, SqliteStoreOptions? options = null)
    {
        var store = new SqliteCheckpointStore(path, options);
        stores.Add(store);
        await store.OpenAsync("analytics", 2, default);
        return store;
    }

    private async Task<RecoveredShard> TakeOverCopy(string path) => await (await Open(path)).TakeOverWholeAsync(Zero, "after the crash", default);

    /// <summary>SQLite asks this hook inside COMMIT; its "no" makes COMMIT itself fail.</summary>
    private static Task<bool> FailNextCommit(SqliteCheckpointStore store) => store.WithWriter(session =>
    {
        SQLitePCL.raw.sqlite3_commit_hook(session.Database, _ => 1, null);
        return true;
    });

    private static ShardCheckpoint Checkpoint(Epoch epoch, long number, IReadOnlyList<EntityState> entities) => new()
    {
        Shard = Zero, Epoch = epoch, Number = number, ShardState = [],
        Entities = entities, Positions = [], Marks = [], OutboxAdded = [], OutboxRemoved = [],
    };

    private static EntityState Station(string key, int bytes) => new(EntityKind.Station, key, new byte[bytes]);
}
