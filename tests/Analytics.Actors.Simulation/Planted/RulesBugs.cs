using Analytics.Actors.Core.Nodes;
using static Analytics.Actors.Simulation.PlantedBugs;

namespace Analytics.Actors.Simulation;

/// <summary>Routers and shards that do not heed from which offset on which version of the configuration counts.</summary>
public static class RulesBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        () => new("grant-not-awaited", "3: an offset is processed only when it is granted") { GrantsItself = true },
        () => new("rules-from-position", "3: new rules begin at what is granted") { RulesBeginAtPositions = true },
        () => new("rules-read-before-grant", "3: rules are read in the transaction that raises the grant") { ReadsRulesBeforeGrant = true },
        () => new("grant-without-end", "3: a router that nobody expects any more stops at its grant") { GrantsNeverEnd = true },
        () => new("newest-rules-for-all", "3: a repeat is processed by the rules of its offset")
        {
            OnGrants = grants => grants.Select(grant => grant with { Rules = [grant.Rules[^1] with { FromOffset = 0 }] }).ToList(),
        },
        () => InRecords("shard-takes-what-it-does-not-know", "5: a shard takes a version over before what was routed by it", (partition, record) =>
            HopBugs.EditParts(partition, record, envelope =>
            {
                foreach (var routed in envelope.Records) routed.Rules = 0;
            })),
        () => new("reload-keeps-rules", "3: a shard that is taken over runs the version that it was taken over for")
        {
            OnMessage = (_, message) => message is ConfigurationChanged changed && changed.Settings.ConfigurationVersion > 1 ? [new PositionsChanged([])] : [message],
        },
    ];
}
