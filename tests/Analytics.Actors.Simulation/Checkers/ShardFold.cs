using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>A batch that expects an answer of a station, as a part named it, and what its module must have seen.</summary>
/// <param name="Saw">The whole input of module first; what the input of module second must hold.</param>
/// <param name="Gone">Orders of the station that had been forgotten by then.</param>
public readonly record struct Debt(string Module, string BatchId, string Station, string Saw, IReadOnlyList<string> Gone);

/// <summary>
/// What a shard must be after the records that it has read: computed from its logs up to each committed position, in a few
/// lines that share nothing with the production code. Each checkpoint is compared with it: marks, positions, and the parts
/// that it applied, in their order (invariants 2 and 3).
/// </summary>
public sealed class ShardFold(Cluster cluster, ShardId shard)
{
    private readonly Dictionary<(string Topic, string Source), Place> marks = [];
    private readonly HashSet<(string Topic, string Source)> changed = [];
    private readonly Dictionary<TopicPartition, long> positions = [];
    private readonly Dictionary<(string Station, SourcePartition Source), Place> appliedTo = [];
    // What each log must have applied since the last checkpoint; how the logs took turns, only the shard knows.
    private readonly SortedDictionary<TopicPartition, Queue<(RecordParts Record, Part Part)>> toApply = [];
    private readonly HashSet<string> storeIds = [];
    private readonly Queue<(int AfterParts, string Station)> forgotten = new();
    private readonly Dictionary<string, List<string>> orders = [];
    private readonly Dictionary<string, IReadOnlyList<string>> goneOrders = [];
    private bool isRestored;

    /// <summary>The last values of METERS and of STATES by station, that of the module first, and the last day of CALENDAR.</summary>
    public Dictionary<string, string> Meters { get; } = [];
    public Dictionary<string, string> States { get; } = [];
    public Dictionary<string, string> FirstSaw { get; } = [];
    public string? Day { get; private set; }

    /// <summary>The last day of the topic's newest life: one of a deleted topic that was still under way may come after it.</summary>
    public string? DayOfNewestLife { get; private set; }
    private int newestLife;

    /// <summary>Stations that were forgotten at some time.</summary>
    public HashSet<string> Forgotten { get; } = [];

    /// <summary>Everything that was applied, by source partition.</summary>
    public Dictionary<SourcePartition, List<Place>> Applied { get; } = [];

    public List<Debt> Debts { get; } = [];
    /// <summary>The same for windows of event time, in which a station may owe several answers to one batch.</summary>
    public List<Debt> WindowDebts { get; } = [];
    public List<(Answer Answer, string Store)> WindowAnswers { get; } = [];

    /// <summary>Answers as they arrive, with the store under whose id they were sent.</summary>
    public List<(Answer Answer, string Store)> Answers { get; } = [];
    public Dictionary<(string Module, string BatchId), IReadOnlyList<string>> Opened { get; } = [];

    /// <summary>What the shard told and checkpoints made lasting, with the earliest and latest time at which it can have happened.</summary>
    public List<(ShardEvent Event, long FromMs, long ToMs)> Events { get; } = [];

    private TopicPartition PartsLog => new(cluster.Settings.PartsTopic, shard.Value);

    public void Walk(Action<Finding> report)
    {
        long last = World.StartMs, beforeLast = World.StartMs;
        foreach (var entry in cluster.Store.Timeline.Where(entry => entry.Shard == shard))
        {
            if (entry is Committed committed)
            {
                storeIds.Add(committed.StoreId);
                // What a backup took back is written again.
                isRestored = committed.StoreId == cluster.Settings.StoreId;
                Compare(committed, report);
                // It was taken after the one before had committed: what it tells happened after the one before that.
                foreach (var happened in committed.Events) Events.Add((happened, beforeLast, committed.TimeMs));
            }

            beforeLast = last;
            last = entry.TimeMs;
        }
    }

