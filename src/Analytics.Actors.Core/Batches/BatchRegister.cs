using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Batches;

/// <summary>
/// The batches of one shard. Manifests open them, answers, event time and deadlines end them. One that is over is kept
/// for late answers, which go out as its next revision; what comes later still is counted and dead-lettered.
/// </summary>
/// <remarks>
/// An answer for an unknown batch is early if its record's manifest has not come (the manifests' mark is still below the
/// record's offset), else the batch is no longer kept: manifests of one source partition arrive in order of offset.
/// </remarks>
public sealed class BatchRegister(ShardSettings settings, ShardOutputs outputs, Marks marks, TopicPartition log)
{
    private readonly Dictionary<BatchKey, Batch> batches = [];
    private readonly Dictionary<BatchKey, Batch> over = [];
    private readonly SortedSet<(long DueMs, BatchKey Key)> timers = new(ByTime.Instance);
    // Those that are over, the one that ended first in front, and how many stations they keep.
    private readonly SortedSet<(long EndedMs, BatchKey Key)> retained = new(ByTime.Instance);
    private int retainedStations;
    private readonly SortedDictionary<string, WindowClock> clocks = new(StringComparer.Ordinal);
    private readonly List<EntityState> gone = [];
    private readonly HashSet<Batch> dirty = [];

    // Batches without a manifest yet.
    private readonly HashSet<Batch> held = [];

    /// <summary>Batches that wait: for answers, or for their manifest.</summary>
    public IReadOnlyDictionary<BatchKey, Batch> Batches => batches;

    /// <summary>Batches that ended and are kept for late answers.</summary>
    public IReadOnlyDictionary<BatchKey, Batch> Over => over;

    /// <summary>Batches whose late answers wait for others to go out with them.</summary>
    public int WaitingRevisions => over.Values.Count(batch => batch.RevisionDueMs > 0);

    /// <summary>Answers that came when their batch was over and no longer kept.</summary>
    public long LateAnswers { get; set; }

    public bool IsDirty => dirty.Count > 0 || gone.Count > 0;

    /// <summary>The next deadline, revision or end of a retention, ms; null where none is ahead.</summary>
    public long? NextDueMs => timers.Count > 0 ? timers.Min.DueMs : null;

    public void Restore(Batch batch)
    {
        if (batch.IsOver)
        {
            over.Add(batch.Key, batch);
            CountRetained(batch);
        }
        else
        {
            batches.Add(batch.Key, batch);
            if (!batch.IsOpen) held.Add(batch);
            else if (batch.WindowStartMs is not null) ClockOf(batch).Open.Add(batch);
        }

        Schedule(batch);
    }

    public void Restore(WindowClockState state)
    {
        var clock = ClockOf(state.Module, state.Topic);
        clock.HighestMs = state.HighestMs;
        clock.ForgottenMs = state.ForgottenMs;
    }

    public IEnumerable<WindowClockState> SaveClocks() => clocks.Values.Select(clock => clock.Save());

    /// <summary>What a record announces: the batches that it opened, and what it adds to windows of event time.</summary>
    public void Announce(Manifest manifest, SourcePartition source, long nowMs)
    {
        foreach (var name in manifest.Modules)
        {
            if (!settings.Pipeline.Modules.TryGetValue(name, out var module)) continue;
            var key = new BatchKey(name, manifest.BatchId);
            if (over.ContainsKey(key)) continue;
            var batch = Find(key) ?? Add(new BatchDebt(manifest.BatchId, source, manifest.Offset), name);
            if (batch.IsOpen) continue;
            batch.Open(manifest.Stations, module.Batch, nowMs);
            Opened(batch);
            if (batch.IsComplete(module.Batch)) End(batch, module, false, nowMs);
        }

        if (manifest.Windows.Count > 0) AddToWindows(manifest, source, nowMs);
        DropOrphans(source, manifest.Offset);
    }

    /// <summary>One station's answer.</summary>
    public void Answer(Answer answer, long nowMs)
    {
        var key = new BatchKey(answer.Module, answer.BatchId);
        var source = new SourcePartition(answer.Topic, answer.Incarnation, answer.Partition);
        var batch = Find(key);
        if (batch is null)
        {
            var manifests = marks.Find(log, source);
            var isForgotten = answer.HasWindowStartMs && answer.WindowStartMs < ClockOf(answer.Module, answer.Topic).ForgottenMs;
            if (isForgotten || (manifests is not null && manifests.Highest.Offset >= answer.Offset))
            {
                Late(answer, source, nowMs);
                return;
            }

            held.Add(batch = Add(new BatchDebt(answer.BatchId, source, answer.Offset, answer.HasWindowStartMs ? answer.WindowStartMs : null), key.Module));
        }

        if (!batch.Take(answer, nowMs)) return;
        dirty.Add(batch);
        outputs.Raise(new BatchAnswered(outputs.Shard, key.Module, key.BatchId, answer.Station));
        if (!settings.Pipeline.Modules.TryGetValue(key.Module, out var module))
        {
            // No revision goes out for a module that is gone.
            if (!batch.IsOver) return;
            Remove(batch);
            Late(answer, source, nowMs);
            return;
        }

        if (batch.IsOver) AfterLate(batch, module, nowMs);
        else if (IsComplete(batch, module)) End(batch, module, false, nowMs);
    }

