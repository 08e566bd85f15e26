using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// The API: health, what the inspecting verbs show, and orders about dead letters. The loops' own threads answer, one small
/// question at a time. README.md in this folder shows every answer.
/// </summary>
public static class NodeApi
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
        (Root, "this list"),
        ($"{Root}/cluster", "the group, the store and its nodes"),
        ($"{Root}/shards", "the shards of this node"),
        .. OverviewApi.Contents,
        .. StationApi.Contents,
        ($"{Root}/batches", "batches that are not over, the oldest first; limit"),
        ($"{Root}/modules", "modules with their calls and batches"),
        ($"{Root}/sources", "source partitions with position and lag"),
        ($"{Root}/counters", "what this node has counted since its start"),
        ($"{Root}/positions", "how far everything is read, and its gaps; limit. POST sets a position"),
        ($"{Root}/marks", "highest offset seen and witness of what was applied, by shard and source partition; limit"),
        ($"{Root}/problems", "the latest problems, the newest first; limit (100, at most 500)"),
        .. DeadLetterApi.Contents,
    ];

    public static void Map(IEndpointRouteBuilder routes, NodeHost node)
    {
        routes.MapGet("/health", () => NodeHealth.HealthAsync(node));
        routes.MapGet("/health/live", () => NodeHealth.Live(node));
        routes.MapGet("/health/ready", () => NodeHealth.ReadyAsync(node));
        routes.MapGet(Root, () => JsonResponses.Json(new JsonArray([.. Contents.Select(entry => (JsonNode)new JsonObject { ["path"] = entry.Path, ["says"] = entry.Says })])));
        routes.MapGet($"{Root}/cluster", async () => JsonResponses.Json(ClusterViews.Cluster(node, await AskAsync(node, core => core.Phases.ToList()))));
        routes.MapGet($"{Root}/shards", async () => JsonResponses.Json(await ShardsAsync(node)));
        routes.MapGet($"{Root}/status", async () => JsonResponses.Json(await OverviewApi.StatusAsync(node)));
        routes.MapGet($"{Root}/log", (HttpRequest request) => JsonResponses.Json(OverviewApi.Log(node, request)));
        PositionApi.Map(routes, node, Root);
        routes.MapGet($"{Root}/marks", async (HttpRequest request) => JsonResponses.Json(await ListAsync(node, request, ClusterViews.Marks)));
        routes.MapGet($"{Root}/batches", async (HttpRequest request) => JsonResponses.Json(await ListAsync(node, request, WorkViews.Batches)));
        routes.MapGet($"{Root}/modules", async () => JsonResponses.Json(WorkViews.Modules(node, await AskAsync(node, WorkViews.OpenBatches))));
        routes.MapGet($"{Root}/counters", async () => JsonResponses.Json(WorkViews.Counters(node, await AskAsync(node, core => core.AppliedByTopic()))));
        routes.MapGet($"{Root}/problems", (HttpRequest request) => JsonResponses.Json(WorkViews.Problems(node, JsonResponses.Limit(request, 100, RecentProblems.Kept))));
        DeadLetterApi.Map(routes, node);
        routes.MapGet($"{Root}/stations", async (HttpRequest request) => JsonResponses.Json(await StationApi.ListAsync(node, request)));
        routes.MapGet($"{Root}/stale-stations", async (HttpRequest request) => JsonResponses.Json(await StationApi.StaleAsync(node, request)));
        routes.MapGet($"{Root}/stations/{{**id}}", (HttpRequest request) => StationApi.ShowAsync(node, IdOf(request)));
        routes.MapGet($"{Root}/station", (HttpRequest request) => StationApi.ShowAsync(node, request.Query["id"].ToString()));
        foreach (var order in Enum.GetValues<StationOrder>()) routes.MapPost($"{Root}/station/{StationApi.Name(order)}", (HttpRequest request) => StationApi.OrderAsync(node, request, order));
    }

    /// <summary>
    /// The id as it was written in the path: the framework's own decoding leaves %2F as it is, so that an id with a slash
    /// and one with these three characters would look the same.
    /// </summary>
    private static string IdOf(HttpRequest request)
    {
        const string Before = $"{Root}/stations/";
        var target = request.HttpContext.Features.Get<IHttpRequestFeature>()?.RawTarget ?? "";
        var path = target.Split('?', 2)[0];
        var begin = path.IndexOf(Before, StringComparison.OrdinalIgnoreCase);
        return begin < 0 ? "" : Uri.UnescapeDataString(path[(begin + Before.Length)..]);
    }

    private static Task<JsonArray> ListAsync(NodeHost node, HttpRequest request, Func<NodeCore, int, JsonArray> view)
    {
        var limit = JsonResponses.Limit(request, 1_000, ListMost);
        return AskAsync(node, core => view(core, limit));
    }

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
        catch (Exception ended) when (ended is OperationCanceledException or ObjectDisposedException)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node has stopped");
        }
    }
}
