using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;

namespace Analytics.Actors.Core.Routing;

/// <summary>A source record as the router reads it.</summary>
/// <param name="Origin">The header aa-origin where the record is an output of ours; else null.</param>
public readonly record struct SourceRecord(TopicPartition Partition, long Offset, long TimestampMs, ReadOnlyMemory<byte> Value, string? Origin);

/// <summary>What one record sends where: parts to shards, and manifests to the shards of its batches, at most one to each.</summary>
public sealed record RoutedRecord(IReadOnlyList<(int Shard, RecordParts Parts)> Parts, IReadOnlyList<(int Shard, Manifest Manifest)> Manifests);

/// <summary>
/// The routing rules: a pure function of the pipeline, the shard count and one record. A record routed twice under the
/// same rules gives the same parts, which the marks then recognise.
/// </summary>
public sealed class RecordRouter
{
    private readonly ShardSettings settings;
    private readonly Dictionary<string, TopicBatches> batching = new(StringComparer.Ordinal);

    public RecordRouter(ShardSettings settings)
    {
        this.settings = settings;
        foreach (var topic in settings.Pipeline.Topics.Values)
        {
            batching[topic.Name] = new TopicBatches(topic, settings);
        }
    }

    /// <summary>The shard of a station.</summary>
    public int ShardOf(string station) => Murmur2.Partition(station, settings.ShardCount);

    public RoutedRecord Route(in SourceRecord record, int incarnation)
    {
        if (!settings.Pipeline.Topics.TryGetValue(record.Partition.Topic, out var topic))
        {
            var unknown = new Rejection("unknown-topic", "the pipeline does not declare this topic");
            return RouteRejected(record, incarnation, [new RejectedItem(0, unknown, record.Value)]);
        }

        var split = RecordSplitter.Split(topic, record.Value);
        if (split.IsGlobal && split.Parts.Count > 0) return RouteGlobal(record, incarnation, split);
        return RouteStations(record, incarnation, topic, split);
    }

    private RoutedRecord RouteGlobal(in SourceRecord record, int incarnation, SplitRecord split)
    {
        var parts = new (int, RecordParts)[settings.ShardCount];
        for (var shard = 0; shard < parts.Length; shard++)
        {
            var message = Begin(record, incarnation);
            message.Global = true;
            foreach (var part in split.Parts) message.Parts.Add(ToMessage(part));
            parts[shard] = (shard, message);
        }

        return new RoutedRecord(parts, []);
    }

    private RoutedRecord RouteRejected(in SourceRecord record, int incarnation, IReadOnlyList<RejectedItem> rejected) =>
        RouteStations(record, incarnation, null, new SplitRecord(false, [], rejected));

    private RoutedRecord RouteStations(in SourceRecord record, int incarnation, TopicConfiguration? topic, SplitRecord split)
    {
        if (split.Parts.Count == 0 && split.Rejected.Count == 0) return new RoutedRecord([], []);
        var byShard = new SortedDictionary<int, RecordParts>();
        var batches = topic is not null && split.Parts.Count > 0 ? batching[topic.Name].Begin(record, incarnation) : null;

        // Parts and rejections are both in order of index: merged, each shard sees rising places.
        var rejections = split.Rejected;
        var nextRejection = 0;
        foreach (var part in split.Parts)
        {
            for (; nextRejection < rejections.Count && rejections[nextRejection].Index < part.Index; nextRejection++)
            {
                AddRejected(record, incarnation, rejections[nextRejection], byShard);
            }

            var bytes = 0L;
            foreach (var item in part.Items) bytes += item.Length;
            if (bytes > settings.RecordBytesMax - 4096)
            {
                var tooLarge = new Rejection("too-large", $"the part has {bytes} bytes; at most {settings.RecordBytesMax - 4096} can be sent (maxRecordBytes)");
                AddRejected(record, incarnation, new RejectedItem(part.Index, tooLarge, part.Items[0]), byShard);
                continue;
            }

            var message = PartsFor(record, incarnation, ShardOf(part.Station), byShard);
            var announced = ToMessage(part);
            batches?.Add(part, announced, message);
            message.Parts.Add(announced);
        }

        for (; nextRejection < rejections.Count; nextRejection++) AddRejected(record, incarnation, rejections[nextRejection], byShard);
        return new RoutedRecord(byShard.Select(pair => (pair.Key, pair.Value)).ToList(), batches?.Manifests ?? []);
    }

    // A rejection goes to one fixed shard, whose mark and outbox make its dead letter appear once.
    private void AddRejected(in SourceRecord record, int incarnation, RejectedItem rejected, SortedDictionary<int, RecordParts> byShard)
    {
        var shard = Murmur2.Partition($"{record.Partition.Topic}:{record.Partition.Partition}", settings.ShardCount);
        var kept = rejected.Bytes.Length <= DeadLetter.KeptBytesMax ? rejected.Bytes : rejected.Bytes[..DeadLetter.KeptBytesMax];
        PartsFor(record, incarnation, shard, byShard).Parts.Add(new Part
        {
            Index = rejected.Index,
            Rejected = new RejectedPart
            {
                Code = rejected.Reason.Code,
                Detail = rejected.Reason.Detail,
                Bytes = UnsafeByteOperations.UnsafeWrap(kept),
                Length = rejected.Bytes.Length,
                Checksum = Checksum.Of(rejected.Bytes.Span),
            },
        });
    }

    private static RecordParts PartsFor(in SourceRecord record, int incarnation, int shard, SortedDictionary<int, RecordParts> byShard)
    {
        if (!byShard.TryGetValue(shard, out var parts)) byShard.Add(shard, parts = Begin(record, incarnation));
        return parts;
    }

    private static RecordParts Begin(in SourceRecord record, int incarnation) => new()
    {
        Topic = record.Partition.Topic,
        Incarnation = incarnation,
        Partition = record.Partition.Partition,
        Offset = record.Offset,
        TimestampMs = record.TimestampMs,
        Origin = record.Origin ?? "",
    };

    private static Part ToMessage(StationPart part)
    {
        var message = new Part { Station = part.Station, Index = part.Index, Ordinal = part.Ordinal };
        foreach (var item in part.Items) message.Items.Add(UnsafeByteOperations.UnsafeWrap(item));
        return message;
    }
}
