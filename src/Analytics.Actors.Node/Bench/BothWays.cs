using System.Globalization;
using Analytics.Actors.Kafka.Raw;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// The same log read keyed by station and through the router, and by the loops with nothing but the client library that these are held
/// against, in turns.
/// </summary>
internal sealed class BothWays
{
    private readonly List<RawOutcome> consume = [], forward = [];
    private readonly List<NodeOutcome> keyed = [], router = [];

    /// <param name="read">A node of this pipeline reads the log.</param>
    /// <param name="uncounted">What the first so many records take does not count.</param>
    public static async Task<BothWays> MeasureAsync(
        BenchOptions options, IBenchProgress progress, BenchBroker broker, BenchLog log, Func<bool, string> pipeline, Func<string, Task<NodeOutcome>> read, int uncounted,
        CancellationToken cancellation)
    {
        var both = new BothWays();
        var hop = await broker.AddTopicAsync("raw-hop", cancellation).ConfigureAwait(false);
        var records = (int)log.Records;
        for (var run = options.FirstRun; run <= options.Runs; run++)
        {
            var raw = await Runs.RawAsync(() => broker.Raw.Consume(log.Partitions, records, cancellation, uncounted)).ConfigureAwait(false);
            var ours = await read(pipeline(true)).ConfigureAwait(false);
            var rawHop = await Runs.RawAsync(() => broker.Raw.ConsumeProduceConsume(log.Partitions, hop, key => BenchLog.PartitionOf(key), records, cancellation)).ConfigureAwait(false);
            var routed = await read(pipeline(false)).ConfigureAwait(false);
            progress.Say(string.Create(CultureInfo.InvariantCulture,
                $"{Runs.Label(run, options)}: raw {Runs.Rate(raw):#,0}/s, keyed {Runs.Rate(ours):#,0}/s after {ours.StartSeconds:0.0} s; raw hop {Runs.Rate(rawHop):#,0}/s, router {Runs.Rate(routed):#,0}/s after {routed.StartSeconds:0.0} s"));
            if (run == 0) continue;
            both.consume.Add(raw);
            both.keyed.Add(ours);
            both.forward.Add(rawHop);
            both.router.Add(routed);
        }

        return both;
    }

    public IReadOnlyList<BenchFigure> Keyed(string scenario, BenchGoal? goal = null) =>
    [
        Medians.Figure(scenario, "keyed", [.. keyed.Select(Runs.Rate)], "records/s", [.. consume.Select(Runs.Rate)], goal),
        Medians.Figure(scenario, "keyed, processor", [.. keyed.Select(Runs.Microseconds)], "us/record", [.. consume.Select(Runs.Microseconds)]),
    ];

    public IReadOnlyList<BenchFigure> Router(string scenario, BenchGoal? goal = null, BenchGoal? ofConsume = null) =>
    [
        Medians.Figure(scenario, "router", [.. router.Select(Runs.Rate)], "records/s", [.. forward.Select(Runs.Rate)], goal),
        Medians.Figure(scenario, "router, against consume", [.. router.Select(Runs.Rate)], "records/s", [.. consume.Select(Runs.Rate)], ofConsume),
        Medians.Figure(scenario, "router, processor", [.. router.Select(Runs.Microseconds)], "us/record", [.. forward.Select(Runs.Microseconds)]),
    ];
}
