using System.Net;
using System.Net.Sockets;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Http;

/// <summary>What a node says when something is wrong, and that its stop loses nothing. Each test has a node of its own.</summary>
public sealed class NodeTroubleTests : IDisposable
{
    // For servers whose node is never started.
    private const string NoBroker = "127.0.0.1:9";

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("http-trouble-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task A_stuck_call_shows_in_health_until_it_returns_and_failed_attempts_count_once()
    {
        var pipeline = LiveNode.Pipeline("""
            {
              "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "callTimeout": "100ms" },
              "pv_prediction": { "topics": ["SCHEDULE-DEVICE-PV"], "retries": 2, "retryDelay": "1ms" }
            }
            """);
        using var released = new ManualResetEventSlim(false);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var node = new LiveNode(
            broker, folder.FullName, pipeline,
            // Deaf to its cancellation, as synchronous code is.
            new TestModule("load_prediction", (_, _) =>
            {
                released.Wait(CancellationToken.None);
                return ModuleResult.Nothing;
            }),
            new TestModule("pv_prediction", (_, _) => throw new InvalidDataException("no sun")));
        await node.StartAsync();
        await node.WaitReadyAsync();
        await using var platform = new Platform(broker, pipeline);

        await platform.SendAsync("SCHEDULE-DEVICE-METER", """{"stationId": "a/b", "meterPower": 1}""");
        await node.WaitUntilAsync("a stuck call", async () => (await node.ReadAsync("/health"))["stuck_calls"]!.AsArray().Count > 0);
        var health = await node.ReadAsync("/health");
        health["status"]!.GetValue<string>().ShouldBe("degraded");
        var stuck = health["stuck_calls"]!.AsArray().ShouldHaveSingleItem()!;
        stuck["module"]!.GetValue<string>().ShouldBe("load_prediction");
        stuck["station"]!.GetValue<string>().ShouldBe("a/b");
        stuck["seconds"]!.GetValue<double>().ShouldBeGreaterThanOrEqualTo(0.1);
        health["problems"]!.AsArray().ShouldHaveSingleItem()!.GetValue<string>().ShouldContain("load_prediction");
        (await node.ReadAsync("/health/ready"))["ready"]!.GetValue<bool>().ShouldBeTrue("others are served");
        (await node.ReadAsync("/api/v1/modules"))[0]!["calls_stuck"]!.GetValue<int>().ShouldBe(1);

        released.Set();
        await node.WaitUntilAsync("healthy again", async () => (await node.ReadAsync("/health"))["status"]!.GetValue<string>() == "healthy");

        await platform.SendAsync("SCHEDULE-DEVICE-PV", """{"stationId": "a/b", "pvId": "1", "pvPreDcPower": 5}""");
        await node.WaitUntilAsync("three attempts", async () => (await node.ReadAsync("/api/v1/modules"))[1]!["calls"]!["error"]!.GetValue<long>() == 3);
        await node.WaitUntilAsync("both batches over", async () => (await node.ReadAsync("/api/v1/counters"))["batches_completed"]!.GetValue<long>() == 2);
        var metrics = await node.ScrapeAsync();
        metrics.Value("data_analysis_call_seconds_count", "module", "load_prediction", "outcome", "timeout").ShouldBe(1);
        metrics.Value("data_analysis_call_seconds_count", "module", "pv_prediction", "outcome", "error").ShouldBe(3);
        metrics.Value("data_analysis_errors_total", "error_type", "call_timeout").ShouldBe(1);
        metrics.Value("data_analysis_errors_total", "error_type", "call_error").ShouldBe(1, "an input that was tried three times failed once");
        metrics.Value("data_analysis_processed_total").ShouldBe(2);
        metrics.Value("data_quality_availability_ratio_count").ShouldBe(2, "three attempts have one input");
        metrics.Value("batch_empty_total").ShouldBe(2);
        metrics.Value("batch_success_total").ShouldBe(0);
        var problems = await node.ReadAsync("/api/v1/problems");
        problems["counts"]!["call-error"]!.GetValue<long>().ShouldBe(3);
        problems["counts"]!["call-timeout"]!.GetValue<long>().ShouldBe(1);
        problems["problems"]![0]!["station"]!.GetValue<string>().ShouldBe("a/b");
        problems["problems"]![0]!["text"]!.GetValue<string>().ShouldContain("no sun");
    }

    [Fact]
    public async Task An_orderly_stop_leaves_nothing_unfinished_and_the_next_node_goes_on_from_there()
    {
        var pipeline = LiveNode.Pipeline("""
            {
              "load_prediction": {
                "topics": ["SCHEDULE-STATION-PARAM", "SCHEDULE-STATION-REALTIME-DATA", "SCHEDULE-ENVIRONMENT-CALENDAR"],
                "onIncomplete": "wait"
              }
            }
            """);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var platform = new Platform(broker, pipeline);
        string storeId;
        await using (var first = new LiveNode(broker, folder.FullName, pipeline, TestModule.Summary("load_prediction")))
        {
            await first.StartAsync();
            await first.WaitReadyAsync();
            storeId = first.Host.StoreId;
            await platform.SendCalendarAsync();
            await platform.SendParamAsync("1", "2");
            await first.WaitAppliedAsync("SCHEDULE-ENVIRONMENT-CALENDAR", LiveNode.Shards);
            await first.WaitAppliedAsync("SCHEDULE-STATION-PARAM", 2);
            (await first.Host.StopAsync()).ShouldBeEmpty();

            var (status, health) = await first.GetAsync("/health");
            status.ShouldBe(HttpStatusCode.ServiceUnavailable);
            health["status"]!.GetValue<string>().ShouldBe("stopping");
            (await first.GetAsync("/health/live")).Status.ShouldBe(HttpStatusCode.OK, "an orderly stop is no failure");
            (await first.GetAsync("/health/ready")).Status.ShouldBe(HttpStatusCode.ServiceUnavailable);
            var (apiStatus, api) = await first.GetAsync("/api/v1/shards");
            apiStatus.ShouldBe(HttpStatusCode.ServiceUnavailable);
            api["error"]!.GetValue<string>().ShouldBe("the node has stopped");
            (await first.ScrapeAsync()).Value("data_analysis_fetched_records_total", "topic", "SCHEDULE-STATION-PARAM").ShouldBe(1, "the last numbers stay readable");
        }

        // Sent while nobody runs.
        var offset = await platform.SendRealtimeAsync("1", "2");
        await using var second = new LiveNode(broker, folder.FullName, pipeline, TestModule.Summary("load_prediction"));
        await second.StartAsync();
        await second.WaitReadyAsync();
        second.Host.StoreId.ShouldBe(storeId);
        var upload = (await platform.ReadAsync("MODULE-OUTPUT-LOAD_PREDICTION", 1)).ShouldHaveSingleItem();
        upload["batch_id"]!.GetValue<string>().ShouldBe($"SCHEDULE-STATION-REALTIME-DATA:0:{offset}");
        upload["stations"]!.AsArray().Select(station => (station!["station_id"]!.GetValue<string>(), station["capacity"]!.GetValue<int>())).Order().ShouldBe([("1", 630), ("2", 630)]);
        var station = await second.ReadAsync("/api/v1/stations/1");
        station["epoch"]!.GetValue<long>().ShouldBe(2);
        station["windows"]!["SCHEDULE-STATION-PARAM"]!["input"]!["gridCapacity"]!.GetValue<int>().ShouldBe(630);
        var counters = await second.ReadAsync("/api/v1/counters");
        counters["parts_applied"]!.AsObject().Select(topic => (topic.Key, topic.Value!.GetValue<long>())).ShouldBe([("SCHEDULE-STATION-REALTIME-DATA", 2)], "nothing is applied twice");
        (await second.Host.StopAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_database_file_that_is_taken_away_shows_in_health_and_work_goes_on_when_it_is_back()
    {
        var pipeline = LiveNode.Pipeline("""{ "pv_prediction": { "topics": ["SCHEDULE-DEVICE-PV"] } }""");
        using var broker = LiveNode.StartBroker(pipeline);
        await using var platform = new Platform(broker, pipeline);
        await using var node = new LiveNode(broker, folder.FullName, pipeline, new TestModule("pv_prediction", (_, _) => ModuleResult.Nothing));
        await node.StartAsync();
        await node.WaitReadyAsync();
        var path = node.Host.Options.Store.Path!;
        File.Move(path, path + ".aside");
        await platform.SendAsync("SCHEDULE-DEVICE-PV", """{"stationId": "1", "pvId": "1", "pvPreDcPower": 5}""");

        await node.WaitUntilAsync("a store that does not work", async () => (await node.GetAsync("/health")).Body["store"]!.GetValue<string>() == "failing");
        var (status, health) = await node.GetAsync("/health");
        status.ShouldBe(HttpStatusCode.ServiceUnavailable);
        health["status"]!.GetValue<string>().ShouldBe("unhealthy");
        health["problems"]!.AsArray().Select(problem => problem!.GetValue<string>()).ShouldContain(problem => problem.Contains("the store does not work") && problem.Contains(path) && problem.Contains("moved, deleted or replaced"));

        File.Move(path + ".aside", path);
        await node.WaitUntilAsync("healthy again", async () => (await node.GetAsync("/health")).Body["status"]!.GetValue<string>() == "healthy");
        await node.WaitUntilAsync("the batch over", async () => (await node.ReadAsync("/api/v1/counters"))["batches_completed"]!.GetValue<long>() == 1);
        (await node.Host.StopAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_node_whose_store_was_renewed_under_it_ends_with_the_reason()
    {
        var pipeline = LiveNode.Pipeline("""{ "pv_prediction": { "topics": ["SCHEDULE-DEVICE-PV"] } }""");
        using var broker = LiveNode.StartBroker(pipeline);
        await using var platform = new Platform(broker, pipeline);
        await using var node = new LiveNode(broker, folder.FullName, pipeline, new TestModule("pv_prediction", (_, _) => ModuleResult.Nothing));
        await node.StartAsync();
        await node.WaitReadyAsync();
        await using (var operatorsOwn = new SqliteCheckpointStore(node.Host.Options.Store.Path!)) await operatorsOwn.RenewAsync(force: true, default);
        await platform.SendAsync("SCHEDULE-DEVICE-PV", """{"stationId": "1", "pvId": "1", "pvPreDcPower": 5}""");

        await node.WaitUntilAsync("the end", () => Task.FromResult(node.Host.Failure.IsFaulted));
        node.Host.FailureReason.ShouldNotBeNull().ShouldContain("Start the node again");
    }

    [Theory]
    [InlineData("http")]
    [InlineData("metrics")]
    public async Task A_busy_port_is_refused_with_the_key_and_the_port_and_nothing_stays_open(string key)
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"] } }""");
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        var options = LiveNode.Options(NoBroker, folder.FullName);
        options = key == "http" ? options with { Http = new EndpointOptions("127.0.0.1", port) } : options with { Metrics = new EndpointOptions("127.0.0.1", port) };
        await using var node = new LiveNode(options, pipeline);

        var failure = await Should.ThrowAsync<EndpointUnavailableException>(() => node.Server.StartAsync(CancellationToken.None));
        failure.Message.ShouldBe($"{key}.port: value {port}: another program listens on 127.0.0.1:{port}; stop it, or name a free port (0 takes any)");
        if (node.Server.Address is { } opened) await Should.ThrowAsync<HttpRequestException>(() => node.Http.GetAsync(opened));
    }

    [Fact]
    public async Task An_address_of_another_machine_is_refused_with_its_key()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"] } }""");
        // Kept for documentation: no machine has it.
        await using var node = new LiveNode(LiveNode.Options(NoBroker, folder.FullName) with
        {
            Http = new EndpointOptions("192.0.2.1", 0),
            Access = new AccessOptions { Tokens = [AccessToken.Of("ops", Right.Steer, "0123456789abcdef")] },
        }, pipeline);
        var failure = await Should.ThrowAsync<EndpointUnavailableException>(() => node.Server.StartAsync(CancellationToken.None));
        failure.Message.ShouldStartWith("http.host: value \"192.0.2.1\": is not an address of this machine");
    }

    [Fact]
    public async Task Localhost_and_any_free_port_go_together()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"] } }""");
        await using var node = new LiveNode(LiveNode.Options(NoBroker, folder.FullName) with { Http = new EndpointOptions("localhost", 0) }, pipeline);
        await node.Server.StartAsync(CancellationToken.None);
        node.Server.Address!.Port.ShouldBeGreaterThan(0);
        (await node.ReadAsync("/health"))["status"]!.GetValue<string>().ShouldBe("starting");
    }
}
