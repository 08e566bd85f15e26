using System.CommandLine;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Node.Bench;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Tests.CommandLines;

/// <summary>The verb <c>bench</c> around scenarios: what it takes, prints and returns. What they measure is not asked here.</summary>
public sealed class BenchVerbTests
{
    private static readonly BenchFigure Fast = new("sums", "fast", 812_345.6, "records/s", 1_000_000, 0.8123456, 5) { Goal = BenchGoal.RatioAtLeast(0.8) };
    private static readonly BenchFigure Slow = new("sums", "slow", 312.49, "ms", null, null, 5) { Goal = BenchGoal.AtMost(250) };
    private static readonly BenchFigure Told = new("sums", "told", 2.345, "us/record", 1.2, 1.954, 3);

    [Fact]
    public async Task The_figures_are_a_table_with_goals_and_whether_they_are_met()
    {
        var run = await RunAsync([new Fixed("sums", Fast, Slow, Told)], "bench");
        run.Code.ShouldBe(0);
        run.Row("scenario").ShouldBe(["scenario", "variant", "value", "limit", "unit", "ratio", "goal", "met", "runs"]);
        run.Row("sums      fast").ShouldBe(["sums", "fast", "812,346", "1,000,000", "records/s", "0.81", ">=", "0.8", "x", "yes", "5"]);
        run.Row("sums      slow").ShouldBe(["sums", "slow", "312", "-", "ms", "-", "<=", "250", "no", "5"]);
        run.Row("sums      told").ShouldBe(["sums", "told", "2.35", "1.20", "us/record", "1.95", "-", "-", "3"]);
        run.Error.ShouldContain("half of it is done");
    }

    [Fact]
    public async Task As_JSON_they_are_a_list_and_nothing_else()
    {
        var run = await RunAsync([new Fixed("sums", Fast, Slow)], "bench", "--json");
        using var document = JsonDocument.Parse(run.Output);
        var figures = document.RootElement.EnumerateArray().ToList();
        figures.Count.ShouldBe(2);
        foreach (var figure in figures) figure.EnumerateObject().Select(member => member.Name).ShouldBe(["scenario", "variant", "value", "unit", "limit", "ratio", "runs"]);
        figures[0].GetProperty("value").GetDouble().ShouldBe(812_350);
        figures[0].GetProperty("ratio").GetDouble().ShouldBe(0.81235);
        figures[1].GetProperty("limit").ValueKind.ShouldBe(JsonValueKind.Null);
        figures[1].GetProperty("ratio").ValueKind.ShouldBe(JsonValueKind.Null);
    }

