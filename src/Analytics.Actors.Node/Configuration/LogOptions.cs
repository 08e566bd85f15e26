using Analytics.Actors.Core.Pipeline;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Configuration;

/// <summary>How lines on the console look. A log file always holds JSON lines.</summary>
public enum LogFormat
{
    /// <summary>Plain text in a terminal, else JSON lines.</summary>
    Auto,
    Json,
    Text,
}

/// <summary>What is logged, and where to.</summary>
public sealed record LogOptions
{
    public LogLevel Level { get; init; } = LogLevel.Information;

    /// <summary>A file beside the console; null for none.</summary>
    public string? File { get; init; }
    public LogFormat Format { get; init; }

    /// <summary>Size at which a new file is begun.</summary>
    public long FileBytesMax { get; init; } = 10L * 1024 * 1024;

    /// <summary>Files kept, the current one included.</summary>
    public int FilesKept { get; init; } = 5;

    // Python's names and .NET's, in any case.
    private static readonly (string Name, LogLevel Level)[] Levels =
    [
        ("TRACE", LogLevel.Trace), ("DEBUG", LogLevel.Debug), ("INFO", LogLevel.Information), ("INFORMATION", LogLevel.Information),
        ("WARNING", LogLevel.Warning), ("WARN", LogLevel.Warning), ("ERROR", LogLevel.Error),
        ("CRITICAL", LogLevel.Critical), ("FATAL", LogLevel.Critical), ("NONE", LogLevel.None),
    ];

    public static bool TryParseLevel(string text, out LogLevel level)
    {
        var index = Array.FindIndex(Levels, known => known.Name.Equals(text, StringComparison.OrdinalIgnoreCase));
        level = index < 0 ? LogLevel.Information : Levels[index].Level;
        return index >= 0;
    }

    internal static LogOptions Read(ConfigurationObject section)
    {
        var defaults = new LogOptions();
        var options = new LogOptions
        {
            Level = ReadLevel(section.Find("level")),
            File = section.Find("file")?.Text("the path of a log file", lengthMax: 4096),
            Format = section.Find("format")?.Choice(("auto", LogFormat.Auto), ("json", LogFormat.Json), ("text", LogFormat.Text)) ?? defaults.Format,
            FileBytesMax = section.Find("fileBytesMax")?.Integer(1_024, 1L << 40) ?? defaults.FileBytesMax,
            FilesKept = (int)(section.Find("filesKept")?.Integer(1, 10_000) ?? defaults.FilesKept),
        };
        section.Close();
        return options;
    }

    internal IEnumerable<(string Path, string Value)> Describe() =>
    [
        ("log.level", Level.ToString()),
        ("log.file", File ?? ""),
        ("log.format", Format.ToString().ToLowerInvariant()),
        ("log.fileBytesMax", NodeOptions.Text(FileBytesMax)),
        ("log.filesKept", NodeOptions.Text(FilesKept)),
    ];

    private static LogLevel ReadLevel(ConfigurationValue? value)
    {
        if (value is null) return LogLevel.Information;
        value.TryString(out var text);
        if (text is not null && TryParseLevel(text, out var level)) return level;
        value.Refuse("must be DEBUG, INFO, WARNING, ERROR or CRITICAL, or Trace, Debug, Information, Warning, Error, Critical or None");
        return LogLevel.Information;
    }
}
