using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Simulation;

/// <summary>A cluster that grows and shrinks: shards and source partitions move only as far as balance asks for, as Kafka's sticky assignor has it.</summary>
public sealed partial class Cluster
{
    /// <summary>The nodes that are to run; null: all, and shards move at random.</summary>
    public HashSet<int>? Wanted { get; init; }

    public SimulatedProcess? OwnerOf(ShardId shard) => shardOwners.GetValueOrDefault(shard);

    /// <summary>A node comes.</summary>
    public void Join(int node)
    {
        World.Note($"node {node} joins");
        Wanted!.Add(node);
        StartProcess(node);
    }

    /// <summary>A node hands over what it has, and stops.</summary>
    public void Leave(int node)
    {
        World.Note($"node {node} leaves");
        Wanted!.Remove(node);
        Rebalance();
        WaitUntilGone(node);
    }

    /// <summary>A node dies and does not come back.</summary>
    public void Kill(int node)
    {
        Wanted!.Remove(node);
        processes[node]?.Crash();
    }

    private bool IsWanted(int node) => Wanted?.Contains(node) != false;

    private void WaitUntilGone(int node) => World.After(20, () =>
    {
        if (IsWanted(node) || processes[node] is not { } process) return;
        if (!process.Core.Phases.Any() && process.Router.Sources.Count == 0 && !moving.ContainsValue(process) && !shardOwners.ContainsValue(process))
        {
            process.Crash();
            return;
        }

        Rebalance();
        WaitUntilGone(node);
    });

    private void BalanceStickily(List<SimulatedProcess> members)
    {
        var owners = Enumerable.Range(0, Settings.ShardCount).Select(number => new ShardId(number))
            .ToDictionary(shard => shard, shard => moving.GetValueOrDefault(shard) ?? shardOwners.GetValueOrDefault(shard));
        foreach (var (shard, target) in Balanced(owners, members, moving.Keys.ToHashSet()))
        {
            if (shardOwners.TryGetValue(shard, out var owner)) Move(shard, owner, target);
            else Give(shard, target);
        }

        var readers = Sources.ToDictionary(source => source, source => sourceOwners.GetValueOrDefault(source));
        foreach (var (source, target) in Balanced(readers, members, []))
        {
            sourceOwners.TryGetValue(source, out var owner);
            sourceOwners[source] = target;
            owner?.Reach(() =>
            {
                if (RouterOf(source) != owner) owner.Router.Revoke(source);
            });
            target.Reach(() =>
            {
                if (RouterOf(source) == target) target.Router.Assign(source);
            });
        }
    }

    // What has nobody, or somebody who is no member, goes to who has least; then one after another until nobody has two more.
    private static List<(T What, SimulatedProcess To)> Balanced<T>(Dictionary<T, SimulatedProcess?> owners, List<SimulatedProcess> members, HashSet<T> fixedOnes) where T : notnull
    {
        var counts = members.ToDictionary(member => member, member => owners.Values.Count(owner => owner == member));
        List<(T, SimulatedProcess)> moves = [];
        void To(T what, SimulatedProcess target)
        {
            if (owners[what] is { } before && counts.ContainsKey(before)) counts[before]--;
            owners[what] = target;
            counts[target]++;
            moves.RemoveAll(move => EqualityComparer<T>.Default.Equals(move.Item1, what));
            moves.Add((what, target));
        }

        foreach (var what in owners.Keys.ToList())
        {
            if (!fixedOnes.Contains(what) && (owners[what] is not { } owner || !counts.ContainsKey(owner))) To(what, members.MinBy(member => counts[member])!);
        }

        while (members.MaxBy(member => counts[member]) is { } most && members.MinBy(member => counts[member]) is { } least && counts[most] - counts[least] > 1)
        {
            var movable = owners.Where(pair => pair.Value == most && !fixedOnes.Contains(pair.Key)).Select(pair => pair.Key).ToList();
            if (movable.Count == 0) break;
            To(movable[0], least);
        }

        return moves;
    }
}
