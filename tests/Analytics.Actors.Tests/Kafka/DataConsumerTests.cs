using Analytics.Actors.Core;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Tests.Kafka;

public class DataConsumerTests(BrokerFixture fixture) : IClassFixture<BrokerFixture>
{
    [Fact]
    public async Task Reading_begins_at_the_offset_given_and_partitions_come_and_go_without_stopping_others()
    {
        var topic = fixture.NewTopic(2);
        var (first, second) = (new TopicPartition(topic, 0), new TopicPartition(topic, 1));
        using var producer = new PartitionProducer(fixture.Options);
        await producer.SendNumbersAsync(first, 0, 5);
        await producer.SendNumbersAsync(second, 0, 5);
        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);

        _ = consumer.Assign(first, 3);
        await sink.WaitForOffset(first, 4);
        _ = consumer.Assign(second, 0);
        await sink.WaitForOffset(second, 4);
        await consumer.Unassign(first);
        await producer.SendNumbersAsync(first, 5, 2);
        await producer.SendNumbersAsync(second, 5, 2);
        await sink.WaitForOffset(second, 6);
        sink.Offsets(first).ShouldBe([3, 4]);
        sink.Offsets(second).ShouldBe([0, 1, 2, 3, 4, 5, 6]);
        (await consumer.GetHighWatermark(second)).ShouldBe(7);
        (await consumer.GetHighWatermark(first)).ShouldBeNull();

        // Again, from where it was left; and moved back while assigned.
        await consumer.Assign(first, 5);
        await sink.WaitForOffset(first, 6);
        await consumer.Assign(first, 1);
        await sink.Records.WaitUntil(_ => sink.Offsets(first).Length == 10);
        sink.Offsets(first).ShouldBe([3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
        sink.OutOfRange.All.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_paused_partition_rests_and_goes_on_where_it_was()
    {
        var topic = fixture.NewTopic(2);
        var (first, second) = (new TopicPartition(topic, 0), new TopicPartition(topic, 1));
        using var producer = new PartitionProducer(fixture.Options);
        await producer.SendNumbersAsync(first, 0, 3);
        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        await consumer.Assign(first, 0);
        await consumer.Assign(second, 0);
        await sink.WaitForOffset(first, 2);

        for (var round = 0; round < 5; round++)
        {
            await consumer.Pause(first);
            var seen = sink.Offsets(first);
            await producer.SendNumbersAsync(first, 3 + round * 2, 2);
            // A later record of the other partition, on the same connection, shows that the paused one had its chance.
            await producer.SendNumbersAsync(second, round, 1);
            await sink.WaitForOffset(second, round);
            sink.Offsets(first).ShouldBe(seen);
            await consumer.Resume(first);
            await sink.WaitForOffset(first, 4 + round * 2);
        }

        sink.Offsets(first).ShouldBe(Enumerable.Range(0, 13).Select(offset => (long)offset));

        // A pause ends with its assignment.
        await consumer.Pause(first);
        await consumer.Assign(first, 12);
        await sink.Records.WaitUntil(_ => sink.Offsets(first).Length == 14);
        await consumer.Pause(first);
        await consumer.Unassign(first);
        await consumer.Assign(first, 11);
        await sink.Records.WaitUntil(_ => sink.Offsets(first).Length == 16);
        sink.Offsets(first)[13..].ShouldBe([12, 11, 12]);
    }

    [Fact]
    public async Task Pauses_in_the_middle_of_a_stream_neither_lose_nor_repeat()
    {
        const int count = 5_000;
        var partition = new TopicPartition(fixture.NewTopic(1), 0);
        using var producer = new PartitionProducer(fixture.Options);
        for (var i = 0; i < count; i++) producer.Send(partition, null, new byte[20], [], 1, _ => { });
        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        var assigned = consumer.Assign(partition, 0);

        var watch = System.Diagnostics.Stopwatch.StartNew();
        for (var round = 0; round < 40; round++)
        {
            var before = sink.Records.All.Count;
            await consumer.Pause(partition);
            await consumer.Resume(partition);
            if (before < count) await sink.Records.WaitUntil(records => records.Count > before);
        }

        await sink.WaitForOffset(partition, count - 1);
        // A resumed partition is fetched at once, also where it is the broker's only one; waiting for a sleeping client
        // would take half a second a round.
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10));
        await assigned;
        sink.Offsets(partition).ShouldBe(Enumerable.Range(0, count).Select(offset => (long)offset));
    }

