using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Node.Hosting;
using Microsoft.AspNetCore.Http;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// What a node says of its health. <c>unhealthy</c> (503): something that it cannot work without is gone. <c>degraded</c>
/// (200): it works, but a person should look. Every reason is told in <c>problems</c>.
/// </summary>
internal static class NodeHealth
{
    /// <summary>A broker that has acknowledged nothing for so long, while messages wait, counts as away.</summary>
    public static readonly TimeSpan StalledAfter = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    /// <summary>What the shards' loop knows.</summary>
    private sealed record LoopView(IReadOnlyList<(ShardId Shard, ShardPhase Phase, Epoch? Epoch)> Shards, int Stations);

    /// <summary>What this node says of itself; <c>nodes</c> holds it alone.</summary>
    public static async Task<JsonObject> DescribeAsync(NodeHost node)
    {
        List<string> grave = [], slight = [];
        var isReady = await node.IsReadyAsync().ConfigureAwait(false);
        var isStarting = !node.WasReady;
        var (view, mainLoop) = await AskLoopAsync(node, grave).ConfigureAwait(false);
        var consumer = Consumer(node, isStarting, grave, slight);
        var producer = Producer(node, grave);
        var store = Store(node, grave);
        var stuck = node.Pool?.Stuck ?? [];
        foreach (var call in stuck) slight.Add($"a call of {call.Module} for station {call.Station} has not returned for {call.Seconds:0} s");
        foreach (var slot in view.Shards.Where(slot => !isStarting && slot.Phase != ShardPhase.Running)) slight.Add($"shard {slot.Shard} is {Name(slot.Phase)}");
        if (node.ConfigurationProblem is { } configuration) slight.Add(configuration);
        var status = grave.Count > 0 ? "unhealthy"
            : node.IsStopping ? "stopping"
            : isStarting ? "starting"
            : slight.Count > 0 || !isReady ? "degraded"
            : "healthy";
        return new JsonObject
        {
            ["status"] = status,
            ["timestamp"] = DateTimeOffset.UtcNow.ToString("O"),
            ["version"] = NodeApi.Version,
            ["node"] = node.Options.NodeId,
            ["group"] = node.Options.Group,
            ["started"] = node.StartedAt == default ? null : node.StartedAt.ToString("O"),
            ["configuration_version"] = node.ConfigurationVersion,
            ["main_loop"] = mainLoop,
            ["consumer"] = consumer,
            ["producer"] = producer,
            ["store"] = store,
            ["nodes"] = new JsonArray(new JsonObject
            {
                ["node"] = node.Options.NodeId,
                ["status"] = status,
                ["shards"] = new JsonArray([.. view.Shards.Select(slot => (JsonNode)new JsonObject
                {
                    ["shard"] = slot.Shard.Value,
                    ["phase"] = Name(slot.Phase),
                    ["epoch"] = slot.Epoch?.Value,
                })]),
            }),
            ["station_count"] = view.Stations,
            ["stuck_calls"] = new JsonArray([.. stuck.Select(call => (JsonNode)new JsonObject
            {
                ["module"] = call.Module,
                ["station"] = call.Station,
                ["seconds"] = Math.Round(call.Seconds, 3),
            })]),
            ["problems"] = new JsonArray([.. grave.Concat(slight).Select(text => (JsonNode)text)]),
        };
    }

    /// <summary>
    /// This node's health with the other nodes in it: their shards, stations, stuck calls and problems. The status stays this
    /// node's own, but for one that does not answer: that is for a person to look at.
    /// </summary>
    public static JsonObject Merged(Picture picture)
    {
        var health = picture.Answers[0].Body.AsObject();
        var (nodes, stuck, problems) = (health["nodes"]!.AsArray(), health["stuck_calls"]!.AsArray(), health["problems"]!.AsArray());
        var stations = ClusterMerge.Number(health["station_count"]);
        foreach (var answer in picture.Answers.Skip(1))
        {
            stations += ClusterMerge.Number(answer.Body["station_count"]);
            foreach (var entry in answer.Body["nodes"] as JsonArray ?? []) nodes.Add(entry?.DeepClone());
            foreach (var call in answer.Body["stuck_calls"] as JsonArray ?? []) stuck.Add(call?.DeepClone());
            foreach (var problem in answer.Body["problems"] as JsonArray ?? []) problems.Add($"{answer.Node}: {problem}");
        }

        foreach (var silent in picture.Silent)
        {
            nodes.Add(ClusterMerge.Stale(new JsonObject { ["status"] = "unreachable", ["shards"] = new JsonArray() }, silent.Entry.Node, silent.AgeMs / 1000.0));
            problems.Add($"node {silent.Entry.Node} does not answer; its last sign was {silent.AgeMs / 1000.0:0.#} s ago");
        }

        health["station_count"] = stations;
        if (picture.Silent.Count > 0 && health["status"]!.ToString() == "healthy") health["status"] = "degraded";
        return health;
    }

