using Analytics.Actors.Core;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Invariant 3: whatever any router ever sent of a record was routed by one version, namely that which the store says of its
/// offset. That the parts are those of that version is compared with what was sent (<see cref="AppliedChecker"/>).
/// </summary>
public sealed class RulesChecker(Cluster cluster)
{
    public void Judge(Action<Finding> report)
    {
        var grants = cluster.Store.Grants().ToDictionary(grant => new SourcePartition(grant.Partition.Topic, grant.Incarnation, grant.Partition.Partition));
        foreach (var shard in Enumerable.Range(0, cluster.Settings.ShardCount))
        {
            var parts = cluster.Checkers.Envelopes.Parts(new TopicPartition(cluster.Settings.PartsTopic, shard)).SelectMany(envelope => envelope.Records)
                .Select(record => (Source: new SourcePartition(record.Topic, record.Incarnation, record.Partition), record.Offset, record.Rules));
            var manifests = cluster.Checkers.Envelopes.Batches(new TopicPartition(cluster.Settings.BatchTopic, shard)).SelectMany(envelope => envelope.Manifests)
                .Select(manifest => (Source: new SourcePartition(manifest.Topic, manifest.Incarnation, manifest.Partition), manifest.Offset, manifest.Rules));
            foreach (var (source, offset, rules) in parts.Concat(manifests).Distinct())
            {
                if (cluster.Settings.IsKeyed(source.Topic))
                {
                    // Sent on by a shard, which needs no grant: only what it has committed leaves.
                    var partition = new TopicPartition(source.Topic, source.Partition);
                    if (cluster.Store.VersionAt(partition, offset) is var ran && ran != rules && cluster.Store.Generation == 0) report(new Finding($"record {offset} of {source} was sent on by version {rules}; its shard ran {ran}", partition.ToString()));
                }
                else if (!grants.TryGetValue(source, out var grant)) report(new Finding($"record {offset} of {source} was routed, and nothing was granted", source.ToString()));
                else if (grant.VersionAt(offset) is var version && version != rules)
                    report(new Finding($"record {offset} of {source} was routed by version {rules}; the store says {version}", new TopicPartition(source.Topic, source.Partition).ToString()));
                // A restored backup has forgotten what was granted after it.
                else if (offset >= grant.Granted && cluster.Store.Generation == 0)
                    report(new Finding($"record {offset} of {source} was routed, and granted are those below {grant.Granted}", new TopicPartition(source.Topic, source.Partition).ToString()));
            }
        }
    }
}
