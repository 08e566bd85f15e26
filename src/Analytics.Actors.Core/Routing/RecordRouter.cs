using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;

namespace Analytics.Actors.Core.Routing;

/// <summary>A source record as the router reads it.</summary>
/// <param name="Origin">The header aa-origin where the record is an output of ours; else null.</param>
public readonly record struct SourceRecord(TopicPartition Partition, long Offset, long TimestampMs, ReadOnlyMemory<byte> Value, string? Origin);

/// <summary>What one record sends where: parts to shards and at most one manifest to the shard of its batches.</summary>
public sealed record RoutedRecord(IReadOnlyList<(int Shard, RecordParts Parts)> Parts, (int Shard, Manifest Manifest)? Manifest);

/// <summary>
/// The routing rules: a pure function of the pipeline, the shard count and one record. A record routed twice under the
/// same rules gives the same parts, which the marks then recognise.
/// </summary>
public sealed class RecordRouter
{
    private readonly ShardSettings settings;
    private readonly Dictionary<string, List<ModuleConfiguration>> batching = new(StringComparer.Ordinal);

    public RecordRouter(ShardSettings settings)
    {
        this.settings = settings;
        foreach (var topic in settings.Pipeline.Topics.Values)
        {
            batching[topic.Name] = settings.Pipeline.Modules.Values
                .Where(module => module.Enabled && module.TriggerOnEvent && topic.Triggers && topic.Scope == TopicScope.Station
                    && module.Batch.Kind == BatchKind.Record && module.Topics.Contains(topic.Name))
                .ToList();
        }
    }

    /// <summary>The shard of a station.</summary>
    public int ShardOf(string station) => Murmur2.Partition(station, settings.ShardCount);

    /// <summary>The shard of a batch.</summary>
    public int ShardOfBatch(string batchId) => Murmur2.Partition(batchId, settings.ShardCount);

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

        return new RoutedRecord(parts, null);
    }

    private RoutedRecord RouteRejected(in SourceRecord record, int incarnation, IReadOnlyList<RejectedItem> rejected) =>
        RouteStations(record, incarnation, null, new SplitRecord(false, [], rejected));

    private RoutedRecord RouteStations(in SourceRecord record, int incarnation, TopicConfiguration? topic, SplitRecord split)
    {
        if (split.Parts.Count == 0 && split.Rejected.Count == 0) return new RoutedRecord([], null);
        var modules = topic is not null && split.Parts.Count > 0 && batching.TryGetValue(topic.Name, out var found) ? found : [];
        var batchId = modules.Count == 0 ? "" : record.Origin is { Length: > 0 } origin
            ? $"{record.Partition.Topic}:{origin}"
            : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{record.Partition.Topic}:{record.Partition.Partition}:{record.Offset}");
        var byShard = new SortedDictionary<int, RecordParts>();
        Manifest? manifest = null;
        if (modules.Count > 0)
        {
            manifest = new Manifest
            {
                Topic = record.Partition.Topic,
                Incarnation = incarnation,
                Partition = record.Partition.Partition,
                Offset = record.Offset,
                BatchId = batchId,
                Origin = record.Origin ?? "",
            };
            foreach (var module in modules) manifest.Modules.Add(module.Name);
        }

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
            message.Parts.Add(ToMessage(part));
            if (manifest is null) continue;
            manifest.Stations.Add(part.Station);
            if (message.Batches.Count == 0)
            {
                foreach (var module in modules) message.Batches.Add(new BatchReference { Module = module.Name, BatchId = batchId });
            }
        }

        for (; nextRejection < rejections.Count; nextRejection++) AddRejected(record, incarnation, rejections[nextRejection], byShard);
        var announced = manifest is { Stations.Count: > 0 } ? (ShardOfBatch(batchId), manifest) : ((int, Manifest)?)null;
        return new RoutedRecord(byShard.Select(pair => (pair.Key, pair.Value)).ToList(), announced);
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
