using System.Text.Json.Nodes;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>Orders about whole nodes: one leaves, told by the node itself; one is declared down, by whichever node is asked.</summary>
internal sealed class NodeOrders(NodeHost node, NodePeers peers)
{
    private const string Root = "/api/v1/cluster";

    // The node answers at once; what becomes of it takes longer, and is told by its events.
    private static readonly TimeSpan LeaveLimit = TimeSpan.FromSeconds(5);

    public static readonly (string Path, string Says)[] Contents =
    [
        ($"POST {Root}/leave", "a node hands its shards over and ends: {\"node\", \"by\"}"),
        ($"POST {Root}/down", "a dead or frozen node can write nothing more: the same"),
    ];

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost($"{Root}/leave", (HttpRequest request) => LeaveAsync(request)).Needs(Right.Steer);
        routes.MapPost($"{Root}/down", (HttpRequest request) => DownAsync(request)).Needs(Right.Steer);
    }

    private async Task<IResult> LeaveAsync(HttpRequest request)
    {
        var (name, by) = await OrderBody.ReadAsync(request, "node");
        if (name == node.Options.NodeId)
        {
            node.Leave(by);
            return JsonResponses.Json(new JsonObject { ["node"] = name, ["by"] = by });
        }

        var row = Rows().FirstOrDefault(row => row.Entry.Node == name);
        if (row is null) return Unknown(name);
        if (row.Entry.State is NodeState.Left or NodeState.Down) return JsonResponses.Error(StatusCodes.Status409Conflict, $"{name} is {row.Entry.State.ToString().ToLowerInvariant()} already");
        var body = new JsonObject { ["node"] = name, ["by"] = by };
        if (await peers.SendAsync(name, HttpMethod.Post, $"{Root}/leave", body, LeaveLimit, CancellationToken.None) is { } answer) return JsonResponses.Json(answer.Body, answer.Status);
        ClusterRoutes.TellUnreachable(request.HttpContext, [name]);
        return JsonResponses.Error(StatusCodes.Status503ServiceUnavailable, $"{name} does not answer; if it is dead or frozen: analytics cluster down {name}");
    }

    private async Task<IResult> DownAsync(HttpRequest request)
    {
        var (name, by) = await OrderBody.ReadAsync(request, "node");
        try
        {
            var isKnown = Rows().Any(row => row.Entry.Node == name) || (await node.Cluster!.Store.ReadOwnersAsync(CancellationToken.None)).Any(owner => owner.Owner == name);
            if (!isKnown) return Unknown(name);
            // An order that has begun is carried out, whether or not somebody still waits for the answer.
            var fenced = await node.DownAsync(name, by, CancellationToken.None);
            return JsonResponses.Json(new JsonObject { ["node"] = name, ["by"] = by, ["shards"] = new JsonArray([.. fenced.Select(shard => (JsonNode)shard.Value)]) });
        }
        catch (StoreUnavailableException away)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, $"the database does not answer: {away.Message}");
        }
    }

    private IReadOnlyList<NodeRow> Rows() =>
        node.Cluster?.Rows ?? throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");

    private static IResult Unknown(string name) => JsonResponses.Error(StatusCodes.Status404NotFound, $"there is no node \"{name}\"; analytics cluster show lists them");
}
