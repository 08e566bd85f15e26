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

    // Those behind the count are of an earlier use: keys are the same again and again, and never changed.
    private readonly List<(byte[] Spelling, string Text)> known = [];

    public int Count { get; private set; }

    /// <summary>The key as it was first written.</summary>
    public byte[] Spelling(int id) => known[id].Spelling;

    /// <summary>Forgets all keys.</summary>
    public void Clear()
    {
        ids.Clear();
        Count = 0;
    }

    /// <summary>The key's number; -1 where the value is no key.</summary>
    public int IdOf(ReadOnlySpan<byte> json, JsonTokenType kind)
    {
        if (json.Length > TextMax) return -1;
        if (Count < known.Count && !ids.ContainsKey(known[Count].Text) && json.SequenceEqual(known[Count].Spelling))
        {
            ids.Add(known[Count].Text, Count);
            return Count++;
        }

        Span<char> text = stackalloc char[TextMax];
        if (!TryDecode(json, kind, text, out var length)) return -1;
        var lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        if (lookup.TryGetValue(text[..length], out var id)) return id;
        known.RemoveRange(Count, known.Count - Count);
        known.Add((json.ToArray(), text[..length].ToString()));
        ids.Add(known[Count].Text, Count);
        return Count++;
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
