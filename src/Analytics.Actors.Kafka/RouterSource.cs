using System.Collections.Concurrent;
using Analytics.Actors.Core.Checkpoints;
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

/// <summary>Takes what the router's source reads. Called on its poll thread, one call after another.</summary>
public interface IRouterListener
{
    /// <summary>The records belong to the listener, which gives them back.</summary>
    void OnRecords(RecordRun records);

    /// <summary>
    /// These partitions are ours, and are read from these offsets on, all of them committed, or are stopped. Called before
    /// their first record, and again for a partition that goes on elsewhere or is stopped later. An empty list: a rebalance
    /// has given this member nothing new.
    /// </summary>
    void OnPositioned(IReadOnlyList<SourcePlace> places);

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
/// was routed. Before a partition is read its position is checked (<see cref="PositionCheck"/>), and where it begins or goes
/// on elsewhere, that is recorded and committed before the first record is read, so that a crash does not move it. Topics
/// that do not exist yet join when they appear.
/// </summary>
public sealed class RouterSource : IConsumerLoopOwner, IAsyncDisposable
{
    private static readonly CommitOutcome InRebalance = new("the group is in a rebalance", true, []);
    private static readonly TimeSpan PositionRetry = TimeSpan.FromMilliseconds(500);

    private readonly IConsumer<byte[]?, byte[]?> consumer;
    private readonly ConsumerLoop loop;
    private readonly ClientLogger logger;
    private readonly JoinWatch join;
    private readonly IRouterListener listener;
    // Those of earlier configurations stay: partitions of theirs may still be looked for.
    private readonly ConcurrentDictionary<string, RouterTopic> topics;
    private readonly PositionLookup? ownLookup;
    private readonly SourcePositioner positioner;
    private readonly TimeSpan revokeLimit;
    private readonly TimeProvider time;
    private readonly SemaphoreSlim committing = new(1, 1);
    private readonly TaskCompletionSource joined = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // What may be committed: assigned and not yet given up. Shared with committing threads, under its own lock.
    private readonly HashSet<TopicPartition> owned = [];

    // Set while partitions are given back: then a commit is made at once or not at all.
    private volatile bool isReleasing;

    // All below is the poll thread's own.
    private readonly Dictionary<TopicPartition, SourcePartitionState> assigned = [];
    private readonly List<TopicPartition> held = [];
    private readonly List<SourcePlace> justPositioned = [];
    private int positioning;
    private bool announce;

    // Topics to be read instead of those that are, once no rebalance is under way.
    private List<string>? subscribing;

    /// <param name="group">The router's group.</param>
    /// <param name="store">Remembers lives, positions and gaps of source partitions.</param>
    /// <param name="lookup">Of the same group, and its owner's; null: one of its own, which is one more client.</param>
    public RouterSource(
        KafkaClientOptions options, string group, IEnumerable<RouterTopic> topics, ICheckpointStore store, IRouterListener listener,
        ClientLog? log = null, TimeProvider? time = null, PositionLookup? lookup = null)
    {
        this.listener = listener;
        this.topics = new ConcurrentDictionary<string, RouterTopic>(topics.ToDictionary(topic => topic.Name));
        this.time = time ?? TimeProvider.System;
        if (this.topics.Count == 0) throw new ArgumentException("A router needs at least one source topic.", nameof(topics));
        revokeLimit = options.RevokeLimit;
        logger = new ClientLogger("router", log);
        lookup ??= ownLookup = new PositionLookup(options, group, log);
        positioner = new SourcePositioner(lookup, store, this.topics, this.time);
        var configuration = options.ForRouter(group);
        join = new JoinWatch(configuration, logger);
        var builder = ClientConversions.NewConsumer(configuration, logger, join.Log)
            .SetPartitionsAssignedHandler((_, partitions) => loop!.Callback(() => OnAssigned(partitions)))
            .SetPartitionsRevokedHandler((_, partitions) => loop!.Callback(() => OnRevoked(partitions)))
            .SetPartitionsLostHandler((_, partitions) => loop!.Callback(() => OnLost(partitions)));
        consumer = ClientThreads.Build(configuration, builder.Build);
        consumer.Subscribe(this.topics.Keys);
        loop = new ConsumerLoop(consumer, configuration, this, logger, options.IsStaticMember);
        loop.Start();
    }

