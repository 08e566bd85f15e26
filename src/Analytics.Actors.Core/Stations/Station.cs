using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Stations;

/// <summary>One part of a record for one station, as the shard hands it over after its mark.</summary>
/// <param name="Items">Valid while the part is applied: who keeps one copies it.</param>
/// <param name="ItemIndexes">Each item's index in the record; empty where they count on from the place's.</param>
/// <param name="Replay">Set where the record is a replayed dead letter.</param>
public readonly record struct PartArrival(
    SourcePartition Source, Place Place, long TimestampMs, ReadOnlyMemory<ReadOnlyMemory<byte>> Items, ReadOnlyMemory<BatchReference> Batches,
    ReadOnlyMemory<int> ItemIndexes, ReplayedFrom? Replay)
{
    /// <summary>
    /// A dead letter of something in the part. That of a replay names the source record that it was about from the first,
    /// and the letter that was replayed.
    /// </summary>
    /// <param name="item">The item's place in the part.</param>
    /// <param name="form">What the bytes are of the record that came; an item that was replayed stays one.</param>
    public DeadLetter Letter(int item, RejectedForm form, string station, Rejection reason, ReadOnlyMemory<byte> bytes, long nowMs)
    {
        var index = ItemIndexes.Length > 0 ? ItemIndexes.Span[item] : Place.Index + item;
        if (Replay is not { } replay) return DeadLetter.Of(Source, Place.Offset, index, station, reason, bytes, nowMs) with { Form = form, RecordTimestampMs = TimestampMs };
        return DeadLetter.Of(
            new SourcePartition(replay.Topic, replay.Incarnation, replay.Partition), replay.Offset, replay.Item ? replay.Index : index, station, reason, bytes, nowMs) with
        {
            Form = replay.Item && form == RejectedForm.Record ? RejectedForm.Item : form,
            RecordTimestampMs = TimestampMs,
            ReplayOf = new DeadLetterId(new ShardId(replay.Shard), replay.Number),
        };
    }
}

/// <summary>
/// A station actor: its windows, the module calls it owes, and nothing else. Parts and answers come in; calls, answers
/// to batches and dead letters go out through the shard's outputs.
/// </summary>
/// <remarks>
/// Must keep true: calls of one module never overlap; every batch named by a part gets exactly one answer; a trigger's
/// input is what the windows held when it fired, whenever its call runs.
/// </remarks>
public sealed partial class Station
{
    private const long Never = long.MaxValue;
    private const string PausedReason = "the station is paused", ForgottenReason = "the station was forgotten";

    private readonly StationKey key;
    private NamedItems<TopicWindow> windows;
    private NamedItems<ModuleQueue> queues;
    private NamedItems<WaitingSeconds> waitingForSecond;
    private NamedItems<Interval> intervals;
    private bool hasDirtyWindows;

    // When the first open second closes for silence, ms: asked for with every record, and changed by few.
    private long silenceDueMs = Never;
    private int secondsWindows;
    private readonly StationSurroundings around;

    public Station(string id, StationSurroundings around)
    {
        Id = id;
        key = new StationKey(id);
        this.around = around;
    }

    public string Id { get; }

    public NamedItems<TopicWindow> Windows => windows;

    /// <summary>Calls owed: waiting, queued or running.</summary>
    public int TriggerCount
    {
        get
        {
            var count = 0;
            foreach (var queue in queues.All) count += queue.Count;
            return count;
        }
    }

    public bool IsDirty => CoreIsDirty || hasDirtyWindows || !WakeIsSaved;

    /// <summary>The same, one by one.</summary>
    public IReadOnlyList<OpenCall> OpenCalls => OpenCall.Of(queues);

    /// <summary>An operator wants none of its calls: windows go on, triggers answer nothing.</summary>
    public bool IsPaused { get; internal set; }

    internal bool CoreIsDirty { get; set; }

    internal bool WasSaved { get; set; }

    /// <summary>When its row says that the station wants to be in memory, ms; null: never.</summary>
    internal long? SavedWakeMs { get; set; }

    /// <summary>A new owner would wake the station in time. Waking it too early does no harm.</summary>
    internal bool WakeIsSaved => NextDueMs is { } due ? SavedWakeMs <= due : SavedWakeMs is null;

    /// <summary>The shard's checkpoint that holds its last change.</summary>
    internal long SavedIn { get; set; }

    /// <summary>The shard's next checkpoint saves it.</summary>
    internal bool IsListed { get; set; }

