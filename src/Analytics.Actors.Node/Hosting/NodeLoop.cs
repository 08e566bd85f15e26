using System.Collections.Concurrent;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Metrics;
using Analytics.Actors.Storage;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// The shards' thread: takes facts from its mailbox, lets the core decide, and carries its effects out on Kafka, the store
/// and the module pool. It decides nothing itself.
/// </summary>
public sealed class NodeLoop : IRecordSink, IOwnershipListener
{
    // Facts taken before what follows from them is carried out.
    private const int SettleAfter = 64;

    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(500);

    private readonly Mailbox<object> mailbox;
    private readonly NodeCore core;
    private readonly ICheckpointStore store;
    private readonly OutputLanes lanes;
    private readonly NodeObserver observer;
    private readonly TimeProvider time;
    private readonly string owner;
    private volatile ShardSettings shards;
    private readonly List<NodeEffect> effects = [];
    private readonly List<ShardEvent> events = [];
    private readonly Dictionary<ShardId, TaskCompletionSource> releases = [];
    private readonly ShardMoves moves;
    private readonly ReadingStarts starts = new();
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread thread;
    private DataConsumer? data;
    private ModulePool? pool;
    private ShardPositioner? positions;
    private IReadOnlyList<(object Item, long Bytes)> batch = [];
    private bool isStarted;
    private readonly ConcurrentDictionary<long, TaskCompletionSource<StationOrderOutcome>> orders = new();
    private long orderNumber;
    private volatile bool isEnding;
    private volatile StoreRefusedException? refusal;
    private int unsettled;

    public NodeLoop(NodeSettings settings, ICheckpointStore store, PartitionProducer producer, NodeObserver observer, string owner, long mailboxBytesMax, TimeProvider time)
    {
        this.store = store;
        this.observer = observer;
        this.owner = owner;
        shards = settings.Shards;
        this.time = time;
        core = new NodeCore(settings);
        mailbox = new Mailbox<object>(mailboxBytesMax);
        moves = new ShardMoves(observer, time);
        lanes = new OutputLanes(producer, observer, message => mailbox.Post(message), time);
        thread = new Thread(Run) { IsBackground = true, Name = "shards" };
    }

    /// <summary>Ends with the loop; faulted where a broken invariant ended it.</summary>
    public Task Completion => finished.Task;

    public int MailboxCount => mailbox.Count;

    /// <summary>What was not finished of the shards that were released so far, one line each.</summary>
    public IReadOnlyList<string> Unfinished => moves.Unfinished;

    /// <summary>Called with a version of the configuration that a shard waits for. Set before the start.</summary>
    public Action<long>? ConfigurationWanted { get; set; }

    /// <summary>Begins. A node without shards has neither consumer nor pool, and its loop only answers questions.</summary>
    public void Start(DataConsumer? consumer, ModulePool? modules, ShardPositioner positioner)
    {
        data = consumer;
        pool = modules;
        positions = positioner;
        isStarted = true;
        thread.Start();
    }

    public void Post(NodeMessage message)
    {
        if (message is ConfigurationChanged changed) shards = changed.Settings;
        mailbox.Post(message);
    }

    /// <summary>Asks for something that only the loop's thread may read.</summary>
    public Task<T> Ask<T>(Func<NodeCore, T> question)
    {
        var asked = new Question<NodeCore, T>(question);
        if (!mailbox.Post(asked)) asked.Cancel();
        return asked.Answered;
    }

