using System.Text;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Configuration;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Hosting;

/// <summary>A stored version of the configuration does not run on this node; the message says why.</summary>
public sealed class ConfigurationRefusedException(string message) : Exception(message);

/// <summary>The versions of the configuration as pipelines, and the first one at the first start of a group.</summary>
public sealed class ConfigurationVersions(ICheckpointStore store, NodeOptions options)
{
    /// <summary>
    /// The version that the store holds. At the first start of a group the given pipeline becomes version 1; afterwards a node
    /// that was started with another file says so, and runs what is stored.
    /// </summary>
    public async Task<(long Version, PipelineConfiguration Pipeline)> BeginAsync(PipelineConfiguration file, DateTimeOffset now, ILogger logger, CancellationToken cancellation)
    {
        if (await store.ReadConfigurationAsync(null, cancellation).ConfigureAwait(false) is null)
        {
            // Records of a group that ran before there were versions were routed by the rules that were pinned then.
            Require(await store.PinRulesAsync(RoutingRules.Of(file, options.MaxRecordBytes), cancellation).ConfigureAwait(false));
            await store.ApplyConfigurationAsync(new ConfigurationChange(0, file.Text, options.NodeId, now.ToUnixTimeMilliseconds(), "first start", false), cancellation).ConfigureAwait(false);
        }

        Require(await store.PinRulesAsync([RoutingRules.SizeLimit(options.MaxRecordBytes)], cancellation).ConfigureAwait(false));
        var current = (await store.ReadConfigurationAsync(null, cancellation).ConfigureAwait(false))!;
        var pipeline = current.Text == file.Text ? file : Parse(current);
        Require(await store.PinRulesAsync([.. RoutingRules.Readers(pipeline)], cancellation).ConfigureAwait(false));
        if (pipeline == file) return (current.Number, file);
        logger.LogWarning(
            "ConfigurationDiffers: {File} is not what the group runs: this node runs version {Version} from the store, applied by {By}; 'analytics config plan {File}' shows the difference, 'config apply' makes the file the next version",
            options.Pipeline, current.Number, current.By, options.Pipeline);
        return (current.Number, pipeline);
    }

    /// <summary>Pins who reads the topics of a pipeline that is to run; returns the topics that others have read before, then nothing is pinned.</summary>
    public async Task<IReadOnlyList<PlannedChange>> PinReadersAsync(PipelineConfiguration pipeline, CancellationToken cancellation) =>
        [.. (await store.PinRulesAsync([.. RoutingRules.Readers(pipeline)], cancellation).ConfigureAwait(false))
            .Select(rule => new PlannedChange(rule.Name, $"{rule.Stored} -> {rule.Given}", RoutingRules.ReadersStay))];

    /// <summary>A version as a pipeline; null where the store does not have it.</summary>
    public async Task<PipelineConfiguration?> ReadAsync(long number, CancellationToken cancellation) =>
        await store.ReadConfigurationAsync(number, cancellation).ConfigureAwait(false) is { } version ? Parse(version) : null;

    public PipelineConfiguration Parse(ConfigurationVersion version)
    {
        var (pipeline, problems) = Check(version.Text, $"configuration version {version.Number}");
        return problems.Count == 0 ? pipeline! : throw new ConfigurationRefusedException($"configuration version {version.Number} does not run on this node: {string.Join("; ", problems)}");
    }

    /// <summary>A pipeline's text, checked against this node's own options too.</summary>
    public (PipelineConfiguration? Pipeline, IReadOnlyList<ConfigurationProblem> Problems) Check(string text, string name)
    {
        var reading = PipelineReader.Read(Encoding.UTF8.GetBytes(text), name);
        return (reading.Configuration, reading.Configuration is { } pipeline ? ConfigCheck.Compare(name, pipeline, options) : reading.Problems);
    }

    private static void Require(IReadOnlyList<ChangedRule> changed)
    {
        if (changed.Count > 0) throw new StoreRefusedException(RoutingRules.Explain(changed));
    }
}
