using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>Gives the core records as a real reader does: in buffers that other records get afterwards.</summary>
internal static class PooledRecords
{
    /// <summary>Hands the records over in a chunk, and takes it back when they are handled.</summary>
    public static void Handle(NodeCore core, RecordsRead read, long nowMs, List<NodeEffect> effects)
    {
        var chunk = RecordChunk.Rent(read.Records.Sum(record => record.Value.Length + (record.Key?.Length ?? 0)), read.Records.Count);
        var records = read.Records.Select(record => record with
        {
            Value = chunk.Add(record.Value.Span), Key = record.Key is { } key ? chunk.Add(key.Span) : record.Key, Chunk = chunk,
        }).ToList();
        core.Handle(new RecordsRead(read.Partition, records), nowMs, effects);
        chunk.Release(records.Count);
    }

    /// <summary>The record in a chunk, which the router takes back when it has routed it.</summary>
    public static SourceRecord Of(SourceRecord record)
    {
        var chunk = RecordChunk.Rent(record.Value.Length, 1);
        return record with { Value = chunk.Add(record.Value.Span), Chunk = chunk };
    }
}
