using System.Net;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Tests.Kafka;

namespace Analytics.Actors.Tests.Http;

/// <summary>Several whole nodes on one broker and one database: who joins, leaves, is declared down, and does only what its roles say.</summary>
public sealed class ClusterNodeTests : IDisposable
{
    private const string Meter = "SCHEDULE-DEVICE-METER";
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("cluster-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task A_node_that_joins_gets_its_share_and_one_that_leaves_gives_it_back_and_the_other_shards_never_move()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var one = NewNode(broker, "node-1");
        await using var two = NewNode(broker, "node-2");
        await one.StartAsync();
        await OwnsAsync(one, LiveNode.Shards);
        var before = await EpochsAsync(one);
        await two.StartAsync();
        await OwnsAsync(two, LiveNode.Shards / 2);
        await OwnsAsync(one, LiveNode.Shards / 2);

        var kept = await EpochsAsync(one);
        kept.ShouldBeSubsetOf(before, "what stays is neither released nor taken over");
        var moved = (await EpochsAsync(two)).Keys.Order().ToList();
        await EventsAsync(one, events => events.Count(happened => happened.Kind == "takenOver" && happened.Node == "node-2") == moved.Count);
        var events = await EventsAsync(one, _ => true);
        foreach (var shard in moved)
        {
            var released = events.Single(happened => happened.Kind == "released" && happened.Shard?.Value == shard);
            released.Node.ShouldBe("node-1");
            released.DurationMs.ShouldNotBeNull();
            var taken = events.Last(happened => happened.Kind == "takenOver" && happened.Shard?.Value == shard);
            (taken.Node, taken.DurationMs is not null).ShouldBe(("node-2", true));
            events.IndexOf(taken).ShouldBeGreaterThan(events.IndexOf(released));
        }

        // On a machine that is very busy one may be silent for a while, and come back.
        events.Count(happened => happened.Kind == "joined" && !happened.Detail.StartsWith("back after", StringComparison.Ordinal)).ShouldBe(2, string.Join("; ", events));
        (await two.ScrapeAsync()).Value("data_analysis_shard_move_seconds_count", "kind", "takeover").ShouldBe(moved.Count);
        (await one.ScrapeAsync()).Value("data_analysis_shard_move_seconds_count", "kind", "release").ShouldBe(moved.Count);

        two.Host.Leave("ann");
        two.Host.Leave("bob");
        var end = await two.Host.Ending.WaitAsync(Waiting.AtMost);
        (end.IsFailure, end.Reason).ShouldBe((false, "told to leave by ann"));
        (await two.Host.StopAsync()).ShouldBeEmpty();
        await OwnsAsync(one, LiveNode.Shards);
        kept.ShouldBeSubsetOf(await EpochsAsync(one));
        events = await EventsAsync(one, seen => seen.Any(happened => happened.Kind == "left"));
        events.Single(happened => happened.Kind == "leaving").ShouldBe(new ClusterEvent("leaving", "node-2", null, null, "ann", ""));
        events.Count(happened => happened is { Kind: "released", Node: "node-2" }).ShouldBe(moved.Count);
        events.ShouldAllBe(happened => happened.Kind != "lost" && happened.Kind != "fenced");
        one.Host.Cluster!.Wake();
        await one.WaitUntilAsync("the node is seen to have left", () => Task.FromResult(one.Host.Cluster.Rows.Single(row => row.Entry.Node == "node-2").Entry.State == NodeState.Left));
    }

    [Fact]
    public async Task A_node_that_is_declared_down_stops_says_who_did_it_and_its_shards_run_elsewhere()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var one = NewNode(broker, "node-1");
        await using var two = NewNode(broker, "node-2");
        await one.StartAsync();
        await two.StartAsync();
        await OwnsAsync(two, LiveNode.Shards / 2);
        await OwnsAsync(one, LiveNode.Shards / 2);
        var shards = (await EpochsAsync(two)).Keys.Order().ToList();

        (await one.Host.DownAsync("node-2", "ann", default)).Select(shard => shard.Value).ShouldBe(shards);

