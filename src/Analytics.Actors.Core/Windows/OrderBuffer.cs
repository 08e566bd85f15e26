using Analytics.Actors.Core.Protocol;
using Google.Protobuf;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// The orders of one second, one behind the other in one array, as the field <c>items</c> of <see cref="SecondState"/> holds
/// them: a tag, the length, and the order's bytes. So a checkpoint copies them as they are.
/// </summary>
internal struct OrderBuffer
{
    private const byte Tag = (SecondState.ItemsFieldNumber << 3) | (byte)WireFormat.WireType.LengthDelimited;

    // A length has at most five bytes.
    private const int PrefixMax = 6;

    private byte[]? array;
    private int length;
    private bool isShared;

    public int Count { get; private set; }

    public readonly ReadOnlyMemory<byte> Bytes => new(array, 0, length);

    public void Add(ReadOnlySpan<byte> order, ItemPool pool)
    {
        var needed = length + PrefixMax + order.Length;
        if (array is null || array.Length < needed || isShared)
        {
            var larger = pool.Rent(Math.Max(needed, length * 3 / 2));
            Bytes.Span.CopyTo(larger);
            GiveBack(pool);
            (array, isShared) = (larger, false);
        }

        array[length++] = Tag;
        for (var rest = (uint)order.Length; ; rest >>= 7)
        {
            array[length++] = (byte)(rest < 0x80 ? rest : rest | 0x80);
            if (rest < 0x80) break;
        }

        order.CopyTo(array.AsSpan(length));
        length += order.Length;
        Count++;
    }

    /// <summary>The orders as they are now, for whoever looks at them later: the array is never written to again.</summary>
    public ReadOnlyMemory<byte> Share()
    {
        isShared = true;
        return Bytes;
    }

    /// <summary>The orders go; their array may hold others, unless somebody shares it.</summary>
    public readonly void GiveBack(ItemPool pool)
    {
        if (array is not null && !isShared) pool.Return(array);
    }

    /// <summary>
    /// The orders go; returns a buffer without any in their array, unless somebody shares it. One that had room for far
    /// more than the last second needed goes to the pool.
    /// </summary>
    public readonly OrderBuffer Emptied(int lastLength, ItemPool pool)
    {
        if (array is null || isShared) return default;
        if (array.Length <= Math.Max(4096, lastLength * 8)) return new OrderBuffer { array = array };
        pool.Return(array);
        return default;
    }

    /// <summary>Takes the first order off.</summary>
    public static ReadOnlyMemory<byte> TakeFirst(ref ReadOnlyMemory<byte> orders)
    {
        var span = orders.Span;
        var (size, at) = (0, 1);
        for (var shift = 0; ; shift += 7)
        {
            var next = span[at++];
            size |= (next & 0x7F) << shift;
            if (next < 0x80) break;
        }

        var order = orders.Slice(at, size);
        orders = orders[(at + size)..];
        return order;
    }
}
