using System.Buffers;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Batches;

/// <summary>Writes what goes to output topics: a batch's upload, or one result sent alone. JSON in UTF-8.</summary>
public static class UploadWriter
{
    /// <summary>
    /// One upload: <c>batch_id, module, timestamp (s), stations: [result + station_id], station_count, expected_count,
    /// failed: [ids whose call ended in an error], missing: [ids without a result and without an error], revision</c>.
    /// The legacy format writes <c>results</c> and <c>stations_count</c> instead of <c>stations</c> and <c>station_count</c>.
    /// </summary>
    /// <param name="results">Station id and result object, in the order of the expected stations.</param>
    public static byte[] Batch(
        string batchId, string module, UploadFormat format, IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> results,
        int expected, IReadOnlyList<string> failed, IReadOnlyList<string> missing, int revision, long nowMs)
    {
        var buffer = new ArrayBufferWriter<byte>(256 + results.Sum(result => result.Value.Length + 64));
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("batch_id", batchId);
            writer.WriteString("module", module);
            writer.WriteNumber("timestamp", nowMs / 1000.0);
            writer.WriteStartArray(format == UploadFormat.Legacy ? "results" : "stations");
            foreach (var (station, result) in results) WriteResult(writer, station, result);
            writer.WriteEndArray();
            writer.WriteNumber(format == UploadFormat.Legacy ? "stations_count" : "station_count", results.Count);
            writer.WriteNumber("expected_count", expected);
            WriteTexts(writer, "failed", failed);
            WriteTexts(writer, "missing", missing);
            writer.WriteNumber("revision", revision);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>One result of a module without batches: <c>station_id, module, output, timestamp (s)</c>.</summary>
    public static byte[] Single(string station, string module, ReadOnlyMemory<byte> result, long nowMs)
    {
        var buffer = new ArrayBufferWriter<byte>(result.Length + 256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("station_id", station);
            writer.WriteString("module", module);
            writer.WritePropertyName("output");
            writer.WriteRawValue(result.Span, skipInputValidation: true);
            writer.WriteNumber("timestamp", nowMs / 1000.0);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    // The id in a result is always ours: one that the module wrote is left out.
    private static void WriteResult(Utf8JsonWriter writer, string station, ReadOnlyMemory<byte> result)
    {
        writer.WriteStartObject();
        var reader = new Utf8JsonReader(result.Span);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isStationId = reader.ValueTextEquals("station_id"u8);
            var name = isStationId ? null : reader.GetString();
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (isStationId) continue;
            writer.WritePropertyName(name!);
            writer.WriteRawValue(result.Span[start..(int)reader.BytesConsumed], skipInputValidation: true);
        }

        writer.WriteString("station_id", station);
        writer.WriteEndObject();
    }

    private static void WriteTexts(Utf8JsonWriter writer, string name, IReadOnlyList<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (var text in texts) writer.WriteStringValue(text);
        writer.WriteEndArray();
    }
}
