using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>A source topic as the router reads it.</summary>
/// <param name="Start">Where to begin a partition without a committed position.</param>
/// <param name="OutOfRange">Proposed where a position is outside the log.</param>
public sealed record RouterTopic(string Name, StartPosition Start, OutOfRangePolicy OutOfRange)
{
    public static RouterTopic Of(TopicConfiguration topic) => new(topic.Name, topic.Start, topic.OutOfRange);
}

/// <summary>A position that its partition's log does not hold (trimmed, or a recreated topic).</summary>
/// <param name="Position">Where reading should have gone on.</param>
/// <param name="Log">What the log holds instead.</param>
/// <param name="Proposed">Where the topic's policy would go on; null: it says stop.</param>
public sealed record OutOfRangePosition(TopicPartition Partition, long Position, LogRange Log, long? Proposed);

/// <summary>Takes what the router's source reads. Called on its poll thread, one call after another.</summary>
public interface IRouterListener
{
    /// <summary>Records in the order of their offsets within each partition; the list belongs to the listener.</summary>
    void OnRecords(IReadOnlyList<FetchedRecord> records);

    /// <summary>
    /// These partitions are ours and are read from these offsets on, all of them committed. Called before their first
    /// record, and again for a partition that goes on elsewhere after it was out of range. An empty list: a rebalance
    /// has given this member nothing new.
    /// </summary>
    void OnPositioned(IReadOnlyList<PartitionOffset> positions);

    /// <summary>
    /// A position is outside its log; the partition is not read until the task has ended. Its result is the offset to go
    /// on at, null to stop the partition. A failed task (its gap could not be recorded) is asked for again.
    /// </summary>
    Task<long?> OnOutOfRangeAsync(OutOfRangePosition outOfRange);

    /// <summary>These partitions go to another router once the task has ended or the limit has passed; until then they can be committed.</summary>
    Task OnRevokedAsync(IReadOnlyList<TopicPartition> partitions);

    /// <summary>These partitions are already another router's: nothing of them can be committed any more.</summary>
    void OnLost(IReadOnlyList<TopicPartition> partitions);
}

/// <summary>What became of a commit.</summary>
/// <param name="Error">Null where all offsets but the skipped ones were committed.</param>
/// <param name="Retriable">The same commit may succeed later; false: this member is no longer in the group's generation.</param>
/// <param name="Skipped">Partitions that are no longer ours, and were left out.</param>
public sealed record CommitOutcome(string? Error, bool Retriable, IReadOnlyList<TopicPartition> Skipped)
{
    public bool Committed => Error is null;
}

/// <summary>
/// The router's consumer: a cooperative group over the source topics, whose committed offsets are the truth about what
/// was routed. A partition without a committed offset begins where its topic says, and that beginning is committed before
/// the first record is read, so that a crash does not move it. Topics that do not exist yet join when they appear.
/// </summary>
public sealed class RouterSource : IConsumerLoopOwner, IAsyncDisposable
{
    private static readonly TimeSpan LookupTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PositionRetry = TimeSpan.FromMilliseconds(500);

    private readonly IConsumer<byte[]?, byte[]?> consumer;
    private readonly ConsumerLoop loop;
    private readonly ClientLogger logger;
    private readonly IRouterListener listener;
    private readonly Dictionary<string, RouterTopic> topics;
    private readonly OffsetLookup lookup;
    private readonly TimeSpan revokeLimit;
    private readonly TimeProvider time;
    private readonly SemaphoreSlim committing = new(1, 1);

    // What may be committed: assigned and not yet given up. Shared with committing threads, under its own lock.
    private readonly HashSet<TopicPartition> owned = [];

    // All below is the poll thread's own.
    private readonly Dictionary<TopicPartition, SourcePartitionState> assigned = [];
    private readonly List<TopicPartition> held = [];
    private readonly List<PartitionOffset> justPositioned = [];
    private bool announce;
    private SourcePartitionState? latest;

