using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Serilog.Events;
using Serilog.Formatting;
using Serilog.Formatting.Display;

namespace Analytics.Actors.Node.Logging;

/// <summary>
/// Writes an event as one JSON object a line: <c>timestamp</c>, <c>level</c> (Python's names, which users' log readers
/// know), <c>name</c> (the category), <c>message</c>; where they apply <c>event</c> (the stable name of an event id),
/// <c>station_id</c>, <c>batch_id</c>, <c>processing_time</c> (seconds) and <c>exception</c>. The three in the middle
/// come from the structured state or a scope, by the names StationId, BatchId and ProcessingTime.
/// </summary>
internal sealed class JsonLineFormatter : ITextFormatter
{
    private static readonly MessageTemplateTextFormatter Message = new("{Message:lj}", CultureInfo.InvariantCulture);
    private static readonly JsonWriterOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public void Format(LogEvent logEvent, TextWriter output)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Readable))
        {
            writer.WriteStartObject();
            writer.WriteString("timestamp", logEvent.Timestamp.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
            writer.WriteString("level", LevelOf(logEvent));
            writer.WriteString("name", LogProperties.Text(logEvent, "SourceContext") ?? "");
            writer.WriteString("message", RenderMessage(logEvent));
            if (EventNameOf(logEvent) is { } name) writer.WriteString("event", name);
            if (LogProperties.Text(logEvent, "StationId") is { } station) writer.WriteString("station_id", station);
            if (LogProperties.Text(logEvent, "BatchId") is { } batch) writer.WriteString("batch_id", batch);
            if (LogProperties.Seconds(logEvent, "ProcessingTime") is { } seconds) writer.WriteNumber("processing_time", seconds);
            if (logEvent.Exception is { } exception) writer.WriteString("exception", exception.ToString());
            writer.WriteEndObject();
        }

        output.Write(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
        output.Write('\n');
    }

    /// <summary>The message with its values, texts without quotes.</summary>
    public static string RenderMessage(LogEvent logEvent)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        Message.Format(logEvent, text);
        return text.ToString();
    }

    public static string LevelOf(LogEvent logEvent) => logEvent.Level switch
    {
        LogEventLevel.Verbose or LogEventLevel.Debug => "DEBUG",
        LogEventLevel.Information => "INFO",
        LogEventLevel.Warning => "WARNING",
        LogEventLevel.Error => "ERROR",
        _ => "CRITICAL",
    };

    private static string? EventNameOf(LogEvent logEvent) =>
        logEvent.Properties.GetValueOrDefault("EventId") is StructureValue id
        && id.Properties.FirstOrDefault(part => part.Name == "Name")?.Value is ScalarValue { Value: string { Length: > 0 } name } ? name : null;
}

/// <summary>Reads values of an event's structured state.</summary>
internal static class LogProperties
{
    public static string? Text(LogEvent logEvent, string name) => logEvent.Properties.GetValueOrDefault(name) switch
    {
        ScalarValue { Value: null } or null => null,
        ScalarValue { Value: IFormattable value } => value.ToString(null, CultureInfo.InvariantCulture),
        ScalarValue { Value: var value } => value.ToString(),
        var other => other.ToString(null, CultureInfo.InvariantCulture),
    };

    /// <summary>A number as it is, a time span in seconds; null for anything that JSON has no number for.</summary>
    public static double? Seconds(LogEvent logEvent, string name)
    {
        if (logEvent.Properties.GetValueOrDefault(name) is not ScalarValue scalar) return null;
        double? seconds = scalar.Value switch
        {
            TimeSpan span => span.TotalSeconds,
            double number => number,
            float number => number,
            decimal number => (double)number,
            int number => number,
            long number => number,
            _ => null,
        };
        return seconds is { } value && double.IsFinite(value) ? value : null;
    }
}
