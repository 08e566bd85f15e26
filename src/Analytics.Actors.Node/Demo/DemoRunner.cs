using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Node.Logging;
using Analytics.Actors.Node.Modules;
using Analytics.Actors.Node.Replay;
using Analytics.Actors.Storage;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// The verb <c>demo</c>: an embedded broker, one node on SQLite, stations that talk (simulated, or real data replayed), a
/// live view, and the demo's own check of everything at the end.
/// </summary>
public sealed class DemoRunner(DemoOptions options, PipelineConfiguration pipeline, TextWriter output)
{
    private const string Group = "demo";
    private const int Shards = 16;
    private const int SourcePartitions = 4;
    private const int OutputPartitions = 2;
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(30);

    /// <summary>Runs the demo; the exit code: 0 all is right, 1 something is not.</summary>
    public async Task<int> RunAsync(CancellationToken cancellation)
    {
        var directory = options.Keep ?? Path.Combine(Path.GetTempPath(), "analytics-demo-" + Guid.NewGuid().ToString("N")[..8]);
        Directory.CreateDirectory(directory);
        try
        {
            return await RunAsync(directory, cancellation).ConfigureAwait(false);
        }
        finally
        {
            if (options.Keep is null) Directory.Delete(directory, true);
        }
    }

    private async Task<int> RunAsync(string directory, CancellationToken cancellation)
    {
        using var logging = LoggingSetup.Create(new LogOptions { Level = LogLevel.Information, File = Path.Combine(directory, "node.log") }, TextWriter.Null, isTerminal: false);
        using var broker = EmbeddedBroker.Start(1, Topics());
        var kafka = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        var nodeOptions = new NodeOptions
        {
            Group = Group,
            NodeId = "demo-1",
            Pipeline = "pipeline.json",
            Kafka = new KafkaOptions { BootstrapServers = broker.BootstrapServers },
            Shards = Shards,
            Store = new StoreOptions { Path = Path.Combine(directory, "demo.db") },
            Pools = new Dictionary<string, int> { ["default"] = Math.Max(4, Environment.ProcessorCount) },
            StopDeadline = TimeSpan.FromSeconds(10),
            Http = new EndpointOptions("127.0.0.1", PortOrAny(8000)),
            Metrics = new EndpointOptions("127.0.0.1", PortOrAny(8001)),
        };
        var sources = pipeline.Topics.Values.Where(topic => topic.OutputOf is null).Select(topic => topic.Name).ToHashSet(StringComparer.Ordinal);
        var globals = pipeline.Topics.Values.Where(topic => topic.Scope == TopicScope.Global).Select(topic => topic.Name).ToHashSet(StringComparer.Ordinal);
        var faults = new PlantedFaults(options.Drop, options.Duplicate, topic => sources.Contains(topic) && !globals.Contains(topic));
        await using var store = new SqliteCheckpointStore(nodeOptions.Store.Path!);
        var catalog = ModuleCatalog.WithBuiltIns(pipeline.CodeTables);
        await using var node = new NodeHost(nodeOptions, new NodeParts
        {
            Pipeline = pipeline,
            Kafka = kafka,
            Store = store,
            Modules = catalog.Names.ToDictionary(name => name, name => catalog.Find(name)!, StringComparer.Ordinal),
            Logging = logging,
            ApplyTimes = options.Drop + options.Duplicate > 0 ? faults.Times : null,
        });
        await using var server = new NodeServer(node, logging);
        await server.StartAsync(cancellation).ConfigureAwait(false);
        await output.WriteLineAsync($"dashboard {server.Address}  health {server.Address}health  metrics {server.MetricsAddress}metrics").ConfigureAwait(false);
        var ledger = new DemoLedger(pipeline, Shards);
        var view = new DemoView(node, ledger, pipeline, options.Duration);
        var table = new LiveTable();
        using var showing = new CancellationTokenSource();
        var shown = table.RunAsync(showing.Token);
        var viewing = view.RunAsync(table, showing.Token);
        await node.StartAsync(cancellation).ConfigureAwait(false);
        await WaitReadyAsync(node, cancellation).ConfigureAwait(false);

        var readBack = new DemoReadBack(ledger, $"{Group}.dead-letters");
        await using var reader = new DataConsumer(kafka, $"{Group}.read-back", readBack);
        foreach (var (topic, partitions) in Topics().Where(topic => topic.Key.StartsWith("MODULE-OUTPUT-", StringComparison.Ordinal) || topic.Key == $"{Group}.dead-letters"))
        {
            for (var partition = 0; partition < partitions; partition++) await reader.Assign(new TopicPartition(topic, partition), 0).ConfigureAwait(false);
        }

        using var producer = new PartitionProducer(kafka);
        using var feed = new DemoFeed(producer, ledger, Partitions, _ => AppliedPartsAsync(node, sources));
        view.Phase = "running";
        var begun = Stopwatch.StartNew();
        await ProduceAsync(feed, begun, node.Failure, cancellation).ConfigureAwait(false);
        var seconds = begun.Elapsed.TotalSeconds;
        view.Phase = "draining";
        List<LedgerCheck> further = [];
        var isFlushed = feed.Flush(TimeSpan.FromSeconds(10));
        var drained = isFlushed && await DrainAsync(node, ledger, cancellation).ConfigureAwait(false);
        further.Add(new LedgerCheck("everything came to rest", drained, drained ? "" : $"not within {DrainLimit.TotalSeconds:0} s: {(isFlushed ? await RestlessAsync(node).ConfigureAwait(false) : "records were not acknowledged")}"));

        var marks = await MarksAsync(node).ConfigureAwait(false);
        var verdict = ledger.Verdict(marks);
        var canary = ledger.Canary(marks);
        var unfinished = await node.StopAsync().ConfigureAwait(false);
        further.Add(new LedgerCheck("the node stopped in order", unfinished.Count == 0, string.Join("; ", unfinished)));
        further.Add(new LedgerCheck("everything could be read back", readBack.Failures.Count == 0, string.Join("; ", readBack.Failures)));
        var counters = node.Observer.Counters;
        further.Add(new LedgerCheck("no record was missing on the way to a shard", counters.Missing == 0 || options.Drop > 0, $"{counters.Missing} missing"));
        further.Add(new LedgerCheck("late results are those of batches that ended by their deadline", ledger.LateAnswers == 0 || counters.BatchesTimedOut > 0, $"{ledger.LateAnswers} late, {counters.BatchesTimedOut} batches by deadline"));
        table.Complete();
        await showing.CancelAsync().ConfigureAwait(false);
        await Task.WhenAny(Task.WhenAll(shown, viewing), Task.Delay(TimeSpan.FromSeconds(2), CancellationToken.None)).ConfigureAwait(false);

        var calls = counters.Calls;
        var report = DemoReport.Of(
            verdict, canary,
            new NodeCounters(
                calls.Values.Sum(), calls.Where(call => call.Key.Outcome == "result").Sum(call => call.Value), counters.BatchesCompleted, counters.BatchesTimedOut,
                calls.Where(call => call.Key.Outcome is "error" or "timeout").Sum(call => call.Value)),
            seconds, further);
        await output.WriteLineAsync(report.ToText()).ConfigureAwait(false);
        if (options.Report is { } file) await File.WriteAllTextAsync(file, report.ToJson(), CancellationToken.None).ConfigureAwait(false);
        if (options.Keep is not null) await output.WriteLineAsync($"kept: {directory}").ConfigureAwait(false);
        return report.ExitCode;
    }

