using System.Buffers.Text;
using System.Globalization;

namespace Analytics.Actors.Node.Bench.Workloads;

/// <summary>Puts the bytes of one record together.</summary>
internal sealed class RecordText
{
    private byte[] buffer = new byte[1024];

    public int Length { get; private set; }

    public RecordText Add(ReadOnlySpan<byte> text)
    {
        text.CopyTo(Room(text.Length));
        Length += text.Length;
        return this;
    }

    public RecordText Add(long number)
    {
        Utf8Formatter.TryFormat(number, Room(20), out var written);
        Length += written;
        return this;
    }

    /// <summary>A number with leading zeros.</summary>
    public RecordText Digits(long number, int width)
    {
        var room = Room(width);
        for (var place = width - 1; place >= 0; place--)
        {
            room[place] = (byte)('0' + (number % 10));
            number /= 10;
        }

        Length += width;
        return this;
    }

    /// <summary>A decimal fraction: 36417 with 3 decimals is 36.417.</summary>
    public RecordText Decimal(long number, int decimals)
    {
        var scale = 1L;
        for (var place = 0; place < decimals; place++) scale *= 10;
        return Add(number / scale).Add("."u8).Digits(number % scale, decimals);
    }

    /// <summary>As stations write times: 2025-11-04 08:00:00, at UTC+8.</summary>
    public RecordText Time(long timeMs)
    {
        var time = DateTime.UnixEpoch.AddMilliseconds(timeMs).AddHours(8);
        time.TryFormat(Room(19), out _, "yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        Length += 19;
        return this;
    }

    public byte[] Take()
    {
        var value = buffer.AsSpan(0, Length).ToArray();
        Length = 0;
        return value;
    }

    private Span<byte> Room(int size)
    {
        if (buffer.Length - Length < size) Array.Resize(ref buffer, Math.Max(buffer.Length * 2, Length + size));
        return buffer.AsSpan(Length, size);
    }
}
