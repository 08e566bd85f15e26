using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Simulation;

/// <summary>
/// State exactly once, against what was sent and not against what was routed: every part once (count and XOR of places per
/// source partition), and the state itself: the last value of every station, of every module's output and of global topics.
/// </summary>
public sealed class AppliedChecker(Cluster cluster, Workload workload, IReadOnlyList<ShardFold> folds)
{
    public void Judge(Action<Finding> report)
    {
        var shards = folds.Select((_, shard) => cluster.Store.Peek(new ShardId(shard))).ToList();
        CheckParts(shards, report);
        CheckLastValues(report);
        for (var shard = 0; shard < shards.Count; shard++) CheckWindows(shards[shard], folds[shard], report);
    }

    private void CheckParts(List<RecoveredShard> shards, Action<Finding> report)
    {
        var expected = new Dictionary<(int Shard, string Source), (long Count, ulong Hash)>();
        void Expect(int shard, TopicPartition partition, Place place)
        {
            var key = (shard, $"p|{partition.Topic}|0|{partition.Partition}");
            var (count, hash) = expected.GetValueOrDefault(key);
            expected[key] = (count + 1, hash ^ place.Hash());
        }

        var outputs = Outputs.Distinct(cluster.Log, Workload.FirstOutput)
            .Select(found => workload.RecordAt(cluster.Log, found.Partition, found.Record.Offset));
        foreach (var record in workload.Expected.Concat(outputs))
        {
            for (var shard = 0; record.IsGlobal && shard < shards.Count; shard++) Expect(shard, record.Partition, new Place(record.Offset, 0, 0));
            foreach (var (station, index) in record.Parts) Expect(Murmur2.Partition(station, shards.Count), record.Partition, new Place(record.Offset, index, 0));
        }

        var found = shards.SelectMany(shard => shard.Marks
                .Where(mark => mark.Log.Topic == cluster.Settings.PartsTopic && mark.Source.StartsWith("p|", StringComparison.Ordinal) && mark.AppliedCount > 0)
                .Select(mark => (Key: (shard.Shard.Value, mark.Source), mark.AppliedCount, mark.AppliedHash)))
            .ToDictionary(mark => mark.Key, mark => (mark.AppliedCount, mark.AppliedHash));
        foreach (var key in expected.Keys.Union(found.Keys).Order())
        {
            var want = expected.GetValueOrDefault(key);
            var have = found.GetValueOrDefault(key);
            if (want == have) continue;
            var parts = key.Item2.Split('|');
            report(new Finding($"shard {key.Item1} applied {have.AppliedCount} parts of {key.Item2}, {want.Count} were sent{(want.Count == have.AppliedCount ? " (others)" : "")}", $"shard {key.Item1}", $"{parts[1]}[{parts[3]}]"));
        }
    }

    // A station's records are all in one partition: the last one sent is the last one applied.
    private void CheckLastValues(Action<Finding> report)
    {
        var last = new Dictionary<string, string>();
        foreach (var record in workload.Expected.Where(record => record.Partition.Topic == Workload.Meters))
        {
            foreach (var (station, _) in record.Parts) last[station] = record.Value;
        }

        foreach (var (station, value) in last)
        {
            var held = folds[Murmur2.Partition(station, folds.Count)].Meters.GetValueOrDefault(station);
            if (held != value) report(new Finding($"the last record that reached station {station} says {held}, the last one sent {value}", station));
        }
    }

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
        foreach (var (station, value) in fold.FirstSaw) Check(EntityKind.Window, $"{station}\u001f{Workload.FirstOutput}", Workload.FirstOutput, "first_saw", value, station);
        if (fold.Day is { } day) Check(EntityKind.Global, Workload.Calendar, Workload.Calendar, "day", day);
    }
}
