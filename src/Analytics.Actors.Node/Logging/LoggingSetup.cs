using Analytics.Actors.Node.Configuration;
using Microsoft.Extensions.Logging;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Extensions.Logging;
using Serilog.Formatting;

namespace Analytics.Actors.Node.Logging;

/// <summary>
/// Where log lines go: to the console as JSON lines, or as plain text in a terminal; and to a file, where one is named,
/// always as JSON lines, in a new file of 10 MB each of which 5 are kept.
/// </summary>
public static class LoggingSetup
{
    /// <summary>Makes the logger factory of a node, writing to standard output; disposing of it closes the file.</summary>
    /// <exception cref="IOException">The log file cannot be written; the message names it.</exception>
    public static ILoggerFactory Create(LogOptions options) => Create(options, Console.Out, isTerminal: !Console.IsOutputRedirected);

    internal static ILoggerFactory Create(LogOptions options, TextWriter console, bool isTerminal)
    {
        var plain = options.Format == LogFormat.Text || options.Format == LogFormat.Auto && isTerminal;
        var serilog = new LoggerConfiguration()
            .MinimumLevel.Verbose()
            .WriteTo.Sink(new WriterSink(plain ? new TextLineFormatter() : new JsonLineFormatter(), console));
        if (options.File is { } file)
        {
            RequireWritable(file);
            serilog.WriteTo.File(
                new JsonLineFormatter(), file,
                fileSizeLimitBytes: options.FileBytesMax, rollOnFileSizeLimit: true, retainedFileCountLimit: options.FilesKept);
        }

        // The filters are Microsoft's, so that a message below the level is not even built; AddSerilog would switch them off.
        var root = serilog.CreateLogger();
        return LoggerFactory.Create(builder => builder
            .SetMinimumLevel(options.Level)
            .AddFilter("Microsoft.AspNetCore", options.Level > LogLevel.Warning ? options.Level : LogLevel.Warning)
            .AddFilter("Microsoft.Hosting", options.Level > LogLevel.Warning ? options.Level : LogLevel.Warning)
            .AddProvider(new SerilogLoggerProvider(root, dispose: true)));
    }

    // The file sink keeps silent about a file that it cannot open, and every line would be lost.
    private static void RequireWritable(string file)
    {
        try
        {
            if (Path.GetDirectoryName(Path.GetFullPath(file)) is { } directory) Directory.CreateDirectory(directory);
            if (Directory.Exists(file)) throw new IOException("it is a directory");
            var existed = File.Exists(file);
            using (File.Open(file, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { }
            if (!existed) File.Delete(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new IOException($"log.file: value \"{file}\": must be a file that can be written: {exception.Message}", exception);
        }
    }

    /// <summary>Writes whole lines to one writer, one event at a time.</summary>
    private sealed class WriterSink(ITextFormatter formatter, TextWriter writer) : ILogEventSink
    {
        private readonly Lock gate = new();

        public void Emit(LogEvent logEvent)
        {
            using var line = new StringWriter(System.Globalization.CultureInfo.InvariantCulture);
            formatter.Format(logEvent, line);
            lock (gate)
            {
                writer.Write(line.ToString());
                writer.Flush();
            }
        }
    }
}
