using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Storage;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// How far the shards of the whole cluster have applied their logs: those of this node as they are now, the others as their
/// last checkpoints have it, which may be a second old.
/// </summary>
public sealed class AppliedPositions(ShardSettings settings, NodeLoop shards, ICheckpointStore store)
{
    /// <summary>Next offsets; null where they cannot be known now.</summary>
    public async Task<IReadOnlyDictionary<TopicPartition, long>?> ReadAsync()
    {
        try
        {
            var here = await shards.Ask(node => node.Running.SelectMany(shard => new[] { shard.PartsLog, shard.BatchLog }
                .Select(log => (Log: log, Next: shard.Positions.TryGetValue(log, out var position) ? position.Next : 0))).ToList()).ConfigureAwait(false);
            var positions = here.Count == 2 * settings.ShardCount ? []
                : (await store.ReadPositionsAsync(CancellationToken.None).ConfigureAwait(false)).ToDictionary(position => position.Partition, position => position.Next);
            foreach (var (log, next) in here) positions[log] = next;
            return positions;
        }
        catch (Exception unknown) when (unknown is StoreUnavailableException or OperationCanceledException)
        {
            // The store tells of itself elsewhere; or the loop has ended.
            return null;
        }
    }
}
