using System.Diagnostics;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>
/// From a shard's assignment to the first record applied, its station read from SQLite: by how many stations the shard has. Time
/// as it passes, for the database's part in it is waiting.
/// </summary>
internal sealed class RecoveryScenario : InProcessScenario
{
    private const int Most = 10_000;

    public override string Name => "recovery";

    public override string Description => "first record after taking over a shard of 1,000, 10,000 and 100,000 stations";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        List<BenchFigure> figures = [];
        using var stores = new TemporaryStore();
        int[] counts = [.. ((int[])[1_000, 10_000, 100_000]).Where(count => count <= (options.Stations ?? 100_000))];
        var shards = counts.Select(stations => Prepare(stores, stations, cancellation)).ToList();
        progress.Say($"shards of {string.Join(", ", counts)} stations are stored");
        var times = shards.Select(_ => new List<double>()).ToList();
        for (var run = -1; run < options.Runs; run++)
        {
            for (var index = 0; index < shards.Count; index++)
            {
                cancellation.ThrowIfCancellationRequested();
                var taken = shards[index].TakeOver();
                if (run >= 0) times[index].Add(taken.TotalMilliseconds);
            }
        }

        for (var index = 0; index < shards.Count; index++)
        {
            var goal = counts[index] == Most ? BenchGoal.AtMost(1_000) : null;
            // Flat: held against the smallest shard.
            figures.Add(index == 0
                ? Medians.Figure(Name, $"{counts[index]} stations", times[index], "ms", goal)
                : Medians.Figure(Name, $"{counts[index]} stations", times[index], "ms", times[0], goal));
        }

        return figures;
    }

    private static Stored Prepare(TemporaryStore stores, int stations, CancellationToken cancellation)
    {
        var workload = new ScaleWorkload(stations);
        var name = $"recovery-{stations}.db";
        var clock = new Clock(workload.At(0).TimestampMs, recordsPerMs: 20);
        var ends = new Dictionary<TopicPartition, long>();
        var core = new CoreDriver(workload.Configuration(keyed: true), clock.NowMs, new CoreDriverOptions { Shards = 1, Store = stores.Open(name), CheckpointIntervalMs = 1_000 });
        for (var from = 0; from < stations; from += 10_000)
        {
            cancellation.ThrowIfCancellationRequested();
            var ring = new RecordRing(workload, from, Math.Min(10_000, stations - from), 1, ends: ends);
            ring.Read(core, ring.Count, clock);
        }

        core.Tell(new StopRequested(), clock.NowMs + 10_000);
        core.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return new Stored(stores, name, workload, ends);
    }

    /// <summary>One shard in a store of its own.</summary>
    private sealed class Stored(TemporaryStore stores, string name, ScaleWorkload workload, Dictionary<TopicPartition, long> ends)
    {
        private long number = workload.Stations / 2;

        public TimeSpan TakeOver()
        {
            var record = workload.At(number++);
            var partition = new TopicPartition(record.Topic, Murmur2.Partition(record.Key, 1));
            var begun = Stopwatch.GetTimestamp();
            var core = new CoreDriver(workload.Configuration(keyed: true), record.TimestampMs, new CoreDriverOptions { Shards = 1, Store = stores.Open(name), CheckpointIntervalMs = 1_000 });
            var shard = core.Core.Running.Single();
            core.Read(partition, [new LogRecord(partition, ends[partition]++, record.TimestampMs, record.Value, record.Key)], record.TimestampMs);
            while (core.Applied == 0) core.Settle(record.TimestampMs);
            var taken = Stopwatch.GetElapsedTime(begun);
            if (shard.StationCount != workload.Stations) throw new BenchFailedException($"the shard has {shard.StationCount} stations and not {workload.Stations}");
            core.Tell(new StopRequested(), record.TimestampMs + 10_000);
            core.DisposeAsync().AsTask().GetAwaiter().GetResult();
            return taken;
        }
    }
}