    /// <param name="group">The router's group.</param>
    public RouterSource(
        KafkaClientOptions options, string group, IEnumerable<RouterTopic> topics, IRouterListener listener,
        ClientLog? log = null, TimeProvider? time = null)
    {
        this.listener = listener;
        this.topics = topics.ToDictionary(topic => topic.Name);
        this.time = time ?? TimeProvider.System;
        if (this.topics.Count == 0) throw new ArgumentException("A router needs at least one source topic.", nameof(topics));
        revokeLimit = options.RevokeLimit;
        logger = new ClientLogger("router", log);
        lookup = new OffsetLookup(options, logger, LookupTimeout);
        consumer = ClientConversions.NewConsumer(options.ForConsumer("router", group), logger)
            .SetPartitionsAssignedHandler((_, partitions) => OnAssigned(partitions))
            .SetPartitionsRevokedHandler((_, partitions) => OnRevoked(partitions))
            .SetPartitionsLostHandler((_, partitions) => OnLost(partitions))
            .Build();
        consumer.Subscribe(this.topics.Keys);
        loop = new ConsumerLoop(consumer, this, logger);
        loop.Start();
    }

    /// <summary>Ends with the poll thread; faulted where that ended by itself (then nothing is read any more).</summary>
    public Task Completion => loop.Completion;

    /// <summary>Stops delivery of a partition; one that is not assigned is passed over.</summary>
    public Task Pause(TopicPartition partition) => loop.Post($"pausing {partition}", () =>
    {
        if (!assigned.TryGetValue(partition, out var state) || state.Paused) return;
        state.Paused = true;
        if (state.Next is not null) consumer.Pause([partition.ToClient()]);
    });

    /// <summary>Delivery goes on after the last record delivered.</summary>
    public Task Resume(TopicPartition partition) => loop.Post($"resuming {partition}", () =>
    {
        if (!assigned.TryGetValue(partition, out var state) || !state.Paused) return;
        // One that waits for its position, or for a decision about it, goes on with that.
        if (state.Next is { } next && !state.OutOfRange) TakeUp(new PartitionOffset(partition, next));
        state.Paused = false;
    });

    /// <summary>
    /// The ends of the partitions' logs as of the last fetch, for lag; those that are not known yet, or not ours, are left
    /// out. Asks no broker, and the poll thread once for all.
    /// </summary>
    public async Task<IReadOnlyDictionary<TopicPartition, long>> GetHighWatermarksAsync(IReadOnlyList<TopicPartition> partitions)
    {
        var ends = new Dictionary<TopicPartition, long>();
        await loop.Post("reading watermarks", () =>
        {
            foreach (var partition in partitions)
            {
                if (assigned.ContainsKey(partition) && consumer.KnownHighWatermark(partition) is { } end) ends[partition] = end;
            }
        }).ConfigureAwait(false);
        return ends;
    }

    /// <summary>
    /// Commits the next offset to read of each partition. One commit is in flight at a time, a second waits. Partitions
    /// that are not ours are left out: a broker would take their offsets from any member of the group.
    /// </summary>
    public async Task<CommitOutcome> CommitAsync(IReadOnlyList<PartitionOffset> positions)
    {
        await committing.WaitAsync().ConfigureAwait(false);
        try
        {
            List<PartitionOffset> ours;
            List<TopicPartition> skipped = [];
            lock (owned)
            {
                ours = positions.Where(position => owned.Contains(position.Partition)).ToList();
                if (ours.Count < positions.Count)
                    skipped = positions.Select(position => position.Partition).Where(partition => !owned.Contains(partition)).ToList();
            }

            if (ours.Count == 0) return new CommitOutcome(null, false, skipped);
            return await Task.Run(() => Commit(ours) with { Skipped = skipped }).ConfigureAwait(false);
        }
        finally
        {
            committing.Release();
        }
    }

