using System.Runtime.InteropServices;
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

/// <summary>
/// What one record sends where: parts to shards, and manifests to the shards of its batches, at most one to each. One object
/// serves one record after another; bytes are slices of the record.
/// </summary>
public sealed class RoutedRecord
{
    /// <summary>One record for each shard that gets parts, by shard.</summary>
    public RoutedParts Parts { get; } = new();
    public List<(int Shard, Manifest Manifest)> Manifests { get; } = [];

    public void Clear()
    {
        Parts.Clear();
        Manifests.Clear();
    }
}

/// <summary>
/// The routing rules: a pure function of the pipeline, the shard count and one record. A record routed twice under the
/// same rules gives the same parts, which the marks then recognise. For one caller at a time.
/// </summary>
public sealed class RecordRouter
{
    /// <summary>So many bytes at most stand around a part in its envelope.</summary>
    internal const int EnvelopeBytes = 4096;

    private static readonly MemberLocator NoMembers = new([]);

    private readonly ShardSettings settings;
    private readonly string replayTopic;
    private readonly Dictionary<string, Routes> routes = new(StringComparer.Ordinal);
    private readonly SplitRecord split = new();

    // Of each part its shard, above its place in the record: what parts are sorted by.
    private readonly Rows<long> order = new();

    public RecordRouter(ShardSettings settings)
    {
        this.settings = settings;
        replayTopic = settings.ReplayTopic;
        foreach (var topic in settings.Pipeline.Topics.Values) routes[topic.Name] = new Routes(topic, new TopicBatches(topic, settings), PlainItemOf(topic));
    }

    /// <summary>The version of the configuration whose rules these are.</summary>
    public long Version => settings.ConfigurationVersion;

    /// <summary>Records of this topic are routed; those of any other are nobody's.</summary>
    public bool Declares(string topic) => topic == replayTopic || routes.ContainsKey(topic);

    /// <summary>Fills <paramref name="into"/> with what the record sends; what it held before is gone.</summary>
    public void Route(in SourceRecord record, int incarnation, RoutedRecord into)
    {
        into.Clear();
        var source = new Source(record, incarnation, null);
        if (record.Partition.Topic == replayTopic)
        {
            RouteReplay(source, into);
        }
        else if (routes.TryGetValue(record.Partition.Topic, out var topic))
        {
            if (topic.Plain is { } item && TryRoutePlain(source, item, into.Parts)) return;
            RecordSplitter.Split(topic.Topic, record.Value, split);
            RouteSplit(source, topic, into);
        }
        else
        {
            RouteUnknown(source, RejectedForm.Record, into);
        }
    }

    // Nearly all records are one object, which is the one item of one station: that needs none of the tables in which others are
    // taken apart and grouped.
    private bool TryRoutePlain(in Source source, PlainItem item, RoutedParts into)
    {
        var value = source.Record.Value;
        if (value.Length > settings.RecordBytesMax - EnvelopeBytes || !item.TryRead(value, out var id)) return false;
        ref var part = ref into.Parts.Add();
        part.Station = value.Span.Overlaps(id, out var at) ? value.Slice(at, id.Length) : id.ToArray();
        into.Items.Add(value);
        part.Items = into.Items.Since(0);
        var record = Begin(source, Murmur2.Partition(id, settings.ShardCount));
        record.Parts = into.Parts.Since(0);
        into.Records.Add(record);
        return true;
    }

    // Where modules gather records, each one announces its stations to their batches.
    private PlainItem? PlainItemOf(TopicConfiguration topic) =>
        topic.Scope == TopicScope.Global || TopicBatches.ModulesOf(topic, settings.Pipeline).Any() ? null : new PlainItem(topic, NoMembers);

