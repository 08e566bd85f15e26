using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Core.Nodes;

/// <summary>Settings of a node's decisions; times in ms.</summary>
public sealed record NodeSettings
{
    public required ShardSettings Shards { get; init; }

    /// <summary>A changed shard is checkpointed at least this often.</summary>
    public long CheckpointIntervalMs { get; init; } = 1_000;

    /// <summary>Pause between commits while results wait to leave; at most 100.</summary>
    public long UrgentIntervalMs { get; init; } = 10;

    /// <summary>How long a revoked shard may finish its calls and send what waits, before its last checkpoint.</summary>
    public long ReleaseLimitMs { get; init; } = 5_000;

    /// <summary>Bounds of the random pause before a shard is taken over again, and of that between failed commits.</summary>
    public int RetryPauseMinMs { get; init; } = 200;
    public int RetryPauseMaxMs { get; init; } = 2_000;

    /// <summary>Seed of those pauses.</summary>
    public int Seed { get; init; }
}

/// <summary>Where a shard stands on this node.</summary>
public enum ShardPhase
{
    /// <summary>Its takeover is under way.</summary>
    TakingOver,
    /// <summary>A takeover failed, or the shard was fenced: taken over again after a pause.</summary>
    Waiting,
    Running,
    /// <summary>Revoked: finishing calls, then the last checkpoint.</summary>
    Releasing,
    /// <summary>Not run: a log of it is not the one that it had read, and an operator must say where to go on.</summary>
    Stopped,
}

/// <summary>
/// All decisions of a node but the router's: which shards are mine and in which phase, what to read, when to commit, what
/// to send. A state machine without I/O; the host carries out its effects and reports what happened.
/// </summary>
/// <remarks>
/// Must keep true: a shard is read only after its epoch was raised; one commit is under way per node, and a fenced shard
/// drops out of it alone; a commit whose outcome is unknown loses its shards; a fenced shard that Kafka still assigns is
/// taken over again after a random pause.
/// </remarks>
public sealed class NodeCore(NodeSettings settings)
{
    // A reload waits less long than a revocation: a call that it interrupts begins anew at once.
    private const long ReloadLimitMs = 1_000;

    private readonly SortedList<ShardId, Slot> slots = [];

    // Slots that have changed since the last settling, each once; or any may have.
    private readonly List<Slot> touched = [];
    private bool isAnyTouched = true;
    private readonly Dictionary<TopicPartition, Slot> readers = [];
    private readonly List<OutboxEntry> sendable = [];
    private readonly Dictionary<string, long> appliedBefore = new(StringComparer.Ordinal);

    // What shards told before this node gave them up, and nobody has taken yet.
    private readonly List<ShardEvent> lastEvents = [];
    private readonly Random random = new(settings.Seed);
    private IReadOnlyList<ShardCheckpoint>? committing;
    private long? commitAgainMs;
    private long lastCommitMs;
    private long clockMs;
    private bool isStopping;
    private ShardSettings shardSettings = settings.Shards;
    private long orderedVersion;

    /// <summary>The oldest version of the configuration that this node or any shard of it runs.</summary>
    public long ConfigurationVersion => Running.Select(shard => shard.ConfigurationVersion).Append(shardSettings.ConfigurationVersion).Min();

    /// <summary>The shards that this node runs now.</summary>
    public IEnumerable<Shard> Running => slots.Values.Where(slot => slot.Shard is not null).Select(slot => slot.Shard!);

    /// <summary>Every shard that concerns the node, with its phase.</summary>
    public IEnumerable<(ShardId Shard, ShardPhase Phase)> Phases => slots.Select(pair => (pair.Key, pair.Value.Phase));

    public Shard? Find(ShardId shard) => slots.TryGetValue(shard, out var slot) ? slot.Shard : null;

