using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Tests.Kafka;

public class PartitionProducerTests(BrokerFixture fixture) : IClassFixture<BrokerFixture>
{
    [Fact]
    public async Task A_record_arrives_as_it_was_sent_in_the_partition_that_was_chosen()
    {
        var partition = new TopicPartition(fixture.NewTopic(3), 2);
        using var producer = new PartitionProducer(fixture.Options);
        var origin = new RecordHeader("aa-origin", Encoding.UTF8.GetBytes("0a.1.2.3"));
        var whole = Encoding.UTF8.GetBytes("-value-");

        var done = new TaskCompletionSource<SendOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        producer.Send(partition, Encoding.UTF8.GetBytes("key"), whole.AsMemory(1, 5), [origin, new RecordHeader("aa-batch", [])], 1_234_567, done.SetResult);
        (await done.Task).ShouldBe(new SendOutcome(SendResult.Sent, 0, null));

        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        _ = consumer.Assign(partition, 0);
        var record = await sink.Records.WaitFor(_ => true);
        record.Partition.ShouldBe(partition);
        record.Offset.ShouldBe(0);
        record.TimestampMs.ShouldBe(1_234_567);
        record.Key.ShouldBe(Encoding.UTF8.GetBytes("key"));
        record.Value.ShouldBe(Encoding.UTF8.GetBytes("value"));
        record.HasValue.ShouldBeTrue();
        record.Origin.ShouldBe("0a.1.2.3");

        // Any other client sees all of it.
        using var other = new ConsumerBuilder<byte[], byte[]>(new ConsumerConfig { BootstrapServers = fixture.Broker.BootstrapServers, GroupId = "other" }).Build();
        other.Assign(new TopicPartitionOffset(partition.Topic, partition.Partition, 0));
        var headers = other.Consume(Waiting.AtMost).Message.Headers;
        headers.Select(header => header.Key).ShouldBe(["aa-origin", "aa-batch"]);
        headers[0].GetValueBytes().ShouldBe(origin.Value);
        headers[1].GetValueBytes().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_message_waits_while_the_broker_is_down_and_arrives_once_with_one_outcome()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["t"] = 1 });
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        var partition = new TopicPartition("t", 0);
        using var producer = new PartitionProducer(options);
        (await producer.SendAsync(partition, [0])).Offset.ShouldBe(0);

        broker.Down(1);
        var outcomes = new EventLog<SendOutcome>();
        producer.Send(partition, null, new byte[] { 1 }, [], 1, outcome => outcomes.Add(outcome));
        producer.Flush(TimeSpan.FromSeconds(1)).ShouldBeFalse();
        outcomes.All.ShouldBeEmpty();
        producer.UnderWayCount.ShouldBe(1);
        broker.Up(1);

        (await outcomes.WaitFor(_ => true)).ShouldBe(new SendOutcome(SendResult.Sent, 1, null));
        producer.Flush(Waiting.AtMost).ShouldBeTrue();
        producer.UnderWayCount.ShouldBe(0);
        (await producer.SendAsync(partition, [2])).Offset.ShouldBe(2);
        outcomes.All.Count.ShouldBe(1);
    }

    [Fact]
    public async Task What_passes_by_itself_is_retried_and_what_never_can_is_said_so()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["t"] = 1 });
        var partition = new TopicPartition("t", 0);
        using var producer = new PartitionProducer(KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers) with { MaxRecordBytes = 1_000_000 });
        (await producer.SendAsync(partition, [0])).Result.ShouldBe(SendResult.Sent);

        broker.PushErrors(KafkaApi.Produce, BrokerError.NotLeaderForPartition, BrokerError.NotEnoughReplicas, BrokerError.Transport);
        (await producer.SendAsync(partition, [1])).ShouldBe(new SendOutcome(SendResult.Sent, 1, null));

        broker.PushErrors(KafkaApi.Produce, BrokerError.InvalidRecord);
        var refused = await producer.SendAsync(partition, [2]);
        refused.Result.ShouldBe(SendResult.Impossible);
        refused.Offset.ShouldBe(-1);
        refused.Error.ShouldNotBeNull().ShouldContain("InvalidRecord");

        broker.PushErrors(KafkaApi.Produce, BrokerError.TopicAuthorizationFailed);
        (await producer.SendAsync(partition, [3])).Result.ShouldBe(SendResult.Retriable);
        // The client takes the topic for refused until it has looked again.
        await producer.PrepareAsync([partition.Topic], TimeSpan.FromSeconds(10));

        (await producer.SendAsync(partition, new byte[1_000_001])).Result.ShouldBe(SendResult.Impossible);
        (await producer.SendAsync(new TopicPartition("t", 7), [4])).Result.ShouldBe(SendResult.Retriable);
        (await producer.SendAsync(partition, [5])).ShouldBe(new SendOutcome(SendResult.Sent, 2, null));
    }

    [Fact]
    public async Task Ten_megabytes_travel_in_one_record()
    {
        var partition = new TopicPartition(fixture.NewTopic(1), 0);
        using var producer = new PartitionProducer(fixture.Options);
        var value = new byte[10 * 1024 * 1024];
        new Random(7).NextBytes(value);
        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        _ = consumer.Assign(partition, 0);

        (await producer.SendAsync(partition, value)).Result.ShouldBe(SendResult.Sent);

        var record = await sink.Records.WaitFor(record => record.Offset == 0);
        record.Value.AsSpan().SequenceEqual(value).ShouldBeTrue();
    }

    [Fact]
    public async Task Messages_under_way_at_the_end_have_their_outcome_too()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["t"] = 1 });
        var outcomes = new EventLog<SendOutcome>();
        var producer = new PartitionProducer(KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers));
        (await producer.SendAsync(new TopicPartition("t", 0), [0])).Result.ShouldBe(SendResult.Sent);
        broker.Down(1);

        for (var i = 0; i < 3; i++) producer.Send(new TopicPartition("t", 0), null, new byte[] { 1 }, [], 1, outcome => outcomes.Add(outcome));
        producer.Dispose();
        producer.Dispose();

        outcomes.All.Select(outcome => outcome.Result).ShouldBe([SendResult.Retriable, SendResult.Retriable, SendResult.Retriable]);
        Should.Throw<ObjectDisposedException>(() => producer.Send(new TopicPartition("t", 0), null, new byte[] { 1 }, [], 1, _ => { }));
    }
}
