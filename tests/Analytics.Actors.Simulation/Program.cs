using System.Globalization;
using Analytics.Actors.Simulation;

// dotnet run -c Release --project tests/Analytics.Actors.Simulation -- --seeds N [--seed S] [--nodes K] [--bug NAME] [--bugs]
var seeds = Option("--seeds", 200);
var first = Option("--seed", 1);
var nodes = Option("--nodes", 3);
if (args.Contains("--bugs")) return HuntBugs();
var bugName = Array.IndexOf(args, "--bug") is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : PlantedBug.None.Name;
var bug = bugName == PlantedBug.None.Name ? PlantedBug.None : PlantedBug.All.FirstOrDefault(known => known.Name == bugName);
if (bug is null)
{
    Console.Error.WriteLine($"--bug: there is no planted bug '{bugName}'; there are: {string.Join(", ", PlantedBug.All.Select(known => known.Name))}");
    return 2;
}

long parts = 0, uploads = 0, timedOut = 0, passivated = 0;
for (var seed = first; seed < first + seeds; seed++)
{
    var result = Simulator.Run(seed, bug, nodes);
    parts += result.Checkers.PartsApplied;
    uploads += result.Checkers.Uploads;
    timedOut += result.Checkers.BatchesTimedOut;
    passivated += result.Checkers.Passivated;
    if (result.Verdict == Verdict.Right)
    {
        if (seeds == 1) Console.WriteLine($"seed {seed}: right, trace {result.TraceHash:x16}, {result.Faults}");
        continue;
    }

    Console.WriteLine($"seed {seed}: {result.Verdict}, trace {result.TraceHash:x16}, {result.Faults}");
    foreach (var finding in result.Findings) Console.WriteLine("  " + finding);
    foreach (var line in result.History.TakeLast(seeds == 1 ? 4_000 : 20)) Console.WriteLine("    " + line);
    Console.WriteLine($"repeat: dotnet run -c Release --project tests/Analytics.Actors.Simulation -- --seeds 1 --seed {seed} --nodes {nodes}{(bug == PlantedBug.None ? "" : " --bug " + bug.Name)}");
    return (int)result.Verdict;
}

Console.WriteLine($"{seeds} seeds from {first}: right ({parts} parts applied, {uploads} uploads, {timedOut} batches by deadline, {passivated} stations passivated)");
return 0;

int Option(string name, int otherwise) =>
    Array.IndexOf(args, name) is >= 0 and var index && index + 1 < args.Length ? int.Parse(args[index + 1], CultureInfo.InvariantCulture) : otherwise;

// Every planted bug has to be found; how many seeds that takes is the simulator's own measure.
int HuntBugs()
{
    var missed = 0;
    foreach (var planted in PlantedBug.All)
    {
        var found = Enumerable.Range(first, seeds).Select(seed => Simulator.Run(seed, planted, nodes)).FirstOrDefault(result => result.Verdict != Verdict.Right);
        Console.WriteLine(found is null ? $"{planted.Name}: NOT FOUND in {seeds} seeds" : $"{planted.Name}: found by seed {found.Seed}: {found.Findings[0].Split('\n')[0]}");
        if (found is null) missed++;
    }

    return missed == 0 ? 0 : (int)Verdict.WrongData;
}