    /// <summary>Its timer in the shard.</summary>
    internal StationTimer? WakeTimer { get; set; }

    /// <summary>The shard has counted it among the stations that exist.</summary>
    internal bool IsCounted { get; set; }

    /// <summary>Its rows say all of it, and nothing is owed or under way: it may leave memory.</summary>
    internal bool IsAtRest => !IsDirty && OwesNothing && windows.Values.All(window => window is not SecondsWindow { SilenceDueMs: not null });

    internal NamedItems<ModuleQueue> Queues => queues;

    internal NamedItems<WaitingSeconds> WaitingForSecond => waitingForSecond;

    internal NamedItems<Interval> Intervals => intervals;

    /// <summary>Nothing is held, nothing is owed, nobody has paused it, and no code of an earlier call still runs: the actor may go.</summary>
    public bool IsEmpty
    {
        get
        {
            // Asked of all stations every minute.
            foreach (var window in windows.All)
            {
                if (!window.IsEmpty) return false;
            }

            return !IsPaused && OwesNothing;
        }
    }

    private bool OwesNothing
    {
        get
        {
            foreach (var queue in queues.All)
            {
                if (queue is not { Count: 0, IsStuck: false }) return false;
            }

            return waitingForSecond.Count == 0;
        }
    }

    /// <summary>When the station next wants to hear of time, ms; null: never.</summary>
    public long? NextDueMs
    {
        get
        {
            long? due = silenceDueMs == Never ? null : silenceDueMs;
            foreach (var queue in queues.All) due = Earlier(due, queue.NextDueMs);
            foreach (ref readonly var interval in intervals.All) due = Earlier(due, interval.DueMs);
            return due;
        }
    }

    /// <summary>The latest update of any window, ms; null without data.</summary>
    public long? NewestTimeMs => windows.Values.Max(window => window.NewestTimeMs);

    /// <summary>Applies one part: windows first, then the modules that it triggers.</summary>
    public void Apply(TopicConfiguration topic, in PartArrival part, long nowMs)
    {
        var window = WindowOf(topic);
        IReadOnlyList<RejectedItem> rejected;
        if (window is SecondsWindow seconds)
        {
            var change = seconds.Add(part.Items.Span, part.TimestampMs, nowMs, window.Context.Triggered.Count > 0);
            rejected = change.Rejected;
            NoteSilence(seconds);
            if (change.Joined.Count > 0) Touch(window);
            AttachToSeconds(topic, part, change.Joined, rejected, nowMs);
            if (change.Late > 0) around.Outputs.Raise(new OrderLate(around.Outputs.Shard, Id, topic.Name, change.Late));
            for (var index = 0; index < change.Closed.Count; index++) Deliver(window, change.Closed[index], nowMs);
        }
        else
        {
            var change = window.Apply(part.Items.Span, part.TimestampMs, nowMs);
            rejected = change.Rejected;
            if (change.Changed)
            {
                Touch(window);
                TriggerModules(window, part, nowMs);
            }
            else
            {
                AnswerNothing(part, "invalid: " + (rejected.Count > 0 ? rejected[0].Reason.ToString() : "the part changed nothing"), nowMs);
            }
        }

        for (var index = 0; index < rejected.Count; index++)
        {
            var item = rejected[index];
            around.Outputs.Reject(part.Letter(item.Index, item.Form, Id, item.Reason, item.Bytes, nowMs));
        }

        CompleteWaiting(nowMs);
        StartIntervals(nowMs);
        StartCalls(nowMs);
    }

    /// <summary>A global topic changed: calls that waited for it may go on, inputs captured before are held by checkpoints.</summary>
    public void GlobalChanged(TopicConfiguration topic, long nowMs)
    {
        if (TriggerCount > 0) CoreIsDirty = true;
        if (topic.Triggers)
        {
            foreach (var module in around.TriggeredBy(topic.Name)) Fire(module, [], null, nowMs);
        }

        CompleteWaiting(nowMs);
        StartCalls(nowMs);
    }

    /// <summary>Answers every batch of a part with nothing.</summary>
    public static void AnswerNothing(ShardOutputs outputs, string station, in PartArrival part, string reason, long nowMs)
    {
        foreach (var batch in part.Batches.Span)
        {
            outputs.Answer(station, batch.Module, DebtOf(part, batch), Outcome.Nothing, default, reason, 0, nowMs);
        }
    }

