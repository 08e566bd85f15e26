using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Tests.Http;

/// <summary>Keeps what is logged, in order, each entry as its text with the exception behind it.</summary>
internal sealed class LogLines : ILoggerProvider, ILogger
{
    private readonly ConcurrentQueue<string> lines = [];

    public IReadOnlyCollection<string> All => lines;

    public IReadOnlyList<string> Of(string name) => [.. lines.Where(line => line.StartsWith($"{name}: ", StringComparison.Ordinal))];

    public ILogger CreateLogger(string categoryName) => this;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        lines.Enqueue($"{formatter(state, exception)}{exception}");

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public void Dispose()
    {
    }
}
