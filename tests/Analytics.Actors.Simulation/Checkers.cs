using System.Text;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Simulation;

/// <summary>Looks at what the cluster did and says what is wrong. Observes only: nothing here helps it to be right.</summary>
public sealed class Checkers
{
    private readonly List<string> findings = [];

    public long PartsApplied { get; private set; }
    public long BatchesTimedOut { get; private set; }
    public long Passivated { get; private set; }
    public int Uploads { get; private set; }

    /// <summary>Uploads beyond the first one of their batch.</summary>
    public int Revisions { get; private set; }

    public void Observe(ShardEvent happened)
    {
        if (happened is PartApplied) PartsApplied++;
        if (happened is BatchTimedOut) BatchesTimedOut++;
        if (happened is StationsPassivated passivated) Passivated += passivated.Count;
        if (happened is RecordMissing missing) findings.Add($"a router skipped a record: {missing}");
    }

    /// <summary>After healing: what the store and the log hold against what was sent.</summary>
    public IReadOnlyList<string> Judge(Cluster cluster, Workload workload)
    {
        var shards = Enumerable.Range(0, cluster.Settings.ShardCount)
            .Select(shard => cluster.TakeOver(new ShardId(shard), "checker", whole: true)).ToList();
        CheckApplied(cluster, workload, shards);
        CheckWindows(cluster, workload, shards);
        CheckUploads(cluster, workload);
        CheckDeadLetters(cluster, workload);
        foreach (var shard in shards)
        {
            // One that is over may be kept for late answers.
            foreach (var batch in shard.Entities.Where(entity => entity.Kind == EntityKind.Batch && BatchState.Parser.ParseFrom(entity.State).EndedMs == 0))
            {
                findings.Add($"batch {batch.Key.Replace('\u001f', ' ')} of shard {shard.Shard} never ended");
            }
        }

        return findings;
    }

    // Every part once: the marks' witness against the sent records.
    private void CheckApplied(Cluster cluster, Workload workload, List<RecoveredShard> shards)
    {
        var expected = new Dictionary<(int Shard, string Source), (long Count, ulong Hash)>();
        void Expect(int shard, TopicPartition partition, Place place)
        {
            var key = (shard, $"p|{partition.Topic}|0|{partition.Partition}");
            var (count, hash) = expected.GetValueOrDefault(key);
            expected[key] = (count + 1, hash ^ place.Hash());
        }

        foreach (var record in workload.Expected)
        {
            if (record.IsGlobal)
            {
                for (var shard = 0; shard < shards.Count; shard++) Expect(shard, record.Partition, new Place(record.Offset, 0, 0));
            }

            foreach (var (station, index) in record.Parts) Expect(Murmur2.Partition(station, shards.Count), record.Partition, new Place(record.Offset, index, 0));
        }

        foreach (var (partition, record, root) in DistinctUploads(cluster, Workload.FirstOutput))
        {
            var index = 0;
            foreach (var item in root.GetProperty("stations").EnumerateArray())
            {
                var station = item.GetProperty("station_id").GetString()!;
                Expect(Murmur2.Partition(station, shards.Count), partition, new Place(record.Offset, index++, 0));
            }
        }

        var found = shards.SelectMany(shard => shard.Marks
                .Where(mark => mark.Log.Topic == cluster.Settings.PartsTopic && mark.Source.StartsWith("p|", StringComparison.Ordinal) && mark.AppliedCount > 0)
                .Select(mark => (Key: (shard.Shard.Value, mark.Source), mark.AppliedCount, mark.AppliedHash)))
            .ToDictionary(mark => mark.Key, mark => (mark.AppliedCount, mark.AppliedHash));
        foreach (var key in expected.Keys.Union(found.Keys).Order())
        {
            var want = expected.GetValueOrDefault(key);
            var have = found.GetValueOrDefault(key);
            if (want != have) findings.Add($"shard {key.Item1} applied {have.AppliedCount} parts of {key.Item2}, {want.Count} were sent{(want.Count == have.AppliedCount ? " (others)" : "")}");
        }
    }

    // The state itself, not only its witness: the last value of every station.
    private void CheckWindows(Cluster cluster, Workload workload, List<RecoveredShard> shards)
    {
        foreach (var (station, value) in workload.LastValue)
        {
            var shard = shards[Murmur2.Partition(station, shards.Count)];
            var row = shard.Entities.FirstOrDefault(entity => entity.Kind == EntityKind.Window && entity.Key == station + "\u001f" + Workload.Meters);
            var topic = Workload.Pipeline.Topics[Workload.Meters];
            var fragment = row is null ? null : TopicWindows.Load(topic, Workload.Pipeline.TimeZone, row.State).Shape();
            var held = fragment is null ? "nothing" : Encoding.UTF8.GetString(fragment.GetJson("value").Span);
            if (held != $"\"{value}\"") findings.Add($"station {station} holds {held}, its last record said \"{value}\"");
        }
    }

