using Analytics.Actors.Core;

namespace Analytics.Actors.Kafka;

/// <summary>A record's header; Kafka allows a name to occur more than once.</summary>
public readonly record struct RecordHeader(string Name, byte[] Value);

/// <summary>One record as read from Kafka.</summary>
/// <param name="TimestampMs">Milliseconds since 1970 UTC; -1 where the record has none.</param>
/// <param name="Key">Null where the record has none.</param>
/// <param name="Value">Empty where the record has none; <paramref name="HasValue"/> tells the two apart.</param>
public sealed record FetchedRecord(
    TopicPartition Partition, long Offset, long TimestampMs, byte[]? Key, byte[] Value, bool HasValue,
    IReadOnlyList<RecordHeader> Headers)
{
    /// <summary>The text of a header, the last one where a name occurs twice; null where there is none.</summary>
    public string? Header(string name)
    {
        string? found = null;
        foreach (var header in Headers)
        {
            if (header.Name == name) found = System.Text.Encoding.UTF8.GetString(header.Value);
        }

        return found;
    }
}

/// <summary>Where reading of a partition stands: the next offset to read.</summary>
public readonly record struct PartitionOffset(TopicPartition Partition, long Next)
{
    public override string ToString() => $"{Partition}@{Next}";
}
