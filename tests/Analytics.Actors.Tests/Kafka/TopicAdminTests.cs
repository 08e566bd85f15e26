using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Tests.Kafka;

public class TopicAdminTests(BrokerFixture fixture) : IClassFixture<BrokerFixture>, IDisposable
{
    private readonly TopicAdmin admin = new(fixture.Options);

    public void Dispose() => admin.Dispose();

    [Fact]
    public async Task Asking_for_a_topic_does_not_create_it()
    {
        var name = fixture.NewName("nobody");

        (await admin.GetPartitionCountAsync(name)).ShouldBeNull();
        (await admin.GetPartitionCountAsync(name)).ShouldBeNull();
        (await admin.GetPartitionCountAsync(fixture.NewTopic(5))).ShouldBe(5);
    }

    [Fact]
    public async Task A_topic_is_taken_as_it_is_refused_where_it_does_not_fit_and_missed_with_a_remedy()
    {
        var existing = fixture.NewTopic(3);
        (await admin.EnsureTopicAsync(existing, 3)).ShouldBe(new TopicState(existing, 3, Created: false));
        var unfit = await Should.ThrowAsync<TopicException>(() => admin.EnsureTopicAsync(existing, 16));
        unfit.Message.ShouldContain($"Topic {existing} has 3 partitions, but 16 are needed");

        // Creating a topic is beyond an embedded broker, so here only the refusal is seen; it says what to do.
        using var hasty = new TopicAdmin(fixture.Options, timeout: TimeSpan.FromSeconds(1));
        var missing = fixture.NewName("missing");
        (await Should.ThrowAsync<BrokerUnavailableException>(() => hasty.EnsureInternalTopicAsync(missing, 16))).Message.ShouldContain($"topic {missing} 16");
    }

    [Fact]
    public async Task Offsets_are_found_by_ends_and_by_time()
    {
        var partition = new TopicPartition(fixture.NewTopic(2), 1);
        (await admin.QueryOffsetsAsync(partition)).ShouldBe(new LogRange(0, 0));
        (await admin.GetOffsetForTimeAsync(partition, 0)).ShouldBe(0);
        using var producer = new PartitionProducer(fixture.Options);
        await producer.SendNumbersAsync(partition, 0, 5, number => 1_000 + 10 * number);

        (await admin.QueryOffsetsAsync(partition)).ShouldBe(new LogRange(0, 5));
        foreach (var (time, offset) in new[] { (0L, 0L), (1_000, 0), (1_001, 1), (1_030, 3), (1_040, 4), (1_041, 5) })
            (await admin.GetOffsetForTimeAsync(partition, time)).ShouldBe(offset, $"time {time}");
        await Should.ThrowAsync<BrokerUnavailableException>(() => admin.QueryOffsetsAsync(new TopicPartition(partition.Topic, 9)));
    }

    [Fact]
    public async Task A_groups_committed_offsets_are_read_and_set_from_outside()
    {
        var topic = fixture.NewTopic(2);
        var (first, second) = (new TopicPartition(topic, 0), new TopicPartition(topic, 1));
        var group = fixture.NewName("group");
        (await admin.GetCommittedAsync(group, [first, second])).ShouldBeEmpty();

        await admin.SetCommittedAsync(group, [new PartitionOffset(first, 42)]);

        var committed = await admin.GetCommittedAsync(group, [first, second]);
        committed.ShouldHaveSingleItem().ShouldBe(new KeyValuePair<TopicPartition, long>(first, 42));
    }

    [Fact]
    public async Task A_broker_that_is_not_there_is_reported_in_time()
    {
        using var lonely = new TopicAdmin(new KafkaClientOptions { BootstrapServers = "127.0.0.1:1" }, timeout: TimeSpan.FromMilliseconds(500));

        (await Should.ThrowAsync<BrokerUnavailableException>(() => lonely.GetPartitionCountAsync("any"))).Message.ShouldContain("topic any");
    }
}
