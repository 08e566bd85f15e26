using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Tests.Kafka;

/// <summary>Joining a group takes an embedded broker about three seconds, so each test goes a long way with one.</summary>
public class RouterSourceTests(BrokerFixture fixture) : IClassFixture<BrokerFixture>
{
    private static readonly OutOfRangePolicy Stop = new(OutOfRangeKind.Stop);
    private static readonly TimeSpan AtOnce = TimeSpan.FromMilliseconds(400);
    private readonly MemoryCheckpointStore store = NewStore();

    [Fact]
    public async Task Each_topic_begins_where_it_says_and_the_beginning_is_committed_before_anything_is_read()
    {
        var group = fixture.NewName("group");
        var earliest = new TopicPartition(fixture.NewTopic(1, "earliest"), 0);
        var latest = new TopicPartition(fixture.NewTopic(1, "latest"), 0);
        var timed = new TopicPartition(fixture.NewTopic(1, "timed"), 0);
        var takenOver = new TopicPartition(fixture.NewTopic(2, "taken"), 1);
        var notTakenOver = takenOver with { Partition = 0 };
        TopicPartition[] all = [earliest, latest, timed, takenOver, notTakenOver];
        using var producer = new PartitionProducer(fixture.Options);
        foreach (var partition in all) await producer.SendNumbersAsync(partition, 0, 4, number => 1_000 + number);
        using var admin = new TopicAdmin(fixture.Options);
        await admin.SetCommittedAsync("python", [new PartitionOffset(takenOver, 2)]);
        RouterTopic[] topics =
        [
            new(earliest.Topic, new StartPosition(StartKind.Earliest), Stop),
            new(latest.Topic, new StartPosition(StartKind.Latest), Stop),
            new(timed.Topic, new StartPosition(StartKind.Timestamp, TimestampMs: 1_003), Stop),
            new(takenOver.Topic, new StartPosition(StartKind.Group, Group: "python"), Stop),
        ];
        var expected = new Dictionary<TopicPartition, long> { [earliest] = 0, [latest] = 4, [timed] = 3, [takenOver] = 2, [notTakenOver] = 0 };

        var listener = new RouterListener();
        await using (var router = new RouterSource(fixture.Options, group, topics, store, listener))
        {
            await listener.Positions.WaitUntil(positions => positions.Count == all.Length);
            foreach (var (partition, next) in listener.Positions.All) next.ShouldBe(expected[partition], partition.ToString());
            (await admin.GetCommittedAsync(group, all)).ShouldBe(expected, ignoreOrder: true);

            await listener.Sink.WaitForOffset(earliest, 3);
            await listener.Sink.WaitForOffset(timed, 3);
            await listener.Sink.WaitForOffset(takenOver, 3);
            listener.Sink.Offsets(timed).ShouldBe([3]);
            listener.Sink.Offsets(takenOver).ShouldBe([2, 3]);
            listener.Sink.Offsets(latest).ShouldBeEmpty();
            // Positions are told before the first record of theirs.
            listener.RecordsBeforePosition.ShouldBe(0);
        }

        // Nothing was committed since, so all of it comes again; and "latest" stays where it was first resolved, although
        // records have arrived meanwhile.
        await producer.SendNumbersAsync(latest, 4, 2);
        var after = new RouterListener();
        await using var again = new RouterSource(fixture.Options, group, topics, store, after);
        await after.Positions.WaitUntil(positions => positions.Count == all.Length);
        after.Positions.All.Single(position => position.Partition == latest).Next.ShouldBe(4);
        await after.Sink.WaitForOffset(latest, 5);
        after.Sink.Offsets(latest).ShouldBe([4, 5]);
    }

    [Fact]
    public async Task Where_reading_goes_on_is_told_at_once_though_no_record_comes()
    {
        var partition = new TopicPartition(fixture.NewTopic(1), 0);
        var listener = new RouterListener();
        await using var router = new RouterSource(fixture.Options, fixture.NewName("group"), [new(partition.Topic, new StartPosition(StartKind.Earliest), Stop)], store, listener);
        await listener.Positions.WaitUntil(positions => positions.Count == 1);
        // Nothing arrives, so that a poll ends by what is posted, or by its time, half a second: then each time takes that long. A
        // machine that is busy may take as long as that now and then.
        var fastest = TimeSpan.MaxValue;
        for (var time = 2; time < 50 && fastest >= AtOnce; time++)
        {
            var begun = System.Diagnostics.Stopwatch.GetTimestamp();
            await router.Reposition(partition);
            await listener.Positions.WaitUntil(positions => positions.Count == time);
            var took = System.Diagnostics.Stopwatch.GetElapsedTime(begun);
            if (took < fastest) fastest = took;
        }

        fastest.ShouldBeLessThan(AtOnce);
    }

