namespace Analytics.Actors.Kafka;

/// <summary>
/// What every Kafka client of a node is built from. Three layers: our defaults, then the options that users pass through
/// to librdkafka by its own names, then what the invariants need, which nothing overrides (<see cref="Problems"/> refuses
/// the attempt).
/// </summary>
public sealed record KafkaClientOptions
{
    private static readonly IReadOnlyDictionary<string, string> None = new Dictionary<string, string>();

    /// <summary>Room on top of a record's own bytes for the batch that carries it, in a topic's max.message.bytes.</summary>
    private const int BatchOverheadBytes = 64 * 1024;

    /// <summary>host:port, comma-separated.</summary>
    public required string BootstrapServers { get; init; }

    /// <summary>Prefix of the client ids that brokers show; the client's role is appended.</summary>
    public string ClientId { get; init; } = "analytics";

    /// <summary>Largest record (key, value and headers) that is sent or read, in bytes.</summary>
    public int MaxRecordBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Most that one consumer holds of records that were fetched but not yet handed over, in KB.</summary>
    public int ConsumerQueueKilobytesMax { get; init; } = 64 * 1024;

    /// <summary>How long a revocation may hold the rebalance while its shards or sources are released.</summary>
    public TimeSpan RevokeLimit { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>librdkafka options of all clients (TLS, SASL).</summary>
    public IReadOnlyDictionary<string, string> Common { get; init; } = None;

    /// <summary>librdkafka options of consumers.</summary>
    public IReadOnlyDictionary<string, string> Consumer { get; init; } = None;

    /// <summary>librdkafka options of producers.</summary>
    public IReadOnlyDictionary<string, string> Producer { get; init; } = None;

    /// <summary>Consumers that join a group have a name there that outlives their process.</summary>
    internal bool IsStaticMember => Lookup("group.instance.id") is not null;

    /// <summary>max.message.bytes of the internal topics: the largest record in a batch of its own.</summary>
    internal int TopicMessageBytesMax => checked(MaxRecordBytes + BatchOverheadBytes);

    /// <summary>
    /// Options for an embedded broker: it answers an empty fetch only after the whole of fetch.wait.max.ms, also when a
    /// record arrives meanwhile, so that wait is the latency; and its groups notice a change only by heartbeat.
    /// </summary>
    public static KafkaClientOptions ForEmbeddedBroker(string bootstrapServers) => new()
    {
        BootstrapServers = bootstrapServers,
        Consumer = new Dictionary<string, string>
        {
            ["fetch.wait.max.ms"] = "5",
            ["session.timeout.ms"] = "4000",
            ["heartbeat.interval.ms"] = "500",
        },
    };

    /// <summary>
    /// What is wrong with the options: one message per key, with its value and what would be right. Empty: all is well.
    /// </summary>
    public IReadOnlyList<string> Problems()
    {
        var problems = new List<string>();
        if (string.IsNullOrWhiteSpace(BootstrapServers))
            problems.Add("kafka.bootstrapServers is empty: name at least one broker as host:port");
        if (MaxRecordBytes is < 1024 or > 512 * 1024 * 1024)
            problems.Add($"kafka.maxRecordBytes is {MaxRecordBytes}: must be 1024 to 536870912");
        if (ConsumerQueueKilobytesMax is < 64 or > 2_097_151)
            problems.Add($"kafka.consumerQueueKilobytesMax is {ConsumerQueueKilobytesMax}: must be 64 to 2097151");

        Refuse(problems, "common", Common, OursEverywhere.Concat(OursOfConsumers).Concat(OursOfProducers));
        Refuse(problems, "consumer", Consumer, OursEverywhere.Concat(OursOfConsumers));
        Refuse(problems, "producer", Producer, OursEverywhere.Concat(OursOfProducers));

        // A revocation holds the poll thread; a broker would throw out a member that polls too late.
        var pollInterval = 300_000L;
        if (Lookup("max.poll.interval.ms") is { } text && long.TryParse(text, out var parsed)) pollInterval = parsed;
        if (RevokeLimit.TotalMilliseconds * 2 > pollInterval)
        {
            problems.Add($"kafka.revokeLimit is {RevokeLimit.TotalMilliseconds:0} ms: must be at most half of " +
                         $"max.poll.interval.ms ({pollInterval})");
        }

        return problems;
    }

    private string? Lookup(string key) => Consumer.GetValueOrDefault(key) ?? Common.GetValueOrDefault(key);

    private static void Refuse(
        List<string> problems, string section, IReadOnlyDictionary<string, string> given, IEnumerable<OwnedOption> owned)
    {
        foreach (var option in owned)
        {
            foreach (var name in option.Names)
            {
                if (!given.TryGetValue(name, out var value)) continue;
                if (option.Value is not null && string.Equals(value, option.Value, StringComparison.OrdinalIgnoreCase)) continue;
                var right = option.Value is null ? "leave it out" : $"leave it out (it is always {option.Value})";
                problems.Add($"kafka.{section}.{name} is {value}: {option.Why}; {right}");
            }
        }
    }

    /// <summary>An option that the system decides itself.</summary>
    private sealed record OwnedOption(string[] Names, string? Value, string Why);

    private static readonly OwnedOption[] OursEverywhere =
    [
        new(["bootstrap.servers", "metadata.broker.list"], null, "the brokers are named by kafka.bootstrapServers"),
        new(["client.id"], null, "the client id is kafka.clientId and the client's role"),
    ];

    private static readonly OwnedOption[] OursOfConsumers =
    [
        new(["group.id"], null, "groups are named after the cluster's group"),
        new(["enable.auto.commit", "auto.commit.enable"], "false", "offsets are committed only after their records are done"),
        new(["enable.auto.offset.store"], "false", "offsets are committed only after their records are done"),
        new(["auto.offset.reset"], "error", "a position never jumps silently; see outOfRange of a topic"),
        new(["partition.assignment.strategy"], "cooperative-sticky", "a rebalance must not stop the partitions that stay"),
        new(["group.protocol"], "classic", "ownership relies on the classic protocol's revocation order"),
        new(["enable.partition.eof"], "false", "the end of a partition is no event here"),
        new(["queued.max.messages.kbytes"], null, "the client queue is bounded by kafka.consumerQueueKilobytesMax"),
    ];

    private static readonly OwnedOption[] OursOfProducers =
    [
        new(["acks", "request.required.acks"], "all", "an acknowledged record must survive its leader"),
        new(["enable.idempotence"], "false", "one message per origin and destination is in flight; receivers recognise repeats"),
        new(["transactional.id"], null, "nothing here is sent in Kafka transactions"),
        new(["message.timeout.ms", "delivery.timeout.ms"], "0", "a message is given up by its sender, never by a timer"),
        new(["message.max.bytes"], null, "the largest record is kafka.maxRecordBytes"),
        new(["retries", "message.send.max.retries"], "2147483647", "a message is given up by its sender, never by a count"),
    ];

    internal Dictionary<string, string> ForConsumer(string role, string group)
    {
        var config = Merge(
            new(MessageBatch.QueueBackoff is { } backoff ? [backoff] : [])
            {
                ["heartbeat.interval.ms"] = "1000",
                ["topic.metadata.refresh.interval.ms"] = "10000",
                ["fetch.error.backoff.ms"] = "100",
                // Shared fetches: one partition's backlog must not fill a whole response, or other topics starve.
                ["max.partition.fetch.bytes"] = "262144",
                // The byte limit bounds the queue; a count in the default's size would stall a fast reader of small records.
                ["queued.min.messages"] = "10000000",
            },
            Consumer);
        config["client.id"] = $"{ClientId}-{role}";
        config["group.id"] = group;
        config["enable.auto.commit"] = "false";
        config["enable.auto.offset.store"] = "false";
        config["auto.offset.reset"] = "error";
        config["partition.assignment.strategy"] = "cooperative-sticky";
        config["enable.partition.eof"] = "false";
        config["queued.max.messages.kbytes"] = Invariant(ConsumerQueueKilobytesMax);
        config["message.max.bytes"] = Invariant(TopicMessageBytesMax);
        config["fetch.max.bytes"] = Invariant(Math.Max(TopicMessageBytesMax, 52_428_800));
        config["receive.message.max.bytes"] = Invariant(Math.Max(TopicMessageBytesMax, 52_428_800) + 1_048_576);
        config["dotnet.consumer.consume.result.fields"] = "all";
        return config;
    }

    /// <summary>
    /// The router's consumer. All topics stand in its one queue, so what it holds of one delays the others: a fraction of a
    /// second's worth, in records, since small ones are what takes time; and what one fetch may add to that.
    /// </summary>
    internal Dictionary<string, string> ForRouter(string group)
    {
        var config = ForConsumer("router", group);
        if (Lookup("queued.min.messages") is null) config["queued.min.messages"] = "10000";
        if (Lookup("max.partition.fetch.bytes") is null && Lookup("fetch.message.max.bytes") is null) config["max.partition.fetch.bytes"] = "65536";
        return config;
    }

    /// <summary>A consumer that assigns by hand or only asks for offsets: it never joins a group.</summary>
    internal Dictionary<string, string> ForReader(string role, string group)
    {
        var config = ForConsumer(role, group);
        config.Remove("group.instance.id");
        return config;
    }

    internal Dictionary<string, string> ForProducer(string role)
    {
        var config = Merge(
            new()
            {
                ["linger.ms"] = "0",
                // Reports of delivery end this wait; only the end of the producer may have to wait for it.
                ["dotnet.cancellation.delay.max.ms"] = "500",
            },
            Producer);
        config["client.id"] = $"{ClientId}-{role}";
        config["acks"] = "all";
        config["enable.idempotence"] = "false";
        config["message.timeout.ms"] = "0";
        config["retries"] = "2147483647";
        config["message.max.bytes"] = Invariant(MaxRecordBytes);
        return config;
    }

    internal Dictionary<string, string> ForAdmin()
    {
        var config = Merge([], new Dictionary<string, string>());
        config["client.id"] = $"{ClientId}-admin";
        return config;
    }

    private Dictionary<string, string> Merge(Dictionary<string, string> defaults, IReadOnlyDictionary<string, string> specific)
    {
        var problems = Problems();
        if (problems.Count > 0) throw new ArgumentException(string.Join(Environment.NewLine, problems));
        defaults["bootstrap.servers"] = BootstrapServers;
        defaults["socket.nagle.disable"] = "true";
        defaults["reconnect.backoff.ms"] = "50";
        defaults["reconnect.backoff.max.ms"] = "1000";
        defaults["topic.metadata.refresh.fast.interval.ms"] = "100";
        foreach (var (key, value) in Common) defaults[key] = value;
        foreach (var (key, value) in specific) defaults[key] = value;
        defaults["bootstrap.servers"] = BootstrapServers;
        return defaults;
    }

    private static string Invariant(int value) => value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