    private void CheckUploads(Cluster cluster, Workload workload)
    {
        var meters = workload.Expected.Where(record => record.Partition.Topic == Workload.Meters)
            .ToDictionary(record => $"{record.Partition.Topic}:{record.Partition.Partition}:{record.Offset}");
        foreach (var topic in new[] { Workload.FirstOutput, Workload.SecondOutput })
        {
            var told = new Dictionary<string, (int Revision, HashSet<string> Stations)>();
            foreach (var (_, record, root) in DistinctUploads(cluster, topic))
            {
                Uploads++;
                var batch = root.GetProperty("batch_id").GetString()!;
                var (last, stations) = told.TryGetValue(batch, out var before) ? before : (0, []);
                var revision = root.GetProperty("revision").GetInt32();
                told[batch] = (revision, stations);
                if (revision > 1) Revisions++;
                if (revision != last + 1) findings.Add($"revision {revision} of {topic} for batch {batch} follows {last}");
                foreach (var station in Stations(root).Concat(Texts(root, "failed")))
                {
                    if (!stations.Add(station)) findings.Add($"batch {batch} of {topic} tells of {station} twice");
                }

                if (topic == Workload.FirstOutput && meters.TryGetValue(batch, out var opened)) CheckContent(root, opened, stations);
            }
        }
    }

    // Each station of the batch exactly once over all revisions, and its result computed on what this very record said.
    private void CheckContent(JsonElement upload, ExpectedRecord opened, IEnumerable<string> told)
    {
        var batch = upload.GetProperty("batch_id").GetString();
        var all = told.Concat(Texts(upload, "missing")).Order(StringComparer.Ordinal);
        if (!all.SequenceEqual(opened.Parts.Select(part => part.Station).Order(StringComparer.Ordinal))) findings.Add($"batch {batch} does not account for its stations");
        foreach (var item in upload.GetProperty("stations").EnumerateArray())
        {
            var saw = item.GetProperty("first_saw").GetString()!;
            if (!saw.Contains($"value=\"{opened.Value}\"", StringComparison.Ordinal)) findings.Add($"batch {batch} was opened by {opened.Value}, but the call saw {saw}");
        }
    }

    private void CheckDeadLetters(Cluster cluster, Workload workload)
    {
        var letters = Distinct(cluster, cluster.Settings.DeadLetterTopic)
            .Select(found => Encoding.UTF8.GetString(found.Record.Value))
            // Faults make answers late and calls fail; what the records deserved must be there exactly.
            .Where(letter => letter.Contains("\"reason\":\"no-id\"", StringComparison.Ordinal)).ToList();
        if (letters.Count == workload.BadItems) return;
        findings.Add($"{letters.Count} dead letters, {workload.BadItems} bad items were sent");
        findings.AddRange(letters);
    }

    private static IEnumerable<string> Stations(JsonElement upload) => upload.GetProperty("stations").EnumerateArray().Select(item => item.GetProperty("station_id").GetString()!);

    private static IEnumerable<string> Texts(JsonElement upload, string name) => upload.GetProperty(name).EnumerateArray().Select(item => item.GetString()!);

    private static IEnumerable<(TopicPartition Partition, StoredRecord Record)> Distinct(Cluster cluster, string topic)
    {
        foreach (var partition in cluster.Log.Partitions.Where(partition => partition.Topic == topic))
        {
            var highest = new Dictionary<string, long>();
            foreach (var record in cluster.Log.Read(partition))
            {
                if (!Origin.TryParse(record.Origin, out var origin)) continue;
                var run = $"{origin.Store}.{origin.Shard}.{origin.Partition}";
                if (highest.TryGetValue(run, out var known) && origin.Sequence <= known) continue;
                highest[run] = origin.Sequence;
                yield return (partition, record);
            }
        }
    }

    private static IEnumerable<(TopicPartition Partition, StoredRecord Record, JsonElement Root)> DistinctUploads(Cluster cluster, string topic) =>
        Distinct(cluster, topic).Select(found => (found.Partition, found.Record, JsonDocument.Parse(found.Record.Value).RootElement));
}
