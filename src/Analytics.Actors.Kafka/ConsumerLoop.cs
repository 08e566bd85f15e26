using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>
/// The thread of one consumer. It polls, runs commands that other threads post, and hands records over in runs of one
/// partition: what one poll found and all that the client had queued behind it, by what is assigned after the poll.
/// </summary>
internal sealed class ConsumerLoop
{
    /// <summary>How long a poll waits while nothing arrives and nothing is posted; both end the wait.</summary>
    private static readonly TimeSpan PollWait = TimeSpan.FromMilliseconds(500);

    /// <summary>The same while somebody waits for what only polls bring.</summary>
    private static readonly TimeSpan ShortPollWait = TimeSpan.FromMilliseconds(50);

    /// <summary>The least that a client's queue may be bounded by, and for how long a queue that was once so full is thought of as busy.</summary>
    private const int MuchBytes = 64 * 1024;
    private static readonly TimeSpan BusyFor = TimeSpan.FromSeconds(1);

    private readonly IConsumer<byte[]?, byte[]?> consumer;
    private readonly MessageBatch messages;
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
    private Exception? callbackFailure;
    private long muchTaken = Stopwatch.GetTimestamp();
    private volatile bool stopping;
    private volatile bool ended;

    /// <summary>The consumer belongs to the loop from here on: its end closes and disposes it.</summary>
    /// <param name="configuration">What the consumer was made of.</param>
    /// <param name="isStaticMember">It has a group.instance.id.</param>
    public ConsumerLoop(
        IConsumer<byte[]?, byte[]?> consumer, IReadOnlyDictionary<string, string> configuration, IConsumerLoopOwner owner, ClientLogger logger, bool isStaticMember = false)
    {
        this.isStaticMember = isStaticMember;
        this.consumer = consumer;
        messages = new MessageBatch(consumer.Handle, configuration);
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
        messages.Wake();
        // After the end nobody else empties the queue.
        if (ended) RunCommands();
        return done.Task;
    }

    /// <summary>Stops polling, leaves the group (which revokes what is assigned) and closes. Idempotent.</summary>
    public Task StopAsync()
    {
        stopping = true;
        messages.Wake();
        // A fault was told by Completion; stopping what already ended is no second failure.
        return completion.Task.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    /// <summary>Runs a callback of the client: what it throws ends the loop, though the native client stands between.</summary>
    public T Callback<T>(Func<T> callback)
    {
        try
        {
            return callback();
        }
        catch (Exception failure)
        {
            callbackFailure ??= failure;
            throw;
        }
        finally
        {
            // It runs inside a poll, which would wait on: what follows from it is for after the poll.
            messages.Wake();
        }
    }

    public void Callback(Action callback) => Callback(() =>
    {
        callback();
        return true;
    });

    private void Run()
    {
        Exception? failure = null;
        try
        {
            while (!stopping)
            {
                if (!owner.IsCallbackDue) RunCommands();
                PollOnce(PollWait);
                owner.OnPolled();
            }

            RunCommands();
            owner.OnClosing();
            if (isStaticMember) Leave();
            messages.Dispose();
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
            messages.Dispose();
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
            PollOnce(ShortPollWait);
        }
        while (consumer.Assignment.Count > 0 ? Stopwatch.GetElapsedTime(begun) < RevocationWait : Stopwatch.GetElapsedTime(begun) < LeaveWait);
    }

    private void RunCommands()
    {
        while (commands.TryDequeue(out var command)) command();
    }

    private void PollOnce(TimeSpan wait)
    {
        var count = messages.Take(wait);
        if (callbackFailure is { } failure) ExceptionDispatchInfo.Throw(failure);
        var bytes = 0L;
        for (var index = 0; index < count;)
        {
            if (messages.ErrorOf(index) is { } error)
            {
                if (error.IsFatal) throw new KafkaException(error);
                owner.OnConsumeError(messages.PartitionOf(index), messages.OffsetOf(index), error);
                index++;
                continue;
            }

            var end = messages.RunEnd(index);
            if (owner.Find(messages.PartitionOf(index)) is { Paused: false, Next: not null } reading)
            {
                while (messages.Read(ref index, end, reading) is { } run)
                {
                    bytes += run.Bytes;
                    owner.OnRecords(run);
                }
            }

            index = end;
        }

        if (count == MessageBatch.MessagesMax || bytes >= MuchBytes) muchTaken = Stopwatch.GetTimestamp();
        if (count > 0 && Stopwatch.GetElapsedTime(muchTaken) < BusyFor) messages.KeepFetching();
    }
}

/// <summary>What a consumer does with what its loop finds; always called on the loop's thread.</summary>
internal interface IConsumerLoopOwner
{
    /// <summary>The reading of a partition, which is moved on by what is delivered; null: nothing of it is to be delivered.</summary>
    PartitionReading? Find(TopicPartition partition);

    void OnRecords(RecordRun records);

    /// <summary>An error that the client did not get over by itself; never a fatal one, that ends the loop.</summary>
    /// <param name="partition">Without a topic where it concerns none.</param>
    /// <param name="offset">What could not be read, where it concerns an offset; negative where there was none.</param>
    void OnConsumeError(TopicPartition partition, long offset, Error error);

    /// <summary>After every poll.</summary>
    void OnPolled();

    /// <summary>Before the consumer is closed.</summary>
    void OnClosing()
    {
    }

    /// <summary>The next polls bring a callback, before which no command may be run.</summary>
    bool IsCallbackDue => false;
}
