using System.Buffers;
using System.Text;
using Google.Protobuf;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Writes protobuf messages byte for byte as the generated code does, from their end to their beginning: so the length of
/// what a message holds is known when it is to be written in front. Fields are to be written in falling order of their
/// numbers, and repeated ones the last first. One object serves one message after another; it holds memory only in between,
/// and only the finished bytes are allocated.
/// </summary>
internal sealed class StateWriter
{
    private const int FirstLength = 2048;

    private byte[] buffer = [];
    private int start;

    /// <summary>Bytes written so far.</summary>
    public int Length => buffer.Length - start;

    /// <summary>Room for bytes in front of all others, to be filled by the caller.</summary>
    public Span<byte> Reserve(int length)
    {
        if (start < length) Grow(length);
        start -= length;
        return buffer.AsSpan(start, length);
    }

    /// <summary>Bytes as they are: fields that are written already.</summary>
    public void Raw(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Reserve(bytes.Length));

    public void Varint(ulong value)
    {
        Span<byte> digits = stackalloc byte[10];
        var count = 0;
        for (; value >= 0x80; value >>= 7) digits[count++] = (byte)(value | 0x80);
        digits[count++] = (byte)value;
        Raw(digits[..count]);
    }

    /// <summary>A number, boolean or time; 0 is what a missing one means.</summary>
    public void Number(int field, long value)
    {
        if (value != 0) Present(field, value);
    }

    /// <summary>A number that is written even where it is 0.</summary>
    public void Present(int field, long value)
    {
        Varint((ulong)value);
        Tag(field, WireFormat.WireType.Varint);
    }

    /// <summary>Bytes, if there are any.</summary>
    public void Bytes(int field, ReadOnlySpan<byte> bytes)
    {
        if (!bytes.IsEmpty) Element(field, bytes);
    }

    /// <summary>An element of a repeated field.</summary>
    public void Element(int field, ReadOnlySpan<byte> bytes)
    {
        var mark = Length;
        Raw(bytes);
        Close(field, mark);
    }

    public void Text(int field, string text)
    {
        if (text.Length == 0) return;
        var mark = Length;
        Encoding.UTF8.GetBytes(text, Reserve(Encoding.UTF8.GetByteCount(text)));
        Close(field, mark);
    }

    /// <summary>What was written since <see cref="Length"/> was <paramref name="mark"/> is the message, bytes or packed list of a field.</summary>
    public void Close(int field, int mark)
    {
        Varint((uint)(Length - mark));
        Tag(field, WireFormat.WireType.LengthDelimited);
    }

    /// <summary>What was written; the writer is empty then.</summary>
    public byte[] Take()
    {
        var bytes = buffer.AsSpan(start).ToArray();
        if (buffer.Length > 0) ArrayPool<byte>.Shared.Return(buffer);
        (buffer, start) = ([], 0);
        return bytes;
    }

    private void Tag(int field, WireFormat.WireType type) => Varint(WireFormat.MakeTag(field, type));

    private void Grow(int length)
    {
        var written = Length;
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(Math.Max(buffer.Length * 2, FirstLength), written + length));
        buffer.AsSpan(start).CopyTo(larger.AsSpan(larger.Length - written));
        if (buffer.Length > 0) ArrayPool<byte>.Shared.Return(buffer);
        (buffer, start) = (larger, larger.Length - written);
    }
}
