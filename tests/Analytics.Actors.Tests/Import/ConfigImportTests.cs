using System.Text.Json.Nodes;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Configuration;

namespace Analytics.Actors.Tests.Import;

/// <summary>A configuration of the Python library becomes two files that a node starts with, and every key is accounted for.</summary>
public sealed class ConfigImportTests : IDisposable
{
    private const string Nested = """
        import os
        KAFKA_CONFIG = {
            'consumer': {'bootstrap_servers': ['a:9092', 'b:9092'], 'group_id': 'old', 'enable_auto_commit': True, 'fetch_max_wait_ms': 100, 'isolation_level': 'read_uncommitted', 'odd': 1},
            'producer': {'acks': 1, 'linger_ms': 5, 'sasl_plain_password': 'geheim!'},
        }
        OFFSET_COMMIT_CONFIG = {'commit_interval_seconds': 2.5}
        TOPIC_DETAIL = {
            'SCHEDULE-DEVICE-METER': {'fields': ['meterPower', 'meterId'], 'window_size': 3, 'modules': ['electricity_price', 'mine']},
            'MY-TOPIC': {'fields': ['a'], 'window_size': 1, 'frequency': 'daily', 'modules': ['mine']},
        }
        MODULE_DEPENDENCIES = {'mine': ['electricity_price']}
        MODULE_OUTPUT_TOPICS = {'mine': 'MODULE-OUTPUT-MY_MODULE'}
        data_expire_seconds = 600
        """;

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("import");

    public void Dispose() => folder.Delete(true);

    [Fact]
    public void Every_key_is_taken_over_or_its_reason_is_told_and_secrets_are_not()
    {
        var text = Import("config.py", Nested, json: true);
        text.ShouldNotContain("geheim");
        var report = JsonNode.Parse(text)!;
        string Fate(string key) => report["keys"]!.AsArray().Single(entry => entry!["key"]!.GetValue<string>() == key)!["fate"]!.GetValue<string>();
        Fate("KAFKA_CONFIG.consumer.bootstrap_servers").ShouldBe("taken");
        Fate("KAFKA_CONFIG.consumer.enable_auto_commit").ShouldBe("refused");
        Fate("KAFKA_CONFIG.consumer.isolation_level").ShouldBe("refused");
        Fate("KAFKA_CONFIG.consumer.odd").ShouldBe("refused");
        Fate("KAFKA_CONFIG.producer.acks").ShouldBe("refused");
        Fate("KAFKA_CONFIG.producer.sasl_plain_password").ShouldBe("refused");
        Fate("TOPIC_DETAIL.MY-TOPIC.frequency").ShouldBe("not_needed");
        Fate("data_expire_seconds").ShouldBe("taken");
        report["not_understood"]!.AsArray().ShouldHaveSingleItem()!["line"]!.GetValue<int>().ShouldBe(1);

        var node = Node();
        node.Kafka.BootstrapServers.ShouldBe("a:9092,b:9092");
        node.Kafka.Consumer["fetch.wait.max.ms"].ShouldBe("100");
        node.Kafka.Producer["linger.ms"].ShouldBe("5");
        node.Commit.Interval.TotalSeconds.ShouldBe(2.5);
        node.Group.ShouldNotBe("old");
        File.ReadAllText(NodeFile).ShouldNotContain("geheim");

        var pipeline = ConfigurationFile.ReadPipeline(PipelineFile).Configuration.ShouldNotBeNull();
        pipeline.Topics["SCHEDULE-DEVICE-METER"].Window.ShouldBe(3);
        pipeline.Topics["SCHEDULE-DEVICE-METER"].Start.ToString().ShouldContain("old");
        pipeline.Topics["MY-TOPIC"].Start.ToString().ShouldContain("old");
        pipeline.Modules["mine"].OutputTopic.ShouldBe("MODULE-OUTPUT-MY_MODULE");
        pipeline.Modules["mine"].DependsOn.ShouldBe(["electricity_price"]);
        pipeline.Modules["mine"].Enabled.ShouldBeFalse("nobody has its code yet");
        pipeline.Modules["electricity_price"].Topics.ShouldContain("SCHEDULE-DEVICE-METER");
    }

    [Fact]
    public void Yaml_says_the_same()
    {
        Import("config.yaml", """
            kafka: {bootstrap_servers: ['a:9092'], consumer: {group_id: old, session_timeout_ms: 10000}}
            offset_commit: {commit_batch_size: 50}
            """, json: false).ShouldContain("kafka.consumer.session_timeout_ms: node: kafka.consumer \"session.timeout.ms\"");
        Node().Commit.BatchSize.ShouldBe(50);
    }

    [Fact]
    public void Files_that_exist_stay_unless_they_are_to_be_overwritten()
    {
        File.WriteAllText(NodeFile, "mine");
        Should.Throw<BadArgumentsException>(() => Import("config.py", Nested, json: false)).Message.ShouldContain("--force");
        File.ReadAllText(NodeFile).ShouldBe("mine");
        File.Exists(PipelineFile).ShouldBeFalse();
        Import("config.py", Nested, json: false, force: true);
        Node().Kafka.BootstrapServers.ShouldBe("a:9092,b:9092");
    }

    [Theory]
    [InlineData("config.py", "TOPIC_DETAIL = {'MY-TOPIC': {'window_size': 0, 'modules': ['mine']}}")]
    [InlineData("config.py", "print('hello')")]
    [InlineData("config.yaml", "a: [")]
    public void What_would_not_start_is_refused_and_nothing_is_written(string name, string source)
    {
        Should.Throw<BadArgumentsException>(() => Import(name, source, json: false));
        folder.GetFiles().Select(file => file.Name).ShouldBe([name]);
    }

    [SharedDataFact]
    public void The_samples_of_the_librarys_users_are_imported()
    {
        foreach (var (name, keys) in new[] { ("config_nested.py", 34), ("config_flat.py", 10), ("config.yaml", 35) })
        {
            var report = JsonNode.Parse(Import(name, File.ReadAllText(SharedData.Path("migration", name)), json: true, force: true))!;
            report["keys"]!.AsArray().Count.ShouldBe(keys, name);
            report["not_understood"]!.AsArray().ShouldBeEmpty();
            ConfigurationFile.ReadPipeline(PipelineFile).Problems.ShouldBeEmpty();
            Node();
            File.ReadAllText(NodeFile).ShouldNotContain("\"secret\"");
        }
    }

    private string NodeFile => Path.Combine(folder.FullName, "node.json");
    private string PipelineFile => Path.Combine(folder.FullName, "pipeline.json");

    private NodeOptions Node() => NodeConfiguration.Read(NodeFile, new Dictionary<string, string>(), []).Options.ShouldNotBeNull();

    private string Import(string name, string source, bool json, bool force = false)
    {
        var file = Path.Combine(folder.FullName, name);
        File.WriteAllText(file, source);
        var output = new StringWriter();
        ConfigImport.Run(file, NodeFile, PipelineFile, force, json, output).ShouldBe(0);
        return output.ToString();
    }
}