    /// <summary>Ends the batches whose deadline has passed, sends revisions, and forgets what was kept long enough.</summary>
    public void TimePassed(long nowMs)
    {
        while (timers.Count > 0 && timers.Min.DueMs <= nowMs)
        {
            var batch = Find(timers.Min.Key)!;
            settings.Pipeline.Modules.TryGetValue(batch.Key.Module, out var module);
            if (batch.IsOver)
            {
                if (batch.RevisionDueMs > 0 && module is not null)
                {
                    outputs.Raise(new TimerFired(outputs.Shard, "revision", batch.Key.BatchId));
                    Revise(batch, module, nowMs);
                }

                if (batch.RetainedUntilMs <= nowMs || module is null) Remove(batch);
                else Schedule(batch);
            }
            else
            {
                outputs.Raise(new TimerFired(outputs.Shard, "deadline", batch.Key.BatchId));
                // A window in which everybody has answered merely closes by its deadline.
                End(batch, module, module is null || !batch.HasAllAnswers, nowMs);
            }
        }
    }

    /// <summary>The changed batches since the last call, for a checkpoint; one that is gone without state.</summary>
    public void TakeChanged(List<EntityState> entities)
    {
        foreach (var batch in dirty) batch.Save(entities, settings.WholeBatchBytesMax);
        entities.AddRange(gone);
        dirty.Clear();
        gone.Clear();
    }

    private Batch? Find(BatchKey key) => batches.GetValueOrDefault(key) ?? over.GetValueOrDefault(key);

    private Batch Add(in BatchDebt opening, string module)
    {
        var batch = new Batch(opening, module);
        batches.Add(batch.Key, batch);
        dirty.Add(batch);
        return batch;
    }

    private void Opened(Batch batch)
    {
        held.Remove(batch);
        dirty.Add(batch);
        Schedule(batch);
        outputs.Raise(new BatchOpened(outputs.Shard, batch.Key.Module, batch.Key.BatchId, batch.ExpectedCount));
    }

    private void AddToWindows(Manifest manifest, SourcePartition source, long nowMs)
    {
        List<WindowClock> moved = [];
        foreach (var addition in manifest.Windows)
        {
            if (!settings.Pipeline.Modules.TryGetValue(addition.Module, out var module)) continue;
            var clock = ClockOf(addition.Module, source.Topic);
            if (!moved.Contains(clock)) moved.Add(clock);
            var debt = new BatchDebt(EventWindow.BatchId(source.Topic, addition.StartMs), source, manifest.Offset, addition.StartMs);
            AddToWindow(clock, module, debt, addition.Stations, nowMs);
        }

        // The record is part of its windows before its own time closes any.
        foreach (var addition in manifest.Windows)
        {
            if (moved.Find(clock => clock.Module == addition.Module) is { } clock) clock.HighestMs = Math.Max(clock.HighestMs, addition.NewestMs);
        }

        foreach (var clock in moved)
        {
            var module = settings.Pipeline.Modules[clock.Module];
            foreach (var batch in clock.Open.Where(batch => IsComplete(batch, module)).ToList()) End(batch, module, false, nowMs);
        }
    }

    private void AddToWindow(WindowClock clock, ModuleConfiguration module, in BatchDebt debt, IReadOnlyList<string> stations, long nowMs)
    {
        var batch = Find(new BatchKey(module.Name, debt.BatchId));
        if (batch is null)
        {
            // Its answers are late. A window that nobody was in may still open, and closes as soon as all have answered.
            if (debt.WindowStartMs < clock.ForgottenMs) return;
            batch = Add(debt, module.Name);
        }

        var isNew = !batch.HasManifest;
        batch.Extend(stations, IsClosed(batch, module), module.Batch, nowMs);
        if (isNew)
        {
            clock.Open.Add(batch);
            Opened(batch);
            return;
        }

        dirty.Add(batch);
        if (batch.IsOver) Retain(batch, nowMs);
        Schedule(batch);
    }

    private bool IsComplete(Batch batch, ModuleConfiguration module) =>
        (batch.WindowStartMs is null || IsClosed(batch, module)) && batch.IsComplete(module.Batch);

    private bool IsClosed(Batch batch, ModuleConfiguration module) =>
        batch.WindowStartMs + module.Batch.LengthMs + module.Batch.LatenessMs <= ClockOf(batch).HighestMs;

    private void End(Batch batch, ModuleConfiguration? module, bool timedOut, long nowMs)
    {
        var results = module is null ? 0 : batch.Finish(module, outputs, nowMs);
        outputs.Raise(timedOut
            ? new BatchTimedOut(outputs.Shard, batch.Key.Module, batch.Key.BatchId, batch.ExpectedCount, results)
            : new BatchCompleted(outputs.Shard, batch.Key.Module, batch.Key.BatchId, batch.ExpectedCount, results));
        if (module is null || !batch.IsAwaited)
        {
            Remove(batch);
            return;
        }

        batches.Remove(batch.Key);
        if (batch.WindowStartMs is not null) ClockOf(batch).Open.Remove(batch);
        over.Add(batch.Key, batch);
        dirty.Add(batch);
        Schedule(batch);
        Retain(batch, nowMs);
    }

