using Analytics.Actors.Core.Positions;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text.RegularExpressions;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Node.Metrics;
using Xunit.Abstractions;

namespace Analytics.Actors.Tests.Metrics;

/// <summary>What the host reports, and what a scraper then reads.</summary>
public sealed partial class NodeMetricsTests(ITestOutputHelper output) : IDisposable
{
    private readonly NodeMetrics metrics = new();

    public void Dispose() => metrics.Dispose();

    [Theory]
    [InlineData("data_analysis_processed_total", "counter")]
    [InlineData("data_analysis_errors_total", "counter")]
    [InlineData("data_analysis_station_count", "gauge")]
    [InlineData("data_analysis_memory_usage", "gauge")]
    [InlineData("data_analysis_processing_seconds", "histogram")]
    [InlineData("batch_success_total", "counter")]
    [InlineData("batch_timeout_total", "counter")]
    [InlineData("batch_station_count", "histogram")]
    [InlineData("data_quality_availability_ratio", "histogram")]
    [InlineData("data_quality_missing_topics", "gauge")]
    public void The_contract_s_metrics_are_there_from_the_beginning(string name, string type) =>
        Scrape().Families[name].Type.ShouldBe(type);

    [Fact]
    public void Counters_without_labels_begin_at_zero()
    {
        var scraped = Scrape();
        scraped.Value("data_analysis_processed_total").ShouldBe(0);
        scraped.Value("batch_success_total").ShouldBe(0);
        scraped.Value("batch_timeout_total").ShouldBe(0);
    }

    [Fact]
    public void Records_calls_and_errors_are_counted_by_their_labels()
    {
        metrics.RecordsApplied("PARAM", 3);
        metrics.RecordsApplied("PARAM", 4);
        metrics.RecordsApplied("WEATHER", 1);
        metrics.RecordsFetched("PARAM", 2);
        metrics.CallFinished("pv_prediction", 0.003, CallOutcomeKind.Result);
        metrics.CallFinished("pv_prediction", 0.2, CallOutcomeKind.Result);
        metrics.CallFinished("pv_prediction", 0.1, CallOutcomeKind.Nothing);
        metrics.CallFinished("pv_prediction", 0.1, CallOutcomeKind.Error);
        metrics.CallFinished("pv_prediction", 0.1, CallOutcomeKind.Error);
        metrics.CallFinished("SOH_model", 30, CallOutcomeKind.Timeout);
        metrics.InputProcessed("pv_prediction", 0.004, CallOutcomeKind.Result);
        metrics.InputProcessed("pv_prediction", 0.3, CallOutcomeKind.Result);
        metrics.InputProcessed("pv_prediction", 0.2, CallOutcomeKind.Nothing);
        metrics.InputProcessed("pv_prediction", 1.5, CallOutcomeKind.Error);
        metrics.InputProcessed("SOH_model", 31, CallOutcomeKind.Timeout);
        metrics.DeadLettered("PARAM", "not_json");
        metrics.CheckpointFailed(CheckpointFailure.Fenced);

        var scraped = Scrape();
        scraped.Value("data_analysis_records_total", "topic", "PARAM").ShouldBe(7);
        scraped.Value("data_analysis_records_total", "topic", "WEATHER").ShouldBe(1);
        scraped.Value("data_analysis_fetched_records_total", "topic", "PARAM").ShouldBe(2);
        scraped.Value("data_analysis_processed_total").ShouldBe(5);
        scraped.Value("data_analysis_results_total", "module", "pv_prediction").ShouldBe(2);
        scraped.Value("data_analysis_processing_seconds_count").ShouldBe(5);
        scraped.Value("data_analysis_call_seconds_count", "module", "pv_prediction", "outcome", "result").ShouldBe(2);
        scraped.Value("data_analysis_call_seconds_sum", "module", "pv_prediction", "outcome", "result").ShouldBe(0.203, 1e-12);
        scraped.Value("data_analysis_call_seconds_count", "module", "pv_prediction", "outcome", "nothing").ShouldBe(1);
        scraped.Value("data_analysis_call_seconds_count", "module", "pv_prediction", "outcome", "error").ShouldBe(2, "each attempt is a call");
        scraped.Value("data_analysis_call_seconds_count", "module", "SOH_model", "outcome", "timeout").ShouldBe(1);
        scraped.Value("data_analysis_errors_total", "error_type", "call_error").ShouldBe(1);
        scraped.Value("data_analysis_errors_total", "error_type", "call_timeout").ShouldBe(1);
        scraped.Value("data_analysis_errors_total", "error_type", "dead_letter").ShouldBe(1);
        scraped.Value("data_analysis_errors_total", "error_type", "checkpoint").ShouldBe(1);
        scraped.Value("data_analysis_dead_letters_total", "topic", "PARAM", "reason", "not_json").ShouldBe(1);
        scraped.Value("data_analysis_checkpoint_failures_total", "outcome", "fenced").ShouldBe(1);
    }

