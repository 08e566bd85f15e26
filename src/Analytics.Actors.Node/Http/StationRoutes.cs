using System.Text.Json.Nodes;
using Analytics.Actors.Core;
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
/// Stations of the whole cluster. One station is told by the node that runs its shard, and orders for it go there; where that
/// does not answer the store tells, as of the owner's last sign of life.
/// </summary>
internal sealed class StationRoutes(ClusterRoutes cluster, NodeHost node, NodePeers peers)
{
    private const string Root = "/api/v1";
    private const int ListMost = 10_000;

    public void Map(IEndpointRouteBuilder routes)
    {
        cluster.Get($"{Root}/stations", request => StationApi.ListAsync(node, request), async (picture, request) =>
        {
            var limit = JsonResponses.Limit(request, 1_000, ListMost);
            return ClusterMerge.Stations(picture, await StoredAsync(picture, request, limit), limit);
        });
        cluster.Get($"{Root}/stale-stations", request => StationApi.StaleAsync(node, request), async (picture, request) =>
        {
            var limit = JsonResponses.Limit(request, 50, ListMost);
            var stored = await StoredAsync(picture, request, ListMost);
            return ClusterMerge.First(ClusterMerge.Order(picture.Answers.SelectMany(ClusterMerge.Take).Concat(stored), "newest", "station"), limit);
        });
        routes.MapGet($"{Root}/stations/{{**id}}", (HttpRequest request) => ShowAsync(request, IdOf(request))).Needs(Right.Read);
        routes.MapGet($"{Root}/station", (HttpRequest request) => ShowAsync(request, request.Query["id"].ToString())).Needs(Right.Read);
        foreach (var order in Enum.GetValues<StationOrder>())
        {
            routes.MapPost($"{Root}/station/{StationApi.Name(order)}", async (HttpRequest request) =>
            {
                var shard = ShardOf(await StationApi.StationOfAsync(request));
                return await cluster.AtOwnerAsync(request, shard, () => StationApi.OrderAsync(node, request, order));
            }).Needs(Right.Steer);
        }
    }

    private ShardId ShardOf(string station) => new(Murmur2.Partition(station, node.Options.Shards));

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

    private async Task<IResult> ShowAsync(HttpRequest request, string id)
    {
        if (id.Length == 0) throw new RequestRefusedException(StatusCodes.Status400BadRequest, "id: name a station, as /api/v1/stations/ID or /api/v1/station?id=ID");
        var shard = ShardOf(id);
        if (await StationApi.FindAsync(node, id) is { } found) return JsonResponses.Json(found);
        if (await NodeApi.AskAsync(node, core => core.Find(shard) is not null)) return JsonResponses.Error(StatusCodes.Status404NotFound, $"no station '{id}'");
        if (ClusterRoutes.IsForNode(request)) return JsonResponses.Error(StatusCodes.Status404NotFound, $"no station '{id}' on this node");

        var owner = await NodeApi.Answered(node, () => node.OwnerAsync(shard));
        var isElsewhere = owner.Name.Length > 0 && owner.Name != node.Options.NodeId;
        var answer = isElsewhere
            ? await peers.SendAsync(owner.Name, HttpMethod.Get, $"{Root}/station?id={Uri.EscapeDataString(id)}", null, NodePeers.AnswerLimit, request.HttpContext.RequestAborted)
            : null;
        if (answer is { Status: StatusCodes.Status200OK }) return JsonResponses.Json(answer.Body);
        if (isElsewhere && answer is not { Status: StatusCodes.Status404NotFound }) ClusterRoutes.TellUnreachable(request.HttpContext, [owner.Name]);
        // The owner has no such station, or has lost the shard meanwhile, or does not answer: the store knows.
        var nothing = new CapturedStation(id, shard, owner.Epoch, false, false, [], [], [], []);
        if (StationViews.Restore(node, nothing, await NodeApi.Answered(node, () => node.ReadStationAsync(shard, id))) is not { } stored)
            return JsonResponses.Error(StatusCodes.Status404NotFound, $"no station '{id}'");
        // While its owner lives, the store is a checkpoint's interval behind it.
        var age = peers.Rows.FirstOrDefault(row => row.Entry.Node == owner.Name)?.AgeMs / 1000.0;
        return JsonResponses.Json(ClusterMerge.Stale(StationViews.Station(node, stored, null), owner.Name.Length == 0 ? null : owner.Name, age));
    }

    /// <summary>Stations of shards whose node does not answer, so many of each shard.</summary>
    private async Task<IReadOnlyList<JsonObject>> StoredAsync(Picture picture, HttpRequest request, int limit)
    {
        List<JsonObject> lines = [];
        var silent = picture.Silent.ToDictionary(row => row.Entry.Node, row => row.AgeMs / 1000.0);
        for (var number = 0; silent.Count > 0 && number < node.Options.Shards; number++)
        {
            var shard = new ShardId(number);
            var owner = await NodeApi.Answered(node, () => node.OwnerAsync(shard));
            if (!silent.TryGetValue(owner.Name, out var age)) continue;
            lines.AddRange((await StationApi.StoredLinesAsync(node, shard, request, limit)).Select(line => ClusterMerge.Stale(StationViews.Line(line), owner.Name, age)));
        }

        return lines;
    }
}
