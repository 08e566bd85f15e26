using Analytics.Actors.Core;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>What the internal logs hold, read once as it lands.</summary>
public sealed class Envelopes
{
    private readonly Dictionary<TopicPartition, List<PartsEnvelope>> parts = [];
    private readonly Dictionary<TopicPartition, List<BatchEnvelope>> batches = [];

    public void Landed(ShardSettings settings, TopicPartition partition, StoredRecord record)
    {
        if (partition.Topic == settings.PartsTopic) Of(parts, partition).Add(PartsEnvelope.Parser.ParseFrom(record.Value));
        else if (partition.Topic == settings.BatchTopic) Of(batches, partition).Add(BatchEnvelope.Parser.ParseFrom(record.Value));
    }

    public IReadOnlyList<PartsEnvelope> Parts(TopicPartition partition) => Of(parts, partition);

    public IReadOnlyList<BatchEnvelope> Batches(TopicPartition partition) => Of(batches, partition);

    private static List<T> Of<T>(Dictionary<TopicPartition, List<T>> logs, TopicPartition partition)
    {
        if (!logs.TryGetValue(partition, out var found)) logs.Add(partition, found = []);
        return found;
    }
}
