using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// A node with nothing to do: it has 64 shards with 100,000 stations, all of them passivated, and no record comes. Its processor time,
/// as part of one core, and its memory.
/// </summary>
public sealed class IdleScenario : IBenchScenario
{
    private const int DefaultStations = 100_000;
    private const double DefaultSeconds = 20;
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100), Patience = TimeSpan.FromSeconds(90), Settled = TimeSpan.FromSeconds(120);

    // A fetch that finds nothing waits as long as the client library has it by default, and heartbeats are as far apart as the product has
    // them, and not the shorter ones that keep an embedded broker's rebalances short: else this would measure how often one asks it.
    private static readonly string[] ForEmbeddedBrokers = ["fetch.wait.max.ms", "heartbeat.interval.ms"];

    public string Name => "idle";

    public string Description => "processor time and memory of a node with 100,000 passivated stations and nothing to do";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var stations = options.Stations ?? DefaultStations;
        await using var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
        var workload = new RightNow(new ScaleWorkload(stations));
        progress.Say($"{stations:#,0} stations are read and stored");
        var log = await broker.WriteAsync(workload, stations, cancellation).ConfigureAwait(false);
        await using var node = new BenchNode();
        await node.StartAsync(broker, workload.Pipeline(keyed: true), cancellation, Settings(broker)).ConfigureAwait(false);
        await node.ReadWholeAsync(log, cancellation).ConfigureAwait(false);
        await node.StopAsync(cancellation).ConfigureAwait(false);

        // A process that has done nothing but start: every station is a row.
        await node.KillAsync().ConfigureAwait(false);
        await node.StartAgainAsync(cancellation).ConfigureAwait(false);
        await RunsAllAsync(node, stations, cancellation).ConfigureAwait(false);
        await Task.Delay(Settled, cancellation).ConfigureAwait(false);
        List<double> shares = [], bytes = [];
        for (var run = 1; run <= options.Runs; run++)
        {
            var (time, before) = (Stopwatch.StartNew(), node.Process.ProcessorSeconds());
            await Task.Delay(TimeSpan.FromSeconds(options.Seconds ?? DefaultSeconds), cancellation).ConfigureAwait(false);
            shares.Add((node.Process.ProcessorSeconds() - before) / time.Elapsed.TotalSeconds * 100);
            bytes.Add(node.Process.ResidentBytes() / 1e6);
            progress.Say(string.Create(CultureInfo.InvariantCulture, $"{Runs.Label(run, options)}: {shares[^1]:0.00} % of a core, {bytes[^1]:0} MB"));
        }

        return
        [
            Medians.Figure(Name, "processor, of one core", shares, "%", BenchGoal.AtMost(1)),
            Medians.Figure(Name, "memory", bytes, "MB", BenchGoal.AtMost(300)),
        ];
    }

    private static JsonObject Settings(BenchBroker broker) => new()
    {
        ["kafka"] = new JsonObject
        {
            ["bootstrapServers"] = broker.BootstrapServers,
            ["consumer"] = new JsonObject(broker.Kafka.Consumer.Where(option => !ForEmbeddedBrokers.Contains(option.Key)).Select(option => KeyValuePair.Create(option.Key, (JsonNode?)option.Value))),
        },
    };

    private static async Task RunsAllAsync(BenchNode node, int stations, CancellationToken cancellation)
    {
        var waited = Stopwatch.StartNew();
        for (var (counted, running) = (0L, 0); counted < stations || running < BenchBroker.Partitions;)
        {
            if (waited.Elapsed > Patience) throw new BenchFailedException($"the node runs {running} shards with {counted} of {stations} stations");
            await Task.Delay(LookEvery, cancellation).ConfigureAwait(false);
            if (await node.GetAsync("shards?scope=node", cancellation).ConfigureAwait(false) is not JsonArray shards) continue;
            var own = shards.Where(shard => (string?)shard!["phase"] == "running").ToList();
            (running, counted) = (own.Count, own.Sum(shard => (long)shard!["stations"]!));
        }
    }
}
