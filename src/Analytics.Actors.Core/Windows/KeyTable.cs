using System.Text.Json;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Numbers the keys (guns) that a window's lists speak of, in order of first appearance. A key is a text or an integer; "1"
/// and 1 are two keys, as they are two values in the input.
/// </summary>
internal sealed class KeyTable
{
    private const int TextMax = 256;
    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);
    private readonly List<byte[]> spellings = [];

    public int Count => spellings.Count;

    /// <summary>The key as it was first written.</summary>
    public byte[] Spelling(int id) => spellings[id];

    /// <summary>The key's number; -1 where the value is no key.</summary>
    public int IdOf(ReadOnlySpan<byte> json, JsonTokenType kind)
    {
        if (json.Length > TextMax) return -1;
        Span<char> text = stackalloc char[TextMax];
        if (!TryDecode(json, kind, text, out var length)) return -1;
        var lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        if (lookup.TryGetValue(text[..length], out var id)) return id;
        lookup[text[..length]] = spellings.Count;
        spellings.Add(json.ToArray());
        return spellings.Count - 1;
    }

    private static bool TryDecode(ReadOnlySpan<byte> json, JsonTokenType kind, Span<char> text, out int length)
    {
        length = 0;
        if (kind == JsonTokenType.Number)
        {
            if (!JsonText.IsInteger(json)) return false;
            length = System.Text.Encoding.ASCII.GetChars(json, text);
            return true;
        }

        if (kind != JsonTokenType.String || JsonText.HasLoneSurrogate(json)) return false;
        // The quote in front keeps the text 1 apart from the number 1.
        text[0] = '"';
        try
        {
            var reader = new Utf8JsonReader(json);
            reader.Read();
            length = reader.CopyString(text[1..]) + 1;
            return true;
        }
        catch (InvalidOperationException)
        {
            // Bytes that are not UTF-8 cannot be copied as text.
            return false;
        }
    }
}
