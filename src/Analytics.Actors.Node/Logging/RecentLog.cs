using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Logging;

/// <summary>One line of a node's log.</summary>
/// <param name="Number">Rises from line to line of one node; about microseconds since 1970 UTC, so that it also rises over restarts.</param>
/// <param name="Level">As the log itself says it: DEBUG, INFO, WARNING, ERROR, CRITICAL.</param>
/// <param name="Event">The stable name of what happened; empty where it has none.</param>
/// <param name="Station">The station that it concerns; empty where it names none.</param>
public sealed record LogLine(long Number, DateTimeOffset Time, LogLevel Severity, string Level, string Name, string Message, string Event, string Station);

/// <summary>
/// The newest lines of a node's log, kept in memory so that they can be read from anywhere. It is one more place where lines
/// go, beside the console and a file, and sees what these see.
/// </summary>
public sealed class RecentLog(TimeProvider time) : ILoggerProvider
{
    public const int Kept = 2_000;

    // A stack trace is cut; the console and the file have it whole.
    private const int MessageMax = 2_000;

    private readonly Lock gate = new();
    private readonly Queue<LogLine> lines = new();
    private long number;

    // Of the web server only what is wrong, as the console has it.
    public ILogger CreateLogger(string categoryName) =>
        new Writer(this, categoryName, categoryName.StartsWith("Microsoft.", StringComparison.Ordinal) ? LogLevel.Warning : LogLevel.Trace);

    /// <summary>The oldest first: those after a number, or where null the newest ones, that are wanted; at most so many.</summary>
    public IReadOnlyList<LogLine> Take(long? after, int limit, LogLevel lowest, string? station)
    {
        lock (gate)
        {
            var wanted = lines.Where(line => line.Severity >= lowest && line.Number > (after ?? long.MinValue) && (station is null || line.Station == station)).ToList();
            return after is null ? wanted[Math.Max(0, wanted.Count - limit)..] : wanted[..Math.Min(limit, wanted.Count)];
        }
    }

    public void Dispose()
    {
    }

    private void Add(LogLevel severity, string name, string message, string happened, string station)
    {
        var now = time.GetUtcNow();
        lock (gate)
        {
            number = Math.Max(number + 1, (now.UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks) / TimeSpan.TicksPerMicrosecond);
            if (lines.Count == Kept) lines.Dequeue();
            lines.Enqueue(new LogLine(number, now, severity, NameOf(severity), name, message.Length > MessageMax ? message[..MessageMax] + "..." : message, happened, station));
        }
    }

    private static string NameOf(LogLevel level) => level switch
    {
        LogLevel.Trace or LogLevel.Debug => "DEBUG",
        LogLevel.Information => "INFO",
        LogLevel.Warning => "WARNING",
        LogLevel.Error => "ERROR",
        _ => "CRITICAL",
    };

    private sealed class Writer(RecentLog log, string name, LogLevel lowest) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= lowest && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel)) return;
            var station = state is IEnumerable<KeyValuePair<string, object?>> values
                ? Convert.ToString(values.FirstOrDefault(pair => pair.Key == "StationId").Value, CultureInfo.InvariantCulture)
                : null;
            var message = formatter(state, exception);
            log.Add(logLevel, name, exception is null ? message : $"{message}\n{exception}", eventId.Name ?? "", station ?? "");
        }
    }
}
