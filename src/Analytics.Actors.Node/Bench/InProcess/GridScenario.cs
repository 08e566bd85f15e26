using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>Hourly pushes of 168 hours and 8 guns, decoded and stored in their stations' windows.</summary>
internal sealed class GridScenario : InProcessScenario
{
    public override string Name => "grid";

    public override string Description => "hourly pushes of 69.6 KB decoded and stored, against reading their tokens and numbers";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var (stations, pushes) = (options.Stations ?? 100, options.Records ?? 2_000);
        var workload = new GridWorkload(stations);
        // Two hours of pushes, behind the calendar and the parameters.
        var ring = new RecordRing(workload, 1 + stations, 2 * stations, 16, perRun: 10);
        progress.Say($"{stations} stations, {pushes} pushes a run, {ring.Bytes / (double)ring.Count:0} bytes each");
        var clock = new Clock(ring.LastMs + 3_600_000, recordsPerMs: 1);
        var core = new CoreDriver(GridOnly(workload), clock.NowMs, new CoreDriverOptions());
        var values = ring.Values.ToList();
        var megabytes = ring.Bytes / 1e6 / ring.Count;
        var figure = Measured.Compare(
            Name, "push decoded and stored", "MB/s", options.Runs,
            () => megabytes * Measured.Rate(() => ring.Read(core, pushes, clock)),
            () => megabytes * Measured.Rate(() => ReadNumbers(values)),
            BenchGoal.AtLeast(300), cancellation);
        if (core.Applied != clock.Count) throw new BenchFailedException($"{clock.Count} pushes were read and {core.Applied} applied");
        return [figure];
    }

    private static int ReadNumbers(List<ReadOnlyMemory<byte>> values)
    {
        var sum = 0.0;
        foreach (var value in values) sum += PlainDecode.Numbers(value.Span);
        if (sum <= 0) throw new BenchFailedException("the pushes have no power");
        return values.Count;
    }

    /// <summary>Pushes alone, and no module: nothing is shaped.</summary>
    internal static Core.Pipeline.PipelineConfiguration GridOnly(GridWorkload workload)
    {
        var all = workload.Configuration(keyed: true);
        return all with
        {
            Topics = all.Topics.Where(topic => topic.Key == ScheduleTopics.RealtimeData).ToDictionary(),
            Modules = new Dictionary<string, Core.Pipeline.ModuleConfiguration>(),
        };
    }
}
