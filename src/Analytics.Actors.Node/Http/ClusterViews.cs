using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Cluster;
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

    /// <summary>All nodes as their rows say, with the shards of those that answered.</summary>
    public static JsonObject Merged(Picture picture, IReadOnlyList<NodeRow> rows)
    {
        var cluster = picture.Answers[0].Body.AsObject();
        var told = picture.Answers.SelectMany(answer => answer.Body["nodes"] as JsonArray ?? []).OfType<JsonObject>().Select(entry => entry.DeepClone().AsObject()).ToList();
        foreach (var entry in told)
        {
            if (rows.FirstOrDefault(row => row.Entry.Node == entry["node"]?.ToString()) is { } row) entry["state"] = OverviewApi.State(row);
        }

        var silent = rows.Where(row => told.All(entry => entry["node"]?.ToString() != row.Entry.Node)).Select(row => ClusterMerge.Stale(
            new JsonObject
            {
                ["version"] = row.Entry.Version,
                ["started"] = DateTimeOffset.FromUnixTimeMilliseconds(row.Entry.StartedMs).ToString("O"),
                ["shards"] = new JsonArray(),
                ["state"] = OverviewApi.State(row),
            }, row.Entry.Node, row.AgeMs / 1000.0));
        cluster.Remove("node");
        cluster["nodes"] = ClusterMerge.Order(told.Concat(silent), "node");
        return cluster;
    }

    /// <summary>The shards of all nodes; of those that no node told of, who took them over last.</summary>
    public static JsonArray WithOwners(NodeHost node, Picture picture, IReadOnlyList<ShardOwnerRow> owners)
    {
        var lines = picture.Answers.SelectMany(ClusterMerge.Take).ToList();
        var told = lines.Select(line => (int)ClusterMerge.Number(line["shard"])).ToHashSet();
        var ages = picture.Silent.ToDictionary(row => row.Entry.Node, row => row.AgeMs / 1000.0);
        for (var number = 0; number < node.Options.Shards; number++)
        {
            if (told.Contains(number)) continue;
            var owner = owners.FirstOrDefault(row => row.Shard.Value == number);
            var isOwned = owner.Owner is { Length: > 0 } && !owner.IsReleased;
            lines.Add(ClusterMerge.Stale(
                new JsonObject { ["shard"] = number, ["phase"] = isOwned ? "unknown" : "unowned", ["epoch"] = owner.Epoch.Value },
                isOwned ? owner.Owner : null, isOwned && ages.TryGetValue(owner.Owner, out var age) ? age : null));
        }

        return ClusterMerge.Order(lines, "shard", "epoch");
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
        .. core.Running.SelectMany(shard => shard.Marks.Sources.Where(mark => mark.Log != shard.BatchLog).OrderBy(mark => mark.Source).Select(mark => (JsonNode)new JsonObject
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