    // A replay is a record of the letter's topic under the replay's own identity. Where the letter holds one item, that is
    // all that the record has; an item whose station is known goes there (one of our own outputs does not name it itself).
    private void RouteReplay(in Source source, RoutedRecord into)
    {
        if (ReadReplay(source.Record, out var wrong) is not { } replayed)
        {
            RouteRejected(source, new Rejection("bad-replay", wrong), RejectedForm.Record, into);
            return;
        }

        var from = replayed.From;
        var value = replayed.Value.Memory;
        var record = new Source(source.Record with { TimestampMs = replayed.TimestampMs, Value = value }, source.Incarnation, from);
        if (!routes.TryGetValue(from.Topic, out var topic))
        {
            RouteUnknown(record, from.Item ? RejectedForm.Item : RejectedForm.Record, into);
            return;
        }

        if (!from.Item)
        {
            RecordSplitter.Split(topic.Topic, value, split);
        }
        else if (replayed.Station.Length == 0)
        {
            RecordSplitter.SplitItem(topic.Topic, value, split);
        }
        else
        {
            split.Clear();
            split.Add(0, Encoding.UTF8.GetBytes(replayed.Station), value);
        }

        RouteSplit(record, topic, into);
    }

    private ReplayedRecord? ReadReplay(in SourceRecord record, out string wrong)
    {
        wrong = "";
        if (!Origin.TryParse(record.Origin, out var origin) || origin.Store != settings.StoreId)
        {
            wrong = $"it is of another store: origin '{record.Origin}', this store is '{settings.StoreId}'";
            return null;
        }

        if (WireMessages.Read(ReplayedRecord.Parser, record.Value.Span, out wrong) is not { } replayed) return null;
        if (replayed.From is not null) return replayed;
        wrong = "it does not say which dead letter it is of";
        return null;
    }

    private void RouteSplit(in Source source, Routes topic, RoutedRecord into)
    {
        if (split.IsGlobal && split.Parts.Count > 0) RouteGlobal(source, into.Parts);
        else RouteStations(source, topic, into);
    }

    private void RouteUnknown(in Source source, RejectedForm form, RoutedRecord into) =>
        RouteRejected(source, new Rejection("unknown-topic", "the pipeline does not declare this topic"), form, into);

    private void RouteRejected(in Source source, Rejection reason, RejectedForm form, RoutedRecord into)
    {
        split.Clear();
        split.Rejected.Add(new RejectedItem(0, reason, source.Record.Value, form));
        RouteStations(source, null, into);
    }

    private void RouteGlobal(in Source source, RoutedParts into)
    {
        foreach (ref readonly var part in CollectionsMarshal.AsSpan(split.Parts)) Add(part, into);
        for (var shard = 0; shard < settings.ShardCount; shard++)
        {
            var record = Begin(source, shard);
            record.Global = true;
            record.Parts = into.Parts.Since(0);
            into.Records.Add(record);
        }
    }

    private void RouteStations(in Source source, Routes? topic, RoutedRecord into)
    {
        if (split.Parts.Count == 0 && split.Rejected.Count == 0) return;
        order.Clear();
        var batches = split.Parts.Count > 0 ? topic?.Batches.Begin(source.Record, source.Incarnation, into) : null;

        // Parts and rejections are both in order of index: merged, each shard sees rising places.
        var rejections = split.Rejected;
        var nextRejection = 0;
        foreach (ref readonly var part in CollectionsMarshal.AsSpan(split.Parts))
        {
            for (; nextRejection < rejections.Count && rejections[nextRejection].Index < part.Index; nextRejection++)
            {
                AddRejected(source, rejections[nextRejection], into.Parts);
            }

            var bytes = 0L;
            foreach (ref readonly var item in split.ItemsOf(part)) bytes += item.Length;
            if (bytes > settings.RecordBytesMax - EnvelopeBytes)
            {
                var tooLarge = new Rejection("too-large", $"the part has {bytes} bytes; at most {settings.RecordBytesMax - EnvelopeBytes} can be sent (maxRecordBytes)");
                AddRejected(source, new RejectedItem(part.Index, tooLarge, split.Items[part.FirstItem]), into.Parts);
                continue;
            }

            AddOrder(Murmur2.Partition(part.Station.Span, settings.ShardCount));
            ref var added = ref Add(part, into.Parts);
            if (batches is not null) added.Batches = batches.Add(part, split.ItemsOf(part));
        }

        for (; nextRejection < rejections.Count; nextRejection++) AddRejected(source, rejections[nextRejection], into.Parts);
        Group(source, batches, into.Parts);
    }

