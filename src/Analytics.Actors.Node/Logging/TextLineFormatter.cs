using System.Globalization;
using System.Text;
using Serilog.Events;
using Serilog.Formatting;

namespace Analytics.Actors.Node.Logging;

/// <summary>
/// Writes an event for people at a terminal: time, level, category, message, station, batch and time taken where they
/// apply, and an exception below. Control characters of values are shown, not sent to the terminal.
/// </summary>
internal sealed class TextLineFormatter : ITextFormatter
{
    public void Format(LogEvent logEvent, TextWriter output)
    {
        var line = new StringBuilder();
        line.Append(CultureInfo.InvariantCulture, $"{logEvent.Timestamp.LocalDateTime:HH:mm:ss.fff} {JsonLineFormatter.LevelOf(logEvent),-8} ");
        line.Append(LogProperties.Text(logEvent, "SourceContext") ?? "").Append(": ").Append(JsonLineFormatter.RenderMessage(logEvent));
        var details = new List<string>();
        if (LogProperties.Text(logEvent, "StationId") is { } station) details.Add($"station {station}");
        if (LogProperties.Text(logEvent, "BatchId") is { } batch) details.Add($"batch {batch}");
        if (LogProperties.Seconds(logEvent, "ProcessingTime") is { } seconds) details.Add(string.Create(CultureInfo.InvariantCulture, $"{seconds:0.000} s"));
        if (details.Count > 0) line.Append(" [").AppendJoin(", ", details).Append(']');
        foreach (var character in line.ToString())
        {
            if (char.IsControl(character)) output.Write(string.Create(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"));
            else output.Write(character);
        }

        output.Write('\n');
        if (logEvent.Exception is null) return;
        foreach (var row in logEvent.Exception.ToString().Split('\n'))
        {
            output.Write("    ");
            output.Write(new string([.. row.Where(character => !char.IsControl(character))]));
            output.Write('\n');
        }
    }
}
