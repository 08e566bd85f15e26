using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace Analytics.Actors.Node.Cli;

/// <summary>
/// How verbs write what a node answered, for people: tables as wide as they have to be, so that no id is cut and a row stays
/// a line in a pipe; no colours; times in UTC; what strangers wrote without control characters.
/// </summary>
internal static class Tables
{
    private const string Bars = "▁▂▃▄▅▆▇█";

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A table; columns whose name begins with &gt; are numbers, and stand to the right.</summary>
    public static string Render(IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        var table = new Table { Border = TableBorder.None };
        foreach (var column in columns)
        {
            var isNumber = column.StartsWith('>');
            table.AddColumn(new TableColumn(new Text(isNumber ? column[1..] : column)) { NoWrap = true, Alignment = isNumber ? Justify.Right : Justify.Left, Padding = new Padding(0, 0, 2, 0) });
        }

        foreach (var row in rows) table.AddRow(row.Select(cell => new Text(Visible(cell))));
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(text), Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors });
        console.Profile.Width = 100_000;
        console.Write(table);
        return string.Join('\n', text.ToString().ReplaceLineEndings("\n").TrimEnd('\n').Split('\n').Select(line => line.TrimEnd()));
    }

    public static string Json(JsonNode node) => node.ToJsonString(Readable);

    /// <summary>A value as text; - where there is none.</summary>
    public static string Text(JsonNode? value) => value?.ToString() is { Length: > 0 } text ? text : "-";

    public static string Count(JsonNode? value) => value is null ? "-" : Number(value).ToString("#,0.#", CultureInfo.InvariantCulture);

    public static double Number(JsonNode? value) => value?.GetValueKind() == JsonValueKind.Number ? double.Parse(value.ToJsonString(), CultureInfo.InvariantCulture) : 0;

    public static bool IsTrue(JsonNode? value) => value?.GetValueKind() == JsonValueKind.True;

    /// <summary>A time in ms since 1970, in UTC.</summary>
    public static string Time(JsonNode? ms) => ms is null ? "-"
        : DateTimeOffset.FromUnixTimeMilliseconds((long)Number(ms)).ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <summary>How long ago a time in ms since 1970 was.</summary>
    public static string Ago(JsonNode? ms, DateTimeOffset now) => ms is null ? "-" : Span((now.ToUnixTimeMilliseconds() - Number(ms)) / 1000);

    /// <summary>A span as its two largest units.</summary>
    public static string Span(double seconds) => Math.Max(0, seconds) switch
    {
        < 1 and var instant => (instant * 1_000).ToString("0'ms'", CultureInfo.InvariantCulture),
        < 10 and var few => few.ToString("0.0's'", CultureInfo.InvariantCulture),
        < 60 and var some => some.ToString("0's'", CultureInfo.InvariantCulture),
        < 3_600 and var more => string.Create(CultureInfo.InvariantCulture, $"{(int)more / 60}m{(int)more % 60:00}s"),
        < 86_400 and var hours => string.Create(CultureInfo.InvariantCulture, $"{(int)hours / 3_600}h{(int)hours % 3_600 / 60:00}m"),
        var days => string.Create(CultureInfo.InvariantCulture, $"{(long)days / 86_400}d{(long)days % 86_400 / 3_600:00}h"),
    };

    public static string Bytes(JsonNode? value) => Number(value) switch
    {
        < 10_000 and var few => few.ToString("0' B'", CultureInfo.InvariantCulture),
        < 10_000_000 and var some => (some / 1_000).ToString("0' kB'", CultureInfo.InvariantCulture),
        var many => (many / 1_000_000).ToString("0' MB'", CultureInfo.InvariantCulture),
    };

    /// <summary>A series as one line of bars, the lowest value the lowest bar; what is no number is a gap. Longer ones are thinned to the highest of each stretch.</summary>
    public static string Sparkline(IReadOnlyList<double?> series, int width = 56)
    {
        var known = series.OfType<double>().ToList();
        if (known.Count == 0) return "";
        var (low, high) = (known.Min(), known.Max());
        var count = Math.Min(series.Count, width);
        return string.Concat(Enumerable.Range(0, count).Select(index =>
        {
            var (from, to) = (index * series.Count / count, Math.Max((index + 1) * series.Count / count, (index * series.Count / count) + 1));
            var values = series.Take(from..to).OfType<double>().ToList();
            return values.Count == 0 ? ' ' : high <= low ? Bars[0] : Bars[(int)Math.Round((values.Max() - low) / (high - low) * (Bars.Length - 1))];
        }));
    }

    /// <summary>Without anything that would steer the terminal, and on one line unless its lines are to be kept.</summary>
    public static string Visible(string text, bool keepLines = false) =>
        string.Concat(text.Select(c => char.IsControl(c) && !(keepLines && c is '\n' or '\t') ? '\u00b7' : c));
}