    /// <summary>Time has come to <paramref name="nowMs"/>: closes silent seconds, calls what waited long enough, retries.</summary>
    public void TimePassed(long nowMs)
    {
        foreach (var window in windows.All)
        {
            if (window is not SecondsWindow seconds || !(seconds.SilenceDueMs <= nowMs)) continue;
            around.Outputs.Raise(new TimerFired(around.Outputs.Shard, "order-second", Id));
            Touch(window);
            var closes = seconds.CloseDue(nowMs, window.Context.Triggered.Count > 0);
            NoteSilence(seconds);
            if (closes is { } closed) Deliver(window, closed, nowMs);
        }

        foreach (var (module, due) in intervals.All)
        {
            if (due > nowMs || !around.Modules.TryGetValue(module, out var configuration) || configuration.IntervalMs is not { } length) continue;
            around.Outputs.Raise(new TimerFired(around.Outputs.Shard, "interval", Id));
            intervals.Set(new Interval(module, nowMs + length));
            CoreIsDirty = true;
            // A call of an earlier interval that has not begun yet serves this one too: else they would pile up behind a stuck one.
            if (QueueOf(module).Latest is { Debts.Count: 0 }) continue;
            Fire(configuration, [], null, nowMs);
        }

        CompleteWaiting(nowMs);
        StartCalls(nowMs);
    }

    /// <summary>A call ended. Answers its batches, or plans the retry; an answer of another attempt is a late echo.</summary>
    /// <param name="releases">The module really returned; false for a call past its time whose code still runs.</param>
    public void CallReturned(Trigger trigger, CallOutcome outcome, bool releases, long nowMs)
    {
        var module = around.Modules[trigger.Module];
        var queue = QueueOf(module.Name);
        queue.Running = null;
        queue.IsStuck = !releases;
        CoreIsDirty = true;
        var isFinal = outcome.Kind != CallOutcomeKind.Error || trigger.Attempts > module.Retries;
        around.Outputs.Raise(new CallEnded(
            around.Outputs.Shard, Id, module.Name, outcome.Kind.ToString().ToLowerInvariant(), outcome.Reason, isFinal, trigger.Captured?.TimeMs ?? nowMs));
        if (!isFinal)
        {
            trigger.Failures++;
            trigger.RetryDueMs = nowMs + (module.RetryDelayMs << Math.Min(trigger.Attempts - 1, 10));
            queue.PutBack(trigger);
        }
        else
        {
            Settle(module, trigger, outcome, nowMs);
        }

        StartCalls(nowMs);
    }

    /// <summary>The code of a call past its time has returned: its slot is free again.</summary>
    public void CallReleased(string module, long nowMs)
    {
        QueueOf(module).IsStuck = false;
        StartCalls(nowMs);
    }

    /// <summary>Drops what is past its ttl in all windows.</summary>
    public void Expire(long nowMs)
    {
        foreach (var window in windows.All)
        {
            if (window.Expire(nowMs)) Touch(window);
        }
    }

    /// <summary>
    /// The station is paused or forgotten: everything that it owes is answered with nothing. Returns the calls that run, whose
    /// places stay taken. A forgotten station is as if it had never been.
    /// </summary>
    internal IReadOnlyList<(string Module, Trigger Trigger)> GiveUp(StationOrder order, long nowMs)
    {
        List<(string, Trigger)> running = [];
        var reason = order == StationOrder.Forget ? ForgottenReason : PausedReason;
        foreach (var queue in queues.All)
        {
            if (queue.Running is { } trigger)
            {
                running.Add((queue.Name, trigger));
                queue.IsStuck = true;
            }

            AnswerOwed(queue, reason, nowMs);
        }

        IsPaused = order == StationOrder.Pause;
        CoreIsDirty = true;
        if (order == StationOrder.Forget) Clear(reason, nowMs);
        return running;
    }

    /// <summary>The next trigger calls its modules again.</summary>
    internal void GoOn()
    {
        IsPaused = false;
        CoreIsDirty = true;
    }

    internal void Restore(TopicWindow window)
    {
        windows.Set(window);
        FindSilence();
    }

    internal void Restore(Interval interval) => intervals.Set(interval);

    internal ModuleQueue QueueOf(string module)
    {
        if (!queues.TryGetValue(module, out var queue)) queues.Set(queue = new ModuleQueue(module));
        return queue;
    }

    internal WaitingSeconds WaitingOf(string topic)
    {
        if (!waitingForSecond.TryGetValue(topic, out var seconds)) waitingForSecond.Set(seconds = new WaitingSeconds(topic));
        return seconds;
    }

