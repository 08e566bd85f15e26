using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// A node is killed (kill -9) and started again: how long until its first record is applied, and until every shard has applied one, by
/// how many stations there are. What the group takes to give the shards out is a part of it, and told by itself.
/// </summary>
public sealed class RestartScenario : IBenchScenario
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(5), Patience = TimeSpan.FromSeconds(120), Committed = TimeSpan.FromSeconds(3);
    private static readonly int[] Sizes = [1_000, 100_000, 1_000_000];

    public string Name => "restart";

    public string Description => "from the start of a killed node to its first record, by how many stations there are";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var sizes = Runs.Sizes(Sizes, options);
        var runs = sizes.ToDictionary(size => size, _ => new List<Run>());
        for (var run = 1; run <= options.Runs; run++)
        {
            foreach (var size in sizes)
            {
                var one = await RunAsync(size, cancellation).ConfigureAwait(false);
                progress.Say(string.Create(
                    CultureInfo.InvariantCulture, $"{Runs.Label(run, options)}, {size:#,0} stations: first record after {one.First:0.00} s, all shards after {one.All:0.00} s; slowest takeover {one.Takeover * 1_000:0} ms"));
                runs[size].Add(one);
            }
        }

        return
        [
            .. sizes.SelectMany(size => (IEnumerable<BenchFigure>)
            [
                Medians.Figure(Name, Variant(size, "first record"), [.. runs[size].Select(one => one.First)], "s", [.. runs[sizes[0]].Select(one => one.First)]),
                Medians.Figure(Name, Variant(size, "all shards"), [.. runs[size].Select(one => one.All)], "s", [.. runs[sizes[0]].Select(one => one.All)]),
                Medians.Figure(Name, Variant(size, "slowest takeover"), [.. runs[size].Select(one => one.Takeover * 1_000)], "ms", [.. runs[sizes[0]].Select(one => one.Takeover * 1_000)]),
            ]),
        ];
    }

    private static string Variant(int size, string what) => string.Create(CultureInfo.InvariantCulture, $"{size:#,0} stations, {what}");

    private static async Task<Run> RunAsync(int stations, CancellationToken cancellation)
    {
        await using var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
        var workload = new RightNow(new ScaleWorkload(stations));
        var log = await broker.WriteAsync(workload, stations, cancellation).ConfigureAwait(false);
        await using var node = new BenchNode();
        await node.StartAsync(broker, workload.Pipeline(keyed: true), cancellation, BenchNode.ManyResidents()).ConfigureAwait(false);
        await node.ReadWholeAsync(log, cancellation).ConfigureAwait(false);
        // All that was read is in a checkpoint: what the node applies afterwards is new.
        await Task.Delay(Committed, cancellation).ConfigureAwait(false);
        await node.KillAsync().ConfigureAwait(false);

        // One more record in every partition that has any: they wait for the node.
        HashSet<int> shards = [];
        using (var feed = new BenchFeed(broker.Kafka))
        {
            for (var number = 0L; number < stations && shards.Count < BenchBroker.Partitions; number++)
            {
                var record = workload.At(number);
                if (!shards.Add(BenchLog.PartitionOf(record.Key))) continue;
                await feed.SendAsync(log.Add(record), record, null, cancellation).ConfigureAwait(false);
            }

            feed.Finish();
        }

        var time = Stopwatch.StartNew();
        await node.StartAgainAsync(cancellation).ConfigureAwait(false);
        var first = await AppliedAsync(node, applied => applied > 0, time, cancellation).ConfigureAwait(false);
        var all = await AppliedAsync(node, applied => applied >= shards.Count, time, cancellation).ConfigureAwait(false);
        await node.CheckAsync(log, cancellation).ConfigureAwait(false);
        var events = (await node.GetAsync("events?limit=1000", cancellation).ConfigureAwait(false))!.AsArray();
        var takeovers = events.Where(one => (string?)one!["kind"] == "takenOver" && one["duration_ms"] is not null).TakeLast(BenchBroker.Partitions).Select(one => (double)one!["duration_ms"]! / 1_000).ToList();
        return new Run(first, all, takeovers.Count == 0 ? 0 : takeovers.Max());
    }

    private static async Task<double> AppliedAsync(BenchNode node, Func<long, bool> isEnough, Stopwatch time, CancellationToken cancellation)
    {
        while (true)
        {
            if (await node.LookAsync(cancellation).ConfigureAwait(false) is { } look && isEnough(look.Applied)) return time.Elapsed.TotalSeconds;
            if (time.Elapsed > Patience) throw new BenchFailedException($"{Patience.TotalSeconds:0} s after its start the node has not applied what waits for it; it wrote last: {node.Process.LastWords}");
            await Task.Delay(LookEvery, cancellation).ConfigureAwait(false);
        }
    }

    private sealed record Run(double First, double All, double Takeover);
}
