using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Tests.Pipeline;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Tests.Configuration;

/// <summary>A node's options: the shipped files, the defaults, who wins over whom, and what is refused.</summary>
public class NodeConfigurationTests
{
    [Theory]
    [InlineData("development.json")]
    [InlineData("test.json")]
    [InlineData("production.json")]
    public void The_shipped_files_are_valid_together_with_the_default_pipeline(string name)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        ConfigCheck.Run(PipelineFiles.Default, Path.Combine(PipelineFiles.Folder, name), new Dictionary<string, string>(), false, output, error).ShouldBe(0, error.ToString());
    }

    [Fact]
    public void The_development_file_is_loopback_sqlite_and_ports_8000_and_8001()
    {
        var options = NodeConfiguration.Read(Path.Combine(PipelineFiles.Folder, "development.json"), new Dictionary<string, string>(), []).Options.ShouldNotBeNull();
        options.Http.ShouldBe(new EndpointOptions("127.0.0.1", 8000));
        options.Metrics.ShouldBe(new EndpointOptions("127.0.0.1", 8001));
        options.Store.Path.ShouldNotBeNull();
        File.Exists(options.Pipeline).ShouldBeTrue();
    }

    [Fact]
    public void Every_key_of_the_shipped_files_has_a_comment_above_it()
    {
        foreach (var name in (string[])["development.json", "test.json", "production.json"])
        {
            var lines = File.ReadAllLines(Path.Combine(PipelineFiles.Folder, name)).Select(line => line.Trim()).ToList();
            for (var i = 0; i < lines.Count; i++)
            {
                // Sections and pairs that say themselves what they are: host and port, kafka's three dictionaries.
                if (!lines[i].StartsWith('"') || lines[i].EndsWith('{') || lines[i].StartsWith("\"host\"") || lines[i].StartsWith("\"heartbeat") || lines[i].StartsWith("\"port\"")) continue;
                lines[i - 1].ShouldStartWith("//", customMessage: $"{name}, line {i + 1}: {lines[i]}");
            }
        }
    }

    [Fact]
    public void What_the_file_leaves_out_has_its_default()
    {
        using var folder = new ConfigurationFolder();
        var options = folder.Valid();
        (options.Group, options.Shards, options.MaxRecordBytes).ShouldBe(("analytics", 16, 16 * 1024 * 1024));
        options.NodeId.ShouldEndWith("-8000");
        options.Pipeline.ShouldBe(folder.In("pipeline.json"));
        options.Checkpoint.ShouldBe(new CheckpointOptions { Idle = TimeSpan.FromSeconds(1), Waiting = TimeSpan.FromMilliseconds(20) });
        options.Commit.ShouldBe(new CommitOptions { Interval = TimeSpan.FromSeconds(5), BatchSize = 100, RetriesMax = 3, RetryDelay = TimeSpan.FromSeconds(1) });
        options.Limits.ShouldBe(new LimitOptions());
        options.Pools.ShouldBe(new Dictionary<string, int> { ["default"] = Environment.ProcessorCount });
        options.Http.ShouldBe(new EndpointOptions("127.0.0.1", 8000));
        options.Metrics.ShouldBe(new EndpointOptions("127.0.0.1", 8001));
        options.Log.ShouldBe(new LogOptions());
        options.StopDeadline.ShouldBe(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public void The_environment_wins_over_the_file_and_set_over_both()
    {
        using var folder = new ConfigurationFolder($$"""{ {{ConfigurationFolder.Least}}, "shards": 4, "http": { "port": 81 }, "log": { "level": "ERROR" } }""");
        folder.Valid().Shards.ShouldBe(4);
        string[] environment = ["ANALYTICS__Shards=8", "ANALYTICS__HTTP__PORT=82", "LOG_LEVEL=DEBUG", "KAFKA_BOOTSTRAP_SERVERS=k2:1,k3:2"];
        var fromEnvironment = folder.Valid(environment);
        (fromEnvironment.Shards, fromEnvironment.Http.Port, fromEnvironment.Log.Level).ShouldBe((8, 82, LogLevel.Debug));
        fromEnvironment.Kafka.BootstrapServers.ShouldBe("k2:1,k3:2");
        var fromSettings = folder.Valid(environment, ["shards=32", "http.port=83", "log.level=Critical", "shards=33"]);
        (fromSettings.Shards, fromSettings.Http.Port, fromSettings.Log.Level).ShouldBe((33, 83, LogLevel.Critical));
    }

    [Fact]
    public void The_long_variable_wins_over_the_short_one_and_an_empty_short_one_is_not_set()
    {
        using var folder = new ConfigurationFolder();
        folder.Valid(["LOG_LEVEL=ERROR", "ANALYTICS__Log__Level=WARNING"]).Log.Level.ShouldBe(LogLevel.Warning);
        folder.Valid(["LOG_LEVEL=", "DATABASE_URL=", "DATA_ANALYSIS_LOG=", "KAFKA_BOOTSTRAP_SERVERS="]).Store.Path.ShouldBe("a.db");
        folder.Valid(["DATA_ANALYSIS_LOG=/tmp/x.log"]).Log.File.ShouldBe("/tmp/x.log");
    }

    [Fact]
    public void The_file_is_the_arguments_else_the_variables()
    {
        using var folder = new ConfigurationFolder();
        using var other = new ConfigurationFolder($$"""{ {{ConfigurationFolder.Least}}, "shards": 5 }""");
        var environment = ConfigurationFolder.Environment($"DATA_ANALYSIS_CONFIG={other.Node}");
        NodeConfiguration.Read(null, environment, []).Options!.Shards.ShouldBe(5);
        NodeConfiguration.Read(folder.Node, environment, []).Options!.Shards.ShouldBe(16);
    }

    [Fact]
    public void A_database_from_outside_takes_the_place_of_the_files()
    {
        using var folder = new ConfigurationFolder();
        var fromVariable = folder.Valid(["DATABASE_URL=postgres://u:p@h:5432/d"]).Store;
        (fromVariable.Path, fromVariable.Url).ShouldBe((null, "postgres://u:p@h:5432/d"));
        var fromSetting = folder.Valid(["DATABASE_URL=postgres://u:p@h:5432/d"], ["store.path=b.db"]).Store;
        (fromSetting.Path, fromSetting.Url).ShouldBe(("b.db", null));
        folder.Valid(["DATABASE_URL=sqlite:///data/c.db"]).Store.Path.ShouldBe("data/c.db");
        folder.Valid(["DATABASE_URL=sqlite:////data/c.db"]).Store.Path.ShouldBe("/data/c.db");
        folder.Valid(["DATABASE_URL=Host=h;Password=p;Database=d"]).Store.Url.ShouldBe("Host=h;Password=p;Database=d");
    }

    [Fact]
    public void Kafka_options_pass_through_from_file_environment_and_set()
    {
        using var folder = new ConfigurationFolder("""
            { "store": { "path": "a.db" }, "kafka": { "bootstrapServers": "k:1", "common": { "security.protocol": "SASL_SSL", "sasl.username": "file" },
              "consumer": { "session.timeout.ms": 6000, "check.crcs": true } } }
            """);
        var kafka = folder.Valid(
            ["ANALYTICS__Kafka__Common__sasl_username=environment", "ANALYTICS__KAFKA__PRODUCER__LINGER_MS=7", "ANALYTICS__kafka__common__sasl.mechanism=PLAIN"],
            ["kafka.consumer.session.timeout.ms=7000"]).Kafka;
        kafka.Common.ShouldBe(new Dictionary<string, string> { ["security.protocol"] = "SASL_SSL", ["sasl.username"] = "environment", ["sasl.mechanism"] = "PLAIN" }, ignoreOrder: true);
        kafka.Consumer.ShouldBe(new Dictionary<string, string> { ["session.timeout.ms"] = "7000", ["check.crcs"] = "true" }, ignoreOrder: true);
        kafka.Producer.ShouldBe(new Dictionary<string, string> { ["linger.ms"] = "7" });
    }

    [Fact]
    public void Pools_come_from_all_three()
    {
        using var folder = new ConfigurationFolder($$"""{ {{ConfigurationFolder.Least}}, "pools": { "default": 3, "python_workers": 2 } }""");
        folder.Valid(["ANALYTICS__Pools__python_workers=5"], ["pools.gpu=1"]).Pools
            .ShouldBe(new Dictionary<string, int> { ["default"] = 3, ["python_workers"] = 5, ["gpu"] = 1 });
    }

    [Theory]
    [InlineData("TRACE", LogLevel.Trace)]
    [InlineData("DEBUG", LogLevel.Debug)]
    [InlineData("INFO", LogLevel.Information)]
    [InlineData("WARNING", LogLevel.Warning)]
    [InlineData("ERROR", LogLevel.Error)]
    [InlineData("CRITICAL", LogLevel.Critical)]
    [InlineData("Trace", LogLevel.Trace)]
    [InlineData("Debug", LogLevel.Debug)]
    [InlineData("Information", LogLevel.Information)]
    [InlineData("Warning", LogLevel.Warning)]
    [InlineData("Error", LogLevel.Error)]
    [InlineData("Critical", LogLevel.Critical)]
    [InlineData("None", LogLevel.None)]
    public void Log_levels_have_pythons_names_or_dotnets(string text, LogLevel level)
    {
        using var folder = new ConfigurationFolder();
        folder.Valid([$"LOG_LEVEL={text}"]).Log.Level.ShouldBe(level);
    }

    // Each: what the file holds beside the least, and the path, value and part of the rule that the message must name.
    [Theory]
    [InlineData("\"shrads\": 4", "shrads", "4", "unknown key; did you mean \"shards\"?")]
    [InlineData("\"shards\": 0", "shards", "0", "must be a whole number from 1 to 4096")]
    [InlineData("\"shards\": \"16\"", "shards", "16", "must be a whole number")]
    [InlineData("\"internalOutOfRange\": \"timestamp\"", "internalOutOfRange", "timestamp", "\"earliest\"")]
    [InlineData("\"group\": \"my group\"", "group", "my group", "letters, digits")]
    [InlineData("\"maxRecordBytes\": 1000", "maxRecordBytes", "1000", "must be a whole number from 1048576")]
    [InlineData("\"checkpoint\": { \"idleMs\": 50, \"waitingMs\": 60 }", "checkpoint.waitingMs", "60", "must not be longer than \"checkpoint.idleMs\"")]
    [InlineData("\"checkpoint\": { \"idle\": 50 }", "checkpoint.idle", "50", "did you mean \"idleMs\"?")]
    [InlineData("\"commitIntervalSeconds\": 0", "commitIntervalSeconds", "0", "must be a number from 0.1")]
    [InlineData("\"limits\": { \"mailboxBytes\": 1000 }", "limits.mailboxBytes", "1000", "must not be less than \"maxRecordBytes\"")]
    [InlineData("\"limits\": { \"callsInFlight\": 1e400 }", "limits.callsInFlight", "1e400", "must be a whole number")]
    [InlineData("\"deadLetters\": { \"keptDays\": 0 }", "deadLetters.keptDays", "0", "must be a number from 0.01")]
    [InlineData("\"deadLetters\": { \"keptPerShard\": 0 }", "deadLetters.keptPerShard", "0", "must be a whole number from 1")]
    [InlineData("\"deadLetters\": { \"kept\": 1 }", "deadLetters.kept", "1", "unknown key")]
    [InlineData("\"pools\": { \"gpu\": 0 }", "pools.gpu", "0", "must be a whole number from 1")]
    [InlineData("\"http\": { \"port\": 70000 }", "http.port", "70000", "must be a whole number from 0 to 65535")]
    [InlineData("\"http\": { \"host\": \"example.org\" }", "http.host", "example.org", "must be an IP address")]
    [InlineData("\"http\": { \"port\": 9 }, \"metrics\": { \"port\": 9 }", "metrics.port", "9", "must differ from \"http.port\"")]
    [InlineData("\"log\": { \"level\": \"LOUD\" }", "log.level", "LOUD", "must be DEBUG, INFO")]
    [InlineData("\"log\": { \"format\": \"xml\" }", "log.format", "xml", "must be \"auto\", \"json\" or \"text\"")]
    [InlineData("\"stopDeadlineSeconds\": -1", "stopDeadlineSeconds", "-1", "must be a number from 0.1")]
    public void A_wrong_option_is_refused_by_config_check(string option, string path, string value, string rule)
    {
        using var folder = new ConfigurationFolder($$"""{ {{ConfigurationFolder.Least}}, {{option}} }""");
        var (exitCode, error) = folder.Check();
        exitCode.ShouldBe(2);
        error.ShouldStartWith($"{folder.Node}: {path}: value \"{value}\": ");
        error.ShouldContain(rule);
        error.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(1);
    }

    [Theory]
    [InlineData("{ \"store\": { \"path\": \"a\" } }", "kafka.bootstrapServers", "KAFKA_BOOTSTRAP_SERVERS")]
    [InlineData("{ \"store\": { \"path\": \"a\" }, \"kafka\": { \"bootstrapServers\": \"k1\" } }", "kafka.bootstrapServers", "host:port")]
    [InlineData("{ \"kafka\": { \"bootstrapServers\": \"k1:1\" } }", "store.path", "DATABASE_URL")]
    [InlineData("{ \"kafka\": { \"bootstrapServers\": \"k1:1\" }, \"store\": { \"path\": \"a\", \"url\": \"postgres://h/d\" } }", "store.url", "must not stand beside")]
    [InlineData("[]", "(file)", "must be an object")]
    [InlineData("{", "line 1", "must be JSON")]
    public void What_a_node_cannot_do_without_is_asked_for(string text, string path, string rule)
    {
        using var folder = new ConfigurationFolder(text);
        var (exitCode, error) = folder.Check();
        exitCode.ShouldBe(2);
        error.ShouldStartWith($"{folder.Node}: {path}");
        error.ShouldContain(rule);
    }

    [Fact]
    public void A_wrong_value_from_outside_names_where_it_came_from()
    {
        using var folder = new ConfigurationFolder();
        var lines = folder.Read(
            ["ANALYTICS__Shards=many", "ANALYTICS__Htpp__Port=1", "LOG_LEVEL=LOUD"], ["http.port=-1", "nonsense", "log.colour=red"]).Problems.Select(problem => problem.ToString()).ToList();
        lines.ShouldBe(
        [
            "--set: (argument): value \"nonsense\": must be KEY=VALUE, such as log.level=Debug",
            "--set http.port: http.port: value \"-1\": must be a whole number from 0 to 65535",
            "environment variable ANALYTICS__Shards: shards: value \"many\": must be a whole number from 1 to 4096",
            "environment variable LOG_LEVEL: log.level: value \"LOUD\": must be DEBUG, INFO, WARNING, ERROR or CRITICAL, or Trace, Debug, Information, Warning, Error, Critical or None",
            "environment variable ANALYTICS__Htpp__Port: Htpp.Port: value \"***\": unknown key; did you mean \"http.port\"?",
            "--set log.colour: log.colour: value \"***\": unknown key",
        ], ignoreOrder: true);
    }

    [Fact]
    public void The_pipeline_and_the_node_must_fit_together()
    {
        using var folder = new ConfigurationFolder($$"""{ {{ConfigurationFolder.Least}}, "group": "g" }""");
        var pipeline = folder.In("pipeline.json");
        File.WriteAllText(pipeline, """{ "topics": { "g.station-events": {} }, "modules": { "m": { "topics": ["g.station-events"], "pool": "python" } } }""");
        using var error = new StringWriter();
        ConfigCheck.Run(pipeline, folder.Node, new Dictionary<string, string>(), false, TextWriter.Null, error).ShouldBe(2);
        error.ToString().ShouldContain($"{pipeline}: modules.m.pool: value \"python\": must be a pool of the node's configuration: \"default\"");
        error.ToString().ShouldContain($"{pipeline}: topics.g.station-events: value \"g.station-events\": must not begin with \"g.\"");
    }

    [Fact]
    public void Every_node_of_the_shipped_files_may_be_wrong_without_an_exception()
    {
        using var folder = new ConfigurationFolder();
        foreach (var name in (string[])["development.json", "test.json", "production.json"])
        {
            var text = File.ReadAllText(Path.Combine(PipelineFiles.Folder, name));
            foreach (System.Text.RegularExpressions.Match value in System.Text.RegularExpressions.Regex.Matches(text, "(?<=^ *\"[A-Za-z.]+\": )[^{\\s,]+", System.Text.RegularExpressions.RegexOptions.Multiline))
            {
                foreach (var wrong in (string[])["\"x\"", "-1", "0", "null", "true", "[]", "{}", "1e400", "\"\\u0000\"", $"\"{new string('y', 9_000)}\""])
                {
                    File.WriteAllText(folder.Node, text.Remove(value.Index, value.Length).Insert(value.Index, wrong));
                    var reading = folder.Read();
                    (reading.Options is null).ShouldBe(reading.Problems.Count > 0, $"{name}: {value.Value} := {wrong}");
                    if (wrong is "null" or "[]" or "{}") reading.Problems.ShouldNotBeEmpty($"{name}: {value.Value} := {wrong}");
                }
            }
        }
    }
}
