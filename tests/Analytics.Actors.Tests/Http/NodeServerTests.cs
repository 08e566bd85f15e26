using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Analytics.Actors.Tests.Http;

/// <summary>What a node that has worked says of itself, endpoint by endpoint.</summary>
public sealed partial class NodeServerTests(LiveNodeFixture fixture) : IClassFixture<LiveNodeFixture>
{
    private readonly LiveNode node = fixture.Node;

    [Fact]
    public void Before_the_node_has_started_it_is_alive_and_not_ready()
    {
        fixture.BeforeStart["/health/live"].Status.ShouldBe(HttpStatusCode.OK);
        fixture.BeforeStart["/health/ready"].Status.ShouldBe(HttpStatusCode.ServiceUnavailable);
        var (status, health) = fixture.BeforeStart["/health"];
        status.ShouldBe(HttpStatusCode.OK);
        health["status"]!.GetValue<string>().ShouldBe("starting");
        foreach (var component in new[] { "main_loop", "consumer", "producer", "store" }) health[component]!.GetValue<string>().ShouldBe("starting", component);
        foreach (var path in new[] { "/api/v1/shards", "/api/v1/stations/x", "/api/v1/sources" })
        {
            fixture.BeforeStart[path].Status.ShouldBe(HttpStatusCode.ServiceUnavailable, path);
            fixture.BeforeStart[path].Body["error"]!.GetValue<string>().ShouldBe("the node is starting", path);
        }

        fixture.BeforeStart["/metrics"].Body.GetValue<int>().ShouldBeGreaterThan(10);
    }

    [Fact]
    public async Task Health_has_everything_that_the_contract_names()
    {
        var health = await node.ReadAsync("/health");
        health["status"]!.GetValue<string>().ShouldBe("healthy", health.ToJsonString());
        DateTimeOffset.Parse(health["timestamp"]!.GetValue<string>(), CultureInfo.InvariantCulture).ShouldBe(DateTimeOffset.UtcNow, TimeSpan.FromMinutes(1));
        health["version"]!.GetValue<string>().ShouldMatch(@"^\d+\.\d+\.\d+$");
        foreach (var component in new[] { "main_loop", "consumer", "producer", "store" }) health[component]!.GetValue<string>().ShouldBe("running", component);
        var only = health["nodes"]!.AsArray().ShouldHaveSingleItem()!;
        only["node"]!.GetValue<string>().ShouldBe("node-1");
        only["shards"]!.AsArray().Select(shard => (shard!["shard"]!.GetValue<int>(), shard["phase"]!.GetValue<string>(), shard["epoch"]!.GetValue<long>()))
            .ShouldBe(Enumerable.Range(0, LiveNode.Shards).Select(shard => (shard, "running", 1L)));
        health["station_count"]!.GetValue<int>().ShouldBe(2);
        health["stuck_calls"]!.AsArray().ShouldBeEmpty();
        health["problems"]!.AsArray().ShouldBeEmpty();
        (await node.ReadAsync("/health/live"))["live"]!.GetValue<bool>().ShouldBeTrue();
        (await node.ReadAsync("/health/ready"))["ready"]!.GetValue<bool>().ShouldBeTrue();
    }

    [Fact]
    public void The_upload_holds_both_stations()
    {
        fixture.Upload["batch_id"]!.GetValue<string>().ShouldBe($"SCHEDULE-STATION-REALTIME-DATA:0:{fixture.RealtimeOffset}");
        fixture.Upload["stations"]!.AsArray().Select(station => station!["station_id"]!.GetValue<string>()).Order(StringComparer.Ordinal).ShouldBe([LiveNodeFixture.Plain, LiveNodeFixture.Odd]);
        foreach (var station in fixture.Upload["stations"]!.AsArray())
        {
            station!["guns"]!.GetValue<int>().ShouldBe(2);
            station["periods"]!.GetValue<int>().ShouldBe(168);
            station["capacity"]!.GetValue<int>().ShouldBe(630);
        }
    }

