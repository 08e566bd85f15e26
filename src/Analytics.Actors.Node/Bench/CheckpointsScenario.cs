using System.Globalization;
using Analytics.Actors.Core;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// What a record costs with checkpoints, at 20,000 records a second, with 1,000, 100,000 and 1,000,000 stations in memory: processor
/// time of the node's whole process.
/// </summary>
public sealed class CheckpointsScenario : IBenchScenario
{
    private const double PerSecond = 20_000, DefaultSeconds = 15, SettleSeconds = 3, Goal = 3;
    private static readonly int[] Sizes = [1_000, 100_000, 1_000_000];

    public string Name => "checkpoints";

    public string Description => "what a record costs at 20,000 records/s with checkpoints, by how many stations there are";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var sizes = Runs.Sizes(Sizes, options);
        var costs = sizes.ToDictionary(size => size, _ => new List<double>());
        var memory = sizes.ToDictionary(size => size, _ => new List<double>());
        await using var node = new BenchNode();
        for (var run = options.FirstRun; run <= options.Runs; run++)
        {
            foreach (var size in sizes)
            {
                var (cost, bytes, checkpoints) = await RunAsync(node, size, options.Seconds ?? DefaultSeconds, cancellation).ConfigureAwait(false);
                progress.Say(string.Create(CultureInfo.InvariantCulture, $"{Runs.Label(run, options)}, {size:#,0} stations: {cost:0.0} us of processor time a record, {checkpoints} checkpoints, {bytes / 1e6:#,0} MB"));
                if (run == 0) continue;
                costs[size].Add(cost);
                memory[size].Add(bytes / 1e6);
            }
        }

        return
        [
            .. sizes.Select(size => Medians.Figure(Name, Variant(size), costs[size], "us/record", costs[sizes[0]], size == Sizes[^1] ? BenchGoal.RatioAtMost(Goal) : null)),
            // One process runs all the nodes: what it holds for the largest says nothing of the others.
            Medians.Figure(Name, $"{Variant(sizes[^1])}, memory", memory[sizes[^1]], "MB"),
        ];
    }

    private static string Variant(int size) => string.Create(CultureInfo.InvariantCulture, $"{size:#,0} stations");

    private static async Task<(double Cost, long Bytes, long Checkpoints)> RunAsync(BenchNode node, int stations, double seconds, CancellationToken cancellation)
    {
        await using var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
        var workload = new ScaleWorkload(stations);
        var log = await broker.WriteAsync(new RightNow(workload), stations, cancellation).ConfigureAwait(false);
        await node.StartAsync(broker, workload.Pipeline(keyed: true), cancellation, BenchNode.ManyResidents()).ConfigureAwait(false);
        await node.ReadWholeAsync(log, cancellation).ConfigureAwait(false);
        var number = (long)stations;
        (TopicPartition, WorkloadRecord) Next()
        {
            var record = workload.At(number++);
            return (log.Add(record), record);
        }

        // As nodes do: a little patience makes batches of what goes to one partition.
        using var feed = new BenchFeed(broker.Kafka, ("linger.ms", "5"));
        await feed.PaceAsync(PerSecond, Math.Min(SettleSeconds, seconds), Next, null, cancellation).ConfigureAwait(false);
        var first = await node.LookAsync(cancellation).ConfigureAwait(false);
        await feed.PaceAsync(PerSecond, seconds, Next, null, cancellation).ConfigureAwait(false);
        var last = await node.LookAsync(cancellation).ConfigureAwait(false);
        feed.Finish();
        await node.ReadWholeAsync(log, cancellation).ConfigureAwait(false);
        var bytes = node.Process.ResidentBytes();
        await node.StopAsync(cancellation).ConfigureAwait(false);
        if (first is not { } from || last is not { } to || to.Applied == from.Applied) throw new BenchFailedException("the node did not answer while it was fed");
        return ((to.ProcessorSeconds - from.ProcessorSeconds) * 1e6 / (to.Applied - from.Applied), bytes, to.Checkpoints - from.Checkpoints);
    }
}
