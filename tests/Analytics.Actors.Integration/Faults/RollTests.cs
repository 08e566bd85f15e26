using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Tests.Storage;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// Nodes, a broker and PostgreSQL, each a process, while all nodes are restarted one after the other and records flow: nothing is
/// lost or applied twice, shards that move pause for little more than the group takes, and others not at all. ANALYTICS_ROLLS=10
/// restarts all nodes ten times.
/// </summary>
[Collection(MeasuringTests.Name)]
public class RollTests(PostgreSqlServer server, ITestOutputHelper output) : IClassFixture<PostgreSqlServer>
{
    /// <summary>What a shard may pause beyond the group's own delay, in seconds.</summary>
    private const double OursMax = 2;

    /// <summary>Other work on the machine can make one measurement bad; a handover that really takes so long makes all of them bad.</summary>
    private const int Attempts = 3;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task Three_nodes_restarted_one_after_the_other_pause_no_shard_for_long()
    {
        var pauses = await RollAsync();
        for (var attempt = 1; attempt < Attempts && !IsShort(pauses); attempt++) pauses = await RollAsync();
        foreach (var move in pauses.Moves) move.Ours.ShouldBeLessThan(OursMax, $"{move}, in the last of {Attempts} attempts");
        pauses.Others.Max().ShouldBeLessThan(OursMax, $"in the last of {Attempts} attempts");
    }

    private static bool IsShort(Pauses pauses) => pauses.Moves.All(move => move.Ours < OursMax) && pauses.Others.All(wait => wait < OursMax);

    /// <summary>Restarts all nodes, checks that every record counted once, and tells how long the shards paused.</summary>
    private async Task<Pauses> RollAsync()
    {
        var rolls = int.TryParse(Environment.GetEnvironmentVariable("ANALYTICS_ROLLS"), out var asked) ? asked : 1;
        var run = Stopwatch.StartNew();
        var address = server.NewSchema();
        var aborts = 0;
        await using var audit = await CommitAudit.StartAsync(address);
        await using var cluster = await Cluster.StartAsync(1, (_, node) => $"store.url={address};Application Name={node}");
        await using var feed = new NumberedFeed(cluster.Bootstrap, 1, cluster.BrokerState);
        foreach (var name in new[] { "node-1", "node-2", "node-3" }) await cluster.StartedAsync(cluster.StartNode(name));
        await cluster.SettledAsync(Limit, cluster.Nodes);
        await cluster.UploadedAsync(20, Limit);
        var begun = Stopwatch.GetTimestamp();
        for (var roll = 0; roll < rolls; roll++)
        {
            foreach (var node in cluster.Nodes)
            {
                aborts += await node.StopAsync();
                cluster.StartNode(node.Name);
                await cluster.StartedAsync(node);
                await cluster.SettledAsync(Limit, cluster.Nodes);
                await feed.MoreAsync(20);
            }
        }

        await feed.EndAsync();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rolls * cluster.Nodes.Count} nodes restarted in {run.Elapsed.TotalSeconds:0} s; from a record to its batch's upload {Seconds.Describe(Seconds.FromRecordToUpload(cluster, begun))}"));
        return await Pauses.OfRunAsync(cluster, cluster.Nodes, feed.Count, aborts, address, audit, output);
    }
}