    [Fact]
    public void Batches_quality_and_dependencies_are_counted()
    {
        metrics.BatchCompleted(1);
        metrics.BatchCompleted(120);
        metrics.BatchCompleted(1_000_000);
        metrics.BatchTimedOut();
        metrics.BatchEmpty();
        metrics.BatchRevised();
        metrics.BatchRevised();
        metrics.BatchForgotten();
        metrics.BatchAnswersLate(2);
        metrics.InputAssembled("pv_prediction", Quality(available: 1, missing: 3));
        metrics.InputAssembled("pv_prediction", Quality(available: 2, missing: 2));
        metrics.DependencySeen("station_guidance", "load_prediction", available: true);
        metrics.DependencySeen("station_guidance", "load_prediction", available: false);
        metrics.DependencySeen("station_guidance", "load_prediction", available: false);

        var scraped = Scrape();
        scraped.Value("batch_success_total").ShouldBe(3);
        scraped.Value("batch_timeout_total").ShouldBe(1);
        scraped.Value("batch_empty_total").ShouldBe(1);
        scraped.Value("batch_revisions_total").ShouldBe(2);
        scraped.Value("batch_forgotten_total").ShouldBe(1);
        scraped.Value("batch_late_answers_total").ShouldBe(2);
        scraped.Value("batch_station_count_bucket", "le", "1").ShouldBe(1, "a bound belongs to its bucket");
        scraped.Value("batch_station_count_bucket", "le", "100").ShouldBe(1);
        scraped.Value("batch_station_count_bucket", "le", "200").ShouldBe(2);
        scraped.Value("batch_station_count_bucket", "le", "10000").ShouldBe(2);
        scraped.Value("batch_station_count_bucket", "le", "+Inf").ShouldBe(3);
        scraped.Value("batch_station_count_sum").ShouldBe(1_000_121);
        scraped.Value("data_quality_availability_ratio_count").ShouldBe(2);
        scraped.Value("data_quality_availability_ratio_sum").ShouldBe(0.75);
        scraped.Value("data_quality_missing_topics", "module", "pv_prediction").ShouldBe(2, "the latest input counts");
        scraped.Value("data_analysis_dependency_inputs_total", "module", "station_guidance", "dependency", "load_prediction", "available", "true").ShouldBe(1);
        scraped.Value("data_analysis_dependency_inputs_total", "module", "station_guidance", "dependency", "load_prediction", "available", "false").ShouldBe(2);
    }

