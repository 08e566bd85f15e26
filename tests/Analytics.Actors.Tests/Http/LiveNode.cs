using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.Kafka;
using Analytics.Actors.Tests.Metrics;
using Analytics.Actors.Tests.Pipeline;
using Microsoft.Extensions.Logging;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Tests.Http;

/// <summary>
/// A whole node on an embedded broker and a database in a folder of its own, with its HTTP faces; a second one may be
/// started on the same broker and database. The modules are small and the test's own.
/// </summary>
internal sealed class LiveNode : IAsyncDisposable
{
    public const int Shards = 4;
    public const int Partitions = 2;
    public const string Group = "live";

    private readonly SqliteCheckpointStore store;
    private readonly ILoggerFactory logging;

    public LiveNode(EmbeddedBroker broker, string folder, PipelineConfiguration pipeline, params IModule[] modules)
        : this(Options(broker.BootstrapServers, folder), pipeline, modules)
    {
    }

    public LiveNode(NodeOptions options, PipelineConfiguration pipeline, params IModule[] modules)
    {
        logging = LoggerFactory.Create(builder => builder.AddProvider(Log));
        store = new SqliteCheckpointStore(options.Store.Path!);
        var byName = modules.ToDictionary(module => module.Name);
        Host = new NodeHost(options, new NodeParts
        {
            Pipeline = pipeline,
            Kafka = KafkaClientOptions.ForEmbeddedBroker(options.Kafka.BootstrapServers),
            Store = store,
            Modules = byName,
            ModulesOf = pipeline =>
            {
                TakingUp?.Invoke(pipeline);
                return byName;
            },
            Logging = logging,
        });
        Server = new NodeServer(Host, logging);
    }

    public NodeHost Host { get; }
    public NodeServer Server { get; }

    /// <summary>Called when the node takes up a pipeline; what it throws, taking up fails with.</summary>
    public Action<PipelineConfiguration>? TakingUp { get; set; }

    /// <summary>What it has logged, from Information on.</summary>
    public LogLines Log { get; } = new();
    public HttpClient Http { get; } = new();

    /// <summary>host:port, as verbs take it.</summary>
    public string Address => Server.Address!.Authority;

    public static NodeOptions Options(string brokers, string folder) => new()
    {
        Group = Group,
        NodeId = "node-1",
        Pipeline = "pipeline.json",
        Kafka = new KafkaOptions { BootstrapServers = brokers },
        Shards = Shards,
        Store = new StoreOptions { Path = Path.Combine(folder, "node.db") },
        Pools = new Dictionary<string, int> { ["default"] = 4 },
        Http = new EndpointOptions("127.0.0.1", 0),
        Metrics = new EndpointOptions("127.0.0.1", 0),
        StopDeadline = TimeSpan.FromSeconds(30),
    };

    /// <summary>The shipped topics, or some of them, with modules of the test.</summary>
    public static PipelineConfiguration Pipeline(string modules, IReadOnlyCollection<string>? topics = null, string outOfRange = "stop")
    {
        var json = PipelineFiles.DefaultJson();
        foreach (var (topic, _) in json["topics"]!.AsObject().ToList())
        {
            if (topics is not null && !topics.Contains(topic)) json["topics"]!.AsObject().Remove(topic);
            else json["topics"]![topic]!["outOfRange"] = outOfRange;
        }

        json["modules"] = JsonNode.Parse(modules);
        return PipelineFiles.Valid(json.ToJsonString());
    }

    public static EmbeddedBroker StartBroker(PipelineConfiguration pipeline)
    {
        var topics = pipeline.Topics.Keys.Concat(pipeline.Modules.Values.Select(module => module.OutputTopic)).Distinct()
            .ToDictionary(topic => topic, topic => pipeline.Topics.TryGetValue(topic, out var declared) && declared.Keyed ? Shards : Partitions);
        topics[$"{Group}.station-events"] = topics[$"{Group}.batch-results"] = Shards;
        topics[$"{Group}.dead-letters"] = topics[$"{Group}.replays"] = Partitions;
        return EmbeddedBroker.Start(topics: topics);
    }

    public async Task StartAsync()
    {
        await Server.StartAsync(CancellationToken.None);
        await Host.StartAsync(CancellationToken.None);
    }

    public Task WaitReadyAsync() => WaitUntilAsync("ready", async () => (await GetAsync("/health/ready")).Status == HttpStatusCode.OK);

    public async Task<(HttpStatusCode Status, JsonNode Body)> GetAsync(string path)
    {
        using var answer = await Http.GetAsync(new Uri(Server.Address!, path));
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/json", path);
        return (answer.StatusCode, JsonNode.Parse(await answer.Content.ReadAsStringAsync())!);
    }

    /// <summary>An answer that must be 200.</summary>
    public async Task<JsonNode> ReadAsync(string path)
    {
        var (status, body) = await GetAsync(path);
        status.ShouldBe(HttpStatusCode.OK, $"{path}: {body}");
        return body;
    }