    /// <summary>After recovery: goes on with what was owed. A trigger that took the process down too often is given up.</summary>
    internal void Resume(long nowMs)
    {
        foreach (var queue in queues.All)
        {
            if (around.Modules.ContainsKey(queue.Name)) continue;
            AnswerOwed(queue, "the module is gone", nowMs);
            queues.Remove(queue.Name);
            CoreIsDirty = true;
        }

        // A timer that nothing acts on would come due for ever.
        foreach (var (name, _) in intervals.All)
        {
            if (around.Modules.TryGetValue(name, out var module) && module.IntervalMs is not null) continue;
            intervals.Remove(name);
            CoreIsDirty = true;
        }

        foreach (var queue in queues.All)
        {
            var module = around.Modules[queue.Name];
            foreach (var trigger in queue.TakeDeadly(Math.Max(1, module.Retries)))
            {
                var reason = $"the process ended {trigger.Deaths} times during this call";
                CoreIsDirty = true;
                Settle(module, trigger, new CallOutcome(CallOutcomeKind.Error, default, reason), nowMs);
                if (trigger.Debts.Count > 0) RejectCall(module, trigger, reason, nowMs);
            }
        }

        CompleteWaiting(nowMs);
        StartIntervals(nowMs);
        StartCalls(nowMs);
    }

    internal void Saved()
    {
        CoreIsDirty = false;
        if (!hasDirtyWindows) return;
        hasDirtyWindows = false;
        foreach (var window in windows.All) window.IsDirty = false;
    }

    /// <summary>An orderly stop interrupts calls: that is no attempt.</summary>
    internal void Interrupt()
    {
        foreach (var queue in queues.All)
        {
            if (queue.Running is not { } trigger) continue;
            trigger.Attempts--;
            queue.Running = null;
            queue.PutBack(trigger);
            CoreIsDirty = true;
        }
    }

    private void AnswerOwed(ModuleQueue queue, string reason, long nowMs)
    {
        foreach (var trigger in queue.TakeAll())
        {
            around.Forget(trigger);
            AnswerAll(trigger, queue.Name, Outcome.Nothing, default, reason, nowMs);
            CoreIsDirty = true;
        }
    }

    // Empty windows in the place of the old ones: their rows are deleted by the next checkpoint.
    private void Clear(string reason, long nowMs)
    {
        foreach (var (module, debt) in waitingForSecond.Values.SelectMany(seconds => seconds.Values).SelectMany(waiting => waiting))
        {
            around.Outputs.Answer(Id, module, debt, Outcome.Nothing, default, reason, 0, nowMs);
        }

        waitingForSecond.Clear();
        intervals.Clear();
        foreach (var window in windows.All)
        {
            windows.Set(TopicWindows.Create(around.Contexts.Of(window.Topic)));
        }

        foreach (var window in windows.All) Touch(window);
        FindSilence();
    }

    private void NoteSilence(SecondsWindow changed)
    {
        if (secondsWindows == 1) silenceDueMs = changed.SilenceDueMs ?? Never;
        else FindSilence();
    }

    private void FindSilence()
    {
        (silenceDueMs, secondsWindows) = (Never, 0);
        foreach (var window in windows.All)
        {
            if (window is not SecondsWindow seconds) continue;
            silenceDueMs = Math.Min(silenceDueMs, seconds.SilenceDueMs ?? Never);
            secondsWindows++;
        }
    }

    private TopicWindow WindowOf(TopicConfiguration topic)
    {
        if (FindWindow(topic.Name) is { } window) return window;
        window = TopicWindows.Create(around.Contexts.Of(topic));
        Restore(window);
        return window;
    }

    private void Touch(TopicWindow window)
    {
        window.IsDirty = true;
        hasDirtyWindows = true;
        // Captured inputs of pending calls may now differ from the windows: the checkpoint has to hold them.
        if (TriggerCount > 0) CoreIsDirty = true;
    }

    private void TriggerModules(TopicWindow window, in PartArrival part, long nowMs)
    {
        var triggered = window.Context.Triggered;
        for (var index = 0; index < triggered.Count; index++) Fire(triggered[index], DebtsOf(part, triggered[index].Name), null, nowMs);
        foreach (var batch in part.Batches.Span)
        {
            if (!triggered.Any(module => module.Name == batch.Module)) AnswerGone(part, batch, nowMs);
        }
    }

