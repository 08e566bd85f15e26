using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;

namespace Analytics.Actors.Core.Routing;

/// <summary>A source record as the router reads it.</summary>
/// <param name="Origin">The header aa-origin where the record is an output of ours; else null.</param>
/// <param name="Chunk">Owns the bytes, which are valid until the router has routed the record and given it back. Null: they are nobody else's.</param>
public readonly record struct SourceRecord(
    TopicPartition Partition, long Offset, long TimestampMs, ReadOnlyMemory<byte> Value, string? Origin, RecordChunk? Chunk = null);

/// <summary>What one record sends where: parts to shards, and manifests to the shards of its batches, at most one to each.</summary>
public sealed record RoutedRecord(IReadOnlyList<(int Shard, RecordParts Parts)> Parts, IReadOnlyList<(int Shard, Manifest Manifest)> Manifests);

/// <summary>
/// The routing rules: a pure function of the pipeline, the shard count and one record. A record routed twice under the
/// same rules gives the same parts, which the marks then recognise. For one caller at a time.
/// </summary>
public sealed class RecordRouter
{
    private readonly ShardSettings settings;
    private readonly Dictionary<string, TopicBatches> batching = new(StringComparer.Ordinal);
    private readonly SplitRecord split = new();

    public RecordRouter(ShardSettings settings)
    {
        this.settings = settings;
        foreach (var topic in settings.Pipeline.Topics.Values)
        {
            batching[topic.Name] = new TopicBatches(topic, settings);
        }
    }

    /// <summary>The version of the configuration whose rules these are.</summary>
    public long Version => settings.ConfigurationVersion;

    /// <summary>Records of this topic are routed; those of any other are nobody's.</summary>
    public bool Declares(string topic) => topic == settings.ReplayTopic || settings.Pipeline.Topics.ContainsKey(topic);

    /// <summary>The shard of a station.</summary>
    public int ShardOf(string station) => Murmur2.Partition(station, settings.ShardCount);

    public RoutedRecord Route(in SourceRecord record, int incarnation)
    {
        var source = new Source(record, incarnation, null);
        if (record.Partition.Topic == settings.ReplayTopic) return RouteReplay(source);
        if (!settings.Pipeline.Topics.TryGetValue(record.Partition.Topic, out var topic)) return RouteUnknown(source, RejectedForm.Record);
        RecordSplitter.Split(topic, record.Value, split);
        return RouteSplit(source, topic);
    }

    // A replay is a record of the letter's topic under the replay's own identity. Where the letter holds one item, that is
    // all that the record has; an item whose station is known goes there (one of our own outputs does not name it itself).
    private RoutedRecord RouteReplay(in Source source)
    {
        if (ReadReplay(source.Record, out var wrong) is not { } replayed)
        {
            return RouteRejected(source, new Rejection("bad-replay", wrong), RejectedForm.Record);
        }

        var from = replayed.From;
        var value = replayed.Value.Memory;
        var record = new Source(source.Record with { TimestampMs = replayed.TimestampMs, Value = value }, source.Incarnation, from);
        if (!settings.Pipeline.Topics.TryGetValue(from.Topic, out var topic)) return RouteUnknown(record, from.Item ? RejectedForm.Item : RejectedForm.Record);
        if (!from.Item)
        {
            RecordSplitter.Split(topic, value, split);
        }
        else if (replayed.Station.Length == 0)
        {
            RecordSplitter.SplitItem(topic, value, split);
        }
        else
        {
            split.Clear();
            split.Add(0, Encoding.UTF8.GetBytes(replayed.Station), value);
        }

        return RouteSplit(record, topic);
    }

    private ReplayedRecord? ReadReplay(in SourceRecord record, out string wrong)
    {
        wrong = "";
        if (!Origin.TryParse(record.Origin, out var origin) || origin.Store != settings.StoreId)
        {
            wrong = $"it is of another store: origin '{record.Origin}', this store is '{settings.StoreId}'";
            return null;
        }

        try
        {
            var replayed = ReplayedRecord.Parser.ParseFrom(record.Value.Span);
            if (replayed.From is not null) return replayed;
            wrong = "it does not say which dead letter it is of";
        }
        catch (InvalidProtocolBufferException failure)
        {
            wrong = failure.Message;
        }

        return null;
    }

    private RoutedRecord RouteSplit(in Source source, TopicConfiguration topic) =>
        split.IsGlobal && split.Parts.Count > 0 ? RouteGlobal(source) : RouteStations(source, topic);

    private RoutedRecord RouteUnknown(in Source source, RejectedForm form)
    {
        return RouteRejected(source, new Rejection("unknown-topic", "the pipeline does not declare this topic"), form);
    }

