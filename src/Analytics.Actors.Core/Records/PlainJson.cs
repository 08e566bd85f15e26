using System.Numerics;
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

    /// <summary>The place behind the text whose first quote is at <paramref name="at"/>.</summary>
    public static int Text(ReadOnlySpan<byte> json, int at)
    {
        at++;
        ref var first = ref MemoryMarshal.GetReference(json);
        while (at <= json.Length - Vector128<byte>.Count)
        {
            var bytes = Vector128.LoadUnsafe(ref first, (nuint)at);
            var stops = (Vector128.Equals(bytes, Vector128.Create((byte)'"')) | Vector128.Equals(bytes, Vector128.Create((byte)'\\'))
                | Vector128.LessThan(bytes, Vector128.Create((byte)' '))).ExtractMostSignificantBits();
            if (stops != 0)
            {
                at += BitOperations.TrailingZeroCount(stops);
                return json[at] == '"' ? at + 1 : EscapedText(json, at);
            }

            at += Vector128<byte>.Count;
        }

        return EscapedText(json, at);
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

    /// <summary>How many elements a list has; -1 where the reader must count them.</summary>
    public static int Count(ReadOnlySpan<byte> list) =>
        At(list, 0) == '[' && List(list, 0, RecordSplitter.DepthMax, out var count) == list.Length ? count : Failed;

    private static int Number(ReadOnlySpan<byte> json, int at)
    {
        if (At(json, at) == '-') at++;
        var digits = at;
        at = Digits(json, at);
        if (at == digits || (json[digits] == '0' && at > digits + 1)) return Failed;
        if (At(json, at) == '.')
        {
            digits = ++at;
            at = Digits(json, at);
            if (at == digits) return Failed;
        }

        if ((At(json, at) | 0x20) == 'e')
        {
            at++;
            if (At(json, at) is (byte)'+' or (byte)'-') at++;
            digits = at;
            at = Digits(json, at);
            if (at == digits) return Failed;
        }

        return at;
    }

    private static int Digits(ReadOnlySpan<byte> json, int at)
    {
        while ((uint)at < (uint)json.Length && (uint)(json[at] - '0') <= 9) at++;
        return at;
    }

    private static int Literal(ReadOnlySpan<byte> json, int at, ReadOnlySpan<byte> literal) =>
        json[at..].StartsWith(literal) ? at + literal.Length : Failed;

    private static int List(ReadOnlySpan<byte> json, int at, int levels) => List(json, at, levels, out _);

    private static int List(ReadOnlySpan<byte> json, int at, int levels, out int count)
    {
        count = 0;
        at = Blanks(json, at + 1);
        if (At(json, at) == ']') return at + 1;
        while (true)
        {
            count++;
            at = Value(json, at, levels);
            if (at < 0) return Failed;
            at = Blanks(json, at);
            var next = At(json, at);
            if (next == ']') return at + 1;
            if (next != ',') return Failed;
            at = Blanks(json, at + 1);
        }
    }

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
