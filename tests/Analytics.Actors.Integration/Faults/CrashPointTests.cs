using System.Diagnostics;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.Storage;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// A node, as a process, is killed at each named crash point in turn while records flow, and started again: then the
/// database and the outputs tell of every record exactly once. Once each, on PostgreSQL, those of the stores on SQLite as
/// well; ANALYTICS_CRASHES=10 does it ten times, each time at a later moment.
/// </summary>
public class CrashPointTests(PostgreSqlServer server, ITestOutputHelper output) : IClassFixture<PostgreSqlServer>
{
    /// <summary>Brokers and nodes that run side by side.</summary>
    private const int AtOnce = 6;

    private static readonly TimeSpan CrashLimit = TimeSpan.FromSeconds(90);

    private static readonly string[] StorePoints = [CrashPoint.CheckpointAfterFence, CrashPoint.CheckpointBeforeCommit, CrashPoint.TakeoverAfterEpoch];

    [Fact]
    public async Task A_node_that_dies_at_any_named_point_loses_and_doubles_nothing()
    {
        var rounds = int.TryParse(Environment.GetEnvironmentVariable("ANALYTICS_CRASHES"), out var asked) ? asked : 1;
        var cases = Enumerable.Range(0, rounds).SelectMany(round =>
            CrashPoint.Names.Select(point => (Point: point, Round: round, Sqlite: false)).Concat(StorePoints.Select(point => (Point: point, Round: round, Sqlite: true))));
        var failures = new List<string>();
        await Parallel.ForEachAsync(cases, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (one, _) =>
        {
            var name = $"{one.Point} on {(one.Sqlite ? "SQLite" : "PostgreSQL")}, round {one.Round + 1}";
            var took = Stopwatch.StartNew();
            string line;
            try
            {
                var verdict = await CrashAtAsync(one.Point, one.Round, one.Sqlite);
                line = $"{name}: {verdict} ({took.Elapsed.TotalSeconds:0} s)";
                if (verdict.Wrong.Length > 0)
                {
                    lock (failures) failures.Add($"{name}: {verdict.Wrong}");
                }
            }
            catch (Exception failure)
            {
                line = $"{name}: {failure.GetType().Name}";
                lock (failures) failures.Add($"{name}: {failure}");
            }

            lock (failures) output.WriteLine(line);
        });
        string.Join('\n', failures).ShouldBe("");
    }

    [Theory]
    [InlineData("checkpoint")]
    [InlineData("checkpoint.after-fence:0")]
    [InlineData("checkpoint.after-fence:1:2")]
    public async Task A_point_that_there_is_not_is_refused_with_the_names(string value)
    {
        using var folder = new TestFolder();
        using var node = AnalyticsProcess.Start(folder.Path, [(CrashPoint.Variable, value)], ["node"]);
        (await node.ExitAsync(CrashLimit)).ShouldBe(2, node.State());
        node.Errors.ShouldContain(value);
        foreach (var name in CrashPoint.Names) node.Errors.ShouldContain(name);
    }

    private async Task<Verdict> CrashAtAsync(string point, int round, bool isSqlite)
    {
        var address = isSqlite ? "" : server.NewSchema();
        string? file = null;
        await using var cluster = await Cluster.StartAsync(1, (folder, _) => isSqlite ? $"store.path={file = folder.File("node.db")}" : $"store.url={address}");
        Verdict verdict;
        await using (var feed = new NumberedFeed(cluster.Bootstrap, round, cluster.BrokerState))
        {
            var crashAt = $"{point}:{Occurrence(point, round)}";
            var node = cluster.StartNode("node-1", IsOfStart(point) ? null : crashAt);
            if (IsOfStart(point))
            {
                // A start finds nothing to do before there is something: so the second one dies, which finds checkpoints.
                await cluster.UploadedAsync(30, CrashLimit);
                await node.EndAsync(Signal.Kill);
                cluster.StartNode("node-1", crashAt);
            }
            else if (IsOfEnd(point))
            {
                await cluster.UploadedAsync(30, CrashLimit);
                node.Process.Send(Signal.Terminate);
            }

            (await node.Process.ExitAsync(CrashLimit)).ShouldBe(128 + (int)Signal.Kill, node.Process.State());
            cluster.StartNode("node-1");
            await cluster.SettledAsync(CrashLimit, node);
            await feed.MoreAsync(10);
            await feed.EndAsync();
            verdict = await Verdict.OfUploadsAsync(cluster, feed.Count);
            (await node.EndAsync(Signal.Terminate)).ShouldBe(0, node.Process.State());
        }

        await using ICheckpointStore store = isSqlite ? new SqliteCheckpointStore(file!) : new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(address));
        await verdict.JudgeStoreAsync(cluster, store);
        return verdict;
    }

    // In the midst of work, where there is a midst; later rounds die later, so that the places are reached in other states.
    private static int Occurrence(string point, int round) => point switch
    {
        CrashPoint.HandoverBeforeLastCheckpoint => 1,
        CrashPoint.HandoverBeforeRelease or CrashPoint.TakeoverAfterEpoch or CrashPoint.TakeoverAfterReading => 1 + round % Cluster.Shards,
        CrashPoint.RecoverySearching or CrashPoint.StationsLoading => 1 + round % 4,
        _ => 5 + round * 3,
    };

    private static bool IsOfEnd(string point) => point is CrashPoint.HandoverBeforeLastCheckpoint or CrashPoint.HandoverBeforeRelease;

    // Reached by a node that has taken over shards with something in them.
    private static bool IsOfStart(string point) =>
        point is CrashPoint.TakeoverAfterEpoch or CrashPoint.TakeoverAfterReading or CrashPoint.RecoverySearching or CrashPoint.StationsLoading;
}