    [Fact]
    public async Task A_file_takes_the_JSON_and_the_table_is_still_shown()
    {
        var file = Path.GetTempFileName();
        try
        {
            var run = await RunAsync([new Fixed("sums", Fast)], "bench", "--json", file);
            run.Output.ShouldContain("812,346");
            using var document = JsonDocument.Parse(await File.ReadAllTextAsync(file));
            document.RootElement.GetArrayLength().ShouldBe(1);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Check_fails_where_a_goal_is_missed()
    {
        (await RunAsync([new Fixed("sums", Fast, Told)], "bench", "--check")).Code.ShouldBe(0);
        (await RunAsync([new Fixed("sums", Fast, Slow)], "bench", "--check")).Code.ShouldBe(1);
        (await RunAsync([new Fixed("sums", Fast, Slow)], "bench")).Code.ShouldBe(0);
    }

    [Fact]
    public async Task What_went_wrong_fails_and_the_others_are_still_told()
    {
        var run = await RunAsync([new Fixed("broken"), new Fixed("sums", Fast)], "bench");
        run.Code.ShouldBe(1);
        run.Error.ShouldContain("failed: nothing was measured");
        run.Output.ShouldContain("812,346");
    }

    [Fact]
    public async Task Scenarios_are_chosen_by_name_in_their_own_order_and_hear_the_options()
    {
        var (first, second, third) = (new Fixed("first", Fast), new Fixed("second", Fast), new Fixed("third", Fast));
        await RunAsync([first, second, third], "bench", "third", "first", "--runs", "7", "--records", "5000", "--stations", "10", "--seconds", "3", "--no-warm-up");
        first.Asked.ShouldBe(new BenchOptions { Runs = 7, WarmUp = false, Records = 5_000, Stations = 10, Seconds = 3 });
        second.Asked.ShouldBeNull();
        third.Asked.ShouldNotBeNull();
        await RunAsync([second], "bench");
        second.Asked.ShouldBe(new BenchOptions { Runs = 5 });
    }

    [Fact]
    public async Task The_list_names_every_scenario()
    {
        var run = await CommandRun.RunAsync("bench", "--list");
        run.Code.ShouldBe(0);
        foreach (var scenario in BenchScenarios.All) run.Row(scenario.Name + " ").Length.ShouldBeGreaterThan(3);
    }

    [Theory]
    [InlineData("bench nonsense: there is no such scenario; there are mix, ", "nonsense")]
    [InlineData("--runs 0: must be a whole number, 1 to 1000", "mix", "--runs", "0")]
    [InlineData("--records 1e6: must be a whole number, 1000 to 100000000", "--records", "1e6")]
    public async Task Wrong_arguments_are_refused(string message, params string[] arguments)
    {
        var run = await CommandRun.RunAsync(["bench", .. arguments]);
        run.Code.ShouldBe(2);
        run.Error.ShouldContain(message);
    }

    [Fact]
    public async Task Its_help_has_examples()
    {
        var run = await CommandRun.RunAsync("bench", "--help");
        run.Output.ShouldContain("Examples:");
        run.Output.ShouldNotContain("bench-node");
    }

    [Fact]
    public void A_log_notices_a_record_that_is_missing_or_applied_twice()
    {
        var log = new BenchLog([]);
        var workload = new ScaleWorkload(1);
        TopicPartition partition = default;
        for (var number = 0; number < 3; number++) partition = log.Add(workload.At(number), hasPart: number != 1);
        (log.Records, log.Parts).ShouldBe((3, 2));
        AppliedMark Applied(params int[] offsets)
        {
            var witness = offsets.Aggregate(default(Witness), (sum, offset) => sum.With(new Place(offset, 0, 0)));
            return new AppliedMark(partition.Partition, partition.Topic, partition.Partition, witness.Count, witness.Hash);
        }

        log.Difference([Applied(0, 2)]).ShouldBeEmpty();
        log.Difference([Applied(0)]).ShouldContain("1 records instead of 2");
        log.Difference([Applied(0, 2, 2)]).ShouldContain("3 records instead of 2");
        log.Difference([Applied(0, 1)]).ShouldContain("not applied exactly once");
        log.Difference([]).ShouldContain("0 records instead of 2");
    }

    [Fact]
    public void Medians_are_of_runs_and_ratios_run_by_run()
    {
        var figure = Medians.Figure("s", "v", [10, 40, 30], "x", [10, 20, 60]);
        (figure.Value, figure.Limit, figure.Ratio, figure.Runs).ShouldBe((30, 20, 1, 3));
        Medians.Of([1, 2, 3, 10]).ShouldBe(2.5);
    }

    private static async Task<CommandRun> RunAsync(IReadOnlyList<IBenchScenario> scenarios, params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var root = new RootCommand { new BenchVerb(scenarios).Command() };
        var code = await root.Parse(arguments).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, Output = output, Error = error });
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    /// <summary>A scenario whose figures are known; without any it fails.</summary>
    private sealed class Fixed(string name, params BenchFigure[] figures) : IBenchScenario
    {
        public string Name => name;

        public string Description => "figures that are known";

        public BenchOptions? Asked { get; private set; }

        public Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
        {
            Asked = options;
            progress.Say("half of it is done");
            return figures.Length > 0 ? Task.FromResult<IReadOnlyList<BenchFigure>>(figures) : throw new BenchFailedException("nothing was measured");
        }
    }
}
