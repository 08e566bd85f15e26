using System.Buffers.Text;
using System.Globalization;
using System.Text.Json;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Questions about JSON as it is written: whether a number survives a double, whether an escaped text can be decoded.
/// Nothing here throws.
/// </summary>
internal static class JsonText
{
    public static readonly byte[] Null = "null"u8.ToArray();
    public static readonly byte[] Zero = "0"u8.ToArray();

    /// <summary>An integer by its form: 10 is one, 10.0 and 1e1 are not.</summary>
    public static bool IsInteger(ReadOnlySpan<byte> number) => number.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0;

    public static bool IsNull(ReadOnlySpan<byte> value) => value.SequenceEqual("null"u8);

    /// <summary>
    /// Reads a JSON number. <paramref name="exact"/> tells whether the double, written back, gives the same value (and an
    /// integer its digits again); where it does not, the text itself must be kept.
    /// </summary>
    public static double ReadNumber(ReadOnlySpan<byte> text, out bool exact)
    {
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value))
        {
            exact = false;
            return double.NaN;
        }

        // Up to 15 digits without an exponent a double holds every decimal apart from every other.
        exact = (text.Length <= 15 && text.IndexOfAny((byte)'e', (byte)'E') < 0) || IsExact(text, value);
        return value;
    }

    /// <summary>Writes a finite double as the shortest text that reads back as the same; 10.0 becomes 10. Needs 32 bytes.</summary>
    public static int FormatNumber(double value, Span<byte> destination)
    {
        value.TryFormat(destination, out var written, default, CultureInfo.InvariantCulture);
        return written;
    }

    /// <summary>
    /// An escaped text that names half a surrogate pair is valid JSON but no text: it can be neither decoded nor stored.
    /// </summary>
    public static bool HasLoneSurrogate(ReadOnlySpan<byte> escaped)
    {
        while (true)
        {
            var backslash = escaped.IndexOf((byte)'\\');
            if (backslash < 0 || backslash + 1 >= escaped.Length) return false;
            escaped = escaped[backslash..];
            if (escaped[1] != (byte)'u')
            {
                escaped = escaped[2..];
                continue;
            }

            if (!TryReadUnit(escaped, out var unit)) return true;
            escaped = escaped[6..];
            if (unit is < 0xD800 or > 0xDFFF) continue;
            if (unit >= 0xDC00 || !TryReadUnit(escaped, out var low) || low is < 0xDC00 or > 0xDFFF) return true;
            escaped = escaped[6..];
        }
    }

    /// <summary>The text that a JSON string without half surrogate pairs spells, quotes and all, as UTF-8.</summary>
    public static byte[] Decode(ReadOnlySpan<byte> quoted)
    {
        var reader = new Utf8JsonReader(quoted);
        reader.Read();
        var decoded = new byte[quoted.Length];
        return decoded[..reader.CopyString(decoded)];
    }

    /// <summary>Whether the member name at which the reader stands is <paramref name="name"/>, escaped or not.</summary>
    public static bool NameEquals(ref Utf8JsonReader reader, ReadOnlySpan<byte> name) =>
        reader.ValueIsEscaped
            ? !HasLoneSurrogate(reader.ValueSpan) && reader.ValueTextEquals(name)
            : reader.ValueSpan.SequenceEqual(name);

    /// <summary>The words used in rejections for a JSON value.</summary>
    public static string KindName(JsonTokenType kind) => kind switch
    {
        JsonTokenType.String => "text",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "a boolean",
        JsonTokenType.StartArray => "a list",
        JsonTokenType.StartObject => "an object",
        JsonTokenType.Null => "null",
        _ => "absent",
    };

    internal static bool TryReadUnit(ReadOnlySpan<byte> text, out int unit)
    {
        unit = 0;
        return text.Length >= 6 && text[0] == (byte)'\\' && text[1] == (byte)'u'
            // int.TryParse would pass over zero bytes behind the digits.
            && Utf8Parser.TryParse(text.Slice(2, 4), out unit, out int read, 'x') && read == 4;
    }

    private static bool IsExact(ReadOnlySpan<byte> text, double value)
    {
        if (!double.IsFinite(value)) return false;
        Span<byte> buffer = stackalloc byte[32];
        ReadOnlySpan<byte> written = buffer[..FormatNumber(value, buffer)];
        // A large integer written with an exponent has the right value but is no integer any more for most readers.
        if (IsInteger(text) && !IsInteger(written)) return false;
        return SignificantDigits.Of(text).SameAs(SignificantDigits.Of(written));
    }

    /// <summary>A decimal's digits without the zeros around them, and where its first digit stands.</summary>
    private readonly ref struct SignificantDigits
    {
        private readonly ReadOnlySpan<byte> digits;
        private readonly long magnitude;

        private SignificantDigits(ReadOnlySpan<byte> digits, long magnitude)
        {
            this.digits = digits;
            this.magnitude = magnitude;
        }

        public static SignificantDigits Of(ReadOnlySpan<byte> text)
        {
            var mantissa = text.IndexOfAny((byte)'e', (byte)'E') is var mark && mark >= 0 ? text[..mark] : text;
            if (!mantissa.IsEmpty && mantissa[0] == (byte)'-') mantissa = mantissa[1..];
            long exponent = 0;
            if (mark >= 0)
            {
                // An exponent that does not fit a long belongs to no finite double, and zero has none.
                if (!long.TryParse(text[(mark + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out exponent)) exponent = int.MaxValue;
                exponent = Math.Clamp(exponent, int.MinValue, int.MaxValue);
            }

            var point = mantissa.IndexOf((byte)'.');
            var whole = point < 0 ? mantissa.Length : point;
            var first = mantissa.IndexOfAnyInRange((byte)'1', (byte)'9');
            if (first < 0) return default;
            var last = mantissa.LastIndexOfAnyInRange((byte)'1', (byte)'9');
            var place = first < whole ? whole - first : whole - first + 1;
            return new SignificantDigits(mantissa[first..(last + 1)], place + exponent);
        }

        public bool SameAs(SignificantDigits other)
        {
            if (magnitude != other.magnitude) return false;
            var left = digits;
            var right = other.digits;
            while (true)
            {
                if (!left.IsEmpty && left[0] == (byte)'.') left = left[1..];
                if (!right.IsEmpty && right[0] == (byte)'.') right = right[1..];
                if (left.IsEmpty || right.IsEmpty) return left.IsEmpty && right.IsEmpty;
                if (left[0] != right[0]) return false;
                left = left[1..];
                right = right[1..];
            }
        }
    }
}
