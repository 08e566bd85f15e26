using System.Diagnostics;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Storage;

/// <summary>
/// What disks and people do to a file while it is in use: it fills up, becomes read-only, loses its tail, is moved, deleted
/// or replaced. Never may a checkpoint be acknowledged that is not there afterwards; and work goes on when it can.
/// </summary>
public sealed class SqliteDiskTests : IAsyncLifetime
{
    private static readonly ShardId Zero = new(0);
    private readonly DatabaseFile file = new();
    private readonly List<SqliteCheckpointStore> stores = [];
    private SqliteCheckpointStore store = null!;
    private Epoch epoch;

    public async Task InitializeAsync() => (store, epoch) = await OpenAndTakeOver(file.Path);

    public async Task DisposeAsync()
    {
        foreach (var opened in stores) await opened.DisposeAsync();
        file.Dispose();
    }

    [Fact]
    public async Task A_file_that_is_replaced_by_another_is_refused_until_it_is_back()
    {
        await Commit(1, "first");
        var backup = file.CopyAsAfterPowerLoss();
        await Commit(2, "second");
        Move(file.Path, file.Path + ".aside");
        Move(backup, file.Path);

        var failure = await Should.ThrowAsync<StoreUnavailableException>(() => Commit(3, "third"));
        failure.Message.ShouldContain(file.Path);
        failure.Message.ShouldContain("replaced");
        await NothingWorks();

        Move(file.Path, file.Path + ".other");
        Move(file.Path + ".aside", file.Path);
        await Commit(3, "third");
        await TheTruthIs("first", "second", "third");
    }

    [Fact]
    public async Task A_file_that_is_deleted_is_not_made_anew()
    {
        await Commit(1, "first");
        File.Delete(file.Path);
        await NothingWorks();
        File.Exists(file.Path).ShouldBeFalse();
        var (again, _) = await OpenAndTakeOver(file.Path);
        (await again.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).ShouldBeEmpty("only a new start begins anew");
        await NothingWorks();
    }

    [Fact]
    public async Task A_file_that_is_replaced_in_the_middle_of_a_commit_has_an_unknown_outcome()
    {
        var backup = file.CopyAsAfterPowerLoss();
        var entities = new ObservedList<EntityState>([Station("a"), Station("b")], at: 1, () =>
        {
            Move(file.Path, file.Path + ".aside");
            Move(backup, file.Path);
        });
        await Should.ThrowAsync<CommitOutcomeUnknownException>(async () => await store.CommitAsync([Checkpoint(1) with { Entities = entities }], default));
        await NothingWorks();
    }

    [Fact]
    public async Task A_log_that_is_moved_away_is_noticed()
    {
        await Commit(1, "first");
        File.Move(file.Path + "-wal", file.Path + ".aside");
        var failure = await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second"));
        failure.Message.ShouldContain("-wal");
        File.Move(file.Path + ".aside", file.Path + "-wal");
        await Commit(2, "second");
        await TheTruthIs("first", "second");
    }

    /// <summary>Whatever is missing at the end, what is found is the state after one of the commits, whole.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_log_that_is_torn_at_its_tail_gives_the_state_after_an_earlier_commit(bool overwritten)
    {
        const int Commits = 12;
        var before = (int)new FileInfo(file.Path + "-wal").Length;
        for (var number = 1; number <= Commits; number++) await Commit(number, [.. Enumerable.Range(1, number).Select(i => $"{i}")]);
        var whole = await File.ReadAllBytesAsync(file.CopyAsAfterPowerLoss() + "-wal");
        var random = new Random(4);
        var found = new SortedSet<long>();
        for (var round = 0; round < 40; round++)
        {
            var copy = file.CopyAsAfterPowerLoss();
            var cut = random.Next(before, whole.Length);
            var torn = overwritten ? whole.ToArray() : whole[..cut];
            if (overwritten) random.NextBytes(torn.AsSpan(cut, Math.Min(5_000, torn.Length - cut)));
            await File.WriteAllBytesAsync(copy + "-wal", torn);
            var (_, recovered) = await Recover(copy);
            found.Add(recovered.CheckpointNumber);
            recovered.ShardState.ShouldBe(recovered.CheckpointNumber == 0 ? [] : BitConverter.GetBytes(recovered.CheckpointNumber));
            recovered.Positions.Sum(position => position.Next).ShouldBe(recovered.CheckpointNumber);
        }

        found.Count.ShouldBeGreaterThan(3, "else nothing was torn");
        found.Max.ShouldBeLessThanOrEqualTo(Commits);
    }

    [Fact]
    public async Task A_damaged_file_is_told_and_never_read_as_if_it_were_whole()
    {
        for (var number = 1; number <= 5; number++) await Commit(number, [.. Enumerable.Range(0, 200).Select(i => $"{number}-{i}")]);
        await store.DisposeAsync();
        var bytes = await File.ReadAllBytesAsync(file.Path);
        new Random(3).NextBytes(bytes.AsSpan(4096));
        await File.WriteAllBytesAsync(file.Path, bytes);
        var failure = await Should.ThrowAsync<Exception>(() => OpenAndTakeOver(file.Path));
        (failure is StoreUnavailableException or StoreRefusedException).ShouldBeTrue(failure.ToString());
        failure.Message.ShouldContain(file.Path);
    }

    [Fact]
    public async Task A_file_that_may_not_be_written_is_told_and_read_all_the_same()
    {
        await Commit(1, "first");
        await store.WithWriter(session => session.Prepare("PRAGMA query_only = ON").Execute());
        var failure = await Should.ThrowAsync<StoreUnavailableException>(() => Commit(2, "second"));
        failure.Message.ShouldContain("readonly");
        (await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).Count.ShouldBe(1);
        await Commit(2, "second");
        await TheTruthIs("first", "second");
    }