    /// <summary>503 where the node cannot work.</summary>
    public static IResult Answer(JsonObject health) =>
        JsonResponses.Json(health, health["status"]!.ToString() is "unhealthy" or "stopping" ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK);

    /// <summary>The process is worth keeping: none of its threads has ended by itself.</summary>
    public static IResult Live(NodeHost node) => Status(node.FailureReason is null, "live");

    /// <summary>Everything that is this node's runs.</summary>
    public static async Task<IResult> ReadyAsync(NodeHost node) => Status(await node.IsReadyAsync().ConfigureAwait(false), "ready");

    public static string Name(ShardPhase phase) => phase switch
    {
        ShardPhase.TakingOver => "taking-over",
        ShardPhase.Waiting => "waiting",
        ShardPhase.Running => "running",
        ShardPhase.Releasing => "releasing",
        ShardPhase.Stopped => "stopped",
        _ => throw new ArgumentOutOfRangeException(nameof(phase), phase, "no such phase"),
    };

    private static IResult Status(bool good, string name) =>
        JsonResponses.Json(new JsonObject { [name] = good }, good ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);

    private static async Task<(LoopView View, string State)> AskLoopAsync(NodeHost node, List<string> grave)
    {
        var nothing = new LoopView([], 0);
        if (node.Observer.Failure is { } failure)
        {
            grave.Add($"a loop has ended: {failure.Split('\n')[0]}");
            return (nothing, "failed");
        }

        if (node.Shards is not { } shards) return (nothing, "starting");
        try
        {
            var view = await shards.Ask(core => new LoopView(
                core.Phases.Select(slot => (slot.Shard, slot.Phase, core.Find(slot.Shard)?.Epoch)).ToList(),
                (int)core.Running.Sum(shard => shard.StationCount))).WaitAsync(AnswerLimit).ConfigureAwait(false);
            return (view, "running");
        }
        catch (TimeoutException)
        {
            grave.Add($"the main loop did not answer within {AnswerLimit.TotalSeconds:0} s");
            return (nothing, "not answering");
        }
        catch (OperationCanceledException)
        {
            return (nothing, "stopped");
        }
    }

    private static string Consumer(NodeHost node, bool isStarting, List<string> grave, List<string> slight)
    {
        if (node.Observer.Failure is null && node.FailureReason is { } failure)
        {
            grave.Add($"a consumer has ended: {failure}");
            return "failed";
        }

        if (node.IsStopping) return "stopped";
        foreach (var (partition, reason) in node.Observer.StoppedPartitions) slight.Add($"{partition} is not read: {reason}");
        return node.Observer.StoppedPartitions.Count > 0 ? "partitions stopped" : isStarting ? "starting" : "running";
    }

    private static string Producer(NodeHost node, List<string> grave)
    {
        if (node.Shards is null) return "starting";
        if (node.Observer.Sending.StalledFor is var stalled && stalled < StalledAfter) return node.IsStopping ? "stopped" : "running";
        grave.Add($"no message has been acknowledged for {stalled.TotalSeconds:0} s, {node.Observer.Sending.UnderWay} wait: are the brokers there?");
        return "stalled";
    }

    private static string Store(NodeHost node, List<string> grave)
    {
        if (node.StoreId.Length == 0) return "starting";
        if ((node.Observer.StoreFailure ?? node.Cluster?.StoreFailure) is not { } failure) return "running";
        grave.Add($"the store does not work: {failure}");
        return "failing";
    }
}
