namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// How far a run of outputs goes that was written under an id which the store had before it was renewed: up to, and not
/// including, <paramref name="NextSequence"/>. What stands in a log from there on was written after the backup.
/// </summary>
public readonly record struct EarlierRun(OriginRun Run, long NextSequence);

/// <summary>
/// Tells outputs that the store remembers from those of a time that a restored backup took back. Logs keep both. The
/// former count: whoever has not seen them yet has to. The latter do not: the shards that wrote them stand before them
/// again, read the same records again, and write them again under the new id.
/// </summary>
public sealed class EarlierStores
{
    public static readonly EarlierStores None = new([]);

    private readonly Dictionary<OriginRun, long> ends = [];
    private readonly HashSet<string> stores = new(StringComparer.Ordinal);

    public EarlierStores(IEnumerable<EarlierRun> runs)
    {
        foreach (var earlier in runs)
        {
            stores.Add(earlier.Run.Store);
            ends[earlier.Run] = earlier.NextSequence;
        }
    }

    /// <summary>The store had this id before.</summary>
    public bool Contains(string storeId) => stores.Contains(storeId);

    /// <summary>The output was written under an earlier id, after what the store remembers of that time.</summary>
    /// <param name="topic">The topic that the output was written to.</param>
    public bool TookBack(in Origin origin, string topic) =>
        stores.Contains(origin.Store)
        && origin.Sequence >= ends.GetValueOrDefault(new OriginRun(origin.Store, origin.Shard, topic, origin.Partition));
}
