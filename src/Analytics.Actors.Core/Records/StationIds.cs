using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// What counts as the id of a station (and the code of a device): text of 1 to 256 bytes of UTF-8, or an integer taken
/// with its exact digits. Zero in either form, fractions, booleans, null, lists and objects are no ids. Control characters
/// are refused too: databases and keys cannot carry all of them.
/// </summary>
internal static class StationIds
{
    public const int BytesMax = 256;

    // An escape spells up to three bytes with six, so the longest spelling of 256 bytes is 6 x 256 with its quotes.
    private const int SpellingMax = 6 * BytesMax + 2;

    // Printable ASCII without the backslash: such a text is what it spells.
    private static readonly SearchValues<byte> PlainLetters =
        SearchValues.Create([.. Enumerable.Range(' ', '~' - ' ' + 1).Select(letter => (byte)letter).Where(letter => letter != '\\')]);

    /// <summary>Reads the id written as <paramref name="json"/>: a slice of it, unless it is written with escapes.</summary>
    /// <returns>Null, or what is wrong with it.</returns>
    public static string? Read(ReadOnlySpan<byte> json, JsonTokenType kind, out ReadOnlySpan<byte> id)
    {
        id = default;
        switch (kind)
        {
            case JsonTokenType.Number:
                id = json;
                return CheckInteger(json);
            case JsonTokenType.String:
                if (json.Length > SpellingMax) return $"an id has at most {BytesMax} bytes, this one has more";
                id = json[1..^1];
                return id.ContainsAnyExcept(PlainLetters) ? ReadUnusual(json, ref id) : CheckLength(id);
            default:
                return $"an id is text or an integer, this is {JsonText.KindName(kind)}";
        }
    }

    private static string? ReadUnusual(ReadOnlySpan<byte> json, ref ReadOnlySpan<byte> id)
    {
        if (!Utf8.IsValid(id)) return "the id is not UTF-8";
        if (id.Contains((byte)'\\'))
        {
            if (JsonText.HasLoneSurrogate(id)) return "the id cannot be decoded: it has half a surrogate pair";
            id = JsonText.Decode(json);
        }

        if (CheckLength(id) is { } problem) return problem;
        return id.IndexOfAnyInRange((byte)0, (byte)0x1F) >= 0 || id.Contains((byte)0x7F) ? "an id has no control characters" : null;
    }

    private static string? CheckInteger(ReadOnlySpan<byte> digits)
    {
        if (!JsonText.IsInteger(digits)) return "an id is text or an integer, this is a fraction or written with an exponent";
        if (digits.SequenceEqual("0"u8) || digits.SequenceEqual("-0"u8)) return "0 is no id";
        return digits.Length > BytesMax ? $"an id has at most {BytesMax} bytes, this one has {digits.Length}" : null;
    }

    private static string? CheckLength(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty) return "an empty text is no id";
        if (text.SequenceEqual("0"u8)) return "\"0\" is no id";
        return text.Length > BytesMax ? $"an id has at most {BytesMax} bytes, this one has {text.Length}" : null;
    }
}