    /// <summary>Leaves the group: everything assigned is revoked first, with its limit.</summary>
    public async ValueTask DisposeAsync() => await loop.StopAsync().ConfigureAwait(false);

    private CommitOutcome Commit(IReadOnlyList<PartitionOffset> positions)
    {
        try
        {
            consumer.Commit(positions.Select(position => position.ToClient()));
            return new CommitOutcome(null, false, []);
        }
        catch (TopicPartitionOffsetException failed)
        {
            var first = failed.Results.First(result => result.Error.IsError);
            return new CommitOutcome($"{first.TopicPartition}: {first.Error.Reason}", !IsForeign(first.Error.Code), []);
        }
        catch (KafkaException failed)
        {
            return new CommitOutcome(failed.Error.Reason, !IsForeign(failed.Error.Code), []);
        }
        catch (ObjectDisposedException)
        {
            return new CommitOutcome("the consumer has stopped", false, []);
        }
    }

    private static bool IsForeign(ErrorCode code) =>
        code is ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration or ErrorCode.FencedInstanceId;

    private List<TopicPartitionOffset> OnAssigned(List<Confluent.Kafka.TopicPartition> partitions)
    {
        loop.DeliverPending();
        var given = partitions.ConvertAll(partition => partition.ToCore());
        if (given.Count > 0) logger.Information($"assigned: {string.Join(", ", given.Order())}");
        foreach (var partition in given) assigned[partition] = new SourcePartitionState(partition);
        lock (owned) owned.UnionWith(given);
        announce = true;

        var positions = TryPosition(given);
        foreach (var partition in given)
        {
            // What could not be positioned in time is held, and positioned from the loop. Its unset offset means the
            // committed one to the client, and an error where there is none: never a wrong place.
            if (!positions.ContainsKey(partition)) held.Add(partition);
        }

        foreach (var (partition, next) in positions)
        {
            assigned[partition].Next = next;
            justPositioned.Add(new PartitionOffset(partition, next));
        }

        return given.ConvertAll(partition => new TopicPartitionOffset(
            partition.ToClient(), positions.TryGetValue(partition, out var next) ? next : Offset.Unset));
    }

    /// <summary>
    /// Committed offsets, and for partitions without one their topic's start, committed. Leaves out what did not work:
    /// one broker that is away does not keep the partitions of the others.
    /// </summary>
    private Dictionary<TopicPartition, long> TryPosition(IReadOnlyCollection<TopicPartition> partitions)
    {
        Dictionary<TopicPartition, long> positions;
        try
        {
            positions = lookup.Committed(consumer, partitions);
        }
        catch (KafkaException failed)
        {
            logger.Warning($"committed offsets are not known yet: {failed.Error.Reason}");
            return [];
        }

        var fresh = new List<PartitionOffset>();
        var starts = new StartLookup(lookup, logger);
        foreach (var partition in partitions)
        {
            if (positions.ContainsKey(partition)) continue;
            try
            {
                fresh.Add(new PartitionOffset(partition, starts.Find(consumer, partition, topics[partition.Topic].Start, partitions)));
            }
            catch (KafkaException failed)
            {
                logger.Warning($"the start of {partition} is not known yet: {failed.Error.Reason}");
                // Each further partition could cost a timeout of its own while the rebalance waits.
                break;
            }
        }

        if (fresh.Count == 0) return positions;
        var outcome = Commit(fresh);
        if (!outcome.Committed)
        {
            logger.Warning($"the start of {fresh.Count} partitions is not committed yet: {outcome.Error}");
            return positions;
        }

        foreach (var (partition, next) in fresh)
        {
            logger.Information($"{partition} starts at {next} ({topics[partition.Topic].Start.Kind})");
            positions[partition] = next;
        }

        return positions;
    }

