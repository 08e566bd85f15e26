using System.Diagnostics;
using Confluent.Kafka;
using CorePartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka.Raw;

/// <summary>What a loop did, from when it began to fetch until its last record.</summary>
/// <param name="ProcessorSeconds">Processor time of the whole process meanwhile, the client's own threads included.</param>
/// <param name="AllocatedBytes">What the process allocated on the managed heap meanwhile.</param>
public readonly record struct RawOutcome(long Records, double Seconds, double ProcessorSeconds, long AllocatedBytes);

/// <summary>
/// What the client library alone can do: loops over records as a user would write them who wants nothing but their bytes. Benchmarks
/// hold the node against them. They keep nothing and guarantee nothing.
/// </summary>
public sealed class RawLoop(string bootstrapServers)
{
    // A consumer may run ahead of the other end of its hop by so many records: the embedded broker forgets old ones.
    private const long AheadMax = 200_000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Reads so many records of these partitions from their beginnings, one <c>Consume</c> after the other.</summary>
    /// <param name="uncounted">What the first so many records take does not count.</param>
    public RawOutcome Consume(IReadOnlyList<CorePartition> partitions, long records, CancellationToken cancellation, long uncounted = 0)
    {
        using var consumer = NewConsumer();
        Connect(consumer, partitions);
        var meter = new Meter();
        meter.Start();
        consumer.Assign(partitions.Select(partition => new TopicPartitionOffset(partition.ToClient(), 0)));
        for (var count = 0L; count < records; count++)
        {
            if (count == uncounted) meter.Start();
            Next(consumer, count, records, cancellation);
        }

        return meter.Stop(records - uncounted);
    }

