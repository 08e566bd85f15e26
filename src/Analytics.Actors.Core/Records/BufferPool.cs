using System.Numerics;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Buffers for bytes that are under way: what was read and is not applied yet, what waits to be sent. They are needed by the
/// thousand in a flood and hardly ever after it, so the pool keeps no more of each size than a steady stream passes to and fro;
/// the rest is the collector's. (The shared pool of the framework keeps 32 of each size for each processor, and lets them go after minutes.)
/// From any thread.
/// </summary>
public sealed class BufferPool
{
    /// <summary>Larger buffers are made and forgotten.</summary>
    public const int LengthMax = 1024 * 1024;

    /// <summary>What is kept of one size.</summary>
    public const int KeptBytesMax = 4 * 1024 * 1024;

    // Powers of two from 1 KB to 1 MB.
    private const int LengthMin = 1024, SizeCount = 11, KeptCountMax = 256;

    private readonly Lock gate = new();
    private readonly Stack<byte[]>[] kept = [.. Enumerable.Range(0, SizeCount).Select(_ => new Stack<byte[]>())];

    /// <summary>Of all records and envelopes of a process.</summary>
    public static BufferPool Shared { get; } = new();

    /// <summary>What is kept now, in bytes.</summary>
    public long KeptBytes
    {
        get { lock (gate) return kept.Sum(buffers => buffers.Sum(buffer => (long)buffer.Length)); }
    }

    /// <summary>A buffer of at least this length, with anything in it.</summary>
    public byte[] Rent(int length)
    {
        if (length > LengthMax) return GC.AllocateUninitializedArray<byte>(length);
        var size = BitOperations.RoundUpToPowerOf2((uint)Math.Max(length, LengthMin));
        lock (gate)
        {
            if (kept[IndexOf(size)].TryPop(out var buffer)) return buffer;
        }

        return GC.AllocateUninitializedArray<byte>((int)size);
    }

    /// <summary>Takes a buffer back that nobody looks at any more.</summary>
    public void Return(byte[] buffer)
    {
        var length = (uint)buffer.Length;
        if (length is < LengthMin or > LengthMax || !BitOperations.IsPow2(length)) return;
        lock (gate)
        {
            var buffers = kept[IndexOf(length)];
            if (buffers.Count < Math.Min(KeptCountMax, KeptBytesMax / (int)length)) buffers.Push(buffer);
        }
    }

    /// <summary>Forgets what is kept.</summary>
    public void Clear()
    {
        lock (gate)
        {
            foreach (var buffers in kept) buffers.Clear();
        }
    }

    private static int IndexOf(uint size) => BitOperations.Log2(size / LengthMin);
}
