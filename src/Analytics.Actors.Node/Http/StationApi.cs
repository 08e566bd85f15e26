using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Http;

namespace Analytics.Actors.Node.Http;

/// <summary>Stations of this node: lists, one of them, and orders for one. Those that are not in memory are read from the store.</summary>
internal static class StationApi
{
    private const int ListMost = 10_000;
    private const int PageRows = 1_000;

    // One look through many rows at a time: the store has work to do.
    private static readonly SemaphoreSlim Looking = new(1);

    public static readonly (string Path, string Says)[] Contents =
    [
        ("/api/v1/stations", "stations by id; prefix, shard, limit (1000, at most 10000), after (an id)"),
        ("/api/v1/stations/ID", "one station: windows, modules, calls, answers; the id escaped as a path, or as /api/v1/station?id=ID"),
        ("/api/v1/stale-stations", "stations that have waited longest since their last record; prefix, shard, limit"),
        ("POST /api/v1/station/pause", "a station's triggers answer nothing: {\"id\", \"by\"}"),
        ("POST /api/v1/station/resume", "they call modules again: the same"),
        ("POST /api/v1/station/forget", "its state is deleted: the same"),
    ];

    /// <summary>The station that an order concerns; the order's body is read again by <see cref="OrderAsync"/>.</summary>
    public static async Task<string> StationOfAsync(HttpRequest request)
    {
        var (id, _) = await OrderBody.ReadAsync(request, "id");
        request.Body.Position = 0;
        return id;
    }

    /// <summary>Stations of a shard whose node does not answer, as the store has them; those that a page may need.</summary>
    public static async Task<IReadOnlyList<StationLine>> StoredLinesAsync(NodeHost node, ShardId shard, HttpRequest request, int limit)
    {
        var filter = Filter.Of(node, request, limit);
        if (filter.Shard is { } one && one != shard.Value) return [];
        List<StationLine> lines = [];
        await ReadStoredAsync(node, shard, filter, line =>
        {
            if (line.Topics > 0 && filter.Takes(line.Id)) lines.Add(line);
            return lines.Count <= filter.Limit;
        });
        return lines;
    }

    /// <summary>Stations in order of their ids' characters; <c>next</c> is what to ask for after the last one.</summary>
    public static async Task<JsonNode> ListAsync(NodeHost node, HttpRequest request)
    {
        var filter = Filter.Of(node, request, 1_000);
        List<StationLine> all = [];
        foreach (var shard in await ShardsAsync(node, filter))
        {
            all.AddRange(await InMemoryAsync(node, shard, filter));
            var found = 0;
            await LookAsync(node, shard, filter, all.Where(line => line.Shard == shard.Value).Select(line => line.Id), line =>
            {
                all.Add(line);
                return ++found <= filter.Limit;
            });
        }

        var wanted = all.OrderBy(line => line.Id, StringComparer.Ordinal).Take(filter.Limit + 1).ToList();
        return new JsonObject
        {
            ["station_count"] = await NodeApi.AskAsync(node, core => core.Running.Sum(shard => shard.StationCount)),
            ["stations"] = await WriteAsync(node, wanted.Take(filter.Limit)),
            ["next"] = wanted.Count > filter.Limit ? wanted[filter.Limit - 1].Id : null,
        };
    }

    /// <summary>Those that have waited longest first. Looks through all windows of stations that are not in memory.</summary>
    public static async Task<JsonNode> StaleAsync(NodeHost node, HttpRequest request)
    {
        var filter = Filter.Of(node, request, 50);
        // The one that has waited shortest leaves first.
        var longest = new PriorityQueue<StationLine, long>();
        void Add(StationLine line)
        {
            longest.Enqueue(line, -(line.NewestMs ?? 0));
            if (longest.Count > filter.Limit) longest.Dequeue();
        }

        foreach (var shard in await ShardsAsync(node, filter))
        {
            var here = await InMemoryAsync(node, shard, filter);
            here.ForEach(Add);
            await LookAsync(node, shard, filter, here.Select(line => line.Id), line =>
            {
                Add(line);
                return true;
            });
        }

        return await WriteAsync(node, longest.UnorderedItems.Select(item => item.Element).OrderBy(line => line.NewestMs ?? 0).ThenBy(line => line.Id, StringComparer.Ordinal));
    }

    /// <summary>One station of this node's shards, in memory or not; null where it is none.</summary>
    public static async Task<JsonObject?> FindAsync(NodeHost node, string id)
    {
        var station = await NodeApi.AskAsync(node, core => StationViews.Capture(core, id)) ?? await NodeApi.Answered(node, () => StoredAsync(node, id));
        if (station is not { } found) return null;
        var lags = await NodeApi.Answered(node, node.ShardLagsAsync);
        return StationViews.Station(node, found, lags.TryGetValue(found.Shard, out var lag) ? lag : null);
    }

