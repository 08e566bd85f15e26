using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>What brokers say of one partition's log.</summary>
/// <param name="Found">The record at the offset asked for; null where the log has none there, or none was asked for.</param>
/// <param name="PartitionCount">Partitions of its topic.</param>
public sealed record LogFacts(LogRange Log, RecordWitness? Found, int PartitionCount);

/// <summary>
/// Gathers what must be known before a partition is read, outside any group and off the caller's thread, one question at a
/// time. What a broker that is away would know is left out of an answer; it costs one timeout for that broker. Failures of a
/// whole question are <see cref="BrokerUnavailableException"/>.
/// </summary>
public sealed class PositionLookup : IDisposable
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(5);

    // What ListOffsets takes in the place of a time.
    private const long FirstOffset = -2, EndOffset = -1;

    private readonly SemaphoreSlim asking = new(1, 1);

    // Questions for logs that nobody has asked yet.
    private readonly List<Reading> readings = [];
    private readonly ClientLogger logger;
    private readonly OffsetLookup lookup;
    private readonly TimeSpan timeout;
    private readonly IConsumer<byte[]?, byte[]?> reader;
    private bool isDisposed;

    /// <param name="group">The group whose committed offsets are asked for; it is never joined.</param>
    public PositionLookup(KafkaClientOptions options, string group, ClientLog? log = null, TimeSpan? timeout = null)
    {
        logger = new ClientLogger("positions", log);
        this.timeout = timeout ?? DefaultTimeout;
        lookup = new OffsetLookup(options, logger, this.timeout);
        var configuration = options.ForReader("positions", group);
        // The end of a log is an answer here: the record that was looked for is gone.
        configuration["enable.partition.eof"] = "true";
        reader = ClientThreads.Build(configuration, ClientConversions.NewConsumer(configuration, logger).Build);
    }

    /// <summary>The group's committed offsets; partitions without one are left out.</summary>
    public Task<IReadOnlyDictionary<TopicPartition, long>> CommittedAsync(IReadOnlyCollection<TopicPartition> partitions) =>
        Ask<IReadOnlyDictionary<TopicPartition, long>>("asking for committed offsets", () => lookup.Committed(reader, partitions));

    /// <summary>
    /// Ranges of logs, and the records at the offsets given, if the logs hold them. Questions that wait for one under way are
    /// asked together: a node that is given twenty shards asks once or twice, not twenty times one after another.
    /// </summary>
    public async Task<IReadOnlyDictionary<TopicPartition, LogFacts>> ReadAsync(IReadOnlyDictionary<TopicPartition, long?> records)
    {
        var mine = new Reading(records);
        lock (readings) readings.Add(mine);
        await Ask("asking for the logs' ranges", () =>
        {
            // Whoever came first has asked for those behind it.
            mine.Facts ??= ReadTogether(mine);
            return true;
        }).ConfigureAwait(false);
        return mine.Facts!;
    }

    /// <summary>The offset of a place that a person names: an end of the log, a time, another group's.</summary>
    public Task<long> FindAsync(TopicPartition partition, StartPosition place) =>
        Ask($"asking for an offset of {partition}", () => new StartLookup(lookup, logger).Find(reader, partition, place, [partition]));

    /// <summary>
    /// The same where the log's range has just been asked for: its ends need no further question, and a node that is given a
    /// thousand partitions begins to read at once.
    /// </summary>
    public ValueTask<long> FindAsync(TopicPartition partition, StartPosition place, LogRange log) => place.Kind switch
    {
        StartKind.Earliest => ValueTask.FromResult(log.Low),
        StartKind.Latest => ValueTask.FromResult(log.High),
        _ => new ValueTask<long>(FindAsync(partition, place)),
    };

    /// <summary>Partitions by topic, of all topics that the brokers tell of.</summary>
    public Task<IReadOnlyDictionary<string, int>> PartitionCountsAsync() => Ask<IReadOnlyDictionary<string, int>>(
        "asking for the topics", () => Describe().Where(topic => topic.Partitions.Count > 0).ToDictionary(topic => topic.Topic, topic => topic.Partitions.Count));

    public void Dispose()
    {
        // What is being asked ends by its timeout.
        asking.Wait();
        isDisposed = true;
        reader.Dispose();
        asking.Release();
    }

    private Dictionary<TopicPartition, LogFacts> ReadTogether(Reading mine)
    {
        var all = new Dictionary<TopicPartition, long?>(mine.Records);
        List<Reading> others = [];
        lock (readings)
        {
            readings.Remove(mine);
            foreach (var other in readings.Where(other => !other.Records.Keys.Any(all.ContainsKey)))
            {
                others.Add(other);
                foreach (var (partition, offset) in other.Records) all.Add(partition, offset);
            }

            readings.RemoveAll(others.Contains);
        }

        var facts = Read(all);
        foreach (var other in others) other.Facts = Of(other);
        return Of(mine);

        Dictionary<TopicPartition, LogFacts> Of(Reading reading) =>
            reading.Records.Keys.Where(facts.ContainsKey).ToDictionary(partition => partition, partition => facts[partition]);
    }

    private Dictionary<TopicPartition, LogFacts> Read(IReadOnlyDictionary<TopicPartition, long?> records)
    {
        var leaders = new Dictionary<int, List<TopicPartition>>();
        var counts = new Dictionary<string, int>();
        foreach (var topic in Describe())
        {
            counts[topic.Topic] = topic.Partitions.Count;
            foreach (var partition in topic.Partitions)
            {
                var named = new TopicPartition(topic.Topic, partition.PartitionId);
                if (!records.ContainsKey(named) || partition.Leader < 0) continue;
                if (!leaders.TryGetValue(partition.Leader, out var led)) leaders.Add(partition.Leader, led = []);
                led.Add(named);
            }
        }

        var ranges = new Dictionary<TopicPartition, LogRange>();
        foreach (var (leader, partitions) in leaders)
        {
            try
            {
                var first = Offsets(partitions, FirstOffset);
                var end = Offsets(partitions, EndOffset);
                foreach (var partition in partitions)
                {
                    if (first.TryGetValue(partition, out var low) && end.TryGetValue(partition, out var high)) ranges[partition] = new LogRange(low, high);
                }
            }
            catch (KafkaException failed)
            {
                logger.Warning($"broker {leader} does not tell the ranges of {partitions.Count} logs yet: {failed.Error.Reason}");
            }
        }

        var wanted = ranges.Where(range => records[range.Key] is { } offset && range.Value.Holds(offset)).ToDictionary(range => range.Key, range => records[range.Key]!.Value);
        var found = wanted.Count == 0 ? [] : Records(wanted);
        return ranges.Where(range => !wanted.ContainsKey(range.Key) || found.ContainsKey(range.Key))
            .ToDictionary(range => range.Key, range => new LogFacts(range.Value, found.GetValueOrDefault(range.Key), counts[range.Key.Topic]));
    }

    private Dictionary<TopicPartition, long> Offsets(IReadOnlyList<TopicPartition> partitions, long place)
    {
        var asked = partitions.Select(partition => new TopicPartitionTimestamp(partition.ToClient(), new Timestamp(place, TimestampType.CreateTime)));
        List<TopicPartitionOffsetError> answers;
        try
        {
            answers = reader.OffsetsForTimes(asked, timeout).ConvertAll(answer => new TopicPartitionOffsetError(answer, ErrorCode.NoError));
        }
        catch (TopicPartitionOffsetException some)
        {
            answers = some.Results;
        }

        return answers.Where(answer => !answer.Error.IsError && !answer.Offset.IsSpecial).ToDictionary(answer => answer.TopicPartition.ToCore(), answer => answer.Offset.Value);
    }

    /// <summary>The record at each offset, null where the next one there is another; what does not come in time is left out.</summary>
    private Dictionary<TopicPartition, RecordWitness?> Records(Dictionary<TopicPartition, long> offsets)
    {
        var found = new Dictionary<TopicPartition, RecordWitness?>();
        reader.Assign(offsets.Select(offset => new PartitionOffset(offset.Key, offset.Value).ToClient()));
        try
        {
            var begun = System.Diagnostics.Stopwatch.StartNew();
            while (found.Count < offsets.Count && timeout - begun.Elapsed is var left && left > TimeSpan.Zero)
            {
                if (reader.Consume(left) is not { } result) break;
                var partition = result.TopicPartition.ToCore();
                if (!offsets.TryGetValue(partition, out var offset) || found.ContainsKey(partition)) continue;
                found[partition] = !result.IsPartitionEOF && result.Offset.Value == offset
                    ? RecordWitness.Of(result.Message.Timestamp.Type == TimestampType.NotAvailable ? -1 : result.Message.Timestamp.UnixTimestampMs, result.Message.Value ?? [])
                    : null;
            }
        }
        finally
        {
            reader.Unassign();
        }

        return found;
    }

    // Asking for one topic by name may create it, where the broker allows that: only the list of all is harmless.
    private List<TopicMetadata> Describe()
    {
        using var admin = new DependentAdminClientBuilder(reader.Handle).Build();
        return admin.GetMetadata(timeout).Topics;
    }

    private async Task<T> Ask<T>(string what, Func<T> question)
    {
        await asking.WaitAsync().ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(isDisposed, this);
            return await Task.Run(question).ConfigureAwait(false);
        }
        catch (KafkaException failed)
        {
            throw new BrokerUnavailableException($"{what} failed: {failed.Error.Reason}", failed);
        }
        finally
        {
            asking.Release();
        }
    }

    private sealed class Reading(IReadOnlyDictionary<TopicPartition, long?> records)
    {
        public IReadOnlyDictionary<TopicPartition, long?> Records => records;

        /// <summary>Null until somebody has asked; written and read by whoever has the turn.</summary>
        public Dictionary<TopicPartition, LogFacts>? Facts { get; set; }
    }
}
