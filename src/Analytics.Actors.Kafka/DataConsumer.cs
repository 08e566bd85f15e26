using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>Takes what a <see cref="DataConsumer"/> reads. Called on its poll thread: pause partitions rather than block.</summary>
public interface IRecordSink
{
    /// <summary>The records belong to the sink, which gives them back.</summary>
    void OnRecords(RecordRun records);

    /// <summary>An <see cref="DataConsumer.Assign"/> is carried out: what comes of the partition from here on is read from its offset on.</summary>
    void OnAssigned(TopicPartition partition)
    {
    }

    /// <summary>The position is outside the partition's log (trimmed, or recreated). The partition is no longer assigned.</summary>
    void OnOutOfRange(TopicPartition partition, long position);
}

/// <summary>
/// Reads the partitions that it is told to, from the offsets that it is told: no group decides, nothing is committed.
/// Partitions come and go without stopping the others. All orders may be given from any thread and are carried out in
/// their order by the poll thread; the returned task says when, and need not be awaited. Once <see cref="Unassign"/> or
/// <see cref="Pause"/> is carried out, no record of that partition is delivered until it is assigned or resumed.
/// </summary>
public sealed class DataConsumer : IConsumerLoopOwner, IAsyncDisposable
{
    private static readonly TimeSpan MetadataTimeout = TimeSpan.FromSeconds(1);

    private readonly IConsumer<byte[]?, byte[]?> consumer;
    private readonly ConsumerLoop loop;
    private readonly ClientLogger logger;
    private readonly IRecordSink sink;

    // All below is the poll thread's own.
    private readonly Dictionary<TopicPartition, PartitionReading> assigned = [];
    private readonly HashSet<string> known = [];

    /// <param name="group">Names the reader to brokers; it is never joined and nothing is committed in it.</param>
    public DataConsumer(KafkaClientOptions options, string group, IRecordSink sink, ClientLog? log = null)
    {
        this.sink = sink;
        logger = new ClientLogger("data", log);
        var configuration = options.ForReader("data", group);
        consumer = ClientThreads.Build(configuration, ClientConversions.NewConsumer(configuration, logger).Build);
        loop = new ConsumerLoop(consumer, configuration, this, logger);
        loop.Start();
    }

    /// <summary>Ends with the poll thread; faulted where that ended by itself (then nothing is read any more).</summary>
    public Task Completion => loop.Completion;

    /// <summary>Reads a partition from that offset on; one that is already assigned is moved there.</summary>
    public Task Assign(TopicPartition partition, long offset)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        return loop.Post($"assigning {partition} at {offset}", () =>
        {
            Remove(partition);
            sink.OnAssigned(partition);
            // Only then does reading begin at once; see there.
            if (known.Add(partition.Topic)) TopicKnowledge.Refresh(consumer.Handle, partition.Topic, MetadataTimeout, logger);
            var reading = new PartitionReading(partition) { Next = offset };
            Begin(reading);
            assigned[partition] = reading;
        });
    }

    public Task Unassign(TopicPartition partition) => loop.Post($"unassigning {partition}", () => Remove(partition));

    /// <summary>Stops delivery; what the client had fetched is fetched again later. A partition not assigned is passed over.</summary>
    public Task Pause(TopicPartition partition) => loop.Post($"pausing {partition}", () =>
    {
        if (!assigned.TryGetValue(partition, out var state) || state.Paused) return;
        // The client's own pause would do, but when all partitions of a broker are paused its thread sleeps for up to a
        // second and a resumed one waits for it; an assigned one is fetched at once.
        consumer.IncrementalUnassign([partition.ToClient()]);
        state.Paused = true;
    });

    /// <summary>Delivery goes on after the last record delivered.</summary>
    public Task Resume(TopicPartition partition) => loop.Post($"resuming {partition}", () =>
    {
        if (!assigned.TryGetValue(partition, out var state) || !state.Paused) return;
        Begin(state);
        state.Paused = false;
    });

    /// <summary>
    /// The end of a partition's log as of the last fetch, for lag; null where it is not known yet. Asks no broker.
    /// </summary>
    public Task<long?> GetHighWatermark(TopicPartition partition)
    {
        long? high = null;
        return loop.Post($"reading the watermark of {partition}", () =>
        {
            if (assigned.ContainsKey(partition)) high = consumer.KnownHighWatermark(partition);
        }).ContinueWith(_ => high, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    public async ValueTask DisposeAsync() => await loop.StopAsync().ConfigureAwait(false);

    private void Begin(PartitionReading reading) => consumer.IncrementalAssign([new PartitionOffset(reading.Partition, reading.Next!.Value).ToClient()]);

    private void Remove(TopicPartition partition)
    {
        if (assigned.Remove(partition, out var state) && !state.Paused) consumer.IncrementalUnassign([partition.ToClient()]);
    }

    PartitionReading? IConsumerLoopOwner.Find(TopicPartition partition) => assigned.GetValueOrDefault(partition);

    void IConsumerLoopOwner.OnRecords(RecordRun records) => sink.OnRecords(records);

    void IConsumerLoopOwner.OnConsumeError(TopicPartition partition, long offset, Error error)
    {
        if (error.Code == ErrorCode.Local_AutoOffsetReset && assigned.TryGetValue(partition, out var state) && !state.Paused)
        {
            if (!state.IsAt(offset))
            {
                // Told late, it may have stopped the reading that has begun since: that goes on from where it stands.
                _ = loop.Post($"taking {partition} up again", () =>
                {
                    if (!ReferenceEquals(assigned.GetValueOrDefault(partition), state) || state.Paused) return;
                    consumer.IncrementalUnassign([partition.ToClient()]);
                    Begin(state);
                });
                return;
            }

            Remove(partition);
            logger.Warning($"position {state.Next} of {partition} is outside its log: {error.Reason}");
            sink.OnOutOfRange(partition, state.Next!.Value);
            return;
        }

        logger.Warning($"{partition}: {error.Reason}");
    }

    void IConsumerLoopOwner.OnPolled()
    {
    }
}
