using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>Bytes allocated for each record of the mix in steady state, exactly, without the client library's own.</summary>
internal sealed class AllocationsScenario : InProcessScenario
{
    public override string Name => "allocations";

    public override string Description => "bytes allocated per record of the mix, keyed by station and through the router";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var (stations, records) = (options.Stations ?? 1_000, options.Records ?? 200_000);
        var workload = new MixWorkload(stations);
        var ring = new RecordRing(workload, 0, 100_000, 16);
        var clock = new Clock(workload.TimeOf((options.Runs + 3L) * records), recordsPerMs: 1_000);
        var core = new CoreDriver(workload.Configuration(keyed: true), clock.NowMs, new CoreDriverOptions());
        var keyed = Measured.Alone(Name, "keyed by station", "bytes/record", options.Runs, () => Bytes(() => ring.Read(core, records, clock)), BenchGoal.AtMost(64), cancellation);

        var routed = new Routed(workload, 100_000);
        var throughRouter = Measured.Alone(Name, "through the router", "bytes/record", options.Runs, () => Bytes(() => routed.Read(records)), BenchGoal.AtMost(64), cancellation);
        return [keyed, throughRouter];
    }

    private static double Bytes(Func<int> work)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var done = work();
        return (GC.GetAllocatedBytesForCurrentThread() - before) / (double)done;
    }
}

/// <summary>The mix through the production router, its envelopes and the shards, one round after the other.</summary>
internal sealed class Routed
{
    // As many as the host routes before it hands out what may be sent.
    private const int Together = 200;

    private readonly List<WorkloadRecord> records;
    private readonly RouterDriver router;
    private readonly Dictionary<string, long> ends = [];
    private readonly Clock clock;
    private readonly long roundMs;
    private int next;
    private long laterMs;

    public Routed(Workload workload, int round, int shards = 16)
    {
        records = [.. Enumerable.Range(0, round).Select(number => workload.At(number))];
        roundMs = workload.At(round).TimestampMs - records[0].TimestampMs;
        // Ahead of many rounds: a time in the future counts as now.
        clock = new Clock(records[0].TimestampMs + 100 * roundMs, recordsPerMs: 1_000);
        Core = new CoreDriver(workload.Configuration(keyed: false), clock.NowMs, new CoreDriverOptions { Shards = shards });
        router = new RouterDriver(Core.Settings);
    }

    public CoreDriver Core { get; }

    public int Read(int count)
    {
        for (var read = 0; read < count; read++)
        {
            var record = records[next];
            var offset = ends.GetValueOrDefault(record.Topic);
            ends[record.Topic] = offset + 1;
            router.Receive(new SourceRecord(new TopicPartition(record.Topic, 0), offset, record.TimestampMs + laterMs, record.Value, null));
            if (++next == records.Count) (next, laterMs) = (0, laterMs + roundMs);
            clock.Count++;
            if (read % Together == Together - 1 || read == count - 1) router.Flush(Core, clock.NowMs);
        }

        Core.Settle(clock.NowMs);
        return count;
    }
}