    // The usual port where it is free; a demo beside a node takes any.
    private static int PortOrAny(int port)
    {
        try
        {
            using var probe = new TcpListener(IPAddress.Loopback, port);
            probe.Start();
            return port;
        }
        catch (SocketException)
        {
            return 0;
        }
    }

    private Dictionary<string, int> Topics()
    {
        var topics = new Dictionary<string, int>(StringComparer.Ordinal)
        {
            [$"{Group}.station-events"] = Shards,
            [$"{Group}.batch-results"] = Shards,
            [$"{Group}.dead-letters"] = OutputPartitions,
            [$"{Group}.replays"] = OutputPartitions,
        };
        foreach (var topic in pipeline.Topics.Values.Where(topic => topic.OutputOf is null)) topics[topic.Name] = Partitions(topic.Name);
        foreach (var module in pipeline.Modules.Values.Where(module => module.Enabled)) topics[module.OutputTopic] = OutputPartitions;
        return topics;
    }

    private int Partitions(string source) => pipeline.Topics.TryGetValue(source, out var topic) && topic.Keyed ? Shards : SourcePartitions;

    private static async Task WaitReadyAsync(NodeHost node, CancellationToken cancellation)
    {
        var waited = Stopwatch.StartNew();
        while (!await node.IsReadyAsync().ConfigureAwait(false))
        {
            if (node.Failure.IsFaulted) await node.Failure.ConfigureAwait(false);
            if (waited.Elapsed > StartLimit) throw new TimeoutException($"The node was not ready within {StartLimit.TotalSeconds:0} s; its log says why.");
            await Task.Delay(50, cancellation).ConfigureAwait(false);
        }
    }

