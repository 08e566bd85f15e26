using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Routing;

/// <summary>
/// What of the configuration decides how a record is taken apart and announced. A record that is routed twice, before and
/// after a crash, must be routed by the same rules, or marks lose or double parts of it: so a version of the configuration
/// that changes any of them routes each source partition from an offset on (<see cref="Checkpoints.IConfigurationStore"/>).
/// </summary>
public static class RoutingRules
{
    public static IReadOnlyList<RoutingRule> Of(PipelineConfiguration pipeline, int maxRecordBytes)
    {
        List<RoutingRule> rules = [SizeLimit(maxRecordBytes)];
        foreach (var topic in pipeline.Topics.Values.OrderBy(topic => topic.Name, StringComparer.Ordinal))
        {
            var envelope = string.Join(" or ", topic.Envelope.Select(form => form.Member is null ? form.Kind.ToString() : $"{form.Kind} {form.Member}"));
            rules.Add(new($"topic {topic.Name}", $"envelope {envelope}; station {string.Join(" or ", topic.StationPaths)}; scope {topic.Scope}; keyed {topic.Keyed}"));
        }

        foreach (var module in pipeline.Modules.Values.OrderBy(module => module.Name, StringComparer.Ordinal))
        {
            rules.Add(new($"module {module.Name}", $"batch {module.Batch.Kind} {module.Batch.LengthMs} ms; output {module.OutputTopic}"));
        }

        // Which window a part falls into follows from how its time is read.
        foreach (var topic in pipeline.Topics.Values.OrderBy(topic => topic.Name, StringComparer.Ordinal))
        {
            if (!pipeline.Modules.Values.Any(module => module.Batch.Kind == BatchKind.Window && module.Topics.Contains(topic.Name))) continue;
            rules.Add(new($"windows of {topic.Name}", $"time {topic.TimeMember ?? "of the record"}; time zone {pipeline.TimeZone}"));
        }

        return rules;
    }

    /// <summary>The one rule that is no part of the pipeline: it stays pinned.</summary>
    public static RoutingRule SizeLimit(int maxRecordBytes) => new("maxRecordBytes", maxRecordBytes.ToString(System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>What to do instead of changing who reads a topic.</summary>
    public const string ReadersStay = "whoever reads a topic has its positions and marks, so it stays as it is, also where the topic was away meanwhile: use a topic of another name, or begin with a new group and a new database";

    /// <summary>
    /// Who reads each source topic. It stays pinned too, also where a topic was away for a while: a router's positions are
    /// others than a shard's, and so are the marks, so that records would be lost or doubled.
    /// </summary>
    public static IEnumerable<RoutingRule> Readers(PipelineConfiguration pipeline) => pipeline.Topics.Values
        .OrderBy(topic => topic.Name, StringComparer.Ordinal).Select(topic => new RoutingRule($"reading {topic.Name}", topic.Keyed ? "by shards (keyed by station)" : "by routers (not keyed)"));

    /// <summary>
    /// What another pipeline routes otherwise: rules that are new have an empty stored text, those that are gone an empty given
    /// one. Besides the rules above: for which modules, in which order, the records of each topic are gathered.
    /// </summary>
    public static IReadOnlyList<ChangedRule> Changes(PipelineConfiguration from, PipelineConfiguration to)
    {
        var before = WithGathering(from).ToDictionary(rule => rule.Name, rule => rule.Rule, StringComparer.Ordinal);
        var after = WithGathering(to).ToDictionary(rule => rule.Name, rule => rule.Rule, StringComparer.Ordinal);
        return before.Keys.Union(after.Keys).Order(StringComparer.Ordinal)
            .Select(name => new ChangedRule(name, before.GetValueOrDefault(name, ""), after.GetValueOrDefault(name, "")))
            .Where(rule => rule.Stored != rule.Given).ToList();
    }

    private static IEnumerable<RoutingRule> WithGathering(PipelineConfiguration pipeline) => Of(pipeline, 0).Concat(pipeline.Topics.Values
        .Select(topic => new RoutingRule($"batches of {topic.Name}", string.Join(", ", TopicBatches.ModulesOf(topic, pipeline).Select(module => module.Name)))));

    /// <summary>What to tell a user whose configuration changes rules that the store has pinned.</summary>
    public static string Explain(IReadOnlyList<ChangedRule> changed) =>
        "The routing rules of this group are pinned, because records routed before and after a change would be lost or doubled: "
        + string.Join("; ", changed.Select(rule => $"{rule.Name} is \"{rule.Stored}\" in the store and \"{rule.Given}\" in the configuration"))
        + ". Take the change back, or begin with a new group and a new database.";
}
