using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Tests.CommandLines;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Http;

/// <summary>Two nodes that share the work: any of them shows and steers all of it, and says what it could not hear.</summary>
public sealed class ClusterAnswerTests : IDisposable
{
    private const string SteerToken = "steer-0123456789abcdef";
    private const string ReadToken = "read-0123456789abcdef";
    private static readonly IReadOnlyList<string> Stations = [.. Enumerable.Range(1, 12).Select(number => $"S{number:00}")];

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("cluster-answers-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task Any_node_shows_and_steers_the_whole_cluster_and_tells_whom_it_could_not_hear()
    {
        var pipeline = PipelineFiles.Valid(SmallPipelines.Build(
            """ "METERS": { "envelope": "list", "window": 9, "fields": [{ "from": "value", "type": "number" }], "start": "earliest" } """, """ "m": { "topics": ["METERS"] } """));
        using var broker = LiveNode.StartBroker(pipeline);
        LiveNode Make(string id)
        {
            var node = new LiveNode(
                LiveNode.Options(broker.BootstrapServers, folder.FullName) with
                {
                    NodeId = id,
                    Access = new AccessOptions
                    {
                        Tokens = [AccessToken.Of("ops", Right.Steer, SteerToken), AccessToken.Of("grafana", Right.Read, ReadToken)],
                        ClusterToken = new SecretText("cluster-0123456789abcdef"),
                    },
                },
                pipeline, new TestModule("m", (_, _) => Core.Modules.ModuleResult.Write(writer => writer.WriteBoolean("seen", true))));
            node.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", SteerToken);
            return node;
        }

        await using var first = Make("node-1");
        await using var second = Make("node-2");
        LiveNode[] nodes = [first, second];
        await first.StartAsync();
        await second.StartAsync();
        await first.WaitUntilAsync("shards on both, and sources read", async () =>
        {
            var owners = await PhasesAsync(first, "");
            var readers = (await first.ReadAsync("/api/v1/sources")).AsArray().Select(line => (string?)line!["node"]).ToList();
            return readers.Count == 2 * LiveNode.Partitions && readers.All(reader => reader is not null) && owners.Count == LiveNode.Shards && owners.All(shard => shard.Phase == "running") && owners.Select(shard => shard.Node).Distinct().Count() == 2;
        });

        await using var platform = new Platform(broker, pipeline);
        foreach (var station in Stations) await platform.SendAsync("METERS", $$"""[{"stationId":"{{station}}","value":1},{"stationId":"{{station}}","value":"no number"}]""");
        foreach (var node in nodes) await node.WaitAppliedAsync("METERS", 12);
        await first.WaitUntilAsync("12 letters", async () => (await first.ReadAsync("/api/v1/dead-letters")).AsArray().Count == 12);
        await first.WaitUntilAsync("12 batches", async () => (int)(await first.ReadAsync("/api/v1/counters"))["batches_completed"]! == 12);
        await first.WaitUntilAsync("nothing left to read", async () => (await first.ReadAsync("/api/v1/positions")).AsArray().All(line => (int?)line!["lag"] == 0));

        var ownerOf = await SamePictureAsync(nodes);
        await OneNodeAloneAsync(nodes);
        await SteerAsync(first, ownerOf);
        await WithoutTheOtherAsync(first, second, ownerOf);
    }

    /// <summary>Both say the same of everything; returns the node of each station.</summary>
    private static async Task<IReadOnlyDictionary<string, string>> SamePictureAsync(LiveNode[] nodes)
    {
        Dictionary<string, string> ownerOf = [];
        List<string> pictures = [];
        foreach (var node in nodes)
        {
            var stations = (await node.ReadAsync("/api/v1/stations"))["stations"]!.AsArray();
            stations.Select(line => (string)line!["station"]!).ShouldBe(Stations);
            stations.ShouldAllBe(line => line!["stale"] == null);
            ownerOf = stations.ToDictionary(line => (string)line!["station"]!, line => (string)line!["node"]!);
            List<string> paged = [];
            for (var after = ""; after is not null;)
            {
                var page = await node.ReadAsync($"/api/v1/stations?limit=5&after={after}");
                paged.AddRange(page["stations"]!.AsArray().Select(line => (string)line!["station"]!));
                after = (string?)page["next"];
            }

            paged.ShouldBe(Stations);
            foreach (var station in Stations)
            {
                var shown = await node.ReadAsync($"/api/v1/stations/{station}");
                ((string)shown["node"]!, shown["stale"]).ShouldBe((ownerOf[station], null), station);
                shown["windows"]!["METERS"]!["input"]!["value"]!.ToJsonString().ShouldBe("1");
            }

            var health = await node.ReadAsync("/health");
            ((string)health["status"]!, (string)health["node"]!, (int)health["station_count"]!).ShouldBe(("healthy", node.Host.Options.NodeId, 12));
            health["nodes"]!.AsArray().Select(entry => (string)entry!["node"]!).Order(StringComparer.Ordinal).ShouldBe(["node-1", "node-2"]);
            var counters = await node.ReadAsync("/api/v1/counters");
            ((int)counters["parts_applied"]!["METERS"]!, (int)counters["batches_completed"]!).ShouldBe((12, 12));
            ((int)counters["records_fetched"]!["METERS"]!).ShouldBeGreaterThanOrEqualTo(12);
            var module = (await node.ReadAsync("/api/v1/modules")).AsArray().ShouldHaveSingleItem()!;
            ((int)module["batches_completed"]!, module["nodes"]!.AsArray().Count).ShouldBe((12, 2));
            (await node.ReadAsync("/api/v1/batches")).AsArray().ShouldBeEmpty();
            (await node.ReadAsync("/api/v1/problems?limit=3"))["problems"]!.AsArray().Count.ShouldBe(3);
            var sources = (await node.ReadAsync("/api/v1/sources")).AsArray();
            sources.Select(line => ((string)line!["topic"]!, (int)line["partition"]!, (int?)line["lag"])).ShouldBe([("METERS", 0, 0), ("METERS", 1, 0), ("live.replays", 0, 0), ("live.replays", 1, 0)]);
            var positions = (await node.ReadAsync("/api/v1/positions")).AsArray();
            positions.ShouldAllBe(line => line!["node"] != null && line["stale"] == null);
            // Two logs of each shard, the source and the replays.
            positions.Count.ShouldBe((2 * LiveNode.Shards) + (2 * LiveNode.Partitions));
            (await node.ReadAsync("/api/v1/marks")).AsArray().Sum(mark => (int)mark!["applied_count"]!).ShouldBe(12);
            (await node.ReadAsync("/api/v1/status")).AsArray().Select(line => (string)line!["node"]!).ShouldBe(["node-1", "node-2"]);
            (await node.ReadAsync("/api/v1/nodes")).AsArray().Select(line => (string)line!["state"]!).ShouldBe(["running", "running"]);
            (await node.ReadAsync("/api/v1/cluster"))["nodes"]!.AsArray().Sum(entry => entry!["shards"]!.AsArray().Count).ShouldBe(LiveNode.Shards);
            pictures.Add(string.Join('\n', [
                (await PhasesAsync(node, "")).Order().Aggregate("", (text, shard) => $"{text} {shard}"),
                .. ownerOf.Select(pair => $"{pair.Key} {pair.Value}"), .. sources.Select(line => $"{line!["partition"]} {line["node"]}"), .. positions.Select(line => $"{line!["topic"]} {line["partition"]} {line["node"]} {line["next"]}")]));
        }

        pictures[1].ShouldBe(pictures[0]);
        ownerOf.Values.Distinct().Order(StringComparer.Ordinal).ShouldBe(["node-1", "node-2"]);
        return ownerOf;
    }

    private static async Task OneNodeAloneAsync(LiveNode[] nodes)
    {
        foreach (var node in nodes)
        {
            (await PhasesAsync(node, "?scope=node")).ShouldAllBe(shard => shard.Node == node.Host.Options.NodeId);
            (await node.ReadAsync("/health?scope=node"))["nodes"]!.AsArray().ShouldHaveSingleItem();
            (await node.GetAsync("/api/v1/shards?scope=world")).Status.ShouldBe(HttpStatusCode.BadRequest);
        }

        (await nodes[0].ReadAsync("/api/v1/stations?scope=node"))["stations"]!.AsArray().Count.ShouldBeLessThan(Stations.Count);
    }

    private static async Task SteerAsync(LiveNode node, IReadOnlyDictionary<string, string> ownerOf)
    {
        // A station, and letters, of the other node's shards.
        var station = ownerOf.First(pair => pair.Value == "node-2").Key;
        var (status, answer) = await PostAsync(node, "/api/v1/station/pause", new JsonObject { ["id"] = station, ["by"] = "anna" });
        (status, (string)answer["node"]!, (string)answer["by"]!).ShouldBe((HttpStatusCode.OK, "node-2", "anna (ops)"), answer.ToJsonString());
        (await node.ReadAsync($"/api/v1/stations/{station}"))["paused"]!.GetValue<bool>().ShouldBeTrue();
        (status, answer) = await PostAsync(node, "/api/v1/dead-letters/discard", new JsonObject { ["topic"] = "METERS", ["limit"] = 10, ["by"] = "anna" });
        (status, answer["done"]!.AsArray().Count, answer["refused"]!.AsArray().Count, (bool)answer["more"]!).ShouldBe((HttpStatusCode.OK, 10, 0, true), answer.ToJsonString());
        (await node.ReadAsync("/api/v1/dead-letters?state=discarded")).AsArray().ShouldAllBe(letter => (string)letter!["changed_by"]! == "anna (ops)");

        foreach (var order in (string[])["leave", "down"])
            (await PostAsync(node, $"/api/v1/cluster/{order}", new JsonObject { ["node"] = "node-3", ["by"] = "anna" })).Status.ShouldBe(HttpStatusCode.NotFound);

        // Refused orders are recorded too, and each once, whoever carried it out.
        (status, _) = await PostAsync(node, "/api/v1/station/pause", new JsonObject { ["id"] = "nobody", ["by"] = "anna\n{\"by\":1}" });
        status.ShouldBe(HttpStatusCode.BadRequest);
        await node.WaitUntilAsync("five events", async () => (await SteeredAsync(node)).Count >= 5);
        var steered = await SteeredAsync(node);
        steered.Select(happened => ((string)happened["by"]!, (string)happened["node"]!)).ShouldBe([.. Enumerable.Repeat(("anna (ops)", "node-1"), 4), ("anna\u00b7{\"by\":1} (ops)", "node-1")]);
        ((string)steered[0]["detail"]!).ShouldBe($$"""POST /api/v1/station/pause {"id":"{{station}}"}: 200""");
        ((string)steered[4]["detail"]!).ShouldEndWith(": 400");
        node.Log.Of("Steered")[0].ShouldBe($$"""Steered: anna (ops) orders POST /api/v1/station/pause {"id":"{{station}}"}""");
    }

    private static async Task WithoutTheOtherAsync(LiveNode node, LiveNode other, IReadOnlyDictionary<string, string> ownerOf)
    {
        // Its API is gone; it still owns its shards and is heard of in the store.
        await other.Server.StopAsync();
        using var answer = await node.Http.GetAsync(new Uri(node.Server.Address!, "/api/v1/stations"));
        answer.Headers.GetValues(ClusterRoutes.UnreachableHeader).ShouldBe(["node-2"]);
        (await CommandRun.AtAsync(node, "shards", "--token", ReadToken)).Error.Trim().ShouldBe("not answering: node-2; what is told of them comes from the database, or is missing", "once, though the verb asks twice");
        var lines = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["stations"]!.AsArray();
        lines.Select(line => ((string)line!["station"]!, (string)line["node"]!, line["stale"] is not null)).ShouldBe(ownerOf.Select(pair => (pair.Key, pair.Value, pair.Value == "node-2")));
        lines.Where(line => line!["stale"] is not null).ShouldAllBe(line => (double)line!["age_seconds"]! >= 0 && (double)line["age_seconds"]! < 60);

        var station = ownerOf.First(pair => pair.Value == "node-2").Key;
        var shown = await node.ReadAsync($"/api/v1/stations/{station}");
        ((bool)shown["stale"]!, (string)shown["node"]!, (bool)shown["paused"]!).ShouldBe((true, "node-2", true));
        ((double)shown["age_seconds"]!).ShouldBeInRange(0, 60);
        shown["windows"]!["METERS"]!["input"]!["value"]!.ToJsonString().ShouldBe("1");
        (await node.GetAsync("/api/v1/stations/nobody")).Status.ShouldBe(HttpStatusCode.NotFound);
        (await PostAsync(node, "/api/v1/cluster/leave", new JsonObject { ["node"] = "node-2", ["by"] = "anna" })).Status.ShouldBe(HttpStatusCode.ServiceUnavailable);

        var shards = await PhasesAsync(node, "");
        shards.Select(shard => shard.Shard).ShouldBe(Enumerable.Range(0, LiveNode.Shards));
        shards.ShouldAllBe(shard => shard.Phase == (shard.Node == "node-2" ? "unknown" : "running"));
        shards.Select(shard => shard.Node).Distinct().Count().ShouldBe(2);
        var health = await node.ReadAsync("/health");
        (string.Join(' ', health["problems"]!.AsArray()), (string)health["status"]!).ShouldSatisfyAllConditions(
            told => told.Item1.ShouldContain("node node-2 does not answer"), told => told.Item2.ShouldBe("degraded"));

        var (status, refused) = await PostAsync(node, "/api/v1/station/resume", new JsonObject { ["id"] = station, ["by"] = "anna" });
        (status, (string)refused["error"]!).ShouldSatisfyAllConditions(told => told.status.ShouldBe(HttpStatusCode.ServiceUnavailable), told => told.Item2.ShouldContain("is owned by node-2, which does not answer"));

        // The verbs say it beside what they show.
        using var error = new StringWriter();
        using var http = NodeClient.Connect(node.Address, ReadToken, null, null, null, TimeSpan.FromSeconds(20));
        (await new NodeClient(http, error).GetAsync("/api/v1/shards", default)).ShouldNotBeNull();
        error.ToString().ShouldStartWith("not answering: node-2;");
        (await new NodeClient(http, error).PostAsync("/api/v1/station/resume", new JsonObject(), default)).ShouldBeNull();
        error.ToString().ShouldContain("this needs the right to steer");
        using var nobody = NodeClient.Connect(node.Address, null, null, null, null, TimeSpan.FromSeconds(20));
        (await new NodeClient(nobody, error).GetAsync("/api/v1/shards", default)).ShouldBeNull();
        error.ToString().ShouldContain("--token or ANALYTICS_TOKEN");
    }

    private static async Task<IReadOnlyList<(int Shard, string? Node, string Phase)>> PhasesAsync(LiveNode node, string query) =>
        [.. (await node.ReadAsync($"/api/v1/shards{query}")).AsArray().Select(shard => ((int)shard!["shard"]!, (string?)shard["node"], (string)shard["phase"]!))];

    private static async Task<IReadOnlyList<JsonNode>> SteeredAsync(LiveNode node) =>
        [.. (await node.ReadAsync("/api/v1/events?limit=1000")).AsArray().Where(happened => (string)happened!["kind"]! == "steered").Select(happened => happened!)];

    private static async Task<(HttpStatusCode Status, JsonNode Body)> PostAsync(LiveNode node, string path, JsonObject body)
    {
        using var content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        using var answer = await node.Http.PostAsync(new Uri(node.Server.Address!, path), content);
        return (answer.StatusCode, JsonNode.Parse(await answer.Content.ReadAsStringAsync())!);
    }
}
