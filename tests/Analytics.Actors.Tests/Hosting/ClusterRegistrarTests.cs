using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Tests.Kafka;
using Microsoft.Extensions.Logging.Abstractions;

namespace Analytics.Actors.Tests.Hosting;

/// <summary>What nodes tell each other through the store, on virtual time.</summary>
public sealed class ClusterRegistrarTests : IAsyncLifetime
{
    private readonly ManualTime time = new();
    private readonly MemoryCheckpointStore database;
    private readonly List<(ClusterRegistrar Registrar, StoreThatGoesAway Store, NodeTime Time)> nodes = [];

    public ClusterRegistrarTests() => database = new MemoryCheckpointStore("00c0ffee0000", () => time.GetUtcNow().ToUnixTimeMilliseconds());

    public async Task InitializeAsync() => await database.OpenAsync("group", 4, default);

    public async Task DisposeAsync()
    {
        foreach (var (registrar, _, _) in nodes) await registrar.DisposeAsync();
    }

    [Fact]
    public async Task A_node_tells_of_itself_from_the_start_to_the_end()
    {
        var (node, _) = Start("node-1");
        await BeatAsync();
        node.Become(NodeState.Running);
        node.Tell(new ClusterEvent("takenOver", "node-1", new ShardId(2), 12, "", ""));
        await BeatAsync();
        var row = node.Rows.Single();
        (row.Entry.Node, row.Entry.State, row.Entry.Address, row.Entry.Shards, row.Entry.ConfigurationVersion).ShouldBe(("node-1", NodeState.Running, "http://node-1:8000", 3, 7));
        row.Entry.Load.RecordsPerSecond.ShouldBeGreaterThan(0);
        row.Entry.Load.MemoryBytes.ShouldBeGreaterThan(1_000_000);
        node.Become(NodeState.Leaving);
        await BeatAsync();
        (await database.ReadNodesAsync(default)).Single().Entry.State.ShouldBe(NodeState.Leaving);
        (await node.LeaveAsync("1 call still ran")).ShouldBeTrue();
        (await database.ReadNodesAsync(default)).Single().Entry.State.ShouldBe(NodeState.Left);
        var events = await EventsAsync();
        events.Select(happened => happened.Kind).ShouldBe(["joined", "takenOver", "left"]);
        events[0].Detail.ShouldBe("version 1.2.3, roles router+shard, http://node-1:8000");
        events[2].Detail.ShouldBe("1 call still ran");
    }

    [Fact]
    public async Task Without_the_store_a_node_goes_on_and_tells_later_what_happened_meanwhile()
    {
        var (node, store) = Start("node-1");
        await BeatAsync();
        store.IsAway = true;
        node.Tell(new ClusterEvent("lost", "node-1", new ShardId(0), null, "", ""));
        for (var beat = 0; beat < 5; beat++) await BeatAsync();
        node.Dismissed.IsCompleted.ShouldBeFalse();
        node.Age!.Value.ShouldBeGreaterThan(TimeSpan.FromSeconds(8));
        node.Rows.Single().AgeMs.ShouldBeGreaterThan(8_000, "what it shows of the others grows old");
        store.IsAway = false;
        await BeatAsync();
        node.Rows.Single().AgeMs.ShouldBeLessThan(1_000);
        var events = await EventsAsync();
        events.Select(happened => happened.Kind).ShouldBe(["joined", "joined", "lost"]);
        events[1].Detail.ShouldMatch("^back after 1[0-9] s without a sign of it$");
    }

    [Fact]
    public async Task Events_that_nobody_takes_do_not_pile_up()
    {
        var (node, store) = Start("node-1");
        await BeatAsync();
        store.IsAway = true;
        for (var number = 0; number < 3_000; number++) node.Tell(new ClusterEvent("gap", "node-1", null, number, "", ""));
        await BeatAsync();
        store.IsAway = false;
        await BeatAsync();
        var told = (await EventsAsync()).Where(happened => happened.Kind == "gap").ToList();
        told.Count.ShouldBe(1_000);
        told[^1].DurationMs.ShouldBe(2_999);
    }

