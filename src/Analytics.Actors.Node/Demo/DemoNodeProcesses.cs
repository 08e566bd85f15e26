using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Cluster;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// Several nodes, each a process of the same program with a node file of its own, on the demo's broker and one SQLite file. They
/// are watched through their API, and end with the demo however that ends: their standard input is its pipe.
/// </summary>
internal sealed class DemoNodeProcesses(IReadOnlyList<string> files, int shards, IClusterStore store, TimeSpan stopLimit) : IDemoCluster
{
    private readonly HttpClient http = new() { Timeout = TimeSpan.FromSeconds(10) };
    private readonly List<NodeProcess> processes = [];
    private readonly TaskCompletionSource failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IReadOnlyList<Uri> addresses = [];
    private DemoActivity last = DemoActivity.Nothing;
    private volatile bool isStopping;

    public int Nodes => files.Count;

    // Orders close seconds after their last record, and nobody tells of those through the API.
    public int QuietLooks => 40;

    public Task Failure => failure.Task;

    public string Addresses => $"dashboards {string.Join("  ", addresses)}";

    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (var file in files) processes.Add(Start(file));
        var waited = Stopwatch.StartNew();
        while (!await IsReadyAsync().ConfigureAwait(false))
        {
            if (failure.Task.IsFaulted) await failure.Task.ConfigureAwait(false);
            if (waited.Elapsed > DemoRunner.StartLimit) throw new TimeoutException($"The nodes did not run all shards within {DemoRunner.StartLimit.TotalSeconds:0} s; their logs say why.");
            await Task.Delay(200, cancellation).ConfigureAwait(false);
        }
    }

    public async Task<string> RestlessAsync()
    {
        var own = await ReadAllAsync("shards").ConfigureAwait(false);
        var running = own.Count(shard => (string?)shard["phase"] == "running");
        if (running < shards) return $"{running} of {shards} shards run";
        var (calls, batches, outputs) = (Total(own, "running_calls"), Total(own, "batches"), Total(own, "outbox"));
        if (calls + batches + outputs > 0) return string.Create(CultureInfo.InvariantCulture, $"{calls} calls run, {batches} batches open, {outputs} outputs to send");
        var lag = Total(own, "lag") + Total(await ReadAllAsync("sources").ConfigureAwait(false), "lag");
        return lag == 0 ? "" : $"{lag} records unread";
    }

    public async Task<long> AppliedPartsAsync(IReadOnlySet<string> sources) =>
        (await ReadAllAsync("counters").ConfigureAwait(false)).Sum(node => node["parts_applied"]!.AsObject().Where(topic => sources.Contains(topic.Key)).Sum(topic => Number(topic.Value)));

    public async Task<IReadOnlyList<AppliedMark>> MarksAsync() =>
    [
        .. (await ReadAllAsync("marks", "&limit=10000").ConfigureAwait(false)).Where(mark => Number(mark["applied_count"]) > 0).Select(AppliedMark.Of),
    ];

    public async Task<DemoActivity> ReadAsync()
    {
        try
        {
            var counters = await ReadAllAsync("counters").ConfigureAwait(false);
            var modules = await ReadAllAsync("modules").ConfigureAwait(false);
            var sources = await ReadAllAsync("sources").ConfigureAwait(false);
            var own = await ReadAllAsync("shards").ConfigureAwait(false);
            return last = DemoActivity.Sum(
            [
                new DemoActivity { Stations = (int)Total(own, "stations") },
                .. counters.Select(node => new DemoActivity
                {
                    FetchedByTopic = Counts(node["records_fetched"]),
                    UploadsByTopic = Counts(node["uploads"]),
                    BatchesCompleted = Number(node["batches_completed"]),
                    BatchesTimedOut = Number(node["batches_timed_out"]),
                    Missing = Number(node["missing_records"]),
                }),
                .. modules.Select(module => new DemoActivity
                {
                    Calls = Counts(module["calls"]).ToDictionary(call => ((string)module["module"]!, call.Key), call => call.Value),
                    OpenBatchesByModule = new Dictionary<string, long> { [(string)module["module"]!] = Number(module["batches_open"]) },
                }),
                .. sources.Select(source => new DemoActivity { LagByTopic = new Dictionary<string, long> { [(string)source["topic"]!] = Number(source["lag"]) } }),
            ]);
        }
        catch (Exception unanswered) when (unanswered is HttpRequestException or OperationCanceledException)
        {
            return last;
        }
    }

    public async Task<IReadOnlyList<string>> StopAsync()
    {
        isStopping = true;
        // The end of its input tells a node to stop in order.
        foreach (var process in processes) process.CloseInput();
        List<string> unfinished = [];
        foreach (var process in processes)
        {
            if (!await process.EndedWithinAsync(stopLimit).ConfigureAwait(false)) unfinished.Add($"{process.Name} did not end within {stopLimit.TotalSeconds:0} s");
            else if (process.ExitCode != 0) unfinished.Add($"{process.Name} ended with {process.ExitCode}: {process.LastWords}");
            unfinished.AddRange(process.Unfinished.Select(line => $"{process.Name}: {line}"));
        }

        return unfinished;
    }

    public async ValueTask DisposeAsync()
    {
        isStopping = true;
        foreach (var process in processes) process.CloseInput();
        foreach (var process in processes) await process.DisposeAsync().ConfigureAwait(false);
        http.Dispose();
    }

    private NodeProcess Start(string file)
    {
        var process = new NodeProcess(Path.GetFileNameWithoutExtension(file), Cli.OwnProgram.With("node", "--config", file, Cli.Verbs.UntilInputEnds));
        process.Ended.ContinueWith(_ =>
        {
            if (!isStopping) failure.TrySetException(new InvalidOperationException($"{process.Name} ended by itself with {process.ExitCode}: {process.LastWords}"));
        }, TaskScheduler.Default);
        return process;
    }

    // All run, every shard has an owner, and each node its share.
    private async Task<bool> IsReadyAsync()
    {
        try
        {
            var rows = await store.ReadNodesAsync(CancellationToken.None).ConfigureAwait(false);
            if (rows.Count(row => row.Entry is { State: NodeState.Running, Address.Length: > 0 }) < Nodes) return false;
            addresses = [.. rows.Select(row => new Uri(row.Entry.Address))];
            foreach (var address in addresses)
            {
                using var ready = await http.GetAsync(new Uri(address, "/health/ready")).ConfigureAwait(false);
                if (!ready.IsSuccessStatusCode) return false;
            }

            var owned = await Task.WhenAll(addresses.Select(address => ReadAsync(address, "shards", ""))).ConfigureAwait(false);
            return owned.Sum(node => node.Count) == shards && owned.All(node => node.Count >= shards / Nodes);
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private async Task<IReadOnlyList<JsonObject>> ReadAllAsync(string what, string query = "") =>
        [.. (await Task.WhenAll(addresses.Select(address => ReadAsync(address, what, query))).ConfigureAwait(false)).SelectMany(node => node)];

    private async Task<IReadOnlyList<JsonObject>> ReadAsync(Uri address, string what, string query)
    {
        var text = await http.GetStringAsync(new Uri(address, $"/api/v1/{what}?scope=node{query}")).ConfigureAwait(false);
        return JsonNode.Parse(text) switch
        {
            JsonArray list => [.. list.OfType<JsonObject>()],
            JsonObject one => [one],
            _ => [],
        };
    }

    private static long Total(IEnumerable<JsonObject> lines, string member) => lines.Sum(line => Number(line[member]));

    private static long Number(JsonNode? value) => value is null ? 0 : value.GetValue<long>();

    private static Dictionary<string, long> Counts(JsonNode? counts) => counts?.AsObject().ToDictionary(count => count.Key, count => Number(count.Value), StringComparer.Ordinal) ?? [];

    /// <summary>A node's process: what it printed last, and what it did not finish.</summary>
    private sealed class NodeProcess : IAsyncDisposable
    {
        private const string NotFinished = "not finished: ";

        private readonly Process process;
        private readonly Lock gate = new();
        private readonly List<string> unfinished = [];
        private string lastWords = "";

        public NodeProcess(string name, ProcessStartInfo start)
        {
            Name = name;
            process = Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} could not be started.");
            process.OutputDataReceived += (_, line) => Hear(line.Data, isError: false);
            process.ErrorDataReceived += (_, line) => Hear(line.Data, isError: true);
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            Ended = process.WaitForExitAsync();
        }

        public string Name { get; }

        public Task Ended { get; }

        public int ExitCode => process.ExitCode;

        public string LastWords
        {
            get
            {
                lock (gate) return lastWords;
            }
        }

        public IReadOnlyList<string> Unfinished
        {
            get
            {
                lock (gate) return [.. unfinished];
            }
        }

        public void CloseInput()
        {
            try
            {
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It has ended already.
            }
        }

        public async Task<bool> EndedWithinAsync(TimeSpan limit) => await Task.WhenAny(Ended, Task.Delay(limit)).ConfigureAwait(false) == Ended;

        public async ValueTask DisposeAsync()
        {
            if (!await EndedWithinAsync(TimeSpan.FromSeconds(15)).ConfigureAwait(false)) process.Kill(entireProcessTree: true);
            process.Dispose();
        }

        private void Hear(string? line, bool isError)
        {
            if (string.IsNullOrWhiteSpace(line)) return;
            lock (gate)
            {
                if (isError) lastWords = line;
                else if (line.StartsWith(NotFinished, StringComparison.Ordinal)) unfinished.Add(line[NotFinished.Length..]);
            }
        }
    }
}
