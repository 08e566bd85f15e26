using Analytics.Actors.Core;

namespace Analytics.Actors.Simulation;

/// <summary>One record as the log holds it.</summary>
public sealed record StoredRecord(long Offset, long TimestampMs, byte[]? Key, byte[] Value, string? Origin);

/// <summary>Kafka as far as it matters here: partitions that only grow, and the router group's committed offsets.</summary>
public sealed class SimulatedLog
{
    private readonly Dictionary<TopicPartition, List<StoredRecord>> partitions = [];

    public Dictionary<TopicPartition, long> RouterOffsets { get; } = [];

    public IReadOnlyList<StoredRecord> Read(TopicPartition partition) =>
        partitions.TryGetValue(partition, out var records) ? records : [];

    public long Append(TopicPartition partition, long timestampMs, byte[]? key, byte[] value, string? origin)
    {
        if (!partitions.TryGetValue(partition, out var records)) partitions.Add(partition, records = []);
        records.Add(new StoredRecord(records.Count, timestampMs, key, value, origin));
        return records.Count - 1;
    }

    public IEnumerable<TopicPartition> Partitions => partitions.Keys.Order();
}
