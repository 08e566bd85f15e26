using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>Bytes on the managed heap for each station whose windows are full, all that the core keeps for it included.</summary>
internal sealed class MemoryScenario : InProcessScenario
{
    public override string Name => "memory";

    public override string Description => "bytes per station with full windows";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var stations = options.Stations ?? 1_000;
        var workload = new FullWorkload(stations);
        progress.Say($"{stations} stations, {FullWorkload.RecordsEach} records each");
        // The first stations make what all share: pools, compiled code, tables.
        Fill(new FullWorkload(20), 20);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var core = Fill(workload, stations);
        var bytes = (GC.GetTotalMemory(forceFullCollection: true) - before) / (double)stations;
        if (core.Applied != (long)stations * FullWorkload.RecordsEach) throw new BenchFailedException($"{core.Applied} records were applied");
        GC.KeepAlive(core);
        return [new BenchFigure(Name, "full windows", bytes, "bytes", null, null, 1) { Goal = BenchGoal.AtMost(32 * 1024) }];
    }

    private static CoreDriver Fill(FullWorkload workload, int stations)
    {
        var nowMs = workload.At(0).TimestampMs;
        var core = new CoreDriver(workload.Configuration(keyed: true), nowMs, new CoreDriverOptions { CheckpointIntervalMs = 1_000 });
        var ids = new Dictionary<TopicPartition, long>();
        var read = new LogRecord[1];
        for (var number = 0L; number < (long)stations * FullWorkload.RecordsEach; number++)
        {
            var record = workload.At(number);
            var partition = new TopicPartition(record.Topic, Murmur2.Partition(record.Key, core.Settings.ShardCount));
            var offset = ids[partition] = ids.GetValueOrDefault(partition, -1) + 1;
            read[0] = new LogRecord(partition, offset, record.TimestampMs, record.Value, record.Key);
            core.Read(partition, read, nowMs);
        }

        core.Settle(nowMs);
        // The seconds close, and checkpoints have written what changed.
        for (var second = 0; second < 5; second++) core.Settle(nowMs += 1_000);
        return core;
    }
}
