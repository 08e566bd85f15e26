using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Checks the keyed source partitions of a shard that was taken over, as the product's host does: the production code
/// decides, on what the log and the store's rows say.
/// </summary>
public static class KeyedPositions
{
    /// <summary>The shard as it is to start; null where the log or the store cannot be reached now.</summary>
    public static RecoveredShard? Check(Cluster cluster, SimulatedProcess process, RecoveredShard recovered)
    {
        foreach (var log in process.Settings.LogsOf(recovered.Shard).Where(log => process.Settings.IsKeyed(log.Topic)))
        {
            if (!cluster.Network.ToLog(process.Node).IsUp || !cluster.Network.ToStore(process.Node).IsUp || cluster.Store.IsDown) return null;
            var row = cluster.Store.Sources([]).FirstOrDefault(row => row.Partition == log);
            var facts = ShardPositions.Stored(recovered, log, row, new OutOfRangePolicy(OutOfRangeKind.Stop), process.Settings.Pipeline.Topics[log.Topic]) with
            {
                Log = new LogRange(cluster.Log.Start(log), cluster.Log.End(log)),
            };
            if (PositionCheck.WitnessOffset(facts) is { } last && facts.Log.Holds(last)) facts = facts with { Found = RecordWitness.Of(cluster.Log.At(log, last).TimestampMs, cluster.Log.At(log, last).Value) };
            var state = row ?? new SourceState(log, process.Settings.ShardCount, 0);
            PartitionPosition moved;
            switch (PositionCheck.Decide(facts))
            {
                case PositionDecision.GoOn(var next, var incarnation):
                    if (facts.IsWanted) recovered = recovered.MovedTo(new PartitionPosition(log, next, -1, 0, incarnation));
                    continue;
                case PositionDecision.Begin(_, var incarnation):
                    moved = new PartitionPosition(log, facts.Log.Low, -1, 0, incarnation);
                    state = state.At(moved) with { Incarnation = incarnation };
                    cluster.Checkers.Skipped(log, 0, moved.Next);
                    break;
                case PositionDecision.Skip(var reason, var from, _, var incarnation):
                    moved = new PartitionPosition(log, facts.Log.Low, -1, 0, incarnation);
                    state = state.At(moved) with { Incarnation = incarnation, GapFrom = from, GapTo = moved.Next, GapReason = reason.ToString(), GapAtMs = process.ClockMs };
                    cluster.World.Note($"{process.Name}: {log} goes on at {moved.Next} instead of {from}, {reason}, incarnation {incarnation}");
                    cluster.Checkers.Skipped(log, from, moved.Next);
                    break;
                case var decision:
                    throw new InvalidOperationException($"{decision}: no topic of the workload stops");
            }

            if (!cluster.Store.Sources([state]).Contains(state)) return null;
            recovered = recovered.MovedTo(moved);
        }

        return recovered;
    }
}