    [Fact]
    public async Task What_is_committed_is_not_read_again_and_what_is_revoked_can_be_committed_until_it_is_gone()
    {
        var group = fixture.NewName("group");
        var partition = new TopicPartition(fixture.NewTopic(1), 0);
        RouterTopic[] topics = [new(partition.Topic, new StartPosition(StartKind.Earliest), Stop)];
        using var producer = new PartitionProducer(fixture.Options);
        await producer.SendNumbersAsync(partition, 0, 10);
        using var admin = new TopicAdmin(fixture.Options);

        var listener = new RouterListener();
        var router = new RouterSource(fixture.Options, group, topics, store, listener);
        var foreign = new TopicPartition("elsewhere", 0);
        await listener.Sink.WaitForOffset(partition, 9);
        var outcome = await router.CommitAsync([new PartitionOffset(partition, 3), new PartitionOffset(foreign, 9)]);
        outcome.Committed.ShouldBeTrue();
        outcome.Skipped.ShouldBe([foreign]);
        (await admin.GetCommittedAsync(group, [partition]))[partition].ShouldBe(3);

        // Paused, nothing comes; resumed, it goes on.
        await router.Pause([partition]);
        await producer.SendNumbersAsync(partition, 10, 1);
        listener.Sink.Offsets(partition).Length.ShouldBe(10);
        await router.Resume([partition]);
        await listener.Sink.WaitForOffset(partition, 10);
        listener.Sink.Offsets(partition).ShouldBe(Enumerable.Range(0, 11).Select(offset => (long)offset));
        (await router.GetHighWatermarksAsync([partition]))[partition].ShouldBe(11);

        listener.OnRevocation = async _ => (await router.CommitAsync([new PartitionOffset(partition, 7)])).Committed.ShouldBeTrue();
        await router.DisposeAsync();
        listener.Revoked.All.ShouldBe([partition]);
        (await admin.GetCommittedAsync(group, [partition]))[partition].ShouldBe(7);
        (await router.CommitAsync([new PartitionOffset(partition, 9)])).Skipped.ShouldBe([partition]);

        var after = new RouterListener();
        await using var again = new RouterSource(fixture.Options, group, topics, store, after);
        await after.Sink.WaitForOffset(partition, 10);
        after.Sink.Offsets(partition).ShouldBe([7, 8, 9, 10]);

        // Commits that fail by themselves and commits of a member that the group no longer knows are told apart.
        fixture.Broker.PushErrors(KafkaApi.OffsetCommit, BrokerError.GroupAuthorizationFailed);
        var failed = await again.CommitAsync([new PartitionOffset(partition, 8)]);
        (failed.Committed, failed.Retriable).ShouldBe((false, true));
        fixture.Broker.PushErrors(KafkaApi.OffsetCommit, BrokerError.UnknownMemberId);
        failed = await again.CommitAsync([new PartitionOffset(partition, 8)]);
        (failed.Committed, failed.Retriable).ShouldBe((false, false));
        (await after.Lost.WaitFor(_ => true)).ShouldBe(partition);
    }

