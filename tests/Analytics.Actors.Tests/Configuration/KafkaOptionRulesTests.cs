namespace Analytics.Actors.Tests.Configuration;

/// <summary>The librdkafka options that would break an invariant are refused wherever they stand, with the reason.</summary>
public class KafkaOptionRulesTests
{
    [Theory]
    [InlineData("enable.auto.commit", "true", "positions are committed only after the work")]
    [InlineData("auto.commit.enable", "true", "positions are committed only after the work")]
    [InlineData("enable.auto.offset.store", "true", "when its parts are acknowledged")]
    [InlineData("acks", "1", "must stay \"all\"")]
    [InlineData("acks", "0", "must stay \"all\"")]
    [InlineData("request.required.acks", "1", "must stay \"all\"")]
    [InlineData("enable.idempotence", "false", "is set by the system itself")]
    [InlineData("enable.idempotence", "true", "is set by the system itself")]
    [InlineData("auto.offset.reset", "latest", "no position jumps silently")]
    [InlineData("partition.assignment.strategy", "range", "cooperative-sticky")]
    [InlineData("group.id", "mine", "use the option \"group\"")]
    [InlineData("group.protocol", "consumer", "must stay \"classic\"")]
    [InlineData("message.timeout.ms", "30000", "must stay 0")]
    [InlineData("delivery.timeout.ms", "30000", "must stay 0")]
    [InlineData("max.in.flight.requests.per.connection", "5", "several messages in flight")]
    [InlineData("max.in.flight", "5", "several messages in flight")]
    [InlineData("isolation.level", "read_uncommitted", "must stay \"read_committed\"")]
    [InlineData("transactional.id", "t", "by their origin and sequence")]
    [InlineData("bootstrap.servers", "k:1", "kafka.bootstrapServers")]
    [InlineData("queued.max.messages.kbytes", "1", "limits.queuedMaxMessagesKbytes")]
    [InlineData("Enable.Auto.Commit", "true", "in lower case")]
    public void Refused(string name, string value, string reason)
    {
        foreach (var section in (string[])["common", "consumer", "producer"])
        {
            using var folder = new ConfigurationFolder($$"""
                { "store": { "path": "a" }, "kafka": { "bootstrapServers": "k:1", "{{section}}": { "{{name}}": "{{value}}" } } }
                """);
            var (exitCode, error) = folder.Check();
            exitCode.ShouldBe(2);
            error.ShouldStartWith($"{folder.Node}: kafka.{section}.{name}: value \"{value}\": ");
            error.ShouldContain(reason);
        }
    }

    [Fact]
    public void Refused_from_the_environment_and_from_set_too()
    {
        using var folder = new ConfigurationFolder();
        folder.Read(["ANALYTICS__Kafka__Consumer__enable_auto_commit=true"]).Problems.ShouldHaveSingleItem().Path.ShouldBe("kafka.consumer.enable.auto.commit");
        folder.Read(settings: ["kafka.producer.acks=1"]).Problems.ShouldHaveSingleItem().File.ShouldBe("--set kafka.producer.acks");
    }

    [Theory]
    [InlineData("enable.auto.commit", "false")]
    [InlineData("acks", "all")]
    [InlineData("acks", "-1")]
    [InlineData("auto.offset.reset", "error")]
    [InlineData("isolation.level", "read_committed")]
    [InlineData("security.protocol", "SASL_SSL")]
    [InlineData("compression.type", "zstd")]
    public void What_the_system_does_anyway_and_what_concerns_no_invariant_passes(string name, string value)
    {
        using var folder = new ConfigurationFolder();
        folder.Valid(settings: [$"kafka.common.{name}={value}"]).Kafka.Common[name].ShouldBe(value);
    }
}
