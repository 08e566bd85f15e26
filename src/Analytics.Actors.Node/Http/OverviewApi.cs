using System.Globalization;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Http;

/// <summary>What an operator looks at first: how this node is and what it logs; and of the whole cluster, from the store, its nodes and what happened.</summary>
internal static class OverviewApi
{
    private const int ListMost = 10_000;

    public static readonly (string Path, string Says)[] Contents =
    [
        ("/api/v1/status", "one line a node: how it is and why, shards, stations, lag, stuck calls"),
        ("/api/v1/nodes", "all nodes as they registered: address, version, roles, state, load, age"),
        ("/api/v1/events", "what happened in the cluster; after (a number), limit (100)"),
        ("/api/v1/log", "the newest log lines of all nodes; after (a number), level, station, limit (200)"),
    ];

    public static void Map(IEndpointRouteBuilder routes, ClusterRoutes cluster, NodeHost node)
    {
        // Every node hears of all the others, and what happened stands in the store: nobody need be asked.
        routes.MapGet("/api/v1/nodes", () => JsonResponses.Json(Nodes(Registrar(node).Rows))).Needs(Right.Read);
        routes.MapGet("/api/v1/events", async (HttpRequest request) => JsonResponses.Json(await EventsAsync(Registrar(node).Store, request))).Needs(Right.Read);
        cluster.Get("/api/v1/status", async _ => await StatusAsync(node), (picture, _) => ClusterMerge.Order(
            picture.Answers.SelectMany(ClusterMerge.Take).Concat(picture.Silent.Select(row =>
                ClusterMerge.Stale(new JsonObject { ["status"] = "unreachable", ["version"] = row.Entry.Version }, row.Entry.Node, row.AgeMs / 1000.0))), "node"));
        cluster.Get("/api/v1/log", request => Task.FromResult<JsonNode>(Log(node, request)), (picture, request) =>
            ClusterMerge.Last(ClusterMerge.List(picture, "number", "node"), JsonResponses.Limit(request, 200, ListMost)));
    }

    private static ClusterRegistrar Registrar(NodeHost node) =>
        node.Cluster ?? throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");

    /// <summary>One line: this node.</summary>
    public static async Task<JsonArray> StatusAsync(NodeHost node)
    {
        var health = await NodeHealth.DescribeAsync(node);
        long? sources = null, shards = null;
        if (node.Shards is not null && health["main_loop"]!.GetValue<string>() == "running")
        {
            var positions = await NodeApi.Answered(node, node.SourcePositionsAsync);
            sources = positions.Sum(position => Math.Max(0, (position.End ?? position.Next) - position.Next));
            shards = (await NodeApi.Answered(node, node.ShardLagsAsync)).Values.Sum();
        }

        return new JsonArray(new JsonObject
        {
            ["node"] = node.Options.NodeId,
            ["status"] = health["status"]!.DeepClone(),
            ["version"] = NodeApi.Version,
            ["started"] = health["started"]?.DeepClone(),
            ["main_loop"] = health["main_loop"]!.DeepClone(),
            ["consumer"] = health["consumer"]!.DeepClone(),
            ["producer"] = health["producer"]!.DeepClone(),
            ["store"] = health["store"]!.DeepClone(),
            ["shard_count"] = node.Options.Shards,
            ["shards"] = new JsonArray([.. health["nodes"]![0]!["shards"]!.AsArray().Where(shard => (string?)shard!["phase"] == "running").Select(shard => shard!["shard"]!.DeepClone())]),
            ["stations"] = health["station_count"]!.DeepClone(),
            ["source_lag"] = sources,
            ["shard_lag"] = shards,
            ["stuck_calls"] = health["stuck_calls"]!.DeepClone(),
            ["problems"] = health["problems"]!.DeepClone(),
        });
    }

