using System.Globalization;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>Versions of the configuration: shown, planned, applied. It is the cluster's, whichever node is asked.</summary>
internal static class ConfigurationApi
{
    private const string Must = """must be {"text": PIPELINE, "by": WHO, "comment": WHY, "expected": VERSION (the current one without it)}""";

    public static readonly (string Path, string Says)[] Contents =
    [
        ("/api/v1/config", "the configuration's current version with its text (or that of version), its history, and which node runs which"),
        ("POST /api/v1/config/plan", "what a pipeline would do as the next version"),
        ("POST /api/v1/config/apply", "makes a pipeline the next version"),
    ];

    public static void Map(IEndpointRouteBuilder routes, NodeHost node)
    {
        routes.MapGet("/api/v1/config", (HttpRequest request) => Answer(() => ShowAsync(Desk(node), request))).Needs(Right.Read);
        routes.MapPost("/api/v1/config/plan", (HttpRequest request) => Answer(async () =>
        {
            var order = await ReadAsync(request);
            return Plan(await Desk(node).PlanAsync(order.Text, request.HttpContext.RequestAborted));
        })).Needs(Right.Read);
        routes.MapPost("/api/v1/config/apply", (HttpRequest request) => Answer(async () =>
        {
            var order = await ReadAsync(request);
            return Applied(await Desk(node).ApplyAsync(order.Text, order.Expected, Caller.Of(request.HttpContext).Sign(order.By), order.Comment, request.HttpContext.RequestAborted));
        })).Needs(Right.Steer);
    }

    private static ConfigurationDesk Desk(NodeHost node) =>
        node.Configurations ?? throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");

    private static async Task<IResult> Answer(Func<Task<JsonObject>> work)
    {
        try
        {
            return JsonResponses.Json(await work());
        }
        catch (StoreUnavailableException away)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, away.Message);
        }
        catch (ConfigurationRefusedException refused)
        {
            throw new RequestRefusedException(StatusCodes.Status409Conflict, refused.Message);
        }
    }

    private static async Task<JsonObject> ShowAsync(ConfigurationDesk desk, HttpRequest request)
    {
        long? number = null;
        if (request.Query.TryGetValue("version", out var given))
            number = long.TryParse(given.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var wanted) && wanted > 0 ? wanted : throw OrderBody.Refused($"version: value \"{given}\": must be a number from 1 on");
        var (version, history) = await desk.ShowAsync(number, request.HttpContext.RequestAborted);
        if (version is null) throw new RequestRefusedException(StatusCodes.Status404NotFound, $"there is no version {number}; the newest is {history[0].Number}");
        var shown = Line(version);
        shown["text"] = version.Text;
        shown["current"] = history[0].Number;
        shown["history"] = new JsonArray([.. history.Select(Line)]);
        shown["nodes"] = new JsonArray([.. (await desk.NodesAsync(request.HttpContext.RequestAborted)).Select(node => (JsonNode)new JsonObject { ["node"] = node.Node, ["version"] = node.Version })]);
        return shown;
    }

    private static JsonObject Line(ConfigurationVersion version) => new()
    {
        ["version"] = version.Number,
        ["by"] = version.By,
        ["applied"] = version.AppliedMs,
        ["comment"] = version.Comment,
    };

    private static JsonObject Plan(PlannedConfiguration planned) => new()
    {
        ["current"] = planned.Current,
        ["refused"] = planned.IsRefused,
        ["unchanged"] = planned.IsUnchanged,
        ["problems"] = new JsonArray([.. planned.Problems.Select(problem => (JsonNode)problem.ToString()!)]),
        ["refusals"] = Changes(planned.Plan?.Refused),
        ["changes"] = Changes(planned.Plan?.Changes),
        ["routing"] = new JsonArray([.. (planned.Plan?.Rerouted ?? []).Select(rule => (JsonNode)new JsonObject { ["rule"] = rule.Name, ["from"] = rule.Stored, ["to"] = rule.Given })]),
        ["warnings"] = new JsonArray([.. planned.Warnings.Select(warning => (JsonNode)warning)]),
    };

    private static JsonArray Changes(IReadOnlyList<Core.Routing.PlannedChange>? changes) =>
        new([.. (changes ?? []).Select(change => (JsonNode)new JsonObject { ["what"] = change.What, ["change"] = change.Change, ["effect"] = change.Effect })]);

    private static JsonObject Applied(AppliedConfiguration applied)
    {
        var answer = Plan(applied.Planned);
        answer["applied"] = applied.Version is not null;
        answer["version"] = applied.Version;
        answer["conflict"] = applied.Conflict;
        answer["from_offsets"] = new JsonArray([.. applied.Grants.Select(grant => (JsonNode)new JsonObject
        {
            ["topic"] = grant.Partition.Topic, ["partition"] = grant.Partition.Partition, ["incarnation"] = grant.Incarnation, ["from"] = grant.Rules[^1].FromOffset,
        })]);
        return answer;
    }

    private static Task<(string Text, long? Expected, string By, string Comment)> ReadAsync(HttpRequest request) => OrderBody.ReadAsync(request, Must, body =>
        body?["text"]?.GetValue<string>() is { } text
            ? (text, body["expected"]?.GetValue<long>(), OrderBody.Words(body, "by", "somebody"), OrderBody.Words(body, "comment", ""))
            : throw OrderBody.Refused(Must));
}
