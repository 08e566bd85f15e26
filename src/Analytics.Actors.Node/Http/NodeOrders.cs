using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>Orders about nodes: one leaves by itself, so it is told; one is declared down by whoever is asked, since it may be dead.</summary>
internal static class NodeOrders
{
    private const string Root = "/api/v1/cluster";
    private const int WhoMost = 200;

    public static readonly (string Path, string Says)[] Contents =
    [
        ($"POST {Root}/leave", "a node hands its shards over and ends: {\"node\", \"by\"}"),
        ($"POST {Root}/down", "a dead or frozen node is fenced at once: the same"),
    ];

    public static void Map(IEndpointRouteBuilder routes, ClusterRoutes cluster, NodeHost node)
    {
        routes.MapPost($"{Root}/leave", (HttpRequest request) => LeaveAsync(cluster, node, request)).Needs(Right.Steer);
        routes.MapPost($"{Root}/down", (HttpRequest request) => DownAsync(node, request)).Needs(Right.Steer);
    }

    private static async Task<IResult> LeaveAsync(ClusterRoutes cluster, NodeHost node, HttpRequest request)
    {
        var (name, by) = await ReadAsync(node, request);
        return await cluster.AtNodeAsync(request, name, () =>
        {
            node.Leave(by);
            return Task.FromResult(JsonResponses.Json(new JsonObject { ["node"] = node.Options.NodeId, ["state"] = "leaving", ["by"] = by }));
        }, $"node {name} does not answer; if it is dead or frozen, declare it down (analytics cluster down {name})");
    }

    private static async Task<IResult> DownAsync(NodeHost node, HttpRequest request)
    {
        var (name, by) = await ReadAsync(node, request);
        var fenced = await NodeApi.Answered(node, () => node.DownAsync(name, by, CancellationToken.None));
        return JsonResponses.Json(new JsonObject { ["node"] = name, ["state"] = "down", ["by"] = by, ["shards"] = new JsonArray([.. fenced.Select(shard => (JsonNode)shard.Value)]) });
    }

    private static async Task<(string Node, string By)> ReadAsync(NodeHost node, HttpRequest request)
    {
        const string form = """{"node": ID, "by": WHO}""";
        string name, by;
        try
        {
            var body = await JsonNode.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted) as JsonObject;
            if (body?["node"]?.GetValue<string>() is not { Length: > 0 } given || body["by"]?.GetValue<string>() is not { Length: > 0 and <= WhoMost } who || who.Any(char.IsControl))
                throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"the body must be {form}, by with 1 to {WhoMost} characters of one line");
            (name, by) = (given, Caller.Of(request.HttpContext).Sign(who));
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException)
        {
            throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"the body must be {form}: {wrong.Message}");
        }

        var registrar = node.Cluster ?? throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");
        var known = registrar.Rows.Select(row => row.Entry.Node).ToList();
        if (known.Contains(name)) return (name, by);
        // Its row may have been removed, and its shards still be its own.
        var owners = await NodeApi.Answered(node, async () => await registrar.Store.ReadOwnersAsync(CancellationToken.None));
        return owners.Any(row => row.Owner == name)
            ? (name, by)
            : throw new RequestRefusedException(StatusCodes.Status404NotFound, $"there is no node \"{name}\"; there are {string.Join(", ", known)}");
    }
}
