using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Node.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>The API: health, and what the inspecting verbs show. Reads only; every answer is taken on the loops' own threads.</summary>
public static class NodeApi
{
    private static readonly string Version = typeof(NodeApi).Assembly.GetName().Version!.ToString(3);

    public static void Map(IEndpointRouteBuilder routes, NodeHost node)
    {
        routes.MapGet("/health", async () => await HealthAsync(node));
        routes.MapGet("/health/live", () => Status(node.Observer.Failure is null, "live"));
        routes.MapGet("/health/ready", async () => Status(await node.IsReadyAsync(), "ready"));
        routes.MapGet("/api/v1/cluster", async () => Json(await ClusterAsync(node)));
        routes.MapGet("/api/v1/shards", async () => Json(await Ask(node, Shards)));
        routes.MapGet("/api/v1/stations", async (int? limit) => Json(await Ask(node, core => Stations(core, limit ?? 1_000))));
        routes.MapGet("/api/v1/stations/{id}", async (string id) => await Ask(node, core => Station(core, node, id)) is { } found
            ? Json(found)
            : Results.NotFound(new { error = $"no station '{id}' on this node" }));
        routes.MapGet("/api/v1/batches", async (int? limit) => Json(await Ask(node, core => Batches(core, limit ?? 1_000))));
        routes.MapGet("/api/v1/sources", async () => Json(await SourcesAsync(node)));
        routes.MapGet("/api/v1/positions", async () => Json(await Ask(node, Positions)));
        routes.MapGet("/api/v1/marks", async () => Json(await Ask(node, Marks)));
    }

    private static async Task<IResult> HealthAsync(NodeHost node)
    {
        var ready = await node.IsReadyAsync();
        var stuck = node.Pool?.Stuck ?? [];
        var phases = node.Shards is null ? [] : await Ask(node, core => core.Phases.Select(slot => (slot.Shard, slot.Phase, Epoch: core.Find(slot.Shard)?.Epoch)).ToList());
        var stations = node.Shards is null ? 0 : await Ask(node, core => core.Running.Sum(shard => shard.Stations.Count));
        var health = new JsonObject
        {
            ["status"] = node.Observer.Failure is not null ? "failed" : !ready ? "starting" : node.Observer.StoppedPartitions.Count > 0 || stuck.Count > 0 ? "degraded" : "healthy",
            ["timestamp"] = DateTimeOffset.UtcNow.ToString("O"),
            ["version"] = Version,
            ["node"] = node.Options.NodeId,
            ["main_loop"] = node.Observer.Failure is null ? "running" : "failed",
            ["consumer"] = node.Observer.StoppedPartitions.Count == 0 ? "running" : "stopped: " + string.Join("; ", node.Observer.StoppedPartitions.Select(pair => $"{pair.Key}: {pair.Value}")),
            ["producer"] = "running",
            ["store"] = node.StoreId,
            ["shards"] = new JsonArray([.. phases.Select(slot => (JsonNode)new JsonObject { ["shard"] = slot.Shard.Value, ["phase"] = slot.Phase.ToString().ToLowerInvariant(), ["epoch"] = slot.Epoch?.Value })]),
            ["station_count"] = stations,
            ["stuck_calls"] = new JsonArray([.. stuck.Select(call => (JsonNode)new JsonObject { ["module"] = call.Module, ["station"] = call.Station, ["seconds"] = call.Seconds })]),
        };
        if (node.Observer.Failure is { } failure) health["failure"] = failure;
        return Results.Text(health.ToJsonString(), "application/json", statusCode: node.Observer.Failure is null ? 200 : 503);
    }

    private static IResult Status(bool good, string name) =>
        Results.Text($"{{\"{name}\":{(good ? "true" : "false")}}}", "application/json", statusCode: good ? 200 : 503);

    private static async Task<JsonNode> ClusterAsync(NodeHost node)
    {
        var shards = await Ask(node, core => core.Phases.Select(slot => slot.Shard.Value).ToList());
        return new JsonObject
        {
            ["group"] = node.Options.Group,
            ["store"] = node.StoreId,
            ["shard_count"] = node.Options.Shards,
            ["nodes"] = new JsonArray(new JsonObject
            {
                ["node"] = node.Options.NodeId,
                ["version"] = Version,
                ["started"] = node.StartedAt.ToString("O"),
                ["shards"] = new JsonArray([.. shards.Select(shard => (JsonNode)shard)]),
            }),
        };
    }

    private static JsonArray Shards(NodeCore core)
    {
        var shards = new JsonArray();
        foreach (var (id, phase) in core.Phases)
        {
            var shard = core.Find(id);
            shards.Add(new JsonObject
            {
                ["shard"] = id.Value,
                ["phase"] = phase.ToString().ToLowerInvariant(),
                ["epoch"] = shard?.Epoch.Value,
                ["checkpoint"] = shard?.CheckpointNumber,
                ["stations"] = shard?.Stations.Count,
                ["batches"] = shard?.Batches.Batches.Count,
                ["outbox"] = shard?.Outputs.Outbox.Count,
                ["outbox_bytes"] = shard?.Outputs.Outbox.Bytes,
                ["running_calls"] = shard?.RunningCalls,
                ["full"] = shard?.IsFull,
                ["missing_records"] = shard?.MissingRecords,
                ["repeated_parts"] = shard?.RepeatedParts,
            });
        }

        return shards;
    }

