using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Node.Hosting;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Http;

/// <summary>Who owns what and how far it is: cluster, shards, sources, positions, marks.</summary>
internal static class ClusterViews
{
    public static JsonObject Cluster(NodeHost node, IReadOnlyList<(ShardId Shard, ShardPhase Phase)> phases) => new()
    {
        ["group"] = node.Options.Group,
        ["store_id"] = node.StoreId,
        ["shard_count"] = node.Options.Shards,
        ["nodes"] = new JsonArray(new JsonObject
        {
            ["node"] = node.Options.NodeId,
            ["version"] = NodeApi.Version,
            ["started"] = node.StartedAt.ToString("O"),
            ["shards"] = new JsonArray([.. phases.Select(slot => (JsonNode)slot.Shard.Value)]),
        }),
    };

    /// <summary>All nodes that answered, and those that did not.</summary>
    public static JsonObject Merged(Picture picture)
    {
        var cluster = picture.Answers[0].Body.AsObject();
        var nodes = cluster["nodes"]!.AsArray();
        foreach (var answer in picture.Answers.Skip(1))
        {
            foreach (var entry in answer.Body["nodes"] as JsonArray ?? []) nodes.Add(entry?.DeepClone());
        }

        return cluster;
    }

    /// <param name="lags">Records that wait in the logs of each shard.</param>
    public static JsonArray Shards(NodeCore core, IReadOnlyDictionary<ShardId, long> lags)
    {
        var shards = new JsonArray();
        foreach (var (id, phase) in core.Phases)
        {
            var shard = core.Find(id);
            shards.Add(new JsonObject
            {
                ["shard"] = id.Value,
                ["phase"] = NodeHealth.Name(phase),
                ["epoch"] = shard?.Epoch.Value,
                ["checkpoint"] = shard?.CheckpointNumber,
                ["stations"] = shard?.StationCount,
                ["stations_in_memory"] = shard?.Stations.Count,
                ["lag"] = lags.TryGetValue(id, out var lag) ? lag : null,
                ["waiting_records"] = shard?.ArrivalCount,
                ["batches"] = shard?.Batches.Batches.Count,
                ["outbox"] = shard?.Outputs.Outbox.Count,
                ["outbox_bytes"] = shard?.Outputs.Outbox.Bytes,
                ["running_calls"] = shard?.RunningCalls,
                ["full"] = shard?.IsFull,
                ["missing_records"] = shard?.MissingRecords,
                ["repeated_parts"] = shard?.RepeatedParts,
                ["late_answers"] = shard?.Batches.LateAnswers,
            });
        }

        return shards;
    }

    public static JsonArray Marks(NodeCore core, int limit) => new(
    [
        .. core.Running.SelectMany(shard => shard.Marks.Sources.Where(mark => mark.Log == shard.PartsLog).OrderBy(mark => mark.Source).Select(mark => (JsonNode)new JsonObject
        {
            ["shard"] = shard.Id.Value,
            ["topic"] = mark.Source.Topic,
            ["incarnation"] = mark.Source.Incarnation,
            ["partition"] = mark.Source.Partition,
            ["highest_offset"] = mark.Mark.Highest.Offset,
            ["applied_count"] = mark.Mark.AppliedCount,
            ["applied_hash"] = mark.Mark.AppliedHash.ToString("x16", System.Globalization.CultureInfo.InvariantCulture),
        })).Take(limit),
    ]);
}