    private async Task ProduceAsync(DemoFeed feed, Stopwatch begun, Task failure, CancellationToken cancellation)
    {
        try
        {
            if (options.Data is { } data) await ReplayAsync(data, feed, begun, failure, cancellation).ConfigureAwait(false);
            else await SimulateAsync(feed, begun, failure, cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Ctrl-C: what was produced is still checked.
        }
    }

    private async Task SimulateAsync(DemoFeed feed, Stopwatch begun, Task failure, CancellationToken cancellation)
    {
        using var fleet = new StationFleet(new FleetOptions
        {
            StartMs = DemoFeed.NowMs,
            Stations = options.Stations,
            Seed = options.Seed,
            RecordsPerSecond = options.Rate,
            TimeZone = pipeline.TimeZone,
            BadRecordEveryMs = Math.Clamp((long)(options.Duration.TotalMilliseconds / 32), 100, 1_000),
        });
        while (begun.Elapsed < options.Duration && !failure.IsCompleted)
        {
            foreach (var record in fleet.Next(DemoFeed.NowMs, 2_000))
            {
                await feed.SendAsync(record, Shards, cancellation).ConfigureAwait(false);
                await feed.HoldBackAsync(cancellation).ConfigureAwait(false);
                if (begun.Elapsed >= options.Duration) break;
            }

            await Task.Delay(5, cancellation).ConfigureAwait(false);
        }
    }

    private async Task ReplayAsync(string data, DemoFeed feed, Stopwatch begun, Task failure, CancellationToken cancellation)
    {
        var replay = DemoReplay.Options(options.Duration, pipeline.TimeZone, DateTime.UtcNow);
        long? firstMs = null;
        foreach (var record in ReplayData.Read(data, replay))
        {
            firstMs ??= record.TimestampMs;
            // The whole span of the data over the demo's duration.
            var due = DemoReplay.Due(record.TimestampMs - firstMs.Value, options.Duration);
            if (due > begun.Elapsed) await Task.Delay(due - begun.Elapsed, cancellation).ConfigureAwait(false);
            if (begun.Elapsed >= options.Duration || failure.IsCompleted) return;
            await feed.SendAsync(ReplayExpectation.Of(record), Shards, cancellation).ConfigureAwait(false);
            await feed.HoldBackAsync(cancellation).ConfigureAwait(false);
        }
    }

    private static async Task<bool> DrainAsync(NodeHost node, DemoLedger ledger, CancellationToken cancellation)
    {
        var waited = Stopwatch.StartNew();
        var quiet = 0;
        var uploads = -1L;
        while (waited.Elapsed < DrainLimit && !node.Failure.IsCompleted)
        {
            // Quiet: nothing owed, nothing waiting, nothing new read back, several times in a row.
            var progress = ledger.Progress();
            var isQuiet = await RestlessAsync(node).ConfigureAwait(false) is "" && progress.UploadsRead + progress.DeadLettersRead == uploads;
            uploads = progress.UploadsRead + progress.DeadLettersRead;
            quiet = isQuiet ? quiet + 1 : 0;
            if (quiet >= 10 && (ledger.Agrees(await MarksAsync(node).ConfigureAwait(false)) || waited.Elapsed > DrainLimit / 3)) return true;
            await Task.Delay(100, CancellationToken.None).ConfigureAwait(false);
        }

        return false;
    }

    // What still waits in the node, for people; empty: nothing.
    private static async Task<string> RestlessAsync(NodeHost node)
    {
        var shards = await node.Shards!.Ask(core =>
        {
            var owed = core.Running.Sum(shard => shard.Stations.Values.Sum(station => station.TriggerCount));
            var batches = core.Running.Sum(shard => shard.Batches.Batches.Count + shard.Batches.WaitingRevisions);
            var outputs = core.Running.Sum(shard => shard.Outputs.Outbox.Count);
            var seconds = core.Running.Sum(shard => shard.Stations.Values.Count(station => station.NextDueMs is { } due && due - DemoFeed.NowMs < 2_000));
            return owed + batches + outputs + seconds == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{owed} calls owed, {batches} batches open, {outputs} outputs to send, {seconds} orders open");
        }).ConfigureAwait(false);
        if (shards.Length > 0) return shards;
        if (!await node.Router!.Ask(router => router.IsIdle).ConfigureAwait(false)) return "the router waits for acknowledgements";
        var positions = await node.SourcePositionsAsync().ConfigureAwait(false);
        var lag = positions.Sum(position => Math.Max(0, (position.End ?? position.Next) - position.Next));
        return lag == 0 ? "" : $"{lag} records unread";
    }

    private static Task<long> AppliedPartsAsync(NodeHost node, HashSet<string> sources) => node.Shards!.Ask(core =>
        core.Running.Sum(shard => shard.AppliedByTopic.Where(topic => sources.Contains(topic.Key)).Sum(topic => topic.Value)));

    private static Task<List<AppliedMark>> MarksAsync(NodeHost node) => node.Shards!.Ask(core => core.Running
        .SelectMany(shard => shard.Marks.Sources.Where(mark => mark.Log != shard.BatchLog && mark.Mark.AppliedCount > 0)
            .Select(mark => AppliedMark.Of(shard.Id, mark.Source, mark.Mark.AppliedCount, mark.Mark.AppliedHash)))
        .ToList());
}
