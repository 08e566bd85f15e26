using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using static Analytics.Actors.Simulation.PlantedBugs;

namespace Analytics.Actors.Simulation;

/// <summary>New owners that forget something of what they read, and stations that come back as others than they went.</summary>
public static class RecoveryBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        InRecovered("marks-not-restored", "3: marks are read with the state", recovered => recovered with { Marks = [] }),
        InRecovered("positions-not-restored", "2: recovery reads from the stored positions", recovered => recovered with { Positions = [] }),
        InRecovered("outbox-not-restored", "4: what was not acknowledged is sent again", recovered => recovered with { Outbox = [] }),
        InRecovered("global-data-not-restored", "2: global data reaches calls after a takeover", recovered => recovered with { Entities = Change(recovered.Entities, EntityKind.Global, _ => null) }),
        InRecovered("batches-not-restored", "5: every batch ends", recovered => recovered with { Entities = Change(recovered.Entities, EntityKind.Batch, _ => null) }),
        InRecovered("care-not-taken", "5: after a crash a call begins when its attempt has committed", recovered => recovered with { ReleasedInOrder = true }),
        InLoad("timer-lost-on-recovery", "timers: an interval survives its owner", row => row.Kind == EntityKind.Station ? row.Edit(StationState.Parser, state => state.Intervals.Clear()) : row),
        InLoad("triggers-not-recovered", "5: a trigger runs again until its answer is recorded", row => row.Kind == EntityKind.Station ? row.Edit(StationState.Parser, state => state.Triggers.Clear()) : row),
        InLoad("captured-input-not-recovered", "5: a trigger's input is what the windows held when it fired", row => row.Kind == EntityKind.Station
            ? row.Edit(StationState.Parser, state =>
            {
                foreach (var topic in state.Triggers.SelectMany(trigger => trigger.Topics)) topic.Superseded = false;
            })
            : row),
        InLoad("station-taken-as-new", "2: a station that was passivated comes back with its windows", row => row.Kind == EntityKind.Window ? null : row),
        () => new("owed-calls-not-searched", "5: a new owner looks for what is owed")
        {
            OnMessage = (_, message) => [message is PageLoaded page ? page with { Rows = [] } : message],
        },
        StaleLoad,
        () => new("reading-begins-too-late", "2: reading begins at the stored position")
        {
            OnEffect = (_, effect) => [effect is StartReading { Next: > 0 } start ? start with { Next = start.Next + 1 } : effect],
        },
    ];

    private static Func<PlantedBug> InLoad(string name, string breaks, Func<EntityState, EntityState?> change) => () => new PlantedBug(name, breaks)
    {
        OnMessage = (_, message) => [message is StationsLoaded loaded ? loaded with { Rows = loaded.Rows.Select(change).OfType<EntityState>().ToList() } : message],
    };

    // A station that was passivated comes back as it was when it was first read.
    private static PlantedBug StaleLoad()
    {
        var first = new Dictionary<(string, ShardId, Epoch, EntityKind, string), EntityState>();
        return new PlantedBug("stale-load", "2: a station comes back as it went")
        {
            OnMessage = (process, message) =>
            {
                if (message is not StationsLoaded loaded) return [message];
                var rows = loaded.Rows.Select(row =>
                {
                    var key = (process.Name, loaded.Load.Shard, loaded.Load.Epoch, row.Kind, row.Key);
                    first.TryAdd(key, row);
                    return first[key];
                });
                return [loaded with { Rows = rows.ToList() }];
            },
        };
    }
}
