using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Tests.Kafka;

public class OwnershipTests
{
    private const string Anchor = "group.station-events";

    [Fact]
    public async Task Partitions_move_to_a_second_member_only_after_the_first_has_released_them_and_back_when_it_leaves()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { [Anchor] = 4 });
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        var events = new EventLog<Event>();
        var log = new EventLog<ClientLogEntry>();
        var first = new Listener("first", events);
        await using var one = new Ownership(options, "group", Anchor, first, entry => log.Add(entry));
        await events.WaitUntil(seen => Owned(seen, "first").Count == 4);
        await one.Joined;

        var second = new Listener("second", events);
        var two = new Ownership(options, "group", Anchor, second, entry => log.Add(entry));
        await events.WaitUntil(seen => Owned(seen, "first").Count == 2 && Owned(seen, "second").Count == 2);

        // Cooperative: what the first keeps was never taken from it; and what moved was released before it was given away.
        var all = events.All;
        all.Where(seen => seen.Member == "first" && seen.What == "revoked").Sum(seen => seen.Partitions.Length).ShouldBe(2);
        foreach (var partition in Owned(all, "second"))
        {
            var released = IndexOf(all, "first", "released", partition);
            released.ShouldBeGreaterThan(IndexOf(all, "first", "revoked", partition));
            IndexOf(all, "second", "assigned", partition).ShouldBeGreaterThan(released);
        }

        await two.DisposeAsync();
        await events.WaitUntil(seen => Owned(seen, "first").Count == 4);
        all = events.All;
        Owned(all, "second").ShouldBeEmpty();
        all.ShouldAllBe(seen => seen.What != "lost");
        two.Completion.IsCompletedSuccessfully.ShouldBeTrue();
        // Reading nothing, it has nothing to complain about, although the group has no committed offsets.
        log.All.Where(entry => entry.Level >= ClientLogLevel.Warning).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_static_member_that_stops_in_order_leaves_its_group_and_does_not_wait_for_the_end_of_its_session()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { [Anchor] = 4 });
        var embedded = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        var options = embedded with { Consumer = embedded.Consumer.Append(new("group.instance.id", "node-1")).Append(new("debug", "cgrp,consumer")).ToDictionary() };
        var events = new EventLog<Event>();
        var log = new EventLog<ClientLogEntry>();
        var one = new Ownership(options, "group", Anchor, new Listener("first", events), entry => log.Add(entry));
        await events.WaitUntil(seen => Owned(seen, "first").Count == 4);
        await one.DisposeAsync();
        events.All[^1].What.ShouldBe("released");
        // The embedded broker's groups take a session for every change; what a real one would act on is what the client says.
        log.All.ShouldContain(entry => entry.Message.Contains("LeaveGroup response received"));
    }

    [Fact]
    public async Task A_member_that_the_group_has_thrown_out_loses_its_partitions_and_joins_again()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { [Anchor] = 3 });
        var events = new EventLog<Event>();
        await using var ownership = new Ownership(
            KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers), "group", Anchor, new Listener("only", events));
        await events.WaitUntil(seen => Owned(seen, "only").Count == 3);

        broker.PushErrors(KafkaApi.Heartbeat, BrokerError.UnknownMemberId);

        (await events.WaitFor(seen => seen.What == "lost")).Partitions.ShouldBe([0, 1, 2]);
        await events.WaitUntil(seen => Owned(seen, "only").Count == 3 && seen.Count(one => one.What == "assigned") == 2);
        events.All.ShouldAllBe(seen => seen.What != "revoked");
    }

    [Fact]
    public async Task A_release_that_takes_too_long_is_not_waited_for()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { [Anchor] = 2 });
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers) with { RevokeLimit = TimeSpan.FromMilliseconds(300) };
        var events = new EventLog<Event>();
        var log = new EventLog<ClientLogEntry>();
        var never = new TaskCompletionSource();
        var ownership = new Ownership(options, "group", Anchor, new Listener("slow", events) { Release = never.Task }, entry => log.Add(entry));
        await events.WaitUntil(seen => Owned(seen, "slow").Count == 2);

        await ownership.DisposeAsync().AsTask().WaitAsync(Waiting.AtMost);

        events.All[^1].What.ShouldBe("revoked");
        await log.WaitFor(entry => entry.Level == ClientLogLevel.Warning && entry.Message.Contains("longer than 0.3 s"));
    }

    private static HashSet<int> Owned(IReadOnlyList<Event> events, string member)
    {
        var owned = new HashSet<int>();
        foreach (var seen in events.Where(seen => seen.Member == member))
        {
            if (seen.What == "assigned") owned.UnionWith(seen.Partitions);
            if (seen.What is "released" or "lost") owned.ExceptWith(seen.Partitions);
        }

        return owned;
    }

    private static int IndexOf(IReadOnlyList<Event> events, string member, string what, int partition)
    {
        for (var i = 0; i < events.Count; i++)
        {
            if (events[i].Member == member && events[i].What == what && events[i].Partitions.Contains(partition)) return i;
        }

        return -1;
    }

    private sealed record Event(string Member, string What, int[] Partitions)
    {
        public override string ToString() => $"{Member} {What} {string.Join(",", Partitions)}";
    }

    private sealed class Listener(string member, EventLog<Event> events) : IOwnershipListener
    {
        public Task Release { get; init; } = Task.CompletedTask;

        public Task AssignedAsync(IReadOnlyList<int> partitions)
        {
            events.Add(new Event(member, "assigned", [.. partitions]));
            return Task.CompletedTask;
        }

        public async Task RevokedAsync(IReadOnlyList<int> partitions)
        {
            events.Add(new Event(member, "revoked", [.. partitions]));
            // A release goes on elsewhere; only its end lets the partitions go.
            await Task.Yield();
            await Release;
            events.Add(new Event(member, "released", [.. partitions]));
        }

        public void Lost(IReadOnlyList<int> partitions) => events.Add(new Event(member, "lost", [.. partitions]));
    }
}
