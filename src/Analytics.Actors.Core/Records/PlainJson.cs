using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.Json;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Steps over JSON values without decoding them: strict as <see cref="Utf8JsonReader"/> is, several times as fast, and silent
/// about what is wrong. Where something is (or is only unusual: half a surrogate pair, more levels than are allowed) a step
/// fails, and the reader has to say what it is. Bytes that are not UTF-8 inside texts are not looked for, as in the reader.
/// </summary>
internal static class PlainJson
{
    /// <summary>A step that failed.</summary>
    public const int Failed = -1;

    /// <summary>The place of the next byte that is no blank.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Blanks(ReadOnlySpan<byte> json, int at)
    {
        while ((uint)at < (uint)json.Length && json[at] <= ' ' && json[at] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t') at++;
        return at;
    }

    /// <summary>The byte at a place; 0, which begins nothing, behind the end.</summary>
    public static byte At(ReadOnlySpan<byte> json, int at) => (uint)at < (uint)json.Length ? json[at] : (byte)0;

    /// <summary>The place behind the value that begins at <paramref name="at"/>.</summary>
    /// <param name="levels">How many levels of objects and lists it may have.</param>
    public static int Value(ReadOnlySpan<byte> json, int at, int levels)
    {
        switch (At(json, at))
        {
            case (byte)'"':
                return Text(json, at);
            case (byte)'{':
                return levels > 0 ? Object(json, at, levels - 1) : Failed;
            case (byte)'[':
                return levels > 0 ? List(json, at, levels - 1) : Failed;
            case (byte)'t':
                return Literal(json, at, "true"u8);
            case (byte)'f':
                return Literal(json, at, "false"u8);
            case (byte)'n':
                return Literal(json, at, "null"u8);
            default:
                return Number(json, at);
        }
    }

    /// <summary>What kind of value begins with a byte, given that one does.</summary>
    public static JsonTokenType Kind(byte first) => first switch
    {
        (byte)'"' => JsonTokenType.String,
        (byte)'{' => JsonTokenType.StartObject,
        (byte)'[' => JsonTokenType.StartArray,
        (byte)'t' => JsonTokenType.True,
        (byte)'f' => JsonTokenType.False,
        (byte)'n' => JsonTokenType.Null,
        _ => JsonTokenType.Number,
    };

    /// <summary>As <see cref="Value"/>, and quicker where it is a text or a number of the usual length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int ShortValue(ReadOnlySpan<byte> json, int at, int levels)
    {
        var first = At(json, at);
        if (first == '"')
        {
            if (at < json.Length - Vector256<byte>.Count)
            {
                var stops = Stops(json, at + 1);
                var end = at + 1 + BitOperations.TrailingZeroCount(stops);
                if (stops != 0 && json[end] == '"') return end + 1;
            }

            return Text(json, at);
        }

        return (uint)(first - '0') <= 9 ? Number(json, at) : Value(json, at, levels);
    }

    /// <summary>The place behind the text whose first quote is at <paramref name="at"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static int Text(ReadOnlySpan<byte> json, int at)
    {
        at++;
        while ((uint)at < (uint)json.Length)
        {
            // Near the end a block begins before the place, and its first bits do not count.
            var from = Math.Min(at, json.Length - Vector256<byte>.Count);
            if (from < 0) return EscapedText(json, at);
            var stops = Stops(json, from) >> (at - from);
            if (stops != 0)
            {
                at += BitOperations.TrailingZeroCount(stops);
                return json[at] == '"' ? at + 1 : EscapedText(json, at);
            }

            at = from + Vector256<byte>.Count;
        }

        return Failed;
    }

    /// <summary>A bit for each byte of a block at which a text ends, or goes on otherwise than with itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Stops(ReadOnlySpan<byte> json, int at)
    {
        var bytes = Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(json), (nuint)at);
        return (Vector256.Equals(bytes, Vector256.Create((byte)'"')) | Vector256.Equals(bytes, Vector256.Create((byte)'\\'))
            | Vector256.LessThan(bytes, Vector256.Create((byte)' '))).ExtractMostSignificantBits();
    }

