using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Integration.Support;

/// <summary>
/// A broker and nodes as processes of their own. Its pipeline is as small as can tell everything apart: FEED keeps a
/// station's newest eight numbers, evaluation_model answers with their sum, and station_guidance follows each of its
/// uploads. Batches wait for all of their stations, however long a node was away.
/// </summary>
internal sealed partial class Cluster : IAsyncDisposable
{
    public const string Group = "faults";
    public const int Shards = 8;
    public const int Partitions = 4;
    public const int Window = 8;
    public const string Feed = "FEED";
    public const string Evaluation = "MODULE-OUTPUT-EVALUATION_MODEL";
    public const string Guidance = "MODULE-OUTPUT-STATION_GUIDANCE";
    public const string DeadLetters = Group + ".dead-letters";

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    private const string PipelineText = """
        {
          "topics": {
            "FEED": {
              "envelope": "list", "window": 8, "fill": "zero", "pad": true, "start": "earliest",
              "fields": [{ "from": "n", "as": "outputPowerPerStationAvg", "type": "number" }]
            },
            "MODULE-OUTPUT-EVALUATION_MODEL": { "start": "earliest" }
          },
          "modules": {
            "evaluation_model": { "topics": ["FEED"], "retries": 20, "batch": { "kind": "record", "deadline": "2h" } },
            "station_guidance": { "topics": [], "dependsOn": ["evaluation_model"], "retries": 20, "batch": { "kind": "record", "deadline": "2h" } }
          }
        }
        """;

    private readonly TestFolder folder = new();
    private readonly AnalyticsProcess broker;
    private readonly Func<string, string> store;
    private readonly List<ClusterNode> nodes = [];

    /// <param name="store">The setting of the store, by the name of a node.</param>
    private Cluster(int brokers, Func<TestFolder, string, string> store)
    {
        this.store = name => store(folder, name);
        File.WriteAllText(Pipeline, PipelineText);
        broker = AnalyticsProcess.Start(
            folder.Path, "broker", "--brokers", Text(brokers), "--pipeline", Pipeline, "--group", Group, "--shards", Text(Shards), "--partitions", Text(Partitions));
    }

    public string Bootstrap { get; private set; } = "";
    public TopicReader Reader { get; private set; } = null!;
    public IReadOnlyList<ClusterNode> Nodes => nodes;
    public string Pipeline => folder.File("pipeline.json");

