using System.Numerics;
using System.Runtime.Intrinsics;
using System.Text.Json;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>The elements of a list that is known to be well-formed.</summary>
internal static class JsonList
{
    /// <summary>How many there are.</summary>
    public static int Count(ReadOnlySpan<byte> list)
    {
        // One more than the commas outside of texts, where no element is a list or an object itself and no text has escapes.
        var commas = 0;
        var inText = 0u;
        Span<byte> rest = stackalloc byte[Vector128<byte>.Count];
        for (var inside = list[1..^1]; !inside.IsEmpty; inside = inside[Math.Min(inside.Length, Vector128<byte>.Count)..])
        {
            scoped var block = inside;
            if (block.Length < Vector128<byte>.Count)
            {
                rest.Clear();
                inside.CopyTo(rest);
                block = rest;
            }

            var bytes = Vector128.Create(block);
            // [ and { differ in one bit, and so do \ and |: a text with the latter is counted by the reader as well.
            var folded = bytes | Vector128.Create((byte)0x20);
            if (Vector128.EqualsAny(folded, Vector128.Create((byte)'{')) || Vector128.EqualsAny(folded, Vector128.Create((byte)'|'))) return CountByReader(list);
            // Bits between quotes, the first one included: each is the sum of the quotes up to it.
            var texts = Vector128.Equals(bytes, Vector128.Create((byte)'"')).ExtractMostSignificantBits();
            texts ^= texts << 1;
            texts ^= texts << 2;
            texts ^= texts << 4;
            texts ^= texts << 8;
            texts ^= inText;
            commas += BitOperations.PopCount(Vector128.Equals(bytes, Vector128.Create((byte)',')).ExtractMostSignificantBits() & ~texts);
            inText = (texts & 0x8000) == 0 ? 0u : 0xFFFFu;
        }

        return commas > 0 || !list[1..^1].Trim(" \t\r\n"u8).IsEmpty ? commas + 1 : 0;
    }

    private static int CountByReader(ReadOnlySpan<byte> list)
    {
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

    /// <summary>Where the elements stand in <paramref name="list"/>; throws <see cref="JsonException"/> where it is no list after all.</summary>
    public static List<JsonSlice> Elements(ReadOnlySpan<byte> list)
    {
        var elements = new List<JsonSlice>();
        var at = PlainJson.Blanks(list, 0);
        if (PlainJson.At(list, at) != '[') return ElementsByReader(list);
        at = PlainJson.Blanks(list, at + 1);
        if (PlainJson.At(list, at) == ']') return elements;
        while (true)
        {
            var end = PlainJson.Value(list, at, RecordSplitter.DepthMax - 1);
            if (end < 0) return ElementsByReader(list);
            elements.Add(new JsonSlice(at, end - at, PlainJson.Kind(list[at])));
            at = PlainJson.Blanks(list, end);
            if (PlainJson.At(list, at) != ',') return PlainJson.At(list, at) == ']' ? elements : ElementsByReader(list);
            at = PlainJson.Blanks(list, at + 1);
        }
    }

    private static List<JsonSlice> ElementsByReader(ReadOnlySpan<byte> list)
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