        var end = await two.Host.Ending.WaitAsync(Waiting.AtMost);
        end.IsFailure.ShouldBeTrue();
        end.Reason.ShouldMatch("^the node \"node-2\" was declared down by ann at ....-..-.. ..:..:..Z$");
        await two.Host.StopAsync();
        await OwnsAsync(one, LiveNode.Shards);
        (await one.Host.Cluster!.Store.ReadNodesAsync(default)).Single(row => row.Entry.Node == "node-2").Entry.State.ShouldBe(NodeState.Down);
        (await EventsAsync(one, _ => true)).Single(happened => happened.Kind == "down").By.ShouldBe("ann");
    }

    [Fact]
    public async Task What_a_node_could_not_finish_in_time_is_told_for_each_shard_and_the_stop_keeps_its_deadline()
    {
        using var begun = new SemaphoreSlim(0);
        using var release = new ManualResetEventSlim();
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var one = NewNode(broker, "node-1", options => options with { StopDeadline = TimeSpan.FromSeconds(20) }, new TestModule("load_prediction", (_, _) =>
        {
            begun.Release();
            release.Wait();
            return default!;
        }));
        await one.StartAsync();
        await OwnsAsync(one, LiveNode.Shards);
        await using var platform = new Platform(broker, pipeline);
        await platform.SendAsync(Meter, """{"stationId": "S1", "meterPower": 1}""");
        (await begun.WaitAsync(Waiting.AtMost)).ShouldBeTrue();
        try
        {
            var unfinished = await one.Host.StopAsync().WaitAsync(TimeSpan.FromSeconds(60));
            unfinished.ShouldHaveSingleItem().ShouldMatch("^shard [0-3]: 1 call still ran, 0 outputs not acknowledged by the brokers; its next owner goes on with them$");
        }
        finally
        {
            release.Set();
        }
    }

    [Fact]
    public async Task Nodes_do_what_their_roles_say_and_together_all_of_it()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var router = NewNode(broker, "router", options => options with { Roles = new NodeRoles(true, false, true) });
        await using var shards = NewNode(broker, "shards", options => options with { Roles = new NodeRoles(false, true, false) });
        await using var platform = new Platform(broker, pipeline);
        await router.StartAsync();
        await router.WaitReadyAsync();
        await shards.StartAsync();
        await shards.WaitReadyAsync();
        await OwnsAsync(shards, LiveNode.Shards);
        for (var station = 0; station < 20; station++) await platform.SendAsync(Meter, $$"""{"stationId": "S{{station}}", "meterPower": 1}""");
        await shards.WaitUntilAsync("20 parts applied", async () => await shards.Host.Shards!.Ask(core => core.AppliedByTopic().GetValueOrDefault(Meter)) == 20);

        (await router.Host.Shards!.Ask(core => core.Phases.Count())).ShouldBe(0);
        (await shards.Host.SourcePositionsAsync()).ShouldBeEmpty();
        foreach (var node in new[] { router, shards })
        {
            (await node.ReadAsync("/health"))["status"]!.GetValue<string>().ShouldBe("healthy");
            (await node.GetAsync("/health/ready")).Status.ShouldBe(HttpStatusCode.OK);
            (await node.ScrapeAsync()).Families.Keys.ShouldContain("data_analysis_memory_usage");
            await node.ReadAsync("/api/v1/shards?scope=node");
            await node.ReadAsync("/api/v1/sources?scope=node");
            await node.ReadAsync("/api/v1/modules?scope=node");
            await node.ReadAsync("/api/v1/counters?scope=node");
        }

        // Without the role api a node answers for itself, to those who ask for that.
        var (status, refusal) = await shards.GetAsync("/api/v1/shards");
        status.ShouldBe(HttpStatusCode.NotFound);
        refusal["error"]!.GetValue<string>().ShouldStartWith("shards does not have the role api: ask ");
        (await shards.Http.GetAsync(new Uri(shards.Server.Address!, "/"))).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await router.Http.GetAsync(new Uri(router.Server.Address!, "/"))).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await router.Host.StopAsync()).ShouldBeEmpty();
        (await shards.Host.StopAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task Of_two_nodes_with_one_id_the_one_that_started_first_ends()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var earlier = NewNode(broker, "node-1");
        await earlier.StartAsync();
        await using var later = NewNode(broker, "node-1");
        await later.StartAsync();
        var end = await earlier.Host.Ending.WaitAsync(Waiting.AtMost);
        (end.IsFailure, end.Reason.Contains("another process with the node id \"node-1\"")).ShouldBe((true, true));
        await earlier.Host.StopAsync();
        await OwnsAsync(later, LiveNode.Shards);
        later.Host.Ending.IsCompleted.ShouldBeFalse();
        later.Host.Cluster!.Rows.Single().Entry.Session.ShouldBe(later.Host.Cluster.Session);
    }

    private LiveNode NewNode(EmbeddedBroker broker, string id, Func<NodeOptions, NodeOptions>? change = null, TestModule? module = null)
    {
        var options = LiveNode.Options(broker.BootstrapServers, folder.FullName) with { NodeId = id };
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        return new LiveNode(change?.Invoke(options) ?? options, pipeline, module is null ? [] : [module]);
    }

    private static Task OwnsAsync(LiveNode node, int count) => node.WaitUntilAsync(
        $"{count} shards run on {node.Host.Options.NodeId}", async () => (await EpochsAsync(node)).Count == count && await node.Host.IsReadyAsync());

    private static Task<Dictionary<int, long>> EpochsAsync(LiveNode node) =>
        node.Host.Shards!.Ask(core => core.Phases.Where(slot => slot.Phase == ShardPhase.Running).ToDictionary(slot => slot.Shard.Value, slot => core.Find(slot.Shard)!.Epoch.Value));

    private static async Task<List<ClusterEvent>> EventsAsync(LiveNode node, Func<List<ClusterEvent>, bool> isSo)
    {
        List<ClusterEvent> events = [];
        await node.WaitUntilAsync("the cluster was told", async () =>
        {
            events = [.. (await node.Host.Cluster!.Store.ReadEventsAsync(0, 1_000, default)).Select(happened => happened.Event)];
            return isSo(events);
        });
        return events;
    }
}
