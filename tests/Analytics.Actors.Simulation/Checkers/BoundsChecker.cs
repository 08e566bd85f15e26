using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Simulation;

/// <summary>Invariant 7: a shard that has as much in hand as it may is given no more; and no call kills processes for ever.</summary>
public sealed class BoundsChecker(Cluster cluster)
{
    // The order to pause may come a moment later than the shard is full, and one read of each of its logs may be under way.
    private const int ReadsWhileFullMax = 6;
    private const int DeathsMax = 8;

    private readonly Dictionary<(string Process, ShardId Shard, Epoch Epoch), int> readWhileFull = [];
    private readonly Dictionary<(string Station, long Trigger), int> deaths = [];

    public void Read(SimulatedProcess process, RecordsRead read, Action<Finding> report)
    {
        if (process.Core.Find(new ShardId(read.Partition.Partition)) is not { } shard) return;
        var key = (process.Name, shard.Id, shard.Epoch);
        var count = readWhileFull[key] = shard.IsFull ? readWhileFull.GetValueOrDefault(key) + 1 : 0;
        if (count == ReadsWhileFullMax + 1)
            report(new Finding($"{process.Name}: shard {shard.Id} is full and was given records {count} times ({shard.Outputs.Outbox.Bytes} bytes in its outbox)", $"shard {shard.Id}"));
    }

    public void Settled(SimulatedProcess process, Action<Finding> report)
    {
        foreach (var (partition, read, done) in process.Router.Progress)
        {
            // An envelope is at least as large as its records' offsets and ids.
            if (read - done <= (cluster.Scenario.WaitingBytesMax / 20) + 200) continue;
            report(new Finding($"{process.Name}: its router has {read - done} records of {partition} under way", partition.ToString()));
        }
    }

    public void Killed(string station, long trigger, Action<Finding> report)
    {
        var count = deaths[(station, trigger)] = deaths.GetValueOrDefault((station, trigger)) + 1;
        if (count == DeathsMax + 1) report(new Finding($"the call for trigger {trigger} of station {station} killed a process {count} times", station));
    }
}
