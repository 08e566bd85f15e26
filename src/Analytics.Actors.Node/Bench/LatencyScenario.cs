using System.Diagnostics;
using System.Globalization;
using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// From a record to its upload: an open load at a fifth of the maximum, with a module that takes no time, exactly once. The maximum is
/// measured just before, with a broker of its own. The limit is the client library alone, which sends as many records over as many hops,
/// at the same load.
/// </summary>
/// <remarks>
/// An embedded broker looks through all batches that a partition holds for each one that it gives away, and an open load makes a batch of
/// each record. So a broker's share grows with what it has taken, until it has no time left; a run is a few short spells, each with a new one.
/// </remarks>
public sealed class LatencyScenario : IBenchScenario
{
    private const int WarmRecords = 1_000;
    private const int DefaultRecords = 60_000, DefaultStations = 1_000;
    private const double DefaultSeconds = 15, SpellSeconds = 5, SettleSeconds = 2, Share = 0.2, LeastPerSecond = 100, GoalMs = 250;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly (string Name, double Share)[] Quantiles = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

    public string Name => "latency";

    public string Description => "from a record to its upload, at a fifth of the maximum";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        List<(string Variant, Run Run)> runs = [];
        await using var node = new BenchNode();
        for (var run = options.FirstRun; run <= options.Runs; run++)
        {
            foreach (var (variant, isKeyed) in ((string, bool)[])[("keyed", true), ("router", false)])
            {
                var one = await RunAsync(node, isKeyed, options, cancellation).ConfigureAwait(false);
                progress.Say(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Runs.Label(run, options)}, {variant}: at most {one.Maximum:#,0} uploads/s; at {one.PerSecond:#,0}/s {string.Join(", ", Quantiles.Select(quantile => $"{quantile.Name} {one.Ours[quantile.Name]:0.0} ms"))}; raw p99 {one.Raw["p99"]:0.0} ms"));
                if (run > 0) runs.Add((variant, one));
            }
        }

        return [.. runs.GroupBy(entry => entry.Variant, entry => entry.Run).SelectMany(group => Figures(group.Key, [.. group]))];
    }

    private IEnumerable<BenchFigure> Figures(string variant, IReadOnlyList<Run> runs) =>
    [
        .. Quantiles.Select(quantile => Medians.Figure(
            Name, $"{variant}, {quantile.Name}", [.. runs.Select(run => run.Ours[quantile.Name])], "ms", [.. runs.Select(run => run.Raw[quantile.Name])],
            quantile.Name == "p99" ? BenchGoal.AtMost(GoalMs) : null)),
        Medians.Figure(Name, $"{variant}, load", [.. runs.Select(run => run.PerSecond)], "records/s", [.. runs.Select(run => run.Maximum)]),
    ];

    private static async Task<Run> RunAsync(BenchNode node, bool isKeyed, BenchOptions options, CancellationToken cancellation)
    {
        var maximum = await MaximumAsync(node, isKeyed, options, cancellation).ConfigureAwait(false);
        var perSecond = Math.Max(LeastPerSecond, maximum * Share);
        List<double> ours = [], raw = [];
        for (var left = options.Seconds ?? DefaultSeconds; left > 0; left -= SpellSeconds)
        {
            await SpellAsync(node, isKeyed, perSecond, Math.Min(left, SpellSeconds), options, ours, raw, cancellation).ConfigureAwait(false);
        }

        return new Run(maximum, perSecond, AtQuantiles(ours), AtQuantiles(raw));
    }

    private static async Task SpellAsync(
        BenchNode node, bool isKeyed, double perSecond, double seconds, BenchOptions options, List<double> ours, List<double> raw, CancellationToken cancellation)
    {
        await using var setup = await Setup.StartAsync(node, isKeyed, WarmRecords, options, cancellation).ConfigureAwait(false);
        var (broker, workload, log, arrivals) = (setup.Broker, setup.Workload, setup.Log, setup.Arrivals);
        var topic = workload.Topics[0];
        var number = (long)WarmRecords;
        await node.ReadWholeAsync(log, cancellation).ConfigureAwait(false);
        await arrivals.ReachAsync(number, Patience, cancellation).ConfigureAwait(false);

        using (var feed = new BenchFeed(broker.Kafka, ("linger.ms", "1")))
        {
            (TopicPartition, WorkloadRecord) Next()
            {
                var record = workload.At(number++);
                return (log.Add(record), record);
            }

            void Sent(TopicPartition partition, long offset, long dueAt) => arrivals.Due(string.Create(CultureInfo.InvariantCulture, $"{topic}:{partition.Partition}:{offset}"), dueAt);
            await feed.PaceAsync(perSecond, Math.Min(SettleSeconds, seconds), Next, null, cancellation).ConfigureAwait(false);
            await feed.PaceAsync(perSecond, seconds, Next, Sent, cancellation).ConfigureAwait(false);
            feed.Finish();
        }

        await arrivals.ReachAsync(number, Patience, cancellation).ConfigureAwait(false);
        await node.CheckAsync(log, cancellation).ConfigureAwait(false);
        var repeated = arrivals.Repeated;
        if (repeated > 0 || arrivals.Count != number) throw new BenchFailedException($"{number} records made {arrivals.Count} uploads, {repeated} of them repeated");
        await node.StopAsync(cancellation).ConfigureAwait(false);
        ours.AddRange(arrivals.Milliseconds());
        raw.AddRange(await RawAsync(broker, workload, isKeyed, perSecond, seconds, cancellation).ConfigureAwait(false));
    }

