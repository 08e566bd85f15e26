using Analytics.Actors.Core;

namespace Analytics.Actors.Kafka;

/// <summary>Where reading of a partition stands: the next offset to read.</summary>
public readonly record struct PartitionOffset(TopicPartition Partition, long Next)
{
    public override string ToString() => $"{Partition}@{Next}";
}
