using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// The shards' thread: takes facts from its mailbox, lets the core decide, and carries its effects out on Kafka, the store
/// and the module pool. It decides nothing itself.
/// </summary>
public sealed class NodeLoop : IRecordSink, IOwnershipListener
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan SendAgainAfter = TimeSpan.FromMilliseconds(100);

    private readonly Mailbox<object> mailbox;
    private readonly NodeCore core;
    private readonly ICheckpointStore store;
    private readonly PartitionProducer producer;
    private readonly NodeObserver observer;
    private readonly TimeProvider time;
    private readonly string owner;
    private readonly List<NodeEffect> effects = [];
    private readonly List<ShardEvent> events = [];
    private readonly Dictionary<ShardId, TaskCompletionSource> releases = [];
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread thread;
    private DataConsumer? data;
    private ModulePool? pool;
    private volatile bool isEnding;

    public NodeLoop(NodeSettings settings, ICheckpointStore store, PartitionProducer producer, NodeObserver observer, string owner, long mailboxBytesMax, TimeProvider time)
    {
        this.store = store;
        this.producer = producer;
        this.observer = observer;
        this.owner = owner;
        this.time = time;
        core = new NodeCore(settings);
        mailbox = new Mailbox<object>(mailboxBytesMax);
        thread = new Thread(Run) { IsBackground = true, Name = "shards" };
    }

    /// <summary>Ends with the loop; faulted where a broken invariant ended it.</summary>
    public Task Completion => finished.Task;

    public int MailboxCount => mailbox.Count;

    public void Start(DataConsumer consumer, ModulePool modules)
    {
        data = consumer;
        pool = modules;
        thread.Start();
    }

    public void Post(NodeMessage message) => mailbox.Post(message);

    /// <summary>Asks for something that only the loop's thread may read.</summary>
    public Task<T> Ask<T>(Func<NodeCore, T> question)
    {
        var answer = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Action<NodeCore> ask = node =>
        {
            try
            {
                answer.SetResult(question(node));
            }
            catch (Exception failure)
            {
                answer.SetException(failure);
            }
        };
        if (!mailbox.Post(ask)) answer.SetCanceled();
        return answer.Task;
    }

    /// <summary>Releases all shards in order; ends when they are, or when the limit has passed. True: all are.</summary>
    public async Task<bool> ReleaseAllAsync(TimeSpan limit)
    {
        mailbox.Post(new StopRequested());
        var deadline = time.GetTimestamp();
        while (time.GetElapsedTime(deadline) < limit)
        {
            // A loop that has ended by itself answers nobody any more, and its node has to be stopped all the same.
            var isLeft = Ask(node => node.Phases.Any());
            if (await Task.WhenAny(isLeft, finished.Task).ConfigureAwait(false) != isLeft || isLeft.IsCanceled) return false;
            if (!await isLeft.ConfigureAwait(false)) return true;
            await Task.Delay(10, CancellationToken.None).ConfigureAwait(false);
        }

        return false;
    }

    public void End()
    {
        isEnding = true;
        mailbox.Close();
    }

    void IRecordSink.OnRecords(IReadOnlyList<FetchedRecord> records)
    {
        for (var from = 0; from < records.Count;)
        {
            var partition = records[from].Partition;
            var run = new List<LogRecord>();
            var bytes = 0L;
            for (; from < records.Count && records[from].Partition == partition; from++)
            {
                var record = records[from];
                run.Add(new LogRecord(partition, record.Offset, record.TimestampMs, record.Value));
                bytes += record.Value.Length + 100;
            }

            mailbox.Post(new RecordsRead(partition, run), bytes);
        }
    }

    // The internal logs keep longer than any outage: a position outside them means that data is gone. The shard stops,
    // loudly, and the others go on.
    void IRecordSink.OnOutOfRange(TopicPartition partition, long position) =>
        observer.PartitionStopped(partition, $"position {position} is outside the log; its shard reads nothing of it until an operator decides (positions set)");

    Task IOwnershipListener.AssignedAsync(IReadOnlyList<int> partitions)
    {
        mailbox.Post(new ShardsAssigned(partitions.Select(partition => new ShardId(partition)).ToList()));
        return Task.CompletedTask;
    }

    Task IOwnershipListener.RevokedAsync(IReadOnlyList<int> partitions)
    {
        var shards = partitions.Select(partition => new ShardId(partition)).ToList();
        List<Task> released = [];
        lock (releases)
        {
            foreach (var shard in shards)
            {
                if (!releases.TryGetValue(shard, out var release))
                {
                    releases.Add(shard, release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
                }

                released.Add(release.Task);
            }
        }

        return mailbox.Post(new ShardsRevoked(shards)) ? Task.WhenAll(released) : Task.CompletedTask;
    }

    void IOwnershipListener.Lost(IReadOnlyList<int> partitions) =>
        mailbox.Post(new ShardsLost(partitions.Select(partition => new ShardId(partition)).ToList()));

    private long NowMs => time.GetUtcNow().ToUnixTimeMilliseconds();

    private void Run()
    {
        try
        {
            var time = new TimePassed();
            while (!isEnding)
            {
                var wait = core.NextDueMs is { } due ? TimeSpan.FromMilliseconds(Math.Clamp(due - NowMs, 0, LongestWait.TotalMilliseconds)) : LongestWait;
                foreach (var (item, bytes) in mailbox.Take(wait))
                {
                    if (item is NodeMessage message) Handle(message);
                    else ((Action<NodeCore>)item)(core);
                    mailbox.Done(bytes);
                }

                if (core.NextDueMs <= NowMs) Handle(time);
            }

            finished.TrySetResult();
        }
        catch (Exception failure)
        {
            observer.LoopFailed(failure);
            mailbox.Close();
            finished.TrySetException(failure);
        }
    }

    private void Handle(NodeMessage message)
    {
        core.Handle(message, NowMs, effects);
        core.TakeEvents(events);
        if (events.Count > 0)
        {
            observer.Happened(events);
            events.Clear();
        }

        foreach (var effect in effects) CarryOut(effect);
        effects.Clear();
    }

    private void CarryOut(NodeEffect effect)
    {
        switch (effect)
        {
            case BeginCall begin: pool!.Begin(begin.Call); break;
            case SendOutput send: Send(send); break;
            case Commit commit: _ = CommitAsync(commit.Checkpoints); break;
            case TakeOver takeOver: _ = TakeOverAsync(takeOver.Shard); break;
            case StartReading start: _ = data!.Assign(start.Partition, start.Next); break;
            case StopReading stop: _ = data!.Unassign(stop.Partition); break;
            case PauseReading pause: _ = pause.Pause ? data!.Pause(pause.Partition) : data!.Resume(pause.Partition); break;
            case CancelCalls cancel: pool!.Cancel(cancel.Shard, cancel.Epoch); break;
            case ReleaseShard release: Release(release); break;
            case Warn warn: observer.Warned(warn.Text); break;
            default: throw new InvalidOperationException($"no way to carry out {effect}");
        }
    }

    private void Send(SendOutput send)
    {
        var entry = send.Entry;
        var headers = new RecordHeader[entry.Headers.Count];
        for (var index = 0; index < headers.Length; index++)
        {
            headers[index] = new RecordHeader(entry.Headers[index].Key, System.Text.Encoding.UTF8.GetBytes(entry.Headers[index].Value));
        }

        var begun = time.GetTimestamp();
        producer.Send(entry.Destination, entry.Key, entry.Value, headers, entry.TimestampMs, outcome =>
        {
            if (outcome.Result == SendResult.Sent)
            {
                observer.Sent(entry, time.GetElapsedTime(begun));
                mailbox.Post(new OutputSent(send.Shard, send.Epoch, entry.Destination, entry.Sequence, true));
                return;
            }

            // Never the next: the same one again, after a pause. What can never be sent was refused before the commit.
            observer.Warned($"sending {entry.Sequence} to {entry.Destination} failed, it is sent again: {outcome.Error}");
            _ = SendAgainAsync(send);
        });
    }

    private async Task SendAgainAsync(SendOutput send)
    {
        await Task.Delay(SendAgainAfter, time).ConfigureAwait(false);
        mailbox.Post(new OutputSent(send.Shard, send.Epoch, send.Entry.Destination, send.Entry.Sequence, false));
    }

    private async Task CommitAsync(IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        await Task.Yield();
        var begun = time.GetTimestamp();
        try
        {
            var outcomes = await store.CommitAsync(checkpoints, CancellationToken.None).ConfigureAwait(false);
            observer.Committed(checkpoints, time.GetElapsedTime(begun));
            mailbox.Post(new CommitFinished(outcomes));
        }
        catch (StoreUnavailableException failure)
        {
            mailbox.Post(new CommitFailed(failure.Message));
        }
        catch (Exception failure)
        {
            // Whatever else went wrong, nothing says that it was not committed.
            mailbox.Post(new CommitUnknown(failure.Message));
        }
    }

    private async Task TakeOverAsync(ShardId shard)
    {
        await Task.Yield();
        try
        {
            mailbox.Post(new ShardTakenOver(await store.TakeOverWholeAsync(shard, owner, CancellationToken.None).ConfigureAwait(false)));
        }
        catch (Exception failure)
        {
            mailbox.Post(new TakeOverFailed(shard, failure.Message));
        }
    }

    private void Release(ReleaseShard release)
    {
        observer.ShardReleased(release.Shard, release.InOrder);
        lock (releases)
        {
            if (releases.Remove(release.Shard, out var waiting)) waiting.TrySetResult();
        }
    }
}