    /// <summary>
    /// Reads the records, sends each on to the partition of <paramref name="hop"/> that its key belongs to, with delivery reports, and
    /// reads them there again on a thread of its own; done when the last one has arrived there and every report is good.
    /// </summary>
    /// <param name="hop">Partitions of one topic; what they hold already is left alone.</param>
    public RawOutcome ConsumeProduceConsume(IReadOnlyList<CorePartition> partitions, IReadOnlyList<CorePartition> hop, Func<byte[], int> partitionOf, long records, CancellationToken cancellation)
    {
        using var source = NewConsumer();
        using var arrival = NewConsumer();
        var beginnings = hop.Select(partition => new TopicPartitionOffset(partition.ToClient(), arrival.QueryWatermarkOffsets(partition.ToClient(), Patience).High)).ToList();
        arrival.Assign(beginnings);
        Connect(source, partitions);
        var targets = hop.Select(partition => partition.ToClient()).ToArray();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var arrived = 0L;
        var arriving = Task.Factory.StartNew(
            () =>
            {
                for (var count = 0L; count < records; count++)
                {
                    Next(arrival, count, records, stop.Token);
                    Volatile.Write(ref arrived, count + 1);
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        using var producer = new ProducerBuilder<byte[]?, byte[]?>(new ProducerConfig { BootstrapServers = bootstrapServers, LingerMs = 5, Acks = Acks.All }).Build();
        var delivered = 0L;
        string? refused = null;
        void Report(DeliveryReport<byte[]?, byte[]?> report)
        {
            if (report.Error.IsError) Volatile.Write(ref refused, report.Error.Reason);
            Interlocked.Increment(ref delivered);
        }

        var meter = new Meter();
        meter.Start();
        try
        {
            source.Assign(partitions.Select(partition => new TopicPartitionOffset(partition.ToClient(), 0)));
            for (var count = 0L; count < records; count++)
            {
                var record = Next(source, count, records, cancellation);
                while (count - Volatile.Read(ref arrived) > AheadMax && !arriving.IsFaulted) producer.Poll(TimeSpan.FromMilliseconds(1));
                Send(producer, targets[partitionOf(record.Message.Key!)], record.Message, Report);
            }

            while (producer.Flush(TimeSpan.FromMilliseconds(100)) > 0) cancellation.ThrowIfCancellationRequested();
            arriving.Wait(cancellation);
        }
        catch
        {
            stop.Cancel();
            ((IAsyncResult)arriving).AsyncWaitHandle.WaitOne(Patience);
            throw;
        }

        var outcome = meter.Stop(records);
        if (refused is not null || delivered != records) throw new InvalidOperationException($"{records} records were sent on and {delivered} reported; the last error: {refused ?? "none"}");
        return outcome;
    }

    /// <summary>How many records the partitions hold, where none of them has lost its first ones.</summary>
    /// <exception cref="InvalidOperationException">A partition has been trimmed.</exception>
    public long Count(IReadOnlyList<CorePartition> partitions)
    {
        using var consumer = NewConsumer();
        var count = 0L;
        foreach (var partition in partitions)
        {
            var ends = consumer.QueryWatermarkOffsets(partition.ToClient(), Patience);
            if (ends.Low.Value > 0) throw new InvalidOperationException($"the broker has forgotten the first {ends.Low.Value} records of {partition}: fewer records fit");
            count += ends.High.Value;
        }

        return count;
    }

    /// <summary>
    /// Reads what is written to these partitions from now on, until it is cancelled: where each record is, its key, and the moment of its
    /// arrival (<see cref="Stopwatch.GetTimestamp"/>).
    /// </summary>
    /// <returns>Is there once reading has begun: a task of the reading, which ends in order when it is cancelled.</returns>
    public async Task<Task> WatchAsync(IReadOnlyList<CorePartition> partitions, Action<CorePartition, long, byte[]?, long> arrived, CancellationToken cancellation)
    {
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reading = Task.Factory.StartNew(
            () =>
            {
                using var consumer = NewConsumer();
                consumer.Assign(partitions.Select(partition => new TopicPartitionOffset(partition.ToClient(), consumer.QueryWatermarkOffsets(partition.ToClient(), Patience).High)).ToList());
                begun.SetResult();
                while (!cancellation.IsCancellationRequested)
                {
                    if (consumer.Consume(20) is { } record) arrived(record.TopicPartition.ToCore(), record.Offset.Value, record.Message.Key, Stopwatch.GetTimestamp());
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await (await Task.WhenAny(begun.Task, reading).ConfigureAwait(false)).ConfigureAwait(false);
        return reading;
    }

    // So that looking brokers up is over when the time begins to count; fetching is not.
    private static void Connect(IConsumer<byte[]?, byte[]?> consumer, IReadOnlyList<CorePartition> partitions)
    {
        foreach (var topic in partitions.DistinctBy(partition => partition.Topic)) consumer.QueryWatermarkOffsets(topic.ToClient(), Patience);
    }

    private static void Send(IProducer<byte[]?, byte[]?> producer, TopicPartition target, Message<byte[]?, byte[]?> message, Action<DeliveryReport<byte[]?, byte[]?>> report)
    {
        while (true)
        {
            try
            {
                producer.Produce(target, message, report);
                return;
            }
            catch (ProduceException<byte[]?, byte[]?> full) when (full.Error.Code == ErrorCode.Local_QueueFull)
            {
                producer.Poll(TimeSpan.FromMilliseconds(1));
            }
        }
    }

    private static ConsumeResult<byte[]?, byte[]?> Next(IConsumer<byte[]?, byte[]?> consumer, long count, long records, CancellationToken cancellation)
    {
        if (count % 1_024 == 0) cancellation.ThrowIfCancellationRequested();
        var silent = 0;
        while (true)
        {
            if (consumer.Consume(1_000) is { } record) return record;
            cancellation.ThrowIfCancellationRequested();
            if (++silent > Patience.TotalSeconds) throw new InvalidOperationException($"after {count} of {records} records the raw loop received none for {silent} s");
        }
    }

    private IConsumer<byte[]?, byte[]?> NewConsumer()
    {
        KafkaNative.Initialize();
        return new ConsumerBuilder<byte[]?, byte[]?>(new ConsumerConfig
        {
            BootstrapServers = bootstrapServers,
            GroupId = "raw",
            EnableAutoCommit = false,
            AutoOffsetReset = AutoOffsetReset.Earliest,
            // As the node's: an embedded broker answers an empty fetch only after the whole wait, and many records are fetched ahead.
            FetchWaitMaxMs = 5,
            QueuedMinMessages = 10_000_000,
            QueuedMaxMessagesKbytes = 65_536,
        }).Build();
    }

    private sealed class Meter
    {
        private readonly Stopwatch time = new();
        private TimeSpan processor;
        private long allocated;

        public void Start()
        {
            time.Reset();
            processor = Environment.CpuUsage.TotalTime;
            allocated = GC.GetTotalAllocatedBytes();
            time.Start();
        }

        public RawOutcome Stop(long records) => new(records, time.Elapsed.TotalSeconds, (Environment.CpuUsage.TotalTime - processor).TotalSeconds, GC.GetTotalAllocatedBytes() - allocated);
    }
}
