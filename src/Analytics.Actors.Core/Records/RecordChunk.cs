namespace Analytics.Actors.Core.Records;

/// <summary>
/// One pooled buffer with the bytes of records that were read together. Whoever reads fills it and hands it over with the
/// records; from then on it belongs to the thread that takes them, which gives each record back once. After the last one the
/// buffer is used for other records: whoever keeps bytes of a record copies them before. Records that are never given back
/// cost the collector a buffer, and nothing else.
/// </summary>
public sealed class RecordChunk
{
    /// <summary>Larger ones are not pooled: a pool that kept them would hold the size of the rarest records for ever.</summary>
    public const int PooledBytesMax = BufferPool.LengthMax;

    // For tests: whoever still reads what was given back reads this.
    private const byte Released = 0xDD;
    private static readonly bool IsOverwriting = AppContext.TryGetSwitch("Analytics.Actors.OverwriteReleasedRecords", out var isOn) && isOn;

    private byte[] buffer;
    private int used;
    private int held;

    private RecordChunk(byte[] buffer, int records)
    {
        this.buffer = buffer;
        held = records;
    }

    /// <summary>A chunk for so many records, at least one, with room for so many bytes together.</summary>
    public static RecordChunk Rent(int bytes, int records)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(records);
        return new RecordChunk(BufferPool.Shared.Rent(bytes), records);
    }

    /// <summary>A chunk with a copy of one record's bytes alone.</summary>
    public static RecordChunk With(ReadOnlySpan<byte> bytes, out ReadOnlyMemory<byte> copy)
    {
        var chunk = Rent(bytes.Length, 1);
        copy = chunk.Add(bytes);
        return chunk;
    }

    /// <summary>Records that were not given back yet.</summary>
    public int Held => held;

    /// <summary>Copies bytes into the chunk. They are valid until their record is given back.</summary>
    public ReadOnlyMemory<byte> Add(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(buffer.AsSpan(used));
        var added = buffer.AsMemory(used, bytes.Length);
        used += bytes.Length;
        return added;
    }

    /// <summary>Gives records back: nobody reads their bytes any more. Giving back more than there are is an error.</summary>
    public void Release(int records = 1)
    {
        if (records <= 0 || records > held) throw new InvalidOperationException($"{records} records are given back to a chunk that holds {held}");
        held -= records;
        if (held > 0) return;
        if (IsOverwriting) buffer.AsSpan(0, used).Fill(Released);
        BufferPool.Shared.Return(buffer);
        buffer = [];
        used = 0;
    }
}