    [Fact]
    public void Everything_else_arrives_under_its_name()
    {
        metrics.Produced("MODULE-OUTPUT-PV_PREDICTION", 0.004);
        metrics.CheckpointCommitted(0.02, 70_000, 16);
        metrics.LateItems("SCHEDULE-CAR-ORDER", 2);
        metrics.GapSkipped("PARAM", GapReason.Recreated, 500);
        metrics.PartitionStopped(new("PARAM", 3));
        metrics.RecordsMissing("PARAM", 1);
        metrics.RecordMisrouted("METER");

        var scraped = Scrape();
        scraped.Value("data_analysis_produce_seconds_count", "topic", "MODULE-OUTPUT-PV_PREDICTION").ShouldBe(1);
        scraped.Value("data_analysis_checkpoint_seconds_sum").ShouldBe(0.02);
        scraped.Value("data_analysis_checkpoint_bytes_sum").ShouldBe(70_000);
        scraped.Value("data_analysis_checkpoint_shards_sum").ShouldBe(16);
        scraped.Value("data_analysis_late_items_total", "topic", "SCHEDULE-CAR-ORDER").ShouldBe(2);
        scraped.Value("data_analysis_gaps_total", "topic", "PARAM", "reason", "recreated").ShouldBe(1);
        scraped.Value("data_analysis_partition_stopped", "topic", "PARAM", "partition", "3").ShouldBe(1);
        scraped.Value("data_analysis_gap_records_total", "topic", "PARAM").ShouldBe(500);
        scraped.Value("data_analysis_missing_records_total", "topic", "PARAM").ShouldBe(1);
        scraped.Value("data_analysis_misrouted_total", "topic", "METER").ShouldBe(1);
        scraped.Value("data_analysis_memory_usage").ShouldBeInRange(1, 1_000_000, "megabytes");
        scraped.Value("process_cpu_seconds_total").ShouldBeGreaterThan(0);
    }

    [Fact]
    public void What_a_lost_shard_or_partition_told_leaves_the_text()
    {
        ShardId kept = new(1), lost = new(2);
        foreach (var shard in new[] { kept, lost })
        {
            metrics.ShardOwned(shard, new Epoch(7 + shard.Value));
            metrics.Stations(shard, 10 * shard.Value);
            metrics.WindowCache(shard, "PARAM", 100);
            metrics.Lag("station-events", shard.Value, 5);
        }
        var both = Scrape();
        both.Value("data_analysis_station_count").ShouldBe(30);
        both.Value("data_analysis_window_cache_bytes", "topic", "PARAM").ShouldBe(200);
        both.Value("data_analysis_shard_epoch", "shard", "2").ShouldBe(9);

        metrics.ShardLost(lost);
        metrics.PartitionLost("station-events", 2);
        metrics.ShardOwned(kept, new Epoch(11));

        var one = Scrape();
        one.Value("data_analysis_station_count").ShouldBe(10);
        one.Value("data_analysis_window_cache_bytes", "topic", "PARAM").ShouldBe(100);
        one.Families["data_analysis_shard_owned"].Samples.ShouldHaveSingleItem().Labels["shard"].ShouldBe("1");
        one.Value("data_analysis_shard_epoch", "shard", "1").ShouldBe(11);
        one.Families["data_analysis_lag_records"].Samples.ShouldHaveSingleItem().Labels["partition"].ShouldBe("1");
    }

    [Fact]
    public void Labels_survive_quotes_backslashes_line_feeds_and_other_scripts()
    {
        var odd = "a\"b\\c\nd\\n,}{=充电站 🔋";
        metrics.RecordsApplied(odd, 1);
        metrics.RecordsApplied("", 2);
        var scraped = Scrape();
        scraped.Value("data_analysis_records_total", "topic", odd).ShouldBe(1);
        scraped.Value("data_analysis_records_total", "topic", "").ShouldBe(2);
    }

    [Fact]
    public void Numbers_are_written_whole_in_any_size_and_culture()
    {
        using var meter = new Meter("odd numbers");
        using var text = new PrometheusText(meter);
        var gauge = meter.CreateGauge<double>("some_number", null, "back\\slash\nand line feed");
        foreach (var number in new[] { 0.1 + 0.2, -1e-300, 1e300, double.NaN, double.PositiveInfinity, double.NegativeInfinity, 9007199254740993 })
        {
            gauge.Record(number);
            var scraped = ExpositionFormat.Parse(text.Render());
            scraped.Value("some_number").ShouldBe(number);
            scraped.Families["some_number"].Help.ShouldBe("back\\slash\nand line feed");
        }
    }