    private void OnRevoked(List<TopicPartitionOffset> partitions)
    {
        loop.DeliverPending();
        if (partitions.Count == 0) return;
        var gone = Forget(partitions);
        logger.Information($"revoked: {string.Join(", ", gone)}");
        Revocation.Hold(() => listener.OnRevokedAsync(gone), revokeLimit, logger);

        // A commit that is under way ends before the next owner reads it; later ones are refused.
        var quiet = committing.Wait(revokeLimit);
        lock (owned) owned.ExceptWith(gone);
        if (quiet) committing.Release();
    }

    private void OnLost(List<TopicPartitionOffset> partitions)
    {
        loop.DeliverPending();
        if (partitions.Count == 0) return;
        var gone = Forget(partitions);
        lock (owned) owned.ExceptWith(gone);
        logger.Warning($"lost: {string.Join(", ", gone)}");
        listener.OnLost(gone);
    }

    private List<TopicPartition> Forget(List<TopicPartitionOffset> partitions)
    {
        var gone = partitions.ConvertAll(partition => partition.TopicPartition.ToCore());
        gone.Sort();
        latest = null;
        foreach (var partition in gone) assigned.Remove(partition);
        held.RemoveAll(gone.Contains);
        justPositioned.RemoveAll(position => gone.Contains(position.Partition));
        return gone;
    }

    TopicPartition? IConsumerLoopOwner.Accept(ConsumeResult<byte[]?, byte[]?> result)
    {
        AnnouncePositioned();
        var state = latest;
        if (state is null || state.Partition.Partition != result.Partition.Value || state.Partition.Topic != result.Topic)
        {
            if (!assigned.TryGetValue(result.TopicPartition.ToCore(), out state)) return null;
            latest = state;
        }

        // Not positioned yet (held), or fetched again after a pause.
        if (state.Paused || state.Next is not { } next || result.Offset.Value < next) return null;
        state.Next = result.Offset.Value + 1;
        return state.Partition;
    }

    void IConsumerLoopOwner.OnRecords(IReadOnlyList<FetchedRecord> records) => listener.OnRecords(records);

    void IConsumerLoopOwner.OnConsumeError(ConsumeException error)
    {
        var partition = error.ConsumerRecord.TopicPartition.ToCore();
        if (error.Error.Code == ErrorCode.Local_AutoOffsetReset && assigned.TryGetValue(partition, out var state))
        {
            // Without a position of ours it only says that there is no committed offset: the held partition's retry finds one.
            if (state.Next is not { } position) return;
            state.OutOfRange = true;
            AskOutOfRange(state, position);
            return;
        }

        logger.Warning($"{partition}: {error.Error.Reason}");
    }

    void IConsumerLoopOwner.OnPolled()
    {
        AnnouncePositioned();
        if (held.Count == 0) return;
        var waiting = held.ToArray();
        held.Clear();
        consumer.Pause(waiting.Select(partition => partition.ToClient()));
        Later("positioning", () => PositionHeld(waiting));
    }

    // The client takes the positions up when the handler has returned; the listener hears of them then, before their
    // first record.
    private void AnnouncePositioned()
    {
        if (!announce) return;
        announce = false;
        if (held.Count > 0 && justPositioned.Count == 0) return;
        loop.DeliverPending();
        var positions = justPositioned.ToArray();
        justPositioned.Clear();
        foreach (var position in positions)
        {
            if (assigned[position.Partition].Paused) consumer.Pause([position.Partition.ToClient()]);
        }

        listener.OnPositioned(positions);
    }

    private void PositionHeld(TopicPartition[] waiting)
    {
        var still = waiting.Where(partition => assigned.TryGetValue(partition, out var state) && state.Next is null).ToArray();
        if (still.Length == 0) return;
        var positions = TryPosition(still);
        foreach (var (partition, next) in positions) MoveTo(assigned[partition], next);
        held.AddRange(still.Where(partition => !positions.ContainsKey(partition)));
    }

