using System.Text.Json;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Members as JSON text: mostly slices of the payload that a window holds anyway. Numbers are parsed only where somebody
/// asks for a series.
/// </summary>
public sealed class JsonFragment : InputFragment
{
    private readonly string[] names;
    private readonly ReadOnlyMemory<byte>[] values;

    /// <param name="names">Each once.</param>
    /// <param name="values">One JSON value per name; never changed after this.</param>
    public JsonFragment(string[] names, ReadOnlyMemory<byte>[] values)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, names.Length);
        this.names = names;
        this.values = values;
    }

    public override IReadOnlyList<string> Names => names;

    public override ReadOnlyMemory<byte> GetJson(string name)
    {
        var index = Array.IndexOf(names, name);
        return index < 0 ? default : values[index];
    }

    public override bool TryGetSeries(string name, out NumericSeries series) => SeriesParser.TryParse(GetJson(name).Span, out series);

    /// <summary>
    /// Reads what <see cref="FragmentJson.ToJsonObject"/> wrote; the members stay slices of the given bytes. Throws
    /// <see cref="FormatException"/> where the bytes are not one JSON object.
    /// </summary>
    public static JsonFragment Parse(ReadOnlyMemory<byte> objectJson)
    {
        if (TryParse(objectJson, out var fragment)) return fragment;
        throw new FormatException("The bytes are not one JSON object with decodable member names.");
    }

    /// <summary>All members of an object; of a name written twice the last value counts.</summary>
    internal static bool TryParse(ReadOnlyMemory<byte> objectJson, out JsonFragment fragment)
    {
        fragment = null!;
        var names = new List<string>();
        var values = new List<ReadOnlyMemory<byte>>();
        try
        {
            var reader = new Utf8JsonReader(objectJson.Span, new JsonReaderOptions { MaxDepth = int.MaxValue });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
            while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
            {
                if (reader.ValueIsEscaped && JsonText.HasLoneSurrogate(reader.ValueSpan)) return false;
                var name = reader.GetString()!;
                reader.Read();
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                var value = objectJson[start..(int)reader.BytesConsumed];
                var known = names.Count <= 32 ? names.IndexOf(name) : -1;
                if (known >= 0)
                {
                    values[known] = value;
                    continue;
                }

                names.Add(name);
                values.Add(value);
            }

            reader.Read();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }

        (names, values) = WithoutRepeats(names, values);
        fragment = new JsonFragment(names.ToArray(), values.ToArray());
        return true;
    }

    private static (List<string>, List<ReadOnlyMemory<byte>>) WithoutRepeats(List<string> names, List<ReadOnlyMemory<byte>> values)
    {
        if (names.Count <= 32) return (names, values);
        var last = new Dictionary<string, int>(names.Count, StringComparer.Ordinal);
        for (var i = 0; i < names.Count; i++) last[names[i]] = i;
        if (last.Count == names.Count) return (names, values);
        var kept = Enumerable.Range(0, names.Count).Where(i => last[names[i]] == i).ToList();
        return (kept.ConvertAll(i => names[i]), kept.ConvertAll(i => values[i]));
    }
}
