using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Analytics.Actors.Storage;

/// <summary>
/// Headers of an outbox entry as they are stored: a JSON list of name, value, name, value. A list and not an object,
/// because Kafka keeps the order of headers and allows a name twice. The format is persisted: it never changes.
/// </summary>
internal static class OutboxHeaders
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write(IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        if (headers.Count == 0) return "[]";
        var text = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(text, Options))
        {
            json.WriteStartArray();
            foreach (var (name, value) in headers)
            {
                json.WriteStringValue(name);
                json.WriteStringValue(value);
            }
            json.WriteEndArray();
        }
        return Encoding.UTF8.GetString(text.WrittenSpan);
    }

    public static IReadOnlyList<KeyValuePair<string, string>> Read(string text)
    {
        if (text == "[]") return [];
        var values = JsonSerializer.Deserialize<string[]>(text)!;
        if (values.Length % 2 != 0) throw new FormatException($"Stored headers must alternate name and value: {text}");
        var headers = new KeyValuePair<string, string>[values.Length / 2];
        for (var i = 0; i < headers.Length; i++) headers[i] = new(values[2 * i], values[2 * i + 1]);
        return headers;
    }
}
