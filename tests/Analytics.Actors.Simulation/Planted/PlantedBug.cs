using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Routing;

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

    /// <summary>The store takes a checkpoint of any epoch.</summary>
    public bool StoreWithoutFence { get; init; }

    /// <summary>A takeover reads the shard's state first and raises its epoch then.</summary>
    public bool ReadsBeforeRaising { get; init; }

    /// <summary>The store does not hold the rules of routing.</summary>
    public bool PinsNoRules { get; init; }

    /// <summary>Outputs are sent without waiting for the one before.</summary>
    public bool SendsWithoutWaiting { get; init; }

    /// <summary>After a failed send the next output follows.</summary>
    public bool SendsNextAfterFailure { get; init; }

    /// <summary>After a failed send the router goes on with its next envelope.</summary>
    public bool RouterSkipsFailed { get; init; }

    public static PlantedBug None => new("none", "");
}
