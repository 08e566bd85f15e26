using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Storage;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// How far the shards of the whole cluster have applied their logs: those of this node as they are now, the others as their
/// last checkpoints have it, which may be a second old. How full they are is known of this node's alone; a backlog spreads
/// over all shards alike.
/// </summary>
public sealed class AppliedPositions(ShardSettings settings, NodeLoop shards, ICheckpointStore store)
{
    /// <summary>Null where it cannot be known now.</summary>
    public async Task<ShardsProgress?> ReadAsync()
    {
        try
        {
            var (here, fullness) = await shards.Ask(Here).ConfigureAwait(false);
            if (here.Count == 2 * settings.ShardCount) return new ShardsProgress(here, fullness, IsCheap: true);
            foreach (var position in await store.ReadPositionsAsync(CancellationToken.None).ConfigureAwait(false)) here.TryAdd(position.Partition, position.Next);
            return new ShardsProgress(here, fullness);
        }
        catch (Exception unknown) when (unknown is StoreUnavailableException or OperationCanceledException)
        {
            // The store tells of itself elsewhere; or the loop has ended.
            return null;
        }
    }

    private static (Dictionary<TopicPartition, long> Positions, double Fullness) Here(NodeCore node)
    {
        var positions = new Dictionary<TopicPartition, long>();
        foreach (var shard in node.Running)
        {
            foreach (var log in new[] { shard.PartsLog, shard.BatchLog }) positions[log] = shard.NextOf(log);
        }

        return (positions, node.Running.Select(shard => Math.Min(1, shard.Fullness)).DefaultIfEmpty().Average());
    }
}
