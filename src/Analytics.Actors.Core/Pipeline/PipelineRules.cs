namespace Analytics.Actors.Core.Pipeline;

/// <summary>The rules that concern more than one topic or module: known names, output topics, cycles, global triggers.</summary>
internal static class PipelineRules
{
    /// <summary>Output topic to module, in the file's order. Two modules must not share one: nobody could tell whose a result is.</summary>
    public static IReadOnlyDictionary<string, string> OutputTopics(IReadOnlyDictionary<string, ModuleDraft> modules)
    {
        var outputs = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, draft) in modules)
        {
            var topic = draft.Module.OutputTopic;
            if (outputs.TryAdd(topic, name)) continue;
            Refuse(draft, "output", topic, $"module \"{outputs[topic]}\" writes to topic \"{topic}\" already; every module needs an output topic of its own");
        }

        return outputs;
    }

    /// <summary>The modules with all names resolved.</summary>
    public static OrderedDictionary<string, ModuleConfiguration> Resolve(
        IReadOnlyDictionary<string, ModuleDraft> modules, IReadOnlyDictionary<string, string> outputs,
        IReadOnlyDictionary<string, TopicConfiguration> topics, ConfigurationProblems problems)
    {
        var resolved = new OrderedDictionary<string, ModuleConfiguration>(StringComparer.Ordinal);
        foreach (var (name, draft) in modules) resolved.Add(name, Resolve(draft, modules, topics));
        RefuseCycles(modules, outputs);
        foreach (var (name, module) in resolved)
        {
            RefuseGlobalTriggers(module, topics, problems);
            // Follows from much else, a topic's scope for one: said alone, or it only repeats what is said already.
            if (problems.Found.Count == 0) RefuseSilent(module, modules[name], topics);
        }

        return resolved;
    }

    private static ModuleConfiguration Resolve(
        ModuleDraft draft, IReadOnlyDictionary<string, ModuleDraft> modules, IReadOnlyDictionary<string, TopicConfiguration> topics)
    {
        var merged = new List<string>();
        foreach (var (topic, value) in draft.Topics)
        {
            if (topics.ContainsKey(topic)) merged.Add(topic);
            else value.Refuse($"unknown topic{NearestName.Suggest(topic, topics.Keys)}");
        }

        var dependencies = new List<string>();
        foreach (var (dependency, value) in draft.DependsOn)
        {
            if (!modules.TryGetValue(dependency, out var other))
            {
                value.Refuse($"unknown module{NearestName.Suggest(dependency, modules.Keys)}");
                continue;
            }

            dependencies.Add(dependency);
            var output = other.Module.OutputTopic;
            if (merged.Contains(output)) value.Refuse($"its output topic \"{output}\" is among \"topics\" already; name it in one place");
            else merged.Add(output);
        }

        if (draft.Topics.Count == 0 && draft.DependsOn.Count == 0)
        {
            Refuse(draft, "topics", "", "a module needs at least one topic, or a module that it depends on");
        }

        foreach (var (topic, value) in draft.Requires ?? [])
        {
            if (!merged.Contains(topic)) value.Refuse($"is not a topic of this module{NearestName.Suggest(topic, merged)}");
        }

        return draft.Module with
        {
            Topics = merged,
            DependsOn = dependencies,
            RequiredTopics = draft.Requires is { } required ? [.. required.Select(topic => topic.Text)] : merged,
        };
    }

    /// <summary>
    /// Walks from module to module along what each one reads; a way back to a module on the current path is a cycle. The
    /// walk keeps its own stack: a file may chain more modules than the thread's stack could hold.
    /// </summary>
    private static void RefuseCycles(IReadOnlyDictionary<string, ModuleDraft> modules, IReadOnlyDictionary<string, string> outputs)
    {
        var finished = new HashSet<string>(StringComparer.Ordinal);
        foreach (var start in modules.Keys)
        {
            var path = new List<string>();
            var onPath = new HashSet<string>(StringComparer.Ordinal);
            var open = new Stack<IEnumerator<(string Module, ConfigurationValue Value)>>();
            Enter(start);
            while (open.TryPeek(out var edges))
            {
                if (!edges.MoveNext())
                {
                    open.Pop();
                    finished.Add(path[^1]);
                    onPath.Remove(path[^1]);
                    path.RemoveAt(path.Count - 1);
                    continue;
                }

                var (next, value) = edges.Current;
                if (onPath.Contains(next))
                {
                    var cycle = path.SkipWhile(module => module != next).Append(next);
                    value.Refuse($"modules must not wait for each other in a cycle: {string.Join(" -> ", cycle)}");
                }
                else Enter(next);
            }

            void Enter(string module)
            {
                if (finished.Contains(module)) return;
                path.Add(module);
                onPath.Add(module);
                open.Push(EdgesOf(modules[module]).GetEnumerator());
            }
        }

        IEnumerable<(string, ConfigurationValue)> EdgesOf(ModuleDraft draft)
        {
            foreach (var (module, value) in draft.DependsOn)
            {
                if (modules.ContainsKey(module)) yield return (module, value);
            }

            foreach (var (topic, value) in draft.Topics)
            {
                if (outputs.TryGetValue(topic, out var module)) yield return (module, value);
            }
        }
    }

    /// <summary>A batch expects the stations of its record; a global record names none, so nobody could say when it is complete.</summary>
    private static void RefuseGlobalTriggers(
        ModuleConfiguration module, IReadOnlyDictionary<string, TopicConfiguration> topics, ConfigurationProblems problems)
    {
        if (module.Batch.Kind == BatchKind.None || !module.TriggerOnEvent) return;
        foreach (var topic in module.Topics.Select(topic => topics[topic]).Where(topic => topic is { Scope: TopicScope.Global, Triggers: true }))
        {
            problems.Add(ConfigurationProblems.Join(ConfigurationProblems.Join("topics", topic.Name), "triggers"), "true",
                $"a global record names no stations, so module \"{module.Name}\" cannot gather a batch for it: set \"triggers\" to false, or the module's \"batch\" to \"none\"");
        }
    }

    private static void RefuseSilent(ModuleConfiguration module, ModuleDraft draft, IReadOnlyDictionary<string, TopicConfiguration> topics)
    {
        if (module.IntervalMs is not null || !module.TriggerOnEvent || module.Topics.Count == 0) return;
        if (module.Topics.Any(topic => topics[topic].Triggers)) return;
        Refuse(draft, "topics", "", "none of these topics triggers a call; give the module a \"trigger\" with an interval");
    }

    // At the key's own value, or as missing where the file does not write it.
    private static void Refuse(ModuleDraft draft, string key, string shown, string rule)
    {
        if (draft.Section.Find(key) is { } value) value.Refuse(rule);
        else draft.Section.Missing(key, shown.Length == 0 ? rule : $"{rule} (here: \"{shown}\")");
    }
}
