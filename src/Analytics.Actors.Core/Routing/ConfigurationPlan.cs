using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Routing;

/// <summary>One thing that another configuration would change.</summary>
/// <param name="What">The topic or module, or "pipeline".</param>
/// <param name="Change">What changes, in words.</param>
/// <param name="Effect">What that does: to windows, calls, batches, routing, what is read.</param>
public sealed record PlannedChange(string What, string Change, string Effect);

/// <summary>
/// What it would do to take another pipeline over while the group runs: a pure comparison of two pipelines that are right by
/// themselves.
/// </summary>
/// <param name="Refused">What cannot be changed while the group runs, with what to do instead; then nothing is applied.</param>
/// <param name="Rerouted">The rules of routing that change: from an offset on, in each source partition.</param>
public sealed record ConfigurationPlan(IReadOnlyList<PlannedChange> Changes, IReadOnlyList<PlannedChange> Refused, IReadOnlyList<ChangedRule> Rerouted)
{
    public static ConfigurationPlan Of(PipelineConfiguration from, PipelineConfiguration to)
    {
        List<PlannedChange> changes = [], refused = [];
        if (from.TimeZone != to.TimeZone) changes.Add(new("pipeline", $"timeZone {from.TimeZone} -> {to.TimeZone}", "times without a zone are read so from now on; windows keep the times that they have"));
        if (!SameTables(from.CodeTables, to.CodeTables)) changes.Add(new("pipeline", "codeTables", "modules that use them are made anew"));
        foreach (var name in from.Topics.Keys.Union(to.Topics.Keys))
        {
            var (before, after) = (from.Topics.GetValueOrDefault(name), to.Topics.GetValueOrDefault(name));
            if (before is null) changes.Add(Added(after!));
            else if (after is null) changes.Add(new($"topic {name}", "removed", "read no more, from where it is now; its windows stay in the store, unused, and parts on their way become dead letters (unknown-topic). Declared again, it goes on where it was"));
            else CompareTopics(before, after, changes, refused);
        }

        foreach (var name in from.Modules.Keys.Union(to.Modules.Keys))
        {
            var (before, after) = (from.Modules.GetValueOrDefault(name), to.Modules.GetValueOrDefault(name));
            var (ran, runs) = (before is { Enabled: true }, after is { Enabled: true });
            var what = $"module {name}";
            if (!ran && runs) changes.Add(new(what, before is null ? "added" : "enabled", $"calls begin with the next record of {Topics(after!)}; {Batches(after!)}; its results go to {after!.OutputTopic}"));
            else if (ran && !runs) changes.Add(new(what, after is null ? "removed" : "disabled", "calls stop; what it still owes is answered with nothing, once; open batches of it end without it"));
            else if (before is not null && after is not null) CompareModules(before, after, changes);
        }

        return new ConfigurationPlan(changes, refused, RoutingRules.Changes(from, to));
    }

    private static PlannedChange Added(TopicConfiguration topic) => new($"topic {topic.Name}", "added", topic.OutputOf is { } module
        ? $"what {module} uploads is read where an enabled module depends on it"
        : $"read from {topic.Start.Kind.ToString().ToLowerInvariant()} on where the group has no position in it");

    private static void CompareTopics(TopicConfiguration before, TopicConfiguration after, List<PlannedChange> changes, List<PlannedChange> refused)
    {
        var what = $"topic {before.Name}";
        if (before.Scope != after.Scope) refused.Add(new(what, $"scope {before.Scope} -> {after.Scope}", "remove the topic, apply, and declare it anew: windows of stations and of all are different ones"));
        if (before.Keyed != after.Keyed) refused.Add(new(what, $"keyed {before.Keyed} -> {after.Keyed}", RoutingRules.ReadersStay));
        if (before.Mode != after.Mode || before.Shape != after.Shape || before.DeviceMember != after.DeviceMember)
            changes.Add(new(what, $"mode {before.Mode}, shape {before.Shape} -> mode {after.Mode}, shape {after.Shape}", KindOf(before) == KindOf(after) ? "windows keep what still fits" : "windows are of another kind: emptied"));
        if (before.Window != after.Window) changes.Add(new(what, $"window {before.Window} -> {after.Window}", after.Window > before.Window ? "windows are kept, and grow" : "windows are cut to the newest"));
        if (before.PeriodMs != after.PeriodMs || before.Align != after.Align) changes.Add(new(what, $"period {before.PeriodMs} ms -> {after.PeriodMs} ms", "rows of windows that do not fall on it are left out"));
        if (before.TtlMs != after.TtlMs) changes.Add(new(what, $"ttl {Duration(before.TtlMs)} -> {Duration(after.TtlMs)}", "what is older is dropped"));
        if (before.Triggers != after.Triggers) changes.Add(new(what, $"triggers {before.Triggers} -> {after.Triggers}", after.Triggers ? "its records call modules" : "its records call no module any more"));
        if (before.OutOfRange != after.OutOfRange || before.Start != after.Start) changes.Add(new(what, "start or outOfRange", "counts where a partition has no position, or one outside its log"));
        if (ShapeText(before) != ShapeText(after)) changes.Add(new(what, "what its input holds (fields, series, fill, absent, order)", "the next call sees it so; windows keep what still fits"));
    }

