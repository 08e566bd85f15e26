using Analytics.Actors.Core;

namespace Analytics.Actors.Simulation;

/// <summary>One record as the log holds it.</summary>
public sealed record StoredRecord(long Offset, long TimestampMs, byte[]? Key, byte[] Value, string? Origin);

/// <summary>
/// Kafka as far as it matters here: partitions that grow, can be trimmed at their start, and can be deleted and made again;
/// and the router group's committed offsets.
/// </summary>
public sealed class SimulatedLog
{
    private readonly Dictionary<TopicPartition, Partition> partitions = [];

    /// <summary>The router group's committed positions.</summary>
    public Dictionary<TopicPartition, long> RouterOffsets { get; } = [];

    /// <summary>Told of every record that lands: readers that wait for it, and checkers.</summary>
    public event Action<TopicPartition, StoredRecord>? Landed;

    public IEnumerable<TopicPartition> Partitions => partitions.Keys.Order();

    /// <summary>The first offset that can still be read.</summary>
    public long Start(TopicPartition partition) => partitions.TryGetValue(partition, out var found) ? found.Start : 0;

    /// <summary>The offset that the next record will get.</summary>
    public long End(TopicPartition partition) => partitions.TryGetValue(partition, out var found) ? found.Records.Count : 0;

    /// <summary>Which life of the partition this is: raised when its topic is deleted and made again.</summary>
    public int Life(TopicPartition partition) => partitions.TryGetValue(partition, out var found) ? found.Life : 0;

    /// <summary>A record of the partition's present life, also a trimmed one: for readers ask <see cref="Start"/> first.</summary>
    public StoredRecord At(TopicPartition partition, long offset) => partitions[partition].Records[(int)offset];

    /// <summary>All records that ever landed in the partition's present life, trimmed ones too: what checkers look at.</summary>
    public IReadOnlyList<StoredRecord> Everything(TopicPartition partition) =>
        partitions.TryGetValue(partition, out var found) ? found.Records : [];

    public long Append(TopicPartition partition, long timestampMs, byte[]? key, byte[] value, string? origin)
    {
        var into = Of(partition);
        var record = new StoredRecord(into.Records.Count, timestampMs, key, value, origin);
        into.Records.Add(record);
        Landed?.Invoke(partition, record);
        return record.Offset;
    }

    /// <summary>Retention: everything below <paramref name="start"/> can no longer be read.</summary>
    public void Trim(TopicPartition partition, long start) => Of(partition).Start = Math.Clamp(start, Start(partition), End(partition));

    /// <summary>The topic was deleted and made again: offsets begin at 0.</summary>
    public void Recreate(TopicPartition partition)
    {
        partitions[partition] = new Partition { Life = Life(partition) + 1 };
        // Kafka forgets a group's offsets of a topic that is gone.
        RouterOffsets.Remove(partition);
    }

    private Partition Of(TopicPartition partition)
    {
        if (!partitions.TryGetValue(partition, out var found)) partitions.Add(partition, found = new Partition());
        return found;
    }

    private sealed class Partition
    {
        public List<StoredRecord> Records { get; } = [];
        public long Start { get; set; }
        public int Life { get; init; }
    }
}
