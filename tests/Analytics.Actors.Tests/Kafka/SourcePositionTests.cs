using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Tests.Kafka;

/// <summary>Positions of source partitions against real logs: trimmed, made anew, grown, beyond the end, and set by an operator.</summary>
public class SourcePositionTests(BrokerFixture fixture) : IClassFixture<BrokerFixture>
{
    private static readonly StartPosition Latest = new(StartKind.Latest);
    private readonly MemoryCheckpointStore store = RouterSourceTests.NewStore();

    [Fact]
    public async Task A_position_beyond_the_end_goes_where_the_policy_says_in_a_new_life()
    {
        var group = fixture.NewName("group");
        var (stopped, early) = (New("stopped"), New("early"));
        var (late, timed) = (New("late"), New("timed"));
        using var producer = new PartitionProducer(fixture.Options);
        foreach (var partition in new[] { stopped, early, late, timed }) await producer.SendNumbersAsync(partition, 0, 3, number => 1_000 + number);
        using var admin = new TopicAdmin(fixture.Options);
        await admin.SetCommittedAsync(group, [new(stopped, 90), new(early, 91), new(late, 92), new(timed, 93)]);
        var listener = new RouterListener();

        await using (new RouterSource(
            fixture.Options, group,
            [
                Topic(stopped, OutOfRangeKind.Stop), Topic(early, OutOfRangeKind.Earliest), Topic(late, OutOfRangeKind.Latest),
                new RouterTopic(timed.Topic, Latest, new OutOfRangePolicy(OutOfRangeKind.Timestamp, 1_001)),
            ],
            store, listener))
        {
            await listener.Places.WaitUntil(places => places.Count == 4);
            await listener.Sink.WaitForOffset(early, 2);
            await listener.Sink.WaitForOffset(timed, 2);
            await producer.SendNumbersAsync(late, 3, 1);
            await producer.SendNumbersAsync(stopped, 3, 1);
            await listener.Sink.WaitForOffset(late, 3);
            listener.Sink.Offsets(early).ShouldBe([0, 1, 2]);
            listener.Sink.Offsets(late).ShouldBe([3]);
            listener.Sink.Offsets(timed).ShouldBe([1, 2]);
            listener.Sink.Offsets(stopped).ShouldBeEmpty();
        }

        listener.Places.All.ShouldAllBe(place => place.Gap == GapReason.BeyondEnd);
        var committed = await admin.GetCommittedAsync(group, [stopped, early, late, timed]);
        committed.ShouldBe(new Dictionary<TopicPartition, long> { [stopped] = 90, [early] = 0, [late] = 3, [timed] = 1 }, ignoreOrder: true);
        Gap(await RowAsync(stopped)).ShouldBe((0, 90, -1));
        (await RowAsync(stopped)).IsStopped.ShouldBeTrue();
        Gap(await RowAsync(early)).ShouldBe((1, 91, 0));
        Gap(await RowAsync(late)).ShouldBe((1, 92, 3));
        Gap(await RowAsync(timed)).ShouldBe((1, 93, 1));
        (await RowAsync(early)).GapReason.ShouldBe("beyond the end: the log holds 0 to 3");
    }