    /// <summary>The quantiles of all that were due.</summary>
    private static Dictionary<string, double> AtQuantiles(IEnumerable<double> milliseconds)
    {
        var sorted = milliseconds.Order().ToList();
        return Quantiles.ToDictionary(quantile => quantile.Name, quantile => sorted[Math.Clamp((int)Math.Ceiling(quantile.Share * sorted.Count) - 1, 0, sorted.Count - 1)]);
    }

    // Records that wait, as fast as they go.
    private static async Task<double> MaximumAsync(BenchNode node, bool isKeyed, BenchOptions options, CancellationToken cancellation)
    {
        var number = options.Records ?? DefaultRecords;
        await using var setup = await Setup.StartAsync(node, isKeyed, number, options, cancellation).ConfigureAwait(false);
        await node.ReadWholeAsync(setup.Log, cancellation).ConfigureAwait(false);
        await setup.Arrivals.ReachAsync(number, Patience, cancellation).ConfigureAwait(false);
        await node.StopAsync(cancellation).ConfigureAwait(false);
        return number / Stopwatch.GetElapsedTime(setup.Arrivals.FirstAt, setup.Arrivals.LastAt).TotalSeconds;
    }

    // As many records over as many hops as the node needs, with nothing done between: the source, the parts (through a router), the answers,
    // the uploads; and beside the answers a record for each, as the manifests of batches are.
    private static async Task<IReadOnlyList<double>> RawAsync(
        BenchBroker broker, Workload workload, bool isKeyed, double perSecond, double seconds, CancellationToken cancellation)
    {
        var arrivals = new Arrivals();
        List<IReadOnlyList<TopicPartition>> hops = [];
        foreach (var name in (string[])(isKeyed ? ["source", "answers", "uploads"] : ["source", "parts", "answers", "uploads"]))
        {
            hops.Add(await broker.AddTopicAsync($"raw-{name}", cancellation).ConfigureAwait(false));
        }

        using var chain = new BenchFeed(broker.Kafka);
        await chain.PrepareAsync(hops.Select(hop => hop[0].Topic)).ConfigureAwait(false);
        await using var stages = new Stages();
        for (var stage = 0; stage < hops.Count; stage++)
        {
            var (isFirst, next, answers) = (stage == 0, hops.ElementAtOrDefault(stage + 1), hops[^2]);
            stages.Add(await Watched.StartAsync(broker, hops[stage], (partition, offset, key, at) =>
            {
                // A manifest.
                if (key is not { Length: > 0 }) return;
                var origin = isFirst ? Key(partition, offset) : Encoding.UTF8.GetString(key);
                if (next is null) arrivals.Arrived(origin, at);
                else chain.Send(next[BenchLog.PartitionOf(Encoding.UTF8.GetBytes(origin))], Encoding.UTF8.GetBytes(origin), Passed);
                if (isFirst) chain.Send(answers[BenchLog.PartitionOf(Encoding.UTF8.GetBytes(origin + ":"))], [], Passed);
            }, cancellation).ConfigureAwait(false));
        }

        using var feed = new BenchFeed(broker.Kafka, ("linger.ms", "1"));
        var number = 0L;
        (TopicPartition, WorkloadRecord) Next()
        {
            var record = workload.At(number++);
            return (hops[0][BenchLog.PartitionOf(record.Key)], record);
        }

        static string Key(TopicPartition partition, long offset) => string.Create(CultureInfo.InvariantCulture, $"{partition.Partition}:{offset}");
        await feed.PaceAsync(perSecond, Math.Min(SettleSeconds, seconds), Next, null, cancellation).ConfigureAwait(false);
        await feed.PaceAsync(perSecond, seconds, Next, (partition, offset, dueAt) => arrivals.Due(Key(partition, offset), dueAt), cancellation).ConfigureAwait(false);
        feed.Finish();
        await arrivals.ReachAsync(number, Patience, cancellation).ConfigureAwait(false);
        chain.Finish();
        return arrivals.Milliseconds();
    }