    private void Compare(Committed committed, Action<Finding> report)
    {
        var checkpoint = committed.Checkpoint;
        void Wrong(string text, params string[] concerns) =>
            report(new Finding($"shard {shard}, checkpoint {checkpoint.Number} of epoch {checkpoint.Epoch}: {text}", [$"shard {shard}", .. concerns]));
        changed.Clear();
        var parts = 0;
        foreach (var happened in committed.Events)
        {
            if (happened is PartApplied) parts++;
            else if (happened is StationSteered { Order: StationOrder.Forget } steered) forgotten.Enqueue((parts, steered.Station));
        }

        foreach (var position in checkpoint.Positions)
        {
            var from = positions.GetValueOrDefault(position.Partition);
            if (position.Next < from) Wrong($"position {position.Next} of {position.Partition} after {from}");
            if (position.Next > cluster.Log.End(position.Partition)) Wrong($"position {position.Next} of {position.Partition}, which ends at {cluster.Log.End(position.Partition)}");
            var to = Math.Min(position.Next, cluster.Log.End(position.Partition));
            for (var offset = from; offset < to; offset++)
            {
                if (!cluster.Checkers.IsSkipped(position.Partition, offset)) Read(position.Partition, offset, position.Incarnation, checkpoint.Epoch, Wrong);
            }

            positions[position.Partition] = Math.Max(from, to);
            var record = to > 0 ? cluster.Log.At(position.Partition, to - 1) : null;
            // One that a check has moved has read nothing there yet.
            if (record is not null && (position.HasWitness || !cluster.Settings.IsKeyed(position.Partition.Topic)) && (record.TimestampMs != position.LastTimestampMs || Checksum.Of(record.Value) != position.LastChecksum))
                Wrong($"position {position.Next} of {position.Partition} tells another last record than the log has");
        }

        foreach (var mark in checkpoint.Marks)
        {
            var key = (mark.Log.Topic, mark.Source);
            var expected = marks.GetValueOrDefault(key, Place.None);
            if (mark.Highest != expected) Wrong($"the mark of {mark.Source} in {mark.Log} is {mark.Highest}, the records up to the position give {expected}", mark.Source);
            changed.Remove(key);
        }

        foreach (var (topic, source) in changed) Wrong($"the mark of {source} in {topic} moved to {marks[(topic, source)]} and was not stored", source);
        CompareApplied(committed, Wrong);
    }

    private void CompareApplied(Committed committed, Action<string, string[]> wrong)
    {
        var told = committed.Events.OfType<PartApplied>().Select(part => (part.Station, part.Source, part.Place)).ToList();
        foreach (var part in told)
        {
            var key = (part.Station, part.Source);
            if (appliedTo.TryGetValue(key, out var before) && part.Place <= before) wrong($"{part.Source} {part.Place} was applied to {part.Station} after {before}", [part.Station]);
            appliedTo[key] = part.Place;
        }

        for (var index = 0; index < told.Count; index++)
        {
            var part = told[index];
            var log = toApply.FirstOrDefault(log => log.Value.TryPeek(out var next) && PlaceOf(next) == part).Value;
            if (log is null)
            {
                var expected = toApply.Values.Where(log => log.Count > 0).Select(log => PlaceOf(log.Peek())).Select(next => $"{next.Source} {next.Place} of {next.Station}").DefaultIfEmpty("nothing");
                wrong($"it applied {part.Source} {part.Place} of {part.Station} where its records say {string.Join(" or ", expected)}", [part.Station]);
                break;
            }

            Forget(index);
            Apply(log.Dequeue());
        }

        Forget(int.MaxValue);

        foreach (var log in toApply.Values)
        {
            if (log.Count > 0 && PlaceOf(log.Peek()) is var next) wrong($"it applied nothing where its records say {next.Source} {next.Place} of {next.Station}", [next.Station]);
            while (log.TryDequeue(out var left)) Apply(left);
        }
    }

    private static (string Station, SourcePartition Source, Place Place) PlaceOf((RecordParts Record, Part Part) of) =>
        (of.Part.Station, new SourcePartition(of.Record.Topic, of.Record.Incarnation, of.Record.Partition), new Place(of.Record.Offset, of.Part.Index, of.Part.Ordinal));

    private void Read(TopicPartition partition, long offset, int incarnation, Epoch epoch, Action<string, string[]> wrong)
    {
        if (partition == PartsLog)
        {
            foreach (var record in cluster.Checkers.Envelopes.Parts(partition)[(int)offset].Records) Read(partition, record);
            return;
        }

        if (cluster.Settings.IsKeyed(partition.Topic))
        {
            var version = cluster.Checkers.KeyedVersions[(partition, offset)] = cluster.Checkers.Versions[(shard, epoch)];
            var (own, announced) = KeyedRecords.Of(cluster.Settings.ShardCount, partition, cluster.Log.At(partition, offset), incarnation, version);
            if (announced is not null) Read(announced, wrong);
            Read(partition, own);
            return;
        }

        var envelope = cluster.Checkers.Envelopes.Batches(partition)[(int)offset];
        foreach (var manifest in envelope.Manifests) Read(manifest, wrong);
        if (envelope.Answers.Count == 0 || !Origin.TryParse(envelope.Origin, out var from) || !(storeIds.Contains(from.Store) || cluster.Settings.Earlier.Contains(from.Store)) || IsTakenBack(from, cluster.Settings.BatchTopic)) return;
        for (var index = 0; index < envelope.Answers.Count; index++)
        {
            if (!Advance(cluster.Settings.BatchTopic, RunKey(cluster.Settings.BatchTopic, from), new Place(from.Sequence, index, 0))) continue;
            (envelope.Answers[index].HasWindowStartMs ? WindowAnswers : Answers).Add((envelope.Answers[index], from.Store));
        }
    }

