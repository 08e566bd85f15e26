using Analytics.Actors.Kafka;

namespace Analytics.Actors.Tests.Kafka;

public class KafkaClientOptionsTests
{
    private static readonly KafkaClientOptions Plain = new() { BootstrapServers = "broker:9092" };

    [Theory]
    [InlineData("consumer", "enable.auto.commit", "true")]
    [InlineData("consumer", "auto.offset.reset", "latest")]
    [InlineData("consumer", "partition.assignment.strategy", "range")]
    [InlineData("consumer", "group.id", "mine")]
    [InlineData("producer", "acks", "1")]
    [InlineData("producer", "request.required.acks", "0")]
    [InlineData("producer", "enable.idempotence", "true")]
    [InlineData("producer", "message.timeout.ms", "30000")]
    [InlineData("producer", "transactional.id", "t")]
    [InlineData("common", "acks", "0")]
    [InlineData("common", "bootstrap.servers", "other:9092")]
    public void An_option_that_would_break_an_invariant_is_refused_with_key_value_and_remedy(string section, string key, string value)
    {
        var problem = With(section, key, value).Problems().ShouldHaveSingleItem();

        problem.ShouldContain($"kafka.{section}.{key} is {value}");
        problem.ShouldContain("leave it out");
    }

    [Theory]
    [InlineData("producer", "acks", "all")]
    [InlineData("producer", "enable.idempotence", "False")]
    [InlineData("consumer", "auto.offset.reset", "error")]
    [InlineData("consumer", "session.timeout.ms", "4000")]
    [InlineData("common", "security.protocol", "SASL_SSL")]
    public void What_agrees_or_does_not_matter_is_accepted(string section, string key, string value) =>
        With(section, key, value).Problems().ShouldBeEmpty();

    [Fact]
    public void Options_pass_through_over_our_defaults_and_under_what_the_invariants_need()
    {
        var options = Plain with
        {
            Common = new Dictionary<string, string> { ["security.protocol"] = "SSL", ["reconnect.backoff.ms"] = "7" },
            Consumer = new Dictionary<string, string> { ["heartbeat.interval.ms"] = "300", ["group.instance.id"] = "node-1" },
            Producer = new Dictionary<string, string> { ["linger.ms"] = "5", ["compression.type"] = "lz4" },
        };

        var consumer = options.ForConsumer("data", "group");
        consumer.ShouldContainKeyAndValue("security.protocol", "SSL");
        consumer.ShouldContainKeyAndValue("reconnect.backoff.ms", "7");
        consumer.ShouldContainKeyAndValue("heartbeat.interval.ms", "300");
        consumer.ShouldContainKeyAndValue("group.instance.id", "node-1");
        consumer.ShouldContainKeyAndValue("group.id", "group");
        consumer.ShouldContainKeyAndValue("auto.offset.reset", "error");
        consumer.ShouldContainKeyAndValue("enable.auto.commit", "false");
        consumer.ShouldNotContainKey("linger.ms");
        // A reader beside a member must not fence it by its name.
        options.ForReader("lookup", "group").ShouldNotContainKey("group.instance.id");

        var producer = options.ForProducer("producer");
        producer.ShouldContainKeyAndValue("linger.ms", "5");
        producer.ShouldContainKeyAndValue("compression.type", "lz4");
        producer.ShouldContainKeyAndValue("acks", "all");
        producer.ShouldContainKeyAndValue("enable.idempotence", "false");
        producer.ShouldContainKeyAndValue("message.timeout.ms", "0");
        producer.ShouldContainKeyAndValue("message.max.bytes", "16777216");
        producer.ShouldNotContainKey("heartbeat.interval.ms");
    }

    [Fact]
    public void A_revocation_limit_must_leave_room_below_the_poll_interval()
    {
        var options = With("consumer", "max.poll.interval.ms", "30000") with { RevokeLimit = TimeSpan.FromSeconds(20) };

        options.Problems().ShouldHaveSingleItem().ShouldContain("max.poll.interval.ms (30000)");
        (options with { RevokeLimit = TimeSpan.FromSeconds(15) }).Problems().ShouldBeEmpty();
    }

    [Fact]
    public void A_client_is_not_built_from_options_with_problems()
    {
        var wrong = Should.Throw<ArgumentException>(() => new PartitionProducer(With("producer", "acks", "1")));

        wrong.Message.ShouldContain("kafka.producer.acks is 1");
    }

    private static KafkaClientOptions With(string section, string key, string value)
    {
        var given = new Dictionary<string, string> { [key] = value };
        return section switch
        {
            "common" => Plain with { Common = given },
            "consumer" => Plain with { Consumer = given },
            _ => Plain with { Producer = given },
        };
    }
}
