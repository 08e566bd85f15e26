using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Modules;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Integration.Support;

/// <summary>A whole node in this process: real broker over TCP, a real SQLite file, real threads.</summary>
internal sealed class TestNode : IAsyncDisposable
{
    public const string Group = "it";
    public const int Shards = 8;
    public const int Partitions = 4;
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(180);

    private readonly SqliteCheckpointStore store;

    private TestNode(NodeHost host, SqliteCheckpointStore store, CapturedLog log)
    {
        Host = host;
        this.store = store;
        Log = log;
    }

    public NodeHost Host { get; }
    public CapturedLog Log { get; }

    /// <summary>The pipeline that is shipped.</summary>
    public static PipelineConfiguration DefaultPipeline()
    {
        var reading = ConfigurationFile.ReadPipeline(Path.Combine(AppContext.BaseDirectory, "cluster-config", "pipeline.json"));
        return reading.Configuration ?? throw new InvalidOperationException(string.Join('\n', reading.Problems));
    }

    /// <summary>A broker with every topic of the pipeline.</summary>
    public static EmbeddedBroker StartBroker(PipelineConfiguration pipeline)
    {
        var topics = new Dictionary<string, int>(StringComparer.Ordinal)
        {
            [$"{Group}.station-events"] = Shards,
            [$"{Group}.batch-results"] = Shards,
            [$"{Group}.dead-letters"] = Partitions,
            [$"{Group}.replays"] = Partitions,
        };
        foreach (var topic in pipeline.Topics.Keys) topics[topic] = Partitions;
        foreach (var topic in OutputTopics(pipeline)) topics[topic] = Partitions;
        return EmbeddedBroker.Start(1, topics);
    }

    public static IReadOnlyList<string> OutputTopics(PipelineConfiguration pipeline) =>
        [.. pipeline.Modules.Values.Where(module => module.Enabled).Select(module => module.OutputTopic)];

    public static IReadOnlyDictionary<string, IModule> BuiltIns(PipelineConfiguration pipeline)
    {
        var catalog = ModuleCatalog.WithBuiltIns(pipeline.CodeTables);
        return catalog.Names.ToDictionary(name => name, name => catalog.Find(name)!, StringComparer.Ordinal);
    }

    public static NodeOptions Options(string bootstrapServers, string database, int shards = Shards) => new()
    {
        Group = Group,
        NodeId = "it-1",
        Pipeline = "pipeline.json",
        Kafka = new KafkaOptions { BootstrapServers = bootstrapServers },
        Shards = shards,
        Store = new StoreOptions { Path = database },
        Pools = new Dictionary<string, int> { ["default"] = 4 },
        StopDeadline = TimeSpan.FromSeconds(20),
    };

    /// <summary>Starts a node and waits until it reads and runs everything.</summary>
    public static async Task<TestNode> StartAsync(
        NodeOptions options, PipelineConfiguration pipeline, IReadOnlyDictionary<string, IModule>? modules = null, TimeProvider? time = null)
    {
        var log = new CapturedLog();
        var store = new SqliteCheckpointStore(options.Store.Path!);
        var host = new NodeHost(options, new NodeParts
        {
            Pipeline = pipeline,
            Kafka = KafkaClientOptions.ForEmbeddedBroker(options.Kafka.BootstrapServers),
            Store = store,
            Modules = modules ?? BuiltIns(pipeline),
            Logging = log,
            Time = time ?? TimeProvider.System,
        });
        var node = new TestNode(host, store, log);
        try
        {
            await host.StartAsync(CancellationToken.None);
            await Wait.UntilAsync(host.IsReadyAsync, StartLimit, () => $"the node is ready\n{string.Join('\n', log.Lines)}");
            return node;
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>Parts applied per source topic, ever: the marks are kept with the state.</summary>
    public Task<Dictionary<string, long>> AppliedAsync() => Host.Shards!.Ask(core => core.Running
        .SelectMany(shard => shard.Marks.Sources.Where(mark => mark.Log != shard.BatchLog))
        .GroupBy(mark => mark.Source.Topic)
        .ToDictionary(topic => topic.Key, topic => topic.Sum(mark => mark.Mark.AppliedCount)));

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        await store.DisposeAsync();
    }
}
