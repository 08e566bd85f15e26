using System.CommandLine;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Cli;

namespace Analytics.Actors.Tests.Http;

/// <summary>Whole nodes whose topics were made anew, and positions that an operator sets while a node runs.</summary>
public sealed class PositionNodeTests : IDisposable
{
    private const string Meter = "SCHEDULE-DEVICE-METER";
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("positions-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task After_all_topics_were_made_anew_nothing_is_read_until_positions_are_set_and_then_the_new_records_count()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using (var broker = LiveNode.StartBroker(pipeline))
        await using (var node = NewNode(broker, pipeline))
        {
            await node.StartAsync();
            await node.WaitReadyAsync();
            await using var platform = new Platform(broker, pipeline);
            for (var station = 0; station < 20; station++) await platform.SendAsync(Meter, $$"""{"stationId": "S{{station}}", "meterPower": 1}""");
            await node.WaitAppliedAsync(Meter, 20);
            // An orderly stop commits and stores what was read.
            await node.Host.StopAsync();
        }

        using var anew = LiveNode.StartBroker(pipeline);
        await using var second = NewNode(anew, pipeline);
        await using (var platform = new Platform(anew, pipeline))
        {
            for (var station = 0; station < 3; station++) await platform.SendAsync(Meter, $$"""{"stationId": "S{{station}}", "meterPower": 2}""");
        }

        await second.StartAsync();
        JsonNode health = new JsonObject();
        await second.WaitUntilAsync("shards and the source are stopped", async () =>
            (health = await second.ReadAsync("/health"))["status"]!.GetValue<string>() == "degraded"
            && health["problems"]!.AsArray().Count(problem => problem!.GetValue<string>().Contains("positions set")) > LiveNode.Shards);
        health["consumer"]!.GetValue<string>().ShouldBe("partitions stopped");
        health["nodes"]![0]!["shards"]!.AsArray().ShouldAllBe(shard => shard!["phase"]!.GetValue<string>() == "stopped");
        (await second.GetAsync("/health/ready")).Status.ShouldBe(HttpStatusCode.ServiceUnavailable);
        var stopped = (await second.ReadAsync("/api/v1/sources")).AsArray().Single(source => source!["stopped"] is not null)!;
        stopped["topic"]!.GetValue<string>().ShouldBe(Meter);
        stopped["stopped"]!.GetValue<string>().ShouldContain("analytics positions set SCHEDULE-DEVICE-METER --to");
        (await RunAsync("show", "--address", second.Address)).ShouldContain("STOPPED: beyond the end");
        (await second.ScrapeAsync()).Families["data_analysis_partition_stopped"].Samples.Count.ShouldBeGreaterThan(LiveNode.Shards);

        foreach (var topic in new[] { "live.station-events", "live.batch-results", Meter })
        {
            (await RunAsync("set", topic, "--to", "earliest", "--by", "张", "--address", second.Address)).ShouldContain($"{topic}[0] goes on at 0");
        }

        await second.WaitReadyAsync();
        await second.WaitAppliedAsync(Meter, 3);
        await second.WaitUntilAsync("the stations are healthy", async () => (await second.ReadAsync("/health"))["status"]!.GetValue<string>() == "healthy");
        var source = (await Positions(second, Meter)).Single(line => line["gap"] is not null && line["lag"]!.GetValue<long>() == 0 && line["next"]!.GetValue<long>() == 3);
        source["incarnation"]!.GetValue<int>().ShouldBe(1);
        source["gap"]!["reason"]!.GetValue<string>().ShouldBe("set to earliest by 张");
        source["stopped"].ShouldBeNull();
        (await second.ScrapeAsync()).Value("data_analysis_gaps_total", "topic", "live.station-events", "reason", "operator").ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task With_policies_that_say_where_a_node_goes_on_by_itself_and_shows_the_gaps()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter], "earliest");
        using (var broker = LiveNode.StartBroker(pipeline))
        await using (var node = NewNode(broker, pipeline))
        {
            await node.StartAsync();
            await node.WaitReadyAsync();
            await using var platform = new Platform(broker, pipeline);
            for (var station = 0; station < 20; station++) await platform.SendAsync(Meter, $$"""{"stationId": "S{{station}}", "meterPower": 1}""");
            await node.WaitAppliedAsync(Meter, 20);
            await node.Host.StopAsync();
        }

        using var anew = LiveNode.StartBroker(pipeline);
        await using (var platform = new Platform(anew, pipeline))
        {
            // More than before: only the record before the position tells that these are others.
            for (var station = 0; station < 25; station++) await platform.SendAsync(Meter, $$"""{"stationId": "S{{station}}", "meterPower": 2}""");
        }

        var options = LiveNode.Options(anew.BootstrapServers, folder.FullName) with { InternalOutOfRange = new(OutOfRangeKind.Earliest) };
        await using var second = new LiveNode(options, pipeline, new TestModule("load_prediction", (_, _) => ModuleResult.Nothing));
        await second.StartAsync();
        await second.WaitReadyAsync();
        await second.WaitAppliedAsync(Meter, 25);
        (await second.ReadAsync("/health"))["status"]!.GetValue<string>().ShouldBe("healthy");
        (await Positions(second, Meter))[0]["gap"]!["reason"]!.GetValue<string>().ShouldStartWith("recreated");
        (await Positions(second, "live.station-events")).ShouldAllBe(line => line["incarnation"]!.GetValue<int>() == 1 && line["gap"]!["to"]!.GetValue<long>() == 0);
        var metrics = await second.ScrapeAsync();
        metrics.Value("data_analysis_gaps_total", "topic", Meter, "reason", "recreated").ShouldBe(1);
        // Its own router may have written behind a shard's old position before the shard was checked: then the record tells.
        metrics.Families["data_analysis_gaps_total"].Samples.Where(sample => sample.Labels["topic"] == "live.station-events")
            .Sum(sample => sample.Labels["reason"] is "beyond_end" or "recreated" ? sample.Value : 0).ShouldBe(LiveNode.Shards);
        (await second.ReadAsync("/api/v1/problems"))["counts"]!["gap"]!.GetValue<long>().ShouldBe(LiveNode.Shards + 1);
    }

    [Fact]
    public async Task A_position_set_back_while_the_node_runs_has_records_processed_again_and_one_set_forward_skips()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var node = NewNode(broker, pipeline);
        await node.StartAsync();
        await node.WaitReadyAsync();
        await using var platform = new Platform(broker, pipeline);
        for (var station = 0; station < 5; station++) await platform.SendAsync(Meter, $$"""{"stationId": "S{{station}}", "meterPower": 1}""");
        await node.WaitAppliedAsync(Meter, 5);

        (await RunAsync("set", Meter, "--to", "earliest", "--partition", "0", "--address", node.Address)).ShouldContain("goes on at 0");
        await node.WaitAppliedAsync(Meter, 10);
        // Of a shard's log what was applied is not applied again.
        await RunAsync("set", "live.station-events", "--to", "2020-01-01", "--address", node.Address);
        await node.WaitUntilAsync("the shards have moved", async () => (await Positions(node, "live.station-events"))
            .All(line => line["incarnation"]!.GetValue<int>() == 1 && !line["wanted"]!.GetValue<bool>() && line["lag"]?.GetValue<long>() == 0));
        await node.WaitReadyAsync();
        await platform.SendAsync(Meter, """{"stationId": "S0", "meterPower": 3}""");
        await node.WaitAppliedAsync(Meter, 11);
        (await node.ReadAsync("/api/v1/counters"))["parts_applied"]![Meter]!.GetValue<long>().ShouldBe(11);
        (await node.ReadAsync("/api/v1/counters"))["missing_records"]!.GetValue<long>().ShouldBe(0);
    }

    [Fact]
    public async Task What_cannot_be_set_is_refused_with_what_would_be_right()
    {
        var pipeline = LiveNode.Pipeline("""{ "load_prediction": { "topics": ["SCHEDULE-DEVICE-METER"], "batch": "none" } }""", [Meter]);
        using var broker = LiveNode.StartBroker(pipeline);
        await using var node = NewNode(broker, pipeline);
        await node.StartAsync();
        await node.WaitReadyAsync();
        foreach (var (body, status, says) in new[]
        {
            ("""{"topic": "NOPE", "to": "latest"}""", HttpStatusCode.BadRequest, Meter),
            ("""{"topic": "SCHEDULE-DEVICE-METER", "to": "yesterday"}""", HttpStatusCode.BadRequest, "earliest, latest, or a time"),
            ("""{"topic": "SCHEDULE-DEVICE-METER", "to": "latest", "partition": 2}""", HttpStatusCode.BadRequest, "partitions 0 to 1"),
            ("""{"topic": "SCHEDULE-DEVICE-METER"}""", HttpStatusCode.BadRequest, "\"to\": PLACE"),
            ("[1]", HttpStatusCode.BadRequest, "must be"),
            ("{", HttpStatusCode.BadRequest, "must be"),
        })
        {
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using var answer = await node.Http.PostAsync(new Uri(node.Server.Address!, "/api/v1/positions"), content);
            answer.StatusCode.ShouldBe(status, body);
            JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["error"]!.GetValue<string>().ShouldContain(says);
        }

        using var form = new StringContent("topic=SCHEDULE-DEVICE-METER&to=latest", Encoding.UTF8, "application/x-www-form-urlencoded");
        using var refused = await node.Http.PostAsync(new Uri(node.Server.Address!, "/api/v1/positions"), form);
        refused.StatusCode.ShouldBe(HttpStatusCode.UnsupportedMediaType, "a page of another site can send a form");
        (await node.Host.StoredPositionsAsync()).Values.ShouldAllBe(row => row.Incarnation == 0);
        await Should.ThrowAsync<BadArgumentsException>(() => RunAsync("set", Meter, "--to", "yesterday", "--address", node.Address));
    }

    private static async Task<IReadOnlyList<JsonNode>> Positions(LiveNode node, string topic) =>
        (await node.ReadAsync("/api/v1/positions")).AsArray().Where(line => line!["topic"]!.GetValue<string>() == topic).ToList()!;

    private LiveNode NewNode(EmbeddedBroker broker, PipelineConfiguration pipeline) =>
        new(broker, folder.FullName, pipeline, new TestModule("load_prediction", (_, _) => ModuleResult.Nothing));

    private static async Task<string> RunAsync(params string[] arguments)
    {
        var output = new StringWriter();
        var parsed = new RootCommand { PositionVerbs.Command() }.Parse(["positions", .. arguments]);
        var code = await parsed.InvokeAsync(new InvocationConfiguration { Output = output, Error = output, EnableDefaultExceptionHandler = false });
        code.ShouldBe(0, output.ToString());
        return output.ToString();
    }
}
