using System.Text.Json;
using Analytics.Actors.Integration.Support;

namespace Analytics.Actors.Integration;

/// <summary>
/// Tiny runs of the benchmarks with Kafka. Each scenario compares what its nodes have applied and uploaded with what it wrote, and
/// fails where a record is missing or doubled; how fast it was is not asked.
/// </summary>
public class BenchTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    [Theory]
    [InlineData("mix", "keyed; keyed, processor; router; router, against consume; router, processor", "--records", "4000", "--stations", "50")]
    [InlineData("pushes", "keyed; keyed, processor; router; router, against consume; router, processor", "--records", "1000", "--stations", "500")]
    [InlineData("uc2", "keyed; keyed, processor; results", "--records", "20000", "--stations", "50")]
    [InlineData("shuffle", "keyed; keyed, processor; memory", "--records", "2000", "--stations", "500")]
    [InlineData("checkpoints", "200 stations; 200 stations, memory", "--stations", "200", "--seconds", "1")]
    [InlineData("latency", "keyed, p50; keyed, p99; keyed, p99.9; keyed, load; router, p50; router, p99; router, p99.9; router, load", "--records", "1000", "--stations", "50", "--seconds", "1")]
    [InlineData("restart", "100 stations, first record; 100 stations, all shards; 100 stations, slowest takeover", "--stations", "100")]
    public async Task A_scenario_counts_every_record_once_and_leaves_nothing_behind(string scenario, string variants, params string[] options)
    {
        using var folder = new TestFolder();
        using var bench = AnalyticsProcess.Start(folder.Path, [("TMPDIR", folder.Path)], ["bench", scenario, "--runs", "1", "--no-warm-up", "--json", .. options]);
        (await bench.ExitAsync(Limit)).ShouldBe(0, bench.State());
        using var document = JsonDocument.Parse(bench.Output);
        var figures = document.RootElement.EnumerateArray().ToList();
        string.Join("; ", figures.Select(figure => figure.GetProperty("variant").GetString())).ShouldBe(variants);
        foreach (var figure in figures.Where(figure => figure.GetProperty("unit").GetString() is "records/s" or "s")) figure.GetProperty("value").GetDouble().ShouldBeGreaterThan(0, figure.GetRawText());
        Left(folder).ShouldBeEmpty();
    }

    [Fact]
    public async Task Ctrl_C_ends_it_with_all_that_it_started()
    {
        using var folder = new TestFolder();
        using var bench = AnalyticsProcess.Start(folder.Path, [("TMPDIR", folder.Path)], ["bench", "mix", "--records", "4000", "--stations", "50"]);
        // The node has its folder: broker and node run.
        await Wait.UntilAsync(() => Left(folder).Count > 0, Limit, bench.State);
        var children = Children(bench.Id);
        children.ShouldNotBeEmpty();
        bench.Send(Signal.Interrupt);
        (await bench.ExitAsync(Limit)).ShouldBe(1, bench.State());
        bench.Errors.ShouldContain("stopped by a signal");
        Left(folder).ShouldBeEmpty();
        await Wait.UntilAsync(() => children.All(child => !Directory.Exists($"/proc/{child}")), Limit, () => "its children have ended");
    }

    private static List<string> Left(TestFolder folder) => [.. Directory.EnumerateDirectories(folder.Path, "analytics-bench-*")];

    private static List<string> Children(int process) =>
        [.. Directory.EnumerateDirectories($"/proc/{process}/task").SelectMany(task => File.ReadAllText(Path.Combine(task, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries))];
}