    /// <summary>Parts applied by this node since its start, by topic: by the shards that it runs and by those that it ran.</summary>
    public Dictionary<string, long> AppliedByTopic()
    {
        var applied = new Dictionary<string, long>(appliedBefore, StringComparer.Ordinal);
        foreach (var shard in Running) AddApplied(shard, applied);
        return applied;
    }

    /// <summary>What shards told since the last call.</summary>
    public void TakeEvents(List<ShardEvent> events)
    {
        events.AddRange(lastEvents);
        lastEvents.Clear();
        for (var index = 0; index < slots.Count; index++)
        {
            if (slots.GetValueAtIndex(index).Shard is not { Outputs.Events.Count: > 0 } shard) continue;
            events.AddRange(shard.Outputs.Events);
            shard.Outputs.Events.Clear();
        }
    }

    /// <summary>When the node next wants to hear of time, ms; null: only messages concern it.</summary>
    public long? NextDueMs
    {
        get
        {
            Look();
            var due = commitAgainMs;
            for (var index = 0; index < slots.Count; index++)
            {
                var slot = slots.GetValueAtIndex(index);
                due = Earlier(due, slot.WakeMs);
                if (committing is null && slot.IsDirty) due = Earlier(due, CommitDueMs(slot));
            }

            return due;
        }
    }

    /// <summary>
    /// Takes one fact. What follows from it for the whole node (calls to begin, entries to send, pauses, the next commit)
    /// comes with <see cref="Settle"/>, once for several.
    /// </summary>
    public void Handle(NodeMessage message, long nowMs, List<NodeEffect> effects)
    {
        NoticeClock(nowMs);
        // Of what comes often it is known which shard it concerns.
        isAnyTouched |= message is not (RecordsRead or CallReturned or CallReleased or OutputsSent or TimePassed);
        switch (message)
        {
            case RecordsRead read: Read(read, nowMs); break;
            case CallReturned returned: Touch(returned.Call.Shard)?.CallReturned(returned.Call, returned.Outcome, returned.Releases, nowMs); break;
            case CallReleased released: Touch(released.Call.Shard)?.CallReleased(released.Call, nowMs); break;
            case OutputsSent sent: Sent(sent); break;
            case CommitFinished finished: Finish(finished.Outcomes, nowMs, effects); break;
            case CommitFailed failed: CommitAgainLater(failed.Reason, nowMs, effects); break;
            case CommitUnknown unknown: LoseCommitting(unknown.Reason, nowMs, effects); break;
            case ShardsAssigned assigned: Assign(assigned.Shards, effects); break;
            case ShardsRevoked revoked: Revoke(revoked.Shards, nowMs, effects); break;
            case ShardsLost lost: Lose(lost.Shards, effects); break;
            case ShardTakenOver started: Start(started, nowMs, effects); break;
            case TakeOverFailed failed: TakeOverLater(failed, nowMs, effects); break;
            case ShardRefused refused: Refuse(refused, effects); break;
            case PositionsChanged changed: CheckAgain(changed.Shards, nowMs, effects); break;
            case ConfigurationChanged changed: Reload(changed.Settings, nowMs, effects); break;
            case StationsLoaded loaded: SlotOf(loaded.Load)?.Shard!.StationsLoaded(loaded.Load.Stations, loaded.Rows, nowMs); break;
            case PageLoaded loaded: SlotOf(loaded.Load)?.Shard!.PageLoaded(loaded.Load.Kind, loaded.Load.After, loaded.Rows, nowMs); break;
            case LoadFenced fenced:
                if (SlotOf(fenced.Load) is { } taken) Fenced(taken, nowMs, effects);
                break;
            case LoadFailed failed: LoadAgainLater(failed, nowMs, effects); break;
            case StopRequested:
                isStopping = true;
                Revoke(slots.Keys.ToList(), nowMs, effects);
                break;
            case DeadLettersOrdered ordered: CloseLetters(ordered, nowMs); break;
            case StationOrdered ordered: Steer(ordered, nowMs, effects); break;
            case TimePassed: PassTime(nowMs, effects); break;
            default: throw new ArgumentOutOfRangeException(nameof(message), message, "not a message of a node");
        }
    }