    public async Task<ExpositionFormat> ScrapeAsync() =>
        ExpositionFormat.Parse(await Http.GetStringAsync(new Uri(Server.MetricsAddress!, "/metrics")));

    /// <summary>Asks again until it is so; fails, with what was asked for, when patience ends.</summary>
    public async Task WaitUntilAsync(string what, Func<Task<bool>> isSo)
    {
        using var patience = new CancellationTokenSource(Waiting.AtMost);
        while (!await isSo())
        {
            if (Host.Failure.IsFaulted) await Host.Failure;
            if (patience.IsCancellationRequested) throw new TimeoutException($"Not within {Waiting.AtMost.TotalSeconds} s: {what}. Health: {(await GetAsync("/health")).Body}");
            await Task.Delay(10);
        }
    }

    /// <summary>Until so many parts of a topic have been applied.</summary>
    public Task WaitAppliedAsync(string topic, long parts) => WaitUntilAsync(
        $"{parts} parts of {topic} applied", async () => (await ReadAsync("/api/v1/counters"))["parts_applied"]![topic]?.GetValue<long>() >= parts);

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        await Host.DisposeAsync();
        await store.DisposeAsync();
        Http.Dispose();
        logging.Dispose();
    }
}

/// <summary>A module that does what the test says.</summary>
internal sealed class TestModule(string name, Func<ModuleInput, CancellationToken, ModuleResult> call) : SynchronousModule
{
    public override string Name => name;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation) => call(input, cancellation);

    /// <summary>Tells how many guns and periods the input has, and the station's capacity.</summary>
    public static TestModule Summary(string name) => new(name, (input, _) => ModuleResult.Write(writer =>
    {
        writer.WriteNumber("guns", input.GetElement("gunNo").GetArrayLength());
        writer.WriteNumber("periods", input.GetElement("sendTime").GetArrayLength());
        writer.WriteNumber("capacity", input.GetElement("gridCapacity").GetInt32());
    }));
}

/// <summary>Writes records as stations send them, and reads what the node uploads.</summary>
internal sealed class Platform : IAsyncDisposable
{
    private readonly PartitionProducer producer;
    private readonly DataConsumer consumer;
    private readonly RecordingSink sink = new();
    private readonly PipelineConfiguration pipeline;

    public Platform(EmbeddedBroker broker, PipelineConfiguration pipeline)
    {
        this.pipeline = pipeline;
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        producer = new PartitionProducer(options);
        consumer = new DataConsumer(options, "platform", sink);
        foreach (var topic in pipeline.Modules.Values.Select(module => module.OutputTopic).Append($"{LiveNode.Group}.dead-letters"))
        {
            for (var partition = 0; partition < LiveNode.Partitions; partition++) _ = consumer.Assign(new TopicPartition(topic, partition), 0);
        }
    }

    public async Task<long> SendAsync(string topic, string value, int partition = 0, string? key = null)
    {
        var outcome = await producer.SendAsync(new TopicPartition(topic, partition), Encoding.UTF8.GetBytes(value), key is null ? null : Encoding.UTF8.GetBytes(key), timestampMs: DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        outcome.Result.ShouldBe(SendResult.Sent);
        return outcome.Offset;
    }

    public Task<long> SendParamAsync(params string[] stations) => SendAsync("SCHEDULE-STATION-PARAM", JsonSerializer.Serialize(
        stations.Select(station => new { stationId = station, gunNum = 2, gridCapacity = 630, hostCode = new[] { "h1" } })));

    public Task<long> SendRealtimeAsync(params string[] stations)
    {
        var time = DateTimeOffset.UtcNow.ToOffset(pipeline.TimeZone).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        return SendAsync("SCHEDULE-STATION-REALTIME-DATA", JsonSerializer.Serialize(new
        {
            realTimeData = stations.Select(station => new
            {
                stationId = station,
                sendTime = time,
                gunPower = new { gunNo = new[] { "1", "2" }, outputPowerPerGunAvg = new[] { 10, 20.5 }, outputPowerPerGunMax = new[] { 30, 40 } },
            }),
        }));
    }

    public Task<long> SendCalendarAsync() =>
        SendAsync("SCHEDULE-ENVIRONMENT-CALENDAR", """{"calendar": [{"date": "2025-05-01", "isHoliday": 1, "isWeekend": 0}]}""");

    /// <summary>The records of a topic, once there are so many.</summary>
    public async Task<IReadOnlyList<JsonNode>> ReadAsync(string topic, int count)
    {
        var records = await sink.Records.WaitUntil(all => all.Count(record => record.Partition.Topic == topic) >= count);
        return records.Where(record => record.Partition.Topic == topic).Select(record => JsonNode.Parse(record.Value)!).ToList();
    }

    public async ValueTask DisposeAsync()
    {
        await consumer.DisposeAsync();
        producer.Dispose();
    }
}
