using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// A bug planted on purpose, as a filter between the production code and its host, or as a host or store that breaks a rule.
/// A simulator that does not find it is not to be believed. One object serves one run: a bug may remember things.
/// </summary>
/// <param name="Name">How <c>--bug</c> calls it.</param>
/// <param name="Breaks">The invariant of DESIGN.md that it breaks, in a line.</param>
public record PlantedBug(string Name, string Breaks)
{
    /// <summary>What a node hears instead of a fact.</summary>
    public Func<SimulatedProcess, NodeMessage, IEnumerable<NodeMessage>> OnMessage { get; init; } = (_, message) => [message];

    /// <summary>What a host hears instead of an order of its node.</summary>
    public Func<SimulatedProcess, NodeEffect, IEnumerable<NodeEffect>> OnEffect { get; init; } = (_, effect) => [effect];

    /// <summary>What a router hears instead of a source record.</summary>
    public Func<SimulatedProcess, SourceRecord, IEnumerable<SourceRecord>> OnSource { get; init; } = (_, record) => [record];

    /// <summary>What a host hears instead of an order of its router.</summary>
    public Func<SimulatedProcess, RouterEffect, IEnumerable<RouterEffect>> OnRouterEffect { get; init; } = (_, effect) => [effect];

    /// <summary>What a router hears instead of what the store grants.</summary>
    public Func<IReadOnlyList<SourceGrant>, IReadOnlyList<SourceGrant>> OnGrants { get; init; } = grants => grants;

    /// <summary>The store takes a checkpoint of any epoch.</summary>
    public bool StoreWithoutFence { get; init; }

    /// <summary>A takeover reads the shard's state first and raises its epoch then.</summary>
    public bool ReadsBeforeRaising { get; init; }

    /// <summary>A takeover leaves the epoch as it is.</summary>
    public bool RaisesNoEpoch { get; init; }

    /// <summary>A source partition keeps its incarnation when its topic was made anew.</summary>
    public bool KeepsIncarnation { get; init; }

    /// <summary>A restored backup goes on under the id that it had.</summary>
    public bool KeepsStoreId { get; init; }

    /// <summary>Settings of the nodes other than the checkers know.</summary>
    public Func<ShardSettings, ShardSettings> OnSettings { get; init; } = settings => settings;

    /// <summary>A new version routes from the router's committed position on, and not from what is granted.</summary>
    public bool RulesBeginAtPositions { get; init; }

    /// <summary>A router goes on before the store has answered, by the rules that it had read before.</summary>
    public bool GrantsItself { get; init; }

    /// <summary>A grant is raised in the store, and the rules that count for it are those read before that.</summary>
    public bool ReadsRulesBeforeGrant { get; init; }

    /// <summary>A router's grant has no end: it goes on by the rules that it once read.</summary>
    public bool GrantsNeverEnd { get; init; }

    /// <summary>Outputs are sent without waiting for the one before.</summary>
    public bool SendsWithoutWaiting { get; init; }

    /// <summary>After a failed send the next output follows.</summary>
    public bool SendsNextAfterFailure { get; init; }

    /// <summary>The router sends its next envelope without waiting for the one before; each is sent until the log has it.</summary>
    public bool RouterDoesNotWait { get; init; }

    /// <summary>After a failed send the router goes on with its next envelope.</summary>
    public bool RouterSkipsFailed { get; init; }

    public static PlantedBug None => new("none", "");
}
