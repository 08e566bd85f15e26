using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Node.Bench.InProcess;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Storage;
using BenchmarkDotNet.Attributes;
using Microsoft.Data.Sqlite;

namespace Analytics.Actors.Benchmarks;

/// <summary>Records of the mix, beside a plain decode of its orders: the time of one record.</summary>
public class RecordBenchmarks
{
    private const int Records = 10_000, Splits = 2_000;

    private readonly List<byte[]> orders = DecodeScenario.Orders(new MixWorkload(), Records);
    private HotPath split = null!, keyed = null!, keyed64 = null!, routed = null!;

    [GlobalSetup(Target = nameof(Split))]
    public void SetUpSplit() => split = HotPath.All["split"]();

    [GlobalSetup(Target = nameof(Keyed))]
    public void SetUpKeyed() => keyed = HotPath.All["keyed"]();

    [GlobalSetup(Target = nameof(Keyed64))]
    public void SetUpKeyed64() => keyed64 = HotPath.All["keyed-64"]();

    [GlobalSetup(Target = nameof(Routed))]
    public void SetUpRouted() => routed = HotPath.All["routed"]();

    [Benchmark(Baseline = true, OperationsPerInvoke = Records)]
    public double PlainDecode()
    {
        var power = 0.0;
        foreach (var order in orders) power += Node.Bench.InProcess.PlainDecode.Order(order).OutputPower;
        return power;
    }

    [Benchmark(OperationsPerInvoke = Splits)]
    public void Split() => split.Run();

    [Benchmark(OperationsPerInvoke = Records)]
    public void Keyed() => keyed.Run();

    [Benchmark(OperationsPerInvoke = Records)]
    public void Keyed64() => keyed64.Run();

    [Benchmark(OperationsPerInvoke = Records)]
    public void Routed() => routed.Run();
}

/// <summary>Hourly pushes, beside reading their tokens and numbers: the time of one push.</summary>
public class GridBenchmarks
{
    private const int Pushes = 100;

    private readonly List<byte[]> pushes = [.. Enumerable.Range(0, Pushes).Select(station => new GridWorkload(Pushes).Push(station, 0).Value)];
    private HotPath push = null!;

    [GlobalSetup(Target = nameof(Push))]
    public void SetUp() => push = HotPath.All["push"]();

    [Benchmark(Baseline = true, OperationsPerInvoke = Pushes)]
    public double PlainDecode()
    {
        var power = 0.0;
        foreach (var value in pushes) power += Node.Bench.InProcess.PlainDecode.Numbers(value);
        return power;
    }

    [Benchmark(OperationsPerInvoke = Pushes)]
    public void Push() => push.Run();
}

/// <summary>Inputs of load_prediction, beside copying the numbers that they hold: the time of one input.</summary>
public class InputBenchmarks
{
    private const int Stations = 50, Inputs = 1_000;

    // 168 hours of 8 guns in two series, and two series of the station.
    private readonly double[] numbers = new double[168 * (8 * 2 + 2)];
    private HotPath afterPush = null!, afterOther = null!;

    [GlobalSetup(Target = nameof(AfterPush))]
    public void SetUpAfterPush() => afterPush = HotPath.All["input-after-push"]();

    [GlobalSetup(Target = nameof(AfterOtherTopic))]
    public void SetUpAfterOther() => afterOther = HotPath.All["input-after-other"]();

    [IterationSetup(Target = nameof(AfterPush))]
    public void Push() => afterPush.Prepare();

    [Benchmark(Baseline = true)]
    public double[] PlainCopy() => [.. numbers];

    [Benchmark(OperationsPerInvoke = Stations)]
    public void AfterPush() => afterPush.Run();

    [Benchmark(OperationsPerInvoke = Inputs)]
    public void AfterOtherTopic() => afterOther.Run();
}

/// <summary>Checkpoints, beside the same rows written through ADO.NET: the time of one row.</summary>
public class CheckpointBenchmarks
{
    private const int Rows = 1_000;

    private readonly TemporaryStore stores = new();
    private readonly EntityState[] entities = [.. Enumerable.Range(0, Rows).Select(station => new EntityState(EntityKind.Window, $"{Workload.StationId(station)}\u001fSCHEDULE-DEVICE-METER", new byte[120]))];
    private HotPath save = null!;
    private SqliteCheckpointStore store = null!;
    private SqliteConnection plain = null!;
    private Epoch epoch;
    private long number;

    [GlobalSetup(Target = nameof(Save))]
    public void SetUpSave() => save = HotPath.All["save"]();

    [IterationSetup(Target = nameof(Save))]
    public void Change() => save.Prepare();

    [GlobalSetup(Target = nameof(Commit))]
    public async Task SetUpCommit()
    {
        store = stores.Open("commit.db");
        await store.OpenAsync("bench", 1, default);
        epoch = (await store.TakeOverAsync(new ShardId(0), "bench", default)).Epoch;
    }

    [GlobalSetup(Target = nameof(PlainUpserts))]
    public async Task SetUpPlain()
    {
        // The store's own first use loads SQLite.
        await SetUpCommit();
        plain = new SqliteConnection($"Data Source={stores.PathOf("plain.db")};Pooling=False");
        plain.Open();
        using var command = plain.CreateCommand();
        command.CommandText = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE entity (shard INTEGER, kind INTEGER, key TEXT, state BLOB, PRIMARY KEY (shard, kind, key))";
        command.ExecuteNonQuery();
    }

    [GlobalCleanup]
    public async Task CleanUp()
    {
        plain?.Dispose();
        if (store is not null) await store.DisposeAsync();
        stores.Dispose();
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Rows)]
    public void PlainUpserts()
    {
        using var transaction = plain.BeginTransaction();
        using var command = plain.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "INSERT INTO entity (shard, kind, key, state) VALUES (0, 2, $key, $state) ON CONFLICT DO UPDATE SET state = excluded.state";
        var key = command.Parameters.Add("$key", SqliteType.Text);
        var state = command.Parameters.Add("$state", SqliteType.Blob);
        foreach (var entity in entities)
        {
            key.Value = entity.Key;
            state.Value = entity.State;
            command.ExecuteNonQuery();
        }

        transaction.Commit();
    }

    [Benchmark(OperationsPerInvoke = Rows)]
    public Task Commit() =>
        store.CommitAsync(
            [
                new ShardCheckpoint
                {
                    Shard = new ShardId(0), Epoch = epoch, Number = ++number, ShardState = new byte[40], Entities = entities,
                    Positions = [], Marks = [], OutboxAdded = [], OutboxRemoved = [],
                },
            ], default).AsTask();

    /// <summary>The whole checkpoint of 250 stations that have changed, and not one row.</summary>
    [Benchmark]
    public void Save() => save.Run();
}
