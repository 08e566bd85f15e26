using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Http;

/// <summary>Dead letters as people deal with them: by the verbs, at running nodes, with a pipeline that is mended between.</summary>
public sealed class DeadLetterVerbTests : IDisposable
{
    private static readonly DeadLetterSelection Everything = new(null, null, null, null, null, null);
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("dead-letters-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task Letters_are_seen_everywhere_and_replayed_once_by_the_node_that_owns_them()
    {
        var strict = Pipeline("number");
        using var broker = LiveNode.StartBroker(strict);
        var module = new TestModule("m", (input, _) => ModuleResult.Write(writer => writer.WriteString("value", input.GetElement("value").ToString())));
        await using var first = new LiveNode(LiveNode.Options(broker.BootstrapServers, folder.FullName), strict, module);
        await first.StartAsync();
        await first.WaitReadyAsync();
        await using var platform = new Platform(broker, strict);
        // Enough stations for every shard.
        var stations = Enumerable.Range(1, 12).Select(number => $"S{number}").ToList();
        foreach (var station in stations) await platform.SendAsync("METERS", $$"""[{"stationId":"{{station}}","value":"a"},{"stationId":"{{station}}","value":"b"}]""");
        await platform.SendAsync("METERS", "{ no JSON \u001b[2J");
        await first.WaitUntilAsync("25 letters", async () => (await first.ReadAsync("/api/v1/dead-letters")).AsArray().Count == 25);

        // Lists, filters, one letter.
        var (code, output, _) = await Run(first, verb => verb.ListAsync(Everything with { Reason = "not-json" }, "open", null, default));
        code.ShouldBe(Verbs.Done);
        output.ShouldContain("not-json");
        var letters = (await first.ReadAsync("/api/v1/dead-letters?station=S7&state=all")).AsArray();
        letters.Select(letter => (int)letter!["index"]!).ShouldBe([1, 0]);
        var badId = (string)(await first.ReadAsync("/api/v1/dead-letters?reason=not-json"))[0]!["id"]!;
        (code, output, _) = await Run(first, verb => verb.ShowAsync(badId, default));
        code.ShouldBe(Verbs.Done);
        output.ShouldContain("METERS partition 0 offset 12 item 0");
        output.ShouldContain("{ no JSON \u00b7[2J");
        output.ShouldNotContain("\u001b");
        (code, _, var error) = await Run(first, verb => verb.ShowAsync("0-9999", default));
        code.ShouldBe(Verbs.Failed);
        error.ShouldContain("there is no dead letter 0-9999");
        (code, output, _) = await Run(first, verb => verb.OrderAsync("discard", [badId], Everything, false, "anna", default));
        (code, output.Trim()).ShouldBe((Verbs.Done, $"1 discarded: {badId}"));
        (code, _, error) = await Run(first, verb => verb.OrderAsync("replay", [badId, "3-9999"], Everything, false, "anna", default));
        code.ShouldBe(Verbs.Failed);
        error.ShouldMatch("it was discarded at .* by anna");
        error.ShouldContain("3-9999: there is no such letter");

        // A second node, with the mended pipeline, gets some of the shards.
        var mended = Pipeline("any");
        await using var second = new LiveNode(LiveNode.Options(broker.BootstrapServers, folder.FullName) with { NodeId = "node-2" }, mended, module);
        await second.StartAsync();
        await second.WaitUntilAsync("shards on both", async () => await Running(second) is > 0 and < LiveNode.Shards && await Running(first) is > 0);
        await second.WaitReadyAsync();
        var theirs = (await first.ReadAsync("/api/v1/cluster?scope=node"))["nodes"]![0]!["shards"]!.AsArray().Select(shard => (int)shard!).ToList();
        // An order for a letter of the other node's shards is passed on to it.
        (code, _, error) = await Run(second, verb => verb.OrderAsync("replay", [$"{theirs[0]}-9999"], Everything, false, "anna", default));
        code.ShouldBe(Verbs.Failed);
        error.ShouldContain("there is no such letter");

        await first.Server.StopAsync();
        await first.Host.StopAsync();
        await second.WaitUntilAsync("all shards on the second", async () => await Running(second) == LiveNode.Shards);
        await second.WaitReadyAsync();
        (code, output, error) = await Run(second, verb => verb.OrderAsync("replay", [], Everything with { Topic = "METERS", Limit = 5 }, false, "bert", default));
        code.ShouldBe(Verbs.Done, error);
        output.ShouldStartWith("5 replayed: ");
        output.ShouldContain("more letters match");
        (code, output, error) = await Run(second, verb => verb.OrderAsync("replay", [], Everything, true, "bert", default));
        code.ShouldBe(Verbs.Done, error);
        output.ShouldStartWith("19 replayed: ");
        (code, output, _) = await Run(second, verb => verb.OrderAsync("replay", [], Everything, true, "bert", default));
        (code, output.Trim()).ShouldBe((Verbs.Done, "0 replayed"));

        await second.WaitAppliedAsync("METERS", 24);
        foreach (var station in stations)
        {
            var window = (await second.ReadAsync($"/api/v1/stations/{station}"))["windows"]!["METERS"]!["input"]!["value"]!;
            window.ToJsonString().ShouldBe("""["a","b"]""", station);
        }

        (await second.ReadAsync("/api/v1/dead-letters?state=replayed&limit=1000")).AsArray().ShouldAllBe(letter => (string)letter!["changed_by"]! == "bert");
        (await second.ReadAsync("/api/v1/dead-letters")).AsArray().ShouldBeEmpty();
    }

    [Fact]
    public async Task Wrong_requests_are_refused_with_what_would_be_right()
    {
        await using var node = new LiveNode(LiveNode.Options("127.0.0.1:9", folder.FullName), Pipeline("any"));
        await node.Server.StartAsync(CancellationToken.None);
        (await node.GetAsync("/api/v1/dead-letters")).Status.ShouldBe(HttpStatusCode.ServiceUnavailable, "the node is starting");
        async Task Refuses(Func<DeadLettersVerb, Task<int>> run, string says) =>
            (await Should.ThrowAsync<BadArgumentsException>(() => Run(node, run))).Message.ShouldContain(says);
        await Refuses(verb => verb.ListAsync(Everything with { Since = "yesterday" }, "open", null, default), "since: value \"yesterday\": must be a time such as");
        await Refuses(verb => verb.ListAsync(Everything, "dead", null, default), "must be open, replayed, discarded or all");
        await Refuses(verb => verb.ListAsync(Everything, "open", "7", default), "such as 3-17");
        await Refuses(verb => verb.OrderAsync("replay", [], Everything, false, "anna", default), "say which letters");
        await Refuses(verb => verb.OrderAsync("replay", ["1-1"], Everything with { Topic = "METERS" }, false, "anna", default), "not both");
        await Refuses(verb => verb.OrderAsync("discard", ["1-1"], Everything, false, "", default), "by: must be");
        await Refuses(verb => verb.OrderAsync("discard", [], Everything with { Topic = "a\u0000" }, false, "anna", default), "topic: has characters");
        using var form = new StringContent("""{"all":true,"by":"a page of another site"}""", Encoding.UTF8, "text/plain");
        using var answer = await node.Http.PostAsync(new Uri(node.Server.Address!, "/api/v1/dead-letters/discard"), form);
        answer.StatusCode.ShouldBe(HttpStatusCode.UnsupportedMediaType);
    }

    [Theory]
    [InlineData("list", "--since")]
    [InlineData("list", "--state", "dead")]
    [InlineData("list", "--limit", "0")]
    [InlineData("show")]
    [InlineData("show", "17")]
    [InlineData("replay")]
    [InlineData("replay", "3-17", "--all")]
    [InlineData("replay", "3-17", "--topic", "T")]
    [InlineData("discard", "3-x")]
    [InlineData("discard", "3-17", "--address", "ftp://x")]
    public async Task Bad_arguments_end_with_2(params string[] arguments) => (await Verbs.RunAsync(["dead-letters", .. arguments])).ShouldBe(Verbs.BadArguments);

    [Fact]
    public async Task Without_a_node_the_verbs_fail_with_1() => (await Verbs.RunAsync(["dead-letters", "list", "--address", "127.0.0.1:9"])).ShouldBe(Verbs.Failed);

    private static PipelineConfiguration Pipeline(string type) => PipelineFiles.Valid(SmallPipelines.Build(
        $$""" "METERS": { "envelope": "list", "window": 9, "fields": [{ "from": "value", "type": "{{type}}" }], "start": "earliest" } """, """ "m": { "topics": ["METERS"] } """));

    private static async Task<int> Running(LiveNode node) =>
        (await node.ReadAsync("/api/v1/shards?scope=node")).AsArray().Count(shard => (string)shard!["phase"]! == "running");

    private static async Task<(int Code, string Output, string Error)> Run(LiveNode node, Func<DeadLettersVerb, Task<int>> run)
    {
        using var http = new HttpClient { BaseAddress = node.Server.Address };
        using var output = new StringWriter();
        using var error = new StringWriter();
        return (await run(new DeadLettersVerb(new NodeClient(http, error), false, output, error)), output.ToString(), error.ToString());
    }
}
