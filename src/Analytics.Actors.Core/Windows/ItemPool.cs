using System.Numerics;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Arrays for the copies that windows keep. A window gives an array back when it has replaced what stood in it and nothing
/// that was shaped from it shares it; whoever does not give one back costs the collector an array. Of one thread.
/// </summary>
internal sealed class ItemPool
{
    // Lengths in steps of 8 up to 1 KB (what the heap rounds to anyway), then eight steps to each power of two.
    private const int SmallMax = 1024, SmallClasses = SmallMax / 8, LengthMax = 16 * 1024, ClassCount = SmallClasses + 4 * 8;
    private const int KeptPerClass = 8, KeptBytesMax = 64 * 1024;

    private readonly byte[][]?[] kept = new byte[ClassCount][][];
    private readonly byte[] counts = new byte[ClassCount];
    private int keptBytes;

    /// <summary>An array of at least this length, with anything in it.</summary>
    public byte[] Rent(int length)
    {
        if (length > LengthMax) return GC.AllocateUninitializedArray<byte>(length);
        var (index, size) = ClassOf(length);
        if (counts[index] == 0) return GC.AllocateUninitializedArray<byte>(size);
        keptBytes -= size;
        var arrays = kept[index]!;
        var array = arrays[--counts[index]];
        arrays[counts[index]] = null!;
        return array;
    }

    /// <summary>An array that begins with these bytes.</summary>
    public byte[] Copy(ReadOnlySpan<byte> bytes)
    {
        var array = Rent(bytes.Length);
        bytes.CopyTo(array);
        return array;
    }

    /// <summary>The array is of the length that one rented for so many bytes has.</summary>
    public static bool Fits(byte[] array, int length) =>
        array.Length == (length > LengthMax ? length : length <= SmallMax ? Math.Max(8, (length + 7) & ~7) : ClassOf(length).Size);

    /// <summary>Takes an array back that nobody looks at any more.</summary>
    public void Return(byte[] array)
    {
        if (array.Length is 0 or > LengthMax || keptBytes + array.Length > KeptBytesMax) return;
        var (index, size) = ClassOf(array.Length);
        if (size != array.Length || counts[index] == KeptPerClass) return;
        (kept[index] ??= new byte[KeptPerClass][])[counts[index]++] = array;
        keptBytes += size;
    }

    private static (int Index, int Size) ClassOf(int length)
    {
        if (length <= SmallMax)
        {
            var units = Math.Max(1, (length + 7) >> 3);
            return (units - 1, units << 3);
        }

        // 1025 to 2048 is one power in eight steps of 128, and so on.
        var shift = BitOperations.Log2((uint)length - 1) - 3;
        var step = ((length - 1) >> shift) + 1;
        return (SmallClasses + (shift - 7) * 8 + step - 9, step << shift);
    }
}