    /// <summary>Goes on reading an assigned partition at an offset that is committed.</summary>
    private void MoveTo(SourcePartitionState state, long next)
    {
        var position = new PartitionOffset(state.Partition, next);
        try
        {
            TakeUp(position);
            if (state.Paused) consumer.Pause([state.Partition.ToClient()]);
        }
        catch (KafkaException failed)
        {
            logger.Warning($"{position} cannot be taken up yet: {failed.Error.Reason}");
            Later("taking up a position", () =>
            {
                if (IsCurrent(state)) MoveTo(state, next);
            });
            return;
        }

        state.Next = next;
        state.OutOfRange = false;
        justPositioned.Add(position);
        announce = true;
    }

    /// <summary>
    /// Assigns a partition anew at its position; that is between the client and us, the group sees no change. A partition
    /// whose offset failed has stopped in the client, which then refuses to seek; and one that the client resumes may wait
    /// for a second, where its broker's thread went to sleep because all were paused.
    /// </summary>
    private void TakeUp(PartitionOffset position)
    {
        var partition = position.Partition.ToClient();
        if (consumer.Assignment.Contains(partition)) consumer.IncrementalUnassign([partition]);
        consumer.IncrementalAssign([position.ToClient()]);
        consumer.Resume([partition]);
    }

    private void AskOutOfRange(SourcePartitionState state, long position)
    {
        OutOfRangePosition outOfRange;
        try
        {
            var range = lookup.Range(consumer, state.Partition);
            var proposed = lookup.Resume(consumer, state.Partition, topics[state.Partition.Topic].OutOfRange, range);
            outOfRange = new OutOfRangePosition(state.Partition, position, range, proposed);
        }
        catch (KafkaException failed)
        {
            logger.Warning($"position {position} of {state.Partition} is outside its log, which cannot be asked yet: {failed.Error.Reason}");
            AskAgainLater();
            return;
        }

        logger.Warning($"position {position} of {state.Partition} is outside its log, {outOfRange.Log}");
        listener.OnOutOfRangeAsync(outOfRange).ContinueWith(
            answer =>
            {
                if (answer.IsCompletedSuccessfully) _ = loop.Post($"moving {state.Partition}", () => OnAnswer(answer.Result));
                else
                {
                    logger.Error($"no decision on {state.Partition}: {answer.Exception?.InnerException?.Message ?? "cancelled"}");
                    AskAgainLater();
                }
            },
            CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);

        void AskAgainLater() => Later("asking for a position", () =>
        {
            if (IsCurrent(state)) AskOutOfRange(state, position);
        });

        void OnAnswer(long? next)
        {
            if (!IsCurrent(state)) return;
            if (next is null)
            {
                logger.Error($"{state.Partition} is stopped: position {position} is outside its log, {outOfRange.Log}");
                return;
            }

            var outcome = Commit([new PartitionOffset(state.Partition, next.Value)]);
            if (outcome.Committed) MoveTo(state, next.Value);
            else
            {
                logger.Warning($"position {next} of {state.Partition} is not committed yet: {outcome.Error}");
                Later("committing a position", () => OnAnswer(next));
            }
        }
    }

    private bool IsCurrent(SourcePartitionState state) => assigned.TryGetValue(state.Partition, out var now) && ReferenceEquals(now, state);

    /// <summary>On the poll thread, after a pause.</summary>
    private void Later(string what, Action action) => Task.Delay(PositionRetry, time).ContinueWith(
        _ => loop.Post(what, action), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);

    private sealed class SourcePartitionState(TopicPartition partition)
    {
        public TopicPartition Partition { get; } = partition;

        /// <summary>The offset after the last record delivered; null until the partition is positioned.</summary>
        public long? Next { get; set; }

        public bool Paused { get; set; }

        /// <summary>The position is outside the log, and what follows is not decided (or it was decided to stop).</summary>
        public bool OutOfRange { get; set; }
    }
}
