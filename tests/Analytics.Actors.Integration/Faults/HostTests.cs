using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Tests.Storage;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// Three nodes, the broker and PostgreSQL, each on a host of its own, while the network between them fails: a node loses the
/// broker, the database, both, the other nodes, or hears one of them no more. Meanwhile the cluster goes on without it; then it
/// comes back by itself, and every record has counted once. Five cuts; ANALYTICS_CUTS=20 for more, further kinds among them.
/// </summary>
public class HostTests(ITestOutputHelper output)
{
    private const string Database = "database";
    private const int KindsByDefault = 5;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);
    private static readonly string[] Names = ["node-1", "node-2", "node-3"];

    private enum Cut
    {
        /// <summary>Nothing passes between the node and the broker.</summary>
        Broker,
        /// <summary>Nothing passes between the node and the database.</summary>
        Database,
        /// <summary>The node is alone.</summary>
        Both,
        /// <summary>Nothing passes between the node and the other nodes.</summary>
        Nodes,
        /// <summary>What the node asks of the broker arrives, the answers come when the cut is over.</summary>
        BrokerAnswers,
        /// <summary>The broker says nothing to the node any more, and hears what it has to say.</summary>
        BrokerToNode,
        /// <summary>The node says nothing to the broker any more.</summary>
        NodeToBroker,
        /// <summary>The database hears the node, the node hears nothing: commits of unknown outcome.</summary>
        DatabaseToNode,
        /// <summary>The node's words do not reach the database.</summary>
        NodeToDatabase,
        /// <summary>The broker's ports refuse the node.</summary>
        BrokerRefuses,
        /// <summary>A third of a second to the broker, and as much back.</summary>
        BrokerFar,
    }

    [HostsFact]
    public async Task A_node_that_the_network_cuts_off_is_stood_in_for_and_comes_back_by_itself()
    {
        var count = int.TryParse(Environment.GetEnvironmentVariable("ANALYTICS_CUTS"), out var asked) ? asked : KindsByDefault;
        var kinds = Enum.GetValues<Cut>();
        var run = Stopwatch.StartNew();
        using var network = new HostNetwork([Cluster.BrokerHost, Cluster.OperatorHost, Database, .. Names]);
        using var server = PostgreSqlServer.StartIn(network.Namespace(Database), $"{network.Address(Database)}");
        var address = server.Schema("hosts");
        await using var audit = await CommitAudit.StartAsync($"{server.Administration};Search Path=hosts");
        await using var cluster = await Cluster.StartAsync(1, (_, node) => $"store.url={address};Application Name={node}", network);
        await using var feed = new NumberedFeed(cluster.Bootstrap, 1, cluster.BrokerState);
        foreach (var name in Names) await cluster.StartedAsync(cluster.StartNode(name));
        await cluster.UploadedAsync(20, Limit);
        await cluster.SettledAsync(Limit, cluster.Nodes);
        List<(Cut Cut, string Node, DateTime At, double? TakenOver, double Back)> cuts = [];
        for (var number = 0; number < count; number++)
        {
            var cut = kinds[number % kinds.Length];
            var node = cluster.Nodes[number % Names.Length];
            var others = cluster.Nodes.Where(other => other != node).ToList();
            await feed.MoreAsync(20);
            var (at, took) = (DateTime.UtcNow, Stopwatch.StartNew());
            Make(cut, node.Name, true, cluster, network);
            double? takenOver = null;
            if (MovesShards(cut))
            {
                await cluster.SettledAsync(Limit, others);
                takenOver = took.Elapsed.TotalSeconds;
            }
            else if (LosesDatabase(cut))
            {
                await Wait.UntilAsync(async () => await StatusAsync(node) == "unhealthy", Limit, () => $"{node.Name} says that it is not healthy; {cluster.State()}");
            }

            await SeenAsync(others[number % others.Count], cut, node.Name, cluster);
            var before = await audit.ReadAsync();
            await feed.MoreAsync(20);
            if (!MovesShards(cut) && !LosesDatabase(cut))
            {
                await WorksAsync(cluster, feed);
                (await audit.ReadAsync()).Takeovers.ShouldBe(before.Takeovers, $"{cut} of {node.Name}");
            }

            took.Restart();
            Make(cut, node.Name, false, cluster, network);
            await cluster.SettledAsync(Limit, cluster.Nodes);
            await SeenWholeAsync(others[number % others.Count], cluster);
            await WorksAsync(cluster, feed);
            cuts.Add((cut, node.Name, at, takenOver, took.Elapsed.TotalSeconds));
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{run.Elapsed.TotalSeconds:0} s: {cut} of {node.Name}: {(takenOver is { } seconds ? $"others ran all shards after {seconds:0.0} s" : "no shard moved")}; whole again {took.Elapsed.TotalSeconds:0.0} s after its end"));
        }

        await feed.EndAsync();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count} cuts in {run.Elapsed.TotalSeconds:0} s"));
        var moves = (await Pauses.OfRunAsync(cluster, cluster.Nodes, feed.Count, 0, $"{server.Administration};Search Path=hosts", audit, output)).Moves;
        foreach (var one in cuts)
        {
            var taken = moves.Where(move => move.From == one.Node && move.At > one.At && (one.TakenOver is { } limit) && move.At < one.At.AddSeconds(limit + 1)).ToList();
            if (taken.Count > 0) output.WriteLine($"{one.Cut}: {taken.Count} shards with records waiting paused {Seconds.Describe(taken.Select(move => move.Pause))}, beyond the group's delay {Seconds.Describe(taken.Select(move => move.Ours))}");
        }
    }

    private static bool MovesShards(Cut cut) => cut is Cut.Broker or Cut.Both or Cut.BrokerAnswers or Cut.BrokerToNode or Cut.NodeToBroker or Cut.BrokerRefuses;

    private static bool LosesDatabase(Cut cut) => cut is Cut.Database or Cut.DatabaseToNode or Cut.NodeToDatabase;

    private static void Make(Cut cut, string node, bool isCut, Cluster cluster, HostNetwork network)
    {
        Action<string, string> change = isCut ? network.Lose : network.Arrive;
        if (cut is Cut.Broker or Cut.Both or Cut.BrokerToNode) change(Cluster.BrokerHost, node);
        if (cut is Cut.Broker or Cut.Both or Cut.NodeToBroker) change(node, Cluster.BrokerHost);
        if (cut is Cut.Database or Cut.Both or Cut.DatabaseToNode) change(Database, node);
        if (cut is Cut.Database or Cut.Both or Cut.NodeToDatabase) change(node, Database);
        foreach (var other in Names.Where(other => cut == Cut.Nodes && other != node))
        {
            change(node, other);
            change(other, node);
        }

        foreach (var forwarder in cluster.ForwardersOf(node))
        {
            if (cut == Cut.BrokerAnswers) forwarder.HoldsAnswers = isCut;
            if (cut == Cut.BrokerRefuses) forwarder.IsCut = isCut;
            if (cut == Cut.BrokerFar) forwarder.Delay = TimeSpan.FromMilliseconds(isCut ? 333 : 0);
        }
    }

    // What another node's API says while it lasts: who is silent, who cannot be asked, and where the shards are.
    private static Task SeenAsync(Cluster.ClusterNode other, Cut cut, string node, Cluster cluster) => Wait.UntilAsync(
        async () =>
        {
            if ((LosesDatabase(cut) || cut == Cut.Both) && await ValueAsync(other, "nodes", node, "state") != "vanished") return false;
            if (cut == Cut.Nodes && await ValueAsync(other, "status", node, "status") != "unreachable") return false;
            if (!MovesShards(cut)) return true;
            if (await other.AskAsync("api/v1/shards") is not { ValueKind: JsonValueKind.Array } shards) return false;
            var running = shards.EnumerateArray().Where(shard => shard.GetProperty("phase").GetString() == "running" && shard.GetProperty("node").GetString() != node);
            return running.Select(shard => shard.GetProperty("shard").GetInt32()).Order().SequenceEqual(Enumerable.Range(0, Cluster.Shards));
        },
        Limit, () => $"{other.Name} tells of {cut} of {node}; {cluster.State()}");

    // And afterwards: everybody is there and well.
    private static Task SeenWholeAsync(Cluster.ClusterNode other, Cluster cluster) => Wait.UntilAsync(
        async () =>
        {
            foreach (var name in Names)
            {
                if (await ValueAsync(other, "nodes", name, "state") != "running" || await ValueAsync(other, "status", name, "status") != "healthy") return false;
            }

            return true;
        },
        Limit, () => $"{other.Name} tells that all nodes are well; {cluster.State()}");

    private static async Task<string?> ValueAsync(Cluster.ClusterNode asked, string list, string node, string member) =>
        await asked.AskAsync($"api/v1/{list}") is { ValueKind: JsonValueKind.Array } lines
            ? lines.EnumerateArray().Where(line => line.GetProperty("node").GetString() == node).Select(line => line.GetProperty(member).GetString()).FirstOrDefault()
            : null;

    // A record that is sent from now on goes all the way.
    private static async Task WorksAsync(Cluster cluster, NumberedFeed feed)
    {
        await feed.MoreAsync(Cluster.Partitions);
        await cluster.UploadedAsync(feed.Count, Limit);
    }

    private static async Task<string?> StatusAsync(Cluster.ClusterNode node) => (await node.AskAsync("health?scope=node"))?.GetProperty("status").GetString();
}
