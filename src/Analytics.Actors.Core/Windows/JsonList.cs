using System.Text.Json;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>The elements of a list that is known to be well-formed.</summary>
internal static class JsonList
{
    public static int Count(ReadOnlySpan<byte> list)
    {
        // Lists of numbers have no quotes, and lists of texts two for each element: then no comma stands inside of one.
        if (list.Length > 2 && list[1..].IndexOfAny((byte)'[', (byte)'{', (byte)'\\') < 0)
        {
            var (quotes, commas) = (list.Count((byte)'"'), list.Count((byte)','));
            if (quotes == 2 * (commas + 1) || (quotes == 0 && commas > 0)) return commas + 1;
        }

        var plain = PlainJson.Count(list);
        if (plain >= 0) return plain;
        var reader = new Utf8JsonReader(list);
        reader.Read();
        var count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            reader.Skip();
            count++;
        }

        return count;
    }

    /// <summary>Where the elements stand in <paramref name="list"/>.</summary>
    public static List<JsonSlice> Elements(ReadOnlySpan<byte> list)
    {
        var reader = new Utf8JsonReader(list);
        reader.Read();
        var elements = new List<JsonSlice>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            var (start, kind) = ((int)reader.TokenStartIndex, reader.TokenType);
            reader.Skip();
            elements.Add(new JsonSlice(start, (int)reader.BytesConsumed - start, kind));
        }

        return elements;
    }
}