    [Fact]
    public async Task Of_two_processes_with_one_id_the_earlier_is_told_to_end()
    {
        var (earlier, _) = Start("node-1");
        await BeatAsync();
        var (later, _) = Start("node-1");
        await BeatAsync(later);
        await BeatAsync();
        (await earlier.Dismissed).ShouldContain("another process with the node id \"node-1\" joined after this one (started 2025-05-01 08:00:");
        (await earlier.LeaveAsync("")).ShouldBeTrue("there is nobody to tell it of");
        await BeatAsync(later);
        later.Dismissed.IsCompleted.ShouldBeFalse();
        var row = (await database.ReadNodesAsync(default)).Single();
        (row.Entry.Session, row.Entry.State).ShouldBe((later.Session, NodeState.Starting));
        (await EventsAsync()).Select(happened => happened.Kind).ShouldBe(["joined", "joined"]);
    }

    [Fact]
    public async Task A_node_that_was_declared_down_hears_who_did_it_and_when()
    {
        var (node, _) = Start("node-1");
        await BeatAsync();
        await database.FenceNodeAsync("node-1", "ann", default);
        node.Tell(new ClusterEvent("fenced", "node-1", new ShardId(0), null, "", ""));
        await BeatAsync();
        (await node.Dismissed).ShouldMatch("^the node \"node-1\" was declared down by ann at 2025-05-01 08:00:0[0-9]Z$");
        await node.LeaveAsync("");
        (await database.ReadNodesAsync(default)).Single().Entry.State.ShouldBe(NodeState.Down);
        (await EventsAsync()).Select(happened => happened.Kind).ShouldBe(["joined", "down"], "it tells nothing in the name of a node that is down");
    }

    [Fact]
    public async Task A_node_that_vanished_is_told_of_once_whoever_is_there()
    {
        var first = Start("node-1");
        var second = Start("node-2");
        var third = Start("node-3");
        foreach (var (node, _, _) in nodes) node.Become(NodeState.Running);
        for (var beat = 0; beat < 4; beat++) await BeatAsync();
        third.Store.IsAway = true;
        for (var beat = 0; beat < 6; beat++) await BeatAsync();
        (await VanishedAsync()).ShouldBe(["node-3"]);

        // Who told it leaves: the next one looks at what was told already.
        await first.Node.LeaveAsync("");
        nodes.RemoveAll(node => node.Registrar == first.Node);
        for (var beat = 0; beat < 5; beat++) await BeatAsync();
        (await VanishedAsync()).ShouldBe(["node-3"]);

        // It comes back, and vanishes again.
        third.Store.IsAway = false;
        await BeatAsync();
        third.Store.IsAway = true;
        for (var beat = 0; beat < 6; beat++) await BeatAsync();
        (await VanishedAsync()).ShouldBe(["node-3", "node-3"]);
        (await EventsAsync()).Last(happened => happened.Kind == "vanished").Detail.ShouldMatch("^no sign of it for [0-9]+ s, noticed by node-2$");
        second.Node.Rows.Single(row => row.Entry.Node == "node-3").IsVanished.ShouldBeTrue();
    }

    [Fact]
    public async Task When_the_store_was_away_for_all_nobody_is_called_vanished()
    {
        Start("node-1");
        Start("node-2");
        foreach (var (node, _, _) in nodes) node.Become(NodeState.Running);
        for (var beat = 0; beat < 5; beat++) await BeatAsync();
        foreach (var (_, store, _) in nodes) store.IsAway = true;
        for (var beat = 0; beat < 5; beat++) await BeatAsync();
        foreach (var (_, store, _) in nodes)
        {
            store.IsAway = false;
            await BeatAsync();
        }

        for (var beat = 0; beat < 5; beat++) await BeatAsync();
        (await VanishedAsync()).ShouldBeEmpty();
    }

    private (ClusterRegistrar Node, StoreThatGoesAway Store) Start(string id)
    {
        var store = new StoreThatGoesAway(database);
        var own = new NodeTime(time);
        var applied = 0.0;
        var registrar = new ClusterRegistrar(
            store,
            new NodeIdentity(id, "1.2.3", ["router", "shard"], time.GetUtcNow(), () => $"http://{id}:8000", () => Task.FromResult(new NodeReading(3, applied += 1_000, 2, 7))),
            own, NullLogger.Instance);
        nodes.Add((registrar, store, own));
        registrar.Start();
        return (registrar, store);
    }