    /// <summary>
    /// Reads these topics as soon as no rebalance is under way (see <see cref="JoinWatch"/>). What is read already goes on; of
    /// those that are gone the partitions are revoked, new ones come by a rebalance.
    /// </summary>
    public Task Read(IReadOnlyList<RouterTopic> wanted) => loop.Post("subscribing", () =>
    {
        foreach (var topic in wanted) topics[topic.Name] = topic;
        subscribing = wanted.Select(topic => topic.Name).ToList();
        SubscribeWhenSteady();
    });

    private void SubscribeWhenSteady()
    {
        if (subscribing is not { } names || !join.IsSteady) return;
        subscribing = null;
        if (consumer.Subscription.ToHashSet().SetEquals(names)) return;
        logger.Information($"subscribing to {string.Join(", ", names.Order(StringComparer.Ordinal))}");
        consumer.Subscribe(names);
    }

    /// <summary>Ends with the poll thread; faulted where that ended by itself (then nothing is read any more).</summary>
    public Task Completion => loop.Completion;

    /// <summary>Stops delivery of partitions; those that are not assigned are passed over.</summary>
    public Task Pause(IReadOnlyList<TopicPartition> partitions) => loop.Post("pausing", () =>
    {
        var delivered = partitions.Select(partition => assigned.GetValueOrDefault(partition)).OfType<SourcePartitionState>().Where(state => !state.Paused).ToList();
        foreach (var state in delivered) state.Paused = true;
        consumer.Pause(delivered.Where(state => state.Next is not null).Select(state => state.Partition.ToClient()));
    });

    /// <summary>Looks for the partition's position anew, as at its assignment: the store has another one.</summary>
    public Task Reposition(TopicPartition partition) => loop.Post($"positioning {partition}", () =>
    {
        if (!assigned.TryGetValue(partition, out var state) || state.IsPositioning) return;
        state.Next = null;
        state.OutOfRange = false;
        if (consumer.Assignment.Contains(partition.ToClient())) consumer.Pause([partition.ToClient()]);
        Position([(state, null)]);
    });