    [Fact]
    public async Task A_trimmed_log_goes_on_at_its_beginning_in_the_same_life_also_while_it_is_read()
    {
        var group = fixture.NewName("group");
        var partition = New("trimmed");
        using var producer = new PartitionProducer(fixture.Options);
        using var admin = new TopicAdmin(fixture.Options);
        await admin.SetCommittedAsync(group, [new(partition, 1)]);
        await FillAsync(producer, partition, 8);
        var low = (await admin.QueryOffsetsAsync(partition)).Low;
        low.ShouldBeGreaterThan(1);
        var listener = new RouterListener();
        await using var router = new RouterSource(fixture.Options, group, [Topic(partition, OutOfRangeKind.Earliest)], store, listener);

        await listener.Sink.WaitForOffset(partition, 7);
        listener.Sink.Offsets(partition)[0].ShouldBe(low);
        Gap(await RowAsync(partition)).ShouldBe((0, 1, low));
        (await admin.GetCommittedAsync(group, [partition]))[partition].ShouldBe(low);

        // Paused for so long that the log is trimmed past the next record to read.
        await router.Pause([partition]);
        await FillAsync(producer, partition, 8);
        var second = (await admin.QueryOffsetsAsync(partition)).Low;
        second.ShouldBeGreaterThan(8);
        await router.Resume([partition]);
        await listener.Sink.WaitForOffset(partition, 15);
        listener.Sink.Offsets(partition).ShouldBe([.. Range(low, 8), .. Range(second, 16)]);
        Gap(await RowAsync(partition)).ShouldBe((0, 8, second));
        listener.Places.All.Count(place => place.Gap == GapReason.Trimmed).ShouldBe(2);
    }

    [Fact]
    public async Task A_topic_made_anew_that_has_grown_past_the_position_is_known_by_the_record_before_it()
    {
        var (same, other, forgotten) = (new TopicPartition("same", 0), new TopicPartition("other", 0), new TopicPartition("forgotten", 0));
        var topics = new Dictionary<string, int> { ["same"] = 1, ["other"] = 1, ["forgotten"] = 1 };
        RouterTopic[] read = [Topic(same, OutOfRangeKind.Stop), Topic(other, OutOfRangeKind.Earliest), Topic(forgotten, OutOfRangeKind.Earliest)];
        foreach (var partition in new[] { same, other, forgotten })
        {
            // As a router leaves it: it has read and committed the records 0 to 4, whose values are their numbers.
            var row = new SourceState(partition, 1, 3) { Next = 5, LastTimestampMs = 1_000, LastChecksum = RecordWitness.Of(0, [4]).Checksum };
            await store.UpdateSourcesAsync([row], default);
        }

        using var broker = EmbeddedBroker.Start(topics: topics);
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        using var producer = new PartitionProducer(options);
        using var admin = new TopicAdmin(options);
        await producer.SendNumbersAsync(same, 0, 9);
        await producer.SendNumbersAsync(other, 100, 9);
        await producer.SendNumbersAsync(forgotten, 100, 9);
        // Kafka forgets a group's offsets with a deleted topic; the store does not.
        await admin.SetCommittedAsync("group", [new(same, 6), new(other, 6)]);
        var listener = new RouterListener();
        await using var router = new RouterSource(options, "group", read, store, listener);

        await listener.Sink.WaitForOffset(same, 8);
        await listener.Sink.WaitForOffset(other, 8);
        await listener.Sink.WaitForOffset(forgotten, 8);
        listener.Sink.Offsets(same).ShouldBe([6, 7, 8]);
        listener.Sink.Offsets(other).ShouldBe(Range(0, 9));
        listener.Sink.Offsets(forgotten).ShouldBe(Range(0, 9));
        Gap(await RowAsync(same)).ShouldBe((3, -1, -1));
        Gap(await RowAsync(other)).ShouldBe((4, 6, 0));
        Gap(await RowAsync(forgotten)).ShouldBe((4, 5, 0));
        listener.Places.All.Single(place => place.Partition == other).Gap.ShouldBe(GapReason.Recreated);
    }

