using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Tests.Storage;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// Nodes, a broker and PostgreSQL, each a process, while nodes come and go and records flow: nothing is lost or applied twice,
/// shards that stay where they are pause not at all. Three rounds from one node to six and back; ANALYTICS_REBALANCES=100 for
/// more, ANALYTICS_SEED for other moments.
/// </summary>
public class RebalanceTests(PostgreSqlServer server, ITestOutputHelper output) : IClassFixture<PostgreSqlServer>
{
    private const int NodesMax = 6;

    /// <summary>
    /// What nine of ten records of a shard that stays where it is may wait, in seconds. Were it stopped by each round of the group, which
    /// takes three seconds here, every sixth would wait longer; a busy machine holds up some of them now and then.
    /// </summary>
    private const double WaitMax = 2;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task Six_nodes_come_and_five_go_at_any_moment_and_every_record_counts_once()
    {
        var rounds = Option("ANALYTICS_REBALANCES", 3);
        var seed = Option("ANALYTICS_SEED", 1);
        var random = new Random(seed);
        var run = Stopwatch.StartNew();
        var address = server.NewSchema();
        await using var audit = await CommitAudit.StartAsync(address);
        await using var cluster = await Cluster.StartAsync(1, (_, node) => $"store.url={address};Application Name={node}");
        await using var feed = new NumberedFeed(cluster.Bootstrap, seed, cluster.BrokerState);
        var stopped = Enumerable.Range(1, NodesMax).Select(number => string.Create(CultureInfo.InvariantCulture, $"node-{number}")).ToList();
        List<Cluster.ClusterNode> nodes = [];
        var aborts = 0;
        await StartOneAsync();
        await cluster.SettledAsync(Limit, nodes);
        for (var round = 0; round < rounds; round++)
        {
            while (nodes.Count < NodesMax)
            {
                await feed.MoreAsync(random.Next(1, 40));
                await StartOneAsync();
            }

            while (nodes.Count > 1)
            {
                await feed.MoreAsync(random.Next(1, 40));
                var leaving = nodes[random.Next(nodes.Count)];
                nodes.Remove(leaving);
                stopped.Add(leaving.Name);
                aborts += await leaving.StopAsync();
            }

            await cluster.SettledAsync(Limit, nodes);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {round + 1}: {run.Elapsed.TotalSeconds:0} s, {feed.Count} records"));
        }

        await feed.EndAsync();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rounds} rounds from one node to {NodesMax} and back in {run.Elapsed.TotalSeconds:0} s, seed {seed}"));
        var pauses = await Pauses.OfRunAsync(cluster, nodes, feed.Count, aborts, address, audit, output);
        pauses.Others.Order().ElementAt(pauses.Others.Count * 9 / 10).ShouldBeLessThan(WaitMax);

        async Task StartOneAsync()
        {
            var name = stopped[random.Next(stopped.Count)];
            stopped.Remove(name);
            var node = cluster.StartNode(name);
            nodes.Add(node);
            await cluster.StartedAsync(node);
        }
    }

    [Fact]
    public async Task Sixty_four_shards_are_spread_and_a_fourth_node_takes_its_share_and_no_more()
    {
        const int Shards = 64;
        // FEED, what follows from it, and replays.
        const int SourcePartitions = 3 * Cluster.Partitions;
        var address = server.NewSchema();
        await using var audit = await CommitAudit.StartAsync(address, Shards);
        await using var cluster = await Cluster.StartAsync(1, (_, node) => $"store.url={address};Application Name={node}", shards: Shards);
        foreach (var name in new[] { "node-1", "node-2", "node-3" }) await cluster.StartedAsync(cluster.StartNode(name));
        var three = await SpreadAsync(21, 22);
        var sources = await SourcesAsync();
        await cluster.StartedAsync(cluster.StartNode("node-4"));
        var four = await SpreadAsync(16, 16);
        var moved = three.Where(shard => four[shard.Key] != shard.Value).ToList();
        var routed = await SourcesAsync();
        var given = sources.Where(partition => routed[partition.Key] != partition.Value).ToList();
        output.WriteLine($"three nodes: {Counts(three.Values)}; with a fourth: {Counts(four.Values)}, {moved.Count} shards moved");
        output.WriteLine($"source partitions, three routers: {Counts(sources.Values)}; with a fourth: {Counts(routed.Values)}, {given.Count} moved");
        moved.ShouldAllBe(shard => four[shard.Key] == "node-4");
        moved.Count.ShouldBe(16);
        given.ShouldAllBe(partition => routed[partition.Key] == "node-4");
        given.Count.ShouldBe(sources.Count / 4);
        foreach (var node in cluster.Nodes) await node.StopAsync();

        async Task<IReadOnlyDictionary<int, string>> SpreadAsync(int least, int most)
        {
            await cluster.SettledAsync(Limit, cluster.Nodes);
            IReadOnlyDictionary<int, string> owners = new Dictionary<int, string>();
            await Wait.UntilAsync(
                async () =>
                {
                    owners = await audit.ReadOwnersAsync();
                    var counts = owners.Values.CountBy(owner => owner).ToList();
                    return owners.Count == Shards && counts.Count == cluster.Nodes.Count && counts.All(node => node.Value >= least && node.Value <= most);
                },
                Limit, () => $"{cluster.Nodes.Count} nodes own {least} to {most} shards each: {Counts(owners.Values)}");
            return owners;
        }

        // Who reads which partition of which source topic, as the group told the routers; all have as many.
        async Task<Dictionary<string, string>> SourcesAsync()
        {
            Dictionary<string, string> readers = [];
            await Wait.UntilAsync(
                () =>
                {
                    var all = cluster.Nodes.SelectMany(node => node.Sources().Select(source => (Source: source, node.Name))).ToList();
                    readers = all.DistinctBy(one => one.Source).ToDictionary(one => one.Source, one => one.Name);
                    return all.Count == SourcePartitions && readers.Count == all.Count && cluster.Nodes.All(node => readers.Values.Count(name => name == node.Name) == SourcePartitions / cluster.Nodes.Count);
                },
                Limit, () => $"{SourcePartitions} source partitions are read by {cluster.Nodes.Count} routers, each as many: {Counts(readers.Values)}");
            return readers;
        }

        static string Counts(IEnumerable<string> owners) => string.Join(", ", owners.CountBy(owner => owner).OrderBy(node => node.Key).Select(node => $"{node.Key} {node.Value}"));
    }

    private static int Option(string name, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(name), out var value) ? value : otherwise;
}
