using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>Timers once: a station's interval stands from checkpoint to checkpoint as it was, and moves when it has fired.</summary>
public sealed class TimerChecker(Cluster cluster)
{
    private readonly Dictionary<(ShardId Shard, string Station), long> due = [];

    public void Judge(Action<Finding> report)
    {
        foreach (var committed in cluster.Store.Timeline.OfType<Committed>())
        {
            var fired = committed.Events.OfType<TimerFired>().Where(timer => timer.Kind == "interval").Select(timer => timer.Entity).ToHashSet();
            var written = new HashSet<string>();
            // A forgotten station has none; its next record begins one anew.
            foreach (var gone in committed.Events.OfType<StationSteered>().Where(steered => steered.Order == StationOrder.Forget)) due.Remove((committed.Shard, gone.Station));
            foreach (var row in committed.Checkpoint.Entities.Where(entity => entity.Kind == EntityKind.Station))
            {
                written.Add(row.Key);
                var state = row.State is null ? null : StationState.Parser.ParseFrom(row.State);
                var stands = state?.Intervals.FirstOrDefault(interval => interval.Module == Workload.Watch)?.DueMs;
                var key = (committed.Shard, row.Key);
                if (due.TryGetValue(key, out var before))
                {
                    if (stands is null) report(new Finding($"the interval of station {row.Key} is gone in checkpoint {committed.Checkpoint.Number} of shard {committed.Shard}", row.Key));
                    else if (stands == before && fired.Contains(row.Key)) report(new Finding($"the interval of station {row.Key} fired and stands as it was", row.Key));
                    else if (stands != before && !fired.Contains(row.Key)) report(new Finding($"the interval of station {row.Key} moved by {stands - before} ms and did not fire, in checkpoint {committed.Checkpoint.Number} of shard {committed.Shard}", row.Key));
                }

                if (stands is not null) due[key] = stands.Value;
            }

            foreach (var station in fired.Where(station => !written.Contains(station) && !committed.Events.OfType<StationSteered>().Any(steered => steered.Station == station)))
                report(new Finding($"the interval of station {station} fired and was not stored", station));
        }
    }
}
