using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Finds offsets by what users say: the ends of a log, a time, another group's place. Every method asks brokers and
/// blocks, at most for its timeout a question; failures are <see cref="KafkaException"/>.
/// </summary>
internal sealed class OffsetLookup(KafkaClientOptions options, ClientLogger logger, TimeSpan timeout)
{
    /// <summary>What the log of a partition holds.</summary>
    public LogRange Range(IConsumer<byte[]?, byte[]?> consumer, TopicPartition partition)
    {
        var watermarks = consumer.QueryWatermarkOffsets(partition.ToClient(), timeout);
        return new LogRange(watermarks.Low.Value, watermarks.High.Value);
    }

    /// <summary>Committed offsets of the consumer's group; partitions without one are left out.</summary>
    public Dictionary<TopicPartition, long> Committed(IConsumer<byte[]?, byte[]?> consumer, IReadOnlyCollection<TopicPartition> partitions)
    {
        var found = new Dictionary<TopicPartition, long>();
        if (partitions.Count == 0) return found;
        foreach (var position in consumer.Committed(partitions.Select(partition => partition.ToClient()), timeout))
        {
            if (!position.Offset.IsSpecial) found[position.TopicPartition.ToCore()] = position.Offset.Value;
        }

        return found;
    }

    /// <summary>Committed offsets of any group, without joining it.</summary>
    public Dictionary<TopicPartition, long> Committed(string group, IReadOnlyCollection<TopicPartition> partitions)
    {
        using var other = NewReader(group);
        return Committed(other, partitions);
    }

    /// <summary>The first offset whose record is not older than the time; the log's end where all are older.</summary>
    public long ForTime(IConsumer<byte[]?, byte[]?> consumer, TopicPartition partition, long timestampMs)
    {
        // Asked before the lookup: what is below this end has been there when the broker looks.
        var range = Range(consumer, partition);
        var asked = new TopicPartitionTimestamp(partition.ToClient(), new Timestamp(timestampMs, TimestampType.CreateTime));
        var answer = consumer.OffsetsForTimes([asked], timeout)[0].Offset;
        if (!answer.IsSpecial) return answer.Value;
        if (range.High == range.Low) return range.High;

        // "None" must mean that the log's records are all older. A broker that cannot look up times (an embedded one) says
        // none as well; its last record gives it away, and its log is small enough to be read through.
        using var reader = NewReader("none");
        if (FirstNotOlder(reader, partition, range.High - 1, range.High, timestampMs) is null) return range.High;
        return FirstNotOlder(reader, partition, range.Low, range.High, timestampMs) ?? range.High;
    }

    public IConsumer<byte[]?, byte[]?> NewReader(string group) =>
        ClientConversions.NewConsumer(options.ForReader("lookup", group), logger).Build();

    /// <summary>Reads [from, to) and gives the first offset whose record is not older than the time.</summary>
    private long? FirstNotOlder(IConsumer<byte[]?, byte[]?> reader, TopicPartition partition, long from, long to, long timestampMs)
    {
        reader.Assign(new PartitionOffset(partition, from).ToClient());
        try
        {
            while (true)
            {
                var record = reader.Consume(timeout)
                    ?? throw new KafkaException(new Error(ErrorCode.Local_TimedOut, $"{partition} could not be read for a lookup by time"));
                if (record.Offset.Value >= to) return null;
                if (record.Message.Timestamp.UnixTimestampMs >= timestampMs) return record.Offset.Value;
                if (record.Offset.Value == to - 1) return null;
            }
        }
        finally
        {
            reader.Unassign();
        }
    }
}

/// <summary>Where reading begins by a topic's declaration; made for one assignment, it asks a group to take over from only once.</summary>
internal sealed class StartLookup(OffsetLookup lookup, ClientLogger logger)
{
    private readonly Dictionary<string, Dictionary<TopicPartition, long>> groups = [];

    /// <param name="all">All partitions that are being looked up, so that one question serves them.</param>
    public long Find(
        IConsumer<byte[]?, byte[]?> consumer, TopicPartition partition, StartPosition start, IReadOnlyCollection<TopicPartition> all)
    {
        switch (start.Kind)
        {
            case StartKind.Latest:
                return lookup.Range(consumer, partition).High;
            case StartKind.Earliest:
                return lookup.Range(consumer, partition).Low;
            case StartKind.Timestamp:
                return lookup.ForTime(consumer, partition, start.TimestampMs);
            case StartKind.Group:
                var group = start.Group ?? throw new ArgumentException("A start by group names the group.", nameof(start));
                if (!groups.TryGetValue(group, out var taken)) groups[group] = taken = lookup.Committed(group, all);
                if (taken.TryGetValue(partition, out var offset)) return offset;
                var low = lookup.Range(consumer, partition).Low;
                logger.Warning(
                    $"group {group} has no committed offset for {partition} to take over: starting at its first record, {low}, so that nothing is skipped");
                return low;
            default:
                throw new ArgumentOutOfRangeException(nameof(start), start.Kind, "no such start");
        }
    }
}
