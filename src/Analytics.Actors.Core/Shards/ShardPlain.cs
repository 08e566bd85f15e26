using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Shards;

/// <summary>A topic, and how many parts of it were applied since the takeover.</summary>
internal sealed class AppliedTopic(TopicConfiguration configuration)
{
    public TopicConfiguration Configuration => configuration;
    public long Count { get; set; }
}

/// <summary>
/// What is the same of all records of one partition of a source keyed by station, as far as they are plain: one object, which is
/// the one item of the station that its key names.
/// </summary>
/// <param name="topic">Null where none of its records can be taken as plain.</param>
/// <param name="context">Of the topic's windows.</param>
internal sealed class PlainSource(SourcePartition source, AppliedTopic? topic, WindowContext? context)
{
    private readonly PlainItem? item = context is null ? null : new PlainItem(context.Topic, context.Plan.Members);

    public SourcePartition Source => source;
    public AppliedTopic Topic => topic!;

    /// <summary>Null as long as no plain record has come.</summary>
    public Marks.Mark? Mark { get; set; }

    /// <summary>The record under its key is plain. The windows need not look for its members then, until <see cref="End"/>.</summary>
    public bool TryBegin(in LogRecord record)
    {
        if (item is null || record.Origin is { Length: > 0 } || record.Key is not { } key) return false;
        if (!item.TryRead(record.Value, out var id) || !id.SequenceEqual(key.Span)) return false;
        context!.Read = item;
        return true;
    }

    /// <summary>The record has been applied.</summary>
    public void End()
    {
        context!.Read = null;
        item!.Forget();
    }
}

/// <summary>
/// How a shard takes plain records. Nearly all of a source keyed by station are plain, of a station that is in memory, and need none
/// of what the general way prepares: no tables of parts, no grouping by shards, nothing to send on. What follows is the same.
/// </summary>
public sealed partial class Shard
{
    private readonly ReadOnlyMemory<byte>[] plainItem = new ReadOnlyMemory<byte>[1];

    /// <param name="ofKey">The station that its key names, if it is in memory.</param>
    /// <returns>False where nothing was done: the record has to be taken apart in the general way.</returns>
    private bool TryReceivePlain(in LogRecord record, ShardLog log, Station? ofKey, long nowMs)
    {
        if (ofKey is null || arrivals.Count > 0 || record.Value.Length > settings.RecordBytesMax - RecordRouter.EnvelopeBytes) return false;
        var source = log.Plain ??= PlainSourceOf(log);
        if (!source.TryBegin(record)) return false;
        log.Received = record.Offset + 1;
        var mark = source.Mark ??= Marks.Of(log.Partition, source.Source);
        var place = new Place(record.Offset, 0, 0);
        if (IsNew(mark, source.Source, place))
        {
            plainItem[0] = record.Value;
            var arrived = new PartArrival(source.Source, place, record.TimestampMs, plainItem, default, default, null);
            var times = TimesOf(source.Source, place);
            for (var time = 0; time < times; time++) ApplyToStation(source.Topic, ofKey, arrived, mark, nowMs);
        }

        source.End();
        logs.Advance(log, record);
        return true;
    }

    // Where modules gather records, each one announces its stations to their batches.
    private PlainSource PlainSourceOf(ShardLog log)
    {
        var partition = log.Partition;
        var source = new SourcePartition(partition.Topic, log.Incarnation, partition.Partition);
        if (!settings.IsKeyed(partition.Topic) || TopicBatches.ModulesOf(topics[partition.Topic].Configuration, settings.Pipeline).Any()) return new PlainSource(source, null, null);
        var topic = topics[partition.Topic];
        return new PlainSource(source, topic, around.Contexts.Of(topic.Configuration));
    }

    private bool IsNew(Marks.Mark mark, SourcePartition source, Place place)
    {
        if (mark.Advance(place)) return true;
        RepeatedParts++;
        if (settings.DetailedEvents) Outputs.Raise(new PartRepeated(Id, source, place));
        return false;
    }

    private int TimesOf(SourcePartition source, Place place) => settings.ApplyTimes is { } chosen ? chosen(source, place) : 1;

    private void NoteApplied(AppliedTopic applied, string station, in PartArrival arrived, Marks.Mark mark)
    {
        mark.Applied(arrived.Place);
        applied.Count++;
        if (settings.DetailedEvents) Outputs.Raise(new PartApplied(Id, station, arrived.Source, arrived.Place));
    }

    private void ApplyToStation(AppliedTopic applied, Station station, in PartArrival arrived, Marks.Mark mark, long nowMs)
    {
        NoteApplied(applied, station.Id, arrived, mark);
        if (!station.IsCounted)
        {
            station.IsCounted = true;
            StationCount++;
        }

        residents.Use(station, nowMs);
        station.Apply(applied.Configuration, arrived, nowMs);
        AfterStation(station);
    }
}
