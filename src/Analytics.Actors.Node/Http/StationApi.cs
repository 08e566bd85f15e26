using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// Stations of the whole cluster. One station is told by the node that runs its shard; where that does not answer, by the store,
/// as of the owner's last sign of life.
/// </summary>
internal static class StationApi
{
    private const string Root = "/api/v1";
    private const int ListMost = 10_000;

    // Rows of windows that are read at once, of shards whose node does not answer.
    private const int PageSize = 500;

    public static void Map(IEndpointRouteBuilder routes, ClusterRoutes cluster, NodeHost node, NodePeers peers)
    {
        cluster.Get($"{Root}/stations", request => OwnAsync(node, request), async (picture, request) =>
            ClusterMerge.Stations(picture, await StoredAsync(node, picture, request), JsonResponses.Limit(request, 1_000, ListMost)));
        routes.MapGet($"{Root}/stations/{{**id}}", (HttpRequest request) => StationAsync(node, peers, request.HttpContext, IdOf(request.HttpContext))).Needs(Right.Read);
        routes.MapGet($"{Root}/station", (HttpRequest request) => StationAsync(node, peers, request.HttpContext, request.Query["id"].ToString())).Needs(Right.Read);
    }

    /// <summary>
    /// The id as it was written in the path: the framework's own decoding leaves %2F as it is, so that an id with a slash
    /// and one with these three characters would look the same.
    /// </summary>
    private static string IdOf(HttpContext context)
    {
        const string Before = $"{Root}/stations/";
        var target = context.Features.Get<IHttpRequestFeature>()?.RawTarget ?? "";
        var path = target.Split('?', 2)[0];
        var begin = path.IndexOf(Before, StringComparison.OrdinalIgnoreCase);
        return begin < 0 ? "" : Uri.UnescapeDataString(path[(begin + Before.Length)..]);
    }

    private static async Task<IResult> StationAsync(NodeHost node, NodePeers peers, HttpContext context, string id)
    {
        if (id.Length == 0) throw new RequestRefusedException(StatusCodes.Status400BadRequest, "id: name a station, as /api/v1/stations/ID or /api/v1/station?id=ID");
        var shard = new ShardId(Murmur2.Partition(id, node.Options.Shards));
        var (isHere, found) = await NodeApi.Answered(node, () => FindAsync(node, shard, id));
        if (found is not null) return JsonResponses.Json(StationViews.Station(node, found));
        if (isHere) return JsonResponses.Error(StatusCodes.Status404NotFound, $"no station '{id}'");
        if (ClusterRoutes.IsForNode(context.Request)) return JsonResponses.Error(StatusCodes.Status404NotFound, $"no station '{id}' on this node");

        var owner = await NodeApi.Answered(node, () => node.OwnerAsync(shard));
        var answer = owner.Name.Length == 0 ? null
            : await peers.SendAsync(owner.Name, HttpMethod.Get, $"{Root}/station?id={Uri.EscapeDataString(id)}", null, NodePeers.AnswerLimit, context.RequestAborted);
        if (answer is { Status: StatusCodes.Status200OK }) return JsonResponses.Json(answer.Body);
        if (answer is null && owner.Name.Length > 0 && owner.Name != node.Options.NodeId) ClusterRoutes.TellUnreachable(context, [owner.Name]);
        // The owner has no such station, or has lost the shard meanwhile, or does not answer: the store knows.
        var stored = StationViews.Restore(node, id, shard, owner.Epoch, await NodeApi.Answered(node, () => node.ReadStationAsync(shard, id)));
        if (stored is null) return JsonResponses.Error(StatusCodes.Status404NotFound, $"no station '{id}'");
        // While its owner lives, the store is a checkpoint's interval behind it.
        var age = peers.Rows.FirstOrDefault(row => row.Entry.Node == owner.Name)?.AgeMs / 1000.0;
        return JsonResponses.Json(ClusterMerge.Stale(StationViews.Station(node, stored), owner.Name.Length == 0 ? null : owner.Name, age));
    }

    // In memory, or waiting in the database; only its shard's owner can say that it has not changed since.
    private static async Task<(bool IsHere, CapturedStation? Found)> FindAsync(NodeHost node, ShardId shard, string id)
    {
        var (epoch, captured) = await node.Shards!.Ask(core => (core.Find(shard)?.Epoch, StationViews.Capture(core, id)));
        if (captured is not null || epoch is not { } owned) return (epoch is not null, captured);
        return (true, StationViews.Restore(node, id, shard, owned, await node.ReadStationAsync(shard, id)));
    }

    private static async Task<JsonNode> OwnAsync(NodeHost node, HttpRequest request)
    {
        var limit = JsonResponses.Limit(request, 1_000, ListMost);
        var after = request.Query["after"].ToString();
        List<StationLine> all = [];
        // Shard by shard, so that records pass between; put in order here.
        foreach (var shard in await NodeApi.AskAsync(node, core => core.Running.Select(shard => shard.Id).ToList()))
        {
            all.AddRange(await NodeApi.AskAsync(node, core => StationViews.Lines(core, shard)));
        }

        return StationViews.Stations(all, await NodeApi.AskAsync(node, core => core.Running.Sum(shard => shard.StationCount)), after, limit);
    }

    /// <summary>Stations of shards whose node does not answer, as far as one page may need them.</summary>
    private static async Task<IReadOnlyList<JsonObject>> StoredAsync(NodeHost node, Picture picture, HttpRequest request)
    {
        if (picture.Silent.Count == 0) return [];
        var limit = JsonResponses.Limit(request, 1_000, ListMost);
        var after = request.Query["after"].ToString();
        var silent = picture.Silent.ToDictionary(row => row.Entry.Node, row => row.AgeMs / 1000.0);
        List<JsonObject> lines = [];
        for (var number = 0; number < node.Options.Shards; number++)
        {
            var shard = new ShardId(number);
            var owner = await NodeApi.Answered(node, () => node.OwnerAsync(shard));
            if (!silent.TryGetValue(owner.Name, out var age)) continue;
            foreach (var station in await StoredStationsAsync(node, shard, after, limit))
            {
                var line = new JsonObject { ["station"] = station, ["shard"] = number, ["topics"] = null, ["newest"] = null, ["calls_owed"] = null };
                lines.Add(ClusterMerge.Stale(line, owner.Name, age));
            }
        }

        return lines;
    }

    private static async Task<IReadOnlyList<string>> StoredStationsAsync(NodeHost node, ShardId shard, string after, int limit)
    {
        var found = new HashSet<string>(StringComparer.Ordinal);
        for (string? key = null; found.Count < limit;)
        {
            var from = key;
            var rows = await NodeApi.Answered(node, () => node.ReadWindowsAsync(shard, from, PageSize));
            foreach (var row in rows)
            {
                if (StationRows.StationOf(row.Key) is var station && string.CompareOrdinal(station, after) > 0) found.Add(station);
            }

            if (rows.Count < PageSize) break;
            key = rows[^1].Key;
        }

        return [.. found];
    }
}
