using System.Text.Json.Nodes;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Http;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.CommandLines;

/// <summary>Nodes are seen, leave and are declared down by the verbs, asked at another node.</summary>
public sealed class NodeOrderTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("node-orders-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task A_node_leaves_in_order_and_another_is_declared_down()
    {
        var pipeline = PipelineFiles.Valid(SmallPipelines.OneModule());
        using var broker = LiveNode.StartBroker(pipeline);
        var options = LiveNode.Options(broker.BootstrapServers, folder.FullName);
        await using var first = new LiveNode(options, pipeline);
        await using var second = new LiveNode(options with { NodeId = "node-2" }, pipeline);
        await first.StartAsync();
        await first.WaitReadyAsync();
        await second.StartAsync();
        await first.WaitUntilAsync("both are seen running", async () =>
            (await CommandRun.AtAsync(second, "cluster", "show")).Output.Split("  running  ").Length == 3 && (await CommandRun.AtAsync(first, "cluster", "show")).Output.Split("  running  ").Length == 3);
        var run = await CommandRun.AtAsync(first, "cluster", "show");
        run.Row("node-1")[2].ShouldBe($"http://{first.Address}");
        run.Row("node-2")[4].ShouldBe("router+shard+api");

        run = await CommandRun.AtAsync(first, "cluster", "leave", "nobody");
        (run.Code, run.Error.Trim()).ShouldBe((1, "there is no node \"nobody\"; analytics cluster show lists them"));
        run = await CommandRun.AtAsync(first, "cluster", "leave", "node-2", "--by", "anna");
        run.Code.ShouldBe(0, run.Error);
        (await second.Host.Ending).Reason.ShouldBe("told to leave by anna");
        await second.Host.StopAsync();
        await second.Server.StopAsync();
        await first.WaitUntilAsync("it is heard that it has left", async () => (await CommandRun.AtAsync(first, "cluster", "show")).Row("node-2")[1] == "left");
        run = await CommandRun.AtAsync(first, "cluster", "tail", "--once");
        run.Lines.ShouldContain(line => line.Contains("  leaving  ", StringComparison.Ordinal) && line.Contains("  node-2  ", StringComparison.Ordinal) && line.EndsWith("(by anna)", StringComparison.Ordinal));
        run.Lines.ShouldContain(line => line.Contains("  left  ", StringComparison.Ordinal));
        run.Lines.ShouldContain(line => line.Contains("  takenOver  ", StringComparison.Ordinal) && line.Contains("  shard ", StringComparison.Ordinal) && line.Contains("ms", StringComparison.Ordinal));
        run = await CommandRun.AtAsync(first, "cluster", "leave", "node-2");
        (run.Code, run.Error.Trim()).ShouldBe((1, "node-2 is left already"));
        await first.WaitUntilAsync("all shards on the first", async () => (await first.ReadAsync("/api/v1/shards")).AsArray().Count(shard => (string)shard!["phase"]! == "running") == LiveNode.Shards);
        run = await CommandRun.AtAsync(first, "cluster", "status");
        run.Output.ShouldContain("nodes     1 running, 1 left");

        run = await CommandRun.AtAsync(first, "cluster", "down", "node-1");
        run.Code.ShouldBe(2, "nobody said that it is meant");
        run = await CommandRun.AtAsync(first, "cluster", "down", "nobody", "--yes");
        run.Code.ShouldBe(1);
        run = await CommandRun.AtAsync(first, "cluster", "down", "node-1", "--yes", "--by", "bert", "--json");
        run.Code.ShouldBe(0, run.Error);
        JsonNode.Parse(run.Output)!["shards"]!.AsArray().Count.ShouldBe(LiveNode.Shards);
        (await first.Host.Ending).IsFailure.ShouldBeTrue();
        await first.WaitUntilAsync("it is seen down", async () => (await CommandRun.AtAsync(first, "cluster", "show")).Row("node-1")[1] == "down");
    }

    [Fact]
    public async Task Events_are_followed_as_they_come()
    {
        var pipeline = PipelineFiles.Valid(SmallPipelines.OneModule());
        using var broker = LiveNode.StartBroker(pipeline);
        await using var node = new LiveNode(broker, folder.FullName, pipeline);
        await node.StartAsync();
        await node.WaitReadyAsync();
        await node.WaitUntilAsync("it has joined", async () => (await CommandRun.AtAsync(node, "cluster", "tail", "--once")).Output.Contains("  joined  ", StringComparison.Ordinal));
        var asked = false;
        var run = await CommandRun.UntilAsync(node, isTerminal: false, text =>
        {
            // Something happens while it is followed.
            if (!asked && text.Contains("  joined  ", StringComparison.Ordinal))
            {
                asked = true;
                node.Host.Cluster!.Tell(new Analytics.Actors.Core.Cluster.ClusterEvent("gap", "node-1", null, null, "", "METERS[0] goes on at 7\u001b[2J"));
            }

            return text.Contains("  gap  ", StringComparison.Ordinal);
        }, "cluster", "tail", "--since", "1h");
        run.Code.ShouldBe(0);
        run.Lines.Count(line => line.Contains("  joined  ", StringComparison.Ordinal)).ShouldBe(1, "each event once");
        run.Lines[^1].ShouldEndWith("METERS[0] goes on at 7\u00b7[2J");
    }
}