    [Fact]
    public async Task Cluster_and_shards()
    {
        var cluster = await node.ReadAsync("/api/v1/cluster");
        cluster["group"]!.GetValue<string>().ShouldBe(LiveNode.Group);
        cluster["shard_count"]!.GetValue<int>().ShouldBe(LiveNode.Shards);
        cluster["store_id"]!.GetValue<string>().ShouldBe(node.Host.StoreId);
        cluster["nodes"]!.AsArray().ShouldHaveSingleItem()!["shards"]!.AsArray().Select(shard => shard!.GetValue<int>()).ShouldBe(Enumerable.Range(0, LiveNode.Shards));

        var shards = (await node.ReadAsync("/api/v1/shards")).AsArray();
        shards.Count.ShouldBe(LiveNode.Shards);
        shards.Sum(shard => shard!["stations"]!.GetValue<int>()).ShouldBe(2);
        shards.ShouldAllBe(shard => shard!["running_calls"]!.GetValue<int>() == 0 && shard["missing_records"]!.GetValue<long>() == 0 && !shard["full"]!.GetValue<bool>());
        shards.Sum(shard => shard!["checkpoint"]!.GetValue<long>()).ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Stations_are_listed_in_order_and_page_by_page()
    {
        var all = await node.ReadAsync("/api/v1/stations");
        all["station_count"]!.GetValue<int>().ShouldBe(2);
        all["stations"]!.AsArray().Select(station => station!["station"]!.GetValue<string>()).ShouldBe([LiveNodeFixture.Plain, LiveNodeFixture.Odd]);
        all["stations"]!.AsArray().ShouldAllBe(station => station!["topics"]!.GetValue<int>() == 3 && station["calls_owed"]!.GetValue<int>() == 0);
        all["next"].ShouldBeNull();

        var first = await node.ReadAsync("/api/v1/stations?limit=1");
        first["stations"]!.AsArray().ShouldHaveSingleItem()!["station"]!.GetValue<string>().ShouldBe(LiveNodeFixture.Plain);
        var next = first["next"]!.GetValue<string>();
        var second = await node.ReadAsync($"/api/v1/stations?limit=1&after={Uri.EscapeDataString(next)}");
        second["stations"]!.AsArray().ShouldHaveSingleItem()!["station"]!.GetValue<string>().ShouldBe(LiveNodeFixture.Odd);
        second["next"].ShouldBeNull();
    }

    [Theory]
    [InlineData(LiveNodeFixture.Plain)]
    [InlineData(LiveNodeFixture.Odd)]
    public async Task One_station_shows_its_windows_whatever_its_id(string id)
    {
        foreach (var path in new[] { $"/api/v1/stations/{Uri.EscapeDataString(id)}", $"/api/v1/station?id={Uri.EscapeDataString(id)}" })
        {
            var station = await node.ReadAsync(path);
            station["station"]!.GetValue<string>().ShouldBe(id);
            station["calls_owed"]!.GetValue<int>().ShouldBe(0);
            var windows = station["windows"]!.AsObject();
            windows.Select(window => window.Key).ShouldBe(["MODULE-OUTPUT-LOAD_PREDICTION", "SCHEDULE-STATION-PARAM", "SCHEDULE-STATION-REALTIME-DATA"]);
            windows["SCHEDULE-STATION-PARAM"]!["input"]!["stationId"]!.GetValue<string>().ShouldBe(id);
            windows["SCHEDULE-STATION-PARAM"]!["input"]!["gridCapacity"]!.GetValue<int>().ShouldBe(630);
            var grid = windows["SCHEDULE-STATION-REALTIME-DATA"]!;
            grid["input"]!["gunNo"]!.AsArray().Select(gun => gun!.GetValue<string>()).ShouldBe(["1", "2"]);
            grid["input"]!["outputPowerPerGunAvg"]!.AsArray().Count.ShouldBe(168);
            grid["bytes"]!.GetValue<long>().ShouldBeGreaterThan(0);
            windows["MODULE-OUTPUT-LOAD_PREDICTION"]!["input"]!["guns"]!.GetValue<int>().ShouldBe(2);
        }
    }

    [Fact]
    public async Task A_slash_in_an_id_may_also_stand_as_it_is()
    {
        var (status, body) = await node.GetAsync("/api/v1/stations/no/such%20station");
        status.ShouldBe(HttpStatusCode.NotFound);
        body["error"]!.GetValue<string>().ShouldBe("no station 'no/such station'");
    }

    [Fact]
    public async Task Modules_show_their_calls_batches_and_uploads()
    {
        var modules = (await node.ReadAsync("/api/v1/modules")).AsArray();
        modules.Select(module => module!["module"]!.GetValue<string>()).ShouldBe(["load_prediction", "station_guidance", "customer_mining"]);
        var prediction = modules[0]!;
        prediction["enabled"]!.GetValue<bool>().ShouldBeTrue();
        prediction["installed"]!.GetValue<bool>().ShouldBeTrue();
        prediction["calls"]!["result"]!.GetValue<long>().ShouldBe(2);
        prediction["calls"]!["error"]!.GetValue<long>().ShouldBe(0);
        prediction["calls_running"]!.GetValue<int>().ShouldBe(0);
        prediction["batches_completed"]!.GetValue<long>().ShouldBe(2, "one of the parameters, without a result, and one of the real-time data");
        prediction["uploads"]!.GetValue<long>().ShouldBe(1);
        var guidance = modules[1]!;
        guidance["depends_on"]!.AsArray().ShouldHaveSingleItem()!.GetValue<string>().ShouldBe("load_prediction");
        guidance["calls"]!["result"]!.GetValue<long>().ShouldBe(4, "by the parameters, and by the predictions");
        guidance["uploads"]!.GetValue<long>().ShouldBe(2);
        modules[2]!["installed"]!.GetValue<bool>().ShouldBeFalse();
        modules[2]!["enabled"]!.GetValue<bool>().ShouldBeFalse();
    }

    [Fact]
    public async Task Sources_positions_and_marks_say_how_far_everything_is()
    {
        var sources = (await node.ReadAsync("/api/v1/sources")).AsArray();
        // All declared topics but those of nobody; the output of load_prediction, which guidance needs, and not its own.
        var read = sources.Select(source => source!["topic"]!.GetValue<string>()).Distinct().ToList();
        read.ShouldContain("SCHEDULE-CAR-ORDER");
        read.ShouldContain("MODULE-OUTPUT-LOAD_PREDICTION");
        read.ShouldNotContain("MODULE-OUTPUT-STATION_GUIDANCE");
        var realtime = sources.Single(source => source!["topic"]!.GetValue<string>() == "SCHEDULE-STATION-REALTIME-DATA" && source["partition"]!.GetValue<int>() == 0)!;
        realtime["position"]!.GetValue<long>().ShouldBe(fixture.RealtimeOffset + 1);
        realtime["end"]!.GetValue<long>().ShouldBe(fixture.RealtimeOffset + 1);
        realtime["lag"]!.GetValue<long>().ShouldBe(0);
        realtime["gap"].ShouldBeNull();
        realtime["stopped"].ShouldBeNull();

        var positions = (await node.ReadAsync("/api/v1/positions")).AsArray();
        positions.Where(position => position!["topic"]!.GetValue<string>() == $"{LiveNode.Group}.station-events").Select(position => position!["shard"]!.GetValue<int>()).ShouldBe(Enumerable.Range(0, LiveNode.Shards));
        // A batch log may be empty; every shard has had a part.
        positions.Where(position => position!["shard"] is not null).ShouldAllBe(position => position!["next"]!.GetValue<long>() >= (position["topic"]!.GetValue<string>().EndsWith("station-events") ? 1 : 0) && position["shard"]!.GetValue<int>() == position["partition"]!.GetValue<int>());
        var source = positions.Single(position => position!["topic"]!.GetValue<string>() == "SCHEDULE-STATION-REALTIME-DATA" && position["partition"]!.GetValue<int>() == 0)!;
        source["next"]!.GetValue<long>().ShouldBe(fixture.RealtimeOffset + 1);
        source["lag"]!.GetValue<long>().ShouldBe(0);
        source["here"]!.GetValue<bool>().ShouldBeTrue();
        source["gap"].ShouldBeNull();

        var marks = (await node.ReadAsync("/api/v1/marks")).AsArray();
        marks.Where(mark => mark!["topic"]!.GetValue<string>() == "SCHEDULE-STATION-REALTIME-DATA").Sum(mark => mark!["applied_count"]!.GetValue<long>()).ShouldBe(2);
        marks.Where(mark => mark!["topic"]!.GetValue<string>() == "SCHEDULE-ENVIRONMENT-CALENDAR").Count().ShouldBe(LiveNode.Shards);
        marks.ShouldAllBe(mark => Regex.IsMatch(mark!["applied_hash"]!.GetValue<string>(), "^[0-9a-f]{16}$"));
        (await node.ReadAsync("/api/v1/marks?limit=3")).AsArray().Count.ShouldBe(3);
    }

    [Fact]
    public async Task Counters_and_problems_tell_what_happened()
    {
        var counters = await node.ReadAsync("/api/v1/counters");
        counters["records_fetched"]!["SCHEDULE-STATION-PARAM"]!.GetValue<long>().ShouldBe(2);
        counters["parts_applied"]!["SCHEDULE-STATION-PARAM"]!.GetValue<long>().ShouldBe(2);
        counters["parts_applied"]!["SCHEDULE-ENVIRONMENT-CALENDAR"]!.GetValue<long>().ShouldBe(LiveNode.Shards);
        counters["uploads"]!["MODULE-OUTPUT-LOAD_PREDICTION"]!.GetValue<long>().ShouldBe(1);
        counters["dead_letters"]!["not-json"]!.GetValue<long>().ShouldBe(1);
        counters["batches_opened"]!.GetValue<long>().ShouldBe(4);
        counters["batches_completed"]!.GetValue<long>().ShouldBe(4);
        counters["batches_timed_out"]!.GetValue<long>().ShouldBe(0);
        counters["checkpoints"]!.GetValue<long>().ShouldBeGreaterThan(0);

        var problems = await node.ReadAsync("/api/v1/problems");
        problems["counts"]!["dead-letter"]!.GetValue<long>().ShouldBe(1);
        var letter = problems["problems"]!.AsArray().Single(problem => problem!["kind"]!.GetValue<string>() == "dead-letter")!;
        letter["text"]!.GetValue<string>().ShouldContain("SCHEDULE-STATION-PARAM[1]");
        letter["text"]!.GetValue<string>().ShouldContain("not-json");
        (await node.ReadAsync("/api/v1/batches")).AsArray().ShouldBeEmpty();
    }

    [Fact]
    public async Task Metrics_are_well_formed_and_count_right()
    {
        var metrics = await node.ScrapeAsync();
        metrics.Value("data_analysis_fetched_records_total", "topic", "SCHEDULE-STATION-PARAM").ShouldBe(2);
        metrics.Value("data_analysis_records_total", "topic", "SCHEDULE-STATION-PARAM").ShouldBe(2);
        metrics.Value("data_analysis_records_total", "topic", "SCHEDULE-STATION-REALTIME-DATA").ShouldBe(2);
        metrics.Value("data_analysis_records_total", "topic", "SCHEDULE-ENVIRONMENT-CALENDAR").ShouldBe(LiveNode.Shards);
        metrics.Value("data_analysis_station_count").ShouldBe(2);
        metrics.Value("data_analysis_processed_total").ShouldBe(6, "two predictions, four guidances");
        metrics.Value("data_analysis_processing_seconds_count").ShouldBe(6);
        metrics.Value("data_analysis_results_total", "module", "load_prediction").ShouldBe(2);
        metrics.Value("data_analysis_results_total", "module", "station_guidance").ShouldBe(4);
        metrics.Value("data_analysis_call_seconds_count", "module", "load_prediction", "outcome", "result").ShouldBe(2);
        metrics.Value("batch_success_total").ShouldBe(3);
        metrics.Value("batch_empty_total").ShouldBe(1);
        metrics.Value("batch_timeout_total").ShouldBe(0);
        metrics.Value("batch_station_count_count").ShouldBe(3);
        metrics.Value("batch_station_count_sum").ShouldBe(6);
        metrics.Value("data_quality_availability_ratio_count").ShouldBe(6);
        metrics.Value("data_quality_availability_ratio_sum").ShouldBe(5, 1e-9, "two guidances had one of two topics");
        metrics.Value("data_quality_missing_topics", "module", "load_prediction").ShouldBe(0);
        metrics.Value("data_quality_missing_topics", "module", "station_guidance").ShouldBe(0);
        metrics.Value("data_analysis_dependency_inputs_total", "module", "station_guidance", "dependency", "load_prediction", "available", "false").ShouldBe(2);
        metrics.Value("data_analysis_dependency_inputs_total", "module", "station_guidance", "dependency", "load_prediction", "available", "true").ShouldBe(2);
        metrics.Value("data_analysis_errors_total", "error_type", "dead_letter").ShouldBe(1);
        metrics.Value("data_analysis_dead_letters_total", "topic", "SCHEDULE-STATION-PARAM", "reason", "not-json").ShouldBe(1);
        metrics.Value("data_analysis_produce_seconds_count", "topic", "MODULE-OUTPUT-LOAD_PREDICTION").ShouldBe(1);
        metrics.Value("data_analysis_produce_seconds_count", "topic", $"{LiveNode.Group}.station-events").ShouldBeGreaterThanOrEqualTo(LiveNode.Shards);
        metrics.Value("data_analysis_window_cache_bytes", "topic", "SCHEDULE-STATION-REALTIME-DATA").ShouldBeGreaterThan(0);
        metrics.Value("data_analysis_window_cache_bytes", "topic", "SCHEDULE-ENVIRONMENT-CALENDAR").ShouldBeGreaterThan(0, "a global window counts too");
        metrics.Value("data_analysis_window_cache_bytes", "topic", "SCHEDULE-CAR-ORDER").ShouldBe(0);
        metrics.Value("data_analysis_lag_records", "topic", "SCHEDULE-STATION-REALTIME-DATA", "partition", "0").ShouldBe(0);
        for (var shard = 0; shard < LiveNode.Shards; shard++)
        {
            var name = shard.ToString(CultureInfo.InvariantCulture);
            metrics.Value("data_analysis_shard_owned", "shard", name).ShouldBe(1);
            metrics.Value("data_analysis_shard_epoch", "shard", name).ShouldBe(1);
            metrics.Value("data_analysis_lag_records", "topic", $"{LiveNode.Group}.station-events", "partition", name).ShouldBe(0);
            metrics.Value("data_analysis_lag_records", "topic", $"{LiveNode.Group}.batch-results", "partition", name).ShouldBeGreaterThanOrEqualTo(0);
        }

        metrics.Value("data_analysis_checkpoint_seconds_count").ShouldBeGreaterThan(0);
        metrics.Value("data_analysis_checkpoint_bytes_sum").ShouldBeGreaterThan(0);
        metrics.Value("data_analysis_memory_usage").ShouldBeGreaterThan(1);
        metrics.Value("process_cpu_seconds_total").ShouldBeGreaterThan(0);
        metrics.Families.Values.SelectMany(family => family.Samples).SelectMany(sample => sample.Labels.Values)
            .ShouldNotContain(label => label.Contains(LiveNodeFixture.Plain, StringComparison.Ordinal) || label.Contains(LiveNodeFixture.Odd, StringComparison.Ordinal), "nothing per station");
    }

    [Fact]
    public async Task Neither_port_offers_what_is_the_other_s()
    {
        node.Server.Address!.Port.ShouldNotBe(node.Server.MetricsAddress!.Port);
        node.Server.Address.IsLoopback.ShouldBeTrue();
        node.Server.MetricsAddress.IsLoopback.ShouldBeTrue();
        await ShouldBeJsonErrorAsync(new Uri(node.Server.Address, "/metrics"), HttpStatusCode.NotFound);
        foreach (var path in new[] { "/", "/health", "/api/v1/shards" }) await ShouldBeJsonErrorAsync(new Uri(node.Server.MetricsAddress, path), HttpStatusCode.NotFound);
    }

    [Theory]
    [InlineData("/no/such/page", HttpStatusCode.NotFound, "/api/v1 lists what there is")]
    [InlineData("/api/v1/nothing", HttpStatusCode.NotFound, "/api/v1/nothing")]
    [InlineData("/api/v1/station", HttpStatusCode.BadRequest, "name a station")]
    [InlineData("/api/v1/stations?limit=0", HttpStatusCode.BadRequest, "limit: value \"0\": must be a number from 1 to 10000")]
    [InlineData("/api/v1/stations?limit=10001", HttpStatusCode.BadRequest, "10000")]
    [InlineData("/api/v1/batches?limit=many", HttpStatusCode.BadRequest, "\"many\"")]
    [InlineData("/api/v1/marks?limit=-1", HttpStatusCode.BadRequest, "\"-1\"")]
    [InlineData("/api/v1/problems?limit=501", HttpStatusCode.BadRequest, "500")]
    public async Task What_cannot_be_answered_is_refused_as_JSON(string path, HttpStatusCode status, string says) =>
        (await ShouldBeJsonErrorAsync(new Uri(node.Server.Address!, path), status)).ShouldContain(says);

    [Fact]
    public async Task Other_methods_are_refused_as_JSON()
    {
        using var answer = await node.Http.PostAsync(new Uri(node.Server.Address!, "/api/v1/shards"), new StringContent("{}"));
        answer.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["error"]!.GetValue<string>().ShouldContain("/api/v1 says what is");
    }

    [Fact]
    public async Task The_dashboard_is_whole_and_comes_from_here_alone()
    {
        using var page = await node.Http.GetAsync(node.Server.Address);
        page.StatusCode.ShouldBe(HttpStatusCode.OK);
        page.Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
        page.Headers.GetValues("Content-Security-Policy").ShouldHaveSingleItem().ShouldStartWith("default-src 'none'");
        var html = await page.Content.ReadAsStringAsync();
        var files = Linked().Matches(html).Select(link => link.Groups[1].Value).Where(link => link.StartsWith('/') && !link.StartsWith("/api/", StringComparison.Ordinal) && link != "/health").ToList();
        files.Order(StringComparer.Ordinal).ShouldBe(["/dashboard.css", "/dashboard.js"]);
        var texts = new List<string> { html };
        foreach (var file in files) texts.Add(await node.Http.GetStringAsync(new Uri(node.Server.Address!, file)));
        // The only address is a name space, which is a name and fetched by nobody.
        texts.SelectMany(text => Address().Matches(text)).Select(address => address.Value).Distinct().ShouldBe(["http://www.w3.org/2000/svg"]);

        // Every path that the script asks for is there.
        var script = await node.Http.GetStringAsync(new Uri(node.Server.Address!, "/dashboard.js"));
        var asked = Asked().Matches(script).Select(path => path.Groups[1].Value).ToList();
        asked.Count.ShouldBeGreaterThan(6);
        foreach (var path in asked.Select(path => path == "/api/v1/station" ? $"{path}?id={LiveNodeFixture.Plain}" : path)) (await node.GetAsync(path)).Status.ShouldBe(HttpStatusCode.OK, path);
    }

    [Fact]
    public async Task The_list_of_contents_and_the_readme_name_what_is_there_and_nothing_else()
    {
        var listed = (await node.ReadAsync("/api/v1")).AsArray().Select(entry => entry!["path"]!.GetValue<string>()).ToList();
        listed.Where(path => path.StartsWith("POST ", StringComparison.Ordinal)).ShouldBe(["POST /api/v1/station/pause", "POST /api/v1/station/resume", "POST /api/v1/station/forget", "POST /api/v1/cluster/leave", "POST /api/v1/cluster/down", "POST /api/v1/dead-letters/replay", "POST /api/v1/dead-letters/discard"]);
        listed.RemoveAll(path => path.StartsWith("POST ", StringComparison.Ordinal));
        var letter = (string)(await node.ReadAsync("/api/v1/dead-letters"))[0]!["id"]!;
        foreach (var path in listed)
        {
            (await node.GetAsync(path.Replace("letters/ID", $"letters/{letter}", StringComparison.Ordinal).Replace("ID", LiveNodeFixture.Plain, StringComparison.Ordinal))).Status.ShouldBe(HttpStatusCode.OK, path);
        }

        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root!.FullName, "Analytics.Actors.sln"))) root = root.Parent;
        var readme = File.ReadAllText(Path.Combine(root.FullName, "src/Analytics.Actors.Node/Http/README.md"));
        Row().Matches(readme).Select(row => row.Groups[1].Value).Where(path => path is not ("/" or "/metrics")).Order(StringComparer.Ordinal)
            .ShouldBe(listed.Order(StringComparer.Ordinal));
    }

    private async Task<string> ShouldBeJsonErrorAsync(Uri address, HttpStatusCode status)
    {
        using var answer = await node.Http.GetAsync(address);
        answer.StatusCode.ShouldBe(status, address.ToString());
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/json");
        return JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["error"]!.GetValue<string>();
    }

    [GeneratedRegex("(?:href|src|action)=\"([^\"]+)\"")]
    private static partial Regex Linked();

    [GeneratedRegex("""[a-z]+://[^"'\s)]*|url\([^)]*\)|@import[^;]*""")]
    private static partial Regex Address();

    [GeneratedRegex("""get\(["`](/[a-z0-9/]+)""")]
    private static partial Regex Asked();

    [GeneratedRegex(@"^\| `GET ([^`]+)`", RegexOptions.Multiline)]
    private static partial Regex Row();
}
