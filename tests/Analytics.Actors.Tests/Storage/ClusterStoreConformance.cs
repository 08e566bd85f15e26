using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;

namespace Analytics.Actors.Tests.Storage;

// What every store must do with what nodes tell of themselves.
public abstract partial class CheckpointStoreConformance
{
    private IClusterStore Cluster => (IClusterStore)Store;

    /// <summary>Moves the store's clock, as the nodes' rows see it.</summary>
    protected abstract Task AgeNodesAsync(long ms);

    [Fact]
    public async Task A_node_row_comes_back_whole_and_in_order_of_ids()
    {
        var second = Node("node-2", "b") with { State = NodeState.Starting, Roles = [], Address = "" };
        await Cluster.RegisterAsync(second, default);
        var first = new NodeEntry(
            "node-1", "a", "http://10.0.0.1:8000", "1.2.3", ["router", "shard", "api"], NodeState.Running, 1700000000123, 21,
            new NodeLoad(1234.5, 7, 0.25, 3_000_000_000), 42);
        var answered = await Cluster.RegisterAsync(first, default);
        Print(answered).ShouldBe([Print(first), Print(second)]);
        await RestartAsync();
        Print(await Cluster.ReadNodesAsync(default)).ShouldBe([Print(first), Print(second)]);
        (await Cluster.ReadNodesAsync(default)).ShouldAllBe(row => row.AgeMs >= 0 && row.AgeMs < 60_000);
    }

    [Fact]
    public async Task A_row_ages_until_its_node_is_seen_again_and_then_counts_as_vanished()
    {
        await Cluster.RegisterAsync(Node("silent", "a"), default);
        await Cluster.RegisterAsync(Node("left", "b") with { State = NodeState.Left }, default);
        await AgeNodesAsync(NodeRow.VanishedAfterMs + 1_000);
        var rows = await Cluster.RegisterAsync(Node("alive", "c"), default);
        rows.Select(row => (row.Entry.Node, row.IsVanished)).ShouldBe([("alive", false), ("left", false), ("silent", true)]);
        rows[2].AgeMs.ShouldBeGreaterThanOrEqualTo(7_000);
        rows[0].AgeMs.ShouldBeLessThan(5_000);
        (await Cluster.RegisterAsync(Node("silent", "a"), default)).ShouldAllBe(row => !row.IsVanished);
    }

    [Fact]
    public async Task Of_two_processes_with_one_id_the_later_keeps_the_row_and_the_earlier_is_told()
    {
        await Cluster.RegisterAsync(Node("twin", "first"), default);
        (await Cluster.RegisterAsync(Node("twin", "second") with { Address = "http://second" }, default)).Single().Entry.Session.ShouldBe("second");
        // Whatever the earlier one says of itself, and however often.
        for (var again = 0; again < 2; again++)
        {
            var told = (await Cluster.RegisterAsync(Node("twin", "first") with { State = NodeState.Starting, StartedMs = long.MaxValue }, default)).Single().Entry;
            told.Session.ShouldBe("second");
            told.Address.ShouldBe("http://second");
        }

        (await Cluster.RegisterAsync(Node("twin", "third"), default)).Single().Entry.Session.ShouldBe("third");
        (await Cluster.RegisterAsync(Node("twin", "second"), default)).Single().Entry.Session.ShouldBe("third");
        (await Cluster.RegisterAsync(Node("twin", "first"), default)).Single().Entry.Session.ShouldBe("third");
    }

    [Fact]
    public async Task Owners_are_those_who_took_over_last_and_did_not_release()
    {
        await Store.TakeOverAsync(Zero, "a", default);
        await Store.TakeOverAsync(Zero, "b", default);
        await Store.TakeOverAsync(One, "a", default);
        await Commit(Checkpoint(One, 1, 1) with { Release = true });
        var owners = await Cluster.ReadOwnersAsync(default);
        owners.ShouldBe(
        [
            new ShardOwnerRow(Zero, "b", new Epoch(2), false), new ShardOwnerRow(One, "", new Epoch(1), true),
            new ShardOwnerRow(new ShardId(2), "", new Epoch(0), true), new ShardOwnerRow(new ShardId(3), "", new Epoch(0), true),
        ]);
    }

    [Fact]
    public async Task A_node_that_is_declared_down_commits_nothing_more()
    {
        await Cluster.RegisterAsync(Node("frozen", "a"), default);
        await Store.TakeOverAsync(Zero, "frozen", default);
        await Store.TakeOverAsync(One, "other", default);
        await Store.TakeOverAsync(new ShardId(3), "frozen", default);
        await Commit(Full(Zero, 1, 1, "before") with { Release = false });

        (await Cluster.FenceNodeAsync("frozen", "ann", default)).ShouldBe([Zero, new ShardId(3)]);

        (await Commit(Full(Zero, 1, 2, "after"), Checkpoint(One, 1, 1), Checkpoint(new ShardId(3), 1, 1)))
            .ShouldBe([CheckpointOutcome.Fenced, CheckpointOutcome.Committed, CheckpointOutcome.Fenced]);
        (await Read(Zero, EntityKind.Global)).ShouldAllBe(text => text.Contains("before"));
        (await Cluster.ReadOwnersAsync(default)).Select(owner => owner.Owner).ShouldBe(["", "other", "", ""]);
        // Not released in order: the next owner is careful with what the frozen one may have begun.
        var next = await Store.TakeOverAsync(Zero, "next", default);
        (next.Epoch, next.CheckpointNumber, next.ReleasedInOrder).ShouldBe((new Epoch(3), 1, false));
    }

