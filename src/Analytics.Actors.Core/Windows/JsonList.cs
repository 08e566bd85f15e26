using System.Text.Json;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>The elements of a list that is known to be well-formed.</summary>
internal static class JsonList
{
    /// <summary>How many elements it has: one more than commas of its own, unless there is nothing at all.</summary>
    public static int Count(ReadOnlySpan<byte> list)
    {
        var (commas, depth, hasElement) = (0, 0, false);
        for (var i = 1; i < list.Length - 1; i++)
        {
            switch (list[i])
            {
                case (byte)'"':
                    hasElement = true;
                    for (i++; i < list.Length && list[i] != (byte)'"'; i++)
                        if (list[i] == (byte)'\\') i++;
                    break;
                case (byte)',':
                    if (depth == 0) commas++;
                    break;
                case (byte)'[' or (byte)'{':
                    hasElement = true;
                    depth++;
                    break;
                case (byte)']' or (byte)'}':
                    depth--;
                    break;
                case (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n':
                    break;
                default:
                    hasElement = true;
                    break;
            }
        }

        return hasElement ? commas + 1 : 0;
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
