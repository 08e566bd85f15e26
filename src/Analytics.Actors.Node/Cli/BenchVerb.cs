using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Node.Bench;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verb <c>bench</c>: how fast this machine does what the product does, beside what it could do at most.</summary>
internal sealed class BenchVerb(IReadOnlyList<IBenchScenario> scenarios)
{
    public Command Command()
    {
        var names = new Argument<string[]>("SCENARIO") { Description = "what to measure [default: all]", Arity = ArgumentArity.ZeroOrMore };
        names.CompletionSources.Add(_ => scenarios.Select(scenario => new System.CommandLine.Completions.CompletionItem(scenario.Name)));
        var runs = Number("--runs", "runs of each variant; their median counts", 1, 1_000);
        var records = Number("--records", "records of a run [default: the scenario's own]", 1_000, 100_000_000);
        var stations = Number("--stations", "stations at most [default: the scenario's own]", 1, 10_000_000);
        var seconds = Number("--seconds", "how long a run lasts that is a matter of time [default: the scenario's own]", 1, 86_400);
        var json = new Option<string?>("--json") { Description = "the figures as JSON, to this file or instead of the table", Arity = ArgumentArity.ZeroOrOne, HelpName = "FILE" };
        var check = new Option<bool>("--check") { Description = "fails (1) where a goal is not met" };
        var cold = new Option<bool>("--no-warm-up") { Description = "the first round counts too" };
        var list = new Option<bool>("--list") { Description = "says what there is, and measures nothing" };
        var command = new Command("bench", "how fast it is on this machine, beside what the client library alone can do") { names, runs, records, stations, seconds, cold, json, check, list };
        command.SetAction((parse, cancellation) =>
        {
            var output = parse.InvocationConfiguration.Output;
            if (parse.GetValue(list))
            {
                output.WriteLine(Tables.Render(["scenario", "measures"], scenarios.Select(scenario => (IReadOnlyList<string>)[scenario.Name, scenario.Description])));
                return Task.FromResult(Verbs.Done);
            }

            var options = new BenchOptions
            {
                Runs = parse.GetValue(runs) ?? new BenchOptions().Runs,
                WarmUp = !parse.GetValue(cold),
                Records = parse.GetValue(records),
                Stations = parse.GetValue(stations),
                Seconds = parse.GetValue(seconds),
            };
            return RunAsync(Chosen(parse.GetValue(names) ?? []), options, parse.GetResult(json) is not null, parse.GetValue(json), parse.GetValue(check), output, parse.InvocationConfiguration.Error, cancellation);
        });
        HelpWithExamples.AddTo(command, """
            Examples:
              analytics bench
              analytics bench mix --runs 9
              analytics bench latency --seconds 30 --json latency.json
              analytics bench mix scale --json --check > figures.json
            """);
        return command;
    }

    private IReadOnlyList<IBenchScenario> Chosen(string[] names)
    {
        if (names.Length == 0) return scenarios;
        if (names.FirstOrDefault(name => scenarios.All(scenario => scenario.Name != name)) is { } unknown)
            throw new BadArgumentsException($"bench {unknown}: there is no such scenario; there are {string.Join(", ", scenarios.Select(scenario => scenario.Name))}");
        return [.. scenarios.Where(scenario => names.Contains(scenario.Name))];
    }

    private static async Task<int> RunAsync(
        IReadOnlyList<IBenchScenario> chosen, BenchOptions options, bool isJson, string? file, bool isChecked, TextWriter output, TextWriter error, CancellationToken cancellation)
    {
        List<BenchFigure> figures = [];
        var failed = false;
        foreach (var scenario in chosen)
        {
            // What is being done goes to stderr: stdout holds the figures alone.
            var progress = new Progress(scenario.Name, error);
            try
            {
                figures.AddRange(await scenario.RunAsync(options, progress, cancellation).ConfigureAwait(false));
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                // What has been measured so far is still told.
                failed = true;
                progress.Say("stopped by a signal");
                break;
            }
            catch (Exception wrong)
            {
                failed = true;
                progress.Say($"failed: {wrong.Message}");
            }
        }

        if (file is not null) await File.WriteAllTextAsync(file, Json(figures) + "\n", CancellationToken.None).ConfigureAwait(false);
        await output.WriteLineAsync(isJson && file is null ? Json(figures) : Table(figures)).ConfigureAwait(false);
        return failed || (isChecked && figures.Any(figure => figure.IsMet == false)) ? Verbs.Failed : Verbs.Done;
    }

    internal static string Table(IReadOnlyList<BenchFigure> figures) => Tables.Render(
        ["scenario", "variant", ">value", ">limit", "unit", ">ratio", ">goal", "met", ">runs"],
        figures.Select(figure => (IReadOnlyList<string>)
        [
            figure.Scenario, figure.Variant, Text(figure.Value), figure.Limit is { } limit ? Text(limit) : "-", figure.Unit, figure.Ratio is { } ratio ? ratio.ToString("0.00", CultureInfo.InvariantCulture) : "-",
            figure.Goal is { } goal ? $"{(goal.IsAtLeast ? ">=" : "<=")} {Text(goal.Bound)}{(goal.IsOfRatio ? " x" : "")}" : "-",
            figure.IsMet switch { true => "yes", false => "no", null => "-" }, figure.Runs.ToString(CultureInfo.InvariantCulture),
        ]));

    /// <summary>The figures, and nothing else: what programs read is not to change with what people see.</summary>
    internal static string Json(IReadOnlyList<BenchFigure> figures) => new JsonArray([.. figures.Select(figure => (JsonNode)new JsonObject
    {
        ["scenario"] = figure.Scenario,
        ["variant"] = figure.Variant,
        ["value"] = Rounded(figure.Value),
        ["unit"] = figure.Unit,
        ["limit"] = figure.Limit is { } limit ? Rounded(limit) : null,
        ["ratio"] = figure.Ratio is { } ratio ? Rounded(ratio) : null,
        ["runs"] = figure.Runs,
    })]).ToJsonString(new JsonSerializerOptions { WriteIndented = true });

    // Four digits are more than a benchmark knows.
    private static double Rounded(double value) => value == 0 || !double.IsFinite(value) ? 0 : double.Parse(value.ToString("G5", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private static string Text(double value) => value.ToString(Math.Abs(value) switch { >= 100 => "#,0", >= 10 => "0.0", >= 1 => "0.00", _ => "0.###" }, CultureInfo.InvariantCulture);

    private static Option<int?> Number(string name, string says, int least, int most) => new(name)
    {
        Description = says,
        CustomParser = argument =>
        {
            var text = argument.Tokens[0].Value;
            if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most) return number;
            argument.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} {text}: must be a whole number, {least} to {most}"));
            return null;
        },
    };

    private sealed class Progress(string scenario, TextWriter error) : IBenchProgress
    {
        private readonly Stopwatch time = Stopwatch.StartNew();

        public void Say(string line) => error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{scenario} {time.Elapsed.TotalSeconds,6:0.0} s  {line}"));
    }
}