    // A clock that is set back takes pauses and intervals with it: else nothing would be committed until it has caught up.
    private void NoticeClock(long nowMs)
    {
        var back = clockMs - nowMs;
        clockMs = nowMs;
        if (back <= 0) return;
        lastCommitMs -= back;
        commitAgainMs -= back;
        isAnyTouched = true;
        foreach (var slot in slots.Values)
        {
            slot.DueMs -= back;
            slot.LoadAgainMs -= back;
        }
    }

    private void Assign(IReadOnlyList<ShardId> shards, List<NodeEffect> effects)
    {
        // The group hears of the stop a moment later, and takes them back.
        if (isStopping) return;
        foreach (var shard in shards)
        {
            if (shard.Value >= shardSettings.ShardCount)
            {
                effects.Add(new Warn($"partition {shard} is nobody's: {Positions.TopicGrowth.Explain(shardSettings.PartsTopic, shardSettings.ShardCount, shard.Value + 1)}"));
                continue;
            }

            if (slots.TryGetValue(shard, out var slot))
            {
                slot.IsWanted = true;
                continue;
            }

            slots.Add(shard, new Slot(shard) { Phase = ShardPhase.TakingOver, IsWanted = true });
            effects.Add(new TakeOver(shard));
        }
    }

    private void Revoke(IReadOnlyList<ShardId> shards, long nowMs, List<NodeEffect> effects)
    {
        foreach (var shard in shards)
        {
            if (!slots.TryGetValue(shard, out var slot))
            {
                effects.Add(new ReleaseShard(shard, true));
                continue;
            }

            slot.IsWanted = false;
            if (slot.Phase is ShardPhase.Waiting or ShardPhase.Stopped) Remove(slot, true, effects);
            if (slot.Phase != ShardPhase.Running) continue;
            slot.Phase = ShardPhase.Releasing;
            slot.DueMs = nowMs + settings.ReleaseLimitMs;
            slot.Shard!.StopCalls();
            StopReadingOf(slot, effects);
        }
    }

    private void Lose(IReadOnlyList<ShardId> shards, List<NodeEffect> effects)
    {
        foreach (var shard in shards)
        {
            if (!slots.TryGetValue(shard, out var slot)) continue;
            slot.IsWanted = false;
            Stop(slot, effects);
            // A takeover under way ends by itself; its result is then not wanted.
            if (slot.Phase != ShardPhase.TakingOver) Remove(slot, false, effects);
        }
    }

    private void Start(ShardTakenOver started, long nowMs, List<NodeEffect> effects)
    {
        var recovered = started.Recovered;
        if (!slots.TryGetValue(recovered.Shard, out var slot) || slot.Phase != ShardPhase.TakingOver) return;
        if (!slot.IsWanted)
        {
            Remove(slot, true, effects);
            return;
        }

        // A newer version came meanwhile, which may read logs that nobody has checked.
        if (started.Version < shardSettings.ConfigurationVersion)
        {
            effects.Add(new TakeOver(slot.Id));
            return;
        }

        var shard = new Shard(shardSettings, recovered, nowMs);
        slot.Shard = shard;
        slot.Phase = ShardPhase.Running;
        slot.IsReloading = false;
        foreach (var log in shard.Logs)
        {
            readers[log] = slot;
            effects.Add(new StartReading(log, shard.NextOf(log)));
        }
    }

    private void TakeOverLater(TakeOverFailed failed, long nowMs, List<NodeEffect> effects)
    {
        if (!slots.TryGetValue(failed.Shard, out var slot) || slot.Phase != ShardPhase.TakingOver) return;
        effects.Add(new Warn($"taking over shard {failed.Shard} failed, it is tried again: {failed.Reason}"));
        if (slot.IsWanted) WaitFor(slot, nowMs);
        else Remove(slot, true, effects);
    }