    [Fact]
    public async Task A_topic_that_does_not_exist_yet_joins_when_it_appears()
    {
        var there = new TopicPartition(fixture.NewTopic(1, "there"), 0);
        var later = new TopicPartition(fixture.NewTopic(1, "later"), 0);
        fixture.Broker.SetTopicError(later.Topic, BrokerError.UnknownTopicOrPartition);
        var options = fixture.Options;
        options = options with { Consumer = new Dictionary<string, string>(options.Consumer) { ["topic.metadata.refresh.interval.ms"] = "300" } };
        var listener = new RouterListener();
        await using var router = new RouterSource(
            options, fixture.NewName("group"),
            [new RouterTopic(there.Topic, new StartPosition(StartKind.Earliest), Stop), new RouterTopic(later.Topic, new StartPosition(StartKind.Earliest), Stop)],
            store, listener);
        await listener.Positions.WaitFor(position => position.Partition == there);
        listener.Positions.All.ShouldAllBe(position => position.Partition == there);

        fixture.Broker.SetTopicError(later.Topic, BrokerError.None);
        using var producer = new PartitionProducer(options);
        await producer.SendNumbersAsync(later, 0, 1);

        await listener.Sink.WaitForOffset(later, 0);
        router.Completion.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_start_that_cannot_be_found_or_committed_at_once_holds_the_partition_until_it_is()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["a"] = 1, ["b"] = 1 });
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        var (first, second) = (new TopicPartition("a", 0), new TopicPartition("b", 0));
        using var producer = new PartitionProducer(options);
        await producer.SendNumbersAsync(first, 0, 3);
        await producer.SendNumbersAsync(second, 0, 3);
        using var admin = new TopicAdmin(options);
        await admin.SetCommittedAsync("group", [new PartitionOffset(second, 1)]);
        // The client asks once by itself.
        broker.PushErrors(KafkaApi.OffsetFetch, BrokerError.GroupAuthorizationFailed, BrokerError.GroupAuthorizationFailed);
        broker.PushErrors(KafkaApi.OffsetCommit, BrokerError.GroupAuthorizationFailed);
        var log = new EventLog<ClientLogEntry>();
        var listener = new RouterListener();

        await using var router = new RouterSource(
            options, "group",
            [new RouterTopic("a", new StartPosition(StartKind.Earliest), Stop), new RouterTopic("b", new StartPosition(StartKind.Earliest), Stop)],
            store, listener, entry => log.Add(entry));

        await listener.Sink.WaitForOffset(first, 2);
        await listener.Sink.WaitForOffset(second, 2);
        log.All.ShouldContain(entry => entry.Message.Contains("not known yet"));
        log.All.ShouldContain(entry => entry.Message.Contains("not committed yet"));
        listener.Sink.Offsets(first).ShouldBe([0, 1, 2]);
        listener.Sink.Offsets(second).ShouldBe([1, 2]);
        listener.RecordsBeforePosition.ShouldBe(0);
        (await admin.GetCommittedAsync("group", [first, second]))
            .ShouldBe(new Dictionary<TopicPartition, long> { [first] = 0, [second] = 1 }, ignoreOrder: true);
    }

    [Fact]
    public async Task A_router_that_commits_while_it_joins_anew_loses_no_partition()
    {
        var group = fixture.NewName("group");
        RouterTopic[] topics = [new(fixture.NewTopic(4), new StartPosition(StartKind.Earliest), Stop)];
        var (first, second) = (new RouterListener(), new RouterListener());
        RouterSource? router = null;
        var commits = new EventLog<Task<CommitOutcome>>();
        var options = fixture.Options with { Consumer = new Dictionary<string, string>(fixture.Options.Consumer) { ["debug"] = "cgrp" } };
        // At the worst moment: the question to join is on its way, its answer takes seconds, and a commit would come behind it.
        void CommitWhenItJoins(ClientLogEntry entry)
        {
            if (router is { } joining && entry.Message.Contains("-> wait-join", StringComparison.Ordinal)) commits.Add(joining.CommitAsync([.. first.Positions.All]));
        }

        await using var source = new RouterSource(options, group, topics, store, first, CommitWhenItJoins);
        await first.Positions.WaitUntil(positions => positions.Count == 4);
        router = source;
        await using var other = new RouterSource(fixture.Options, group, topics, store, second);

        await second.Positions.WaitUntil(positions => positions.Count == 2);

        foreach (var commit in await commits.WaitUntil(made => made.Count > 0)) await commit;
        first.Lost.All.ShouldBeEmpty();
        first.Revoked.All.ShouldBe(second.Positions.All.Select(position => position.Partition), ignoreOrder: true);
    }

    [Fact]
    public async Task What_goes_on_while_a_revocation_waits_to_be_told_is_not_taken_for_its_answer()
    {
        var group = fixture.NewName("group");
        RouterTopic[] topics = [new(fixture.NewTopic(2), new StartPosition(StartKind.Earliest), Stop)];
        var (first, second) = (new RouterListener(), new RouterListener());
        RouterSource? router = null;
        var options = fixture.Options with { Consumer = new Dictionary<string, string>(fixture.Options.Consumer) { ["debug"] = "cgrp" } };
        // At the worst moment: the client is about to ask to give a partition back, and would take any unassignment for the answer.
        var states = new EventLog<string>();
        void ResumeWhenItRevokes(ClientLogEntry entry)
        {
            if (router is not { } reading || !entry.Message.Contains(" changed join state ", StringComparison.Ordinal)) return;
            states.Add(entry.Message);
            if (!entry.Message.Contains("-> wait-unassign-call", StringComparison.Ordinal)) return;
            foreach (var (partition, _) in first.Positions.All)
            {
                _ = reading.Pause([partition]);
                _ = reading.Resume([partition]);
            }
        }

        var told = new EventLog<string>();
        first.OnRevocation = _ =>
        {
            told.Add(states.All[^1]);
            return Task.CompletedTask;
        };
        await using var source = new RouterSource(options, group, topics, store, first, ResumeWhenItRevokes);
        await first.Positions.WaitUntil(positions => positions.Count == 2);
        router = source;
        await using var other = new RouterSource(fixture.Options, group, topics, store, second);

        // It still waits for the answer when the partition is released: until then nobody else is given it.
        (await told.WaitFor(_ => true)).ShouldContain("-> wait-unassign-call");
        await second.Positions.WaitUntil(positions => positions.Count == 1);
        second.Positions.All.ShouldHaveSingleItem().Partition.ShouldBe(first.Revoked.All.ShouldHaveSingleItem());
    }

    /// <summary>Else the client ends the process: it comes to the topics that it has put off when there is no group any more.</summary>
    [Fact]
    public async Task A_router_that_stops_while_the_client_puts_its_new_topics_off_ends_in_order()
    {
        var group = fixture.NewName("group");
        RouterTopic[] topics = [new(fixture.NewTopic(2), new StartPosition(StartKind.Earliest), Stop)];
        var another = new RouterTopic(fixture.NewTopic(1), new StartPosition(StartKind.Earliest), Stop);
        var (first, second) = (new RouterListener(), new RouterListener());
        RouterSource? router = null;
        var options = fixture.Options with { Consumer = new Dictionary<string, string>(fixture.Options.Consumer) { ["debug"] = "cgrp" } };
        using var never = new ManualResetEventSlim(false);
        var isAsked = false;
        var postponed = new EventLog<string>();
        // At the worst moment: the client has heard of a rebalance, and says so when the router's thread has already asked it for its topics.
        void SubscribeWhenItRejoins(ClientLogEntry entry)
        {
            if (entry.Message.Contains("postponing subscribe", StringComparison.Ordinal)) postponed.Add(entry.Message);
            if (router is not { } reading || isAsked || !entry.Message.Contains("Rejoining group", StringComparison.Ordinal)) return;
            isAsked = true;
            _ = reading.Read([.. topics, another]);
            never.Wait(200);
        }

        await using var source = new RouterSource(options, group, topics, store, first, SubscribeWhenItRejoins);
        await first.Positions.WaitUntil(positions => positions.Count == 2);
        router = source;
        await using var other = new RouterSource(fixture.Options, group, topics, store, second);
        await postponed.WaitFor(_ => true);

        await source.DisposeAsync();

        source.Completion.IsCompletedSuccessfully.ShouldBeTrue();
    }

    internal static MemoryCheckpointStore NewStore()
    {
        var store = new MemoryCheckpointStore("0123456789ab");
        store.OpenAsync("group", 1, default).AsTask().GetAwaiter().GetResult();
        return store;
    }
}

