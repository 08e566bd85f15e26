using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.RegularExpressions;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Integration.Support;

/// <summary>
/// A broker and nodes as processes of their own. Its pipeline is as small as can tell everything apart: FEED keeps a
/// station's newest eight numbers, evaluation_model answers with their sum, and station_guidance follows each of its
/// uploads. Batches wait for all of their stations, however long a node was away. ANALYTICS_LOGS names a folder for the nodes'
/// logs, which are otherwise gone with the cluster.
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

    /// <summary>Where the broker runs, and where people sit, on a network of hosts; a node's host has its name.</summary>
    public const string BrokerHost = "broker", OperatorHost = "operator";

    public const string Anchor = Group + ".station-events";

    private const int ApiPort = 8000;

    // Between hosts nodes answer nobody whom they do not know.
    private const string Token = "integration-tests-of-several-hosts";

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(5);

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
    private readonly HostNetwork? network;
    private readonly int shards;
    private readonly List<ClusterNode> nodes = [];
    private readonly List<(string Host, Forwarder Forwarder)> forwarders = [];

    /// <param name="store">The setting of the store, by the name of a node.</param>
    private Cluster(int brokers, Func<TestFolder, string, string> store, HostNetwork? network, int shards)
    {
        this.store = name => store(folder, name);
        this.network = network;
        this.shards = shards;
        File.WriteAllText(Pipeline, PipelineText);
        broker = AnalyticsProcess.Start(
            folder.Path, [],
            ["broker", "--brokers", Text(brokers), "--pipeline", Pipeline, "--group", Group, "--shards", Text(shards), "--partitions", Text(Partitions)],
            network?.Namespace(BrokerHost));
    }

    public string Bootstrap { get; private set; } = "";
    public TopicReader Reader { get; private set; } = null!;
    public IReadOnlyList<ClusterNode> Nodes => nodes;
    public string Pipeline => folder.File("pipeline.json");

    /// <param name="network">Hosts for the broker and for every node; null: all run on this one.</param>
    public static async Task<Cluster> StartAsync(int brokers, Func<TestFolder, string, string> store, HostNetwork? network = null, int shards = Shards)
    {
        var cluster = new Cluster(brokers, store, network, shards);
        try
        {
            const string announced = "bootstrap: ";
            var line = await cluster.broker.LineAsync(text => text.StartsWith(announced, StringComparison.Ordinal), StartLimit);
            cluster.Bootstrap = line[announced.Length..];
            if (network is not null) cluster.Forward(null, network);
            cluster.Reader = await TopicReader.StartAsync(
                cluster.Bootstrap, new[] { Feed, Evaluation, Guidance, DeadLetters }.Select(topic => KeyValuePair.Create(topic, Partitions)).Append(KeyValuePair.Create(Anchor, shards)));
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
            $"group={Group}", $"nodeId={name}", $"pipeline={Pipeline}", $"shards={Text(shards)}", store(name), $"kafka.bootstrapServers={Bootstrap}",
            .. network is null ? ["http.port=0"] : new[] { $"http.host={network.Address(name)}", $"http.port={Text(ApiPort)}", $"cluster.token={Token}" }, "metrics.port=0", "log.format=json", "log.level=INFO", "stopDeadlineSeconds=20", "commitIntervalSeconds=1",
            // An embedded broker answers an empty fetch only after this wait, and notices a member that is gone by its session.
            "kafka.consumer.fetch.wait.max.ms=5", "kafka.consumer.session.timeout.ms=4000", "kafka.consumer.heartbeat.interval.ms=500",
        ];
        var found = nodes.Find(node => node.Name == name);
        if (found is null)
        {
            if (network is not null) Forward(name, network);
            var http = network?.NewHttpClient(OperatorHost, AnswerLimit) ?? new HttpClient { Timeout = AnswerLimit };
            if (network is not null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Token);
            nodes.Add(found = new ClusterNode(name, http));
        }

        var process = AnalyticsProcess.Start(
            folder.Path, crashAt is null ? [] : [(CrashPoint.Variable, crashAt)], ["node", .. settings.SelectMany(setting => new[] { "--set", setting })],
            network?.Namespace(name));
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
                return owned.All(shards => shards.Count > 0) && owned.SelectMany(running => running).Order().SequenceEqual(Enumerable.Range(0, shards));
            },
            limit, () => $"all shards run on {string.Join(", ", on.Select(node => node.Name))}, of which\n{string.Join('\n', on.Select(node => $"{node.Name} {node.Process.State()}"))}");
    }

    /// <summary>Waits until so many uploads of the last module are out: records have gone all the way.</summary>
    public Task UploadedAsync(int uploads, TimeSpan limit) => Wait.UntilAsync(
        () => Reader.Records.Count(record => record.Topic == Guidance) >= uploads, limit, () => $"{uploads} uploads to {Guidance}; {State()}");

    public Task BrokerDownAsync(int number) => broker.AskAsync($"down {Text(number)}", line => line == $"broker {Text(number)} is down", StartLimit);

    public Task BrokerUpAsync(int number) => broker.AskAsync($"up {Text(number)}", line => line == $"broker {Text(number)} is up", StartLimit);

    /// <summary>The forwarders through which a host reaches the brokers.</summary>
    public IEnumerable<Forwarder> ForwardersOf(string host) => forwarders.Where(one => one.Host == host).Select(one => one.Forwarder);

    public string BrokerState() => $"broker {broker.State()}";

    public string State() => string.Join('\n', nodes.Select(node => $"{node.Name} {node.Process.State()}"));

    public async ValueTask DisposeAsync()
    {
        if (Environment.GetEnvironmentVariable("ANALYTICS_LOGS") is { Length: > 0 } logs)
        {
            foreach (var node in nodes) await File.WriteAllLinesAsync(Path.Combine(logs, $"{node.Name}.log"), node.AllLines);
        }

        foreach (var node in nodes) node.Dispose();
        foreach (var (_, forwarder) in forwarders) forwarder.Dispose();
        if (Reader is not null) await Reader.DisposeAsync();
        broker.Dispose();
        folder.Dispose();
    }

    // At every host the brokers are on 127.0.0.1, as they say themselves; between the hosts their ports are on the address of theirs.
    private void Forward(string? host, HostNetwork hosts)
    {
        foreach (var port in Bootstrap.Split(',').Select(broker => int.Parse(broker.Split(':')[1], CultureInfo.InvariantCulture)))
        {
            var own = new IPEndPoint(IPAddress.Loopback, port);
            var between = new IPEndPoint(hosts.Address(BrokerHost), port);
            if (host is null)
            {
                forwarders.Add((BrokerHost, new Forwarder(hosts, BrokerHost, between, BrokerHost, own)));
                forwarders.Add(("", new Forwarder(hosts, null, own, BrokerHost, own)));
            }
            else
            {
                forwarders.Add((host, new Forwarder(hosts, host, own, host, between)));
            }
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>One node of the cluster, through all of its processes.</summary>
    internal sealed partial class ClusterNode(string name, HttpClient http) : IDisposable
    {
        // Lines of the processes before this one.
        private readonly List<string> earlier = [];
        private AnalyticsProcess? process;
        private Uri? api;

        public string Name => name;
        public AnalyticsProcess Process => process ?? throw new InvalidOperationException($"{name} was not started");

        public bool CouldNotStart => process is { HasExited: true } && process.Errors.Contains("the node could not start", StringComparison.Ordinal);

        /// <summary>How many lines of its log hold this.</summary>
        public int Logged(string text) => Process.Output.Split('\n').Count(line => line.Contains(text, StringComparison.Ordinal));

        /// <summary>Every line of all its processes, in their order.</summary>
        public IEnumerable<string> AllLines => earlier.Concat(Process.Output.Split('\n'));

        /// <summary>The source partitions that its router reads, as the group has told it.</summary>
        public IReadOnlySet<string> Sources()
        {
            HashSet<string> sources = [];
            foreach (Match change in SourcesChange().Matches(Process.Output))
            {
                var partitions = change.Groups[2].Value.Split(", ");
                if (change.Groups[1].Value == "assigned") sources.UnionWith(partitions);
                else sources.ExceptWith(partitions);
            }

            return sources;
        }

        public void Runs(AnalyticsProcess started)
        {
            if (process is not null) earlier.AddRange(process.Output.Split('\n'));
            process?.Dispose();
            process = started;
            api = null;
        }

        /// <summary>The shards that it runs, as it says itself; none where it does not answer.</summary>
        public async Task<IReadOnlyList<int>> RunningShardsAsync()
        {
            if (await AskAsync("api/v1/shards?scope=node") is not { ValueKind: JsonValueKind.Array } shards) return [];
            return [.. shards.EnumerateArray().Where(shard => shard.GetProperty("phase").GetString() == "running").Select(shard => shard.GetProperty("shard").GetInt32())];
        }

        /// <summary>A document of its API, whatever the status; null where it does not answer.</summary>
        public async Task<JsonElement?> AskAsync(string path)
        {
            try
            {
                if (await ApiAsync() is not { } root) return null;
                using var response = await http.GetAsync(new Uri(root, path));
                return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
            }
            catch (Exception silent) when (silent is HttpRequestException or TaskCanceledException or IOException or JsonException)
            {
                return null;
            }
        }

        public async Task<int> EndAsync(Signal signal)
        {
            Process.Send(signal);
            return await Process.ExitAsync(StartLimit);
        }

        /// <summary>SIGTERM. Returns how many processes librdkafka aborted instead (its issue 4312): 1 or 0; any other end is a fault.</summary>
        public async Task<int> StopAsync()
        {
            var exit = await EndAsync(Signal.Terminate);
            if (exit == 0) return 0;
            Process.State().ShouldContain("rd_kafka_sticky_assignor_state_destroy");
            exit.ShouldBe(134);
            return 1;
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

        [GeneratedRegex("\"router: (assigned|revoked|lost): ([^\"]*)\"")]
        private static partial Regex SourcesChange();

        [GeneratedRegex(@"http://[0-9.]+:[0-9]+/")]
        private static partial Regex ApiAddress();
    }
}