    private static void CompareModules(ModuleConfiguration before, ModuleConfiguration after, List<PlannedChange> changes)
    {
        var what = $"module {before.Name}";
        if (!before.Topics.SequenceEqual(after.Topics)) changes.Add(new(what, $"topics {string.Join(", ", before.Topics)} -> {string.Join(", ", after.Topics)}", "calls see the others from their next one on"));
        if (before.Batch != after.Batch) changes.Add(new(what, $"batch {Batches(before)} -> {Batches(after)}", "open batches end by the new lengths and deadlines"));
        if (before.OutputTopic != after.OutputTopic) changes.Add(new(what, $"output {before.OutputTopic} -> {after.OutputTopic}", "results go there; what waits to leave goes where it was to go"));
        if (Settings(before) != Settings(after)) changes.Add(new(what, "when and how it is called (trigger, requires, onIncomplete, coalesce, timeouts, retries, pool, uploadFormat)", "counts for its next calls; what is owed stays owed"));
    }

    private static string Settings(ModuleConfiguration module) => $"{module.RequiresAny} {string.Join(",", module.RequiredTopics)} {module.OnIncomplete} {module.IncompleteDelayMs} {module.TriggerOnEvent} {module.IntervalMs} {module.Coalesce} {module.CallTimeoutMs} {module.Retries} {module.RetryDelayMs} {module.Pool} {module.UploadFormat} {string.Join(",", module.DependsOn)}";

    private static string ShapeText(TopicConfiguration topic) => string.Join("|",
        topic.ShapeMember, topic.ColumnsMember, topic.Fill, topic.Pad, topic.Absent, topic.OrderMember, topic.Tariff, string.Join(",", topic.Fields),
        topic.Grid is { } grid ? $"{grid.Keys} {grid.KeysName} {grid.TimesName} {string.Join(",", grid.KeyedSeries)} {string.Join(",", grid.RowSeries)}" : "",
        topic.Aligned is { } aligned ? $"{aligned.Keys} {aligned.KeysName} {aligned.TimesName} {string.Join(",", aligned.Series)}" : "");

    // The windows that TopicWindows makes.
    private static ShapeKind KindOf(TopicConfiguration topic) => topic.Shape is ShapeKind.Devices or ShapeKind.Orders or ShapeKind.Grid ? topic.Shape : ShapeKind.Fields;

    private static string Topics(ModuleConfiguration module) => module.TriggerOnEvent ? string.Join(", ", module.Topics) : $"its interval of {Duration(module.IntervalMs)}";

    private static string Batches(ModuleConfiguration module) => module.Batch.Kind switch
    {
        BatchKind.Record => $"a batch a record, deadline {Duration(module.Batch.DeadlineMs)}",
        BatchKind.Window => $"batches by windows of {Duration(module.Batch.LengthMs)}",
        _ => "each result alone",
    };

    private static string Duration(long? ms) => ms is { } known ? $"{known} ms" : "none";

    private static bool SameTables(IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> one, IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> other) =>
        one.Keys.Order(StringComparer.Ordinal).SequenceEqual(other.Keys.Order(StringComparer.Ordinal))
        && one.All(table => table.Value.OrderBy(code => code.Key, StringComparer.Ordinal).SequenceEqual(other[table.Key].OrderBy(code => code.Key, StringComparer.Ordinal)));
}