    private void Refuse(ShardRefused refused, List<NodeEffect> effects)
    {
        if (!slots.TryGetValue(refused.Shard, out var slot) || slot.Phase != ShardPhase.TakingOver) return;
        effects.Add(new Warn($"shard {refused.Shard} is not run: {refused.Reason}"));
        if (slot.IsWanted) slot.Phase = ShardPhase.Stopped;
        else Remove(slot, true, effects);
    }

    // A takeover checks positions; one that is under way, or waits, need not be asked for.
    private void CheckAgain(IReadOnlyList<ShardId> shards, long nowMs, List<NodeEffect> effects)
    {
        foreach (var shard in shards)
        {
            if (isStopping || !slots.TryGetValue(shard, out var slot) || !slot.IsWanted) continue;
            if (slot.Phase == ShardPhase.Running)
            {
                Revoke([shard], nowMs, effects);
                slot.IsWanted = true;
            }
            else if (slot.Phase == ShardPhase.Stopped)
            {
                slot.Phase = ShardPhase.TakingOver;
                effects.Add(new TakeOver(shard));
            }
        }
    }

    private void Reload(ShardSettings newer, long nowMs, List<NodeEffect> effects)
    {
        if (newer.ConfigurationVersion <= shardSettings.ConfigurationVersion) return;
        shardSettings = newer;
        if (isStopping) return;
        foreach (var slot in slots.Values.ToList())
        {
            // One whose takeover is under way, or waits, begins with the new version anyway.
            if (slot.Phase != ShardPhase.Running) continue;
            Revoke([slot.Id], nowMs, effects);
            slot.IsWanted = true;
            slot.IsReloading = true;
            slot.DueMs = nowMs + Math.Min(settings.ReleaseLimitMs, ReloadLimitMs);
        }
    }

    private void Read(RecordsRead read, long nowMs)
    {
        if (!readers.TryGetValue(read.Partition, out var slot) || slot.Phase != ShardPhase.Running) return;
        Touch(slot);
        // Time goes first: what came due before these records is decided before them.
        if (slot.Shard!.NextDueMs <= nowMs) slot.Shard.TimePassed(nowMs);
        slot.Shard.Receive(read.Records, nowMs);
    }

    // The slot that a load was ordered for; null where the shard has been given up since, or is about to be.
    private Slot? SlotOf(ShardLoad load) =>
        slots.TryGetValue(load.Shard, out var slot) && slot.Phase == ShardPhase.Running && slot.Shard!.Epoch == load.Epoch ? slot : null;

    private void LoadAgainLater(LoadFailed failed, long nowMs, List<NodeEffect> effects)
    {
        if (SlotOf(failed.Load) is not { } slot) return;
        effects.Add(new Warn($"stations of shard {slot.Id} could not be read, it is tried again: {failed.Reason}"));
        slot.FailedLoads.Add(failed.Load);
        slot.LoadAgainMs ??= nowMs + random.Next(settings.RetryPauseMinMs, settings.RetryPauseMaxMs);
    }

    private void Sent(OutputsSent sent)
    {
        if (Touch(sent.Shard) is { } shard && shard.Epoch == sent.Epoch) shard.Outputs.Outbox.Acknowledged(sent.Destination, sent.UpToSequence);
    }

    private void CloseLetters(DeadLettersOrdered ordered, long nowMs)
    {
        if (!slots.TryGetValue(ordered.Shard, out var slot) || slot.Phase != ShardPhase.Running || slot.Shard!.Epoch != ordered.Epoch) return;
        slot.Shard.CloseLetters(ordered.Letters, ordered.State, ordered.By, nowMs);
    }

    private void Steer(StationOrdered ordered, long nowMs, List<NodeEffect> effects)
    {
        if (slots.TryGetValue(ordered.Shard, out var slot) && slot.Phase == ShardPhase.Running && slot.Shard!.Epoch == ordered.Epoch) slot.Shard.Steer(ordered, nowMs);
        else effects.Add(new StationOrderEnded(ordered.Number, StationOrderOutcome.NotCarriedOut));
    }