    /// <summary>All nodes, by id. A node that should be there and has not been heard of is <c>vanished</c>.</summary>
    public static JsonArray Nodes(IReadOnlyList<NodeRow> rows) => new(
    [
        .. rows.OrderBy(row => row.Entry.Node, StringComparer.Ordinal).Select(row => (JsonNode)new JsonObject
        {
            ["node"] = row.Entry.Node,
            ["address"] = row.Entry.Address.Length == 0 ? null : row.Entry.Address,
            ["version"] = row.Entry.Version,
            ["roles"] = new JsonArray([.. row.Entry.Roles.Select(role => (JsonNode)role)]),
            ["state"] = State(row),
            ["shards"] = row.Entry.Shards,
            ["records_per_second"] = Math.Round(row.Entry.Load.RecordsPerSecond, 1),
            ["calls_running"] = row.Entry.Load.CallsRunning,
            ["cpu"] = Math.Round(row.Entry.Load.CpuShare, 3),
            ["memory_bytes"] = row.Entry.Load.MemoryBytes,
            ["configuration_version"] = row.Entry.ConfigurationVersion,
            ["started"] = row.Entry.StartedMs,
            ["age_seconds"] = Math.Round(row.AgeMs / 1000.0, 1),
        }),
    ]);

    /// <summary>A node's state, in one word.</summary>
    public static string State(NodeRow row) => row.IsVanished ? "vanished" : row.Entry.State.ToString().ToLowerInvariant();

    /// <summary>In order of their numbers: those after one, or the newest.</summary>
    public static async Task<JsonArray> EventsAsync(IClusterStore store, HttpRequest request)
    {
        try
        {
            var events = await store.ReadEventsAsync(After(request), JsonResponses.Limit(request, 100, ListMost), request.HttpContext.RequestAborted);
            return new JsonArray([.. events.Select(stored => (JsonNode)new JsonObject
            {
                ["number"] = stored.Number,
                ["time"] = stored.AtMs,
                ["kind"] = stored.Event.Kind,
                ["node"] = stored.Event.Node,
                ["shard"] = stored.Event.Shard?.Value,
                ["duration_ms"] = stored.Event.DurationMs,
                ["by"] = stored.Event.By.Length == 0 ? null : stored.Event.By,
                ["detail"] = stored.Event.Detail,
            })]);
        }
        catch (StoreUnavailableException away)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, $"the database does not answer: {away.Message}");
        }
    }

    /// <summary>Lines of this node, the oldest first.</summary>
    public static JsonArray Log(NodeHost node, HttpRequest request)
    {
        var lowest = request.Query["level"].ToString() is { Length: > 0 } text ? Level(text) : LogLevel.Trace;
        var station = request.Query["station"].ToString() is { Length: > 0 } id ? id : null;
        var lines = node.Log.Take(After(request), JsonResponses.Limit(request, 200, ListMost), lowest, station);
        return new JsonArray([.. lines.Select(line => (JsonNode)new JsonObject
        {
            ["number"] = line.Number,
            ["time"] = line.Time.ToUnixTimeMilliseconds(),
            ["node"] = node.Options.NodeId,
            ["level"] = line.Level,
            ["name"] = line.Name,
            ["event"] = line.Event.Length == 0 ? null : line.Event,
            ["station"] = line.Station.Length == 0 ? null : line.Station,
            ["message"] = line.Message,
        })]);
    }

    private static LogLevel Level(string text) => text.ToLowerInvariant() switch
    {
        "debug" => LogLevel.Debug,
        "info" or "information" => LogLevel.Information,
        "warning" => LogLevel.Warning,
        "error" => LogLevel.Error,
        "critical" => LogLevel.Critical,
        _ => throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"level: value \"{text}\": must be debug, info, warning, error or critical"),
    };

    private static long? After(HttpRequest request)
    {
        if (!request.Query.TryGetValue("after", out var given)) return null;
        return long.TryParse(given.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"after: value \"{given}\": must be the number of an event or line");
    }
}
