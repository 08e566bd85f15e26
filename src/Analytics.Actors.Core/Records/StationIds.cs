using System.Text;
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

    /// <summary>Reads the id written as <paramref name="json"/> into <paramref name="id"/> (of at least 256 characters).</summary>
    /// <returns>Null, or what is wrong with it.</returns>
    public static string? Read(ReadOnlySpan<byte> json, JsonTokenType kind, Span<char> id, out int length)
    {
        length = 0;
        switch (kind)
        {
            case JsonTokenType.Number:
                return ReadInteger(json, id, out length);
            case JsonTokenType.String:
                return ReadText(json, id, out length);
            default:
                return $"an id is text or an integer, this is {JsonText.KindName(kind)}";
        }
    }

    private static string? ReadInteger(ReadOnlySpan<byte> digits, Span<char> id, out int length)
    {
        length = 0;
        if (!JsonText.IsInteger(digits)) return "an id is text or an integer, this is a fraction or written with an exponent";
        if (digits.SequenceEqual("0"u8) || digits.SequenceEqual("-0"u8)) return "0 is no id";
        if (digits.Length > BytesMax) return $"an id has at most {BytesMax} bytes, this one has {digits.Length}";
        length = Encoding.ASCII.GetChars(digits, id);
        return null;
    }

    private static string? ReadText(ReadOnlySpan<byte> json, Span<char> id, out int length)
    {
        length = 0;
        if (json.Length > SpellingMax) return $"an id has at most {BytesMax} bytes, this one has more";
        scoped var text = json[1..^1];
        if (!Utf8.IsValid(text)) return "the id is not UTF-8";
        Span<byte> decoded = stackalloc byte[SpellingMax];
        if (text.Contains((byte)'\\'))
        {
            if (JsonText.HasLoneSurrogate(text)) return "the id cannot be decoded: it has half a surrogate pair";
            var reader = new Utf8JsonReader(json);
            reader.Read();
            text = decoded[..reader.CopyString(decoded)];
        }

        if (text.IsEmpty) return "an empty text is no id";
        if (text.SequenceEqual("0"u8)) return "\"0\" is no id";
        if (text.Length > BytesMax) return $"an id has at most {BytesMax} bytes, this one has {text.Length}";
        if (text.IndexOfAnyInRange((byte)0, (byte)0x1F) >= 0 || text.Contains((byte)0x7F)) return "an id has no control characters";
        length = Encoding.UTF8.GetChars(text, id);
        return null;
    }
}
