using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>Takes what a <see cref="DataConsumer"/> reads. Called on its poll thread: pause partitions rather than block.</summary>
public interface IRecordSink
{
    /// <summary>Records in the order of their offsets within each partition; the list belongs to the sink.</summary>
    void OnRecords(IReadOnlyList<FetchedRecord> records);

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
    private readonly Dictionary<TopicPartition, AssignedPartition> assigned = [];
    private readonly HashSet<string> known = [];
    private AssignedPartition? latest;

    /// <param name="group">Names the reader to brokers; it is never joined and nothing is committed in it.</param>
    public DataConsumer(KafkaClientOptions options, string group, IRecordSink sink, ClientLog? log = null)
    {
        this.sink = sink;
        logger = new ClientLogger("data", log);
        consumer = ClientConversions.NewConsumer(options.ForReader("data", group), logger).Build();
        loop = new ConsumerLoop(consumer, this, logger);
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
            consumer.IncrementalAssign([new PartitionOffset(partition, offset).ToClient()]);
            assigned[partition] = new AssignedPartition(partition) { Next = offset };
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
        consumer.IncrementalAssign([new PartitionOffset(partition, state.Next).ToClient()]);
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

    private void Remove(TopicPartition partition)
    {
        latest = null;
        if (assigned.Remove(partition, out var state) && !state.Paused) consumer.IncrementalUnassign([partition.ToClient()]);
    }

    TopicPartition? IConsumerLoopOwner.Accept(ConsumeResult<byte[]?, byte[]?> result)
    {
        var state = latest;
        if (state is null || state.Partition.Partition != result.Partition.Value || state.Partition.Topic != result.Topic)
        {
            if (!assigned.TryGetValue(result.TopicPartition.ToCore(), out state)) return null;
            latest = state;
        }

        // A record below the position was delivered before; the client gives none such, and must not.
        if (state.Paused || result.Offset.Value < state.Next) return null;
        state.Next = result.Offset.Value + 1;
        return state.Partition;
    }

    void IConsumerLoopOwner.OnRecords(IReadOnlyList<FetchedRecord> records) => sink.OnRecords(records);

    void IConsumerLoopOwner.OnConsumeError(ConsumeException error)
    {
        var partition = error.ConsumerRecord.TopicPartition.ToCore();
        if (error.Error.Code == ErrorCode.Local_AutoOffsetReset && assigned.TryGetValue(partition, out var state) && !state.Paused)
        {
            Remove(partition);
            logger.Warning($"position {state.Next} of {partition} is outside its log: {error.Error.Reason}");
            sink.OnOutOfRange(partition, state.Next);
            return;
        }

        logger.Warning($"{partition}: {error.Error.Reason}");
    }

    void IConsumerLoopOwner.OnPolled()
    {
    }

    private sealed class AssignedPartition(TopicPartition partition)
    {
        public TopicPartition Partition { get; } = partition;

        /// <summary>The offset after the last record delivered.</summary>
        public long Next { get; set; }

        public bool Paused { get; set; }
    }
}