    [Fact]
    public async Task A_session_that_was_declared_down_stays_so_and_is_told_while_a_new_one_may_begin()
    {
        await Cluster.RegisterAsync(Node("frozen", "a") with { Shards = 2 }, default);
        (await Cluster.FenceNodeAsync("frozen", "ann", default)).ShouldBeEmpty();
        var told = (await Cluster.RegisterAsync(Node("frozen", "a") with { Shards = 3 }, default)).Single().Entry;
        (told.State, told.Shards, told.Session).ShouldBe((NodeState.Down, 2, "a"));
        var down = (await Cluster.ReadEventsAsync(null, 10, default)).Single().Event;
        (down.Kind, down.Node, down.By).ShouldBe(("down", "frozen", "ann"));
        (await Cluster.RegisterAsync(Node("frozen", "b"), default)).Single().Entry.State.ShouldBe(NodeState.Running);
        (await Cluster.RegisterAsync(Node("frozen", "a"), default)).Single().Entry.Session.ShouldBe("b");
    }

    [Fact]
    public async Task A_node_that_nobody_knows_or_that_left_is_fenced_all_the_same()
    {
        await Store.TakeOverAsync(Zero, "unknown", default);
        (await Cluster.FenceNodeAsync("unknown", "ann", default)).ShouldBe([Zero]);
        (await Cluster.ReadNodesAsync(default)).ShouldBeEmpty();
        await Cluster.RegisterAsync(Node("gone", "a") with { State = NodeState.Left }, default);
        await Cluster.FenceNodeAsync("gone", "ann", default);
        (await Cluster.ReadNodesAsync(default)).Single().Entry.State.ShouldBe(NodeState.Left);
        // Shards that nobody ever owned belong to no node.
        await Should.ThrowAsync<ArgumentException>(async () => await Cluster.FenceNodeAsync("", "ann", default));
        (await Cluster.ReadOwnersAsync(default)).Select(owner => owner.Epoch.Value).ShouldBe([2, 0, 0, 0]);
    }

    [Fact]
    public async Task A_forgotten_node_is_gone_until_it_tells_of_itself_again()
    {
        await Cluster.RegisterAsync(Node("old", "a"), default);
        await Cluster.ForgetNodeAsync("old", default);
        await Cluster.ForgetNodeAsync("never", default);
        (await Cluster.ReadNodesAsync(default)).ShouldBeEmpty();
        (await Cluster.RegisterAsync(Node("old", "a"), default)).Single().Entry.Session.ShouldBe("a");
    }

    [Fact]
    public async Task Events_come_back_in_order_with_numbers_that_rise_and_the_time_of_the_store()
    {
        (await Cluster.ReadEventsAsync(null, 10, default)).ShouldBeEmpty();
        ClusterEvent taken = new("takenOver", "a", One, 123, "", ""), steered = new("steered", "b", null, null, "zoë\u0000", "站\u0000\n\"x\"");
        await Cluster.AppendEventsAsync([taken, steered], default);
        await Cluster.AppendEventsAsync([], default);
        await Cluster.AppendEventsAsync([taken with { DurationMs = 0, Shard = Zero }], default);
        var events = await Cluster.ReadEventsAsync(null, 10, default);
        events.Select(happened => happened.Event).ShouldBe([taken, steered, taken with { DurationMs = 0, Shard = Zero }]);
        events.Zip(events.Skip(1)).ShouldAllBe(pair => pair.First.Number < pair.Second.Number && pair.First.AtMs <= pair.Second.AtMs);
        (await Cluster.ReadEventsAsync(null, 2, default)).ShouldBe(events.Skip(1));
        (await Cluster.ReadEventsAsync(0, 2, default)).ShouldBe(events.Take(2));
        (await Cluster.ReadEventsAsync(events[0].Number, 10, default)).ShouldBe(events.Skip(1));
        (await Cluster.ReadEventsAsync(events[2].Number, 10, default)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Only_the_newest_events_are_kept()
    {
        var many = Enumerable.Range(0, 4_000).Select(number => new ClusterEvent("gap", "a", null, number, "", "")).ToList();
        for (var round = 0; round < 3; round++) await Cluster.AppendEventsAsync(many, default);
        var kept = await Cluster.ReadEventsAsync(0, 20_000, default);
        kept.Count.ShouldBe(ClusterEvent.Kept);
        kept[0].Event.DurationMs.ShouldBe(2_000);
        kept[^1].Number.ShouldBe(12_000);
    }

    [Fact]
    public async Task Nodes_that_tell_at_the_same_time_lose_nothing()
    {
        var others = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => OpenAsync()));
        await Task.WhenAll(others.SelectMany((store, number) => Enumerable.Range(0, 20).Select(async round =>
        {
            await ((IClusterStore)store).RegisterAsync(Node($"n{number}", "s") with { Shards = round }, default);
            await ((IClusterStore)store).AppendEventsAsync([new ClusterEvent("joined", $"n{number}", null, round, "", "")], default);
        })));
        (await Cluster.ReadNodesAsync(default)).Select(row => row.Entry.Node).ShouldBe(["n0", "n1", "n2"]);
        var events = await Cluster.ReadEventsAsync(0, 100, default);
        events.Select(happened => (happened.Event.Node, happened.Event.DurationMs)).Distinct().Count().ShouldBe(60);
        events.Count.ShouldBe(60);
    }

    private static NodeEntry Node(string node, string session) =>
        new(node, session, $"http://{node}:8000", "1.0.0", ["router", "shard", "api"], NodeState.Running, 5, 1, default, 0);

    // A list inside a record compares by reference.
    private static string Print(NodeEntry entry) => $"{entry with { Roles = [] }} {string.Join('+', entry.Roles)}";

    private static IEnumerable<string> Print(IReadOnlyList<NodeRow> rows) => rows.Select(row => Print(row.Entry));
}
