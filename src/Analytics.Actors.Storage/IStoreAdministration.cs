using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Storage;

/// <summary>What an operator asks of a store without running a node. The store must exist; it is not opened first.</summary>
public interface IStoreAdministration : IAsyncDisposable
{
    /// <summary>Looks, and changes nothing.</summary>
    /// <exception cref="StoreRefusedException">There is no store, or one of a newer binary.</exception>
    ValueTask<StoreDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>
    /// After a backup was restored: gives the store a new id, so that nobody takes its new outputs for repeats of those that
    /// the restore took back; remembers where the outputs of the old id end; and raises every shard's epoch above any that
    /// was ever given out, so that a node of before the restore can commit nothing. All in one transaction.
    /// </summary>
    /// <param name="force">Also while nodes are connected; they are fenced and have to be started again.</param>
    /// <exception cref="StoreRefusedException">Nodes are connected, there is no store, or one of a newer binary.</exception>
    ValueTask<StoreRenewal> RenewAsync(bool force, CancellationToken cancellation);
}

/// <summary>What is in a store.</summary>
/// <param name="Kind">sqlite or postgresql.</param>
/// <param name="Place">The file, or database and host; without a secret.</param>
public sealed record StoreDescription(string Kind, string Place, string StoreId, string Group, int SchemaVersion, IReadOnlyList<ShardDescription> Shards)
{
    /// <summary>The ids that the store had before it was renewed.</summary>
    public IReadOnlyList<string> EarlierIds { get; init; } = [];
}

/// <summary>One shard's row. The epoch is 0 until its first owner; the owner is the last one, whether it lives or not.</summary>
public sealed record ShardDescription(ShardId Shard, Epoch Epoch, long CheckpointNumber, string Owner, bool ReleasedInOrder);

/// <summary>What a renewal did.</summary>
public sealed record StoreRenewal(string Before, string After, int Shards);

/// <summary>What a renewal computes, the same for every database.</summary>
internal static class Renewals
{
    /// <summary>
    /// Above every epoch that was given out after the backup, of which the restored database knows nothing: takeovers count
    /// up by one from the last renewal's time, and none takes less than a millisecond on average.
    /// </summary>
    public static long EpochAbove(long stored, DateTimeOffset now) => Math.Max(stored, now.ToUnixTimeMilliseconds()) + 1;

    /// <summary>Where the runs of a store end: each shard's state tells its next sequences.</summary>
    /// <param name="shards">All shards, with their state as the last checkpoint wrote it.</param>
    public static List<EarlierRun> EndsOf(string storeId, IEnumerable<(int Shard, byte[] State)> shards)
    {
        List<EarlierRun> ends = [new(new OriginRun(storeId, new ShardId(0), "", 0), 0)];
        foreach (var (shard, bytes) in shards)
        {
            foreach (var destination in ShardState.Parser.ParseFrom(bytes).Destinations)
                ends.Add(new EarlierRun(new OriginRun(storeId, new ShardId(shard), destination.Topic, destination.Partition), destination.NextSequence));
        }

        return ends;
    }
}
