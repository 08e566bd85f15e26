using System.Runtime.InteropServices;

namespace Analytics.Actors.Kafka.Embedded;

/// <summary>
/// A Kafka cluster inside this process, on real TCP ports of 127.0.0.1, for demos and tests: librdkafka's mock cluster.
/// It holds everything in memory and keeps only the newest 5 MB of a partition; topics that a client asks for without
/// their having been created get four partitions. Safe to call from any thread.
/// </summary>
public sealed class EmbeddedBroker : IDisposable
{
    public const int BrokersMax = 3;

    private readonly Lock gate = new();
    private readonly Dictionary<string, int> topics = [];
    private readonly IntPtr client;
    private readonly IntPtr cluster;
    private GCHandle logger;
    private bool disposed;

    private EmbeddedBroker(int brokers, ClientLog? log)
    {
        KafkaNative.Initialize();
        BrokerCount = brokers;
        logger = GCHandle.Alloc(new ClientLogger("broker", log));
        try
        {
            client = MockCluster.NewClient(logger, new Dictionary<string, string>
            {
                ["client.id"] = "embedded-broker",
                // Reading requests of any size that a client of ours sends is the broker's part; limits are the clients'.
                ["receive.message.max.bytes"] = "1000000000",
            });
            cluster = MockCluster.rd_kafka_mock_cluster_new(client, brokers);
            if (cluster == IntPtr.Zero) throw new InvalidOperationException("The embedded broker cannot start: no mock cluster (are sockets available?).");
            BootstrapServers = MockCluster.Text(MockCluster.rd_kafka_mock_cluster_bootstraps(cluster));
        }
        catch
        {
            if (client != IntPtr.Zero) MockCluster.rd_kafka_destroy(client);
            logger.Free();
            throw;
        }
    }

    /// <summary>Number of brokers; they are numbered from 1.</summary>
    public int BrokerCount { get; }

    /// <summary>host:port of all brokers, comma-separated.</summary>
    public string BootstrapServers { get; } = "";

    /// <summary>The topics created here with their partition counts.</summary>
    public IReadOnlyDictionary<string, int> Topics
    {
        get
        {
            lock (gate) return new Dictionary<string, int>(topics);
        }
    }

    /// <param name="brokers">1 to 3.</param>
    /// <param name="topics">Topics to create at once, with their partition counts.</param>
    /// <param name="log">Takes what the cluster logs; null: nobody.</param>
    public static EmbeddedBroker Start(int brokers = 1, IReadOnlyDictionary<string, int>? topics = null, ClientLog? log = null)
    {
        if (brokers is < 1 or > BrokersMax)
            throw new ArgumentOutOfRangeException(nameof(brokers), brokers, $"must be 1 to {BrokersMax}");
        var broker = new EmbeddedBroker(brokers, log);
        try
        {
            foreach (var (topic, partitions) in topics ?? new Dictionary<string, int>()) broker.CreateTopic(topic, partitions);
            return broker;
        }
        catch
        {
            broker.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Creates a topic, replicated on every broker; they lead its partitions in turn, beginning with the broker behind the one
    /// that leads the first partition of the topic before. A topic that is already there must have that many partitions.
    /// </summary>
    public void CreateTopic(string name, int partitions)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentOutOfRangeException.ThrowIfLessThan(partitions, 1);
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (topics.TryGetValue(name, out var existing))
            {
                if (existing == partitions) return;
                throw new InvalidOperationException($"Topic {name} exists with {existing} partitions, not {partitions}.");
            }

            Check(MockCluster.rd_kafka_mock_topic_create(cluster, name, partitions, BrokerCount), $"create topic {name} with {partitions} partitions");
            // Leaders are drawn by lot otherwise, and one broker may lead everything.
            for (var partition = 0; BrokerCount > 1 && partition < partitions; partition++)
            {
                var leader = 1 + (topics.Count + partition) % BrokerCount;
                Check(MockCluster.rd_kafka_mock_partition_set_leader(cluster, name, partition, leader), $"have broker {leader} lead {name}[{partition}]");
            }

            topics[name] = partitions;
        }
    }

    /// <summary>
    /// Has clients that ask for the topic told this error, until it is set to <see cref="BrokerError.None"/>: with
    /// <see cref="BrokerError.UnknownTopicOrPartition"/> the topic is not there, which no absent topic can be to an
    /// embedded broker, because it creates whatever it is asked for.
    /// </summary>
    public void SetTopicError(string topic, BrokerError error)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            MockCluster.rd_kafka_mock_topic_set_error(cluster, topic, (int)error);
        }
    }

    /// <summary>Takes a broker's ports away: its connections break and new ones are refused.</summary>
    public void Down(int broker) => OnBroker(broker, cluster => MockCluster.rd_kafka_mock_broker_set_down(cluster, broker), "take down");

    public void Up(int broker) => OnBroker(broker, cluster => MockCluster.rd_kafka_mock_broker_set_up(cluster, broker), "bring up");

    /// <summary>Delays every answer of a broker.</summary>
    public void SetRoundTrip(int broker, int milliseconds)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(milliseconds);
        OnBroker(broker, cluster => MockCluster.rd_kafka_mock_broker_set_rtt(cluster, broker, milliseconds), "set the round trip of");
    }

    /// <summary>
    /// The next requests of that kind fail with these errors, one each, in order.
    /// </summary>
    public unsafe void PushErrors(KafkaApi api, params ReadOnlySpan<BrokerError> errors)
    {
        var codes = new int[errors.Length];
        for (var i = 0; i < errors.Length; i++) codes[i] = (int)errors[i];
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            fixed (int* first = codes) MockCluster.rd_kafka_mock_push_request_errors_array(cluster, (short)api, (nuint)codes.Length, first);
        }
    }

    /// <summary>Forgets the errors that were pushed and not yet used.</summary>
    public void ClearErrors(KafkaApi api)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            MockCluster.rd_kafka_mock_clear_request_errors(cluster, (short)api);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            if (disposed) return;
            disposed = true;
            MockCluster.rd_kafka_mock_cluster_destroy(cluster);
            MockCluster.rd_kafka_destroy(client);
            logger.Free();
        }
    }

    private void OnBroker(int broker, Func<IntPtr, int> order, string what)
    {
        if (broker < 1 || broker > BrokerCount)
            throw new ArgumentOutOfRangeException(nameof(broker), broker, $"brokers are numbered 1 to {BrokerCount}");
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            Check(order(cluster), $"{what} broker {broker}");
        }
    }

    private static void Check(int error, string what)
    {
        if (error != 0) throw new InvalidOperationException($"The embedded broker could not {what}: {MockCluster.ErrorText(error)}.");
    }
}
