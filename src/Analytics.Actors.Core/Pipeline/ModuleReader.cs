using System.Text.Json;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>
/// A module as the file has it, before the names in it are resolved (PipelineRules): the values stay at hand so that a
/// problem found later still knows its place.
/// </summary>
internal sealed record ModuleDraft(ConfigurationObject Section, ModuleConfiguration Module)
{
    /// <summary>The declared topics in merge order.</summary>
    public IReadOnlyList<(string Text, ConfigurationValue Value)> Topics { get; init; } = [];
    public IReadOnlyList<(string Text, ConfigurationValue Value)> DependsOn { get; init; } = [];

    /// <summary>Null: all topics, or any (see the module).</summary>
    public IReadOnlyList<(string Text, ConfigurationValue Value)>? Requires { get; init; }
}

/// <summary>Reads what each module says of itself.</summary>
internal static class ModuleReader
{
    private const string OutputPrefix = "MODULE-OUTPUT-";
    private const int RetriesMax = 100;

    public static IReadOnlyDictionary<string, ModuleDraft> ReadAll(ConfigurationObject section)
    {
        var modules = new OrderedDictionary<string, ModuleDraft>(StringComparer.Ordinal);
        foreach (var name in section.Keys)
        {
            var value = section.Find(name)!;
            if (!IsModuleName(name)) value.Refuse("a module's name must be 1 to 200 letters, digits, hyphens and underscores");
            if (value.Section() is { } module) modules.Add(name, Read(name, module));
        }

        return modules;
    }

    private static bool IsModuleName(string name) =>
        name.Length is > 0 and <= 200 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');

    private static ModuleDraft Read(string name, ConfigurationObject section)
    {
        var (requiresAny, requires) = ReadRequires(section);
        var (onIncomplete, delayMs) = ReadOnIncomplete(section);
        var (onEvent, intervalMs) = ReadTrigger(section);
        var module = new ModuleConfiguration
        {
            Name = name,
            Topics = [],
            RequiredTopics = [],
            RequiresAny = requiresAny,
            Enabled = section.Find("enabled")?.Flag() ?? true,
            OnIncomplete = onIncomplete,
            IncompleteDelayMs = delayMs,
            TriggerOnEvent = onEvent,
            IntervalMs = intervalMs,
            Coalesce = section.Find("coalesce")?.Choice(("every", CoalescePolicy.Every), ("latest", CoalescePolicy.Latest)) ?? CoalescePolicy.Every,
            CallTimeoutMs = section.Find("callTimeout")?.Duration() ?? 30_000,
            Retries = (int)(section.Find("retries")?.Integer(0, RetriesMax) ?? 2),
            RetryDelayMs = section.Find("retryDelay")?.Duration() ?? 200,
            Pool = section.Find("pool")?.Text("the name of a pool") ?? "default",
            Batch = ReadBatch(section),
            OutputTopic = ReadOutput(section, name),
            UploadFormat = section.Find("uploadFormat")?.Choice(("current", UploadFormat.Current), ("legacy", UploadFormat.Legacy)) ?? UploadFormat.Current,
        };
        var draft = new ModuleDraft(section, module)
        {
            Topics = section.Find("topics")?.Texts("topic") ?? [],
            DependsOn = section.Find("dependsOn")?.Texts("module") ?? [],
            Requires = requires,
        };
        section.Close();
        return draft;
    }

    private static string ReadOutput(ConfigurationObject section, string name)
    {
        var standard = OutputPrefix + name.ToUpperInvariant();
        if (section.Find("output") is not { } value) return standard;
        if (value.TryString(out var topic) && TopicReader.IsTopicName(topic)) return topic;
        value.Refuse($"must be the name of a topic, {TopicReader.TopicNameForm}");
        return standard;
    }

    private static (bool Any, IReadOnlyList<(string, ConfigurationValue)>? Topics) ReadRequires(ConfigurationObject section)
    {
        if (section.Find("requires") is not { } value) return (false, null);
        if (value.Kind == JsonValueKind.Array)
        {
            var topics = value.Texts("topic");
            if (value.Element.GetArrayLength() == 0) value.Refuse("must name at least one topic, or be \"all\" or \"any\"");
            return (false, topics);
        }

        if (value.TryString(out var text) && text is "all" or "any") return (text == "any", null);
        value.Refuse("must be \"all\", \"any\" or a list of the module's topics");
        return (false, null);
    }

