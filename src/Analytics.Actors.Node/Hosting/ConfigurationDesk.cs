using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Routing;

namespace Analytics.Actors.Node.Hosting;

/// <summary>What taking a text over as the next version would do.</summary>
/// <param name="Current">The version that it is compared with.</param>
/// <param name="Problems">Why the text is no pipeline that this node could run; then there is no plan.</param>
/// <param name="Warnings">What is right by itself, and perhaps not meant.</param>
public sealed record PlannedConfiguration(long Current, ConfigurationPlan? Plan, IReadOnlyList<ConfigurationProblem> Problems, IReadOnlyList<string> Warnings)
{
    public bool IsRefused => Plan is null || Plan.Refused.Count > 0;

    /// <summary>The text is the current version's, or says the same.</summary>
    public bool IsUnchanged => Plan is { Changes.Count: 0, Refused.Count: 0, Rerouted.Count: 0 };
}

/// <summary>A node, and the version that it runs.</summary>
public sealed record NodeVersion(string Node, long Version);

/// <summary>What became of applying a text.</summary>
/// <param name="Version">The version that it is now; null: nothing was applied.</param>
/// <param name="Conflict">Another version was applied meanwhile: its number.</param>
public sealed record AppliedConfiguration(PlannedConfiguration Planned, long? Version, long? Conflict, IReadOnlyList<SourceGrant> Grants);

/// <summary>Plans and applies versions of the configuration for an operator, and tells which nodes run which.</summary>
public sealed class ConfigurationDesk(NodeHost node, ConfigurationVersions versions, ICheckpointStore store, TimeProvider time)
{
    public async Task<PlannedConfiguration> PlanAsync(string text, CancellationToken cancellation)
    {
        var current = (await store.ReadConfigurationAsync(null, cancellation).ConfigureAwait(false))!;
        var (pipeline, problems) = versions.Check(text, "the file");
        if (pipeline is null || problems.Count > 0) return new PlannedConfiguration(current.Number, null, problems, []);
        // One that this binary does not read any more cannot be compared with.
        var from = versions.Parse(current);
        var warnings = pipeline.Modules.Values.Where(module => module.Enabled && !node.IsInstalled(module.Name))
            .Select(module => $"module {module.Name} has no code on {node.Options.NodeId}: its calls would be answered with an error").ToList();
        return new PlannedConfiguration(current.Number, ConfigurationPlan.Of(from, pipeline), [], warnings);
    }

    /// <summary>Makes the text the next version, where the plan refuses nothing and nobody else did meanwhile.</summary>
    /// <param name="expected">The version that the caller has looked at; null: whatever is current.</param>
    public async Task<AppliedConfiguration> ApplyAsync(string text, long? expected, string by, string comment, CancellationToken cancellation)
    {
        var planned = await PlanAsync(text, cancellation).ConfigureAwait(false);
        if (expected is { } seen && seen != planned.Current) return new AppliedConfiguration(planned, null, planned.Current, []);
        if (planned.IsRefused || planned.IsUnchanged) return new AppliedConfiguration(planned, null, null, []);
        var moved = await versions.PinReadersAsync(versions.Check(text, "the file").Pipeline!, cancellation).ConfigureAwait(false);
        if (moved.Count > 0) return new AppliedConfiguration(planned with { Plan = planned.Plan! with { Refused = moved } }, null, null, []);
        var change = new ConfigurationChange(planned.Current, text, by, time.GetUtcNow().ToUnixTimeMilliseconds(), comment, planned.Plan!.Rerouted.Count > 0);
        var outcome = await store.ApplyConfigurationAsync(change, cancellation).ConfigureAwait(false);
        if (!outcome.Applied) return new AppliedConfiguration(planned, null, outcome.Current, []);
        node.Observer.ConfigurationApplied(outcome.Current, by, comment);
        // It is applied: whatever fails from here on must not look as if it were not.
        node.Cluster?.Tell(new ClusterEvent("configuration", node.Options.NodeId, null, null, by, $"version {outcome.Current} applied{(comment.Length > 0 ? $": {comment}" : "")}"));
        node.LookForConfiguration();
        return new AppliedConfiguration(planned, outcome.Current, null, change.Reroutes ? await ReroutedAsync(outcome.Current, cancellation).ConfigureAwait(false) : []);
    }

    // From which offsets the version counts, where it can be told.
    private async Task<IReadOnlyList<SourceGrant>> ReroutedAsync(long version, CancellationToken cancellation)
    {
        try
        {
            return [.. (await store.ReadGrantsAsync(cancellation).ConfigureAwait(false)).Where(grant => grant.Rules[^1].Version == version)];
        }
        catch (StoreUnavailableException)
        {
            return [];
        }
    }

    /// <summary>The nodes that are there, each with the version that it runs; this one as it is now, others as they registered.</summary>
    public async Task<IReadOnlyList<NodeVersion>> NodesAsync(CancellationToken cancellation)
    {
        List<NodeVersion> nodes = [new(node.Options.NodeId, node.ConfigurationVersion)];
        if (store is not IClusterStore cluster) return nodes;
        var rows = await cluster.ReadNodesAsync(cancellation).ConfigureAwait(false);
        nodes.AddRange(rows.Where(row => row.Entry.Node != node.Options.NodeId && !row.IsVanished && row.Entry.State is NodeState.Starting or NodeState.Running)
            .Select(row => new NodeVersion(row.Entry.Node, row.Entry.ConfigurationVersion)));
        return nodes;
    }

    public async Task<(ConfigurationVersion? Version, IReadOnlyList<ConfigurationVersion> History)> ShowAsync(long? number, CancellationToken cancellation) =>
        (await store.ReadConfigurationAsync(number, cancellation).ConfigureAwait(false), await store.ListConfigurationsAsync(cancellation).ConfigureAwait(false));
}
