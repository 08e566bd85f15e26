using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using Analytics.Actors.Storage;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>The router's thread: reads source topics, lets the core route, sends its envelopes and commits its positions.</summary>
public sealed class RouterLoop : IRouterListener
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan SendAgainAfter = TimeSpan.FromMilliseconds(100);

    // Less than is taken from the mailbox at once: there all topics stand in one line.
    private const long RoutedBytesPerTake = Mailbox<object>.DataBytesPerTake / 2;

    private readonly Mailbox<object> mailbox;
    private readonly Router router;
    private readonly ICheckpointStore store;
    private readonly PartitionProducer producer;
    private readonly NodeObserver observer;
    private readonly AppliedPositions applied;
    private readonly TimeProvider time;
    private readonly List<RouterEffect> effects = [];
    private readonly HashSet<TopicPartition> assigned = [];
    private readonly HashSet<string> paused = new(StringComparer.Ordinal);

    // What the store knows of the partitions that are ours, as of when they were positioned; those that are stopped as well.
    private readonly Dictionary<TopicPartition, SourceState> rows = [];

    // Orders overtake records, and a release may end after its partition has come back: so each word of the group's is numbered by
    // the revocations before it, and none is followed that is older than what is known of its partition.
    private readonly Dictionary<TopicPartition, long> heard = [];
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread thread;
    private RouterSource? source;
    private IReadOnlyList<(object Item, long Bytes)> batch = [];
    private volatile bool isEnding;
    private volatile bool isPositioned;

    // Of the source's thread.
    private long revocations;

    public RouterLoop(
        ShardSettings shards, RouterSettings settings, ICheckpointStore store, PartitionProducer producer, NodeObserver observer,
        AppliedPositions applied, long mailboxBytesMax, TimeProvider time)
    {
        this.applied = applied;
        this.store = store;
        this.producer = producer;
        this.observer = observer;
        this.time = time;
        router = new Router(shards, settings);
        mailbox = new Mailbox<object>(mailboxBytesMax);
        thread = new Thread(Run) { IsBackground = true, Name = "router" };
    }

    /// <summary>Ends with the loop; faulted where a broken invariant ended it.</summary>
    public Task Completion => finished.Task;

    /// <summary>The group has told at least once what this router reads, and all of it has a position.</summary>
    public bool IsPositioned => isPositioned;

    /// <summary>Called with a version whose rules are needed; <see cref="Learn"/> gives them. Set before the start.</summary>
    public Action<long>? RulesWanted { get; set; }

    /// <summary>Rules of a version of the configuration, for whatever offsets the store gives to it.</summary>
    public void Learn(ShardSettings version) => Post(() => router.Learn(version, effects));

    /// <summary>Begins. A node that does not route has no source, and its loop only answers questions.</summary>
    public void Start(RouterSource? reader)
    {
        source = reader;
        thread.Start();
    }

    /// <summary>Asks for something that only the loop's thread may read.</summary>
    public Task<T> Ask<T>(Func<Router, T> question)
    {
        var asked = new Question<Router, T>(question);
        if (!mailbox.Post(asked)) asked.Cancel();
        return asked.Answered;
    }

    public void End()
    {
        isEnding = true;
        mailbox.Close();
    }

    void IRouterListener.OnRecords(RecordRun run) => mailbox.Post(run, run.Bytes + run.Records.Count * 100L);

    /// <summary>What the store has of source partitions now: one that is in a newer life than we know was set elsewhere, and is gone to.</summary>
    public void Look(IReadOnlyList<SourceState> stored) => Post(() =>
    {
        foreach (var row in stored)
        {
            if (!rows.TryGetValue(row.Partition, out var ours) || row.Incarnation <= ours.Incarnation) continue;
            rows[row.Partition] = row;
            assigned.Remove(row.Partition);
            router.Revoked(row.Partition);
            _ = source!.Reposition(row.Partition);
        }
    });

    // As data, so that it keeps its place among the records: those read before it are of before, and none of them is lost to a gap.
    void IRouterListener.OnPositioned(IReadOnlyList<SourcePlace> places)
    {
        var number = revocations;
        mailbox.Post((Action)(() => Positioned(places, number)), 1);
    }

    async Task IRouterListener.OnRevokedAsync(IReadOnlyList<TopicPartition> partitions)
    {
        var number = ++revocations;
        await CommitNowAsync(partitions).ConfigureAwait(false);
        Forget(partitions, number);
    }

    void IRouterListener.OnLost(IReadOnlyList<TopicPartition> partitions) => Forget(partitions, ++revocations);

    private void Positioned(IReadOnlyList<SourcePlace> places, long number)
    {
        List<PartitionPosition> reached = [];
        foreach (var place in places)
        {
            if (number < heard.GetValueOrDefault(place.Partition)) continue;
            heard[place.Partition] = number;
            rows[place.Partition] = place.State;
            observer.SourcePositioned(place);
            if (place.Next is not { } next) continue;
            assigned.Add(place.Partition);
            router.Assigned(place.Partition, place.State.Incarnation, next);
            if (paused.Contains(place.Partition.Topic)) _ = source!.Pause([place.Partition]);
            if (place.State.IsWanted) reached.Add(place.State.Position);
        }

        if (reached.Count > 0) _ = ReachAsync(reached);
        isPositioned = true;
    }

    private bool Post(Action action) => mailbox.Post(action);

    private long NowMs => time.GetUtcNow().ToUnixTimeMilliseconds();

    private void Forget(IReadOnlyList<TopicPartition> partitions, long number) => Post(() =>
    {
        foreach (var partition in partitions)
        {
            if (number <= heard.GetValueOrDefault(partition)) continue;
            heard[partition] = number;
            assigned.Remove(partition);
            rows.Remove(partition);
            router.Revoked(partition);
            observer.SourceGone(partition);
        }
    });

    private async Task CommitNowAsync(IReadOnlyList<TopicPartition>? only)
    {
        try
        {
            var chosen = await Ask(node => node.Positions.Where(position => only is null || only.Contains(position.Partition)).ToList()).ConfigureAwait(false);
            if (chosen.Count == 0) return;
            var outcome = await source!.CommitAsync(chosen.ConvertAll(position => new PartitionOffset(position.Partition, position.Next))).ConfigureAwait(false);
            if (outcome.Committed) await StoreAsync(chosen.Where(position => position.HasWitness).ToList()).ConfigureAwait(false);
        }
        catch (TaskCanceledException)
        {
            // The loop has ended: what it had not committed is routed again and recognised.
        }
    }

    private void Run()
    {
        try
        {
            var isMore = false;
            while (!isEnding)
            {
                var wait = isMore ? TimeSpan.Zero : router.NextDueMs is { } due ? TimeSpan.FromMilliseconds(Math.Clamp(due - NowMs, 0, LongestWait.TotalMilliseconds)) : LongestWait;
                // What this thread alone is behind with waits where it is: taken in, it would fill its topics' queues, and a topic
                // that is paused for that is fetched anew.
                batch = mailbox.Take(wait, isMore ? 0 : Mailbox<object>.DataBytesPerTake);
                router.TimePassed(NowMs, false, effects);
                foreach (var (item, bytes) in batch)
                {
                    if (item is RecordRun run) Receive(run);
                    else if (item is Question<Router> question) question.Answer(router);
                    else ((Action)item)();
                    mailbox.Done(bytes);
                    CarryOut();
                }

                isMore = router.Flush(effects, RoutedBytesPerTake);
                CarryOut();
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
            Question<Router>.CancelAll(batch, mailbox);
        }
    }

    private void Receive(RecordRun run)
    {
        observer.Fetched(run);
        foreach (var record in run.Records)
        {
            router.Receive(new SourceRecord(record.Partition, record.Offset, record.TimestampMs, record.Value, record.Origin, record.Chunk));
        }

        run.ReleaseList();
    }

    private void CarryOut()
    {
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case SendEnvelope send: Send(send); break;
                case CommitPositions commit: _ = CommitAsync(commit); break;
                case StorePositions positions: _ = StoreAsync(positions.Positions); break;
                case PauseTopic pause: Pause(pause); break;
                case ReadShardPositions: _ = LookAsync(); break;
                case RaiseGrants raise: _ = RaiseAsync(raise); break;
                case ReadRules read: RulesWanted?.Invoke(read.Version); break;
                default: throw new InvalidOperationException($"no way to carry out {effect}");
            }
        }

        effects.Clear();
    }

    private void Pause(PauseTopic order)
    {
        if (order.Pause) paused.Add(order.Topic);
        else paused.Remove(order.Topic);
        observer.Metrics.Routing(router.Flows);
        var partitions = assigned.Where(partition => partition.Topic == order.Topic).ToList();
        _ = order.Pause ? source!.Pause(partitions) : source!.Resume(partitions);
    }

    private async Task LookAsync()
    {
        var progress = await applied.ReadAsync().ConfigureAwait(false);
        Post(() =>
        {
            router.Applied(progress, NowMs);
            observer.Metrics.Routing(router.Flows);
        });
    }

    private void Send(SendEnvelope send)
    {
        var begun = time.GetTimestamp();
        observer.SendBegins();
        CrashPoint.Reached(CrashPoint.RouterBeforeSend);
        producer.Send(send.Destination, null, send.Value, [], NowMs, outcome =>
        {
            observer.SendEnded(send.Destination.Topic, time.GetElapsedTime(begun), outcome.Result == SendResult.Sent, isOutput: false);
            if (outcome.Result == SendResult.Sent)
            {
                CrashPoint.Reached(CrashPoint.RouterSent);
                Post(() => router.Acknowledged(send.Destination, send.Number, effects, outcome.Offset));
                return;
            }

            observer.Warned($"an envelope to {send.Destination} failed, it is sent again: {outcome.Error}");
            _ = SendAgainAsync(send);
        });
    }

    private async Task SendAgainAsync(SendEnvelope send)
    {
        await Task.Delay(SendAgainAfter, time).ConfigureAwait(false);
        Post(() => router.Failed(send.Destination, send.Number, effects));
    }

    private async Task RaiseAsync(RaiseGrants raise)
    {
        try
        {
            var grants = await store.RaiseGrantsAsync(raise.Requests, raise.Known, CancellationToken.None).ConfigureAwait(false);
            Post(() => router.Granted(grants, effects));
        }
        catch (Exception failure)
        {
            observer.Warned($"no grants were raised, the router goes on up to those that it has: {failure.Message}");
            Post(() => router.GrantsFailed(raise.Requests));
        }
    }

    // What was read before a place was found may have been committed after it, as long as records of before were routed. So it is
    // committed once more, and until then the store goes on saying that it is to be gone to.
    private async Task ReachAsync(IReadOnlyList<PartitionPosition> places)
    {
        var outcome = await source!.CommitAsync([.. places.Select(place => new PartitionOffset(place.Partition, place.Next))]).ConfigureAwait(false);
        if (outcome.Committed) await StoreAsync([.. places.Where(place => !outcome.Skipped.Contains(place.Partition))]).ConfigureAwait(false);
    }

    // A write that fails is made up for by the next one: what is stored lags, and is true all the same.
    private async Task StoreAsync(IReadOnlyList<PartitionPosition> positions)
    {
        try
        {
            var changed = await Ask(_ => positions.Where(position => rows.TryGetValue(position.Partition, out var row) && row.Incarnation == position.Incarnation)
                .Select(position => rows[position.Partition] = rows[position.Partition].At(position)).ToList()).ConfigureAwait(false);
            if (changed.Count > 0) Look(await store.UpdateSourcesAsync(changed, CancellationToken.None).ConfigureAwait(false));
        }
        catch (StoreUnavailableException failure)
        {
            observer.Warned($"the router's positions were not stored: {failure.Message}");
        }
        catch (TaskCanceledException)
        {
            // The loop has ended.
        }
    }

    private async Task CommitAsync(CommitPositions commit)
    {
        var positions = commit.Positions.Select(position => new PartitionOffset(position.Partition, position.Next)).ToList();
        CrashPoint.Reached(CrashPoint.RouterBeforeCommit);
        var outcome = await source!.CommitAsync(positions).ConfigureAwait(false);
        CrashPoint.Reached(CrashPoint.RouterAfterCommit);
        if (!outcome.Committed) observer.Warned($"committing the router's positions failed: {outcome.Error}");
        var done = commit.Positions.Where(position => !outcome.Skipped.Contains(position.Partition)).ToList();
        Post(() => router.CommitFinished(done, outcome.Committed));
    }
}
