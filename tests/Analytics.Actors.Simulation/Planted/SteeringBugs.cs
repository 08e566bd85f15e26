using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using static Analytics.Actors.Simulation.PlantedBugs;

namespace Analytics.Actors.Simulation;

/// <summary>Orders for stations that are lost, done twice, or told of too early.</summary>
public static class SteeringBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        InRows("pause-not-stored", "steering: a paused station stays paused whoever owns it", EntityKind.Station, row => row.Edit(StationState.Parser, state => state.Paused = false)),
        InCheckpoint("forgotten-windows-stay", "steering: of a forgotten station nothing is left",
            checkpoint => checkpoint with { Entities = checkpoint.Entities.Where(row => row.Kind != EntityKind.Window || row.State is not null).ToList() }),
        DoneTooEarly,
        CarriedOutAgain,
    ];

    // The operator hears that it is done before the checkpoint has committed.
    private static PlantedBug DoneTooEarly()
    {
        StationOrdered? order = null;
        return new PlantedBug("order-done-too-early", "steering: the order's effect is in a checkpoint before the operator hears of it")
        {
            OnMessage = (_, message) =>
            {
                if (message is StationOrdered ordered) order = ordered;
                return [message];
            },
            OnEffect = (process, effect) =>
            {
                if (order is not { } early || process.Core.Find(early.Shard)?.Epoch != early.Epoch) return [effect];
                order = null;
                return [new StationOrderEnded(early.Number, StationOrderOutcome.Done), effect];
            },
        };
    }

    // An order that was carried out before its shard moved is carried out by the new owner once more.
    private static PlantedBug CarriedOutAgain()
    {
        var last = new Dictionary<ShardId, StationOrdered>();
        return new PlantedBug("order-carried-out-again", "steering: an order is void in another epoch")
        {
            OnMessage = (_, message) =>
            {
                if (message is StationOrdered ordered) last[ordered.Shard] = ordered;
                return message is ShardTakenOver { Recovered: var taken } && last.Remove(taken.Shard, out var again) ? [message, again with { Epoch = taken.Epoch }] : [message];
            },
        };
    }
}