    [Fact]
    public void A_name_that_prometheus_does_not_take_is_refused()
    {
        using var meter = new Meter("odd names");
        using var text = new PrometheusText(meter);
        Should.Throw<ArgumentException>(() => meter.CreateCounter<long>("dotted.name"));
        Should.Throw<ArgumentException>(() => meter.CreateHistogram<long>("no_buckets"));
    }

    [Fact]
    public void Two_nodes_in_one_process_do_not_count_for_each_other()
    {
        using var other = new NodeMetrics();
        other.BatchTimedOut();
        Scrape().Value("batch_timeout_total").ShouldBe(0);
    }

    [Fact]
    public async Task Nothing_is_lost_when_many_threads_count_and_somebody_scrapes()
    {
        const int Threads = 4, Times = 20_000;
        var counting = Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
        {
            for (var i = 0; i < Times; i++)
            {
                metrics.RecordsApplied(i % 2 == 0 ? "A" : "B", 1);
                metrics.CallFinished("pv_prediction", 0.001 * (i % 7), CallOutcomeKind.Result);
                metrics.Lag("A", thread, i);
            }
        })).ToArray();
        do
        {
            Scrape();
        }
        while (!Task.WhenAll(counting).IsCompleted);
        await Task.WhenAll(counting);
        var scraped = Scrape();
        scraped.Value("data_analysis_records_total", "topic", "A").ShouldBe(Threads * Times / 2);
        scraped.Value("data_analysis_call_seconds_count", "module", "pv_prediction", "outcome", "result").ShouldBe(Threads * Times);
    }

    [Fact]
    public void Hot_paths_allocate_nothing_once_the_series_exist()
    {
        var quality = Quality(available: 2, missing: 1);
        void Work()
        {
            metrics.RecordsApplied("PARAM", 1);
            metrics.RecordsFetched("PARAM", 1);
            metrics.CallFinished("pv_prediction", 0.01, CallOutcomeKind.Result);
            metrics.InputProcessed("pv_prediction", 0.01, CallOutcomeKind.Error);
            metrics.InputAssembled("pv_prediction", quality);
            metrics.DependencySeen("station_guidance", "load_prediction", true);
            metrics.Produced("PARAM", 0.01);
            metrics.Lag("PARAM", 3, 100);
            metrics.WindowCache(new ShardId(1), "PARAM", 100);
            metrics.BatchCompleted(12);
            metrics.CheckpointCommitted(0.01, 1000, 4);
        }

        Work();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10_000; i++) Work();
        // One of the smallest objects in one of these calls would make 240,000 bytes; the runtime's own few, while it
        // compiles what has become hot, do not count.
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(24_000);
    }

    [Fact]
    public void The_readme_explains_every_metric_and_no_other()
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (root is not null && !File.Exists(Path.Combine(root.FullName, "Analytics.Actors.sln"))) root = root.Parent;
        var readme = File.ReadAllText(Path.Combine(root!.FullName, "src/Analytics.Actors.Node/Metrics/README.md"));
        var explained = Row().Matches(readme).Select(row => $"{row.Groups[1].Value} {row.Groups[2].Value}");
        explained.Order(StringComparer.Ordinal).ShouldBe(Scrape().Families.Values.Select(family => $"{family.Name} {family.Type}").Order(StringComparer.Ordinal));
    }

    /// <summary>
    /// Prometheus' own opinion. One name is the contract's and not to its taste; nothing else may displease it.
    /// </summary>
    [PromtoolFact]
    public void Promtool_reads_the_text_and_dislikes_only_the_name_that_is_given()
    {
        metrics.RecordsApplied("odd \" \\ \n topic", 1);
        metrics.CallFinished("pv_prediction", 0.2, CallOutcomeKind.Result);
        metrics.BatchCompleted(5);
        metrics.ShardOwned(new ShardId(1), new Epoch(3));
        using var promtool = Process.Start(new ProcessStartInfo("promtool", "check metrics") { RedirectStandardInput = true, RedirectStandardError = true, RedirectStandardOutput = true })!;
        promtool.StandardInput.Write(metrics.Text.Render());
        promtool.StandardInput.Close();
        var complaints = (promtool.StandardOutput.ReadToEnd() + promtool.StandardError.ReadToEnd()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        promtool.WaitForExit();
        foreach (var complaint in complaints) output.WriteLine(complaint);
        promtool.ExitCode.ShouldBeOneOf(0, 3);
        complaints.ShouldAllBe(complaint => complaint.StartsWith("data_analysis_station_count ", StringComparison.Ordinal));
    }

    private ExpositionFormat Scrape() => ExpositionFormat.Parse(metrics.Text.Render());

    private static DataQuality Quality(int available, int missing) => new()
    {
        AvailableTopics = [.. Enumerable.Range(0, available).Select(i => $"A{i}")],
        MissingTopics = [.. Enumerable.Range(0, missing).Select(i => $"M{i}")],
        FailedTopics = [],
        TotalTopics = available + missing,
        AgeSeconds = [],
        Overwritten = [],
    };

    [GeneratedRegex(@"^\| `([a-z_]+)` \| (counter|gauge|histogram)", RegexOptions.Multiline)]
    private static partial Regex Row();

    [AttributeUsage(AttributeTargets.Method)]
    private sealed class PromtoolFactAttribute : FactAttribute
    {
        public PromtoolFactAttribute()
        {
            var installed = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "promtool")));
            if (!installed) Skip = "promtool is not installed (on Debian and Ubuntu: package prometheus).";
        }
    }
}

