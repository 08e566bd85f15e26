using System.Buffers.Text;
using System.Globalization;
using System.Text.Json;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Reads the times that payloads carry: <c>yyyy-MM-dd HH:mm:ss</c> (the seconds and the time of day may be missing, a
/// fraction, a T and a zone may be there), and numbers of seconds or milliseconds since 1970. Never throws.
/// </summary>
public static class EventTime
{
    // 1e11 seconds lie in the year 5138 and 1e11 milliseconds in 1973, so a number's size tells its unit.
    private const decimal MillisecondsFrom = 100_000_000_000m;
    private const decimal MillisecondsBelow = 100_000_000_000_000m;
    private const int TextMax = 64;
    private const long DayMs = 86_400_000;
    private static readonly long CalendarFromMs = (DateTime.MinValue - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMillisecond;
    private static readonly long CalendarToMs = (DateTime.MaxValue - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMillisecond;

    // Of a date and a time of day with their quotes.
    private const int PlainLength = 21;

    /// <summary>Reads a JSON value as a time.</summary>
    /// <param name="json">The value as written: text with its quotes, or a number.</param>
    /// <param name="timeZone">Offset from UTC of a text without a zone.</param>
    /// <param name="timeMs">Milliseconds since 1970 UTC.</param>
    public static bool TryRead(ReadOnlySpan<byte> json, TimeSpan timeZone, out long timeMs)
    {
        var readable = TryReadLocal(json, timeZone, out var localMs, out _);
        timeMs = readable ? localMs - (long)timeZone.TotalMilliseconds : 0;
        return readable;
    }

    /// <summary>Reads a JSON value as the time that a clock in <paramref name="timeZone"/> shows.</summary>
    /// <param name="localMs">Milliseconds on that clock since it showed 1970-01-01 00:00; what is written without a zone is taken as it is.</param>
    /// <param name="withT">Date and time of day were separated by a T.</param>
    internal static bool TryReadLocal(ReadOnlySpan<byte> json, TimeSpan timeZone, out long localMs, out bool withT)
    {
        localMs = 0;
        withT = false;
        if (json.IsEmpty) return false;
        if (json[0] != (byte)'"') return TryReadNumber(json, timeZone, out localMs);
        if (json.Length == PlainLength && TryReadPlain(json, out localMs, out withT)) return true;
        if (json.Length < 2 || json.Length > TextMax) return false;
        scoped var text = json[1..^1];
        Span<byte> decoded = stackalloc byte[TextMax];
        if (text.Contains((byte)'\\'))
        {
            if (!TryDecode(json, decoded, out var length)) return false;
            text = decoded[..length];
        }

        return TryReadText(text.Trim((byte)' '), timeZone, out localMs, out withT);
    }

    /// <summary>Writes a clock's time as <c>yyyy-MM-dd HH:mm:ss</c>, 19 bytes.</summary>
    internal static void FormatLocal(long localMs, bool withT, Span<byte> destination)
    {
        var day = -1L;
        FormatLocal(localMs, withT, destination, ref day);
    }

    /// <summary>The same over the text of another time, whose date is left where it is of the same day.</summary>
    /// <param name="day">That of the text; -1 for none.</param>
    internal static void FormatLocal(long localMs, bool withT, Span<byte> destination, ref long day)
    {
        // Only the front of an absurdly long window can leave the calendar.
        var (days, ms) = Math.DivRem(Math.Clamp(localMs, CalendarFromMs, CalendarToMs) - CalendarFromMs, DayMs);
        if (days != day)
        {
            day = days;
            var (year, month, dayOfMonth) = DateTime.MinValue.AddDays(days);
            WriteTwoDigits(year / 100, destination);
            WriteTwoDigits(year % 100, destination[2..]);
            WriteTwoDigits(month, destination[5..]);
            WriteTwoDigits(dayOfMonth, destination[8..]);
            destination[4] = destination[7] = (byte)'-';
            destination[10] = withT ? (byte)'T' : (byte)' ';
            destination[13] = destination[16] = (byte)':';
        }

        var seconds = (int)ms / 1000;
        WriteTwoDigits(seconds / 3600, destination[11..]);
        WriteTwoDigits(seconds / 60 % 60, destination[14..]);
        WriteTwoDigits(seconds % 60, destination[17..]);
    }

    private static void WriteTwoDigits(int value, Span<byte> destination)
    {
        destination[1] = (byte)('0' + value % 10);
        destination[0] = (byte)('0' + value / 10);
    }

    /// <summary>Reads yyyy-MM-dd HH:mm:ss in quotes, with a blank or a T; what is written in any other way is not read.</summary>
    private static bool TryReadPlain(ReadOnlySpan<byte> json, out long localMs, out bool withT)
    {
        localMs = 0;
        withT = json[11] == 'T';
        if (json[5] != '-' || json[8] != '-' || (json[11] != ' ' && !withT) || json[14] != ':' || json[17] != ':') return false;
        var (century, year, month, day) = (TwoDigits(json, 1), TwoDigits(json, 3), TwoDigits(json, 6), TwoDigits(json, 9));
        var (hour, minute, second) = (TwoDigits(json, 12), TwoDigits(json, 15), TwoDigits(json, 18));
        if ((century | year | month | day | hour | minute | second) < 0) return false;
        year += century * 100;
        if (year == 0 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month) || hour > 23 || minute > 59 || second > 59) return false;
        localMs = (new DateTime(year, month, day, hour, minute, second, DateTimeKind.Utc) - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMillisecond;
        return true;
    }

    private static int TwoDigits(ReadOnlySpan<byte> text, int at)
    {
        var (tens, ones) = ((uint)(text[at] - '0'), (uint)(text[at + 1] - '0'));
        return tens <= 9 && ones <= 9 ? (int)(tens * 10 + ones) : -1;
    }

    private static bool TryReadNumber(ReadOnlySpan<byte> json, TimeSpan timeZone, out long localMs)
    {
        localMs = 0;
        if (json.Length == 13 && Utf8Parser.TryParse(json, out long milliseconds, out var length) && length == json.Length && milliseconds >= (long)MillisecondsFrom)
        {
            localMs = milliseconds + (long)timeZone.TotalMilliseconds;
            return true;
        }

        if (!decimal.TryParse(json, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)) return false;
        if (number <= 0 || number >= MillisecondsBelow) return false;
        var timeMs = number < MillisecondsFrom ? number * 1000 : number;
        localMs = (long)timeMs + (long)timeZone.TotalMilliseconds;
        return true;
    }

    private static bool TryReadText(ReadOnlySpan<byte> text, TimeSpan timeZone, out long localMs, out bool withT)
    {
        localMs = 0;
        withT = false;
        if (!TryDigits(ref text, 4, out var year) || !TryTake(ref text, '-') || !TryDigits(ref text, 2, out var month)
            || !TryTake(ref text, '-') || !TryDigits(ref text, 2, out var day)) return false;
        if (year < 1 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month)) return false;
        long dayMs = (new DateTime(year, month, day, 0, 0, 0, DateTimeKind.Utc) - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMillisecond;
        if (text.IsEmpty)
        {
            localMs = dayMs;
            return true;
        }

        withT = TryTake(ref text, 'T');
        if (!withT && !TryTake(ref text, ' ')) return false;
        if (!TryTimeOfDay(ref text, out var timeOfDayMs)) return false;
        localMs = dayMs + timeOfDayMs;
        if (text.IsEmpty) return true;
        if (!TryZone(text, out var zoneMs)) return false;
        localMs += (long)timeZone.TotalMilliseconds - zoneMs;
        return true;
    }

    private static bool TryTimeOfDay(ref ReadOnlySpan<byte> text, out long timeMs)
    {
        timeMs = 0;
        if (!TryDigits(ref text, 2, out var hour) || !TryTake(ref text, ':') || !TryDigits(ref text, 2, out var minute)) return false;
        var second = 0;
        var milliseconds = 0;
        if (TryTake(ref text, ':'))
        {
            if (!TryDigits(ref text, 2, out second)) return false;
            if (TryTake(ref text, '.') && !TryFraction(ref text, out milliseconds)) return false;
        }

        timeMs = ((hour * 60 + minute) * 60 + second) * 1000L + milliseconds;
        return hour < 24 && minute < 60 && second < 60;
    }

    private static bool TryFraction(ref ReadOnlySpan<byte> text, out int milliseconds)
    {
        milliseconds = 0;
        var count = 0;
        for (var weight = 100; count < text.Length && text[count] is >= (byte)'0' and <= (byte)'9'; count++, weight /= 10)
            milliseconds += (text[count] - '0') * weight;
        text = text[count..];
        return count > 0;
    }

    private static bool TryZone(ReadOnlySpan<byte> text, out long zoneMs)
    {
        zoneMs = 0;
        text = text.TrimStart((byte)' ');
        if (text.Length == 1 && (text[0] | 0x20) == 'z') return true;
        var negative = TryTake(ref text, '-');
        if (!negative && !TryTake(ref text, '+')) return false;
        if (!TryDigits(ref text, 2, out var hours)) return false;
        var minutes = 0;
        if (!text.IsEmpty)
        {
            TryTake(ref text, ':');
            if (!TryDigits(ref text, 2, out minutes) || !text.IsEmpty) return false;
        }

        zoneMs = (hours * 60 + minutes) * 60_000L * (negative ? -1 : 1);
        return hours <= 18 && minutes < 60;
    }

    private static bool TryDigits(ref ReadOnlySpan<byte> text, int count, out int number)
    {
        number = 0;
        if (text.Length < count) return false;
        for (var i = 0; i < count; i++)
        {
            if (text[i] is < (byte)'0' or > (byte)'9') return false;
            number = number * 10 + (text[i] - '0');
        }

        text = text[count..];
        return true;
    }

    private static bool TryTake(ref ReadOnlySpan<byte> text, char expected)
    {
        if (text.IsEmpty || text[0] != expected) return false;
        text = text[1..];
        return true;
    }

    private static bool TryDecode(ReadOnlySpan<byte> json, Span<byte> decoded, out int length)
    {
        length = 0;
        try
        {
            var reader = new Utf8JsonReader(json);
            if (!reader.Read() || reader.TokenType != JsonTokenType.String || JsonText.HasLoneSurrogate(reader.ValueSpan)) return false;
            length = reader.CopyString(decoded);
            return true;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }
}
