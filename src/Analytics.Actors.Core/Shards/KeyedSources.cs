using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Routing;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// A shard as the router of its own partitions of the sources keyed by station. The rules are the router's. What concerns
/// the shard itself is applied at once, under a mark of that partition; what belongs to another shard (parts of misfits, and
/// manifests of batches) leaves through the outbox.
/// </summary>
/// <remarks>
/// Must keep true: what leaves is in the checkpoint that holds the position behind its record. So the shard's run of a
/// source partition in another shard's log is contiguous like a router's, the receiver's marks know it, and repeats fall.
/// </remarks>
internal sealed class KeyedSources(ShardId shard, ShardSettings settings)
{
    // Of each partition the last offset sent to each shard's two logs since the takeover; -1 before the first.
    private readonly Dictionary<SourcePartition, (long[] Sent, long[] Announced)> runs = [];
    private RecordRouter? rules;

    public Arrival Route(in LogRecord record, int incarnation)
    {
        rules ??= new RecordRouter(settings);
        var routed = rules.Route(new SourceRecord(record.Partition, record.Offset, record.TimestampMs, record.Value, record.Origin), incarnation);
        IReadOnlyList<RecordParts> own = [];
        foreach (var (to, parts) in routed.Parts)
        {
            if (to != shard.Value) continue;
            // The log is read from a stored position: nothing can be missing before.
            parts.PreviousOffset = -1;
            own = [parts];
        }

        return new Arrival(record, own, Routed: routed);
    }

    /// <summary>Sends on what belongs to other shards; returns the shard's own manifest, if there is one.</summary>
    public Manifest? SendOn(Arrival arrival, ShardOutputs outputs)
    {
        if (arrival.Routed is not { } routed) return null;
        Manifest? own = null;
        foreach (var (to, manifest) in routed.Manifests)
        {
            var announced = RunOf(manifest.Topic, manifest.Incarnation, manifest.Partition).Announced;
            manifest.PreviousOffset = announced[to];
            announced[to] = manifest.Offset;
            if (to == shard.Value) own = manifest;
            else outputs.Announce(to, manifest);
        }

        SendParts(arrival, routed, outputs);
        return own;
    }

    private void SendParts(Arrival arrival, RoutedRecord routed, ShardOutputs outputs)
    {
        // Nearly all records lie where they belong.
        if (routed.Parts.Count == arrival.Records.Count)
        {
            if (IsWronglyKeyed(arrival)) outputs.Raise(new RecordMisplaced(shard, arrival.Record.Partition, arrival.Record.Offset, 0));
            return;
        }

        var foreign = routed.Parts.Where(parts => parts.Shard != shard.Value).ToList();
        foreach (var (to, parts) in RecordPieces.Of(foreign, settings.EnvelopeBytesMax - ShardOutputs.PieceOverhead))
        {
            var sent = RunOf(parts.Topic, parts.Incarnation, parts.Partition).Sent;
            parts.PreviousOffset = sent[to];
            sent[to] = parts.Offset;
            outputs.Forward(to, parts);
        }

        outputs.Raise(new RecordMisplaced(shard, arrival.Record.Partition, arrival.Record.Offset, foreign.Sum(parts => parts.Parts.Parts.Count)));
    }

    // A key that is none of the record's stations lies right by chance only. Without a key the producer chose the partition.
    private static bool IsWronglyKeyed(Arrival arrival) =>
        arrival.Record.Key is { } key && arrival.Stations.Any() && !arrival.Stations.Any(station => IsKeyOf(key.Span, station));

    private static bool IsKeyOf(ReadOnlySpan<byte> key, string station)
    {
        Span<byte> bytes = stackalloc byte[Records.StationIds.BytesMax];
        return System.Text.Encoding.UTF8.TryGetBytes(station, bytes, out var length) && bytes[..length].SequenceEqual(key);
    }

    private (long[] Sent, long[] Announced) RunOf(string topic, int incarnation, int partition)
    {
        var source = new SourcePartition(topic, incarnation, partition);
        if (runs.TryGetValue(source, out var run)) return run;
        long[] Nothing() => [.. Enumerable.Repeat(-1L, settings.ShardCount)];
        runs.Add(source, run = (Nothing(), Nothing()));
        return run;
    }
}
