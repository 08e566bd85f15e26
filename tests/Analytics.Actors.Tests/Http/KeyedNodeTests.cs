using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Http;

/// <summary>Whole nodes with a source keyed by station: its partitions are read by the shards of their numbers.</summary>
public sealed class KeyedNodeTests : IDisposable
{
    private const string Meter = "METER", Plain = "PLAIN";
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("keyed-");
    private readonly PipelineConfiguration pipeline = Pipeline("stop");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task Records_are_applied_once_wherever_their_producer_put_them_and_a_restart_goes_on_behind_them()
    {
        using var broker = LiveNode.StartBroker(pipeline);
        await using (var node = NewNode(broker))
        {
            await node.StartAsync();
            await node.WaitReadyAsync();
            await using var platform = new Platform(broker, pipeline);
            for (var number = 0; number < 20; number++) await SendAsync(platform, number, ShardOf(number));
            // Three that a producer with another partitioner wrote, one under a key that is no station, and one that is no JSON.
            for (var number = 0; number < 3; number++) await SendAsync(platform, number, (ShardOf(number) + 1) % LiveNode.Shards);
            await platform.SendAsync(Meter, Value(7), ShardOf(7), "gun-1");
            await platform.SendAsync(Meter, "{ this is not JSON", 2, "S7");
            await node.WaitAppliedAsync(Meter, 24);
            await platform.ReadAsync($"{LiveNode.Group}.dead-letters", 1);
            (await node.ReadAsync("/api/v1/counters"))["records_fetched"]![Meter]!.GetValue<long>().ShouldBe(25);
            await node.WaitUntilAsync("the sources are read to their ends", async () => (await SourcesAsync(node)).All(line => line["lag"]?.GetValue<long>() == 0));
            var sources = await SourcesAsync(node);
            sources.Count.ShouldBe(LiveNode.Shards);
            sources.ShouldAllBe(line => line["shard"]!.GetValue<int>() == line["partition"]!.GetValue<int>());
            sources.Sum(line => line["position"]!.GetValue<long>()).ShouldBe(25);
            sources.Sum(line => line["misplaced"]!.GetValue<long>()).ShouldBe(4);
            await ExpectMarksAsync(node, 24);
            var metrics = await node.ScrapeAsync();
            metrics.Value("data_analysis_misrouted_total", "topic", Meter).ShouldBe(4);
            metrics.Families["data_analysis_lag_records"].Samples.Count(sample => sample.Labels["topic"] == Meter).ShouldBe(LiveNode.Shards);
            var problems = (await node.ReadAsync("/api/v1/problems"))["problems"]!.AsArray().Where(problem => problem!["kind"]!.GetValue<string>() == "misplaced").ToList();
            problems.ShouldHaveSingleItem()!["text"]!.GetValue<string>().ShouldContain("murmur2", customMessage: "told once a minute");
            var positions = (await node.ReadAsync("/api/v1/positions")).AsArray().Where(line => line!["topic"]!.GetValue<string>() == Meter).ToList();
            positions.Select(line => line!["shard"]!.GetValue<int>()).ShouldBe(Enumerable.Range(0, LiveNode.Shards));
            await node.Host.StopAsync();
        }

        await using var second = NewNode(broker);
        await second.StartAsync();
        await second.WaitReadyAsync();
        await using var again = new Platform(broker, pipeline);
        await SendAsync(again, 3, ShardOf(3));
        await second.WaitAppliedAsync(Meter, 1);
        (await second.ReadAsync("/api/v1/counters"))["parts_applied"]![Meter]!.GetValue<long>().ShouldBe(1);
        await ExpectMarksAsync(second, 25);
        (await second.ReadAsync("/health"))["status"]!.GetValue<string>().ShouldBe("healthy");

        // Set back, its records count again, on purpose, also those that other shards apply.
        var of1 = (await SourcesAsync(second))[1]["end"]!.GetValue<long>();
        (await SetAsync(second, "earliest", 1)).Status.ShouldBe(HttpStatusCode.OK);
        await second.WaitAppliedAsync(Meter, 1 + of1);
        await second.WaitUntilAsync("the partition was read again", async () => (await SourcesAsync(second)) is { Count: LiveNode.Shards } lines
            && lines[1]["incarnation"]!.GetValue<int>() == 1 && lines[1]["lag"]?.GetValue<long>() == 0 && lines[1]["position"]!.GetValue<long>() >= of1);
        var set = (await SourcesAsync(second))[1];
        set["gap"]!["reason"]!.GetValue<string>().ShouldBe("set to earliest by test");
    }