    // About what a part, an answer or an upload of a small record is.
    private static readonly byte[] Passed = new byte[200];

    /// <summary>A broker with some records, a node that reads them, and whoever sees its uploads.</summary>
    private sealed record Setup(BenchBroker Broker, ScaleWorkload Workload, BenchLog Log, Arrivals Arrivals, Watched Watched) : IAsyncDisposable
    {
        public static async Task<Setup> StartAsync(BenchNode node, bool isKeyed, int records, BenchOptions options, CancellationToken cancellation)
        {
            var workload = new ScaleWorkload(options.Stations ?? DefaultStations);
            var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
            Watched? watched = null;
            try
            {
                var log = await broker.WriteAsync(new RightNow(workload), records, cancellation).ConfigureAwait(false);
                var uploads = await broker.AddOutputAsync(Echo.ModuleName, cancellation).ConfigureAwait(false);
                var arrivals = new Arrivals();
                watched = await Watched.StartAsync(broker, uploads, (_, _, key, at) => arrivals.Arrived(Encoding.UTF8.GetString(key ?? []), at), cancellation).ConfigureAwait(false);
                await node.StartAsync(broker, BenchPipelines.WithEcho(workload.Pipeline(isKeyed), workload.Topics[0]), cancellation).ConfigureAwait(false);
                return new Setup(broker, workload, log, arrivals, watched);
            }
            catch
            {
                if (watched is not null) await watched.DisposeAsync().ConfigureAwait(false);
                await broker.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }

        public async ValueTask DisposeAsync()
        {
            await Watched.DisposeAsync().ConfigureAwait(false);
            await Broker.DisposeAsync().ConfigureAwait(false);
        }
    }

    private sealed record Run(double Maximum, double PerSecond, IReadOnlyDictionary<string, double> Ours, IReadOnlyDictionary<string, double> Raw);

    /// <summary>Reading beside what is measured, until it is disposed.</summary>
    private sealed class Watched(CancellationTokenSource stop, Task reading) : IAsyncDisposable
    {
        public static async Task<Watched> StartAsync(BenchBroker broker, IReadOnlyList<TopicPartition> partitions, Action<TopicPartition, long, byte[]?, long> arrived, CancellationToken cancellation)
        {
            var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            try
            {
                return new Watched(stop, await broker.Raw.WatchAsync(partitions, arrived, stop.Token).ConfigureAwait(false));
            }
            catch
            {
                stop.Dispose();
                throw;
            }
        }

        public async ValueTask DisposeAsync()
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await reading.ConfigureAwait(false);
            stop.Dispose();
        }
    }

    /// <summary>The readers of a chain, ended together.</summary>
    private sealed class Stages : IAsyncDisposable
    {
        private readonly List<Watched> readers = [];

        public void Add(Watched reader) => readers.Add(reader);

        public async ValueTask DisposeAsync()
        {
            foreach (var reader in readers) await reader.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>When records were due and when what follows from them arrived, whichever is known first.</summary>
    private sealed class Arrivals
    {
        private readonly Lock gate = new();
        private readonly Dictionary<string, long> arrivedAt = new(StringComparer.Ordinal);
        private readonly Dictionary<string, long> dueAt = new(StringComparer.Ordinal);

        public long Count
        {
            get { lock (gate) return arrivedAt.Count; }
        }

        public long Repeated { get; private set; }

        public long FirstAt { get; private set; }

        public long LastAt { get; private set; }

        public void Arrived(string key, long at)
        {
            lock (gate)
            {
                if (!arrivedAt.TryAdd(key, at)) Repeated++;
                if (FirstAt == 0) FirstAt = at;
                LastAt = at;
            }
        }

        public void Due(string key, long at)
        {
            lock (gate) dueAt.Add(key, at);
        }

        public async Task ReachAsync(long count, TimeSpan limit, CancellationToken cancellation)
        {
            var waited = Stopwatch.StartNew();
            while (Count < count)
            {
                if (waited.Elapsed > limit) throw new BenchFailedException($"{Count} of {count} records have arrived after {limit.TotalSeconds:0} s");
                await Task.Delay(20, cancellation).ConfigureAwait(false);
            }
        }

        /// <summary>From when each was due until it arrived.</summary>
        public IReadOnlyList<double> Milliseconds()
        {
            lock (gate) return [.. dueAt.Select(due => Stopwatch.GetElapsedTime(due.Value, arrivedAt[due.Key]).TotalMilliseconds)];
        }
    }
}