    [RootFact]
    public async Task A_disk_that_is_full_takes_nothing_loses_nothing_and_works_again_when_there_is_room()
    {
        using var disk = new SmallDisk("6m");
        var path = Path.Combine(disk.Folder, "checkpoints.db");
        var (full, first) = await OpenAndTakeOver(path);
        (await full.CommitAsync([Checkpoint(1, Station("first")) with { Epoch = first }], default)).ShouldBe([CheckpointOutcome.Committed]);
        disk.Fill();

        var failure = await Should.ThrowAsync<Exception>(async () => await full.CommitAsync([Checkpoint(2, new EntityState(EntityKind.Window, "big", new byte[1_000_000])) with { Epoch = first }], default));
        (failure is StoreUnavailableException or CommitOutcomeUnknownException).ShouldBeTrue(failure.ToString());
        failure.Message.ShouldContain("full");
        (await full.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).Count.ShouldBe(1);

        disk.Free();
        var recovered = await full.TakeOverAsync(Zero, "node", default);
        recovered.CheckpointNumber.ShouldBe(1);
        (await full.CommitAsync([Checkpoint(2, new EntityState(EntityKind.Window, "big", new byte[1_000_000])) with { Epoch = recovered.Epoch }], default)).ShouldBe([CheckpointOutcome.Committed]);
    }

    [RootFact]
    public async Task A_disk_that_becomes_read_only_is_told_and_works_again_when_it_is_not()
    {
        using var disk = new SmallDisk("6m");
        var path = Path.Combine(disk.Folder, "checkpoints.db");
        var (readOnly, first) = await OpenAndTakeOver(path);
        await readOnly.DisposeAsync();
        disk.Remount("ro");
        var failure = await Should.ThrowAsync<StoreUnavailableException>(() => OpenAndTakeOver(path));
        failure.Message.ShouldContain(path);
        disk.Remount("rw");
        var (_, second) = await OpenAndTakeOver(path);
        second.Value.ShouldBe(first.Value + 1);
    }

    private async Task NothingWorks()
    {
        await Should.ThrowAsync<StoreUnavailableException>(() => Commit(9, "never"));
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.TakeOverAsync(Zero, "node", default));
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default));
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.UpdateSourcesAsync([], default));
        await Should.ThrowAsync<StoreUnavailableException>(async () => await store.OpenAsync("analytics", 2, default));
    }

    private async Task TheTruthIs(params string[] stations)
    {
        await store.DisposeAsync();
        var (again, _) = await OpenAndTakeOver(file.Path);
        (await again.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).Select(entity => entity.Key).ShouldBe(stations);
    }

    private async Task Commit(long number, params string[] stations) =>
        (await store.CommitAsync([Checkpoint(number, [.. stations.Select(Station)])], default)).ShouldBe([CheckpointOutcome.Committed]);

    private async Task<(SqliteCheckpointStore Store, Epoch Epoch)> OpenAndTakeOver(string path)
    {
        var (opened, recovered) = await Recover(path);
        return (opened, recovered.Epoch);
    }

    private async Task<(SqliteCheckpointStore Store, RecoveredShard Shard)> Recover(string path)
    {
        var opened = new SqliteCheckpointStore(path, new SqliteStoreOptions { BusyTimeout = TimeSpan.FromMilliseconds(200) });
        stores.Add(opened);
        await opened.OpenAsync("analytics", 2, default);
        return (opened, await opened.TakeOverAsync(Zero, "node", default));
    }

    private static void Move(string from, string to)
    {
        foreach (var ending in (string[])["", "-wal", "-shm"])
            if (File.Exists(from + ending)) File.Move(from + ending, to + ending);
    }

    private ShardCheckpoint Checkpoint(long number, params EntityState[] entities) => new()
    {
        Shard = Zero, Epoch = epoch, Number = number, ShardState = BitConverter.GetBytes(number),
        Entities = entities, Positions = [new(new("analytics.station-events", 0), number, 0, 0)], Marks = [], OutboxAdded = [], OutboxRemoved = [],
    };

    private static EntityState Station(string key) => new(EntityKind.Station, key, [1]);

    /// <summary>A disk in memory of a size of its own.</summary>
    private sealed class SmallDisk : IDisposable
    {
        public SmallDisk(string size)
        {
            Folder = Directory.CreateTempSubdirectory("analytics-disk-").FullName;
            Run("mount", "-t", "tmpfs", "-o", $"size={size}", "analytics-test", Folder);
        }

        public string Folder { get; }

        public void Fill()
        {
            using var ballast = new FileStream(Path.Combine(Folder, "ballast"), FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
            try
            {
                while (true) ballast.Write(new byte[4096]);
            }
            catch (IOException)
            {
                // It is full.
            }
        }

        public void Free() => File.Delete(Path.Combine(Folder, "ballast"));

        public void Remount(string mode) => Run("mount", "-o", $"remount,{mode}", Folder);

        public void Dispose()
        {
            Run("umount", "--lazy", Folder);
            Directory.Delete(Folder);
        }

        private static void Run(string program, params string[] arguments)
        {
            using var process = Process.Start(program, arguments);
            process.WaitForExit();
            process.ExitCode.ShouldBe(0, $"{program} {string.Join(' ', arguments)}");
        }
    }

    [AttributeUsage(AttributeTargets.Method)]
    private sealed class RootFactAttribute : FactAttribute
    {
        public RootFactAttribute()
        {
            if (Environment.UserName != "root") Skip = "Only root may mount a disk.";
        }
    }
}