    private void PassTime(long nowMs, List<NodeEffect> effects)
    {
        Look();
        for (var index = 0; index < slots.Count; index++)
        {
            var slot = slots.GetValueAtIndex(index);
            if (!(slot.WakeMs <= nowMs)) continue;
            Touch(slot);
            if (slot.Phase == ShardPhase.Running && slot.Shard!.NextDueMs <= nowMs) slot.Shard.TimePassed(nowMs);
            if (slot.Phase == ShardPhase.Running && slot.LoadAgainMs <= nowMs)
            {
                slot.LoadAgainMs = null;
                effects.AddRange(slot.FailedLoads);
                slot.FailedLoads.Clear();
            }

            if (slot.Phase != ShardPhase.Waiting || slot.DueMs > nowMs) continue;
            slot.Phase = ShardPhase.TakingOver;
            effects.Add(new TakeOver(slot.Id));
        }

        if (commitAgainMs <= nowMs)
        {
            commitAgainMs = null;
            effects.Add(new Commit(committing!));
        }
    }

    /// <summary>What follows from whatever just happened: calls to begin, entries to send, pauses, the next commit.</summary>
    public void Settle(long nowMs, List<NodeEffect> effects)
    {
        NoticeClock(nowMs);
        if (isAnyTouched)
        {
            for (var index = 0; index < slots.Count; index++) SettleSlot(slots.GetValueAtIndex(index), effects);
        }
        else
        {
            // In the order of the shards, whatever came first.
            if (touched.Count > 1) touched.Sort((left, right) => left.Id.CompareTo(right.Id));
            foreach (var slot in touched) SettleSlot(slot, effects);
        }

        Look();
        foreach (var slot in touched) slot.IsTouched = false;
        touched.Clear();
        isAnyTouched = false;
        if (committing is null) CommitDue(nowMs, effects);
    }

    private void SettleSlot(Slot slot, List<NodeEffect> effects)
    {
        if (slot.Shard is not { } shard) return;
        if (shard.AwaitedVersion > Math.Max(orderedVersion, shardSettings.ConfigurationVersion)) effects.Add(new ReadConfiguration(orderedVersion = shard.AwaitedVersion.Value));
        foreach (var call in shard.Outputs.Calls) effects.Add(new BeginCall(call));
        if (slot.Phase == ShardPhase.Running)
        {
            var pause = shard.IsFull;
            if (pause != slot.IsPaused)
            {
                slot.IsPaused = pause;
                foreach (var log in shard.Logs) effects.Add(new PauseReading(log, pause));
            }
        }

        shard.Outputs.Calls.Clear();
        shard.TakeLoads(effects);
        shard.Orders.TakeEnded(effects);
        shard.Outputs.Outbox.TakeSendable(sendable);
        if (sendable.Count == 0) return;
        effects.Add(new SendOutputs(slot.Id, shard.Epoch, sendable.ToArray()));
        sendable.Clear();
    }

    private void Touch(Slot slot)
    {
        if (slot.IsTouched) return;
        slot.IsTouched = true;
        touched.Add(slot);
    }

    // A shard that is about to be told something.
    private Shard? Touch(ShardId shard)
    {
        if (!slots.TryGetValue(shard, out var slot)) return null;
        Touch(slot);
        return slot.Shard;
    }

    // Notes what the slots that changed wait for: there are many, and mostly few of them have something to do.
    private void Look()
    {
        if (isAnyTouched)
        {
            for (var index = 0; index < slots.Count; index++) slots.GetValueAtIndex(index).Look();
        }
        else
        {
            foreach (var slot in touched) slot.Look();
        }
    }

