using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Core.Routing;

/// <summary>The modules for which records of one topic are gathered: one batch a record, or windows of event time.</summary>
internal sealed class TopicBatches
{
    private readonly List<ModuleConfiguration> byRecord, byWindow;
    private readonly MemberLocator? time;
    private readonly ShardSettings settings;

    public TopicBatches(TopicConfiguration topic, ShardSettings settings)
    {
        this.settings = settings;
        var modules = ModulesOf(topic, settings.Pipeline).ToList();
        byRecord = modules.Where(module => module.Batch.Kind == BatchKind.Record).ToList();
        byWindow = modules.Where(module => module.Batch.Kind == BatchKind.Window).ToList();
        time = topic.TimeMember is null || byWindow.Count == 0 ? null : new MemberLocator([topic.TimeMember]);
    }

    /// <summary>The modules for which records of a topic are gathered, in the pipeline's order.</summary>
    public static IEnumerable<ModuleConfiguration> ModulesOf(TopicConfiguration topic, PipelineConfiguration pipeline) =>
        pipeline.Modules.Values.Where(module => module.Enabled && module.TriggerOnEvent && module.Batch.Kind != BatchKind.None
            && topic.Triggers && topic.Scope == TopicScope.Station && module.Topics.Contains(topic.Name));

    /// <summary>Begins a record, which announces its batches in <paramref name="into"/>; null where no module gathers.</summary>
    public RecordBatches? Begin(in SourceRecord record, int incarnation, RoutedRecord into) =>
        byRecord.Count + byWindow.Count == 0 ? null : new RecordBatches(this, record, incarnation, into);

    /// <summary>What one record announces, gathered part by part.</summary>
    internal sealed class RecordBatches(TopicBatches topic, SourceRecord record, int incarnation, RoutedRecord into)
    {
        private Dictionary<(string Module, long StartMs), (WindowAddition Addition, string BatchId)>? windows;
        private readonly string batchId = topic.byRecord.Count == 0 ? "" : record.Origin is { Length: > 0 } origin
            ? $"{record.Partition.Topic}:{origin}"
            : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{record.Partition.Topic}:{record.Partition.Partition}:{record.Offset}");
        private Manifest? own;

        /// <summary>Announces a part's station, and names the windows into which the part falls.</summary>
        public RoutedParts.Run Add(in StationPart part, ReadOnlySpan<ReadOnlyMemory<byte>> items)
        {
            var station = part.StationText;
            if (topic.byRecord.Count > 0)
            {
                if (own is null)
                {
                    own = ManifestTo(Murmur2.Partition(batchId, topic.settings.ShardCount));
                    own.BatchId = batchId;
                    foreach (var module in topic.byRecord) own.Modules.Add(module.Name);
                }

                own.Stations.Add(station);
            }

            var named = into.Parts.Batches;
            var first = named.Count;
            if (topic.byWindow.Count == 0) return named.Since(first);
            var timeMs = TimeOf(items);
            foreach (var module in topic.byWindow)
            {
                var startMs = EventWindow.StartOf(timeMs, module.Batch.LengthMs, topic.settings.Pipeline.TimeZone);
                var (addition, id) = WindowOf(module.Name, startMs);
                addition.Stations.Add(station);
                addition.NewestMs = Math.Max(addition.NewestMs, timeMs);
                named.Add(new BatchReference { Module = module.Name, BatchId = id, WindowStartMs = startMs });
            }

            return named.Since(first);
        }

        /// <summary>Names the batches that the record opened for every station in it; to be called after all parts.</summary>
        public RoutedParts.Run OfRecord()
        {
            var named = into.Parts.Batches;
            var first = named.Count;
            foreach (var module in topic.byRecord) named.Add(new BatchReference { Module = module.Name, BatchId = batchId });
            return named.Since(first);
        }

        private (WindowAddition Addition, string BatchId) WindowOf(string module, long startMs)
        {
            windows ??= [];
            if (windows.TryGetValue((module, startMs), out var known)) return known;
            var added = (Addition: new WindowAddition { Module = module, StartMs = startMs }, EventWindow.BatchId(record.Partition.Topic, startMs));
            windows.Add((module, startMs), added);
            ManifestTo(EventWindow.ShardOf(record.Partition.Topic, module, topic.settings.ShardCount)).Windows.Add(added.Addition);
            return added;
        }

        private Manifest ManifestTo(int shard)
        {
            foreach (var (to, begun) in into.Manifests)
            {
                if (to == shard) return begun;
            }

            var manifest = new Manifest
            {
                Topic = record.Partition.Topic,
                Incarnation = incarnation,
                Partition = record.Partition.Partition,
                Offset = record.Offset,
                Origin = record.Origin ?? "",
                Rules = topic.settings.ConfigurationVersion,
            };
            into.Manifests.Add((shard, manifest));
            return manifest;
        }

        // The newest time of the part's items, else the record's. One in the future counts as the record's: it would close
        // the windows of all others. Times before 1970 count as 1970.
        private long TimeOf(ReadOnlySpan<ReadOnlyMemory<byte>> items)
        {
            long? newest = null;
            if (topic.time is not null)
            {
                Span<JsonSlice> found = stackalloc JsonSlice[1];
                foreach (var item in items)
                {
                    if (topic.time.TryLocate(item.Span, found) && found[0].HasValue
                        && EventTime.TryRead(found[0].Of(item.Span), topic.settings.Pipeline.TimeZone, out var timeMs)
                        && !(newest > timeMs)) newest = timeMs;
                }
            }

            var time = newest ?? record.TimestampMs;
            return Math.Max(0, record.TimestampMs > 0 ? Math.Min(time, record.TimestampMs) : time);
        }
    }
}
