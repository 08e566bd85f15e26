using System.Text.Json;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>Reads a JSON list of numbers, or of equally long lists of numbers, as a series; null is NaN.</summary>
internal static class SeriesParser
{
    public static bool TryParse(ReadOnlySpan<byte> json, out NumericSeries series)
    {
        series = default;
        if (json.IsEmpty || json[0] != (byte)'[') return false;
        try
        {
            var reader = new Utf8JsonReader(json);
            reader.Read();
            reader.Read();
            var values = new List<double>();
            if (reader.TokenType == JsonTokenType.StartArray) return TryReadTable(ref reader, values, out series);
            if (!TryReadNumbers(ref reader, values)) return false;
            series = new NumericSeries(values.ToArray(), values.Count, 1);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool TryReadTable(ref Utf8JsonReader reader, List<double> values, out NumericSeries series)
    {
        series = default;
        var rows = 0;
        var columns = 0;
        for (; reader.TokenType == JsonTokenType.StartArray; reader.Read(), rows++)
        {
            var before = values.Count;
            reader.Read();
            if (!TryReadNumbers(ref reader, values)) return false;
            var length = values.Count - before;
            if (rows > 0 && length != columns) return false;
            columns = length;
        }

        if (reader.TokenType != JsonTokenType.EndArray) return false;
        series = new NumericSeries(values.ToArray(), rows, columns);
        return true;
    }

    /// <summary>Reads numbers and nulls up to the end of the list in which the reader stands.</summary>
    private static bool TryReadNumbers(ref Utf8JsonReader reader, List<double> values)
    {
        for (; reader.TokenType != JsonTokenType.EndArray; reader.Read())
        {
            if (reader.TokenType == JsonTokenType.Number) values.Add(JsonText.ReadNumber(reader.ValueSpan, out _));
            else if (reader.TokenType == JsonTokenType.Null) values.Add(double.NaN);
            else return false;
        }

        return true;
    }
}