/// <summary>The reader above must refuse what is wrong, or the tests that use it show nothing.</summary>
public sealed class ExpositionFormatTests
{
    private const string Head = "# HELP a_total Text.\n# TYPE a_total counter\n";
    private const string Histogram = "# HELP h Text.\n# TYPE h histogram\n";

    [Theory]
    [InlineData("a_total 1\n")]
    [InlineData("# TYPE a_total counter\na_total 1\n")]
    [InlineData("# HELP a_total Text.\na_total 1\n")]
    [InlineData(Head + "a_total 1")]
    [InlineData(Head + "a_total 1\r\n")]
    [InlineData(Head + "b_total 1\n")]
    [InlineData(Head + "a_total -1\n")]
    [InlineData(Head + "a_total 1,5\n")]
    [InlineData(Head + "a_total 1\na_total 2\n")]
    [InlineData(Head + "a_total{x=\"1\"} 1\na_total{x=\"1\"} 1\n")]
    [InlineData(Head + "a_total{x=\"1\",x=\"2\"} 1\n")]
    [InlineData(Head + "a_total{x=\"a\"b\"} 1\n")]
    [InlineData(Head + "a_total{x=\"a\\tb\"} 1\n")]
    [InlineData(Head + "a_total{x-y=\"a\"} 1\n")]
    [InlineData(Head + "a_total 1\n" + Head)]
    [InlineData(Histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n")]
    [InlineData(Histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n")]
    [InlineData(Histogram + "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n")]
    [InlineData(Histogram + "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n")]
    public void What_is_wrong_is_refused(string text) => Should.Throw<FormatException>(() => ExpositionFormat.Parse(text));

    [Fact]
    public void What_is_right_is_read() =>
        ExpositionFormat.Parse(Head + "a_total{x=\"a\\\"b\",y=\"\"} 1.5e+3\n").Value("a_total", "x", "a\"b", "y", "").ShouldBe(1500);
}
