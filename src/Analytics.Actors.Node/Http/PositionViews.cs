using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Node.Hosting;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Http;

/// <summary>How far everything is read, and where it did not go on where it stood.</summary>
internal static class PositionViews
{
    /// <summary>Source partitions that this node reads, or would, were they not stopped.</summary>
    public static JsonArray Sources(
        NodeHost node, IReadOnlyList<(TopicPartition Partition, long Next, long? End)> read, IReadOnlyDictionary<TopicPartition, SourceState> rows,
        IReadOnlyDictionary<string, TopicFlow> flows) => new(
    [
        .. WithStopped(node, read, rows).OrderBy(position => position.Partition).Select(position => (JsonNode)new JsonObject
        {
            ["topic"] = position.Partition.Topic,
            ["partition"] = position.Partition.Partition,
            ["shard"] = ShardOf(node, position.Partition),
            ["position"] = position.Next,
            ["end"] = position.End,
            ["lag"] = Lag(position.Next, position.End),
            ["last_record"] = node.Observer.Sources.Read(position.Partition).LastRecordMs,
            ["records_per_second"] = Math.Round(node.Observer.Sources.Read(position.Partition).PerSecond, 1),
            ["incarnation"] = rows.GetValueOrDefault(position.Partition)?.Incarnation ?? 0,
            ["gap"] = Gap(rows.GetValueOrDefault(position.Partition)),
            ["misplaced"] = node.ShardSettings?.IsKeyed(position.Partition.Topic) == true ? node.Observer.Counters.MisplacedByPartition.GetValueOrDefault(position.Partition) : null,
            ["stopped"] = node.Observer.StoppedPartitions.GetValueOrDefault(position.Partition.ToString()),
            ["topic_held"] = flows.GetValueOrDefault(position.Partition.Topic).IsHeld,
            ["topic_ahead_bytes"] = flows.GetValueOrDefault(position.Partition.Topic).AheadBytes,
        }),
    ]);

    /// <summary>
    /// Every partition that is read anywhere: of this node's as they are now, of the others as the store has them, which may
    /// be a second or so old. Of logs of other nodes' shards only those with a gap or a position that was set.
    /// </summary>
    public static JsonArray Positions(
        NodeHost node, IReadOnlyList<(TopicPartition Partition, long Next, long? End)> sources,
        IReadOnlyList<(TopicPartition Partition, long Next, long? End)> logs, IReadOnlyDictionary<TopicPartition, SourceState> rows, int limit)
    {
        var here = sources.Concat(logs).ToDictionary(position => position.Partition, position => (position.Next, position.End));
        var all = here.Keys.Concat(rows.Keys).Concat(node.Observer.StoppedLogs).Distinct().Order();
        return new JsonArray([.. all.Take(limit).Select(partition => (JsonNode)Line(partition))]);

        JsonObject Line(TopicPartition partition)
        {
            var row = rows.GetValueOrDefault(partition);
            var isHere = here.TryGetValue(partition, out var position);
            // Of a source keyed by station the row tells where it began, or was set: how far it is, its shard knows.
            var isRow = row is { Next: >= 0 } && (row.IsWanted || node.ShardSettings?.IsKeyed(partition.Topic) != true);
            var next = isHere ? position.Next : isRow ? row!.Next : (long?)null;
            var stopped = node.Observer.StoppedPartitions.GetValueOrDefault(partition.ToString());
            return new JsonObject
            {
                ["topic"] = partition.Topic,
                ["partition"] = partition.Partition,
                ["shard"] = ShardOf(node, partition),
                ["next"] = next,
                ["end"] = isHere ? position.End : null,
                ["lag"] = isHere ? Lag(position.Next, position.End) : null,
                ["here"] = isHere || stopped is not null,
                ["incarnation"] = row?.Incarnation ?? 0,
                ["gap"] = Gap(row),
                ["wanted"] = row is { IsWanted: true },
                ["stopped"] = stopped ?? (row is { IsStopped: true } ? row.GapReason : null),
            };
        }
    }

