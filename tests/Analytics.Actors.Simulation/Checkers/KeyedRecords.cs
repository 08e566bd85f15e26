using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Simulation;

/// <summary>
/// What a shard must make of a record of METERS or STATES where these are keyed by station: read here by hand, without the router's
/// rules. What belongs to other shards they get from station-events, as from a router.
/// </summary>
public static class KeyedRecords
{
    private const int SpanMs = 3_000;

    /// <summary>The shard's own parts, those that cannot be used among them; and its manifest, where a batch of the record is its own.</summary>
    /// <param name="version">The version of the configuration by which the shard processed it.</param>
    public static (RecordParts Own, Manifest? Announced) Of(int shards, TopicPartition partition, StoredRecord record, int incarnation, long version)
    {
        var own = new RecordParts { Topic = partition.Topic, Incarnation = incarnation, Partition = partition.Partition, Offset = record.Offset, TimestampMs = record.TimestampMs };
        var announced = new Manifest { Topic = partition.Topic, Incarnation = incarnation, Partition = partition.Partition, Offset = record.Offset, BatchId = $"{partition.Topic}:{partition.Partition}:{record.Offset}" };
        using var items = JsonDocument.Parse(record.Value);
        var index = 0;
        var isState = partition.Topic == Workload.States;
        foreach (var item in isState ? [items.RootElement] : items.RootElement.EnumerateArray().ToList())
        {
            var station = item.TryGetProperty(Workload.IsOther(version) ? "otherId" : "stationId", out var id) ? id.GetString()! : null;
            if (station is not null) announced.Stations.Add(station);
            if (station is null || Murmur2.Partition(station, shards) == partition.Partition)
            {
                var part = new Part { Index = index, Station = station ?? "", Rejected = station is null ? new RejectedPart() : null };
                part.Items.Add(ByteString.CopyFromUtf8(item.GetRawText()));
                if (!isState) part.Batches.Add(new BatchReference { Module = Workload.Span, BatchId = Core.Batches.EventWindow.BatchId(partition.Topic, record.TimestampMs - (record.TimestampMs % SpanMs)) });
                own.Parts.Add(part);
            }

            index++;
        }

        // No module gathers it.
        if (isState) return (own, null);
        IReadOnlyList<string> modules = Workload.IsOther(version) ? [Workload.First, Workload.Extra] : [Workload.First];
        foreach (var module in modules) own.Batches.Add(new BatchReference { Module = module, BatchId = announced.BatchId });
        var isFirsts = Murmur2.Partition(announced.BatchId, shards) == partition.Partition;
        var isSpans = Core.Batches.EventWindow.ShardOf(partition.Topic, Workload.Span, shards) == partition.Partition;
        if (isFirsts) announced.Modules.AddRange(modules);
        return (own, isFirsts || isSpans ? announced : null);
    }
}
