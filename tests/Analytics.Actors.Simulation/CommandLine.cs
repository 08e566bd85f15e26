using System.Diagnostics;
using System.Globalization;

namespace Analytics.Actors.Simulation;

/// <summary>
/// <c>--seeds N [--seed S] [--minutes M] [--nodes K] [--bug NAME] [--all]</c> runs seeds, <c>--torture</c> rounds
/// of 1 to 6 to 1 nodes, <c>--bugs [N]</c> hunts the planted
/// bugs: all, or N of them, others every day. Exit codes: 0 right, 2 bad arguments, 3 crash, 4 wrong data, 5 no progress.
/// </summary>
public static class CommandLine
{
    private const string Usage = "--seeds N [--seed S] [--minutes M] [--nodes K] [--bug NAME] [--all] | --torture [--seeds N] [--seed S] | --bugs [N] [--seeds N] [--seed S] [--nodes K]";

    // Every so many seeds are run twice: the trace must be the same.
    private const int RepeatEvery = 50;

    public static int Run(string[] args)
    {
        try
        {
            var options = Options.Read(args);
            return options.HuntsBugs ? Hunt(options) : options.Tortures ? RebalanceTorture.RunAll(options.First, options.Seeds, Console.Out) : RunSeeds(options);
        }
        catch (FormatException wrong)
        {
            Console.Error.WriteLine($"{wrong.Message}; usage: {Usage}");
            return 2;
        }
    }

    private static int RunSeeds(Options options)
    {
        var begun = Stopwatch.StartNew();
        var limit = options.Minutes is { } minutes ? TimeSpan.FromMinutes(minutes) : TimeSpan.MaxValue;
        var last = options.Minutes is not null && !options.HasSeeds ? int.MaxValue : options.First + options.Seeds - 1;
        var next = options.First - 1;
        var total = new Totals();
        SimulationResult? worst = null;
        Parallel.For(0, Environment.ProcessorCount, _ =>
        {
            while (begun.Elapsed < limit && Interlocked.Increment(ref next) is var seed && seed <= last)
            {
                // After a failure only earlier seeds are still of interest: the first one is told.
                if (Volatile.Read(ref worst) is { } known && known.Seed < seed) return;
                var one = Stopwatch.StartNew();
                var result = Simulator.Run(seed, options.MakeBug(), options.Nodes);
                var isSame = seed % RepeatEvery != 0 || Simulator.Run(seed, options.MakeBug(), options.Nodes).TraceHash == result.TraceHash;
                if (!isSame) result = result with { Verdict = Verdict.WrongData, Findings = [new Finding("a second run of the same seed took another course"), .. result.Findings] };
                lock (total)
                {
                    total.Add(result, one.Elapsed);
                    if (result.Verdict != Verdict.Right && (worst is null || seed < worst.Seed)) worst = result;
                }
            }
        });

        if (worst is not null) return Tell(worst, options);
        Console.WriteLine(total.Describe(options.First, begun.Elapsed));
        if (options is { HasSeeds: true, Seeds: 1 }) Console.WriteLine(Drawn(total.Last!));
        return 0;
    }

    private static int Tell(SimulationResult failed, Options options)
    {
        Console.WriteLine($"seed {failed.Seed}: {failed.Verdict}");
        Console.WriteLine(Drawn(failed));
        foreach (var finding in failed.Findings.Take(10)) Console.WriteLine("  " + finding.Text);
        if (failed.Findings.Count > 10) Console.WriteLine($"  and {failed.Findings.Count - 10} more");
        var again = Simulator.Run(failed.Seed, options.MakeBug(), options.Nodes, keepsHistory: true);
        if (again.TraceHash != failed.TraceHash) Console.WriteLine($"  a second run took another course: its trace is {again.TraceHash:x16}");
        var concerns = failed.Findings.Count > 0 ? failed.Findings[0].Concerns : [];
        var lines = options.ShowsAll || concerns.Count == 0 ? again.History : again.History.Where(line => Concerns(line, concerns)).ToList();
        Console.WriteLine($"history of {(concerns.Count > 0 && !options.ShowsAll ? string.Join(", ", concerns) : "everything")} (ms, {lines.Count} of {again.History.Count} lines{(options.ShowsAll ? "" : "; all of them: --all")}):");
        foreach (var line in options.ShowsAll ? lines : lines.TakeLast(200)) Console.WriteLine("  " + (line.Length > 300 && !options.ShowsAll ? line[..300] + " ..." : line));
        Console.WriteLine($"repeat: dotnet run -c Release --project tests/Analytics.Actors.Simulation -- --seeds 1 --seed {failed.Seed}{(options.Nodes is { } nodes ? $" --nodes {nodes}" : "")}{(options.Bug is { } bug ? $" --bug {bug}" : "")}");
        return (int)failed.Verdict;
    }

    private static string Drawn(SimulationResult result) =>
        $"trace {result.TraceHash:x16}, {result.VirtualMs / 1000.0:0.0} virtual seconds; {Scenario.Describe(result.Scenario)}; faults: {Scenario.Describe(result.Faults)}";