    [Fact]
    public async Task A_topic_with_another_number_of_partitions_is_not_read_and_all_else_goes_on()
    {
        var topics = Topics();
        topics[Meter] = LiveNode.Shards + 1;
        using var broker = EmbeddedBroker.Start(topics: topics);
        for (var start = 0; start < 2; start++)
        {
            await using var node = NewNode(broker);
            await node.StartAsync();
            await node.WaitUntilAsync("the node says so", async () => (await node.ReadAsync("/health"))["problems"]!.AsArray().Count(problem => problem!.GetValue<string>()
                .Contains($"topic {Meter} has {LiveNode.Shards + 1} partitions, and {LiveNode.Shards} are pinned")) == LiveNode.Shards);
            await node.WaitReadyAsync();
            (await node.ReadAsync("/health"))["status"]!.GetValue<string>().ShouldBe("degraded");
            await using var platform = new Platform(broker, pipeline);
            await SendAsync(platform, 1, ShardOf(1));
            await platform.SendAsync(Plain, Value(2));
            await node.WaitAppliedAsync(Plain, 1);
            (await node.ReadAsync("/api/v1/counters"))["parts_applied"]![Meter].ShouldBeNull();
            (await SourcesAsync(node)).ShouldAllBe(line => line["stopped"]!.GetValue<string>().Contains("are pinned"));
            (await node.ScrapeAsync()).Families["data_analysis_partition_stopped"].Samples.Count(sample => sample.Labels["topic"] == Meter && sample.Value == 1).ShouldBe(LiveNode.Shards);
            var (status, body) = await SetAsync(node, "earliest", 0);
            status.ShouldBe(HttpStatusCode.BadRequest);
            body["error"]!.GetValue<string>().ShouldContain("are pinned");
        }
    }

    [Fact]
    public async Task A_topic_that_appears_while_nodes_run_is_read_from_where_it_says()
    {
        var topics = Topics();
        topics.Remove(Meter);
        using var broker = EmbeddedBroker.Start(topics: topics);
        await using var node = NewNode(broker);
        await node.StartAsync();
        await node.WaitUntilAsync("the node says so", async () => (await node.ReadAsync("/health"))["problems"]!.AsArray().Any(problem => problem!.GetValue<string>().Contains($"topic {Meter} does not exist")));
        await node.WaitReadyAsync();
        broker.CreateTopic(Meter, LiveNode.Shards);
        await using var platform = new Platform(broker, pipeline);
        await SendAsync(platform, 1, ShardOf(1));
        await node.WaitAppliedAsync(Meter, 1);
        await node.WaitUntilAsync("nothing is wrong", async () => (await node.ReadAsync("/health"))["status"]!.GetValue<string>() == "healthy");
    }

    [Theory]
    [InlineData("stop")]
    [InlineData("earliest")]
    public async Task A_topic_made_anew_is_noticed_by_the_shards_that_read_it(string policy)
    {
        var chosen = Pipeline(policy);
        // The internal logs are made anew with it, and are to go on.
        LiveNode New(EmbeddedBroker broker) => new(
            LiveNode.Options(broker.BootstrapServers, folder.FullName) with { InternalOutOfRange = new(OutOfRangeKind.Earliest) }, chosen, Module);
        using (var broker = LiveNode.StartBroker(chosen))
        await using (var node = New(broker))
        {
            await node.StartAsync();
            await node.WaitReadyAsync();
            await using var platform = new Platform(broker, chosen);
            for (var number = 0; number < 20; number++) await SendAsync(platform, number, ShardOf(number));
            await node.WaitAppliedAsync(Meter, 20);
            await node.Host.StopAsync();
        }

        using var anew = LiveNode.StartBroker(chosen);
        await using var platformAnew = new Platform(anew, chosen);
        await SendAsync(platformAnew, 1, ShardOf(1));
        await using var second = New(anew);
        await second.StartAsync();
        await second.WaitReadyAsync();
        if (policy == "stop")
        {
            await platformAnew.SendAsync(Plain, Value(2));
            await second.WaitAppliedAsync(Plain, 1);
            var stopped = await SourcesAsync(second);
            stopped.ShouldAllBe(line => line["stopped"]!.GetValue<string>().Contains("analytics positions set METER --to"));
            (await second.ReadAsync("/health"))["consumer"]!.GetValue<string>().ShouldBe("partitions stopped");
            (await SetAsync(second, "earliest", null)).Status.ShouldBe(HttpStatusCode.OK);
        }

        await second.WaitAppliedAsync(Meter, 1);
        await second.WaitUntilAsync("nothing is wrong", async () => (await second.ReadAsync("/health"))["status"]!.GetValue<string>() == "healthy");
        (await SourcesAsync(second)).ShouldAllBe(line => line["incarnation"]!.GetValue<int>() == 1);
        (await second.ReadAsync("/api/v1/counters"))["parts_applied"]![Meter]!.GetValue<long>().ShouldBe(1);
    }