    private static (IncompletePolicy Policy, long DelayMs) ReadOnIncomplete(ConfigurationObject section)
    {
        const long delayMs = 2_000;
        if (section.Find("onIncomplete") is not { } value) return (IncompletePolicy.Call, delayMs);
        if (value.Kind == JsonValueKind.Object)
        {
            var after = value.Section()!;
            var delay = after.Find("call")?.Duration(zeroAllowed: true);
            if (!after.Has("call")) after.Missing("call", "must be the delay after which an incomplete input is used, such as \"2s\"");
            after.Close();
            return (IncompletePolicy.Call, delay ?? delayMs);
        }

        if (value.TryString(out var text) && text is "wait" or "call") return (text == "wait" ? IncompletePolicy.Wait : IncompletePolicy.Call, delayMs);
        value.Refuse("must be \"wait\", \"call\" (after 2s) or { \"call\": DELAY }");
        return (IncompletePolicy.Call, delayMs);
    }

    private static (bool OnEvent, long? IntervalMs) ReadTrigger(ConfigurationObject section)
    {
        if (section.Find("trigger") is not { } value) return (true, null);
        if (value.Kind == JsonValueKind.Object)
        {
            var trigger = value.Section()!;
            var onEvent = trigger.Find("event")?.Flag() ?? false;
            var interval = trigger.Find("interval")?.Duration();
            if (!onEvent && !trigger.Has("interval")) trigger.Missing("interval", "must be a duration: without it and without \"event\": true the module is never called");
            trigger.Close();
            return (onEvent, interval);
        }

        if (!(value.TryString(out var text) && text == "event"))
        {
            value.Refuse("must be \"event\", { \"interval\": DURATION } or { \"event\": true, \"interval\": DURATION }");
        }

        return (true, null);
    }

    private static BatchConfiguration ReadBatch(ConfigurationObject section)
    {
        (string, BatchKind)[] kinds = [("record", BatchKind.Record), ("window", BatchKind.Window), ("none", BatchKind.None)];
        if (section.Find("batch") is not { } value) return new BatchConfiguration();
        if (value.Kind != JsonValueKind.Object)
        {
            if (!value.TryString(out _)) value.Refuse("must be \"record\", \"none\" or { \"kind\": ..., \"deadline\": ..., \"completeAt\": ..., \"retention\": ... }");
            else if (value.Choice(kinds) is { } named)
            {
                if (named == BatchKind.Window) value.Refuse("a window needs its length: { \"kind\": \"window\", \"length\": DURATION }");
                return new BatchConfiguration { Kind = named };
            }

            return new BatchConfiguration();
        }

        var batch = value.Section()!;
        var defaults = new BatchConfiguration();
        var read = defaults with
        {
            Kind = batch.Find("kind")?.Choice(kinds) ?? defaults.Kind,
            LengthMs = batch.Find("length")?.Duration() ?? 0,
            LatenessMs = batch.Find("lateness")?.Duration(zeroAllowed: true) ?? 0,
            DeadlineMs = batch.Find("deadline")?.Duration() ?? defaults.DeadlineMs,
            CompleteAt = batch.Find("completeAt")?.Number(0, 1),
            RetentionMs = batch.Find("retention")?.Duration() ?? defaults.RetentionMs,
        };
        if (read.Kind == BatchKind.Window && !batch.Has("length")) batch.Missing("length", "must be the span of event time that a batch covers, such as \"1min\"");
        foreach (var key in (string[])["length", "lateness"])
        {
            batch.Forbid(key, read.Kind != BatchKind.Window, "only a batch of kind \"window\" has a length of event time");
        }

        foreach (var key in (string[])["deadline", "completeAt", "retention"])
        {
            batch.Forbid(key, read.Kind == BatchKind.None, "batch \"none\" sends each result alone: nothing is gathered, so nothing is waited for");
        }

        batch.Close();
        return read;
    }
}
