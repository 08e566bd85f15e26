using System.Globalization;
using Analytics.Actors.Kafka.Raw;
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
        var hop = await broker.AddTopicAsync("raw-hop", cancellation).ConfigureAwait(false);
        List<RawOutcome> consume = [], forward = [];
        List<NodeOutcome> keyed = [], router = [];
        await using var node = new BenchNode();
        for (var run = options.FirstRun; run <= options.Runs; run++)
        {
            var raw = await Runs.RawAsync(() => broker.Raw.Consume(log.Partitions, records, cancellation, uncounted)).ConfigureAwait(false);
            var ours = await Runs.NodeAsync(node, broker, workload.Pipeline(keyed: true), log, cancellation, uncounted).ConfigureAwait(false);
            var rawHop = await Runs.RawAsync(() => broker.Raw.ConsumeProduceConsume(log.Partitions, hop, key => BenchLog.PartitionOf(key), records, cancellation)).ConfigureAwait(false);
            var routed = await Runs.NodeAsync(node, broker, workload.Pipeline(keyed: false), log, cancellation, uncounted).ConfigureAwait(false);
            progress.Say(string.Create(CultureInfo.InvariantCulture,
                $"{Runs.Label(run, options)}: raw {Runs.Rate(raw):#,0}/s, keyed {Runs.Rate(ours):#,0}/s after {ours.StartSeconds:0.0} s; raw hop {Runs.Rate(rawHop):#,0}/s, router {Runs.Rate(routed):#,0}/s after {routed.StartSeconds:0.0} s"));
            if (run == 0) continue;
            consume.Add(raw);
            keyed.Add(ours);
            forward.Add(rawHop);
            router.Add(routed);
        }

        return
        [
            Medians.Figure(Name, "keyed", [.. keyed.Select(Runs.Rate)], "records/s", [.. consume.Select(Runs.Rate)], BenchGoal.RatioAtLeast(KeyedGoal)),
            Medians.Figure(Name, "keyed, processor", [.. keyed.Select(Runs.Microseconds)], "us/record", [.. consume.Select(Runs.Microseconds)]),
            Medians.Figure(Name, "router", [.. router.Select(Runs.Rate)], "records/s", [.. forward.Select(Runs.Rate)], BenchGoal.RatioAtLeast(RouterGoal)),
            Medians.Figure(Name, "router, against consume", [.. router.Select(Runs.Rate)], "records/s", [.. consume.Select(Runs.Rate)], BenchGoal.RatioAtLeast(RouterOfConsumeGoal)),
            Medians.Figure(Name, "router, processor", [.. router.Select(Runs.Microseconds)], "us/record", [.. forward.Select(Runs.Microseconds)]),
        ];
    }
}