    /// <summary>The source partitions of all nodes; those that no node told of as the store has them.</summary>
    public static JsonArray WithStored(NodeHost node, Picture picture, IReadOnlyDictionary<TopicPartition, SourceState> rows)
    {
        var told = ClusterMerge.List(picture);
        var known = told.Select(line => (line!["topic"]?.ToString(), (int)ClusterMerge.Number(line["partition"]))).ToHashSet();
        var stored = rows.Values.Where(row => row.Next >= 0 && node.Pipeline.Topics.ContainsKey(row.Partition.Topic) && !known.Contains((row.Partition.Topic, row.Partition.Partition)));
        var lines = told.Select(line => line!.AsObject()).Concat(stored.Select(row => ClusterMerge.Stale(
            new JsonObject
            {
                ["topic"] = row.Partition.Topic,
                ["partition"] = row.Partition.Partition,
                // Of a source keyed by station the row tells where it began: how far it is, its shard knows.
                ["position"] = node.ShardSettings?.IsKeyed(row.Partition.Topic) == true ? null : row.Next,
                ["end"] = null,
                ["lag"] = null,
                ["incarnation"] = row.Incarnation,
                ["gap"] = Gap(row),
                ["stopped"] = row.IsStopped ? row.GapReason : null,
            }, null, picture.LongestSilence))).ToList();
        told.Clear();
        return ClusterMerge.Order(lines, "topic", "partition");
    }

    /// <summary>Each partition once: from the node that reads it, else as the store has it.</summary>
    public static JsonArray Merged(Picture picture, int limit)
    {
        var told = ClusterMerge.List(picture);
        var lines = told.Select(line => line!.AsObject()).GroupBy(line => (line["topic"]?.ToString(), (int)ClusterMerge.Number(line["partition"])))
            .Select(group => group.FirstOrDefault(line => ClusterMerge.IsTrue(line["here"])) ?? ClusterMerge.Stale(group.First(), null, picture.LongestSilence)).ToList();
        told.Clear();
        return ClusterMerge.First(ClusterMerge.Order(lines, "topic", "partition"), limit);
    }

    /// <summary>What a set of positions did.</summary>
    public static JsonArray Set(IReadOnlyList<SourceState> rows) => new(
    [
        .. rows.OrderBy(row => row.Partition).Select(row => (JsonNode)new JsonObject
        {
            ["topic"] = row.Partition.Topic,
            ["partition"] = row.Partition.Partition,
            ["from"] = row.GapFrom < 0 ? null : row.GapFrom,
            ["next"] = row.Next,
            ["incarnation"] = row.Incarnation,
        }),
    ]);

    private static IEnumerable<(TopicPartition Partition, long Next, long? End)> WithStopped(
        NodeHost node, IReadOnlyList<(TopicPartition Partition, long Next, long? End)> read, IReadOnlyDictionary<TopicPartition, SourceState> rows)
    {
        var known = read.Select(position => position.Partition).ToHashSet();
        return read.Concat(rows.Values
            .Where(row => row.IsStopped && !known.Contains(row.Partition) && node.Pipeline.Topics.ContainsKey(row.Partition.Topic)
                && node.Observer.StoppedPartitions.ContainsKey(row.Partition.ToString()))
            .Select(row => (row.Partition, row.GapFrom, (long?)null)));
    }

    // The shard that reads the partition; null where a router does.
    private static int? ShardOf(NodeHost node, TopicPartition partition) => node.ShardSettings?.IsPerShard(partition.Topic) == true ? partition.Partition : null;

    private static long? Lag(long next, long? end) => end is { } known ? Math.Max(0, known - next) : null;

    private static JsonObject? Gap(SourceState? row) => row is null || row.GapAtMs < 0 ? null : new JsonObject
    {
        ["from"] = row.GapFrom < 0 ? null : row.GapFrom,
        ["to"] = row.GapTo < 0 ? null : row.GapTo,
        ["reason"] = row.GapReason,
        ["at"] = DateTimeOffset.FromUnixTimeMilliseconds(row.GapAtMs).ToString("O"),
    };
}
