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

    /// <summary>Takes a record of a source keyed by station apart.</summary>
    public void Read(in LogRecord record, int incarnation, Arrival into) =>
        into.ReadSource(record, rules ??= new RecordRouter(settings), incarnation, shard);

    /// <summary>Sends on what belongs to other shards; returns the shard's own manifest, if there is one.</summary>
    public Manifest? SendOn(Arrival arrival, ShardOutputs outputs)
    {
        if (!arrival.IsSource) return null;
        Manifest? own = null;
        foreach (var (to, manifest) in arrival.Routed.Manifests)
        {
            var announced = RunOf(manifest.Topic, manifest.Incarnation, manifest.Partition).Announced;
            manifest.PreviousOffset = announced[to];
            announced[to] = manifest.Offset;
            if (to == shard.Value) own = manifest;
            else outputs.Announce(to, manifest);
        }

        SendParts(arrival, outputs);
        return own;
    }

    private void SendParts(Arrival arrival, ShardOutputs outputs)
    {
        var routed = arrival.Routed.Parts;
        var sentOn = 0;
        // Nearly all records lie where they belong.
        if (routed.Records.Count > arrival.Own.Length)
        {
            var pieces = new List<RoutedParts.Record>();
            foreach (ref readonly var record in routed.Records.Span)
            {
                if (record.Shard == shard.Value) continue;
                sentOn += record.Parts.Count;
                RecordPieces.Cut(routed, record, settings.EnvelopeBytesMax - ShardOutputs.PieceOverhead, pieces);
            }

            foreach (var piece in pieces) Send(routed, piece, outputs);
        }

        if (sentOn > 0 || IsWronglyKeyed(arrival)) outputs.Raise(new RecordMisplaced(shard, arrival.Record.Partition, arrival.Record.Offset, sentOn));
    }

    // What waits for a checkpoint has its own copy of the bytes.
    private void Send(RoutedParts routed, RoutedParts.Record piece, ShardOutputs outputs)
    {
        var sent = RunOf(piece.Topic, piece.Incarnation, piece.Partition).Sent;
        piece.PreviousOffset = sent[piece.Shard];
        sent[piece.Shard] = piece.Offset;
        var bytes = new byte[PartsWriter.SizeOf(routed, piece)];
        PartsWriter.Write(routed, piece, bytes);
        outputs.Forward(piece.Shard, RecordParts.Parser.ParseFrom(bytes));
    }

    // A key that is none of the record's stations lies right by chance only. Without a key the producer chose the partition.
    private static bool IsWronglyKeyed(Arrival arrival)
    {
        if (arrival.Record.Key is not { } key) return false;
        var hasStations = false;
        foreach (ref readonly var record in arrival.Own)
        {
            foreach (ref readonly var part in arrival.Routed.Parts.Parts.Of(record.Parts))
            {
                if (!Arrival.NeedsStation(record, part)) continue;
                if (part.Station.Span.SequenceEqual(key.Span)) return false;
                hasStations = true;
            }
        }

        return hasStations;
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
