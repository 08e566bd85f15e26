using Analytics.Actors.Node.Bench;
using Analytics.Actors.Node.Bench.InProcess;
using Shouldly;
using Xunit;

namespace Analytics.Actors.Tests.Bench;

/// <summary>The benchmarks without Kafka do what they say, on a small scale. Each of them refuses by itself where a record was not applied.</summary>
public sealed class InProcessScenarioTests
{
    public static TheoryData<string, int> Scenarios => new()
    {
        { "decode", 2 }, { "grid", 1 }, { "inputs", 6 }, { "memory", 1 }, { "recovery", 1 }, { "allocations", 2 },
    };

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task A_small_run_gives_its_figures(string name, int figures)
    {
        var scenario = InProcessScenario.All.Single(scenario => scenario.Name == name);
        var options = new BenchOptions { Runs = 1, Records = 1_000, Stations = name == "recovery" ? 1_000 : 20 };

        var found = await scenario.RunAsync(options, new Silent(), CancellationToken.None);

        found.Count.ShouldBe(figures);
        found.ShouldAllBe(figure => figure.Scenario == name && figure.Value > 0 && figure.Runs == 1);
        found.ShouldAllBe(figure => figure.Limit == null || figure.Ratio == figure.Value / figure.Limit);
        found.Select(figure => figure.Variant).ShouldBeUnique();
    }

    private sealed class Silent : IBenchProgress
    {
        public void Say(string line) { }
    }
}
