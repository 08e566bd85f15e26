using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

public enum Verdict { Right = 0, Crash = 3, WrongData = 4, NoProgress = 5 }

/// <summary>What one seed came to.</summary>
public sealed record SimulationResult(int Seed, Verdict Verdict, IReadOnlyList<string> Findings, ulong TraceHash, Faults Faults, Checkers Checkers, IReadOnlyList<string> History);

/// <summary>Runs one seed: a phase with faults, then a healing phase that must come to rest with everything right.</summary>
public static class Simulator
{
    private const int FaultPhaseMs = 20_000;
    private const int HealingLimitMs = 120_000;

    public static SimulationResult Run(int seed, PlantedBug bug, int nodes)
    {
        var world = new World(seed);
        var faults = Faults.Draw(world.Random);
        var settings = new ShardSettings
        {
            Pipeline = Workload.Pipeline,
            Group = "sim",
            ShardCount = world.Random.Next(2, 5),
            StoreId = "5eed5eed5eed",
            DetailedEvents = true,
            // So few that stations are passivated and loaded all the time.
            StationsMax = world.Random.Next(2) == 0 ? 10_000 : world.Random.Next(1, 4),
            PassivateAfterMs = 5_000,
            PartitionCounts = new Dictionary<string, int> { [Workload.FirstOutput] = 2, [Workload.SecondOutput] = 1, ["sim.dead-letters"] = 2 },
        };
        var cluster = new Cluster(world, settings, faults, bug, nodes) { Sources = Workload.Sources };
        var workload = new Workload(world, cluster.Log, world.Random.Next(3, 12));
        var start = world.NowMs;
        SimulationResult Result(Verdict verdict, IReadOnlyList<string> findings) =>
            new(seed, verdict, findings, world.TraceHash, faults, cluster.Checkers, world.History);
        try
        {
            cluster.Start();
            workload.Plan(world.Random.Next(20, 150), FaultPhaseMs - 2_000);
            world.Run(start + FaultPhaseMs);
            cluster.Heal();
            var limit = world.NowMs + HealingLimitMs;
            // Rest has to last: repeats that are still on their way may wake it.
            for (var restedMs = 0; restedMs < 8_000; restedMs = cluster.IsQuiet ? restedMs + 500 : 0)
            {
                if (world.NowMs >= limit) return Result(Verdict.NoProgress, ["the cluster did not come to rest", .. cluster.Restless]);
                world.Run(world.NowMs + 500);
            }

            var findings = cluster.Checkers.Judge(cluster, workload);
            return Result(findings.Count == 0 ? Verdict.Right : Verdict.WrongData, findings);
        }
        catch (Exception failure)
        {
            return Result(Verdict.Crash, [failure.ToString()]);
        }
    }
}
