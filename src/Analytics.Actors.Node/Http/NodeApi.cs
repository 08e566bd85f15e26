using System.Text.Json.Nodes;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// The API: health, what the inspecting verbs show, and orders. The loops' own threads answer, one small question at a time, and
/// what concerns all nodes is gathered from them (<see cref="ClusterRoutes"/>). README.md in this folder shows every answer.
/// </summary>
internal static class NodeApi
{
    internal static readonly string Version = typeof(NodeApi).Assembly.GetName().Version!.ToString(3);

    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(5);

    private const int ListMost = 10_000;
    private const string Root = "/api/v1";

    private static readonly (string Path, string Says)[] Contents =
    [
        ("/health", "status, components, shards, stuck calls; 503 when unhealthy"),
        ("/health/live", "200 while the process is worth keeping"),
        ("/health/ready", "200 while everything that is this node's runs"),
        (Root, "this list; everything under it answers for the whole cluster, with scope=node for this node alone"),
        ($"{Root}/cluster", "the group, the store and its nodes"),
        ($"{Root}/shards", "the shards of all nodes"),
        .. OverviewApi.Contents,
        .. StationApi.Contents,
        .. NodeOrders.Contents,
        ($"{Root}/batches", "batches that are not over, the oldest first; limit"),
        ($"{Root}/modules", "modules with their calls and batches"),
        ($"{Root}/sources", "source partitions with position and lag"),
        ($"{Root}/counters", "what the nodes have counted since their start"),
        ($"{Root}/positions", "how far everything is read, and its gaps; limit. POST sets a position"),
        ($"{Root}/marks", "highest offset seen and witness of what was applied, by shard and source partition; limit"),
        ($"{Root}/problems", "the latest problems, the newest first; limit (100, at most 500)"),
        .. DeadLetterApi.Contents,
        .. ConfigurationApi.Contents,
    ];

    public static void Map(IEndpointRouteBuilder routes, NodeHost node, NodePeers peers)
    {
        var cluster = new ClusterRoutes(routes, node, peers);
        routes.MapGet("/health", (HttpRequest request) => HealthAsync(node, peers, request.HttpContext)).Needs(Right.Read);
        routes.MapGet("/health/live", () => NodeHealth.Live(node)).NeedsNothing();
        routes.MapGet("/health/ready", () => NodeHealth.ReadyAsync(node)).NeedsNothing();
        routes.MapGet(Root, () => JsonResponses.Json(new JsonArray([.. Contents.Select(entry => (JsonNode)new JsonObject { ["path"] = entry.Path, ["says"] = entry.Says })]))).Needs(Right.Read);
        cluster.Get($"{Root}/cluster", async _ => ClusterViews.Cluster(node, await AskAsync(node, core => core.Phases.ToList())), (picture, _) => ClusterViews.Merged(picture, peers.Rows));
        cluster.Get($"{Root}/shards", async _ => await ShardsAsync(node), async (picture, _) => ClusterViews.WithOwners(node, picture, await OwnersAsync(node)));
        OverviewApi.Map(routes, cluster, node);
        PositionApi.Map(routes, cluster, node, Root);
        cluster.Get($"{Root}/marks", request => ListAsync(node, request, ClusterViews.Marks), (picture, request) =>
            ClusterMerge.First(ClusterMerge.List(picture, "shard", "topic", "partition"), Limit(request)));
        cluster.Get($"{Root}/batches", request => ListAsync(node, request, WorkViews.Batches), (picture, request) => ClusterMerge.Batches(picture, Limit(request)));
        cluster.Get($"{Root}/modules", async _ => WorkViews.Modules(node, await AskAsync(node, WorkViews.OpenBatches)), (picture, _) => ClusterMerge.Modules(picture));
        cluster.Get($"{Root}/counters", async _ => WorkViews.Counters(node, await AskAsync(node, core => core.AppliedByTopic())), (picture, _) => ClusterMerge.Counters(picture));
        cluster.Get($"{Root}/problems", request => Task.FromResult<JsonNode>(WorkViews.Problems(node, ProblemLimit(request))), (picture, request) => ClusterMerge.Problems(picture, ProblemLimit(request)));
        DeadLetterApi.Map(routes, node, peers);
        new StationRoutes(cluster, node, peers).Map(routes);
        new NodeOrders(node, peers).Map(routes);
        ConfigurationApi.Map(routes, node);
    }

    private static async Task<IResult> HealthAsync(NodeHost node, NodePeers peers, HttpContext context)
    {
        var own = await NodeHealth.DescribeAsync(node);
        if (ClusterRoutes.IsForNode(context.Request)) return NodeHealth.Answer(own);
        // Also one that is unhealthy has answered.
        var (answers, silent) = await peers.AskAllAsync("/health", answer => answer.Body["status"] is not null, context.RequestAborted);
        ClusterRoutes.TellUnreachable(context, silent.Select(row => row.Entry.Node));
        return NodeHealth.Answer(NodeHealth.Merged(new Picture([new NodeAnswer(node.Options.NodeId, StatusCodes.Status200OK, own), .. answers], silent)));
    }

    private static int Limit(HttpRequest request) => JsonResponses.Limit(request, 1_000, ListMost);

    private static int ProblemLimit(HttpRequest request) => JsonResponses.Limit(request, 100, RecentProblems.Kept);

    private static async Task<JsonNode> ListAsync(NodeHost node, HttpRequest request, Func<NodeCore, int, JsonArray> view)
    {
        var limit = Limit(request);
        return await AskAsync(node, core => view(core, limit));
    }

    private static async Task<IReadOnlyList<ShardOwnerRow>> OwnersAsync(NodeHost node) => node.Cluster is { } registrar
        ? await Answered(node, async () => await registrar.Store.ReadOwnersAsync(CancellationToken.None))
        : [];

    private static async Task<JsonArray> ShardsAsync(NodeHost node)
    {
        var lags = await Answered(node, node.ShardLagsAsync);
        return await AskAsync(node, core => ClusterViews.Shards(core, lags));
    }

    internal static Task<T> AskAsync<T>(NodeHost node, Func<NodeCore, T> question) => Answered(node, () => node.Shards!.Ask(question));

    internal static async Task<T> Answered<T>(NodeHost node, Func<Task<T>> question)
    {
        if (node.Shards is null) throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");
        try
        {
            return await question().WaitAsync(AnswerLimit);
        }
        catch (TimeoutException)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, $"the node did not answer within {AnswerLimit.TotalSeconds:0} s");
        }
        catch (StoreUnavailableException away)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, $"the database does not answer: {away.Message}");
        }
        catch (Exception ended) when (ended is OperationCanceledException or ObjectDisposedException)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node has stopped");
        }
    }
}
