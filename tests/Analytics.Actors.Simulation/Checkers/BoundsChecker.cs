using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Invariant 7: a shard that has as much in hand as it may is given no more, keeps no more stations in memory than it may,
/// and is checkpointed when it has changed; and no call kills processes for ever.
/// </summary>
public sealed class BoundsChecker(Cluster cluster)
{
    // The order to pause may come a moment later than the shard is full, and one read of each of its logs may be under way.
    private const int ReadsWhileFullMax = 6;
    private const int DeathsMax = 8;

    // A commit that was on its way when the faults ended, and the pauses after its failure, are over by then.
    private const int CheckpointWithinMs = 8_000;

    private readonly Dictionary<(string Process, ShardId Shard, Epoch Epoch), int> readWhileFull = [];
    private readonly Dictionary<(string Station, long Trigger), int> deaths = [];
    private readonly Dictionary<(string Process, ShardId Shard, Epoch Epoch), long> dirtySince = [];

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
        foreach (var shard in process.Core.Running.Where(shard => shard.IsDirty && cluster.IsHealing))
        {
            var key = (process.Name, shard.Id, shard.Epoch);
            if (!dirtySince.TryGetValue(key, out var since)) dirtySince.Add(key, cluster.World.NowMs);
            else if (cluster.World.NowMs - since > CheckpointWithinMs)
            {
                report(new Finding($"{process.Name}: shard {shard.Id} changed {cluster.World.NowMs - since} ms ago and nothing is wrong with the store, but no checkpoint came", $"shard {shard.Id}"));
                dirtySince[key] = long.MaxValue / 2;
            }
        }

        foreach (var (partition, read, done) in process.Router.Progress)
        {
            // An envelope is at least as large as its records' offsets and ids.
            if (read - done <= (cluster.Scenario.WaitingBytesMax / 20) + 200) continue;
            report(new Finding($"{process.Name}: its router has {read - done} records of {partition} under way", partition.ToString()));
        }
    }

    /// <summary>A commit has ended: of the stations that could go, no more are here than may be.</summary>
    public void CommitHeard(SimulatedProcess process, IReadOnlyList<ShardId> shards, Action<Finding> report)
    {
        foreach (var shard in process.Core.Running.Where(shard => shards.Contains(shard.Id)))
        {
            if (shard.IsDirty || shard.IsCommitting || !shard.IsScanned || shard.ArrivalCount > 0 || shard.Stations.Count <= cluster.Scenario.StationsMax) continue;
            var idle = shard.Stations.Values.Count(station => station.IsAtRest);
            if (idle > cluster.Scenario.StationsMax) report(new Finding($"{process.Name}: shard {shard.Id} keeps {idle} stations that owe nothing in memory", $"shard {shard.Id}"));
        }
    }

    public void Committed(Committed committed) => dirtySince.Remove((committed.Process, committed.Shard, committed.Epoch));

    public void Killed(string station, long trigger, Action<Finding> report)
    {
        var count = deaths[(station, trigger)] = deaths.GetValueOrDefault((station, trigger)) + 1;
        if (count == DeathsMax + 1) report(new Finding($"the call for trigger {trigger} of station {station} killed a process {count} times", station));
    }
}