    private static JsonArray Stations(NodeCore core, int limit)
    {
        var stations = new JsonArray();
        foreach (var shard in core.Running)
        {
            foreach (var station in shard.Stations.Values)
            {
                if (stations.Count >= limit) return stations;
                stations.Add(new JsonObject
                {
                    ["station"] = station.Id,
                    ["shard"] = shard.Id.Value,
                    ["topics"] = station.Windows.Count(window => !window.Value.IsEmpty),
                    ["newest"] = station.NewestTimeMs,
                    ["calls_owed"] = station.TriggerCount,
                });
            }
        }

        return stations;
    }

    private static JsonObject? Station(NodeCore core, NodeHost node, string id)
    {
        var shard = core.Running.FirstOrDefault(candidate => candidate.Stations.ContainsKey(id));
        if (shard is null) return null;
        var station = shard.Stations[id];
        var now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        var windows = new JsonObject();
        foreach (var (topic, window) in station.Windows)
        {
            var shown = new JsonObject
            {
                ["empty"] = window.IsEmpty,
                ["bytes"] = window.SizeBytes,
                ["age_seconds"] = window.NewestTimeMs is { } newest ? Math.Max(0, now - newest) / 1000.0 : null,
            };
            Shape(window, shown);
            windows[topic] = shown;
        }

        return new JsonObject
        {
            ["station"] = id,
            ["shard"] = shard.Id.Value,
            ["epoch"] = shard.Epoch.Value,
            ["node"] = node.Options.NodeId,
            ["calls_owed"] = station.TriggerCount,
            ["windows"] = windows,
        };
    }

    private static void Shape(TopicWindow window, JsonObject shown)
    {
        try
        {
            if (window.Shape() is not { } fragment) return;
            var members = new JsonObject();
            foreach (var name in fragment.Names) members[name] = JsonNode.Parse(fragment.GetJson(name).Span);
            shown["input"] = members;
        }
        catch (ShapeException failure)
        {
            shown["failed"] = failure.Message;
        }
    }

    private static JsonArray Batches(NodeCore core, int limit) => new(
    [
        .. core.Running.SelectMany(shard => shard.Batches.Batches.Values.Select(batch => (JsonNode)new JsonObject
        {
            ["batch_id"] = batch.Key.BatchId,
            ["module"] = batch.Key.Module,
            ["shard"] = shard.Id.Value,
            ["open"] = batch.IsOpen,
            ["expected"] = batch.Expected.Count,
            ["answered"] = batch.Answers.Count,
            ["opened"] = batch.OpenedMs,
            ["deadline"] = batch.DeadlineMs,
        })).Take(limit),
    ]);

    private static async Task<JsonNode> SourcesAsync(NodeHost node)
    {
        var positions = await node.SourcePositionsAsync();
        return new JsonArray([.. positions.Select(position => (JsonNode)new JsonObject
        {
            ["topic"] = position.Partition.Topic,
            ["partition"] = position.Partition.Partition,
            ["position"] = position.Next,
            ["end"] = position.End,
            ["lag"] = position.End is { } end ? Math.Max(0, end - position.Next) : null,
            ["gap"] = node.Observer.Gaps.GetValueOrDefault(position.Partition.ToString()),
            ["stopped"] = node.Observer.StoppedPartitions.GetValueOrDefault(position.Partition.ToString()),
        })]);
    }

    private static JsonArray Positions(NodeCore core) => new(
    [
        .. core.Running.SelectMany(shard => shard.Positions.Values.Select(position => (JsonNode)new JsonObject
        {
            ["shard"] = shard.Id.Value,
            ["topic"] = position.Partition.Topic,
            ["partition"] = position.Partition.Partition,
            ["next"] = position.Next,
        })),
    ]);

    private static JsonArray Marks(NodeCore core) => new(
    [
        .. core.Running.SelectMany(shard => shard.Marks.Sources.Where(mark => mark.Log == shard.PartsLog).Select(mark => (JsonNode)new JsonObject
        {
            ["shard"] = shard.Id.Value,
            ["topic"] = mark.Source.Topic,
            ["incarnation"] = mark.Source.Incarnation,
            ["partition"] = mark.Source.Partition,
            ["highest_offset"] = mark.Mark.Highest.Offset,
            ["applied_count"] = mark.Mark.AppliedCount,
            ["applied_hash"] = mark.Mark.AppliedHash.ToString("x16"),
        })),
    ]);

    private static Task<T> Ask<T>(NodeHost node, Func<NodeCore, T> question) => node.Shards!.Ask(question);

    private static IResult Json(JsonNode node) => Results.Text(node.ToJsonString(), "application/json");
}
