using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Simulation;

/// <summary>Invariant 3, the router's side: it commits only what has landed wholly, parts and manifest.</summary>
public sealed class RoutedChecker(Cluster cluster, Workload workload)
{
    private readonly HashSet<(string Topic, int Partition, Place Place, int Shard)> parts = [];
    private readonly HashSet<(string Topic, int Partition, long Offset)> manifests = [];
    private readonly Dictionary<TopicPartition, long> committed = [];

    public void Landed(TopicPartition partition, StoredRecord record)
    {
        var settings = cluster.Settings;
        if (partition.Topic == settings.PartsTopic)
        {
            foreach (var routed in cluster.Checkers.Envelopes.Parts(partition)[(int)record.Offset].Records)
            {
                foreach (var part in routed.Parts) parts.Add((routed.Topic, routed.Partition, new Place(routed.Offset, part.Index, part.Ordinal), partition.Partition));
            }
        }
        else if (partition.Topic == settings.BatchTopic)
        {
            foreach (var manifest in cluster.Checkers.Envelopes.Batches(partition)[(int)record.Offset].Manifests) manifests.Add((manifest.Topic, manifest.Partition, manifest.Offset));
        }
    }

    public void Committed(SimulatedProcess process, TopicPartition partition, long next, Action<Finding> report)
    {
        // What a topic held that is gone cannot be looked up any more.
        if (cluster.Log.Life(partition) > 0) return;
        var from = committed.GetValueOrDefault(partition);
        committed[partition] = Math.Max(from, next);
        for (var offset = from; offset < next; offset++)
        {
            if (cluster.Checkers.IsSkipped(partition, offset)) continue;
            var record = Workload.Under(cluster.Store.VersionAt(partition, offset), workload.RecordAt(cluster.Log, partition, offset));
            var missing = record.IsGlobal
                ? Enumerable.Range(0, cluster.Settings.ShardCount).Any(shard => !parts.Contains((partition.Topic, partition.Partition, new Place(offset, 0, 0), shard)))
                : record.Parts.Any(part => !parts.Contains((partition.Topic, partition.Partition, new Place(offset, part.Index, 0), Murmur2.Partition(part.Station, cluster.Settings.ShardCount))))
                    || (record.Parts.Count > 0 && partition.Topic != Workload.States && !manifests.Contains((partition.Topic, partition.Partition, offset)));
            if (missing) report(new Finding($"{process.Name} committed {partition} up to {next}, but record {offset} has not landed wholly", partition.ToString()));
        }
    }
}
