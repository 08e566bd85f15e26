using System.Runtime.InteropServices;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Node.Demo;

/// <summary>An acknowledged record: what it must do, when it was acknowledged, and whose uploads of it are complete.</summary>
internal struct AcknowledgedRecord
{
    /// <summary>Null where no record of ours has this offset.</summary>
    public Expectation? Expectation;
    public long AckMs;

    /// <summary>One bit per module: its batch of this record has been uploaded with every station accounted for.</summary>
    public ulong CompleteModules;
}

/// <summary>
/// The acknowledged records of one source partition by offset, for a while: those older than that are dropped in chunks,
/// so that a demo of hours needs no more memory than one of minutes.
/// </summary>
internal sealed class AcknowledgedRecords
{
    private const int ChunkSize = 1024;
    private readonly SortedDictionary<long, Chunk> chunks = [];
    private long droppedBelow;

    private sealed class Chunk
    {
        public readonly AcknowledgedRecord[] Records = new AcknowledgedRecord[ChunkSize];
        public long NewestAckMs;
    }

    public bool HasDropped => droppedBelow > 0;

    /// <summary>False where the offset was acknowledged before.</summary>
    public bool Add(long offset, Expectation expectation, long ackMs, long keepMs)
    {
        var number = offset / ChunkSize;
        if (!chunks.TryGetValue(number, out var chunk))
        {
            Drop(ackMs - keepMs);
            chunks.Add(number, chunk = new Chunk());
        }

        ref var record = ref chunk.Records[offset % ChunkSize];
        if (record.Expectation is not null) return false;
        record.Expectation = expectation;
        record.AckMs = ackMs;
        chunk.NewestAckMs = Math.Max(chunk.NewestAckMs, ackMs);
        return true;
    }

    /// <summary>The record at an offset; a null reference where none is known.</summary>
    public ref AcknowledgedRecord Find(long offset)
    {
        if (offset >= 0 && chunks.TryGetValue(offset / ChunkSize, out var chunk))
        {
            ref var record = ref chunk.Records[offset % ChunkSize];
            if (record.Expectation is not null) return ref record;
        }

        return ref System.Runtime.CompilerServices.Unsafe.NullRef<AcknowledgedRecord>();
    }

    /// <summary>Whether the offset may have been known and is forgotten by now.</summary>
    public bool IsDropped(long offset) => offset < droppedBelow;

    /// <summary>The known places of one shard.</summary>
    public IEnumerable<Place> PlacesOf(int shard, int shardCount)
    {
        foreach (var (number, chunk) in chunks)
        {
            for (var position = 0; position < ChunkSize; position++)
            {
                if (chunk.Records[position].Expectation is not { } expectation) continue;
                var offset = number * ChunkSize + position;
                if (expectation.IsGlobal) yield return new Place(offset, 0, 0);
                foreach (var part in expectation.Parts)
                    if (Murmur2.Partition(part.Station, shardCount) == shard) yield return new Place(offset, part.Index, 0);
            }
        }
    }

    private void Drop(long olderThanMs)
    {
        while (chunks.Count > 0)
        {
            var (number, oldest) = chunks.First();
            if (oldest.NewestAckMs >= olderThanMs) return;
            chunks.Remove(number);
            droppedBelow = Math.Max(droppedBelow, (number + 1) * ChunkSize);
        }
    }
}
