using Analytics.Actors.Core;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Hosting;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>
/// What a record costs at 1,000, 100,000 and 1,000,000 stations in memory, with little state each and every record of another
/// station: without checkpoints, and with one a second to SQLite at 20,000 records/s. Ratios are those to 1,000 stations.
/// </summary>
internal sealed class ScaleScenario : InProcessScenario
{
    private const int Base = 1_000;

    public override string Name => "scale";

    public override string Description => "cost of a record at 1,000, 100,000 and 1,000,000 stations, without and with checkpoints";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        List<BenchFigure> figures = [];
        int[] counts = [.. ((int[])[100_000, 1_000_000]).Where(count => count <= (options.Stations ?? 1_000_000))];
        using var stores = new TemporaryStore();
        foreach (var isStored in (bool[])[false, true])
        {
            var records = options.Records ?? (isStored ? 200_000 : 1_000_000);
            using var few = new Residents(Base, records, isStored ? stores : null, cancellation);
            foreach (var stations in counts)
            {
                using var many = new Residents(stations, records, isStored ? stores : null, cancellation);
                progress.Say($"{stations} stations are in memory{(isStored ? " and stored" : "")}, {many.BytesPerStation:0} bytes each");
                var figure = Measured.Compare(
                    Name, $"{stations} stations{(isStored ? ", checkpointed at 20,000 records/s" : "")}", "us/record", options.Runs,
                    many.Measure, few.Measure,
                    stations == 1_000_000 ? BenchGoal.RatioAtMost(isStored ? 3 : 1.3) : null, cancellation);
                figures.Add(figure);
            }
        }

        return figures;
    }

    private sealed class Residents : IDisposable
    {
        private readonly RecordRing ring;
        private readonly CoreDriver core;
        private readonly Clock clock;
        private readonly int records;

        public Residents(int stations, int records, TemporaryStore? stores, CancellationToken cancellation)
        {
            this.records = records;
            var before = GC.GetTotalMemory(forceFullCollection: true);
            var workload = new ScaleWorkload(stations);
            clock = new Clock(workload.At(0).TimestampMs, recordsPerMs: 20);
            core = new CoreDriver(workload.Configuration(keyed: true), clock.NowMs, new CoreDriverOptions
            {
                Store = stores?.Open($"scale-{stations}.db"),
                CheckpointIntervalMs = stores is null ? null : 1_000,
                Adjust = settings => settings with { StationsMax = stations, PassivateAfterMs = long.MaxValue / 4 },
            });
            // Every station once, in records that are not kept.
            var ends = new Dictionary<TopicPartition, long>();
            for (var from = 0; from < stations; from += 50_000)
            {
                cancellation.ThrowIfCancellationRequested();
                var first = new RecordRing(workload, from, Math.Min(50_000, stations - from), 16, perRun: 20, ends);
                first.Read(core, first.Count, clock);
            }

            if (core.Core.Running.Sum(shard => shard.Stations.Count) != stations) throw new BenchFailedException($"not all of {stations} stations are in memory");
            BytesPerStation = (GC.GetTotalMemory(forceFullCollection: true) - before) / (double)stations;
            // As many records for few stations as for many: they come from memory, and not from a processor's cache.
            ring = new RecordRing(workload, stations, 1_000_000, 16, perRun: 20, ends);
            // As a node does where its heap is large.
            var collections = GC.CollectionCount(GC.MaxGeneration);
            var hugePages = new HugePages();
            if (hugePages.IsDue(GC.GetGCMemoryInfo(GCKind.Any).TotalCommittedBytes, collections)) hugePages.Gather(TimeSpan.MaxValue, collections);
        }

        public double BytesPerStation { get; }

        /// <summary>Microseconds for a record.</summary>
        public double Measure() => 1e6 / Measured.Rate(() => ring.Read(core, records, clock));

        public void Dispose() => core.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
