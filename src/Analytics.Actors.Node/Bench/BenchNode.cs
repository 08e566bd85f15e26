using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench;

/// <summary>What a node did, from when it was last seen without any record read until it was seen to have applied the last one.</summary>
/// <param name="ProcessorSeconds">Processor time of the node's process meanwhile.</param>
/// <param name="Parts">What it applied.</param>
/// <param name="StartSeconds">From its start until then: joining groups, taking shards over.</param>
/// <param name="Checkpoints">Group commits meanwhile.</param>
/// <param name="Uploads">What it uploaded meanwhile.</param>
internal sealed record NodeOutcome(long Parts, double Seconds, double ProcessorSeconds, double StartSeconds, long Checkpoints, long Uploads, long ResidentBytes);

/// <summary>
/// The node under test: a process of its own with the defaults that users have, a fresh SQLite file in a temporary folder and a fresh
/// group, which reads a log from its beginning. Only what an embedded broker needs is set: short waits of fetches and sessions.
/// </summary>
internal sealed partial class BenchNode : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90), StopLimit = TimeSpan.FromSeconds(60), Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    private readonly HttpClient http = new() { Timeout = TimeSpan.FromSeconds(30) };
    private readonly string folder = Directory.CreateTempSubdirectory("analytics-bench-").FullName;
    private BenchProcess process = NewProcess();
    private string file = "";
    private Uri address = new("http://127.0.0.1/");
    private int groups;

    public BenchProcess Process => process;

    /// <summary>Starts a node of a new group with an empty store; it is not waited for.</summary>
    /// <param name="settings">Further members of its configuration.</param>
    public async Task StartAsync(BenchBroker broker, string pipeline, CancellationToken cancellation, JsonObject? settings = null)
    {
        var group = string.Create(CultureInfo.InvariantCulture, $"bench-{++groups}");
        await broker.AddGroupAsync(group, cancellation).ConfigureAwait(false);
        var own = Directory.CreateDirectory(Path.Combine(folder, group)).FullName;
        var pipelineFile = Path.Combine(own, "pipeline.json");
        await File.WriteAllTextAsync(pipelineFile, pipeline, cancellation).ConfigureAwait(false);
        file = Path.Combine(own, "node.json");
        var configuration = new JsonObject
        {
            ["group"] = group,
            ["nodeId"] = "bench",
            ["pipeline"] = pipelineFile,
            ["kafka"] = new JsonObject
            {
                ["bootstrapServers"] = broker.BootstrapServers,
                ["consumer"] = new JsonObject(broker.Kafka.Consumer.Select(option => KeyValuePair.Create(option.Key, (JsonNode?)option.Value))),
            },
            ["shards"] = BenchBroker.Partitions,
            ["store"] = new JsonObject { ["path"] = Path.Combine(own, "state.db") },
            ["http"] = new JsonObject { ["port"] = 0 },
            ["metrics"] = new JsonObject { ["port"] = 0 },
            ["log"] = new JsonObject { ["format"] = "json" },
        };
        foreach (var (name, value) in settings ?? []) configuration[name] = value?.DeepClone();
        await File.WriteAllTextAsync(file, configuration.ToJsonString(), cancellation).ConfigureAwait(false);
        await StartAgainAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Starts the last node once more, with what its store holds: after <see cref="StopAsync"/> or <see cref="KillAsync"/>.</summary>
    public async Task StartAgainAsync(CancellationToken cancellation)
    {
        var started = await process.AskAsync(BenchNodeVerb.Run + file, line => line.Contains("\"HttpStarted\"", StringComparison.Ordinal), StartLimit, cancellation).ConfigureAwait(false);
        http.CancelPendingRequests();
        address = new Uri(ApiAddress().Match(started).Value);
    }

    /// <summary>Waits until the node has applied the whole log, and checks that it has applied each record exactly once.</summary>
    /// <param name="uncounted">What the first so many parts take does not count.</param>
    public async Task<NodeOutcome> ReadWholeAsync(BenchLog log, CancellationToken cancellation, long uncounted = 0)
    {
        var (begun, quiet) = (Stopwatch.StartNew(), Stopwatch.StartNew());
        var startSeconds = 0.0;
        Look first = default, last = default;
        while (last.Applied < log.Parts)
        {
            await Task.Delay(LookEvery, cancellation).ConfigureAwait(false);
            if (process.HasExited) throw new BenchFailedException($"the node has ended; it wrote last: {process.LastWords}");
            var look = await LookAsync(cancellation).ConfigureAwait(false) ?? last;
            if (look.Applied > last.Applied) quiet.Restart();
            if (quiet.Elapsed > Patience) throw new BenchFailedException($"for {Patience.TotalSeconds:0} s nothing was applied after {last.Applied} of {log.Parts}; the node wrote last: {process.LastWords}");
            last = look;
            if (first.At != 0 && last.Fetched > 0 && last.Applied >= uncounted) continue;
            first = last;
            startSeconds = begun.Elapsed.TotalSeconds;
        }

        await CheckAsync(log, cancellation).ConfigureAwait(false);
        return new NodeOutcome(
            last.Applied - first.Applied, Stopwatch.GetElapsedTime(first.At, last.At).TotalSeconds, last.ProcessorSeconds - first.ProcessorSeconds, startSeconds,
            last.Checkpoints - first.Checkpoints, last.Uploads - first.Uploads, process.ResidentBytes());
    }

    /// <summary>Each record of the log was applied exactly once, and none was refused.</summary>
    public async Task CheckAsync(BenchLog log, CancellationToken cancellation)
    {
        var marks = (await GetAsync("marks?scope=node&limit=10000", cancellation).ConfigureAwait(false))!.AsArray().Select(mark => AppliedMark.Of(mark!));
        if (log.Difference(marks) is { Length: > 0 } difference) throw new BenchFailedException(difference);
        var counters = await GetAsync("counters?scope=node", cancellation).ConfigureAwait(false);
        if (counters!["dead_letters"]!.AsObject().Count > 0) throw new BenchFailedException($"records were refused: {counters["dead_letters"]!.ToJsonString()}");
        if ((long)counters["missing_records"]! > 0) throw new BenchFailedException($"{counters["missing_records"]} records were missing on the way to a shard");
    }

    /// <summary>Waits until so many uploads have left, and no more.</summary>
    public async Task UploadedAsync(long uploads, CancellationToken cancellation)
    {
        var waited = Stopwatch.StartNew();
        for (var made = -1L; made != uploads;)
        {
            made = (await LookAsync(cancellation).ConfigureAwait(false))?.Uploads ?? made;
            if (made > uploads || waited.Elapsed > Patience) throw new BenchFailedException($"{made} uploads were made instead of {uploads}");
            await Task.Delay(LookEvery, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>The setting for more stations than 10,000 a shard: all stay in memory.</summary>
    public static JsonObject ManyResidents() => new() { ["limits"] = new JsonObject { ["entities"] = 50_000 } };

    /// <summary>What the node tells of itself; null while it does not answer.</summary>
    public async Task<JsonNode?> GetAsync(string what, CancellationToken cancellation)
    {
        try
        {
            using var answer = await http.GetAsync(new Uri(address, $"api/v1/{what}"), cancellation).ConfigureAwait(false);
            return answer.IsSuccessStatusCode ? JsonNode.Parse(await answer.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false)) : null;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    /// <summary>Stops the node in order; the process stays, for the next one.</summary>
    public Task StopAsync(CancellationToken cancellation) =>
        process.AskAsync(BenchNodeVerb.Stop, line => line.StartsWith(BenchNodeVerb.Stopped, StringComparison.Ordinal), StopLimit, cancellation);

    /// <summary>Ends the process as a crash does; the next node runs in a new one.</summary>
    public async Task KillAsync()
    {
        await process.KillAsync().ConfigureAwait(false);
        await process.DisposeAsync().ConfigureAwait(false);
        process = NewProcess();
    }

    public async ValueTask DisposeAsync()
    {
        await process.DisposeAsync().ConfigureAwait(false);
        http.Dispose();
        Directory.Delete(folder, true);
    }

    /// <summary>How far the node is; null while it does not answer.</summary>
    public async Task<Look?> LookAsync(CancellationToken cancellation)
    {
        if (await GetAsync("counters?scope=node", cancellation).ConfigureAwait(false) is not { } counters) return null;
        var at = Stopwatch.GetTimestamp();
        return new Look(at, Sum(counters["records_fetched"]), Sum(counters["parts_applied"]), Sum(counters["uploads"]), process.ProcessorSeconds(), (long)counters["checkpoints"]!);
    }

    private static long Sum(JsonNode? counts) => counts!.AsObject().Sum(count => (long)count.Value!);

    private static BenchProcess NewProcess() => BenchProcess.Start(BenchNodeVerb.Name);

    [GeneratedRegex(@"http://[0-9.]+:[0-9]+/")]
    private static partial Regex ApiAddress();

    /// <summary>How far the node was at a moment.</summary>
    /// <param name="At">See <see cref="Stopwatch.GetTimestamp"/>.</param>
    internal readonly record struct Look(long At, long Fetched, long Applied, long Uploads, double ProcessorSeconds, long Checkpoints);
}