    private void AnswerGone(in PartArrival part, BatchReference batch, long nowMs) =>
        around.Outputs.Answer(Id, batch.Module, DebtOf(part, batch), Outcome.Nothing, default, "the module is gone or no longer triggered by this topic", 0, nowMs);

    private void AnswerNothing(in PartArrival part, string reason, long nowMs) => AnswerNothing(around.Outputs, Id, part, reason, nowMs);

    // Orders join seconds; their batches wait for the last of those seconds to close.
    private void AttachToSeconds(TopicConfiguration topic, in PartArrival part, Few<long> joined, IReadOnlyList<RejectedItem> rejected, long nowMs)
    {
        if (joined.Count == 0)
        {
            AnswerNothing(part, "invalid: " + (rejected.Count > 0 ? rejected[0].Reason.ToString() : "no order in the part"), nowMs);
            return;
        }

        if (part.Batches.Length == 0) return;
        var seconds = WaitingOf(topic.Name);
        var last = joined[^1];
        if (!seconds.TryGetValue(last, out var waiting)) seconds.Add(last, waiting = []);
        foreach (var batch in part.Batches.Span) waiting.Add((batch.Module, DebtOf(part, batch)));
        CoreIsDirty = true;
    }

    private void Deliver(TopicWindow window, ClosedSecond closed, long nowMs)
    {
        List<(string Module, BatchDebt Debt)>? waiting = null;
        if (waitingForSecond.TryGetValue(window.Topic.Name, out var seconds))
        {
            seconds.Remove(closed.Second, out waiting);
            if (seconds.Count == 0) waitingForSecond.Remove(window.Topic.Name);
            CoreIsDirty = true;
        }

        var triggered = window.Context.Triggered;
        if (triggered.Count == 0 && waiting is null) return;
        waiting ??= [];
        foreach (var module in triggered)
        {
            var debts = waiting.Where(item => item.Module == module.Name).Select(item => item.Debt).ToList();
            Fire(module, debts, (window.Topic.Name, closed.Fragment!), nowMs);
        }

        foreach (var (module, debt) in waiting)
        {
            if (triggered.Any(candidate => candidate.Name == module)) continue;
            around.Outputs.Answer(Id, module, debt, Outcome.Nothing, default, "the module is gone or no longer triggered by this topic", 0, nowMs);
        }
    }

    private void Fire(ModuleConfiguration module, List<BatchDebt> debts, (string Topic, InputFragment Fragment)? pinned, long nowMs)
    {
        if (IsPaused)
        {
            foreach (var debt in debts) around.Outputs.Answer(Id, module.Name, debt, Outcome.Nothing, default, PausedReason, 0, nowMs);
            return;
        }

        var queue = QueueOf(module.Name);
        var missing = Inputs.Missing(this, around, module, pinned?.Topic, nowMs);
        if (missing.Count > 0 && module.OnIncomplete == IncompletePolicy.Wait)
        {
            var reason = "not ready: no data of " + string.Join(", ", missing);
            foreach (var debt in debts) around.Outputs.Answer(Id, module.Name, debt, Outcome.Nothing, default, reason, 0, nowMs);
            return;
        }

        CoreIsDirty = true;
        // What this trigger's cause has completed goes before it: calls begin in order of their triggers.
        CompleteWaiting(module, queue, nowMs);
        var trigger = module.Coalesce == CoalescePolicy.Latest ? queue.Latest : null;
        if (trigger is null)
        {
            trigger = new Trigger(around.NextTrigger(), module.Name);
            around.Register(trigger, this);
        }
        else
        {
            queue.Remove(trigger);
        }

        trigger.Debts.AddRange(debts);
        trigger.Pinned = pinned;
        trigger.Captured = null;
        if (missing.Count > 0)
        {
            trigger.IncompleteDueMs ??= nowMs + module.IncompleteDelayMs;
            queue.AddWaiting(trigger);
        }
        else
        {
            Capture(module, queue, trigger, nowMs);
        }
    }

    private void Capture(ModuleConfiguration module, ModuleQueue queue, Trigger trigger, long nowMs)
    {
        trigger.Captured = Inputs.Capture(this, around, module, trigger.Pinned, nowMs);
        trigger.Pinned = null;
        trigger.IncompleteDueMs = null;
        queue.Add(trigger);
        CoreIsDirty = true;
    }

    private void CompleteWaiting(long nowMs)
    {
        foreach (var queue in queues.All)
        {
            if (queue.WaitingCount > 0) CompleteWaiting(around.Modules[queue.Name], queue, nowMs);
        }
    }