    // The last late answer of a record's batch need not wait for others: nothing can come any more.
    private void AfterLate(Batch batch, ModuleConfiguration module, long nowMs)
    {
        if (batch.IsAwaited)
        {
            Schedule(batch);
            return;
        }

        if (batch.RevisionDueMs > 0) Revise(batch, module, nowMs);
        Remove(batch);
    }

    private void Revise(Batch batch, ModuleConfiguration module, long nowMs)
    {
        batch.Upload(module, outputs, nowMs);
        dirty.Add(batch);
        Retain(batch, nowMs);
    }

    // Counts the stations that a batch keeps, and lets the oldest batches go where it is too many.
    private void Retain(Batch batch, long nowMs)
    {
        CountRetained(batch);
        while (retainedStations > settings.RetainedStationsMax && retained.Count > 1)
        {
            var oldest = over[retained.Min.Key];
            if (oldest.RevisionDueMs > 0 && settings.Pipeline.Modules.TryGetValue(oldest.Key.Module, out var module)) oldest.Upload(module, outputs, nowMs);
            outputs.Raise(new BatchForgotten(outputs.Shard, oldest.Key.Module, oldest.Key.BatchId));
            Remove(oldest);
        }
    }

    private void CountRetained(Batch batch)
    {
        retained.Add((batch.EndedMs, batch.Key));
        retainedStations += batch.StationCount - batch.RetainedStations;
        batch.RetainedStations = batch.StationCount;
    }

    private void Schedule(Batch batch)
    {
        // One that has just been let go, because too many are kept, wants nothing any more.
        if (batch.ScheduledMs == batch.DueMs || Find(batch.Key) is null) return;
        if (batch.ScheduledMs is { } old) timers.Remove((old, batch.Key));
        if (batch.DueMs is { } due) timers.Add((due, batch.Key));
        batch.ScheduledMs = batch.DueMs;
    }

    private void Remove(Batch batch)
    {
        if (Find(batch.Key) is null) return;
        if (batch.ScheduledMs is { } due) timers.Remove((due, batch.Key));
        batches.Remove(batch.Key);
        if (over.Remove(batch.Key))
        {
            retained.Remove((batch.EndedMs, batch.Key));
            retainedStations -= batch.RetainedStations;
        }

        if (batch.WindowStartMs is { } start && batch.HasManifest)
        {
            var clock = ClockOf(batch);
            clock.Open.Remove(batch);
            clock.ForgottenMs = Math.Max(clock.ForgottenMs, start + 1);
        }

        dirty.Remove(batch);
        batch.Delete(gone);
    }

    // Held answers whose record is passed by the manifests of its partition: their batch was no longer kept. Those of this very
    // record that it has not opened are of a module that is gone.
    private void DropOrphans(SourcePartition source, long offset)
    {
        if (held.Count == 0) return;
        foreach (var batch in held.Where(batch => batch.Opening.Source == source && batch.Opening.Offset <= offset).ToList())
        {
            held.Remove(batch);
            LateAnswers += batch.AnsweredCount;
            Remove(batch);
        }
    }

    private void Late(Answer answer, SourcePartition source, long nowMs)
    {
        LateAnswers++;
        outputs.Raise(new AnswerLate(outputs.Shard, answer.Module, answer.BatchId, answer.Station));
        if (answer.Outcome != Outcome.Result) return;
        var reason = new Rejection("late-answer", $"{answer.Module} answered when its batch {answer.BatchId} was over and no longer kept");
        outputs.Reject(DeadLetter.Of(source, answer.Offset, 0, answer.Station, reason, answer.Result.Memory, nowMs));
    }

    private WindowClock ClockOf(Batch batch) => ClockOf(batch.Key.Module, batch.Opening.Source.Topic);

    private WindowClock ClockOf(string module, string topic)
    {
        var key = $"{module}\u001f{topic}";
        if (!clocks.TryGetValue(key, out var clock)) clocks.Add(key, clock = new WindowClock(module, topic));
        return clock;
    }

    /// <summary>By time, then by key, so that what is due together is done in one order always.</summary>
    private sealed class ByTime : IComparer<(long TimeMs, BatchKey Key)>
    {
        public static readonly ByTime Instance = new();

        public int Compare((long TimeMs, BatchKey Key) left, (long TimeMs, BatchKey Key) right)
        {
            var byTime = left.TimeMs.CompareTo(right.TimeMs);
            if (byTime != 0) return byTime;
            var byModule = string.CompareOrdinal(left.Key.Module, right.Key.Module);
            return byModule != 0 ? byModule : string.CompareOrdinal(left.Key.BatchId, right.Key.BatchId);
        }
    }
}
