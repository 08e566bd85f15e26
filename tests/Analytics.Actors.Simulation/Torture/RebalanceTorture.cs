using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>What one round came to.</summary>
/// <param name="Pauses">See <see cref="PauseWatch.Pauses"/>.</param>
public sealed record TortureResult(int Seed, Verdict Verdict, IReadOnlyList<Finding> Findings, IReadOnlyList<long> Pauses, long PartsApplied, IReadOnlyList<string> History);

/// <summary>
/// One round per seed: under load a cluster of one node grows to six and shrinks to one again, at random moments. Nodes
/// leave in order, or die. Nothing may be lost, applied twice or stuck, and shards that do not move may not pause.
/// </summary>
public static class RebalanceTorture
{
    private const int Nodes = 6;
    private const int PhaseMs = 20_000;

    public static TortureResult Run(int seed, bool keepsHistory = false)
    {
        var world = new World(seed, keepsHistory);
        var random = world.Random;
        var scenario = Scenario.Draw(random, Nodes) with
        {
            Shards = random.Next(6, 25), Stations = random.Next(20, 60), Records = random.Next(150, 400), Poisons = 0,
            CallsMax = 10_000, OutboxBytesMax = 16 * 1024 * 1024, WaitingBytesMax = 32 * 1024 * 1024, TopicWaitingBytesMax = 4 * 1024 * 1024,
            AheadBytesMax = 16 * 1024 * 1024, StationsMax = 10_000, RetainedStationsMax = 100_000, ArrivalsMax = 10_000,
        };
        var settings = new ShardSettings
        {
            Pipeline = Workload.Pipelines[random.Next(Workload.Pipelines.Count)],
            Group = "sim",
            ShardCount = scenario.Shards,
            StoreId = "5eed5eed5eed",
            DetailedEvents = true,
            EnvelopeBytesMax = scenario.EnvelopeBytesMax,
            PartitionCounts = Simulator.PartitionCounts,
        };
        var cluster = new Cluster(world, scenario, settings, Faults.None, PlantedBug.None) { Sources = Workload.Sources(settings), Wanted = [0] };
        var workload = new Workload(world, cluster.Log, settings, scenario.Stations);
        cluster.Checkers.Routed = new RoutedChecker(cluster, workload);
        var watch = new PauseWatch(cluster);
        var verdict = Verdict.Right;
        try
        {
            cluster.Start();
            watch.Start(World.StartMs + PhaseMs);
            workload.Plan(scenario.Records, 0, PhaseMs - 1_000);
            for (var node = 1; node < Nodes; node++)
            {
                var joining = node;
                world.After(world.Between(1_000, 9_000), () => cluster.Join(joining));
            }

            // Any of the six may be the last.
            foreach (var node in Enumerable.Range(0, Nodes).OrderBy(_ => random.Next()).Skip(1).ToList())
            {
                var isKilled = world.Chance(0.3);
                world.After(world.Between(10_000, 18_000), () =>
                {
                    if (isKilled) cluster.Kill(node);
                    else cluster.Leave(node);
                });
            }

            world.Run(World.StartMs + PhaseMs);
            cluster.Heal();
            var isAtRest = Simulator.ComesToRest(world, cluster);
            if (!isAtRest) verdict = Verdict.NoProgress;
            cluster.Checkers.Judge(workload, isAtRest);
            if (cluster.Checkers.Findings.Any(finding => finding.Text != Simulator.NoRest)) verdict = Verdict.WrongData;
        }
        catch (Exception failure)
        {
            verdict = Verdict.Crash;
            cluster.Checkers.Report(new Finding(failure.ToString()));
        }

        return new TortureResult(seed, verdict, cluster.Checkers.Findings, watch.Pauses, cluster.Checkers.PartsApplied, world.History);
    }

    /// <summary>Rounds on all processors, and their figures.</summary>
    /// <returns>An exit code.</returns>
    public static int RunAll(int first, int rounds, TextWriter output)
    {
        var begun = System.Diagnostics.Stopwatch.StartNew();
        var next = first - 1;
        List<long> pauses = [];
        var parts = 0L;
        TortureResult? worst = null;
        Parallel.For(0, Environment.ProcessorCount, _ =>
        {
            while (Interlocked.Increment(ref next) is var seed && seed < first + rounds)
            {
                if (Volatile.Read(ref worst) is { } known && known.Seed < seed) return;
                var result = Run(seed);
                lock (pauses)
                {
                    pauses.AddRange(result.Pauses);
                    parts += result.PartsApplied;
                    if (result.Verdict != Verdict.Right && (worst is null || seed < worst.Seed)) worst = result;
                }
            }
        });
        if (worst is not null)
        {
            output.WriteLine($"round {worst.Seed}: {worst.Verdict}");
            foreach (var finding in worst.Findings.Take(10)) output.WriteLine("  " + finding.Text);
            foreach (var line in Run(worst.Seed, keepsHistory: true).History.Where(line => worst.Findings[0].Concerns.Count == 0 || worst.Findings[0].Concerns.Any(line.Contains) || line.Contains("joins") || line.Contains("leaves")).TakeLast(100))
                output.WriteLine("  " + (line.Length > 300 ? line[..300] : line));
            return (int)worst.Verdict;
        }

        pauses.Sort();
        output.WriteLine($"{rounds} rounds of 1 to 6 to 1 nodes from seed {first}: 0 lost, 0 twice, 0 stuck, no shard that stayed paused; {parts} parts applied, {pauses.Count} moves, a moved shard is run by nobody for {At(pauses, 0.5)} ms in the median, p99 {At(pauses, 0.99)} ms, at most {At(pauses, 1)} ms; {begun.Elapsed.TotalSeconds:0} s");
        return 0;
    }

    private static long At(List<long> sorted, double part) => sorted.Count == 0 ? 0 : sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * part))];
}
