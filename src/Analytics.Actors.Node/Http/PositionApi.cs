using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>Positions: shown, and set by an operator.</summary>
internal static class PositionApi
{
    private const int ListMost = 10_000;
    private const int WhoMost = 200;

    public static void Map(IEndpointRouteBuilder routes, NodeHost node, string root)
    {
        routes.MapGet($"{root}/sources", async () => JsonResponses.Json(await NodeApi.Answered(node, async () =>
            PositionViews.Sources(node, await node.SourcePositionsAsync(), await node.StoredPositionsAsync(), await node.SourceFlowsAsync()))));
        routes.MapGet($"{root}/positions", async (HttpRequest request) =>
        {
            var limit = JsonResponses.Limit(request, 1_000, ListMost);
            return JsonResponses.Json(await NodeApi.Answered(node, async () => PositionViews.Positions(
                node, await node.SourcePositionsAsync(), await node.ShardPositionsAsync(), await node.StoredPositionsAsync(), limit)));
        });
        routes.MapPost($"{root}/positions", async (HttpRequest request) => JsonResponses.Json(await SetAsync(node, request)));
    }

    private static async Task<JsonNode> SetAsync(NodeHost node, HttpRequest request)
    {
        // A page of another site can send a form to a loopback address, but not this without being asked first.
        if (!request.HasJsonContentType()) throw new RequestRefusedException(StatusCodes.Status415UnsupportedMediaType, "send application/json");
        var (topic, partition, to, by) = await ReadAsync(request);
        if (!PositionText.TryRead(to, node.Pipeline.TimeZone, out var place)) throw Refused($"to: value \"{to}\": must be {PositionText.Form}");
        if (node.Positions is not { } positions) throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");
        try
        {
            return PositionViews.Set(await positions.SetAsync(topic, partition, place, to, by));
        }
        catch (PositionRefusedException wrong)
        {
            throw Refused(wrong.Message);
        }
        catch (Exception away) when (away is BrokerUnavailableException or StoreUnavailableException)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, away.Message);
        }
    }

    private static async Task<(string Topic, int? Partition, string To, string By)> ReadAsync(HttpRequest request)
    {
        const string form = """{"topic": NAME, "to": PLACE, "partition": NUMBER (all without it), "by": WHO}""";
        try
        {
            var body = await JsonNode.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted) as JsonObject ?? throw Refused($"must be {form}");
            var by = body["by"]?.GetValue<string>() is { Length: > 0 } given ? given : "somebody";
            if (by.Length > WhoMost || by.Any(char.IsControl)) throw Refused($"by: must be at most {WhoMost} characters of one line");
            return body["topic"]?.GetValue<string>() is { } topic && body["to"]?.GetValue<string>() is { } to
                ? (topic, body["partition"]?.GetValue<int>(), to, by)
                : throw Refused($"must be {form}");
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException or FormatException)
        {
            throw Refused($"must be {form}: {wrong.Message}");
        }
    }

    private static RequestRefusedException Refused(string message) => new(StatusCodes.Status400BadRequest, message);
}
