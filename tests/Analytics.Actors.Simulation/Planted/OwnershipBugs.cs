using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Simulation;

/// <summary>Owners that are not alone, or believe what they cannot know.</summary>
public static class OwnershipBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        () => new("commit-without-fence", "1: a checkpoint commits only in its epoch, after its predecessor") { StoreWithoutFence = true },
        () => new("takeover-reads-before-it-raises", "1: raise the epoch, commit, then read") { ReadsBeforeRaising = true },
        () => new("takeover-raises-nothing", "1: every takeover raises the epoch") { RaisesNoEpoch = true },
        () => new("fence-ignored", "1: a fenced shard drops out of the commit")
        {
            OnMessage = (_, message) => [message is CommitFinished finished ? AllCommitted(finished.Outcomes.Count) : message],
        },
        () => Outcome("unknown-taken-as-committed", "1: an unknown outcome counts as loss of the shard", message => message is CommitUnknown),
        () => Outcome("failed-taken-as-committed", "1: what was not committed is committed again", message => message is CommitFailed),
        () => new("failed-commit-forgotten", "1: what was not committed is committed again")
        {
            OnMessage = (_, message) => message is CommitFailed ? [] : [message],
        },
        FencedNeverReturns,
        () => new("store-id-not-renewed", "4: a restored backup gets a store id of its own") { KeepsStoreId = true },
        () => new("pause-ignored", "7: a shard that is full is given no more")
        {
            OnEffect = (_, effect) => effect is PauseReading { Pause: true } ? [] : [effect],
        },
        () => new("stations-never-passivated", "7: stations in memory are bounded") { OnSettings = settings => settings with { StationsMax = 10_000 } },
    ];

    private static CommitFinished AllCommitted(int count) => new(Enumerable.Repeat(CheckpointOutcome.Committed, count).ToList());

    private static PlantedBug Outcome(string name, string breaks, Func<NodeMessage, bool> isTaken)
    {
        var underWay = new Dictionary<string, int>();
        return new PlantedBug(name, breaks)
        {
            OnEffect = (process, effect) =>
            {
                if (effect is Commit commit) underWay[process.Name] = commit.Checkpoints.Count;
                return [effect];
            },
            OnMessage = (process, message) => [isTaken(message) ? AllCommitted(underWay[process.Name]) : message],
        };
    }

    // It waits for somebody else to take the shard over, but Kafka has given it to nobody else.
    private static PlantedBug FencedNeverReturns()
    {
        var fenced = new HashSet<(string, ShardId)>();
        return new PlantedBug("fenced-owner-never-returns", "1: a fenced owner that Kafka still assigns takes over again")
        {
            OnMessage = (process, message) =>
            {
                if (message is ShardsAssigned assigned) fenced.ExceptWith(assigned.Shards.Select(shard => (process.Name, shard)));
                return [message];
            },
            OnEffect = (process, effect) =>
            {
                if (effect is AbandonShard abandon) fenced.Add((process.Name, abandon.Shard));
                return effect is TakeOver again && fenced.Contains((process.Name, again.Shard)) ? [] : [effect];
            },
        };
    }
}
