using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

public enum Verdict { Right = 0, Crash = 3, WrongData = 4, NoProgress = 5 }

/// <summary>What one seed came to.</summary>
/// <param name="VirtualMs">How long the run took on its own clock.</param>
public sealed record SimulationResult(
    int Seed, Verdict Verdict, IReadOnlyList<Finding> Findings, ulong TraceHash, Scenario Scenario, Faults Faults, Checkers Checkers,
    IReadOnlyList<string> History, long VirtualMs);

/// <summary>Runs one seed: a phase with faults, then a healing phase that must come to rest with everything right.</summary>
public static class Simulator
{
    private const int FaultPhaseMs = 20_000;
    private const int HealingLimitMs = 180_000;

    public static SimulationResult Run(int seed, PlantedBug bug, int? nodes, bool keepsHistory = false)
    {
        var world = new World(seed, keepsHistory);
        var scenario = Scenario.Draw(world.Random, nodes);
        var faults = Faults.Draw(world.Random);
        var settings = new ShardSettings
        {
            Pipeline = Workload.Pipelines[world.Random.Next(Workload.Pipelines.Count)],
            Group = "sim",
            ShardCount = scenario.Shards,
            StoreId = "5eed5eed5eed",
            DetailedEvents = true,
            EnvelopeBytesMax = scenario.EnvelopeBytesMax,
            CallsMax = scenario.CallsMax,
            OutboxBytesMax = scenario.OutboxBytesMax,
            StationsMax = scenario.StationsMax,
            PassivateAfterMs = scenario.PassivateAfterMs,
            RetainedStationsMax = scenario.RetainedStationsMax,
            ArrivalsMax = scenario.ArrivalsMax,
            PartitionCounts = PartitionCounts,
        };
        var cluster = new Cluster(world, scenario, settings, faults, bug) { Sources = Workload.Sources(settings) };
        var workload = new Workload(world, cluster.Log, settings, scenario.Stations);
        cluster.Checkers.Routed = new RoutedChecker(cluster, workload);
        var verdict = Verdict.Right;
        try
        {
            cluster.Start();
            new Disturbances(cluster).Start(FaultPhaseMs);
            workload.Plan(scenario.Records, scenario.Poisons, FaultPhaseMs - 2_000);
            world.Run(World.StartMs + FaultPhaseMs);
            cluster.Heal();
            var isAtRest = ComesToRest(world, cluster);
            if (!isAtRest) verdict = Verdict.NoProgress;
            cluster.Checkers.Judge(workload, isAtRest);
            if (cluster.Checkers.Findings.Any(finding => finding.Text != NoRest)) verdict = Verdict.WrongData;
        }
        catch (Exception failure)
        {
            verdict = Verdict.Crash;
            cluster.Checkers.Report(new Finding(failure.ToString()));
        }

        return new SimulationResult(seed, verdict, cluster.Checkers.Findings, world.TraceHash, scenario, faults, cluster.Checkers, world.History, world.NowMs - World.StartMs);
    }

    internal static readonly Dictionary<string, int> PartitionCounts = new() { [Workload.FirstOutput] = 2, [Workload.SecondOutput] = 1, [Workload.WatchOutput] = 1, [Workload.SpanOutput] = 2, ["sim.dead-letters"] = 2 };

    internal const string NoRest = "the cluster did not come to rest";

    // Rest has to last: repeats that are still on their way may wake it. Then every node stops in order.
    internal static bool ComesToRest(World world, Cluster cluster)
    {
        var limit = world.NowMs + HealingLimitMs;
        for (var restedMs = 0; restedMs < 8_000; restedMs = cluster.Restless.Any() ? 0 : restedMs + 500)
        {
            if (world.NowMs >= limit) return Fail(cluster);
            world.Run(world.NowMs + 500);
        }

        cluster.Stop();
        for (var waitedMs = 0; !cluster.IsStopped; waitedMs += 500)
        {
            if (waitedMs > 20_000) return Fail(cluster);
            world.Run(world.NowMs + 500);
        }

        return true;
    }

    private static bool Fail(Cluster cluster)
    {
        var restless = cluster.Restless.ToList();
        cluster.Checkers.Report(new Finding(NoRest, restless.Select(line => line.Split(' ')).Where(words => words.Length > 2 && words[1] == "shard").Select(words => "shard " + words[2]).Distinct().ToArray()));
        foreach (var line in restless) cluster.World.Note("restless: " + line);
        return false;
    }
}
