using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Node.Hosting;

/// <summary>What became of an order for a station, and why; the reason is empty where it is done.</summary>
public readonly record struct StationReceipt(ShardId Shard, StationOrderOutcome Outcome, string Why);

/// <summary>Where people pause, resume and forget stations: an order goes to the station's shard, if this node owns it.</summary>
public sealed class StationDesk(NodeHost node, ICheckpointStore store, TimeProvider time)
{
    // A checkpoint may have to wait for a database that is away; the order stands, only nobody waits for its end.
    private static readonly TimeSpan CommitLimit = TimeSpan.FromSeconds(10);

    public ShardId ShardOf(string station) => new(Murmur2.Partition(station, node.Options.Shards));

    public async Task<StationReceipt> OrderAsync(string station, StationOrder order, string by)
    {
        var shard = ShardOf(station);
        var epoch = await node.Shards!.Ask(core => core.Phases.Any(slot => slot.Shard == shard && slot.Phase == ShardPhase.Running) ? core.Find(shard)!.Epoch : (Epoch?)null).ConfigureAwait(false);
        if (epoch is not { } owned) return new StationReceipt(shard, StationOrderOutcome.NotCarriedOut, await ElsewhereAsync(shard).ConfigureAwait(false));
        try
        {
            var outcome = await node.Shards.Steer(shard, owned, station, order, by).WaitAsync(CommitLimit, time).ConfigureAwait(false);
            return new StationReceipt(shard, outcome, outcome switch
            {
                StationOrderOutcome.Done => "",
                StationOrderOutcome.UnknownStation => $"there is no station \"{station}\"",
                StationOrderOutcome.NotCarriedOut => $"shard {shard} has just been given to another owner; nothing was done, order it again",
                _ => $"shard {shard} changed hands before it was known whether this was done: look at the station, and order it again if need be",
            });
        }
        catch (TimeoutException)
        {
            return new StationReceipt(shard, StationOrderOutcome.Unknown, $"no checkpoint was made within {CommitLimit.TotalSeconds:0} s; it is done as soon as the database takes one: look at the station");
        }
    }

    private async Task<string> ElsewhereAsync(ShardId shard)
    {
        var owner = await store.OwnerAsync(shard, CancellationToken.None).ConfigureAwait(false);
        return owner.Name == node.Options.NodeId
            ? $"shard {shard} is on its way to this node; try again"
            : $"shard {shard} is owned by {(owner.Name.Length == 0 ? "no node" : owner.Name)}, not by {node.Options.NodeId}; order it there (--address)";
    }
}