    [Fact]
    public async Task A_version_of_the_configuration_may_add_a_keyed_topic_and_not_change_who_reads_one()
    {
        using var broker = LiveNode.StartBroker(pipeline);
        var before = PipelineFiles.Valid(Text("stop", """ "keyed": false """).Replace("METER", "LATER", StringComparison.Ordinal));
        await using var node = new LiveNode(broker, folder.FullName, before, Module);
        await node.StartAsync();
        await node.WaitReadyAsync();
        await using var store = new SqliteCheckpointStore(LiveNode.Options("", folder.FullName).Store.Path!);
        await store.OpenAsync(LiveNode.Group, LiveNode.Shards, default);
        async Task ApplyAsync(long expected, string text)
        {
            (await store.ApplyConfigurationAsync(new ConfigurationChange(expected, text, "test", 0, "", Reroutes: true), default)).Applied.ShouldBeTrue();
            node.Host.LookForConfiguration();
        }

        await ApplyAsync(1, Text("stop", """ "keyed": true """));
        await node.WaitUntilAsync("the new version runs", async () => node.Host.ConfigurationVersion == 2 && (await SourcesAsync(node)).Count == LiveNode.Shards);
        await using var platform = new Platform(broker, pipeline);
        await SendAsync(platform, 1, ShardOf(1));
        await SendAsync(platform, 2, (ShardOf(2) + 1) % LiveNode.Shards);
        await node.WaitAppliedAsync(Meter, 2);

        await ApplyAsync(2, Text("stop", """ "keyed": false """));
        await node.WaitUntilAsync("the node refuses it", () => Task.FromResult(node.Host.ConfigurationProblem is not null));
        node.Host.ConfigurationProblem!.ShouldContain("reading METER, by shards (keyed by station) -> by routers (not keyed)");
        node.Host.ConfigurationVersion.ShouldBe(2);
        await SendAsync(platform, 3, ShardOf(3));
        await node.WaitAppliedAsync(Meter, 3);

        // Whoever asks first is refused, also where the topic is away in between.
        await store.ApplyConfigurationAsync(new ConfigurationChange(3, Text("stop", """ "keyed": false """).Replace("METER", "LATER", StringComparison.Ordinal), "test", 0, "", Reroutes: true), default);
        var applied = await node.Host.Configurations!.ApplyAsync(Text("stop", """ "keyed": false """), null, "test", "", default);
        applied.Version.ShouldBeNull();
        applied.Planned.Plan!.Refused.ShouldHaveSingleItem().What.ShouldBe("reading METER");
    }

    private static TestModule Module => new("m", (_, _) => ModuleResult.Nothing);

    private LiveNode NewNode(EmbeddedBroker broker) => new(broker, folder.FullName, pipeline, Module);

    private static PipelineConfiguration Pipeline(string outOfRange) => PipelineFiles.Valid(Text(outOfRange, """ "keyed": "station" """));

    private static string Text(string outOfRange, string keyed) => $$"""
        {
          "topics": {
            "METER": { {{keyed}}, "start": "earliest", "outOfRange": "{{outOfRange}}", "fields": ["value"] },
            "PLAIN": { "start": "earliest", "outOfRange": "earliest", "fields": ["value"] }
          },
          "modules": { "m": { "topics": ["METER", "PLAIN"], "requires": "any", "batch": "none" } }
        }
        """;

    private Dictionary<string, int> Topics() => pipeline.Topics.Keys.Concat(pipeline.Modules.Values.Select(module => module.OutputTopic)).Append("live.dead-letters").Append("live.replays")
        .Distinct().ToDictionary(topic => topic, topic => topic == Meter ? LiveNode.Shards : LiveNode.Partitions)
        .Concat([new("live.station-events", LiveNode.Shards), new("live.batch-results", LiveNode.Shards)]).ToDictionary();

    private static int ShardOf(int number) => Murmur2.Partition($"S{number}", LiveNode.Shards);

    private static string Value(int number) => $$"""{"stationId": "S{{number}}", "value": 1}""";

    private static Task SendAsync(Platform platform, int number, int partition) => platform.SendAsync(Meter, Value(number), partition, $"S{number}");

    private static async Task<List<JsonNode>> SourcesAsync(LiveNode node) =>
        (await node.ReadAsync("/api/v1/sources")).AsArray().Where(line => line!["topic"]!.GetValue<string>() == Meter).ToList()!;

    private static async Task ExpectMarksAsync(LiveNode node, int parts)
    {
        var marks = (await node.ReadAsync("/api/v1/marks")).AsArray().Where(mark => mark!["topic"]!.GetValue<string>() == Meter).ToList();
        marks.Sum(mark => mark!["applied_count"]!.GetValue<long>()).ShouldBe(parts);
        marks.Select(mark => (mark!["shard"]!.GetValue<int>(), mark["incarnation"]!.GetValue<int>(), mark["partition"]!.GetValue<int>())).ShouldBeUnique();
    }

    private static async Task<(HttpStatusCode Status, JsonNode Body)> SetAsync(LiveNode node, string to, int? partition)
    {
        var order = new JsonObject { ["topic"] = Meter, ["to"] = to, ["by"] = "test" };
        if (partition is { } one) order["partition"] = one;
        using var content = new StringContent(order.ToJsonString(), Encoding.UTF8, "application/json");
        using var answer = await node.Http.PostAsync(new Uri(node.Server.Address!, "/api/v1/positions"), content);
        return (answer.StatusCode, JsonNode.Parse(await answer.Content.ReadAsStringAsync())!);
    }
}
