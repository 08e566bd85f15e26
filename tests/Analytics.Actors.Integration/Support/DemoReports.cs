using System.Text.Json;

namespace Analytics.Actors.Integration.Support;

/// <summary>Runs of the verb <c>demo</c> as a process, and what its reports must say.</summary>
internal static class DemoReports
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(300);

    public static async Task<JsonElement> RunAsync(TestFolder folder, int exitCode, params string[] arguments)
    {
        var file = folder.File("report.json");
        using var demo = AnalyticsProcess.Start(folder.Path, ["demo", "--report", file, .. arguments]);
        (await demo.ExitAsync(EndLimit)).ShouldBe(exitCode, demo.State());
        return Read(file);
    }

    public static JsonElement Read(string file) => JsonDocument.Parse(File.ReadAllBytes(file)).RootElement;

    public static void CheckPassed(JsonElement report)
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
        foreach (var module in report.GetProperty("modules").EnumerateArray().Where(module => module.GetProperty("ready_stations").GetInt32() > 0))
        {
            module.GetProperty("called_share").GetDouble().ShouldBeGreaterThanOrEqualTo(0.95, module.GetProperty("module").GetString());
        }

        var letters = report.GetProperty("dead_letter_differences");
        letters.GetProperty("expected").GetInt64().ShouldBe(report.GetProperty("dead_letters").GetInt64());
        foreach (var difference in new[] { "missing", "unexpected", "repeated" }) letters.GetProperty(difference).GetInt32().ShouldBe(0, difference);
    }

    // Those with stations that had all that the module requires.
    public static List<string> Modules(JsonElement report) =>
        [.. report.GetProperty("modules").EnumerateArray().Where(module => module.GetProperty("ready_stations").GetInt32() > 0).Select(module => module.GetProperty("module").GetString()!)];
}
