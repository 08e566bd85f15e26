using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Http;

/// <summary>Versions of the configuration on two whole nodes under load: taken over without a restart, nothing lost, nothing twice.</summary>
public sealed class ConfigurationNodeTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("configuration-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task Topics_and_modules_come_and_go_and_routing_changes_under_load_and_each_record_is_processed_once()
    {
        var whole = PipelineFiles.Valid(Text(station: "stationId", window: 5, hasExtra: true));
        using var broker = LiveNode.StartBroker(whole);
        ConcurrentBag<long> second = [];
        await using var one = NewNode(broker, "node-1", second);
        await using var two = NewNode(broker, "node-2", second);
        await one.StartAsync();
        await two.StartAsync();
        await one.WaitReadyAsync();
        await two.WaitReadyAsync();
        await using var platform = new Platform(broker, whole);
        using var ending = new CancellationTokenSource();
        var sent = 0;
        var hurryTo = 0L;
        var feeding = Task.Run(async () =>
        {
            using var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
            for (; !ending.IsCancellationRequested && (sent < Volatile.Read(ref hurryTo) || await pace.WaitForNextTickAsync()); Interlocked.Increment(ref sent))
                await platform.SendAsync("A", string.Create(CultureInfo.InvariantCulture, $$"""{"stationId": "S{{sent % 20}}", "otherId": "T{{sent % 20}}", "n": {{sent}}}"""), sent % LiveNode.Partitions);
        });
        async Task ComeToAsync(int more)
        {
            var goal = Volatile.Read(ref sent) + more;
            await one.WaitUntilAsync($"{goal} records", () => Task.FromResult(Volatile.Read(ref sent) >= goal));
        }

        await ComeToAsync(50);
        // A topic and a module more, and a longer window.
        var added = await ApplyAsync(one, Text("stationId", window: 5, hasExtra: true), two);
        added.ShouldContain("topic B: added");
        added.ShouldContain("module extra: added");
        added.ShouldContain("window 2 -> 5: windows are kept, and grow");
        await platform.SendAsync("B", """{"stationId": "S1", "m": 7}""");
        await one.WaitUntilAsync("a record of the new topic is applied", async () => await AppliedAsync(one, "B") + await AppliedAsync(two, "B") == 1);
        await ComeToAsync(50);

        // Refused: all stays as it was.
        foreach (var (wrong, why) in new[] { (Text("stationId", 5, true, scope: "global"), "scope Station -> Global"), ("{ \"topics\": {} }", "modules"), (Text("stationId", 5, true, pool: "none"), "pool") })
        {
            var (code, said) = await RunAsync(one, "apply", wrong);
            code.ShouldBe(Verbs.BadArguments);
            said.ShouldContain(why);
        }

        (await RunAsync(one, "plan", Text("stationId", 5, true))).Text.ShouldContain("nothing changes: version 2 says the same");
        (one.Host.ConfigurationVersion, two.Host.ConfigurationVersion).ShouldBe((2, 2));

        // Other stations, from an offset on in each partition; asked of the other node.
        var rerouted = await ApplyAsync(two, Text("otherId", 5, true), one);
        rerouted.ShouldContain("routing, from an offset on: topic A");
        var froms = Enumerable.Range(0, LiveNode.Partitions).Select(partition => long.Parse(
            rerouted.Split('\n').Single(line => line.StartsWith($"A[{partition}]: routed by version 3", StringComparison.Ordinal)).Split(' ')[^2], CultureInfo.InvariantCulture)).ToArray();
        // What is granted is some seconds of the traffic that was measured, which a busy machine takes longer for.
        Volatile.Write(ref hurryTo, LiveNode.Partitions * (froms.Max() + 25));
        await one.WaitUntilAsync("records beyond the change", () => Task.FromResult(Volatile.Read(ref sent) >= Volatile.Read(ref hurryTo)));

        // The module goes.
        (await ApplyAsync(one, Text("otherId", 5, hasExtra: false), two)).ShouldContain("module extra: removed");
        await ComeToAsync(50);
        await ending.CancelAsync();
        await feeding;
        await one.WaitUntilAsync($"{sent} records are applied, by one node or the other", async () => await AppliedAsync(one, "A") + await AppliedAsync(two, "A") >= sent);

        var uploads = await platform.ReadAsync("MODULE-OUTPUT-COUNT", sent);
        uploads.Count.ShouldBe(sent, "each record is a batch of its own, uploaded once");
        var told = uploads.ToDictionary(upload => upload["batch_id"]!.GetValue<string>(), upload => upload["stations"]!.AsArray().Single()!);
        for (var number = 0; number < sent; number++)
        {
            var (partition, offset) = (number % LiveNode.Partitions, number / LiveNode.Partitions);
            var station = told[$"A:{partition}:{offset}"];
            station["station_id"]!.GetValue<string>().ShouldBe($"{(offset < froms[partition] ? 'S' : 'T')}{number % 20}", $"record {number}, offset {offset} of {partition}, {froms[partition]} the first by the new rules");
            station["last"]!.GetValue<long>().ShouldBe(number);
        }

        uploads.Max(upload => upload["stations"]![0]!["entries"]!.GetValue<int>()).ShouldBe(5, "the longer window is filled");
        second.ShouldNotBeEmpty();
        second.Count.ShouldBe(second.Distinct().Count(), "the added module was called once for each of its records");
        (await one.ReadAsync("/health"))["status"]!.GetValue<string>().ShouldBe("healthy");
        var shown = (await RunAsync(one, "show")).Text;
        shown.ShouldContain("\"otherId\"");
        shown.ShouldContain("first start");
        (await one.ReadAsync("/api/v1/config"))["current"]!.GetValue<long>().ShouldBe(4);
    }

    [Fact]
    public async Task A_node_that_starts_with_another_file_runs_what_is_stored()
    {
        using var broker = LiveNode.StartBroker(PipelineFiles.Valid(Text("stationId", 2, true)));
        await using (var first = NewNode(broker, "node-1", []))
        {
            await first.StartAsync();
            await first.WaitReadyAsync();
        }

        await using var second = new LiveNode(LiveNode.Options(broker.BootstrapServers, folder.FullName), PipelineFiles.Valid(Text("otherId", 3, true)), Module("count"), Module("extra"));
        await second.StartAsync();
        await second.WaitReadyAsync();
        second.Host.Pipeline.Topics["A"].StationPaths.ShouldBe(["stationId"]);
        second.Host.ConfigurationVersion.ShouldBe(1);
        (await second.GetAsync("/api/v1/config?version=2")).Status.ShouldBe(HttpStatusCode.NotFound);
        (await RunAsync(second, "apply", Text("otherId", 3, true), "--expect", "7")).Code.ShouldBe(Verbs.BadArguments);
        await ApplyAsync(second, Text("otherId", 3, true), second);
        second.Host.Pipeline.Topics["A"].StationPaths.ShouldBe(["otherId"]);
    }

    [Fact]
    public async Task A_version_that_cannot_be_taken_up_now_is_told_and_tried_again()
    {
        using var broker = LiveNode.StartBroker(PipelineFiles.Valid(Text("stationId", 2, false)));
        await using var node = NewNode(broker, "node-1", []);
        await node.StartAsync();
        await node.WaitReadyAsync();
        node.TakingUp = _ => throw new TopicException("Topic X is missing and cannot be created");
        await ApplyAsync(node, 2);
        await node.WaitUntilAsync("the node tells why", () => Task.FromResult(node.Host.ConfigurationProblem?.Contains("cannot be created", StringComparison.Ordinal) == true));
        (await node.ReadAsync("/health"))["problems"]!.ToJsonString().ShouldContain("cannot be created");
        node.Host.ConfigurationVersion.ShouldBe(1);
        node.TakingUp = null;
        await node.WaitUntilAsync("it is taken up", () => Task.FromResult(node.Host.ConfigurationVersion == 2));
        node.Host.ConfigurationProblem.ShouldBeNull();
    }

    [Fact]
    public async Task A_node_that_cannot_run_the_newest_version_still_learns_the_older_ones_that_its_router_needs()
    {
        using var broker = LiveNode.StartBroker(PipelineFiles.Valid(Text("stationId", 2, false)));
        await using var one = new LiveNode(
            LiveNode.Options(broker.BootstrapServers, folder.FullName) with { Pools = new Dictionary<string, int> { ["default"] = 4, ["big"] = 4 } },
            PipelineFiles.Valid(Text("stationId", 2, false)), Module("count"));
        await one.StartAsync();
        await ApplyAsync(one, 2);
        await using var two = NewNode(broker, "node-2", []);
        await two.StartAsync();
        two.Host.ConfigurationVersion.ShouldBe(2);
        await ApplyAsync(one, 3, pool: "big");
        await two.WaitUntilAsync("version 3 is refused", () => Task.FromResult(two.Host.ConfigurationProblem?.Contains("version 3", StringComparison.Ordinal) == true));
        (await KnowsAsync(two, 1)).ShouldBeFalse();
        two.Host.Router!.RulesWanted!(1);
        await two.WaitUntilAsync("version 1 is known", () => KnowsAsync(two, 1));
    }

    // Whether a record that is granted under a version need not wait for its rules.
    private static Task<bool> KnowsAsync(LiveNode node, long version) => node.Host.Router!.Ask(router =>
    {
        var partition = new TopicPartition("A", 99);
        router.Assigned(partition, 0, 0, new SourceGrant(partition, 0, 1, [new RulesFrom(version, 0)]));
        router.Receive(new SourceRecord(partition, 0, 0, "{}"u8.ToArray(), null));
        var isKnown = router.Waiting.All(waiting => waiting.Partition != partition);
        router.Revoked(partition);
        return isKnown;
    });

    private static async Task ApplyAsync(LiveNode node, int version, string pool = "default")
    {
        var applied = await node.Host.Configurations!.ApplyAsync(Text("stationId", version + 1, false, pool: pool), null, "a test", "", CancellationToken.None);
        applied.Version.ShouldBe(version);
    }

    private LiveNode NewNode(EmbeddedBroker broker, string id, ConcurrentBag<long> second) => new(
        LiveNode.Options(broker.BootstrapServers, folder.FullName) with { NodeId = id }, PipelineFiles.Valid(Text("stationId", window: 2, hasExtra: false)),
        Module("count"), Module("extra", second.Add));

    private static TestModule Module(string name, Action<long>? called = null) => new(name, (input, _) =>
    {
        // One entry alone is no list.
        var held = input.GetElement("n");
        var numbers = (held.ValueKind == JsonValueKind.Array ? held.EnumerateArray().ToList() : [held]).ConvertAll(number => number.GetInt64());
        called?.Invoke(numbers[^1]);
        return ModuleResult.Write(writer =>
        {
            writer.WriteNumber("last", numbers[^1]);
            writer.WriteNumber("entries", numbers.Count);
        });
    });

    private static string Text(string station, int window, bool hasExtra, string scope = "station", string pool = "default") => $$"""
        {
          "topics": {
            "A": { "start": "earliest", "envelope": "object", {{(scope == "global" ? "" : $"\"station\": \"{station}\", ")}}"scope": "{{scope}}", "mode": "append", "window": {{window}}, "shape": "fields", "fields": ["n"]{{(scope == "global" ? ", \"triggers\": false" : "")}} }{{(hasExtra ? """
            , "B": { "start": "earliest", "envelope": "object", "mode": "append", "window": 1, "shape": "fields", "fields": ["m"], "triggers": false }
            """ : "")}}
          },
          "modules": {
            "count": { "topics": ["A"], "pool": "{{pool}}"{{(scope == "global" ? ", \"trigger\": { \"interval\": \"1h\" }" : "")}} }{{(hasExtra ? """
            , "extra": { "topics": ["A"], "batch": "none"
            """ + (scope == "global" ? ", \"trigger\": { \"interval\": \"1h\" }" : "") + " }" : "")}}
          }
        }
        """;

    private static async Task<long> AppliedAsync(LiveNode node, string topic) => (await node.ReadAsync("/api/v1/counters?scope=node"))["parts_applied"]![topic]?.GetValue<long>() ?? 0;

    private async Task<string> ApplyAsync(LiveNode node, string text, LiveNode other)
    {
        var (code, said) = await RunAsync(node, "apply", text, "--by", "张", "--comment", "a test");
        code.ShouldBe(Verbs.Done, said);
        said.ShouldContain("every node runs it");
        await other.WaitUntilAsync("the other node runs it too", () => Task.FromResult(other.Host.ConfigurationVersion == node.Host.ConfigurationVersion));
        return said;
    }

    private async Task<(int Code, string Text)> RunAsync(LiveNode node, string verb, string? text = null, params string[] more)
    {
        List<string> arguments = ["config", verb];
        if (text is not null)
        {
            var file = Path.Combine(folder.FullName, "given.json");
            await File.WriteAllTextAsync(file, text, Encoding.UTF8);
            arguments.Add(file);
        }

        using var output = new StringWriter(CultureInfo.InvariantCulture);
        var code = await Verbs.RunAsync([.. arguments, "--address", node.Address, .. more], Desk.Own, output, output, CancellationToken.None);
        return (code, output.ToString());
    }
}