    private void CompleteWaiting(ModuleConfiguration module, ModuleQueue queue, long nowMs)
    {
        for (var index = 0; index < queue.WaitingCount; index++)
        {
            var trigger = queue.Waiting(index);
            var isDue = trigger.IncompleteDueMs <= nowMs;
            if (!isDue && Inputs.Missing(this, around, module, trigger.Pinned?.Topic, nowMs).Count > 0) continue;
            if (isDue) around.Outputs.Raise(new TimerFired(around.Outputs.Shard, "incomplete", Id));
            queue.RemoveWaiting(index--);
            Capture(module, queue, trigger, nowMs);
        }
    }

    private void StartIntervals(long nowMs)
    {
        // All of them start with the first part, and a recovery drops those that are no more: as many are the same ones.
        if (intervals.Count == around.IntervalModules.Count) return;
        foreach (var module in around.IntervalModules)
        {
            if (intervals.ContainsKey(module.Name)) continue;
            intervals.Set(new Interval(module.Name, nowMs + module.IntervalMs!.Value));
            CoreIsDirty = true;
        }
    }

    private void StartCalls(long nowMs)
    {
        if (around.IsClosed) return;
        foreach (var queue in queues.All)
        {
            if (queue.TakeNext(nowMs) is not { } trigger) continue;
            if (trigger.RetryDueMs > 0) around.Outputs.Raise(new TimerFired(around.Outputs.Shard, "retry", Id));
            trigger.Attempts++;
            CoreIsDirty = true;
            around.Start(this, around.Modules[queue.Name], trigger);
        }
    }

    private void Settle(ModuleConfiguration module, Trigger trigger, CallOutcome outcome, long nowMs)
    {
        around.Forget(trigger);
        switch (outcome.Kind)
        {
            case CallOutcomeKind.Result:
                if (trigger.Debts.Count == 0) SendSingle(module, outcome.Json, nowMs);
                AnswerAll(trigger, module.Name, Outcome.Result, outcome.Json, "", nowMs);
                break;
            case CallOutcomeKind.Nothing:
                AnswerAll(trigger, module.Name, Outcome.Nothing, default, "the module returned nothing", nowMs);
                break;
            default:
                AnswerAll(trigger, module.Name, Outcome.Error, default, outcome.Reason, nowMs);
                // Nobody else would hear of an error that no batch waits for.
                if (trigger.Debts.Count == 0) RejectCall(module, trigger, outcome.Reason, nowMs);
                break;
        }
    }

    // A dead letter's source is the record that asked for the call, where one did.
    private void RejectCall(ModuleConfiguration module, Trigger trigger, string why, long nowMs)
    {
        var reason = new Rejection("call-failed", $"{module.Name}: {why}");
        var debt = trigger.Debts.Count > 0 ? trigger.Debts[0] : new BatchDebt("", new SourcePartition(module.OutputTopic, 0, 0), -1);
        around.Outputs.Reject(DeadLetter.Of(debt.Source, debt.Offset, 0, Id, reason, default, nowMs));
    }

    private void AnswerAll(Trigger trigger, string module, Outcome outcome, ReadOnlyMemory<byte> result, string reason, long nowMs)
    {
        foreach (var debt in trigger.Debts) around.Outputs.Answer(Id, module, debt, outcome, result, reason, trigger.Attempts, nowMs);
        if (trigger.Debts.Count == 0) around.Outputs.Recent.Add(new RecentAnswer(nowMs, Id, module, "", outcome, reason, trigger.Attempts));
    }

    private void SendSingle(ModuleConfiguration module, ReadOnlyMemory<byte> result, long nowMs) =>
        around.Outputs.Upload(module.OutputTopic, Id, Batches.UploadWriter.Single(Id, module.Name, result, nowMs), "", nowMs);

    private static List<BatchDebt> DebtsOf(in PartArrival part, string module)
    {
        List<BatchDebt> debts = [];
        foreach (var batch in part.Batches.Span)
        {
            if (batch.Module == module) debts.Add(DebtOf(part, batch));
        }

        return debts;
    }

    private static BatchDebt DebtOf(in PartArrival part, BatchReference batch) =>
        new(batch.BatchId, part.Source, part.Place.Offset, batch.HasWindowStartMs ? batch.WindowStartMs : null);

    private static long? Earlier(long? left, long? right) => left is null ? right : right is null ? left : Math.Min(left.Value, right.Value);
}