    private RoutedRecord RouteRejected(in Source source, Rejection reason, RejectedForm form)
    {
        split.Clear();
        split.Rejected.Add(new RejectedItem(0, reason, source.Record.Value, form));
        return RouteStations(source, null);
    }

    private RoutedRecord RouteGlobal(in Source source)
    {
        var parts = new (int, RecordParts)[settings.ShardCount];
        for (var shard = 0; shard < parts.Length; shard++)
        {
            var message = Begin(source);
            message.Global = true;
            foreach (var part in split.Parts) message.Parts.Add(ToMessage(part));
            parts[shard] = (shard, message);
        }

        return new RoutedRecord(parts, []);
    }

    private RoutedRecord RouteStations(in Source source, TopicConfiguration? topic)
    {
        if (split.Parts.Count == 0 && split.Rejected.Count == 0) return new RoutedRecord([], []);
        var byShard = new SortedDictionary<int, RecordParts>();
        var batches = topic is not null && split.Parts.Count > 0 ? batching[topic.Name].Begin(source.Record, source.Incarnation) : null;

        // Parts and rejections are both in order of index: merged, each shard sees rising places.
        var rejections = split.Rejected;
        var nextRejection = 0;
        foreach (var part in split.Parts)
        {
            for (; nextRejection < rejections.Count && rejections[nextRejection].Index < part.Index; nextRejection++)
            {
                AddRejected(source, rejections[nextRejection], byShard);
            }

            var bytes = 0L;
            foreach (var item in split.ItemsOf(part)) bytes += item.Length;
            if (bytes > settings.RecordBytesMax - 4096)
            {
                var tooLarge = new Rejection("too-large", $"the part has {bytes} bytes; at most {settings.RecordBytesMax - 4096} can be sent (maxRecordBytes)");
                AddRejected(source, new RejectedItem(part.Index, tooLarge, split.Items[part.FirstItem]), byShard);
                continue;
            }

            var announced = ToMessage(part);
            var message = PartsFor(source, ShardOf(announced.Station), byShard);
            batches?.Add(split.ItemsOf(part), announced, message);
            message.Parts.Add(announced);
        }

        for (; nextRejection < rejections.Count; nextRejection++) AddRejected(source, rejections[nextRejection], byShard);
        return new RoutedRecord(byShard.Select(pair => (pair.Key, pair.Value)).ToList(), batches?.Manifests ?? []);
    }

    // A rejection goes to one fixed shard, whose mark and outbox make its dead letter appear once: that which reads the
    // partition, or where a router does, any.
    private void AddRejected(in Source source, RejectedItem rejected, SortedDictionary<int, RecordParts> byShard)
    {
        var partition = source.Record.Partition;
        var shard = settings.IsKeyed(partition.Topic) ? partition.Partition % settings.ShardCount : Murmur2.Partition($"{partition.Topic}:{partition.Partition}", settings.ShardCount);
        var kept = rejected.Bytes.Length <= DeadLetter.KeptBytesMax ? rejected.Bytes : rejected.Bytes[..DeadLetter.KeptBytesMax];
        PartsFor(source, shard, byShard).Parts.Add(new Part
        {
            Index = rejected.Index,
            Rejected = new RejectedPart
            {
                Code = rejected.Reason.Code,
                Detail = rejected.Reason.Detail,
                Bytes = UnsafeByteOperations.UnsafeWrap(kept),
                Length = rejected.Bytes.Length,
                Checksum = Checksum.Of(rejected.Bytes.Span),
                Form = (int)rejected.Form,
            },
        });
    }

    private RecordParts PartsFor(in Source source, int shard, SortedDictionary<int, RecordParts> byShard)
    {
        if (!byShard.TryGetValue(shard, out var parts)) byShard.Add(shard, parts = Begin(source));
        return parts;
    }

    private RecordParts Begin(in Source source) => new()
    {
        Rules = settings.ConfigurationVersion,
        Topic = source.Record.Partition.Topic,
        Incarnation = source.Incarnation,
        Partition = source.Record.Partition.Partition,
        Offset = source.Record.Offset,
        TimestampMs = source.Record.TimestampMs,
        Origin = source.Record.Origin ?? "",
        Replay = source.Replay,
    };

    private Part ToMessage(in StationPart part)
    {
        var message = new Part { Station = part.StationText, Index = part.Index, Ordinal = part.Ordinal };
        foreach (var item in split.ItemsOf(part)) message.Items.Add(UnsafeByteOperations.UnsafeWrap(item));
        foreach (var index in split.ItemIndexesOf(part)) message.ItemIndexes.Add(index);
        return message;
    }

    /// <summary>A record with its partition's incarnation, and what it replays where it is a replay.</summary>
    private readonly record struct Source(SourceRecord Record, int Incarnation, ReplayedFrom? Replay);
}