    // A name counts as a whole word: S1 is not S11.
    private static bool Concerns(string line, IReadOnlyList<string> names) => names.Any(name =>
    {
        for (var at = line.IndexOf(name, StringComparison.Ordinal); at >= 0; at = line.IndexOf(name, at + 1, StringComparison.Ordinal))
        {
            var end = at + name.Length;
            if ((at == 0 || !char.IsLetterOrDigit(line[at - 1])) && (end == line.Length || !char.IsLetterOrDigit(line[end]))) return true;
        }

        return line.Contains(" healing", StringComparison.Ordinal) || line.Contains("backup", StringComparison.Ordinal);
    });

    // Every planted bug has to be found; how many seeds that takes is the simulator's own measure.
    private static int Hunt(Options options)
    {
        var all = PlantedBugs.All;
        var hunted = all.ToList();
        if (options.BugCount is { } count && count < all.Count)
        {
            var from = (int)(DateTimeOffset.UtcNow.ToUnixTimeSeconds() / 86_400 * count % all.Count);
            hunted = Enumerable.Range(from, count).Select(index => all[index % all.Count]).ToList();
        }

        var most = options.HasSeeds ? options.Seeds : 2_000;
        var needed = new int?[hunted.Count];
        var next = -1;
        Parallel.For(0, Environment.ProcessorCount, _ =>
        {
            while (Interlocked.Increment(ref next) is var index && index < hunted.Count)
            {
                var bug = hunted[index]();
                var found = Enumerable.Range(options.First, most).Select(seed => Simulator.Run(seed, hunted[index](), options.Nodes)).FirstOrDefault(result => result.Verdict != Verdict.Right);
                needed[index] = found is null ? null : found.Seed - options.First + 1;
                var what = found is null ? $"NOT FOUND in {most} seeds" : $"found by seed {found.Seed}: {found.Findings[0].Text.Split('\n')[0]}";
                lock (needed) Console.WriteLine($"{bug.Name} (breaks {bug.Breaks}): {(what.Length > 300 ? what[..300] + " ..." : what)}");
            }
        });

        var sorted = needed.OfType<int>().Order().ToList();
        Console.WriteLine($"{sorted.Count} of {hunted.Count} planted bugs found{(sorted.Count > 0 ? $"; seeds needed: median {sorted[sorted.Count / 2]}, most {sorted[^1]}" : "")}");
        return sorted.Count == hunted.Count ? 0 : (int)Verdict.WrongData;
    }

    private sealed class Totals
    {
        private readonly List<double> seconds = [];
        private long parts, sentOn, uploads, revisions, timedOut, passivated, steered, virtualMs;

        public SimulationResult? Last { get; private set; }

        public void Add(SimulationResult result, TimeSpan took)
        {
            Last = result;
            seconds.Add(took.TotalSeconds);
            parts += result.Checkers.PartsApplied;
            sentOn += result.Checkers.PartsSentOn;
            uploads += result.Checkers.Uploads;
            revisions += result.Checkers.Revisions;
            timedOut += result.Checkers.BatchesTimedOut;
            passivated += result.Checkers.Passivated;
            steered += result.Checkers.StationsSteered;
            virtualMs += result.VirtualMs;
        }

        public string Describe(int first, TimeSpan elapsed) => string.Create(CultureInfo.InvariantCulture,
            $"{seconds.Count} seeds from {first}: right, {virtualMs / 3_600_000.0:0.0} virtual hours in {elapsed.TotalSeconds:0} s ({parts} parts applied, {sentOn} sent on by the shard that read them, {uploads} uploads, {revisions} of them revisions, {timedOut} batches by deadline, {passivated} stations passivated, {steered} orders for stations; a seed takes {seconds.Order().ElementAt(seconds.Count / 2):0.00} s in the median)");
    }

    private sealed record Options
    {
        public int Seeds { get; private init; } = 200;
        public bool HasSeeds { get; private init; }
        public int First { get; private init; } = 1;
        public int? Nodes { get; private init; }
        public double? Minutes { get; private init; }
        public string? Bug { get; private init; }
        public bool HuntsBugs { get; private init; }
        public bool Tortures { get; private init; }
        public int? BugCount { get; private init; }
        public bool ShowsAll { get; private init; }

        public PlantedBug MakeBug() => Bug is null ? PlantedBug.None : PlantedBugs.Find(Bug)!();

        public static Options Read(string[] args)
        {
            var options = new Options();
            for (var at = 0; at < args.Length; at++)
            {
                var name = args[at];
                string? Value() => at + 1 < args.Length && !args[at + 1].StartsWith("--", StringComparison.Ordinal) ? args[++at] : null;
                int Number(int least) => int.TryParse(Value(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least
                    ? number
                    : throw new FormatException($"{name} wants a number of at least {least}");
                options = name switch
                {
                    "--seeds" => options with { Seeds = Number(1), HasSeeds = true },
                    "--seed" => options with { First = Number(0) },
                    "--nodes" => options with { Nodes = Number(1) },
                    "--minutes" => options with { Minutes = Number(1) },
                    "--torture" => options with { Tortures = true },
                    "--all" => options with { ShowsAll = true },
                    "--bug" => options with { Bug = Value() is { } bug && PlantedBugs.Find(bug) is not null ? bug : throw new FormatException($"--bug wants one of {string.Join(", ", PlantedBugs.All.Select(make => make().Name))}") },
                    "--bugs" => options with { HuntsBugs = true, BugCount = at + 1 < args.Length && !args[at + 1].StartsWith("--", StringComparison.Ordinal) ? Number(1) : null },
                    _ => throw new FormatException($"{name} is not an option"),
                };
            }

            return options;
        }
    }
}
