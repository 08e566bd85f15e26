using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Logging;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Tests.Configuration;

/// <summary>Log lines as people's log readers know them: one JSON object a line, or plain text in a terminal; files rotate.</summary>
public class LoggingTests
{
    private static string Log(LogOptions options, Action<ILogger> write, bool isTerminal = false)
    {
        using var console = new StringWriter(CultureInfo.InvariantCulture);
        using (var factory = LoggingSetup.Create(options, console, isTerminal)) write(factory.CreateLogger("Analytics.Shard"));
        return console.ToString();
    }

    private static JsonElement OneLine(string text)
    {
        text.ShouldEndWith("\n");
        text.TrimEnd('\n').ShouldNotContain("\n");
        return JsonDocument.Parse(text).RootElement;
    }

    private static string[] NamesOf(JsonElement line) => [.. line.EnumerateObject().Select(member => member.Name)];

    [Fact]
    public void A_plain_message_has_four_members()
    {
        var before = DateTime.UtcNow.AddMilliseconds(-1);
        var line = OneLine(Log(new LogOptions(), logger => logger.LogInformation("Shard {Shard} taken over", 7)));
        NamesOf(line).ShouldBe(["timestamp", "level", "name", "message"]);
        line.GetProperty("level").GetString().ShouldBe("INFO");
        line.GetProperty("name").GetString().ShouldBe("Analytics.Shard");
        line.GetProperty("message").GetString().ShouldBe("Shard 7 taken over");
        line.GetProperty("timestamp").GetDateTime().ToUniversalTime().ShouldBeInRange(before, DateTime.UtcNow.AddMilliseconds(1));
    }

    [Fact]
    public void Station_batch_time_event_and_exception_are_there_where_they_apply()
    {
        var line = OneLine(Log(new LogOptions(), logger => logger.Log(
            LogLevel.Error, new EventId(3, "BatchAnswer"), new InvalidOperationException("no\nluck"),
            "Answer of {StationId} for {BatchId} after {ProcessingTime}", "S\"1", "T:0:42", TimeSpan.FromMilliseconds(1500))));
        NamesOf(line).ShouldBe(["timestamp", "level", "name", "message", "event", "station_id", "batch_id", "processing_time", "exception"]);
        line.GetProperty("level").GetString().ShouldBe("ERROR");
        line.GetProperty("message").GetString()!.ShouldStartWith("Answer of S\"1 for T:0:42 after ");
        line.GetProperty("event").GetString().ShouldBe("BatchAnswer");
        line.GetProperty("station_id").GetString().ShouldBe("S\"1");
        line.GetProperty("batch_id").GetString().ShouldBe("T:0:42");
        line.GetProperty("processing_time").GetDouble().ShouldBe(1.5);
        line.GetProperty("exception").GetString()!.ShouldContain("InvalidOperationException: no\nluck");
    }

    [Fact]
    public void A_scope_gives_them_too_and_an_id_that_is_a_number_is_text()
    {
        var line = OneLine(Log(new LogOptions(), logger =>
        {
            using var scope = logger.BeginScope(new Dictionary<string, object> { ["StationId"] = 1234567890123456789L, ["ProcessingTime"] = 0.25 });
            logger.LogWarning("slow");
        }));
        NamesOf(line).ShouldBe(["timestamp", "level", "name", "message", "station_id", "processing_time"]);
        line.GetProperty("station_id").GetString().ShouldBe("1234567890123456789");
        line.GetProperty("processing_time").GetDouble().ShouldBe(0.25);
    }

    [Fact]
    public void What_has_no_number_in_JSON_and_what_is_no_text_does_no_harm()
    {
        var line = OneLine(Log(new LogOptions(), logger => logger.LogInformation("{ProcessingTime} {StationId} 充电站\u001b\ud800", double.NaN, null)));
        NamesOf(line).ShouldBe(["timestamp", "level", "name", "message"]);
        line.GetProperty("message").GetString()!.ShouldContain("充电站\u001b");
    }

    [Theory]
    [InlineData(LogLevel.Trace, "DEBUG")]
    [InlineData(LogLevel.Debug, "DEBUG")]
    [InlineData(LogLevel.Information, "INFO")]
    [InlineData(LogLevel.Warning, "WARNING")]
    [InlineData(LogLevel.Error, "ERROR")]
    [InlineData(LogLevel.Critical, "CRITICAL")]
    public void Levels_have_pythons_names(LogLevel level, string name) =>
        OneLine(Log(new LogOptions { Level = LogLevel.Trace }, logger => logger.Log(level, "x"))).GetProperty("level").GetString().ShouldBe(name);

    [Fact]
    public void Only_the_level_and_above_is_written()
    {
        Action<ILogger> write = logger =>
        {
            logger.LogInformation("quiet");
            logger.LogWarning("loud");
        };
        OneLine(Log(new LogOptions { Level = LogLevel.Warning }, write)).GetProperty("message").GetString().ShouldBe("loud");
        Log(new LogOptions { Level = LogLevel.None }, write).ShouldBeEmpty();
    }

    [Fact]
    public void A_terminal_gets_plain_text_unless_a_format_is_asked_for()
    {
        Action<ILogger> write = logger => logger.LogInformation("Answer of {StationId}\u001b[31m", "S1");
        var text = Log(new LogOptions(), write, isTerminal: true);
        text.ShouldEndWith(" INFO     Analytics.Shard: Answer of S1\\u001b[31m [station S1]\n");
        Log(new LogOptions { Format = LogFormat.Json }, write, isTerminal: true).ShouldStartWith("{");
        Log(new LogOptions { Format = LogFormat.Text }, write).ShouldNotStartWith("{");
        Log(new LogOptions(), write).ShouldStartWith("{");
    }

    [Fact]
    public void The_file_holds_json_lines_and_rotates()
    {
        using var folder = new ConfigurationFolder();
        var options = new LogOptions { File = folder.In("logs/node.log"), FileBytesMax = 10_000, FilesKept = 5, Format = LogFormat.Text };
        Log(options, logger =>
        {
            for (var i = 0; i < 1_000; i++) logger.LogInformation("message {Number} {Filler}", i, new string('x', 100));
        });

        var files = new DirectoryInfo(folder.In("logs")).GetFiles("*.log");
        files.Length.ShouldBe(5);
        // The line that crosses the limit is still written whole.
        files.ShouldAllBe(file => file.Length < 10_000 + 500);
        var lines = files.SelectMany(file => File.ReadAllLines(file.FullName)).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("message").GetString()!).ToList();
        lines.ShouldContain(message => message.StartsWith("message 999 "));
        lines.ShouldNotContain(message => message.StartsWith("message 0 "));
    }

    [Fact]
    public void The_defaults_are_10_MB_and_5_files() => (new LogOptions().FileBytesMax, new LogOptions().FilesKept).ShouldBe((10L * 1024 * 1024, 5));

    [Fact]
    public void A_file_that_cannot_be_written_is_said_at_once()
    {
        using var folder = new ConfigurationFolder();
        Should.Throw<IOException>(() => LoggingSetup.Create(new LogOptions { File = folder.In(".") })).Message.ShouldContain("log.file: value ");
        Should.Throw<IOException>(() => LoggingSetup.Create(new LogOptions { File = Path.Combine(folder.Node, "x.log") })).Message.ShouldContain("log.file: value ");
    }

    [Fact]
    public void Lines_of_many_threads_stay_whole()
    {
        var text = Log(new LogOptions(), logger => Parallel.For(0, 500, i => logger.LogInformation("message {Number}", i)));
        var lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("message").GetString()).Distinct().Count().ShouldBe(500);
    }
}
