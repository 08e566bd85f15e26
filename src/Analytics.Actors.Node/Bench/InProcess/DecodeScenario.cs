using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>
/// The mix, keyed by station, through the production core: taken apart, applied to its station's windows, positions and marks kept.
/// Held against decoding the same orders with the framework's reader alone.
/// </summary>
internal sealed class DecodeScenario : InProcessScenario
{
    // A node that takes a million records a second has one checkpoint in so many.
    private const int RecordsPerMs = 1_000;

    // 1,000,000 records/s where the machine decodes 930,000 orders/s.
    private static readonly BenchGoal Goal = BenchGoal.RatioAtLeast(1.075);

    public override string Name => "decode";

    public override string Description => "decode and window update of the mix on one core, against a plain decode of its orders";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var (stations, records) = (options.Stations ?? 1_000, options.Records ?? 1_000_000);
        var workload = new MixWorkload(stations);
        var orders = Orders(workload, 50_000);
        progress.Say($"mix: {stations} stations, {records} records a run");
        List<BenchFigure> figures = [];
        using var stores = new TemporaryStore();
        foreach (var isStored in (bool[])[false, true])
        {
            var ring = new RecordRing(workload, 0, Math.Min(records, 200_000), 16);
            // Event time stands before the clock, as it does where a backlog is read.
            var clock = new Clock(workload.TimeOf((options.Runs + 3L) * records), RecordsPerMs);
            var store = isStored ? stores.Open("decode.db") : null;
            var core = new CoreDriver(workload.Configuration(keyed: true), clock.NowMs, new CoreDriverOptions { Store = store, CheckpointIntervalMs = isStored ? 1_000 : null });
            try
            {
                ring.Read(core, ring.Count, clock);
                figures.Add(Measured.Compare(
                    Name, isStored ? "keyed, checkpointed every second" : "keyed", "records/s", options.Runs,
                    () => Measured.Rate(() => ring.Read(core, records, clock)),
                    () => Measured.Rate(() => Decode(orders)),
                    isStored ? null : Goal, cancellation));
                if (core.Applied != clock.Count) throw new BenchFailedException($"{clock.Count} records were read and {core.Applied} applied");
                if (isStored) progress.Say($"{core.Commits} commits, {core.RowsWritten} rows");
            }
            finally
            {
                core.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }
        }

        return figures;
    }

    internal static List<byte[]> Orders(MixWorkload workload, int count)
    {
        List<byte[]> orders = [];
        for (var number = 0L; orders.Count < count; number++)
        {
            var record = workload.At(number);
            if (record.Topic == ScheduleTopics.CarOrder) orders.Add(record.Value);
        }

        return orders;
    }

    private static int Decode(List<byte[]> orders)
    {
        var power = 0.0;
        foreach (var order in orders) power += PlainDecode.Order(order).OutputPower;
        if (power <= 0) throw new BenchFailedException("the orders have no power");
        return orders.Count;
    }
}