    /// <summary>
    /// Two seconds pass, and every node (or one of them) has told of itself, or tried to, and waits for the next time: one that did
    /// not wait yet would let these two seconds pass and wait for two more.
    /// </summary>
    private async Task BeatAsync(params ClusterRegistrar[] only)
    {
        var waited = nodes.Where(node => only.Length == 0 || only.Contains(node.Registrar)).Select(node => node.Time).ToList();
        using var patience = new CancellationTokenSource(Waiting.AtMost);
        await UntilAsync(node => node.Waits > 0);
        var before = waited.ToDictionary(node => node, node => node.Waits);
        time.Advance(ClusterRegistrar.Interval);
        await UntilAsync(node => node.Waits > before[node]);

        async Task UntilAsync(Func<NodeTime, bool> isSo)
        {
            while (!waited.All(isSo))
            {
                patience.Token.ThrowIfCancellationRequested();
                await Task.Yield();
                time.Advance(TimeSpan.Zero);
            }
        }
    }

    private async Task<List<ClusterEvent>> EventsAsync() => [.. (await database.ReadEventsAsync(0, 10_000, default)).Select(happened => happened.Event)];

    private async Task<List<string>> VanishedAsync() => [.. (await EventsAsync()).Where(happened => happened.Kind == "vanished").Select(happened => happened.Node)];

    /// <summary>
    /// The common time, which tells how often this node has begun to wait for its next heartbeat. The moment for which one that was woken
    /// gathers is over at once: nobody knows when it begins, and time must not pass by how long a test waits.
    /// </summary>
    private sealed class NodeTime(ManualTime common) : TimeProvider
    {
        private int waits;

        public int Waits => Volatile.Read(ref waits);

        public override long TimestampFrequency => common.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => common.GetUtcNow();

        public override long GetTimestamp() => common.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = common.CreateTimer(callback, state, dueTime < TimeSpan.FromSeconds(1) && dueTime > TimeSpan.Zero ? TimeSpan.Zero : dueTime, period);
            if (dueTime == ClusterRegistrar.Interval) Interlocked.Increment(ref waits);
            return timer;
        }
    }

    /// <summary>One node's way to the store, which the test cuts.</summary>
    private sealed class StoreThatGoesAway(IClusterStore inner) : IClusterStore
    {
        public bool IsAway { get; set; }

        public ValueTask<IReadOnlyList<NodeRow>> RegisterAsync(NodeEntry entry, CancellationToken cancellation) => Try(() => inner.RegisterAsync(entry, cancellation));

        public ValueTask<IReadOnlyList<NodeRow>> ReadNodesAsync(CancellationToken cancellation) => Try(() => inner.ReadNodesAsync(cancellation));

        public ValueTask<IReadOnlyList<ShardOwnerRow>> ReadOwnersAsync(CancellationToken cancellation) => Try(() => inner.ReadOwnersAsync(cancellation));

        public ValueTask<IReadOnlyList<ShardId>> FenceNodeAsync(string node, string by, CancellationToken cancellation) => Try(() => inner.FenceNodeAsync(node, by, cancellation));

        public async ValueTask ForgetNodeAsync(string node, CancellationToken cancellation) => await inner.ForgetNodeAsync(node, cancellation);

        public async ValueTask AppendEventsAsync(IReadOnlyList<ClusterEvent> events, CancellationToken cancellation) => await Try(async () =>
        {
            await inner.AppendEventsAsync(events, cancellation);
            return true;
        });

        public ValueTask<IReadOnlyList<NumberedEvent>> ReadEventsAsync(long? after, int limit, CancellationToken cancellation) => Try(() => inner.ReadEventsAsync(after, limit, cancellation));

        private async ValueTask<T> Try<T>(Func<ValueTask<T>> operation)
        {
            if (IsAway) throw new StoreUnavailableException("away");
            return await operation();
        }
    }
}