    /// <summary>Orders something of a station, if its shard is run here in this epoch; ends when it is known what became of it.</summary>
    public Task<StationOrderOutcome> Steer(ShardId shard, Epoch epoch, string station, StationOrder order, string by)
    {
        var number = Interlocked.Increment(ref orderNumber);
        var ended = orders[number] = new TaskCompletionSource<StationOrderOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!mailbox.Post(new StationOrdered(number, shard, epoch, station, order, by))) ended.TrySetCanceled();
        return ended.Task;
    }

    /// <summary>
    /// Releases all shards in order; ends when they are, or when the limit has passed. Returns what was not finished, one line
    /// for each shard; empty where all was.
    /// </summary>
    public async Task<IReadOnlyList<string>> ReleaseAllAsync(TimeSpan limit)
    {
        if (!isStarted) return [];
        mailbox.Post(new StopRequested());
        var begun = time.GetTimestamp();
        try
        {
            while (time.GetElapsedTime(begun) is var elapsed && elapsed < limit)
            {
                if (!await Ask(node => node.Phases.Any()).WaitAsync(limit - elapsed, time).ConfigureAwait(false)) return moves.Unfinished;
                await Task.Delay(10, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception ended) when (ended is TimeoutException or OperationCanceledException)
        {
            // The loop is held up, or has ended by a failure: nothing is released any more.
        }

        return [.. moves.Unfinished, .. await HeldAsync().ConfigureAwait(false)];
    }

    /// <summary>Gives all shards up at once: somebody else decides about them now, and nothing of ours would be taken.</summary>
    public async Task LoseAllAsync(TimeSpan limit)
    {
        try
        {
            var all = await Ask(node => node.Phases.Select(slot => slot.Shard).ToList()).WaitAsync(limit, time).ConfigureAwait(false);
            mailbox.Post(new StopRequested());
            mailbox.Post(new ShardsLost(all));
        }
        catch (Exception ended) when (ended is TimeoutException or OperationCanceledException)
        {
            // What the loop still does is fenced.
        }
    }

    private async Task<IReadOnlyList<string>> HeldAsync()
    {
        const string Next = "its next owner goes on from the last checkpoint";
        try
        {
            return await Ask(node => node.Phases.Select(slot => (IReadOnlyList<string>)(node.Find(slot.Shard) is { } shard
                ? [$"shard {slot.Shard} was not released: {shard.RunningCalls} calls still run, {shard.Outputs.Outbox.Count} outputs wait; {Next}"]
                : [$"shard {slot.Shard} was not released: its takeover was under way"])).SelectMany(line => line).ToList()).WaitAsync(TimeSpan.FromSeconds(1), time).ConfigureAwait(false);
        }
        catch (Exception ended) when (ended is TimeoutException or OperationCanceledException)
        {
            return [$"shards were not released, because their loop does not answer; {Next.Replace("its", "their", StringComparison.Ordinal)}"];
        }
    }

    public void End()
    {
        isEnding = true;
        lanes.Dispose();
        mailbox.Close();
    }

    void IRecordSink.OnRecords(RecordRun run)
    {
        if (shards.IsKeyed(run.Partition.Topic)) observer.Fetched(run);
        mailbox.Post(run, run.Bytes + run.Records.Count * 100L);
    }

    // As data, so that it keeps its place among the records.
    void IRecordSink.OnAssigned(TopicPartition partition) => mailbox.Post(new ReadingBegun(partition), 1);

    // The takeover that follows checks the position, and says what to do.
    void IRecordSink.OnOutOfRange(TopicPartition partition, long position)
    {
        observer.Warned($"position {position} is outside {partition}: its shard is taken over anew, and its positions are checked");
        mailbox.Post(new PositionsChanged([new ShardId(partition.Partition)]));
    }

    Task IOwnershipListener.AssignedAsync(IReadOnlyList<int> partitions)
    {
        var shards = partitions.Select(partition => new ShardId(partition)).ToList();
        moves.Assigned(shards);
        mailbox.Post(new ShardsAssigned(shards));
        return Task.CompletedTask;
    }

    Task IOwnershipListener.RevokedAsync(IReadOnlyList<int> partitions)
    {
        var shards = partitions.Select(partition => new ShardId(partition)).ToList();
        moves.Revoked(shards);
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
                batch = mailbox.Take(wait);
                if (refusal is { } refused) throw refused;
                foreach (var (item, bytes) in batch)
                {
                    if (item is RecordRun run)
                    {
                        if (!starts.IsEcho(run.Partition)) core.Handle(new RecordsRead(run.Partition, run.Records), NowMs, effects);
                        run.Release();
                    }
                    else if (item is NodeMessage message) core.Handle(message, NowMs, effects);
                    else if (item is ReadingBegun begun) starts.Begun(begun.Partition);
                    else ((Question<NodeCore>)item).Answer(core);
                    mailbox.Done(bytes);
                    // What a shard starts to read is known before the next records are looked at.
                    if (++unsettled == SettleAfter || item is ShardTakenOver) Settle();
                }

                if (core.NextDueMs <= NowMs) core.Handle(time, NowMs, effects);
                Settle();
            }

            finished.TrySetResult();
        }
        catch (ObjectDisposedException) when (isEnding)
        {
            // The time for the stop was over in the middle of its work: what it wanted to send with is closed.
            finished.TrySetResult();
        }
        catch (Exception failure)
        {
            observer.LoopFailed(failure);
            finished.TrySetException(failure);
        }
        finally
        {
            Question<NodeCore>.CancelAll(batch, mailbox);
            foreach (var order in orders.Values) order.TrySetCanceled();
            // Nobody releases these any more: a revocation need not wait its limit out, the next owner fences us.
            lock (releases)
            {
                foreach (var waiting in releases.Values) waiting.TrySetResult();
                releases.Clear();
            }
        }
    }

    private void Settle()
    {
        unsettled = 0;
        core.Settle(NowMs, effects);
        core.TakeEvents(events);
        if (events.Count > 0)
        {
            observer.Happened(events, NowMs);
            events.Clear();
        }

        foreach (var effect in effects) CarryOut(effect);
        effects.Clear();
    }

    private void CarryOut(NodeEffect effect)
    {
        switch (effect)
        {
            case BeginCall begin:
                observer.CallBegins(begin.Call);
                pool!.Begin(begin.Call);
                break;
            case SendOutputs send: lanes.Send(send); break;
            case Commit commit: _ = CommitAsync(commit.Checkpoints); break;
            case TakeOver takeOver:
                moves.TakingOver(takeOver.Shard);
                _ = TakeOverAsync(takeOver.Shard);
                break;
            case ShardLoad load: _ = LoadAsync(load); break;
            case StartReading start:
                starts.Ordered(start.Partition);
                _ = data!.Assign(start.Partition, start.Next);
                moves.Reads(new ShardId(start.Partition.Partition));
                break;
            case StopReading stop: _ = data!.Unassign(stop.Partition); break;
            case PauseReading pause: _ = pause.Pause ? data!.Pause(pause.Partition) : data!.Resume(pause.Partition); break;
            case AbandonShard abandon:
                pool!.Cancel(abandon.Shard, abandon.Epoch);
                lanes.Abandon(abandon.Shard, abandon.Epoch);
                break;
            case ReleaseShard release: Release(release); break;
            case StationOrderEnded ended:
                if (orders.TryRemove(ended.Number, out var order)) order.TrySetResult(ended.Outcome);
                break;
            case ReadConfiguration read: ConfigurationWanted?.Invoke(read.Version); break;
            case ShardFenced fenced: moves.Fenced(fenced); break;
            case Warn warn: observer.Warned(warn.Text); break;
            default: throw new InvalidOperationException($"no way to carry out {effect}");
        }
    }

    private async Task CommitAsync(IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        await Task.Yield();
        var begun = time.GetTimestamp();
        try
        {
            CrashPoint.Reached(CrashPoint.CheckpointBeforeTransaction);
            if (checkpoints.Any(checkpoint => checkpoint.OutboxRemoved.Count > 0)) CrashPoint.Reached(CrashPoint.OutboxBeforeRemoval);
            if (checkpoints.Any(checkpoint => checkpoint.Release)) CrashPoint.Reached(CrashPoint.HandoverBeforeLastCheckpoint);
            var outcomes = await store.CommitAsync(checkpoints, CancellationToken.None).ConfigureAwait(false);
            CrashPoint.Reached(CrashPoint.CheckpointAfterCommit);
            observer.Committed(checkpoints, outcomes, time.GetElapsedTime(begun));
            mailbox.Post(new CommitFinished(outcomes));
        }
        catch (StoreUnavailableException failure)
        {
            observer.CommitFailed(CheckpointFailure.Unavailable, failure.Message);
            mailbox.Post(new CommitFailed(failure.Message));
        }
        catch (Exception failure)
        {
            // Whatever else went wrong, nothing says that it was not committed.
            observer.CommitFailed(CheckpointFailure.OutcomeUnknown, failure.Message);
            mailbox.Post(new CommitUnknown(failure.Message));
        }
    }

    private async Task TakeOverAsync(ShardId shard)
    {
        await Task.Yield();
        try
        {
            var recovered = await store.TakeOverAsync(shard, owner, CancellationToken.None).ConfigureAwait(false);
            CrashPoint.Reached(CrashPoint.TakeoverAfterReading);
            observer.TookOver(shard, null);
            await CheckPositionsAsync(recovered).ConfigureAwait(false);
        }
        catch (StoreRefusedException refused)
        {
            // The store was renewed: this process stamps its outputs with an id that is no longer the store's. Only a new
            // start helps.
            observer.TookOver(shard, refused.Message);
            refusal = refused;
            mailbox.Post(new TimePassed());
        }
        catch (Exception failure)
        {
            observer.TookOver(shard, failure.Message);
            mailbox.Post(new TakeOverFailed(shard, failure.Message));
        }
    }

    private async Task CheckPositionsAsync(RecoveredShard recovered)
    {
        try
        {
            var (shard, refusal, version) = await positions!.CheckAsync(recovered).ConfigureAwait(false);
            mailbox.Post(refusal is null ? new ShardTakenOver(shard, version) : new ShardRefused(shard.Shard, refusal));
        }
        catch (BrokerUnavailableException failure)
        {
            mailbox.Post(new TakeOverFailed(recovered.Shard, failure.Message));
        }
    }

    private async Task LoadAsync(ShardLoad load)
    {
        await Task.Yield();
        try
        {
            var loaded = await store.LoadAsync(load, CancellationToken.None).ConfigureAwait(false);
            CrashPoint.Reached(load is LoadPage ? CrashPoint.RecoverySearching : CrashPoint.StationsLoading);
            mailbox.Post(loaded);
        }
        catch (Exception failure)
        {
            mailbox.Post(new LoadFailed(load, failure.Message));
        }
    }

    private void Release(ReleaseShard release)
    {
        if (release.InOrder) CrashPoint.Reached(CrashPoint.HandoverBeforeRelease);
        positions!.Forget(release.Shard);
        moves.Released(release);
        lock (releases)
        {
            if (releases.Remove(release.Shard, out var waiting)) waiting.TrySetResult();
        }
    }

    private sealed record ReadingBegun(TopicPartition Partition);
}
