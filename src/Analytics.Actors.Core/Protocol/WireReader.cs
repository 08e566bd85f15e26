namespace Analytics.Actors.Core.Protocol;

/// <summary>
/// Reads protobuf's fields one by one. What it does not take is either broken or a form that nobody writes: groups, numbers
/// spelled in more bytes than they may have, lengths beyond the end.
/// </summary>
/// <param name="all">The whole of what is read; places in it are counted from its beginning.</param>
internal ref struct WireReader(ReadOnlySpan<byte> all, int start, int end)
{
    /// <summary>Wire types: how a field's value is written.</summary>
    public const uint Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5;

    private readonly ReadOnlySpan<byte> all = all;
    private readonly int end = end;
    private int at = start;

    public readonly bool IsAtEnd => at == end;

    /// <summary>The number of a field, and its wire type in the lowest three bits.</summary>
    public bool TryTag(out uint tag)
    {
        var isRead = TryVarint(out var number);
        tag = (uint)number;
        return isRead && number is > 7 and <= uint.MaxValue;
    }

    public bool TryVarint(out ulong number)
    {
        number = 0;
        for (var shift = 0; shift < 70 && at < end; shift += 7)
        {
            var next = all[at++];
            number |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80) return true;
        }

        return false;
    }

    /// <summary>A value with its length before it: text, bytes, a message, packed numbers.</summary>
    public bool TryBytes(out int start, out int length)
    {
        start = length = 0;
        if (!TryVarint(out var count) || count > (ulong)(end - at)) return false;
        (start, length) = (at, (int)count);
        at += length;
        return true;
    }

    /// <summary>The value of a field that nobody asks for.</summary>
    public bool TrySkip(uint tag)
    {
        switch (tag & 7)
        {
            case Varint: return TryVarint(out _);
            case Bytes: return TryBytes(out _, out _);
            case Fixed64 when end - at >= sizeof(ulong): at += sizeof(ulong); return true;
            case Fixed32 when end - at >= sizeof(uint): at += sizeof(uint); return true;
            default: return false;
        }
    }
}