    private void CommitDue(long nowMs, List<NodeEffect> effects)
    {
        var isDue = false;
        for (var index = 0; index < slots.Count; index++)
        {
            var slot = slots.GetValueAtIndex(index);
            if (slot.Shard is null) continue;
            isDue |= (slot.IsDirty && CommitDueMs(slot) <= nowMs) || (slot.Phase == ShardPhase.Releasing && ReleaseIsDue(slot, nowMs));
        }

        if (!isDue) return;
        List<ShardCheckpoint> checkpoints = [];
        foreach (var slot in slots.Values)
        {
            if (slot.Shard is not { } shard) continue;
            var release = slot.Phase == ShardPhase.Releasing && ReleaseIsDue(slot, nowMs);
            // The last checkpoint takes their attempts back, for the next owner.
            if (release) slot.CallsUnfinished = shard.RunningCalls;
            if (!release && !shard.IsDirty) continue;
            checkpoints.Add(shard.TakeCheckpoint(release, nowMs));
            slot.IsEnding |= release;
            slot.Look();
        }

        lastCommitMs = nowMs;
        committing = checkpoints;
        effects.Add(new Commit(checkpoints));
    }

    // A shard is given up when nothing of it runs or waits to leave, or when its time is up.
    private static bool ReleaseIsDue(Slot slot, long nowMs) =>
        slot.DueMs <= nowMs || (slot.Shard!.RunningCalls == 0 && slot.Shard.Outputs.Outbox.Count == 0 && !slot.Shard.Outputs.IsWaiting);

    private long CommitDueMs(Slot slot) => lastCommitMs + (slot.IsUrgent ? settings.UrgentIntervalMs : settings.CheckpointIntervalMs);

    private void Finish(IReadOnlyList<CheckpointOutcome> outcomes, long nowMs, List<NodeEffect> effects)
    {
        if (committing is not { } checkpoints) return;
        committing = null;
        lastCommitMs = nowMs;
        for (var index = 0; index < checkpoints.Count; index++)
        {
            var checkpoint = checkpoints[index];
            if (!slots.TryGetValue(checkpoint.Shard, out var slot) || slot.Shard is not { } shard || shard.Epoch != checkpoint.Epoch) continue;
            if (outcomes[index] == CheckpointOutcome.Fenced)
            {
                Fenced(slot, nowMs, effects);
            }
            else
            {
                shard.Committed(checkpoint.Number);
                // A careful owner hands its care on: its last checkpoint does not say that it released the shard in order.
                if (slot.IsEnding) Released(slot, nowMs, effects);
            }
        }
    }

    private void Fenced(Slot slot, long nowMs, List<NodeEffect> effects)
    {
        effects.Add(new ShardFenced(slot.Id, slot.Shard!.Epoch));
        Lose(slot, nowMs, effects);
    }

    private void CommitAgainLater(string reason, long nowMs, List<NodeEffect> effects)
    {
        if (committing is null) return;
        effects.Add(new Warn($"the store did not take a checkpoint, it is tried again: {reason}"));
        commitAgainMs = nowMs + random.Next(settings.RetryPauseMinMs, settings.RetryPauseMaxMs);
    }

    private void LoseCommitting(string reason, long nowMs, List<NodeEffect> effects)
    {
        if (committing is not { } checkpoints) return;
        committing = null;
        effects.Add(new Warn($"the outcome of a commit is unknown, its shards are taken over again: {reason}"));
        foreach (var checkpoint in checkpoints)
        {
            if (slots.TryGetValue(checkpoint.Shard, out var slot) && slot.Shard?.Epoch == checkpoint.Epoch) Lose(slot, nowMs, effects);
        }
    }

