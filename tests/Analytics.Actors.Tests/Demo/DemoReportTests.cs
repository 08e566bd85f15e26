using System.Text.Json;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Tests.Demo;

public class DemoReportTests
{
    [Fact]
    public void The_contracts_members_are_there_under_their_names()
    {
        var json = JsonDocument.Parse(FlawlessRun.OfFleet(stations: 10, seconds: 8).Report().ToJson()).RootElement;
        foreach (var name in (string[])
        [
            "records_in", "records_applied", "records_lost", "records_duplicated", "stations", "calls", "results", "batches_completed",
            "batches_timed_out", "uploads", "dead_letters", "seconds", "records_per_second",
        ])
            json.GetProperty(name).ValueKind.ShouldBe(JsonValueKind.Number, name);
        foreach (var name in (string[])["p50", "p99", "max"]) json.GetProperty("latency_ms").GetProperty(name).ValueKind.ShouldBe(JsonValueKind.Number, name);
        json.GetProperty("latency_ms").EnumerateObject().Count().ShouldBe(3);
        json.GetProperty("canary").GetString().ShouldBe("passed");
        json.GetProperty("verdict").GetString().ShouldBe("passed");
        json.GetProperty("seconds").GetDouble().ShouldBe(20);
        json.GetProperty("records_per_second").GetDouble().ShouldBe(Math.Round(json.GetProperty("records_in").GetInt64() / 20.0, 1));
        json.TryGetProperty("exit_code", out _).ShouldBeFalse();
    }

    [Fact]
    public void The_text_says_what_failed()
    {
        var run = FlawlessRun.OfFleet(stations: 10, seconds: 8);
        run.DeadLetters.RemoveAt(0);
        var text = run.Report().ToText();
        text.ShouldContain("FAILED every dead letter is there, and no other: ");
        text.ShouldContain("ok     every part was applied exactly once");
        text.TrimEnd().ShouldEndWith("failed");
    }

    [Fact]
    public void A_check_of_the_demo_itself_counts()
    {
        var run = FlawlessRun.OfFleet(stations: 10, seconds: 8);
        run.Feed();
        DemoReport.Of(run.Ledger.Verdict(run.MarkList), run.Ledger.Canary(run.MarkList), new NodeCounters(0, 0, 0, 0), 8, [new LedgerCheck("the drain ended", false, "after 30 s")]).ExitCode.ShouldBe(1);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(511)]
    [InlineData(512)]
    [InlineData(70_000)]
    [InlineData(int.MaxValue)]
    public void A_latency_is_kept_to_one_part_in_128(long value)
    {
        var latency = new LatencyHistogram();
        latency.Add(value);
        latency.Add(int.MaxValue);
        latency.Quantile(0.5).ShouldBeInRange(value, value + value / 128);
        latency.MaxMs.ShouldBe(int.MaxValue);
    }

    [Fact]
    public void Quantiles_are_those_of_the_sorted_latencies()
    {
        var latency = new LatencyHistogram();
        latency.Quantile(0.5).ShouldBe(0);
        for (var value = 1; value <= 200; value++) latency.Add(value);
        (latency.Quantile(0.50), latency.Quantile(0.99), latency.Quantile(1.0), latency.MaxMs).ShouldBe((100L, 198L, 200L, 200L));
        var more = new LatencyHistogram();
        more.Add(-5);
        more.Add(latency);
        (more.Count, more.Quantile(0.0)).ShouldBe((201L, 0L));
    }
}