    // One record for each shard, with its parts in their order.
    private void Group(in Source source, TopicBatches.RecordBatches? batches, RoutedParts into)
    {
        var keys = order.Span;
        for (var index = 1; index < keys.Length; index++)
        {
            if (keys[index - 1] < keys[index]) continue;
            keys.Sort(into.Parts.Span);
            break;
        }

        var ofRecord = batches?.OfRecord() ?? default;
        for (var first = 0; first < keys.Length;)
        {
            var record = Begin(source, ShardAt(keys[first]));
            var end = first;
            for (; end < keys.Length && ShardAt(keys[end]) == record.Shard; end++)
            {
                if (into.Parts[end].Rejected is null) record.Batches = ofRecord;
            }

            record.Parts = new RoutedParts.Run(first, end - first);
            into.Records.Add(record);
            first = end;
        }
    }

    private void AddOrder(int shard) => order.Add(((long)shard << 32) | (uint)order.Count);

    private static int ShardAt(long key) => (int)(key >> 32);

    private ref RoutedParts.Part Add(in StationPart part, RoutedParts into)
    {
        ref var added = ref into.Parts.Add();
        (added.Station, added.Index, added.Ordinal) = (part.Station, part.Index, part.Ordinal);
        var (firstItem, firstIndex) = (into.Items.Count, into.ItemIndexes.Count);
        foreach (ref readonly var item in split.ItemsOf(part)) into.Items.Add(item);
        foreach (var index in split.ItemIndexesOf(part)) into.ItemIndexes.Add(index);
        (added.Items, added.ItemIndexes) = (into.Items.Since(firstItem), into.ItemIndexes.Since(firstIndex));
        return ref added;
    }

    // A rejection goes to one fixed shard, whose mark and outbox make its dead letter appear once: that which reads the
    // partition, or where a router does, any.
    private void AddRejected(in Source source, RejectedItem rejected, RoutedParts into)
    {
        var partition = source.Record.Partition;
        AddOrder(settings.IsKeyed(partition.Topic) ? partition.Partition % settings.ShardCount : Murmur2.Partition($"{partition.Topic}:{partition.Partition}", settings.ShardCount));
        var kept = rejected.Bytes.Length <= DeadLetter.KeptBytesMax ? rejected.Bytes : rejected.Bytes[..DeadLetter.KeptBytesMax];
        ref var part = ref into.Parts.Add();
        part.Index = rejected.Index;
        part.Rejected = new RejectedPart
        {
            Code = rejected.Reason.Code,
            Detail = rejected.Reason.Detail,
            Bytes = UnsafeByteOperations.UnsafeWrap(kept),
            Length = rejected.Bytes.Length,
            Checksum = Checksum.Of(rejected.Bytes.Span),
            Form = (int)rejected.Form,
        };
    }

    private RoutedParts.Record Begin(in Source source, int shard) => new()
    {
        Shard = shard,
        Rules = settings.ConfigurationVersion,
        Topic = source.Record.Partition.Topic,
        Incarnation = source.Incarnation,
        Partition = source.Record.Partition.Partition,
        Offset = source.Record.Offset,
        TimestampMs = source.Record.TimestampMs,
        Origin = source.Record.Origin ?? "",
        Replay = source.Replay,
    };

    /// <summary>A record with its partition's incarnation, and what it replays where it is a replay.</summary>
    private readonly record struct Source(SourceRecord Record, int Incarnation, ReplayedFrom? Replay);

    /// <param name="Plain">Reads its plain records; null where none can be routed as such.</param>
    private sealed record Routes(TopicConfiguration Topic, TopicBatches Batches, PlainItem? Plain);
}