    private void Released(Slot slot, long nowMs, List<NodeEffect> effects)
    {
        // What could not be finished or sent in time is the next owner's.
        var release = new ReleaseShard(slot.Id, true, slot.CallsUnfinished, slot.Shard!.Outputs.Outbox.Count);
        Stop(slot, effects);
        if (slot.IsWanted && !isStopping)
        {
            effects.Add(release);
            if (slot.IsReloading)
            {
                slot.Phase = ShardPhase.TakingOver;
                effects.Add(new TakeOver(slot.Id));
            }
            else
            {
                WaitFor(slot, nowMs);
            }
        }
        else
        {
            slots.Remove(slot.Id);
            effects.Add(release);
        }
    }

    private void Lose(Slot slot, long nowMs, List<NodeEffect> effects)
    {
        Stop(slot, effects);
        if (slot.IsWanted && !isStopping) WaitFor(slot, nowMs);
        else Remove(slot, false, effects);
    }

    private void WaitFor(Slot slot, long nowMs)
    {
        slot.Phase = ShardPhase.Waiting;
        slot.DueMs = nowMs + random.Next(settings.RetryPauseMinMs, settings.RetryPauseMaxMs);
    }

    private void Stop(Slot slot, List<NodeEffect> effects)
    {
        if (slot.Shard is not { } shard) return;
        StopReadingOf(slot, effects);
        effects.Add(new AbandonShard(slot.Id, shard.Epoch));
        shard.Orders.Close(effects);
        AddApplied(shard, appliedBefore);
        lastEvents.AddRange(shard.Outputs.Events);
        slot.Shard = null;
        slot.IsPaused = false;
        slot.IsEnding = false;
        slot.FailedLoads.Clear();
        slot.LoadAgainMs = null;
    }

    private void StopReadingOf(Slot slot, List<NodeEffect> effects)
    {
        foreach (var log in slot.Shard!.Logs)
        {
            if (readers.Remove(log)) effects.Add(new StopReading(log));
        }
    }

    private void Remove(Slot slot, bool inOrder, List<NodeEffect> effects)
    {
        slots.Remove(slot.Id);
        effects.Add(new ReleaseShard(slot.Id, inOrder));
    }

    private static void AddApplied(Shard shard, Dictionary<string, long> to)
    {
        foreach (var (topic, count) in shard.AppliedByTopic) to[topic] = to.GetValueOrDefault(topic) + count;
    }

    private static long? Earlier(long? left, long? right) => left is null ? right : right is null ? left : Math.Min(left.Value, right.Value);

    /// <summary>One shard's place on this node.</summary>
    private sealed class Slot(ShardId id)
    {
        public ShardId Id => id;
        public ShardPhase Phase { get; set; }

        /// <summary>Kafka assigns the shard to this node.</summary>
        public bool IsWanted { get; set; }
        public Shard? Shard { get; set; }
        public long DueMs { get; set; }
        public bool IsPaused { get; set; }

        /// <summary>Calls that ran when the last checkpoint was taken.</summary>
        public int CallsUnfinished { get; set; }

        /// <summary>Its last checkpoint has been taken.</summary>
        public bool IsEnding { get; set; }

        /// <summary>Released to be taken over at once, with another version of the configuration.</summary>
        public bool IsReloading { get; set; }

        /// <summary>Loads that failed, and when they are ordered again, ms.</summary>
        public List<ShardLoad> FailedLoads { get; } = [];
        public long? LoadAgainMs { get; set; }

        /// <summary>Something of it has changed since the last settling.</summary>
        public bool IsTouched { get; set; }

        /// <summary>As of the last look: when it wants to hear of time, and whether it has something to write.</summary>
        public long? WakeMs { get; private set; }
        public bool IsDirty { get; private set; }
        public bool IsUrgent { get; private set; }

        public void Look()
        {
            WakeMs = Phase is ShardPhase.Waiting or ShardPhase.Releasing ? DueMs : null;
            if (Phase == ShardPhase.Running && Shard is { } running) WakeMs = Earlier(Earlier(WakeMs, running.NextDueMs), LoadAgainMs);
            (IsDirty, IsUrgent) = Shard is { } shard ? (shard.IsDirty, shard.IsUrgent) : (false, false);
        }
    }
}
