using System.Buffers;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Node.Tracing;

/// <summary>A line of a trace's input cannot be used; the message says which and what would be right.</summary>
public sealed class TraceInputException(string message) : Exception(message);

/// <summary>
/// Reads recorded records (JSON lines: records, advances of time, answers) into a <see cref="TraceRunner"/>, and writes
/// its effects as JSON lines.
/// </summary>
public static class TraceFile
{
    // The end of the year 9999: a larger number is not in milliseconds.
    private const long TimeMsMax = 253_402_300_799_999;

    private const string Form = "a line is {\"topic\", \"partition\", \"offset\", \"timestamp\", \"value\" or \"raw\"}, {\"advance\": ms} or {\"answer\": {\"module\", \"station\", \"result\" or \"error\"}}";

    public static void Run(PipelineConfiguration pipeline, IReadOnlyDictionary<string, IModule> modules, string file, TextReader input, TextWriter output, int shards = 1)
    {
        var lines = Read(file, input);
        var byHand = lines.Where(line => line.Element.TryGetProperty("answer", out _))
            .Select(line => Text(line.Element.GetProperty("answer"), "module", line.Where, "answer")).ToHashSet(StringComparer.Ordinal);
        var start = lines.FirstOrDefault(line => line.Element.TryGetProperty("timestamp", out _));
        var startMs = start.Element.ValueKind == JsonValueKind.Object ? Time(start.Element, "timestamp", start.Where) : 0;
        var buffer = new ArrayBufferWriter<byte>(4096);
        var runner = new TraceRunner(pipeline, modules, byHand, members => Write(buffer, output, members), startMs, shards);
        foreach (var line in lines) Feed(runner, line.Element, line.Where);
    }

    private static void Write(ArrayBufferWriter<byte> buffer, TextWriter output, Action<Utf8JsonWriter> members)
    {
        buffer.Clear();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            members(writer);
            writer.WriteEndObject();
        }

        output.Write(System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan));
        output.Write('\n');
    }

    private static List<(JsonElement Element, string Where)> Read(string file, TextReader input)
    {
        List<(JsonElement, string)> lines = [];
        for (var number = 1; input.ReadLine() is { } line; number++)
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            var where = $"{file}:{number}";
            try
            {
                using var document = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 512 });
                if (document.RootElement.ValueKind != JsonValueKind.Object) throw new TraceInputException($"{where}: not an object; {Form}");
                lines.Add((document.RootElement.Clone(), where));
            }
            catch (JsonException failure)
            {
                throw new TraceInputException($"{where}: not JSON ({failure.Message}); {Form}");
            }
        }

        return lines;
    }

    private static void Feed(TraceRunner runner, JsonElement line, string where)
    {
        if (line.TryGetProperty("advance", out _))
        {
            runner.Advance(Time(line, "advance", where));
        }
        else if (line.TryGetProperty("answer", out var answer))
        {
            Answer(runner, answer, where);
        }
        else
        {
            var partition = new TopicPartition(Text(line, "topic", where), (int)Number(line, "partition", where, int.MaxValue));
            var origin = line.TryGetProperty("origin", out _) ? Text(line, "origin", where) : null;
            runner.Record(partition, Number(line, "offset", where), Time(line, "timestamp", where), Value(line, where), origin);
        }
    }

    private static void Answer(TraceRunner runner, JsonElement answer, string where)
    {
        var module = Text(answer, "module", where);
        var station = Text(answer, "station", where);
        var outcome = answer.TryGetProperty("error", out var error)
            ? new CallOutcome(CallOutcomeKind.Error, default, error.ToString())
            : !answer.TryGetProperty("result", out var result) ? throw new TraceInputException($"{where}: an answer has \"result\" or \"error\"")
            : result.ValueKind == JsonValueKind.Null ? new CallOutcome(CallOutcomeKind.Nothing, default, "")
            : result.ValueKind != JsonValueKind.Object ? throw new TraceInputException($"{where}: \"result\" must be an object or null")
            : new CallOutcome(CallOutcomeKind.Result, System.Text.Encoding.UTF8.GetBytes(result.GetRawText()), "");
        if (outcome.Kind == CallOutcomeKind.Result && ModuleResult.Problem(outcome.Json.Span) is { } problem) throw new TraceInputException($"{where}: {problem}");
        if (!runner.Answer(module, station, outcome)) throw new TraceInputException($"{where}: no call of {module} for station {station} waits for an answer");
    }

    private static ReadOnlyMemory<byte> Value(JsonElement line, string where)
    {
        if (line.TryGetProperty("value", out var value)) return System.Text.Encoding.UTF8.GetBytes(value.GetRawText());
        if (line.TryGetProperty("raw", out var raw) && raw.ValueKind == JsonValueKind.String && raw.TryGetBytesFromBase64(out var bytes)) return bytes;
        throw new TraceInputException($"{where}: a record needs \"value\" (JSON) or \"raw\" (base64); {Form}");
    }

    private static string Text(JsonElement line, string name, string where, string within = "") =>
        line.ValueKind != JsonValueKind.Object ? throw new TraceInputException($"{where}: \"{within}\" must be an object; {Form}")
        : line.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new TraceInputException($"{where}: \"{name}\" must be text; {Form}");

    private static long Time(JsonElement line, string name, string where) =>
        Number(line, name, where) is var ms and <= TimeMsMax ? ms : throw new TraceInputException($"{where}: \"{name}\" must be milliseconds, {TimeMsMax} is their end");

    private static long Number(JsonElement line, string name, string where, long max = long.MaxValue) =>
        line.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) && number >= 0 && number <= max
            ? number
            : throw new TraceInputException($"{where}: \"{name}\" must be a whole number, 0 or more; {Form}");
}
