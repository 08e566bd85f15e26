using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Calls of one station and module never overlap in a process; after an owner that did not release its shard a call begins
/// only when the checkpoint with its attempt has committed; and no owner commits after its last checkpoint.
/// </summary>
public sealed class CallChecker(Cluster cluster)
{
    private readonly Dictionary<(string Process, ShardId Shard, Epoch Epoch, string Station, string Module), CallId> running = [];
    private readonly Dictionary<(ShardId Shard, string Station), byte[]> rows = [];
    private readonly Dictionary<ShardId, bool> released = [];
    private readonly HashSet<(ShardId Shard, Epoch Epoch)> careful = [];
    private int generation;

    public void Look(StoreEntry entry, Action<Finding> report)
    {
        if (generation != cluster.Store.Generation)
        {
            generation = cluster.Store.Generation;
            rows.Clear();
            released.Clear();
            careful.Clear();
            foreach (var earlier in cluster.Store.Timeline.Where(earlier => earlier != entry)) Take(earlier, _ => { });
        }

        Take(entry, report);
    }

    public void Begins(SimulatedProcess process, ModuleCall call, Action<Finding> report)
    {
        var station = call.Input.Station;
        // A zombie that loads a station reads rows of the new owner, and may ask twice; nothing that it does commits.
        if (call.Id.Epoch != cluster.Store.EpochOf(call.Id.Shard)) return;
        var key = (process.Name, call.Id.Shard, call.Id.Epoch, station, call.Module.Name);
        if (!running.TryAdd(key, call.Id)) report(new Finding($"{process.Name}: call {call.Id} of {call.Module.Name} for {station} begins while {running[key]} runs", station));
        if (!careful.Contains((call.Id.Shard, call.Id.Epoch))) return;
        var state = rows.TryGetValue((call.Id.Shard, station), out var row) ? StationState.Parser.ParseFrom(row) : null;
        if (state?.Triggers.Any(trigger => trigger.Id == call.Id.Trigger && trigger.Attempts >= call.Id.Attempt) == true) return;
        report(new Finding($"{process.Name}: after a crash attempt {call.Id.Attempt} of trigger {call.Id.Trigger} of {station} begins before a checkpoint holds it", station));
    }

    /// <summary>The module's code has returned.</summary>
    public void Ends(SimulatedProcess process, ModuleCall call) =>
        running.Remove((process.Name, call.Id.Shard, call.Id.Epoch, call.Input.Station, call.Module.Name));

    private void Take(StoreEntry entry, Action<Finding> report)
    {
        if (entry is not Committed committed)
        {
            if (released.TryGetValue(entry.Shard, out var inOrder) && !inOrder) careful.Add((entry.Shard, entry.Epoch));
            released[entry.Shard] = false;
            return;
        }

        if (released.GetValueOrDefault(entry.Shard)) report(new Finding($"shard {entry.Shard}: {entry.Process} committed checkpoint {committed.Checkpoint.Number} after its last one", $"shard {entry.Shard}"));
        released[entry.Shard] = committed.Checkpoint.Release;
        foreach (var row in committed.Checkpoint.Entities.Where(row => row.Kind == EntityKind.Station))
        {
            if (row.State is null) rows.Remove((entry.Shard, row.Key));
            else rows[(entry.Shard, row.Key)] = row.State;
        }
    }
}
