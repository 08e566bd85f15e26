using System.Text.Json;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Tests;

namespace Analytics.Actors.Integration;

/// <summary>The verb <c>demo</c> as a process: what it reports, what it says of planted faults, how it ends.</summary>
public class DemoTests
{
    private const int LatencyMsMax = 2_000;
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task Two_hundred_simulated_stations_lose_and_double_nothing()
    {
        using var folder = new TestFolder();
        var report = await RunAsync(folder, 0, "--duration", "30s", "--stations", "200");
        CheckPassed(report);
        report.GetProperty("stations").GetInt32().ShouldBeGreaterThan(180);
        // Bad records come on purpose, and every one must have become a dead letter.
        report.GetProperty("bad_records").EnumerateObject().Count(kind => kind.Value.GetInt64() > 0).ShouldBeGreaterThanOrEqualTo(8);
        report.GetProperty("bad_records").EnumerateObject().Sum(kind => kind.Value.GetInt64()).ShouldBeGreaterThanOrEqualTo(20);
        report.GetProperty("dead_letters").GetInt64().ShouldBeGreaterThanOrEqualTo(20);
        Modules(report).ShouldBe(["load_prediction", "evaluation_model", "station_guidance"], ignoreOrder: true);
    }

    [Fact]
    public async Task A_dropped_and_a_doubled_record_are_reported_and_fail_the_run()
    {
        using var folder = new TestFolder();
        var report = await RunAsync(folder, 1, "--duration", "10s", "--stations", "50", "--fault", "drop=1,dup=1");
        report.GetProperty("records_lost").GetInt64().ShouldBe(1);
        report.GetProperty("records_duplicated").GetInt64().ShouldBe(1);
        report.GetProperty("verdict").GetString().ShouldBe("failed");
    }

    [Fact]
    public async Task Three_nodes_as_processes_lose_and_double_nothing()
    {
        using var folder = new TestFolder();
        var report = await RunAsync(folder, 0, "--duration", "15s", "--stations", "50", "--rate", "200", "--nodes", "3");
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

    [SharedDataFact]
    public async Task Real_data_lose_and_double_nothing()
    {
        using var folder = new TestFolder();
        var report = await RunAsync(folder, 0, "--data", SharedData.Path("data"), "--duration", "60s");
        CheckPassed(report);
        report.GetProperty("stations").GetInt32().ShouldBe(37);
        Modules(report).ShouldBe(["load_prediction", "evaluation_model"], ignoreOrder: true);
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
        var report = Read(file);
        CheckPassed(report);
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

    private static async Task<JsonElement> RunAsync(TestFolder folder, int exitCode, params string[] arguments)
    {
        var file = folder.File("report.json");
        using var demo = AnalyticsProcess.Start(folder.Path, ["demo", "--report", file, .. arguments]);
        (await demo.ExitAsync(StartLimit + EndLimit)).ShouldBe(exitCode, demo.State());
        return Read(file);
    }

    private static JsonElement Read(string file) => JsonDocument.Parse(File.ReadAllBytes(file)).RootElement;

    private static void CheckPassed(JsonElement report)
    {
        report.GetProperty("verdict").GetString().ShouldBe("passed");
        report.GetProperty("canary").GetString().ShouldBe("passed");
        report.GetProperty("records_in").GetInt64().ShouldBeGreaterThan(0);
        report.GetProperty("records_lost").GetInt64().ShouldBe(0);
        report.GetProperty("records_duplicated").GetInt64().ShouldBe(0);
        (report.GetProperty("records_applied").GetInt64() + report.GetProperty("records_rejected").GetInt64()).ShouldBe(report.GetProperty("records_in").GetInt64());
        report.GetProperty("batches_completed").GetInt64().ShouldBeGreaterThan(0);
        report.GetProperty("uploads").GetInt64().ShouldBeGreaterThan(0);
        report.GetProperty("upload_faults").GetArrayLength().ShouldBe(0);
        report.GetProperty("latency_ms").GetProperty("p99").GetInt64().ShouldBeLessThan(LatencyMsMax);
        foreach (var module in report.GetProperty("modules").EnumerateArray().Where(module => module.GetProperty("ready_stations").GetInt32() > 0))
        {
            module.GetProperty("called_share").GetDouble().ShouldBeGreaterThanOrEqualTo(0.95, module.GetProperty("module").GetString());
        }

        var letters = report.GetProperty("dead_letter_differences");
        letters.GetProperty("expected").GetInt64().ShouldBe(report.GetProperty("dead_letters").GetInt64());
        foreach (var difference in new[] { "missing", "unexpected", "repeated" }) letters.GetProperty(difference).GetInt32().ShouldBe(0, difference);
    }

    // Those with stations that had all that the module requires.
    private static List<string> Modules(JsonElement report) =>
        [.. report.GetProperty("modules").EnumerateArray().Where(module => module.GetProperty("ready_stations").GetInt32() > 0).Select(module => module.GetProperty("module").GetString()!)];
}