    /// <summary>The same, byte by byte, from inside the text on.</summary>
    private static int EscapedText(ReadOnlySpan<byte> json, int at)
    {
        while ((uint)at < (uint)json.Length)
        {
            switch (json[at])
            {
                case (byte)'"':
                    return at + 1;
                case < (byte)' ':
                    return Failed;
                case (byte)'\\':
                    at = Escape(json, at);
                    if (at < 0) return Failed;
                    break;
                default:
                    at++;
                    break;
            }
        }

        return Failed;
    }

    private static int Escape(ReadOnlySpan<byte> json, int at)
    {
        switch (At(json, at + 1))
        {
            case (byte)'"' or (byte)'\\' or (byte)'/' or (byte)'b' or (byte)'f' or (byte)'n' or (byte)'r' or (byte)'t':
                return at + 2;
            case (byte)'u':
                // Half a surrogate pair is none of these, and a pair comes too seldom to be worth it.
                return JsonText.TryReadUnit(json[at..], out var unit) && unit is < 0xD800 or > 0xDFFF ? at + 6 : Failed;
            default:
                return Failed;
        }
    }

    /// <summary>The longest number that begins here; whoever asks finds out whether something follows that does not belong there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Number(ReadOnlySpan<byte> json, int at)
    {
        if (at > json.Length - Vector128<byte>.Count) return AnyNumber(json, at);
        // Most are short, without a sign or an exponent: digits, or digits, a point and digits. A bit for each byte that is no digit:
        var bytes = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(json), (nuint)at);
        var others = Vector128.GreaterThan(bytes - Vector128.Create((byte)'0'), Vector128.Create((byte)9)).ExtractMostSignificantBits();
        var length = BitOperations.TrailingZeroCount(others);
        if (length == 0 || (length > 1 && json[at] == '0')) return AnyNumber(json, at);
        if (length < Vector128<byte>.Count && json[at + length] == '.')
        {
            var whole = length;
            length = BitOperations.TrailingZeroCount(others & (others - 1));
            if (length == whole + 1) return Failed;
        }

        return length < Vector128<byte>.Count && (json[at + length] | 0x20) != 'e' ? at + length : AnyNumber(json, at);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int AnyNumber(ReadOnlySpan<byte> json, int at)
    {
        var next = At(json, at);
        if (next == '-') next = At(json, ++at);
        if (next == '0') next = At(json, ++at);
        else if (!Digits(json, ref at, ref next)) return Failed;
        if (next == '.')
        {
            next = At(json, ++at);
            if (!Digits(json, ref at, ref next)) return Failed;
        }

        if ((next | 0x20) == 'e')
        {
            next = At(json, ++at);
            if (next is (byte)'+' or (byte)'-') next = At(json, ++at);
            if (!Digits(json, ref at, ref next)) return Failed;
        }

        return at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Digits(ReadOnlySpan<byte> json, ref int at, ref byte next)
    {
        if ((uint)(next - '0') > 9) return false;
        do next = At(json, ++at);
        while ((uint)(next - '0') <= 9);
        return true;
    }

    private static int Literal(ReadOnlySpan<byte> json, int at, ReadOnlySpan<byte> literal) =>
        json[at..].StartsWith(literal) ? at + literal.Length : Failed;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int List(ReadOnlySpan<byte> json, int at, int levels)
    {
        at = Blanks(json, at + 1);
        if (At(json, at) == ']') return at + 1;
        var length = 0;
        while (true)
        {
            var end = ShortValue(json, at, levels);
            if (end < 0) return Failed;
            // Elements are mostly as long as the one before. Where the processor guesses so, it begins with the next one before it
            // knows where this one ends.
            if (end - at == length)
            {
                at += length;
            }
            else
            {
                length = end - at;
                at = end;
            }

            at = Blanks(json, at);
            var next = At(json, at);
            if (next == ']') return at + 1;
            if (next != ',') return Failed;
            at = Blanks(json, at + 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Object(ReadOnlySpan<byte> json, int at, int levels)
    {
        at = Blanks(json, at + 1);
        if (At(json, at) == '}') return at + 1;
        while (true)
        {
            if (At(json, at) != '"') return Failed;
            at = Text(json, at);
            if (at < 0) return Failed;
            at = Blanks(json, at);
            if (At(json, at) != ':') return Failed;
            at = Value(json, Blanks(json, at + 1), levels);
            if (at < 0) return Failed;
            at = Blanks(json, at);
            var next = At(json, at);
            if (next == '}') return at + 1;
            if (next != ',') return Failed;
            at = Blanks(json, at + 1);
        }
    }
}
