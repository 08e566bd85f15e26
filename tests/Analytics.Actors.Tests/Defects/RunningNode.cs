using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.Kafka;
using Analytics.Actors.Tests.Pipeline;
using Analytics.Actors.Tests.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Analytics.Actors.Tests.Defects;

/// <summary>A whole node, threads and all, on an embedded broker and SQLite.</summary>
internal sealed class RunningNode : IAsyncDisposable
{
    public const string Group = "defects";

    private readonly DatabaseFile file = new();
    private readonly RecordingSink sink = new();
    private DataConsumer? reader;
    private PartitionProducer? producer;

    /// <param name="topics">Topics that are there before the node starts, with their partition counts.</param>
    public RunningNode(string pipeline, IReadOnlyDictionary<string, int> topics, IReadOnlyDictionary<string, IModule> modules, int shards = 4)
    {
        // The embedded broker creates no topic because a client asks for it.
        var all = new Dictionary<string, int>
        {
            [Group + ".station-events"] = shards, [Group + ".batch-results"] = shards, [Group + ".dead-letters"] = 1, [Group + ".replays"] = 1, ["MODULE-OUTPUT-M"] = 4,
        };
        foreach (var (topic, partitions) in topics) all[topic] = partitions;
        Broker = EmbeddedBroker.Start(topics: all);
        Kafka = KafkaClientOptions.ForEmbeddedBroker(Broker.BootstrapServers);
        Store = new SqliteCheckpointStore(file.Path);
        Options = new NodeOptions
        {
            Group = Group, NodeId = "node-1", Pipeline = "", Kafka = new KafkaOptions { BootstrapServers = Broker.BootstrapServers },
            Store = new StoreOptions { Path = file.Path }, Pools = new Dictionary<string, int> { ["default"] = 2 }, Shards = shards,
            StopDeadline = TimeSpan.FromSeconds(5),
        };
        Host = new NodeHost(Options, new NodeParts
        {
            Pipeline = PipelineFiles.Valid(pipeline), Kafka = Kafka, Store = Store, Modules = modules, Logging = NullLoggerFactory.Instance,
        });
    }

    public EmbeddedBroker Broker { get; }
    public KafkaClientOptions Kafka { get; }
    public SqliteCheckpointStore Store { get; }
    public NodeOptions Options { get; }
    public NodeHost Host { get; }

    public async Task ProduceAsync(string topic, string value, int partition = 0)
    {
        producer ??= new PartitionProducer(Kafka);
        (await producer.SendAsync(new TopicPartition(topic, partition), System.Text.Encoding.UTF8.GetBytes(value))).Result.ShouldBe(SendResult.Sent);
    }

    /// <summary>Reads the topic from its beginning until a record is there that meets the condition.</summary>
    public async Task<JsonObject> ReadUntilAsync(string topic, int partitions, Func<JsonObject, bool> condition)
    {
        if (reader is null)
        {
            reader = new DataConsumer(Kafka, "reader", sink);
            for (var partition = 0; partition < partitions; partition++) await reader.Assign(new TopicPartition(topic, partition), 0);
        }

        return Parse(await sink.Records.WaitFor(record => condition(Parse(record))));

        static JsonObject Parse(ReadRecord record) => (JsonObject)JsonNode.Parse(record.Value)!;
    }

    public async ValueTask DisposeAsync()
    {
        if (reader is not null) await reader.DisposeAsync();
        producer?.Dispose();
        await Host.DisposeAsync();
        await Store.DisposeAsync();
        Broker.Dispose();
        file.Dispose();
    }
}

/// <summary>A module whose call is a function given by the test.</summary>
internal sealed class FunctionModule(string name, Func<ModuleInput, ModuleResult> call) : SynchronousModule
{
    public override string Name => name;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation) => call(input);
}
