using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Core.Batches;

/// <summary>
/// The batches of one shard. Manifests open them, answers and deadlines end them; what comes for a batch that is over is
/// counted and dead-lettered.
/// </summary>
/// <remarks>
/// An answer for an unknown batch is early if its record's manifest has not come (the manifests' mark is still below the
/// record's offset), else the batch is over: manifests of one source partition arrive in order of offset.
/// </remarks>
public sealed class BatchRegister(PipelineConfiguration pipeline, ShardOutputs outputs, Marks marks, TopicPartition log)
{
    private readonly Dictionary<BatchKey, Batch> batches = [];
    private readonly PriorityQueue<BatchKey, long> deadlines = new();
    private readonly List<BatchKey> ended = [];
    private readonly HashSet<Batch> dirty = [];

    // Batches without a manifest yet.
    private readonly HashSet<Batch> held = [];

    public IReadOnlyDictionary<BatchKey, Batch> Batches => batches;

    /// <summary>Answers that came after their batch was over.</summary>
    public long LateAnswers { get; set; }

    public bool IsDirty => dirty.Count > 0 || ended.Count > 0;

    /// <summary>The next deadline, ms; null without an open batch.</summary>
    public long? NextDueMs => deadlines.TryPeek(out _, out var due) ? due : null;

    public void Restore(Batch batch)
    {
        batches.Add(batch.Key, batch);
        if (batch.IsOpen) deadlines.Enqueue(batch.Key, batch.DeadlineMs);
        else held.Add(batch);
    }

    /// <summary>A record opened one batch of each of these modules.</summary>
    public void Open(Manifest manifest, SourcePartition source, long nowMs)
    {
        foreach (var name in manifest.Modules)
        {
            if (!pipeline.Modules.TryGetValue(name, out var module)) continue;
            var key = new BatchKey(name, manifest.BatchId);
            var batch = Find(key) ?? Add(key, source, manifest.Offset);
            if (batch.IsOpen) continue;
            batch.Open(manifest.Stations, module.Batch, nowMs);
            deadlines.Enqueue(key, batch.DeadlineMs);
            dirty.Add(batch);
            outputs.Raise(new BatchOpened(outputs.Shard, name, manifest.BatchId, batch.Expected.Count));
            if (batch.IsComplete(module.Batch)) Complete(batch, module, nowMs);
        }

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
            if (manifests is not null && manifests.Highest.Offset >= answer.Offset)
            {
                Late(answer, source, nowMs);
                return;
            }

            held.Add(batch = Add(key, source, answer.Offset));
        }

        if (!batch.Take(answer)) return;
        dirty.Add(batch);
        outputs.Raise(new BatchAnswered(outputs.Shard, key.Module, key.BatchId, answer.Station));
        if (pipeline.Modules.TryGetValue(key.Module, out var module) && batch.IsComplete(module.Batch)) Complete(batch, module, nowMs);
    }

    /// <summary>Ends the batches whose deadline has passed.</summary>
    public void TimePassed(long nowMs)
    {
        while (deadlines.TryPeek(out var key, out var due) && due <= nowMs)
        {
            deadlines.Dequeue();
            if (Find(key) is not { IsOpen: true } batch || batch.DeadlineMs > nowMs) continue;
            outputs.Raise(new TimerFired(outputs.Shard, "deadline", key.BatchId));
            var results = pipeline.Modules.TryGetValue(key.Module, out var module) ? batch.Finish(module, outputs, nowMs) : 0;
            outputs.Raise(new BatchTimedOut(outputs.Shard, key.Module, key.BatchId, batch.Expected.Count, results));
            Remove(batch);
        }
    }

    /// <summary>The changed batches since the last call, for a checkpoint; an ended one without state.</summary>
    public void TakeChanged(List<EntityState> entities)
    {
        foreach (var batch in dirty)
        {
            entities.Add(new EntityState(EntityKind.Batch, batch.Key.ToEntityKey(), batch.Save()));
            batch.WasSaved = true;
        }

        foreach (var key in ended) entities.Add(new EntityState(EntityKind.Batch, key.ToEntityKey(), null));
        dirty.Clear();
        ended.Clear();
    }

    private Batch? Find(BatchKey key) => batches.GetValueOrDefault(key);

    private Batch Add(BatchKey key, SourcePartition source, long offset)
    {
        var batch = new Batch(key, source, offset);
        batches.Add(key, batch);
        dirty.Add(batch);
        return batch;
    }

    private void Complete(Batch batch, ModuleConfiguration module, long nowMs)
    {
        var results = batch.Finish(module, outputs, nowMs);
        outputs.Raise(new BatchCompleted(outputs.Shard, batch.Key.Module, batch.Key.BatchId, batch.Expected.Count, results));
        Remove(batch);
        // Most batches end long before their deadline: without this the queue would hold seconds of traffic.
        while (deadlines.TryPeek(out var key, out _) && !batches.ContainsKey(key)) deadlines.Dequeue();
    }

    private void Remove(Batch batch)
    {
        batches.Remove(batch.Key);
        dirty.Remove(batch);
        if (batch.WasSaved) ended.Add(batch.Key);
    }

    // Held answers whose record is passed by the manifests of its partition: their batch was over before.
    private void DropOrphans(SourcePartition source, long offset)
    {
        if (held.Count == 0) return;
        held.RemoveWhere(batch => batch.IsOpen || !batches.ContainsKey(batch.Key));
        foreach (var batch in held.Where(batch => batch.Source == source && batch.Offset < offset).ToList())
        {
            held.Remove(batch);
            LateAnswers += batch.Answers.Count;
            Remove(batch);
        }
    }

    private void Late(Answer answer, SourcePartition source, long nowMs)
    {
        LateAnswers++;
        outputs.Raise(new AnswerLate(outputs.Shard, answer.Module, answer.BatchId, answer.Station));
        if (answer.Outcome != Outcome.Result) return;
        var reason = new Rejection("late-answer", $"{answer.Module} answered after its batch {answer.BatchId} was over");
        outputs.Reject(DeadLetter.Of(source, answer.Offset, 0, answer.Station, reason, answer.Result.Memory, nowMs));
    }
}