    private void Read(Manifest manifest, Action<string, string[]> wrong)
    {
        if (!Advance(cluster.Settings.BatchTopic, SourceKey(manifest.Topic, manifest.Incarnation, manifest.Partition), new Place(manifest.Offset, manifest.Index, 0))) return;
        if (Origin.TryParse(manifest.Origin, out var origin) && (IsTakenBack(origin, manifest.Topic) || !Advance(cluster.Settings.BatchTopic, RunKey(manifest.Topic, origin), new Place(origin.Sequence, manifest.Index, 0)))) return;
        foreach (var module in manifest.Modules)
        {
            if (!Opened.TryAdd((module, manifest.BatchId), manifest.Stations)) wrong($"batch {module} {manifest.BatchId} was announced twice", [manifest.BatchId]);
        }
    }

    private void Read(TopicPartition log, RecordParts record)
    {
        var source = new SourcePartition(record.Topic, record.Incarnation, record.Partition);
        foreach (var part in record.Parts)
        {
            var place = new Place(record.Offset, part.Index, part.Ordinal);
            if (!Advance(log.Topic, SourceKey(record.Topic, record.Incarnation, record.Partition), place)) continue;
            if (Origin.TryParse(record.Origin, out var origin) && (IsTakenBack(origin, record.Topic) || !Advance(log.Topic, RunKey(record.Topic, origin), new Place(origin.Sequence, part.Index, part.Ordinal)))) continue;
            if (part.Rejected is not null) continue;
            if (!Applied.TryGetValue(source, out var places)) Applied.Add(source, places = []);
            places.Add(place);
            if (!toApply.TryGetValue(log, out var waiting)) toApply.Add(log, waiting = []);
            waiting.Enqueue((record, part));
        }
    }

    // What was forgotten before that many parts of the checkpoint had been applied.
    private void Forget(int appliedParts)
    {
        while (forgotten.TryPeek(out var next) && next.AfterParts <= appliedParts)
        {
            forgotten.Dequeue();
            Meters.Remove(next.Station);
            States.Remove(next.Station);
            FirstSaw.Remove(next.Station);
            Forgotten.Add(next.Station);
            if (orders.Remove(next.Station, out var gone)) goneOrders[next.Station] = [.. goneOrders.GetValueOrDefault(next.Station, []), .. gone];
        }
    }

    private void Apply((RecordParts Record, Part Part) next)
    {
        var (record, part) = next;
        using var item = JsonDocument.Parse(part.Items[^1].Memory);
        var saw = "";
        switch (record.Topic)
        {
            case Workload.Calendar:
                Day = item.RootElement.GetProperty("day").GetString()!;
                if (record.Incarnation < newestLife) break;
                newestLife = record.Incarnation;
                DayOfNewestLife = Day;
                break;
            case Workload.Meters:
                Meters[part.Station] = item.RootElement.GetProperty("value").GetString()!;
                saw = (Day is null ? "" : $"day=\"{Day}\";") + $"value=\"{Meters[part.Station]}\"";
                break;
            case Workload.States:
                States[part.Station] = item.RootElement.GetProperty("state").GetString()!;
                break;
            case Workload.FirstOutput:
                saw = FirstSaw[part.Station] = item.RootElement.TryGetProperty("first_saw", out var told) ? told.GetString()! : "";
                break;
            default:
                saw = item.RootElement.GetProperty("order").GetString()!;
                if (!orders.TryGetValue(part.Station, out var known)) orders.Add(part.Station, known = []);
                known.Add(saw);
                break;
        }

        foreach (var batch in part.Batches) WindowDebts.Add(new Debt(batch.Module, batch.BatchId, part.Station, Meters.GetValueOrDefault(part.Station, ""), []));
        foreach (var batch in record.Batches) Debts.Add(new Debt(batch.Module, batch.BatchId, part.Station, saw, goneOrders.GetValueOrDefault(part.Station, [])));
    }

    private bool IsTakenBack(Origin origin, string topic) => isRestored && cluster.Settings.Earlier.TookBack(origin, topic);

    private bool Advance(string topic, string source, Place place)
    {
        if (place <= marks.GetValueOrDefault((topic, source), Place.None)) return false;
        marks[(topic, source)] = place;
        changed.Add((topic, source));
        return true;
    }

    private static string SourceKey(string topic, int incarnation, int partition) => $"p|{topic}|{incarnation}|{partition}";

    private static string RunKey(string topic, Origin origin) => $"o|{topic}|{origin.Store}|{origin.Shard}|{origin.Partition}";
}
