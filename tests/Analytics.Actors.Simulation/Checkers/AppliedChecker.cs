using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Simulation;

/// <summary>
/// State exactly once, against what was sent and not against what was routed: every part once (count and XOR of places per
/// source partition), and the state itself: the last value of every station, of every module's output and of global topics.
/// </summary>
public sealed class AppliedChecker(Cluster cluster, Workload workload, IReadOnlyList<ShardFold> folds)
{
    // What each record must have come to, under the version that routes its offset.
    private IReadOnlyList<ExpectedRecord> Expected { get; } =
        [.. workload.Expected.Select(record => Workload.Under(cluster.Store.VersionAt(record.Partition, record.Offset), record))];

    public void Judge(Action<Finding> report)
    {
        var shards = folds.Select((_, shard) => cluster.Store.Peek(new ShardId(shard))).ToList();
        CheckParts(shards, report);
        CheckLastValues(report);
        for (var shard = 0; shard < shards.Count; shard++) CheckWindows(shards[shard], folds[shard], report);
    }

    private void CheckParts(List<RecoveredShard> shards, Action<Finding> report)
    {
        var sent = new Dictionary<(int Shard, TopicPartition Source), List<Place>>();
        void Expect(int shard, TopicPartition source, Place place)
        {
            if (!sent.TryGetValue((shard, source), out var places)) sent.Add((shard, source), places = []);
            places.Add(place);
        }

        // What a restored backup took back counts under its new id alone.
        var outputs = Outputs.Distinct(cluster.Log, Workload.FirstOutput)
            .Where(found => !(Origin.TryParse(found.Record.Origin, out var origin) && cluster.Settings.Earlier.TookBack(origin, Workload.FirstOutput)))
            .Select(found => workload.RecordAt(cluster.Log, found.Partition, found.Record.Offset));
        foreach (var record in Expected.Concat(outputs))
        {
            for (var shard = 0; record.IsGlobal && shard < shards.Count; shard++) Expect(shard, record.Partition, new Place(record.Offset, 0, 0));
            foreach (var (station, index) in record.Parts) Expect(Murmur2.Partition(station, shards.Count), record.Partition, new Place(record.Offset, index, 0));
        }

        for (var shard = 0; shard < shards.Count; shard++)
        {
            CheckWitness(shards[shard], folds[shard], report);
            foreach (var source in cluster.Sources)
            {
                // Of a topic that was made again only the state can be compared: what was deleted unread is gone.
                if (cluster.Log.Life(source) > 0) continue;
                var applied = folds[shard].Applied.Where(run => run.Key.Topic == source.Topic && run.Key.Partition == source.Partition).SelectMany(run => run.Value).ToList();
                var expected = sent.GetValueOrDefault((shard, source), []);
                var lost = expected.Except(applied).Where(place => !cluster.Checkers.IsSkipped(source, place.Offset)).ToList();
                if (lost.Count > 0) report(new Finding($"shard {shard} never applied {lost.Count} parts of {source} that were sent, {lost[0]} the first", $"shard {shard}", source.ToString()));
                if (applied.Count != applied.Distinct().Count() || applied.Except(expected).Any())
                    report(new Finding($"shard {shard} applied {applied.Count} parts of {source}, {expected.Count} were sent", $"shard {shard}", source.ToString()));
            }
        }
    }

    // The marks' own witness of what was applied: its count, and the XOR of the places.
    private static void CheckWitness(RecoveredShard shard, ShardFold fold, Action<Finding> report)
    {
        foreach (var (source, places) in fold.Applied)
        {
            var mark = shard.Marks.FirstOrDefault(mark => mark.Source == $"p|{source.Topic}|{source.Incarnation}|{source.Partition}" && !mark.Log.Topic.EndsWith("batch-results", StringComparison.Ordinal));
            var hash = places.Aggregate(0UL, (sum, place) => sum ^ place.Hash());
            if (mark?.AppliedCount != places.Count || mark.AppliedHash != hash)
                report(new Finding($"shard {shard.Shard}: the mark of {source} witnesses {mark?.AppliedCount} parts, {places.Count} were applied", $"shard {shard.Shard}", source.ToString()));
        }
    }

    // A station's records are all in one partition: the last one sent is the last one applied.
    private void CheckLastValues(Action<Finding> report)
    {
        var last = new Dictionary<(string Topic, string Station), string>();
        foreach (var record in Expected.Where(record => record.Partition.Topic is Workload.Meters or Workload.States && !cluster.Checkers.IsSkipped(record.Partition, record.Offset)))
        {
            foreach (var (station, _) in record.Parts) last[(record.Partition.Topic, station)] = record.Value;
        }

        var calendar = new TopicPartition(Workload.Calendar, 0);
        var day = workload.Expected.LastOrDefault(record => record.IsGlobal && record.Life == cluster.Log.Life(calendar))?.Value;
        foreach (var fold in folds.Where(fold => day is not null && fold.DayOfNewestLife != day)) report(new Finding($"the last day that reached a shard is {fold.DayOfNewestLife}, the last one sent is {day}", calendar.ToString()));
        foreach (var ((topic, station), value) in last)
        {
            var fold = folds[Murmur2.Partition(station, folds.Count)];
            var held = (topic == Workload.Meters ? fold.Meters : fold.States).GetValueOrDefault(station);
            // Forgotten after its last record: the steering checker looks that nothing is left of it.
            if (held is null && fold.Forgotten.Contains(station)) continue;
            if (Skipped(topic, station) is false && held != value) report(new Finding($"the last record of {topic} that reached station {station} says {held}, the last one sent {value}", station));
        }
    }

    // A record that was skipped may have been applied all the same, by a router that had read it before.
    private bool Skipped(string topic, string station) => Expected.Any(record =>
        record.Partition.Topic == topic && cluster.Checkers.IsSkipped(record.Partition, record.Offset) && record.Parts.Any(part => part.Station == station));

    private void CheckWindows(RecoveredShard shard, ShardFold fold, Action<Finding> report)
    {
        var rows = shard.Entities.ToDictionary(entity => (entity.Kind, entity.Key), entity => entity.State!);
        void Check(EntityKind kind, string key, string topic, string member, string value, params string[] concerns)
        {
            var fragment = rows.TryGetValue((kind, key), out var row)
                ? TopicWindows.Load(cluster.Settings.Pipeline.Topics[topic], cluster.Settings.Pipeline.TimeZone, row).Shape()
                : null;
            var held = fragment is null ? "nothing" : System.Text.Json.JsonDocument.Parse(Encoding.UTF8.GetString(fragment.GetJson(member).Span)).RootElement.ToString();
            if (held != value) report(new Finding($"{topic} of {(concerns.Length > 0 ? concerns[0] : $"shard {shard.Shard}")} holds {held}, its last record said {value}", [$"shard {shard.Shard}", .. concerns]));
        }

        foreach (var (station, value) in fold.Meters) Check(EntityKind.Window, $"{station}\u001f{Workload.Meters}", Workload.Meters, "value", value, station);
        foreach (var (station, value) in fold.States) Check(EntityKind.Window, $"{station}\u001f{Workload.States}", Workload.States, "state", value, station);
        foreach (var (station, value) in fold.FirstSaw) Check(EntityKind.Window, $"{station}\u001f{Workload.FirstOutput}", Workload.FirstOutput, "first_saw", value, station);
        if (fold.Day is { } day) Check(EntityKind.Global, Workload.Calendar, Workload.Calendar, "day", day);
    }
}
