using System.Text.Json.Nodes;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>Positions: shown, and set by an operator.</summary>
internal static class PositionApi
{
    private const int ListMost = 10_000;

    public static void Map(IEndpointRouteBuilder routes, ClusterRoutes cluster, NodeHost node, string root)
    {
        cluster.Get($"{root}/sources", async _ => await NodeApi.Answered(node, async () =>
            PositionViews.Sources(node, await node.SourcePositionsAsync(), await node.StoredPositionsAsync(), await node.SourceFlowsAsync())),
            async (picture, _) => PositionViews.WithStored(node, picture, await NodeApi.Answered(node, node.StoredPositionsAsync)));
        cluster.Get($"{root}/positions", async request =>
        {
            var limit = JsonResponses.Limit(request, 1_000, ListMost);
            return await NodeApi.Answered(node, async () => PositionViews.Positions(
                node, await node.SourcePositionsAsync(), await node.ShardPositionsAsync(), await node.StoredPositionsAsync(), limit));
        }, (picture, request) => PositionViews.Merged(picture, JsonResponses.Limit(request, 1_000, ListMost)));
        routes.MapPost($"{root}/positions", async (HttpRequest request) => JsonResponses.Json(await SetAsync(node, request))).Needs(Right.Steer);
    }

    private static async Task<JsonNode> SetAsync(NodeHost node, HttpRequest request)
    {
        var (topic, partition, to, by) = await ReadAsync(request);
        if (!PositionText.TryRead(to, node.Pipeline.TimeZone, out var place)) throw OrderBody.Refused($"to: value \"{to}\": must be {PositionText.Form}");
        if (node.Positions is not { } positions) throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");
        try
        {
            return PositionViews.Set(await positions.SetAsync(topic, partition, place, to, Caller.Of(request.HttpContext).Sign(by)));
        }
        catch (PositionRefusedException wrong)
        {
            throw OrderBody.Refused(wrong.Message);
        }
        catch (Exception away) when (away is BrokerUnavailableException or StoreUnavailableException)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, away.Message);
        }
    }

    private static Task<(string Topic, int? Partition, string To, string By)> ReadAsync(HttpRequest request)
    {
        const string must = """must be {"topic": NAME, "to": PLACE, "partition": NUMBER (all without it), "by": WHO}""";
        return OrderBody.ReadAsync(request, must, body =>
        {
            if (body is null) throw OrderBody.Refused(must);
            var by = OrderBody.Words(body, "by", "somebody");
            return body["topic"]?.GetValue<string>() is { } topic && body["to"]?.GetValue<string>() is { } to
                ? (topic, body["partition"]?.GetValue<int>(), to, by)
                : throw OrderBody.Refused(must);
        });
    }
}