    /// <summary>Answers when the order's effect has been committed; 404: no such station, 409: another node's, or not known whether it was done.</summary>
    public static async Task<IResult> OrderAsync(NodeHost node, HttpRequest request, StationOrder order)
    {
        var (id, by) = await OrderBody.ReadAsync(request, "id");
        if (node.Stations is not { } desk) throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");
        StationReceipt receipt;
        try
        {
            receipt = await desk.OrderAsync(id, order, by);
        }
        catch (StoreUnavailableException away)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, $"the database does not answer: {away.Message}");
        }
        catch (OperationCanceledException)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node has stopped");
        }

        return receipt.Outcome switch
        {
            StationOrderOutcome.Done => JsonResponses.Json(new JsonObject { ["station"] = id, ["order"] = Name(order), ["by"] = by, ["shard"] = receipt.Shard.Value, ["node"] = node.Options.NodeId }),
            StationOrderOutcome.UnknownStation => JsonResponses.Error(StatusCodes.Status404NotFound, receipt.Why),
            _ => JsonResponses.Error(StatusCodes.Status409Conflict, receipt.Why),
        };
    }

    public static string Name(StationOrder order) => order.ToString().ToLowerInvariant();

    private static async Task<IReadOnlyList<ShardId>> ShardsAsync(NodeHost node, Filter filter) =>
        await NodeApi.AskAsync(node, core => core.Running.Select(shard => shard.Id).Where(shard => filter.Shard is not { } one || one == shard.Value).ToList());

    // Shard by shard, so that records pass between.
    private static async Task<List<StationLine>> InMemoryAsync(NodeHost node, ShardId shard, Filter filter) =>
        (await NodeApi.AskAsync(node, core => StationViews.Lines(core, shard))).Where(line => filter.Takes(line.Id)).ToList();

    // Stations of which only rows are there, in order of their ids, until the taker has enough.
    private static async Task LookAsync(NodeHost node, ShardId shard, Filter filter, IEnumerable<string> inMemory, Func<StationLine, bool> take)
    {
        if (await NodeApi.AskAsync(node, core => core.Find(shard) is not { } found || found.StationCount <= found.Stations.Count)) return;
        var known = inMemory.ToHashSet(StringComparer.Ordinal);
        await ReadStoredAsync(node, shard, filter, line => !(line.Topics > 0 && filter.Takes(line.Id) && !known.Contains(line.Id)) || take(line));
    }

    // In order of their ids, from where the filter begins, until the taker has enough.
    private static async Task ReadStoredAsync(NodeHost node, ShardId shard, Filter filter, Func<StationLine, bool> take)
    {
        await Looking.WaitAsync();
        try
        {
            var after = filter.After.Length > 0 ? StationRows.AfterWindowsOf(filter.After) : null;
            if (filter.Prefix.Length > 0 && string.CompareOrdinal(after ?? "", filter.Prefix) < 0) after = filter.Prefix;
            List<EntityState> rows = [];
            while (true)
            {
                var page = await NodeApi.Answered(node, () => node.ReadWindowsAsync(shard, after, PageRows));
                rows.AddRange(page);
                // The last station of a page may go on in the next one.
                var last = page.Count == PageRows ? StationRows.StationOf(page[^1].Key) : null;
                foreach (var line in StationViews.Lines(node.Pipeline, shard, rows.Where(row => StationRows.StationOf(row.Key) != last)))
                {
                    if (filter.Prefix.Length > 0 && !line.Id.StartsWith(filter.Prefix, StringComparison.Ordinal)) return;
                    if (!take(line)) return;
                }

                if (last is null) return;
                rows.RemoveAll(row => StationRows.StationOf(row.Key) != last);
                after = page[^1].Key;
            }
        }
        finally
        {
            Looking.Release();
        }
    }

    private static async Task<JsonArray> WriteAsync(NodeHost node, IEnumerable<StationLine> lines)
    {
        var shown = lines.ToList();
        var paused = new HashSet<string>(StringComparer.Ordinal);
        foreach (var shard in shown.Where(line => !line.IsInMemory).GroupBy(line => line.Shard))
        {
            var rows = await NodeApi.Answered(node, () => node.ReadStationRowsAsync(new ShardId(shard.Key), shard.Select(line => line.Id).ToList()));
            paused.UnionWith(rows.Where(StationRows.IsPaused).Select(row => row.Key));
        }

        return new JsonArray([.. shown.Select(line => (JsonNode)StationViews.Line(line with { IsPaused = line.IsPaused || paused.Contains(line.Id) }))]);
    }

    // One that waits in the database; only its shard's owner can say that it has not changed since.
    private static async Task<CapturedStation?> StoredAsync(NodeHost node, string id)
    {
        var shard = node.Stations!.ShardOf(id);
        var surroundings = await node.Shards!.Ask(core => StationViews.Surroundings(core, id, shard));
        return surroundings is null ? null : StationViews.Restore(node, surroundings, await node.ReadStationAsync(shard, id));
    }

    /// <summary>Which stations a request means.</summary>
    private sealed record Filter(string Prefix, int? Shard, string After, int Limit)
    {
        public bool Takes(string id) => id.StartsWith(Prefix, StringComparison.Ordinal) && string.CompareOrdinal(id, After) > 0;

        public static Filter Of(NodeHost node, HttpRequest request, int limit)
        {
            int? shard = null;
            if (request.Query.TryGetValue("shard", out var given))
            {
                if (!int.TryParse(given.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number >= node.Options.Shards)
                    throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"shard: value \"{given}\": must be a number from 0 to {node.Options.Shards - 1}");
                shard = number;
            }

            return new Filter(request.Query["prefix"].ToString(), shard, request.Query["after"].ToString(), JsonResponses.Limit(request, limit, ListMost));
        }
    }
}
