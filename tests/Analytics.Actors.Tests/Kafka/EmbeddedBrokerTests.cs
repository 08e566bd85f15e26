using Analytics.Actors.Core;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Tests.Kafka;

public class EmbeddedBrokerTests(BrokerFixture fixture) : IClassFixture<BrokerFixture>
{
    [Theory]
    [InlineData("down", "expected: down N")]
    [InlineData("down 2", "broker is 2: must be a number from 1 to 1")]
    [InlineData("up x", "broker is x: must be a number from 1 to 1")]
    [InlineData("rtt 1 -5", "MS is -5: must be a number from 0 to 600000")]
    [InlineData("errors Produce", "expected: errors API CODE...")]
    [InlineData("errors Prod NotLeaderForPartition", "API is Prod: must be one of Produce, Fetch")]
    [InlineData("errors Produce Whatever", "CODE is Whatever: must be the number of a Kafka error, or one of None, OffsetOutOfRange")]
    [InlineData("topic a", "expected: topic NAME PARTITIONS")]
    [InlineData("explode", "unknown command explode; commands are: down N, up N")]
    public void A_wrong_command_is_answered_with_what_is_right(string line, string answer)
    {
        var answers = new StringWriter();

        EmbeddedBrokerCommands.Execute(fixture.Broker, line, answers).ShouldBeFalse();

        answers.ToString().ShouldStartWith("error: " + answer);
        answers.ToString().Count(letter => letter == '\n').ShouldBe(1);
    }

    [Fact]
    public async Task Commands_reach_the_broker()
    {
        using var broker = EmbeddedBroker.Start(brokers: 2);
        using var admin = new TopicAdmin(KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers));
        broker.BootstrapServers.Split(',').Length.ShouldBe(2);

        Answer(broker, "topic orders 3").ShouldBe("topic orders has 3 partitions");
        (await admin.GetPartitionCountAsync("orders")).ShouldBe(3);
        Answer(broker, "topic orders 4").ShouldContain("exists with 3 partitions");

        // Every partition is led by one of the two brokers: with both down nothing is acknowledged, with both up all is.
        Answer(broker, "down 1").ShouldBe("broker 1 is down");
        Answer(broker, "DOWN 2").ShouldBe("broker 2 is down");
        using var producer = new PartitionProducer(KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers));
        var sent = producer.SendAsync(new TopicPartition("orders", 0), [1]);
        producer.Flush(TimeSpan.FromMilliseconds(200)).ShouldBeFalse();
        sent.IsCompleted.ShouldBeFalse();
        Answer(broker, "up 1").ShouldBe("broker 1 is up");
        Answer(broker, "up 2").ShouldBe("broker 2 is up");
        (await sent).Result.ShouldBe(SendResult.Sent);

        Answer(broker, "errors produce MESSAGE_TOO_LARGE").ShouldBe("the next 1 Produce requests fail with MessageTooLarge");
        (await producer.SendAsync(new TopicPartition("orders", 0), [2])).Result.ShouldBe(SendResult.Impossible);

        Answer(broker, "rtt 1 60").ShouldBe("broker 1 answers after 60 ms");
        Answer(broker, "rtt 2 60");
        var watch = System.Diagnostics.Stopwatch.StartNew();
        (await producer.SendAsync(new TopicPartition("orders", 0), [3])).Result.ShouldBe(SendResult.Sent);
        watch.ElapsedMilliseconds.ShouldBeGreaterThanOrEqualTo(50);
    }

    [Fact]
    public void Two_clusters_live_side_by_side_and_end_twice()
    {
        using var other = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["a"] = 2 });

        other.BootstrapServers.ShouldNotBe(fixture.Broker.BootstrapServers);
        other.Topics["a"].ShouldBe(2);
        other.Dispose();
        other.Dispose();
        Should.Throw<ObjectDisposedException>(() => other.Down(1));
    }

    private static string Answer(EmbeddedBroker broker, string line)
    {
        var answers = new StringWriter();
        EmbeddedBrokerCommands.Execute(broker, line, answers);
        return answers.ToString().TrimEnd();
    }
}
