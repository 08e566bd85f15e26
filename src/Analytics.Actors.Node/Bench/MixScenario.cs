using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// The mix of what stations send, out of Kafka into the stations' windows, checkpointed: keyed by station, and through the router. Its
/// limits are loops with nothing but the client library, over the same records.
/// </summary>
public sealed class MixScenario : IBenchScenario
{
    // As many as fit: the fullest of 64 partitions holds half as much again as the mean.
    private const int DefaultRecords = 600_000, DefaultStations = 1_000;
    private const double KeyedGoal = 0.8, RouterGoal = 0.8, RouterOfConsumeGoal = 0.5;

    public string Name => "mix";

    public string Description => "what stations send, keyed and through the router, against the client library alone";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var records = options.Records ?? DefaultRecords;
        var stations = options.Stations ?? DefaultStations;
        // Shards are still being taken over and stations made meanwhile, and a loop waits for its first fetches.
        var uncounted = records / 5;
        await using var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
        var pace = new MixWorkload(stations, new WorkloadOptions { StartMs = 0 });
        var workload = new MixWorkload(stations, new WorkloadOptions { StartMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - pace.TimeOf(records) });
        progress.Say($"writing {records:#,0} records of {stations:#,0} stations");
        var log = await broker.WriteAsync(workload, records, cancellation).ConfigureAwait(false);
        await using var node = new BenchNode();
        var both = await BothWays.MeasureAsync(
            options, progress, broker, log, workload.Pipeline, pipeline => Runs.NodeAsync(node, broker, pipeline, log, cancellation, uncounted), uncounted, cancellation).ConfigureAwait(false);
        return [.. both.Keyed(Name, BenchGoal.RatioAtLeast(KeyedGoal)), .. both.Router(Name, BenchGoal.RatioAtLeast(RouterGoal), BenchGoal.RatioAtLeast(RouterOfConsumeGoal))];
    }
}