    [Fact]
    public async Task A_position_above_or_below_the_log_is_reported_and_only_that_partition_stops()
    {
        var topic = fixture.NewTopic(3);
        var (above, below, well) = (new TopicPartition(topic, 0), new TopicPartition(topic, 1), new TopicPartition(topic, 2));
        using var producer = new PartitionProducer(fixture.Options);
        await producer.SendNumbersAsync(above, 0, 3);
        // An embedded broker keeps 5 MB of a partition: the first of these records are trimmed.
        for (var i = 0; i < 8; i++) (await producer.SendAsync(below, new byte[1_000_000])).Result.ShouldBe(SendResult.Sent);
        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);

        _ = consumer.Assign(above, 100);
        _ = consumer.Assign(below, 0);
        _ = consumer.Assign(well, 0);

        await sink.OutOfRange.WaitFor(report => report == (above, 100));
        await sink.OutOfRange.WaitFor(report => report == (below, 0));
        await producer.SendNumbersAsync(above, 3, 1);
        await producer.SendNumbersAsync(well, 0, 2);
        await sink.WaitForOffset(well, 1);
        sink.Offsets(above).ShouldBeEmpty();
        sink.Offsets(below).ShouldBeEmpty();
        sink.OutOfRange.All.Count.ShouldBe(2);

        await consumer.Assign(above, 2);
        await sink.WaitForOffset(above, 3);
        using var admin = new TopicAdmin(fixture.Options);
        var log = await admin.QueryOffsetsAsync(below);
        log.Low.ShouldBeGreaterThan(0);
        log.High.ShouldBe(8);
        await consumer.Assign(below, log.Low);
        await sink.WaitForOffset(below, 7);
        sink.Offsets(below)[0].ShouldBe(log.Low);
    }

    [Fact]
    public async Task A_record_without_a_value_is_told_from_an_empty_one()
    {
        var partition = new TopicPartition(fixture.NewTopic(1), 0);
        using var producer = new PartitionProducer(fixture.Options);
        producer.Send(partition, [1], null, [], 1, _ => { });
        producer.Send(partition, [1], Array.Empty<byte>(), [], 1, _ => { });

        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        _ = consumer.Assign(partition, 0);

        var records = await sink.Records.WaitUntil(records => records.Count == 2);
        records.Select(record => record.HasValue).ShouldBe([false, true]);
        records.ShouldAllBe(record => record.Value.Length == 0);
    }

    [Fact]
    public async Task Reading_survives_a_broker_that_goes_away_and_errors_that_it_answers()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["t"] = 1 });
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        var partition = new TopicPartition("t", 0);
        using var producer = new PartitionProducer(options);
        var sink = new RecordingSink();
        var log = new EventLog<ClientLogEntry>();
        await using var consumer = new DataConsumer(options, "reader", sink, entry => log.Add(entry));
        await consumer.Assign(partition, 0);
        await producer.SendNumbersAsync(partition, 0, 2);
        await sink.WaitForOffset(partition, 1);

        broker.Down(1);
        await log.WaitFor(entry => entry.Level >= ClientLogLevel.Warning);
        broker.Up(1);
        broker.PushErrors(KafkaApi.Fetch, BrokerError.NotLeaderForPartition, BrokerError.Transport, BrokerError.UnknownTopicOrPartition);
        await producer.SendNumbersAsync(partition, 2, 2);

        await sink.WaitForOffset(partition, 3);
        sink.Offsets(partition).ShouldBe([0, 1, 2, 3]);
        sink.OutOfRange.All.ShouldBeEmpty();
        consumer.Completion.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task Orders_after_the_end_fail_and_say_so()
    {
        var consumer = new DataConsumer(fixture.Options, "reader", new RecordingSink());
        await consumer.DisposeAsync();
        await consumer.DisposeAsync();

        consumer.Completion.IsCompletedSuccessfully.ShouldBeTrue();
        await Should.ThrowAsync<ObjectDisposedException>(() => consumer.Assign(new TopicPartition("any", 0), 0));
    }

    [Fact]
    public async Task A_sink_that_throws_ends_the_consumer_loudly()
    {
        var partition = new TopicPartition(fixture.NewTopic(1), 0);
        using var producer = new PartitionProducer(fixture.Options);
        await producer.SendNumbersAsync(partition, 0, 1);
        await using var consumer = new DataConsumer(fixture.Options, "reader", new ThrowingSink());
        _ = consumer.Assign(partition, 0);

        (await Should.ThrowAsync<InvalidOperationException>(() => consumer.Completion.WaitAsync(Waiting.AtMost))).Message.ShouldBe("broken sink");
    }

    private sealed class ThrowingSink : IRecordSink
    {
        public void OnRecords(RecordRun records) => throw new InvalidOperationException("broken sink");

        public void OnOutOfRange(TopicPartition partition, long position)
        {
        }
    }
}
