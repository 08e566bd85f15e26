using Analytics.Actors.Core;

namespace Analytics.Actors.Simulation;

/// <summary>Invariant 1: epochs only rise, an epoch has one owner, and only the newest one commits, number after number.</summary>
public sealed class FenceChecker
{
    private readonly Dictionary<ShardId, (Epoch Epoch, string Process, long Number)> owners = [];
    private int generation;

    public void Look(StoreEntry entry, int storeGeneration, Action<Finding> report)
    {
        // A restored backup begins where it was made: what came later has not been.
        if (storeGeneration != generation) owners.Clear();
        generation = storeGeneration;
        var known = owners.TryGetValue(entry.Shard, out var owner);
        if (entry is TakenOver)
        {
            if (known && entry.Epoch.CompareTo(owner.Epoch) <= 0) report(new Finding($"shard {entry.Shard}: {entry.Process} took it over in epoch {entry.Epoch}, epoch {owner.Epoch} had been before", $"shard {entry.Shard}"));
            owners[entry.Shard] = (entry.Epoch, entry.Process, known ? owner.Number : -1);
            return;
        }

        var number = ((Committed)entry).Checkpoint.Number;
        if (!known || owner.Epoch != entry.Epoch || owner.Process != entry.Process)
            report(new Finding($"shard {entry.Shard}: {entry.Process} committed in epoch {entry.Epoch}; its owner is {owner.Process} in epoch {owner.Epoch}", $"shard {entry.Shard}"));
        else if (owner.Number >= 0 && number != owner.Number + 1)
            report(new Finding($"shard {entry.Shard}: {entry.Process} committed checkpoint {number} after {owner.Number}", $"shard {entry.Shard}"));
        owners[entry.Shard] = (owner.Epoch, owner.Process, number);
    }
}
