using System.Net;
using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Http;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.CommandLines;

/// <summary>Stations are paused, resumed and forgotten by the verbs, at running nodes; also such as are not in memory.</summary>
public sealed class StationOrderTests : IDisposable
{
    private const string Station = "Süd/2 \"x\"";

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("station-orders-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task An_operator_pauses_resumes_and_forgets_a_station()
    {
        var pipeline = PipelineFiles.Valid(SmallPipelines.OneModule(topicOptions: "\"start\": \"earliest\""));
        using var broker = LiveNode.StartBroker(pipeline);
        // No station stays in memory when it has nothing to do.
        var options = LiveNode.Options(broker.BootstrapServers, folder.FullName) with { Limits = new LimitOptions { Entities = 1 } };
        await using var node = new LiveNode(options, pipeline, TestModuleThatSaysValue());
        await node.StartAsync();
        await node.WaitReadyAsync();
        await using var platform = new Platform(broker, pipeline);
        var batches = 0;
        Task SendAsync(int value) => platform.SendAsync("METERS", $$"""[{"stationId":"Süd/2 \"x\"","value":{{value}}},{"stationId":"S2","value":{{value}}}]""");
        async Task<System.Text.Json.Nodes.JsonNode> NextUploadAsync() => (await platform.ReadAsync("MODULE-OUTPUT-M", ++batches))[^1];

        await SendAsync(1);
        (await NextUploadAsync())["stations"]!.AsArray().Count.ShouldBe(2);
        var run = await CommandRun.AtAsync(node, "station", Station, "pause", "--by", "anna");
        run.Code.ShouldBe(0, run.Error);
        run.Output.ShouldStartWith($"station {Station} is paused: windows go on, its calls answer nothing (shard ");
        (await CommandRun.AtAsync(node, "station", Station)).Lines[0].ShouldEndWith("PAUSED");
        (await CommandRun.AtAsync(node, "stations")).Output.ShouldContain("PAUSED");
        (await CommandRun.AtAsync(node, "log", "tail", "--station", Station)).Output.ShouldContain($"StationSteered: {Station} Pause by anna");

        await SendAsync(2);
        (await NextUploadAsync())["missing"]!.AsArray().ShouldHaveSingleItem()!.GetValue<string>().ShouldBe(Station);
        run = await CommandRun.AtAsync(node, "station", Station);
        run.Output.ShouldMatch("m +nothing +0  METERS:0:1 +the station is paused");
        run.Output.ShouldContain("value 2");

        (await CommandRun.AtAsync(node, "station", Station, "resume")).Output.ShouldContain("goes on with the next record");
        await SendAsync(3);
        (await NextUploadAsync())["missing"]!.AsArray().ShouldBeEmpty();

        run = await CommandRun.AtAsync(node, "station", Station, "forget");
        (run.Code, run.Error.Trim()).ShouldBe((2, $"Everything that is held of station {Station} will be deleted. Say --yes."));
        (await CommandRun.AtAsync(node, "station", Station, "forget", "--yes")).Code.ShouldBe(0);
        run = await CommandRun.AtAsync(node, "station", Station, "pause");
        (run.Code, run.Error.Trim()).ShouldBe((1, $"there is no station \"{Station}\""));
        (await node.ReadAsync("/api/v1/stations"))["station_count"]!.GetValue<int>().ShouldBe(1);
        await SendAsync(4);
        (await NextUploadAsync())["missing"]!.AsArray().ShouldBeEmpty();
        (await node.ReadAsync("/api/v1/stations"))["station_count"]!.GetValue<int>().ShouldBe(2);
    }

    [Fact]
    public async Task Stations_that_are_not_in_memory_are_listed_too_and_the_ones_that_waited_longest_found()
    {
        var pipeline = PipelineFiles.Valid(SmallPipelines.OneModule(topicOptions: "\"start\": \"earliest\""));
        using var broker = LiveNode.StartBroker(pipeline);
        var options = LiveNode.Options(broker.BootstrapServers, folder.FullName) with { Limits = new LimitOptions { Entities = 1 } };
        await using var node = new LiveNode(options, pipeline, TestModuleThatSaysValue());
        await node.StartAsync();
        await node.WaitReadyAsync();
        await using var platform = new Platform(broker, pipeline);
        var stations = Enumerable.Range(0, 40).Select(number => $"S{number:00}").ToList();
        foreach (var some in stations.Chunk(10)) await platform.SendAsync("METERS", SmallPipelines.Values(1, some));
        await platform.ReadAsync("MODULE-OUTPUT-M", 4);
        await node.WaitUntilAsync("few in memory", async () => (await node.ReadAsync("/api/v1/shards")).AsArray().Sum(shard => (int)shard!["stations_in_memory"]!) <= LiveNode.Shards);
        var run = await CommandRun.AtAsync(node, "stations");
        run.Lines[0].ShouldBe("40 stations");
        run.Lines.Skip(2).Select(line => line.Split(' ')[0]).ShouldBe(stations);
        run.Output.ShouldContain("in the database");
        (await CommandRun.AtAsync(node, "stations", "--prefix", "S1", "--after", "S14", "--limit", "3")).Lines.Skip(2).Select(line => line.Split(' ')[0]).Take(3).ShouldBe(["S15", "S16", "S17"]);

        await CommandRun.AtAsync(node, "station", "S20", "pause");
        await platform.SendAsync("METERS", SmallPipelines.Values(2, [.. stations.Where(station => station != "S20")]));
        await node.WaitAppliedAsync("METERS", 79);
        run = await CommandRun.AtAsync(node, "stations", "--stale", "--limit", "3");
        run.Row("S20")[^1].ShouldBe("PAUSED");
        run.Lines[1].ShouldStartWith("S20 ");
        run.Lines.Count.ShouldBe(4);
        run.Lines.Skip(2).Select(line => line.Split(' ')[0]).ShouldAllBe(station => stations.Contains(station));
        Murmur2.Partition("S20", LiveNode.Shards).ShouldBe(int.Parse(run.Row("S20")[2], null));
    }

    [Fact]
    public async Task An_order_is_refused_where_it_could_come_from_a_page_of_another_site_or_says_too_little()
    {
        var pipeline = PipelineFiles.Valid(SmallPipelines.OneModule());
        await using var node = new LiveNode(LiveNode.Options("127.0.0.1:9", folder.FullName), pipeline);
        await node.Server.StartAsync(CancellationToken.None);
        async Task<HttpStatusCode> PostAsync(string body, string type = "application/json")
        {
            using var content = new StringContent(body, Encoding.UTF8, type);
            using var answer = await node.Http.PostAsync(new Uri(node.Server.Address!, "/api/v1/station/pause"), content);
            return answer.StatusCode;
        }

        (await PostAsync("""{"id":"S1","by":"anna"}""", "text/plain")).ShouldBe(HttpStatusCode.UnsupportedMediaType);
        foreach (var body in new[] { "{}", "[]", "no JSON", """{"id":"S1"}""", """{"id":7,"by":"anna"}""", """{"id":"","by":"anna"}""", "{\"id\":\"S1\",\"by\":\"a\\nb\"}" })
            (await PostAsync(body)).ShouldBe(HttpStatusCode.BadRequest, body);
        (await PostAsync("""{"id":"S1","by":"anna"}""")).ShouldBe(HttpStatusCode.ServiceUnavailable, "the node is starting");
    }

    private static TestModule TestModuleThatSaysValue() =>
        new("m", (input, _) => Analytics.Actors.Core.Modules.ModuleResult.Write(writer => writer.WriteNumber("value", input.GetElement("value").GetInt32())));
}
