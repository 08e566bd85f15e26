using System.Collections.Concurrent;
using System.Diagnostics;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>
/// The thread of one consumer. It polls, runs commands that other threads post, and hands records over in batches: what
/// one poll found and all that the client had queued behind it. Whatever must not see a batch in the making (a
/// rebalance, an error) delivers it first, by <see cref="DeliverPending"/>.
/// </summary>
internal sealed class ConsumerLoop
{
    private const int BatchRecordsMax = 1_000;

    /// <summary>How long a command may wait while nothing arrives; a poll cannot be woken.</summary>
    private static readonly TimeSpan PollWait = TimeSpan.FromMilliseconds(10);

    private readonly IConsumer<byte[]?, byte[]?> consumer;
    /// <summary>How long a static member may take to leave its group, its revocation apart.</summary>
    private static readonly TimeSpan LeaveWait = TimeSpan.FromMilliseconds(300);

    /// <summary>A group in the middle of a rebalance hears of it late.</summary>
    private static readonly TimeSpan RevocationWait = TimeSpan.FromSeconds(5);

    private readonly IConsumerLoopOwner owner;
    private readonly bool isStaticMember;
    private readonly ClientLogger logger;
    private readonly Thread thread;
    private readonly ConcurrentQueue<Action> commands = new();
    private readonly TaskCompletionSource completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private List<FetchedRecord> pending = [];
    private volatile bool stopping;
    private volatile bool ended;

    /// <summary>The consumer belongs to the loop from here on: its end closes and disposes it.</summary>
    /// <param name="isStaticMember">It has a group.instance.id.</param>
    public ConsumerLoop(IConsumer<byte[]?, byte[]?> consumer, IConsumerLoopOwner owner, ClientLogger logger, bool isStaticMember = false)
    {
        this.isStaticMember = isStaticMember;
        this.consumer = consumer;
        this.owner = owner;
        this.logger = logger;
        thread = new Thread(Run) { IsBackground = true, Name = $"kafka-{logger.Client}" };
    }

    /// <summary>Ends when the loop was stopped; faulted where it ended by itself.</summary>
    public Task Completion => completion.Task;

    public void Start() => thread.Start();

    /// <summary>
    /// Runs a command on the loop's thread, after all that were posted before it. The task tells that it was run, or
    /// why it failed; a failure is logged too, so that nobody has to look.
    /// </summary>
    public Task Post(string what, Action command)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        commands.Enqueue(() =>
        {
            if (ended)
            {
                done.TrySetException(new ObjectDisposedException(logger.Client, $"Too late for {what}: the consumer has stopped."));
                return;
            }

            try
            {
                command();
                done.SetResult();
            }
            catch (Exception failure)
            {
                logger.Error($"{what} failed: {failure.Message}");
                done.SetException(failure);
            }
        });
        // After the end nobody else empties the queue.
        if (ended) RunCommands();
        return done.Task;
    }

    /// <summary>Stops polling, leaves the group (which revokes what is assigned) and closes. Idempotent.</summary>
    public Task StopAsync()
    {
        stopping = true;
        // A fault was told by Completion; stopping what already ended is no second failure.
        return completion.Task.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    /// <summary>Hands over what was read so far. On the loop's thread only.</summary>
    public void DeliverPending()
    {
        if (pending.Count == 0) return;
        var batch = pending;
        pending = [];
        owner.OnRecords(batch);
    }

    private void Run()
    {
        Exception? failure = null;
        try
        {
            while (!stopping)
            {
                RunCommands();
                PollOnce();
                owner.OnPolled();
            }

            RunCommands();
            if (isStaticMember) Leave();
            consumer.Close();
        }
        catch (Exception unexpected)
        {
            failure = unexpected;
            logger.Error($"the consumer has stopped: {unexpected.Message}");
        }

        ended = true;
        try
        {
            consumer.Dispose();
        }
        catch (Exception atDispose)
        {
            failure ??= atDispose;
        }

        RunCommands();
        if (failure is null) completion.SetResult();
        else completion.SetException(failure);
    }

    /// <summary>
    /// The close of a static member tells its group nothing, so that its partitions wait for it until its session ends. Who stops
    /// in order hands over at once: unsubscribing revokes and leaves. (A process that dies does neither, and may come back.)
    /// </summary>
    private void Leave()
    {
        consumer.Unsubscribe();
        var begun = Stopwatch.GetTimestamp();
        // The revocation is told in a poll. What it releases has a limit of its own.
        do
        {
            PollOnce();
        }
        while (consumer.Assignment.Count > 0 ? Stopwatch.GetElapsedTime(begun) < RevocationWait : Stopwatch.GetElapsedTime(begun) < LeaveWait);
    }

    private void RunCommands()
    {
        while (commands.TryDequeue(out var command)) command();
    }

    private void PollOnce()
    {
        try
        {
            var result = consumer.Consume(PollWait);
            while (result is not null)
            {
                if (owner.Accept(result) is { } partition) pending.Add(Fetched(partition, result));
                if (pending.Count >= BatchRecordsMax || stopping || !commands.IsEmpty) break;
                result = consumer.Consume(TimeSpan.Zero);
            }
        }
        catch (ConsumeException failed)
        {
            DeliverPending();
            if (failed.Error.IsFatal) throw;
            owner.OnConsumeError(failed);
        }
        catch (KafkaException failed) when (!failed.Error.IsFatal)
        {
            DeliverPending();
            logger.Warning(failed.Error.Reason);
        }

        DeliverPending();
    }

    private static FetchedRecord Fetched(TopicPartition partition, ConsumeResult<byte[]?, byte[]?> result)
    {
        var message = result.Message;
        var timestamp = message.Timestamp.Type == TimestampType.NotAvailable ? -1 : message.Timestamp.UnixTimestampMs;
        IReadOnlyList<RecordHeader> headers = [];
        if (message.Headers is { Count: > 0 } given)
        {
            var copied = new RecordHeader[given.Count];
            for (var i = 0; i < copied.Length; i++) copied[i] = new RecordHeader(given[i].Key, given[i].GetValueBytes() ?? []);
            headers = copied;
        }

        return new FetchedRecord(partition, result.Offset.Value, timestamp, message.Key, message.Value ?? [], message.Value is not null, headers);
    }
}

/// <summary>What a consumer does with what its loop finds; always called on the loop's thread.</summary>
internal interface IConsumerLoopOwner
{
    /// <summary>The record's partition where the record is to be delivered, else null.</summary>
    TopicPartition? Accept(ConsumeResult<byte[]?, byte[]?> result);

    void OnRecords(IReadOnlyList<FetchedRecord> records);

    /// <summary>An error that the client did not get over by itself; never a fatal one, that ends the loop.</summary>
    void OnConsumeError(ConsumeException error);

    /// <summary>After every poll.</summary>
    void OnPolled();
}