    /// <summary>
    /// The client looks for a committed offset while the position is looked for here, and says that there is none when it comes to it:
    /// as late as after the partition was moved to where it is read.
    /// </summary>
    [Theory]
    [InlineData(-1_001, 1)]
    [InlineData(0, 2)]
    public async Task An_offset_that_the_client_cannot_read_is_looked_at_only_where_the_partition_stands_and_nothing_is_read_twice(long offset, int positioned)
    {
        var partition = New("late");
        using var producer = new PartitionProducer(fixture.Options);
        await producer.SendNumbersAsync(partition, 0, 9);
        var listener = new RouterListener();
        var told = new TaskCompletionSource<IConsumerLoopOwner>();
        var isHeld = new EventLog<bool>();
        listener.AfterPositioned = _ =>
        {
            if (isHeld.All.Count > 0) return;
            // On the poll thread, before it polls for what is read from here on.
            var source = told.Task.Result;
            source.OnConsumeError(partition, offset, new Error(ErrorCode.Local_AutoOffsetReset));
            isHeld.Add(source.Find(partition) is null);
        };
        await using var router = new RouterSource(fixture.Options, fixture.NewName("group"), [Topic(partition, OutOfRangeKind.Stop) with { Start = new(StartKind.Earliest) }], store, listener);
        told.SetResult(router);

        await listener.Places.WaitUntil(places => places.Count == positioned);
        await listener.Sink.WaitForOffset(partition, 8);
        await producer.SendNumbersAsync(partition, 9, 1);
        await listener.Sink.WaitForOffset(partition, 9);
        isHeld.All.ShouldBe([positioned > 1]);
        listener.Sink.Offsets(partition).ShouldBe(Range(0, 10));
        listener.Places.All.Count.ShouldBe(positioned);
    }

    [Fact]
    public async Task A_new_partition_of_a_known_topic_is_read_from_its_first_record_whatever_its_start_says()
    {
        var topic = fixture.NewTopic(3, "grown");
        using var producer = new PartitionProducer(fixture.Options);
        for (var partition = 0; partition < 3; partition++) await producer.SendNumbersAsync(new(topic, partition), 0, 2);
        // When it was first seen it had two partitions, of which another router had read one.
        await store.UpdateSourcesAsync([new SourceState(new(topic, 0), 2, 0) { Next = 2 }], default);
        var listener = new RouterListener();
        await using var router = new RouterSource(fixture.Options, fixture.NewName("group"), [new RouterTopic(topic, Latest, new(OutOfRangeKind.Stop))], store, listener);

        var places = await listener.Places.WaitUntil(places => places.Count == 3);
        places.OrderBy(place => place.Partition).Select(place => (place.Next, place.IsGrown)).ShouldBe([(2, false), (2, false), (0, true)]);
        await listener.Sink.WaitForOffset(new(topic, 2), 1);
        (await store.UpdateSourcesAsync([], default)).Select(row => row.PartitionCount).ShouldBe([2, 3, 3]);
    }

    [Fact]
    public async Task A_position_that_was_set_is_gone_to_at_once_where_it_is_told_and_else_at_the_next_assignment()
    {
        var group = fixture.NewName("group");
        var partition = New("set");
        using var producer = new PartitionProducer(fixture.Options);
        using var admin = new TopicAdmin(fixture.Options);
        await producer.SendNumbersAsync(partition, 0, 5);
        RouterTopic[] topics = [new(partition.Topic, new StartPosition(StartKind.Earliest), new(OutOfRangeKind.Stop))];
        var listener = new RouterListener();
        await using (var router = new RouterSource(fixture.Options, group, topics, store, listener))
        {
            await listener.Sink.WaitForOffset(partition, 4);
            await SetAsync(partition, 2, 1);
            await router.Reposition(partition);
            await listener.Places.WaitFor(place => place is { Next: 2, Gap: GapReason.Operator, State.Incarnation: 1 });
            await listener.Sink.Records.WaitUntil(_ => listener.Sink.Offsets(partition).Length == 8);
            listener.Sink.Offsets(partition).ShouldBe([0, 1, 2, 3, 4, 2, 3, 4]);
            (await admin.GetCommittedAsync(group, [partition]))[partition].ShouldBe(2);
        }

        await SetAsync(partition, 4, 2);
        var after = new RouterListener();
        await using var again = new RouterSource(fixture.Options, group, topics, store, after);
        await after.Sink.WaitForOffset(partition, 4);
        after.Sink.Offsets(partition).ShouldBe([4]);
        after.Places.All.Single().State.Incarnation.ShouldBe(2);
        (await admin.GetCommittedAsync(group, [partition]))[partition].ShouldBe(4);
    }