    public static async Task<Cluster> StartAsync(int brokers, Func<TestFolder, string, string> store)
    {
        var cluster = new Cluster(brokers, store);
        try
        {
            const string announced = "bootstrap: ";
            var line = await cluster.broker.LineAsync(text => text.StartsWith(announced, StringComparison.Ordinal), StartLimit);
            cluster.Bootstrap = line[announced.Length..];
            cluster.Reader = await TopicReader.StartAsync(
                cluster.Bootstrap, new[] { Feed, Evaluation, Guidance, DeadLetters }.Select(topic => KeyValuePair.Create(topic, Partitions)));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a node, or one that has ended once more; it is not waited for.</summary>
    /// <param name="crashAt">See <see cref="CrashPoint.Variable"/>.</param>
    public ClusterNode StartNode(string name, string? crashAt = null)
    {
        string[] settings =
        [
            $"group={Group}", $"nodeId={name}", $"pipeline={Pipeline}", $"shards={Text(Shards)}", store(name), $"kafka.bootstrapServers={Bootstrap}",
            "http.port=0", "metrics.port=0", "log.format=json", "log.level=INFO", "stopDeadlineSeconds=20", "commitIntervalSeconds=1",
            // An embedded broker answers an empty fetch only after this wait, and notices a member that is gone by its session.
            "kafka.consumer.fetch.wait.max.ms=5", "kafka.consumer.session.timeout.ms=4000", "kafka.consumer.heartbeat.interval.ms=500",
        ];
        var process = AnalyticsProcess.Start(
            folder.Path, crashAt is null ? [] : [(CrashPoint.Variable, crashAt)], ["node", .. settings.SelectMany(setting => new[] { "--set", setting })]);
        var found = nodes.Find(node => node.Name == name);
        if (found is null) nodes.Add(found = new ClusterNode(name));
        found.Runs(process);
        return found;
    }

    /// <summary>
    /// Starts nodes again that could not start because the database was away, as a supervisor does. One that ended by itself
    /// after its start is a failure, and stays ended.
    /// </summary>
    public void Supervise()
    {
        foreach (var node in nodes.Where(node => node.CouldNotStart)) StartNode(node.Name);
    }

    /// <summary>Waits until a node has started.</summary>
    public Task StartedAsync(ClusterNode node) => Wait.UntilAsync(
        () =>
        {
            Supervise();
            return node.Logged("NodeStarted: ") > 0;
        },
        StartLimit, () => $"{node.Name} has started, which {node.Process.State()}");

    /// <summary>Waits until every shard runs on one of these nodes, and each of them has some.</summary>
    public async Task SettledAsync(TimeSpan limit, params IReadOnlyList<ClusterNode> on)
    {
        await Wait.UntilAsync(
            async () =>
            {
                Supervise();
                var owned = await Task.WhenAll(on.Select(node => node.RunningShardsAsync()));
                return owned.All(shards => shards.Count > 0) && owned.SelectMany(shards => shards).Order().SequenceEqual(Enumerable.Range(0, Shards));
            },
            limit, () => $"all shards run on {string.Join(", ", on.Select(node => node.Name))}, of which\n{string.Join('\n', on.Select(node => $"{node.Name} {node.Process.State()}"))}");
    }

    /// <summary>Waits until so many uploads of the last module are out: records have gone all the way.</summary>
    public Task UploadedAsync(int uploads, TimeSpan limit) => Wait.UntilAsync(
        () => Reader.Records.Count(record => record.Topic == Guidance) >= uploads, limit, () => $"{uploads} uploads to {Guidance}; {State()}");

    public Task BrokerDownAsync(int number) => broker.AskAsync($"down {Text(number)}", line => line == $"broker {Text(number)} is down", StartLimit);

    public Task BrokerUpAsync(int number) => broker.AskAsync($"up {Text(number)}", line => line == $"broker {Text(number)} is up", StartLimit);

    public string BrokerState() => $"broker {broker.State()}";

    public string State() => string.Join('\n', nodes.Select(node => $"{node.Name} {node.Process.State()}"));

    public async ValueTask DisposeAsync()
    {
        foreach (var node in nodes) node.Dispose();
        if (Reader is not null) await Reader.DisposeAsync();
        broker.Dispose();
        folder.Dispose();
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>One node of the cluster, through all of its processes.</summary>
    internal sealed partial class ClusterNode(string name) : IDisposable
    {
        private readonly HttpClient http = new() { Timeout = AnswerLimit };
        private AnalyticsProcess? process;
        private Uri? api;

        public string Name => name;
        public AnalyticsProcess Process => process ?? throw new InvalidOperationException($"{name} was not started");

        public bool CouldNotStart => process is { HasExited: true } && process.Errors.Contains("the node could not start", StringComparison.Ordinal);

        /// <summary>How many lines of its log hold this.</summary>
        public int Logged(string text) => Process.Output.Split('\n').Count(line => line.Contains(text, StringComparison.Ordinal));

        public void Runs(AnalyticsProcess started)
        {
            process?.Dispose();
            process = started;
            api = null;
        }

        /// <summary>The shards that it runs, as it says itself; none where it does not answer.</summary>
        public async Task<IReadOnlyList<int>> RunningShardsAsync()
        {
            try
            {
                if (await ApiAsync() is not { } root) return [];
                using var shards = JsonDocument.Parse(await http.GetStringAsync(new Uri(root, "api/v1/shards")));
                return [.. shards.RootElement.EnumerateArray().Where(shard => shard.GetProperty("phase").GetString() == "running").Select(shard => shard.GetProperty("shard").GetInt32())];
            }
            catch (Exception silent) when (silent is HttpRequestException or TaskCanceledException or IOException)
            {
                return [];
            }
        }

        public async Task<int> EndAsync(Signal signal)
        {
            Process.Send(signal);
            return await Process.ExitAsync(StartLimit);
        }

        public void Dispose()
        {
            process?.Dispose();
            http.Dispose();
        }

        private async Task<Uri?> ApiAsync()
        {
            if (api is not null || Process.HasExited) return api;
            var line = await Process.LineAsync(text => text.Contains("\"event\":\"HttpStarted\"", StringComparison.Ordinal), StartLimit);
            return api = new Uri(ApiAddress().Match(line).Value);
        }

        [GeneratedRegex(@"http://[0-9.]+:[0-9]+/")]
        private static partial Regex ApiAddress();
    }
}
