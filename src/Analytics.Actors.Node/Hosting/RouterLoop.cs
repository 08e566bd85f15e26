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

    private readonly Mailbox<object> mailbox;
    private readonly Router router;
    private readonly ICheckpointStore store;
    private readonly PartitionProducer producer;
    private readonly NodeObserver observer;
    private readonly TimeProvider time;
    private readonly List<RouterEffect> effects = [];
    private readonly HashSet<TopicPartition> assigned = [];
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread thread;
    private readonly Func<string, int?> partitionCount;
    private RouterSource? source;
    private IReadOnlyList<(object Item, long Bytes)> batch = [];
    private volatile bool isEnding;
    private volatile bool isPositioned;
    private bool isPaused;

    /// <param name="partitionCount">Partitions of a source topic, where known.</param>
    public RouterLoop(
        ShardSettings shards, RouterSettings settings, ICheckpointStore store, PartitionProducer producer, NodeObserver observer,
        Func<string, int?> partitionCount, long mailboxBytesMax, TimeProvider time)
    {
        this.store = store;
        this.producer = producer;
        this.observer = observer;
        this.partitionCount = partitionCount;
        this.time = time;
        router = new Router(shards, settings);
        mailbox = new Mailbox<object>(mailboxBytesMax);
        thread = new Thread(Run) { IsBackground = true, Name = "router" };
    }

    /// <summary>Ends with the loop; faulted where a broken invariant ended it.</summary>
    public Task Completion => finished.Task;

    /// <summary>The group has told at least once what this router reads, and all of it has a position.</summary>
    public bool IsPositioned => isPositioned;

    public void Start(RouterSource reader)
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

    void IRouterListener.OnRecords(IReadOnlyList<FetchedRecord> records)
    {
        var bytes = 0L;
        foreach (var record in records) bytes += record.Value.Length + 100;
        mailbox.Post(records, bytes);
    }

    void IRouterListener.OnPositioned(IReadOnlyList<PartitionOffset> positions)
    {
        // On the poll thread, before the first record: what the store knows of these partitions.
        var known = new Dictionary<TopicPartition, SourceState>();
        if (positions.Count > 0)
        {
            var fresh = positions.Select(position => new SourceState(position.Partition, partitionCount(position.Partition.Topic) ?? 0, 0)).ToList();
            foreach (var state in Sources(fresh)) known[state.Partition] = state;
        }

        Post(() =>
        {
            foreach (var position in positions)
            {
                assigned.Add(position.Partition);
                router.Assigned(position.Partition, known.TryGetValue(position.Partition, out var state) ? state.Incarnation : 0, position.Next);
                if (isPaused) _ = source!.Pause(position.Partition);
            }

            observer.SourcesPositioned(positions);
            isPositioned = true;
        });
    }

    async Task<long?> IRouterListener.OnOutOfRangeAsync(OutOfRangePosition outOfRange)
    {
        var to = outOfRange.Proposed;
        observer.Gap(outOfRange.Partition, outOfRange.Position, to, outOfRange.Log.ToString());
        if (to is null) return null;
        // A position outside the log starts a new life of the partition: old marks must not swallow its offsets.
        var stored = (await store.UpdateSourcesAsync([], CancellationToken.None).ConfigureAwait(false))
            .FirstOrDefault(state => state.Partition == outOfRange.Partition);
        var incarnation = (stored?.Incarnation ?? 0) + 1;
        await store.UpdateSourcesAsync(
            [new SourceState(outOfRange.Partition, stored?.PartitionCount ?? 0, incarnation, outOfRange.Position, to.Value, "position outside the log")],
            CancellationToken.None).ConfigureAwait(false);
        return to;
    }

    async Task IRouterListener.OnRevokedAsync(IReadOnlyList<TopicPartition> partitions)
    {
        await CommitNowAsync(partitions).ConfigureAwait(false);
        Forget(partitions);
    }

    void IRouterListener.OnLost(IReadOnlyList<TopicPartition> partitions) => Forget(partitions);

    private bool Post(Action action) => mailbox.Post(action);

    private long NowMs => time.GetUtcNow().ToUnixTimeMilliseconds();

    private IReadOnlyList<SourceState> Sources(List<SourceState> fresh)
    {
        var stored = store.UpdateSourcesAsync([], CancellationToken.None).AsTask().GetAwaiter().GetResult();
        var missing = fresh.Where(state => stored.All(known => known.Partition != state.Partition)).ToList();
        return missing.Count == 0 ? stored : store.UpdateSourcesAsync(missing, CancellationToken.None).AsTask().GetAwaiter().GetResult();
    }

    private void Forget(IReadOnlyList<TopicPartition> partitions) => Post(() =>
    {
        foreach (var partition in partitions)
        {
            assigned.Remove(partition);
            router.Revoked(partition);
        }
    });

    private async Task CommitNowAsync(IReadOnlyList<TopicPartition>? only)
    {
        try
        {
            var positions = await Ask(node => node.Committable).ConfigureAwait(false);
            var chosen = positions.Where(position => only is null || only.Contains(position.Partition))
                .Select(position => new PartitionOffset(position.Partition, position.Next)).ToList();
            if (chosen.Count > 0) await source!.CommitAsync(chosen).ConfigureAwait(false);
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
            while (!isEnding)
            {
                var wait = router.NextDueMs is { } due ? TimeSpan.FromMilliseconds(Math.Clamp(due - NowMs, 0, LongestWait.TotalMilliseconds)) : LongestWait;
                batch = mailbox.Take(wait);
                foreach (var (item, bytes) in batch)
                {
                    if (item is IReadOnlyList<FetchedRecord> records) Route(records);
                    else if (item is Question<Router> question) question.Answer(router);
                    else ((Action)item)();
                    mailbox.Done(bytes);
                    router.Flush(effects);
                    CarryOut();
                }

                router.TimePassed(NowMs, false, effects);
                CarryOut();
            }

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

    private void Route(IReadOnlyList<FetchedRecord> records)
    {
        foreach (var record in records)
        {
            string? origin = null;
            foreach (var header in record.Headers)
            {
                if (header.Name == Header.Origin) origin = System.Text.Encoding.UTF8.GetString(header.Value);
            }

            router.Receive(new SourceRecord(record.Partition, record.Offset, record.TimestampMs, record.Value, origin), effects);
        }

        observer.Fetched(records);
    }

    private void CarryOut()
    {
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case SendEnvelope send: Send(send); break;
                case CommitPositions commit: _ = CommitAsync(commit); break;
                case PauseSources pause: Pause(pause.Pause); break;
                default: throw new InvalidOperationException($"no way to carry out {effect}");
            }
        }

        effects.Clear();
    }

    private void Pause(bool pause)
    {
        isPaused = pause;
        foreach (var partition in assigned) _ = pause ? source!.Pause(partition) : source!.Resume(partition);
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
                Post(() => router.Acknowledged(send.Destination, send.Number, effects));
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