    [Fact]
    public async Task Facts_about_logs_are_gathered_for_many_partitions_at_once()
    {
        using var broker = EmbeddedBroker.Start(2, new Dictionary<string, int> { ["many"] = 6, ["trimmed"] = 1 });
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        using var producer = new PartitionProducer(options);
        for (var partition = 0; partition < 6; partition++) await producer.SendNumbersAsync(new("many", partition), 0, partition, number => 1_000 + number);
        var trimmed = new TopicPartition("trimmed", 0);
        await FillAsync(producer, trimmed, 8);
        using var lookup = new PositionLookup(options, "group", timeout: TimeSpan.FromSeconds(5));

        var asked = Enumerable.Range(0, 6).ToDictionary(partition => new TopicPartition("many", partition), partition => (long?)(partition - 1));
        asked[trimmed] = 0;
        var facts = await lookup.ReadAsync(asked);
        for (var partition = 0; partition < 6; partition++)
        {
            facts[new("many", partition)].ShouldBe(new LogFacts(
                new LogRange(0, partition), partition == 0 ? null : RecordWitness.Of(1_000 + partition - 1, [(byte)(partition - 1)]), 6));
        }

        facts[trimmed].Found.ShouldBeNull();
        facts[trimmed].Log.Low.ShouldBeGreaterThan(0);
        (await lookup.PartitionCountsAsync())["many"].ShouldBe(6);

        // A broker that is away keeps its own partitions only: of the first topic every other one.
        broker.Down(1);
        var some = await ReadAsync();
        some.Keys.Order().ShouldBe([new("many", 1), new("many", 3), new("many", 5), trimmed]);
        broker.Up(1);
        for (var patience = 0; some.Count < 7 && patience < 20; patience++) some = await ReadAsync();
        some.Count.ShouldBe(7);

        // Where the client has not noticed yet that it is away, it may be just that one who is asked where partitions are.
        async Task<IReadOnlyDictionary<TopicPartition, LogFacts>> ReadAsync()
        {
            for (var patience = 10; ; patience--)
            {
                try
                {
                    return await lookup.ReadAsync(asked);
                }
                catch (BrokerUnavailableException) when (patience > 0)
                {
                    // As a router does, it asks again.
                }
            }
        }
    }

    private static RouterTopic Topic(TopicPartition partition, OutOfRangeKind policy) => new(partition.Topic, Latest, new OutOfRangePolicy(policy));

    private static IEnumerable<long> Range(long from, long to) => Enumerable.Range((int)from, (int)(to - from)).Select(offset => (long)offset);

    private static (int Incarnation, long From, long To) Gap(SourceState row) => (row.Incarnation, row.GapFrom, row.GapTo);

    // An embedded broker keeps 5 MB of a partition.
    private static async Task FillAsync(PartitionProducer producer, TopicPartition partition, int count)
    {
        for (var number = 0; number < count; number++) (await producer.SendAsync(partition, new byte[1_000_000])).Result.ShouldBe(SendResult.Sent);
    }

    private TopicPartition New(string name) => new(fixture.NewTopic(1, name), 0);

    private async Task<SourceState> RowAsync(TopicPartition partition) => (await store.UpdateSourcesAsync([], default)).Single(row => row.Partition == partition);

    private async Task SetAsync(TopicPartition partition, long next, int incarnation)
    {
        var row = await RowAsync(partition) with { Incarnation = incarnation, Next = next, GapReason = $"{Gaps.SetBy}{next} by a test", IsWanted = true, LastTimestampMs = -1, LastChecksum = 0 };
        (await store.UpdateSourcesAsync([row], default)).ShouldContain(row);
    }
}