internal sealed class RouterListener : IRouterListener
{
    private readonly HashSet<TopicPartition> positioned = [];

    public RecordingSink Sink { get; } = new();
    public EventLog<PartitionOffset> Positions { get; } = new();
    public EventLog<SourcePlace> Places { get; } = new();
    public EventLog<TopicPartition> Revoked { get; } = new();
    public EventLog<TopicPartition> Lost { get; } = new();
    public Func<IReadOnlyList<TopicPartition>, Task> OnRevocation { get; set; } = _ => Task.CompletedTask;
    public Action<IReadOnlyList<SourcePlace>> AfterPositioned { get; set; } = _ => { };
    public int RecordsBeforePosition { get; private set; }

    public void OnRecords(RecordRun records)
    {
        if (!positioned.Contains(records.Partition)) RecordsBeforePosition += records.Records.Count;
        Sink.OnRecords(records);
    }

    public void OnPositioned(IReadOnlyList<SourcePlace> places)
    {
        var read = places.Where(place => place.Next is not null).ToList();
        positioned.UnionWith(read.Select(place => place.Partition));
        Places.Add(places);
        Positions.Add(read.Select(place => new PartitionOffset(place.Partition, place.Next!.Value)));
        AfterPositioned(places);
    }

    public async Task OnRevokedAsync(IReadOnlyList<TopicPartition> partitions)
    {
        await OnRevocation(partitions);
        Revoked.Add(partitions);
    }

    public void OnLost(IReadOnlyList<TopicPartition> partitions) => Lost.Add(partitions);
}
