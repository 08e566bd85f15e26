using System.Text.Json;
using Analytics.Actors.Integration.Support;

namespace Analytics.Actors.Integration;

/// <summary>The verb <c>demo</c> as a process: what it reports, what it says of planted faults, how it ends.</summary>
public class DemoTests
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(180);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(180);

    [Fact]
    public async Task A_dropped_and_a_doubled_record_are_reported_and_fail_the_run()
    {
        using var folder = new TestFolder();
        var report = await DemoReports.RunAsync(folder, 1, "--duration", "10s", "--stations", "50", "--fault", "drop=1,dup=1");
        report.GetProperty("records_lost").GetInt64().ShouldBe(1);
        report.GetProperty("records_duplicated").GetInt64().ShouldBe(1);
        report.GetProperty("verdict").GetString().ShouldBe("failed");
    }

    [Fact]
    public async Task Three_nodes_as_processes_lose_and_double_nothing()
    {
        using var folder = new TestFolder();
        var report = await DemoReports.RunAsync(folder, 0, "--duration", "15s", "--stations", "50", "--rate", "200", "--nodes", "3");
        report.GetProperty("verdict").GetString().ShouldBe("passed");
        report.GetProperty("records_lost").GetInt64().ShouldBe(0);
        report.GetProperty("records_duplicated").GetInt64().ShouldBe(0);
        report.GetProperty("calls").GetInt64().ShouldBeGreaterThan(100);
    }

    [Fact]
    public async Task A_demo_that_is_killed_leaves_no_node_behind()
    {
        using var folder = new TestFolder();
        using var demo = AnalyticsProcess.Start(folder.Path, "demo", "--duration", "10min", "--stations", "10", "--nodes", "2", "--keep", folder.File("kept"));
        int Nodes() => Directory.EnumerateDirectories("/proc").Count(process => IsNodeOf(process, folder.File("kept")));
        await Wait.UntilAsync(() => Nodes() == 2, StartLimit, demo.State);
        demo.Send(Signal.Kill);
        await Wait.UntilAsync(() => Nodes() == 0, StartLimit, () => $"{Nodes()} nodes still run");
    }

    private static bool IsNodeOf(string process, string directory)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "cmdline")).Contains($"node\0--config\0{directory}", StringComparison.Ordinal);
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    [Theory]
    [InlineData(Signal.Terminate)]
    [InlineData(Signal.Interrupt)]
    internal async Task A_signal_ends_a_demo_in_order_with_its_report(Signal signal)
    {
        using var folder = new TestFolder();
        var file = folder.File("report.json");
        using var demo = AnalyticsProcess.Start(folder.Path, "demo", "--duration", "10min", "--stations", "50", "--report", file);
        await demo.LineAsync(line => line.Contains("running", StringComparison.Ordinal) && !line.Contains(" 0 uploads", StringComparison.Ordinal), StartLimit);
        demo.Send(signal);
        (await demo.ExitAsync(EndLimit)).ShouldBe(0, demo.State());
        var report = DemoReports.Read(file);
        DemoReports.CheckPassed(report);
        report.GetProperty("seconds").GetDouble().ShouldBeLessThan(300);
    }

    [Theory]
    [InlineData("dance", "dance")]
    [InlineData("demo --speed 3", "--speed")]
    [InlineData("demo --duration fast", "fast")]
    [InlineData("demo --duration 30", "30")]
    [InlineData("demo --stations 0", "--stations 0")]
    [InlineData("demo --nodes 0", "--nodes 0")]
    [InlineData("demo --nodes 2 --fault drop=1", "--fault drop=1")]
    [InlineData("demo --stations many", "many")]
    [InlineData("demo --fault drop", "--fault drop")]
    [InlineData("demo --fault dup=x", "--fault dup=x")]
    [InlineData("demo --fault lose=1", "--fault lose=1")]
    [InlineData("demo --data no-such-folder", "no-such-folder")]
    [InlineData("demo --pipeline no-such-file.json", "no-such-file.json")]
    [InlineData("demo --pipeline wrong.json", "wrong.json: modules.load_prediction.topics")]
    [InlineData("demo --data .", "charged_mel")]
    public async Task Bad_arguments_end_with_2_and_say_what_is_wrong(string arguments, string message)
    {
        using var folder = new TestFolder();
        await File.WriteAllTextAsync(folder.File("wrong.json"), """{"topics": {}, "modules": {"load_prediction": {"topics": ["SCHEDULE-UNKNOWN"]}}}""");
        using var program = AnalyticsProcess.Start(folder.Path, arguments.Split(' '));
        (await program.ExitAsync(StartLimit)).ShouldBe(2, program.State());
        program.Errors.ShouldContain(message);
        program.Output.ShouldNotContain("passed");
    }
}
