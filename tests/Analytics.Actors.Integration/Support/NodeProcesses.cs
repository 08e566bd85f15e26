using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Analytics.Actors.Integration.Support;

/// <summary>
/// The broker and a node as processes of their own. Their pipeline is the shipped one with batches that wait for all of
/// their stations however long a node was away, and modules that are called only when they have what they require.
/// </summary>
internal sealed partial class NodeProcesses : IAsyncDisposable
{
    public const string Group = "itp";
    public const int Shards = 8;
    public const int Partitions = 4;
    public const string Load = "MODULE-OUTPUT-LOAD_PREDICTION";
    public const string Evaluation = "MODULE-OUTPUT-EVALUATION_MODEL";
    public const string Guidance = "MODULE-OUTPUT-STATION_GUIDANCE";
    public const string DeadLetters = Group + ".dead-letters";
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(180);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(60);

    private readonly TestFolder folder = new();
    private readonly AnalyticsProcess broker;
    private readonly HttpClient http = new() { Timeout = AnswerLimit };
    private AnalyticsProcess? node;
    private Uri? api;

    private NodeProcesses()
    {
        WritePipeline(Pipeline);
        broker = AnalyticsProcess.Start(
            folder.Path, "broker", "--brokers", "3", "--pipeline", Pipeline, "--group", Group, "--shards", $"{Shards}", "--partitions", $"{Partitions}");
    }

    public string Bootstrap { get; private set; } = "";
    public SourceProducer Producer { get; private set; } = null!;
    public TopicReader Reader { get; private set; } = null!;
    public string Database => folder.File("node.db");
    public AnalyticsProcess Node => node ?? throw new InvalidOperationException("no node was started");

    private string Pipeline => folder.File("pipeline.json");

    public static async Task<NodeProcesses> StartAsync()
    {
        var processes = new NodeProcesses();
        try
        {
            const string announced = "bootstrap: ";
            var line = await processes.broker.LineAsync(text => text.StartsWith(announced, StringComparison.Ordinal), StartLimit);
            processes.Bootstrap = line[announced.Length..];
            processes.Bootstrap.Split(',').Length.ShouldBe(3);
            processes.Producer = new SourceProducer(processes.Bootstrap, Partitions);
            processes.Reader = await TopicReader.StartAsync(
                processes.Bootstrap, new[] { Load, Evaluation, Guidance, DeadLetters }.Select(topic => KeyValuePair.Create(topic, Partitions)));
            await processes.StartNodeAsync();
            return processes;
        }
        catch
        {
            await processes.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the node, or the next one on the same database, and waits until it says that it is ready and healthy.</summary>
    public async Task StartNodeAsync()
    {
        node?.Dispose();
        string[] settings =
        [
            $"group={Group}", "nodeId=itp-1", $"pipeline={Pipeline}", $"shards={Shards}", $"store.path={Database}", $"kafka.bootstrapServers={Bootstrap}",
            "http.port=0", "metrics.port=0", "log.format=json", "stopDeadlineSeconds=20",
            // An embedded broker answers an empty fetch only after this wait, and notices a member that is gone by its session.
            "kafka.consumer.fetch.wait.max.ms=2", "kafka.consumer.session.timeout.ms=4000", "kafka.consumer.heartbeat.interval.ms=500",
        ];
        node = AnalyticsProcess.Start(folder.Path, ["node", .. settings.SelectMany(setting => new[] { "--set", setting })]);
        var line = await node.LineAsync(text => text.Contains("\"event\":\"HttpStarted\"", StringComparison.Ordinal), StartLimit);
        api = new Uri(ApiAddress().Match(JsonDocument.Parse(line).RootElement.GetProperty("message").GetString()!).Value);
        await Wait.UntilAsync(async () => await StatusAsync("health/ready") == HttpStatusCode.OK, StartLimit, () => $"the node is ready, which {node.State()}");
        (await AskAsync("health")).GetProperty("status").GetString().ShouldBe("healthy");
    }

    /// <summary>host:port of the node's API, as verbs take it.</summary>
    public string Address => api!.Authority;

    /// <summary>A document of the node's HTTP API.</summary>
    public async Task<JsonElement> AskAsync(string path)
    {
        var text = await http.GetStringAsync(new Uri(api!, path));
        return JsonDocument.Parse(text).RootElement;
    }

    private async Task<HttpStatusCode> StatusAsync(string path)
    {
        using var response = await http.GetAsync(new Uri(api!, path));
        return response.StatusCode;
    }

    [GeneratedRegex(@"http://[0-9.]+:[0-9]+/")]
    private static partial Regex ApiAddress();

    /// <summary>SIGTERM: the exit code.</summary>
    public async Task<int> StopNodeAsync()
    {
        Node.Send(Signal.Terminate);
        return await Node.ExitAsync(StopLimit);
    }

    /// <summary>SIGKILL: nothing of it goes on.</summary>
    public async Task KillNodeAsync()
    {
        Node.Send(Signal.Kill);
        await Node.ExitAsync(StopLimit);
    }

    public Task BrokerDownAsync(int number) => broker.AskAsync($"down {number}", line => line == $"broker {number} is down", AnswerLimit);

    public Task BrokerUpAsync(int number) => broker.AskAsync($"up {number}", line => line == $"broker {number} is up", AnswerLimit);

    public async ValueTask DisposeAsync()
    {
        node?.Dispose();
        if (Reader is not null) await Reader.DisposeAsync();
        Producer?.Dispose();
        broker.Dispose();
        http.Dispose();
        folder.Dispose();
    }

    private static void WritePipeline(string file)
    {
        var shipped = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "cluster-config", "pipeline.json"));
        var pipeline = JsonNode.Parse(shipped, documentOptions: new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true })!;
        foreach (var name in new[] { "load_prediction", "evaluation_model", "station_guidance" })
        {
            var module = pipeline["modules"]![name]!.AsObject();
            module["batch"] = new JsonObject { ["kind"] = "record", ["deadline"] = "10min" };
            module["onIncomplete"] = "wait";
            if (name == "station_guidance") module["requires"] = new JsonArray(Load, Evaluation);
        }

        File.WriteAllText(file, pipeline.ToJsonString());
    }
}
