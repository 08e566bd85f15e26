using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>A position cannot be set as it was asked for; the message says what would be right.</summary>
public sealed class PositionRefusedException(string message) : Exception(message);

/// <summary>
/// Sets positions for an operator, of source topics and of shards' logs, while nodes run. The place is looked up now and
/// written to the store in a new incarnation; whoever reads the partition goes there when he next looks.
/// </summary>
public sealed class PositionSetter(
    Func<ShardSettings> current, Func<IReadOnlyCollection<string>> readTopics, ICheckpointStore store, PositionLookup lookup, PositionWatch watch, NodeLoop shards, TimeProvider time)
{
    /// <param name="partition">Null: all of the topic.</param>
    /// <param name="words">The place as it was written, for the record.</param>
    /// <returns>The rows as they are stored now.</returns>
    public async Task<IReadOnlyList<SourceState>> SetAsync(string topic, int? partition, StartPosition to, string words, string by)
    {
        var settings = current();
        var sources = readTopics();
        var isLog = settings.IsPerShard(topic);
        if (!isLog && !sources.Contains(topic))
            throw new PositionRefusedException($"topic {topic} is not read: name one of {string.Join(", ", sources.Order(StringComparer.Ordinal).Append(settings.PartsTopic).Append(settings.BatchTopic))}");
        if (!(await lookup.PartitionCountsAsync().ConfigureAwait(false)).TryGetValue(topic, out var count)) throw new PositionRefusedException($"topic {topic} does not exist");
        if (settings.IsKeyed(topic) && count != settings.ShardCount) throw new PositionRefusedException(Core.Positions.TopicGrowth.Explain(topic, settings.ShardCount, count));
        if (isLog) count = Math.Min(count, settings.ShardCount);
        if (partition is { } given && (given < 0 || given >= count)) throw new PositionRefusedException($"topic {topic} has the partitions 0 to {count - 1}");

        var chosen = (partition is { } one ? [one] : Enumerable.Range(0, count)).Select(number => new TopicPartition(topic, number)).ToList();
        var stored = (await store.UpdateSourcesAsync([], CancellationToken.None).ConfigureAwait(false)).ToDictionary(row => row.Partition);
        var from = isLog
            ? await shards.Ask(core => core.Running.SelectMany(shard => shard.Positions.Values).ToDictionary(position => position.Partition, position => position.Next)).ConfigureAwait(false)
            : await lookup.CommittedAsync(chosen).ConfigureAwait(false);
        List<SourceState> rows = [];
        foreach (var chosenPartition in chosen)
        {
            var row = stored.GetValueOrDefault(chosenPartition) ?? new SourceState(chosenPartition, isLog ? settings.ShardCount : count, 0);
            var next = await lookup.FindAsync(chosenPartition, to).ConfigureAwait(false);
            rows.Add(row.At(new PartitionPosition(chosenPartition, next, -1, 0)) with
            {
                Incarnation = row.Incarnation + 1,
                GapFrom = from.TryGetValue(chosenPartition, out var stood) ? stood : row.Next,
                GapTo = next,
                GapReason = $"{Gaps.SetBy}{words} by {by}",
                GapAtMs = time.GetUtcNow().ToUnixTimeMilliseconds(),
                IsWanted = true,
            });
        }

        var answer = (await store.UpdateSourcesAsync(rows, CancellationToken.None).ConfigureAwait(false)).ToHashSet();
        await watch.LookAsync().ConfigureAwait(false);
        var late = rows.Where(row => !answer.Contains(row)).Select(row => row.Partition.ToString()).ToList();
        return late.Count == 0 ? rows : throw new PositionRefusedException($"somebody else has just changed {string.Join(", ", late)}: look at positions show, and set them again");
    }
}