    /// <summary>Delivery goes on after the last record delivered of each.</summary>
    public Task Resume(IReadOnlyList<TopicPartition> partitions) => loop.Post("resuming", () =>
    {
        var paused = partitions.Select(partition => assigned.GetValueOrDefault(partition)).OfType<SourcePartitionState>().Where(state => state.Paused).ToList();
        // One that waits for its position, or for a decision about it, goes on with that.
        TakeUp([.. paused.Where(state => state is { Next: not null, OutOfRange: false }).Select(state => new PartitionOffset(state.Partition, state.Next!.Value))]);
        foreach (var state in paused) state.Paused = false;
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
    /// that are not ours are left out: a broker would take their offsets from any member of the group. While this member
    /// joins its group anew a commit waits, see <see cref="JoinWatch"/>; it is not made where partitions go meanwhile.
    /// </summary>
    public async Task<CommitOutcome> CommitAsync(IReadOnlyList<PartitionOffset> positions)
    {
        if (!isReleasing && !await join.AnsweredAsync().ConfigureAwait(false)) return InRebalance;
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
    public async ValueTask DisposeAsync()
    {
        await FirstAssignment.WaitAsync(joined.Task, loop.Completion).ConfigureAwait(false);
        await loop.StopAsync().ConfigureAwait(false);
        ownLookup?.Dispose();
    }

    private CommitOutcome Commit(IReadOnlyList<PartitionOffset> positions)
    {
        // At the last moment: a busy machine may take long from the wish to commit to the thread that does it.
        if (join.IsJoining) return InRebalance;
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
        var given = partitions.ConvertAll(partition => partition.ToCore());
        if (given.Count > 0) logger.Information($"assigned: {string.Join(", ", given.Order())}");
        foreach (var partition in given) assigned[partition] = new SourcePartitionState(partition);
        lock (owned) owned.UnionWith(given);
        announce = true;
        joined.TrySetResult();

        // None is read before its position was checked: that takes questions, for which a rebalance does not wait. An unset
        // offset means the committed one to the client, and an error where there is none: never a wrong place.
        held.AddRange(given);
        return given.ConvertAll(partition => new TopicPartitionOffset(partition.ToClient(), Offset.Unset));
    }

    private void OnRevoked(List<TopicPartitionOffset> partitions)
    {
        if (partitions.Count == 0) return;
        var gone = Forget(partitions);
        logger.Information($"revoked: {string.Join(", ", gone)}");
        isReleasing = true;
        join.GiveUp();
        Revocation.Hold(() => listener.OnRevokedAsync(gone), revokeLimit, logger);

        // A commit that is under way ends before the next owner reads it; later ones are refused.
        var quiet = committing.Wait(revokeLimit);
        lock (owned) owned.ExceptWith(gone);
        if (quiet) committing.Release();
        isReleasing = false;
    }

    private void OnLost(List<TopicPartitionOffset> partitions)
    {
        if (partitions.Count == 0) return;
        var gone = Forget(partitions);
        lock (owned) owned.ExceptWith(gone);
        join.GiveUp();
        logger.Warning($"lost: {string.Join(", ", gone)}");
        listener.OnLost(gone);
    }

    private List<TopicPartition> Forget(List<TopicPartitionOffset> partitions)
    {
        var gone = partitions.ConvertAll(partition => partition.TopicPartition.ToCore());
        gone.Sort();
        foreach (var partition in gone) assigned.Remove(partition);
        held.RemoveAll(gone.Contains);
        justPositioned.RemoveAll(position => gone.Contains(position.Partition));
        return gone;
    }

    // Records that are taken while their partition is held, or its position looked for anew, are not lost: it is assigned anew at its position.
    PartitionReading? IConsumerLoopOwner.Find(TopicPartition partition)
    {
        AnnouncePositioned();
        return assigned.TryGetValue(partition, out var state) && !state.OutOfRange ? state : null;
    }

    void IConsumerLoopOwner.OnRecords(RecordRun records) => listener.OnRecords(records);

    void IConsumerLoopOwner.OnConsumeError(TopicPartition partition, long offset, Error error)
    {
        if (error.Code == ErrorCode.Local_AutoOffsetReset && assigned.TryGetValue(partition, out var state))
        {
            // Else it says, perhaps late, that there was no committed offset; see OnAssigned.
            if (state.OutOfRange) return;
            if (!state.IsAt(offset))
            {
                // Told late, it may have stopped the reading that has begun since: that goes on from where it stands.
                _ = loop.Post($"taking {partition} up again", () =>
                {
                    if (IsCurrent(state) && state is { Next: { } next, Paused: false, OutOfRange: false }) TakeUp([new PartitionOffset(partition, next)]);
                });
                return;
            }

            var position = state.Next!.Value;
            state.OutOfRange = true;
            logger.Warning($"position {position} of {partition} is outside its log");
            Position([(state, new RunningReader(position, state.Incarnation))]);
            return;
        }

        logger.Warning($"{partition}: {error.Reason}");
    }

    void IConsumerLoopOwner.OnPolled()
    {
        AnnouncePositioned();
        SubscribeWhenSteady();
        if (held.Count == 0) return;
        var waiting = held.Where(assigned.ContainsKey).ToList();
        held.Clear();
        consumer.Pause(waiting.Select(partition => partition.ToClient()));
        Position(waiting.ConvertAll(partition => (assigned[partition], (RunningReader?)null)));
    }

    // Commands assign and unassign.
    bool IConsumerLoopOwner.IsCallbackDue => join.IsAsking;

    // What the client has put off it must forget: else it comes to it after its end, and ends the process.
    void IConsumerLoopOwner.OnClosing()
    {
        if (join.IsPuttingOff) consumer.Unsubscribe();
    }

    // The listener hears of positions before their first record.
    private void AnnouncePositioned()
    {
        if (!announce) return;
        announce = false;
        if (justPositioned.Count == 0 && (held.Count > 0 || positioning > 0)) return;
        var places = justPositioned.ToArray();
        justPositioned.Clear();
        listener.OnPositioned(places);
    }

    /// <summary>Finds positions on another thread, and takes them up on this one; what is not known yet is asked for again.</summary>
    private void Position(IReadOnlyList<(SourcePartitionState State, RunningReader? Running)> partitions)
    {
        if (partitions.Count == 0) return;
        positioning++;
        foreach (var (state, _) in partitions) state.IsPositioning = true;
        Task.Run(() => positioner.FindAsync(partitions.ToDictionary(partition => partition.State.Partition, partition => partition.Running)))
            .ContinueWith(
                found => loop.Post("positioning", () =>
                {
                    positioning--;
                    if (!found.IsCompletedSuccessfully) logger.Warning($"positions are not known yet: {found.Exception?.InnerException?.Message ?? "cancelled"}");
                    TakeUp(partitions, found.IsCompletedSuccessfully ? found.Result : []);
                }),
                CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    private void TakeUp(IReadOnlyList<(SourcePartitionState State, RunningReader? Running)> asked, IReadOnlyList<SourcePlace> places)
    {
        var current = asked.Where(partition => IsCurrent(partition.State)).ToList();
        var found = places.ToDictionary(place => place.Partition);
        // A new beginning is committed before its first record is read.
        var moves = current.Where(partition => found.TryGetValue(partition.State.Partition, out var place) && place is { Next: not null, IsNewToGroup: true })
            .Select(partition => new PartitionOffset(partition.State.Partition, found[partition.State.Partition].Next!.Value)).ToList();
        var outcome = CommitAfterOthers(moves);
        if (!outcome.Committed) logger.Warning($"the beginnings of {moves.Count} partitions are not committed yet: {outcome.Error}");

        List<(SourcePartitionState, RunningReader?)> again = [];
        foreach (var (state, running) in current)
        {
            if (!found.TryGetValue(state.Partition, out var place) || (place.IsNewToGroup && !outcome.Committed))
            {
                again.Add((state, running));
                continue;
            }

            state.IsPositioning = false;
            if (place.Next is null)
            {
                state.OutOfRange = true;
                logger.Error($"{state.Partition} is stopped at {place.State.GapFrom}: {place.State.GapReason}");
                justPositioned.Add(place);
                announce = true;
            }
            else
            {
                MoveTo(state, place);
            }
        }

        announce |= asked.Count > 0;
        // Counted as under way meanwhile, so that the listener is not told that nothing is missing.
        if (again.Count > 0) positioning++;
        // Not after the next poll, which may wait.
        AnnouncePositioned();
        if (again.Count == 0) return;
        Later("positioning", () =>
        {
            positioning--;
            Position(again.Where(partition => IsCurrent(partition.Item1)).ToList());
        });
    }

    // A commit that is under way may hold an older position of the same partition: it must not land later.
    private CommitOutcome CommitAfterOthers(IReadOnlyList<PartitionOffset> positions)
    {
        if (positions.Count == 0) return new CommitOutcome(null, false, []);
        if (!committing.Wait(revokeLimit)) return new CommitOutcome("another commit is under way", true, []);
        try
        {
            return Commit(positions);
        }
        finally
        {
            committing.Release();
        }
    }

    /// <summary>Goes on reading an assigned partition at an offset that is committed.</summary>
    private void MoveTo(SourcePartitionState state, SourcePlace place)
    {
        var position = new PartitionOffset(state.Partition, place.Next!.Value);
        try
        {
            TakeUp([position]);
            if (state.Paused) consumer.Pause([state.Partition.ToClient()]);
        }
        catch (KafkaException failed)
        {
            logger.Warning($"{position} cannot be taken up yet: {failed.Error.Reason}");
            Later("taking up a position", () =>
            {
                if (IsCurrent(state)) MoveTo(state, place);
                AnnouncePositioned();
            });
            return;
        }

        state.Next = position.Next;
        state.Incarnation = place.State.Incarnation;
        state.OutOfRange = false;
        justPositioned.Add(place);
        announce = true;
    }

    /// <summary>
    /// Assigns partitions anew at their positions; that is between the client and us, the group sees no change. A partition
    /// whose offset failed has stopped in the client, which then refuses to seek; and one that the client resumes may wait
    /// for a second, where its broker's thread went to sleep because all were paused. All together: with each change the client
    /// looks through, and tells the debug log of, all partitions that it has.
    /// </summary>
    private void TakeUp(IReadOnlyList<PartitionOffset> positions)
    {
        if (positions.Count == 0) return;
        var partitions = positions.Select(position => position.Partition.ToClient()).ToList();
        var present = consumer.Assignment.ToHashSet();
        present.IntersectWith(partitions);
        if (present.Count > 0) consumer.IncrementalUnassign(present);
        consumer.IncrementalAssign(positions.Select(position => position.ToClient()));
        consumer.Resume(partitions);
    }

    private bool IsCurrent(SourcePartitionState state) => assigned.TryGetValue(state.Partition, out var now) && ReferenceEquals(now, state);

    /// <summary>On the poll thread, after a pause.</summary>
    private void Later(string what, Action action) => Task.Delay(PositionRetry, time).ContinueWith(
        _ => loop.Post(what, action), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);

    private sealed class SourcePartitionState(TopicPartition partition) : PartitionReading(partition)
    {
        /// <summary>The life of the partition that is read.</summary>
        public int Incarnation { get; set; }

        /// <summary>The position is outside the log, and what follows is not decided (or it was decided to stop).</summary>
        public bool OutOfRange { get; set; }

        /// <summary>Its position is being looked for.</summary>
        public bool IsPositioning { get; set; }
    }
}
