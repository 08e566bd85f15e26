using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>
/// One JSON object of a configuration while it is read. Asking for a key makes it known; <see cref="Close"/> then refuses
/// the keys that nobody asked for, and names the nearest known one. Nothing here throws for any content: what is wrong
/// becomes a problem, and the reader goes on with the default so that the rest is checked too.
/// </summary>
public sealed class ConfigurationObject
{
    private readonly ConfigurationProblems problems;
    private readonly OrderedDictionary<string, JsonElement> members = new(StringComparer.Ordinal);
    private readonly List<string> known = [];

    private ConfigurationObject(JsonElement element, string path, ConfigurationProblems problems)
    {
        this.problems = problems;
        Path = path;
        if (element.ValueKind != JsonValueKind.Object) return;
        foreach (var member in element.EnumerateObject())
        {
            if (members.TryAdd(member.Name, member.Value)) continue;
            problems.Add(ConfigurationProblems.Join(path, member.Name), ConfigurationProblems.Show(member.Value), "this key is written twice; write it once");
        }
    }

    public string Path { get; }

    /// <summary>The keys as they are written, each once.</summary>
    public IEnumerable<string> Keys => members.Keys;

    public static ConfigurationObject Of(JsonElement element, string path, ConfigurationProblems problems) => new(element, path, problems);

    public bool Has(string key) => members.ContainsKey(key) || problems.Overrides.ContainsKey(ConfigurationProblems.Join(Path, key));

    /// <summary>The key's value, from an override or from the file; null where neither has it.</summary>
    public ConfigurationValue? Find(string key)
    {
        if (!known.Contains(key)) known.Add(key);
        var path = ConfigurationProblems.Join(Path, key);
        problems.Ask(path);
        if (problems.Overrides.TryGetValue(path, out var text)) return new ConfigurationValue(text, path, problems);
        return members.TryGetValue(key, out var element) ? new ConfigurationValue(element, path, problems) : null;
    }

    /// <summary>All values of a section whose keys are the writer's to choose: the file's, and those that only overrides have.</summary>
    public IReadOnlyList<(string Key, ConfigurationValue Value)> Entries()
    {
        var prefix = $"{Path}.";
        var added = problems.Overrides.Values
            .Where(value => value.Path.Length > prefix.Length && value.Path.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
            .Select(value => value.Path[prefix.Length..]);
        return [.. members.Keys.Concat(added).Distinct(StringComparer.OrdinalIgnoreCase).Select(key => (key, Find(key)!))];
    }

    /// <summary>The key's section; an empty one where it is missing or wrong.</summary>
    public ConfigurationObject Section(string key) =>
        Find(key)?.Section() ?? new ConfigurationObject(default, ConfigurationProblems.Join(Path, key), problems);

    /// <summary>Refuses a key that has no meaning here.</summary>
    public void Forbid(string key, bool forbidden, string rule)
    {
        if (Find(key) is { } value && forbidden) value.Refuse(rule);
    }

    /// <summary>Reports that a key is missing.</summary>
    public void Missing(string key, string rule) => problems.Add(ConfigurationProblems.Join(Path, key), "", rule);

    /// <summary>Refuses every key that was not asked for.</summary>
    public void Close()
    {
        foreach (var (key, element) in members)
        {
            if (known.Contains(key)) continue;
            var shown = problems.Mask is not null && element.ValueKind == JsonValueKind.String ? "***" : ConfigurationProblems.Show(element);
            problems.Add(ConfigurationProblems.Join(Path, key), shown, $"unknown key{NearestName.Suggest(key, known)}");
        }
    }
}

/// <summary>One value of a configuration with its place. Each reading method reports what is wrong and then returns null.</summary>
public sealed class ConfigurationValue
{
    /// <summary>Names, paths and the like; nothing that a person writes is longer.</summary>
    public const int TextLengthMax = 256;

    private readonly ConfigurationProblems problems;
    private readonly ConfigurationOverride? text;

    internal ConfigurationValue(JsonElement element, string path, ConfigurationProblems problems)
    {
        Element = element;
        Path = path;
        this.problems = problems;
    }

    internal ConfigurationValue(ConfigurationOverride text, string path, ConfigurationProblems problems)
        : this(default(JsonElement), path, problems) => this.text = text;

    public string Path { get; }

    /// <summary>The file's element; undefined for an override.</summary>
    public JsonElement Element { get; }

    public JsonValueKind Kind => text is null ? Element.ValueKind : JsonValueKind.String;

    /// <summary>The override that gave this value; null where the file did.</summary>
    public ConfigurationOverride? Override => text;

    public string Shown => text?.Text ?? ConfigurationProblems.Show(Element);

    /// <summary>Reports that this value breaks a rule.</summary>
    public void Refuse(string rule) =>
        problems.AddFrom(text?.Origin ?? problems.File, Path, Shown, Kind == JsonValueKind.Null ? $"{rule} (leave the key out for the default)" : rule);

    public string? Text(string what = "text", int lengthMax = TextLengthMax)
    {
        if (TryString(out var content) && content.Length > 0 && content.Length <= lengthMax) return content;
        Refuse($"must be {what}, 1 to {lengthMax} characters");
        return null;
    }

    public long? Integer(long min, long max)
    {
        if (Kind == JsonValueKind.Number && Element.TryGetInt64(out var number)
            || text is not null && long.TryParse(text.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number))
        {
            if (number >= min && number <= max) return number;
        }

        Refuse($"must be a whole number from {min.ToString(CultureInfo.InvariantCulture)} to {max.ToString(CultureInfo.InvariantCulture)}");
        return null;
    }

    public double? Number(double min, double max)
    {
        if (Kind == JsonValueKind.Number && Element.TryGetDouble(out var number)
            || text is not null && double.TryParse(text.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out number))
        {
            if (number >= min && number <= max) return number;
        }

        Refuse(string.Create(CultureInfo.InvariantCulture, $"must be a number from {min} to {max}"));
        return null;
    }

    public bool? Flag()
    {
        if (Kind is JsonValueKind.True or JsonValueKind.False) return Kind == JsonValueKind.True;
        if (text is not null && bool.TryParse(text.Text, out var flag)) return flag;
        Refuse("must be true or false");
        return null;
    }

    /// <summary>A duration in milliseconds. Bare numbers are refused: nobody can see their unit.</summary>
    public long? Duration(bool zeroAllowed = false)
    {
        if (TryString(out var content) && DurationText.TryParse(content, out var ms) && (ms > 0 || zeroAllowed)) return ms;
        var range = zeroAllowed ? "not below zero" : "above zero";
        Refuse(Kind == JsonValueKind.Number
            ? $"must be a duration {range}, with its unit: {DurationText.Form}, not a bare number"
            : $"must be a duration {range}: {DurationText.Form}");
        return null;
    }

    public T? Choice<T>(params ReadOnlySpan<(string Name, T Value)> choices) where T : struct
    {
        var names = new List<string>();
        TryString(out var content);
        foreach (var (name, value) in choices)
        {
            if (name == content) return value;
            names.Add(name);
        }

        Refuse($"must be {Alternatives(names)}{(content is null ? "" : NearestName.Suggest(content, names))}");
        return null;
    }

    /// <summary>This value as a section of its own; null (and a problem) where it is no object.</summary>
    public ConfigurationObject? Section()
    {
        if (Kind == JsonValueKind.Object) return ConfigurationObject.Of(Element, Path, problems);
        Refuse("must be an object, { ... }");
        return null;
    }

    /// <summary>The entries of a list; null (and a problem) where it is none. From outside the file it is written as JSON too.</summary>
    public IReadOnlyList<ConfigurationValue>? List(string what = "a list, [ ... ]")
    {
        var list = text is null ? Element : ParseOverride(text.Text);
        if (list.ValueKind == JsonValueKind.Array)
        {
            return [.. list.EnumerateArray().Select((entry, index) =>
                new ConfigurationValue(entry, string.Create(CultureInfo.InvariantCulture, $"{Path}[{index}]"), problems))];
        }

        Refuse($"must be {what}");
        return null;
    }

    // What is wrong with it is the caller's to say, in one sentence; the text may hold secrets.
    private static JsonElement ParseOverride(string text)
    {
        var problems = new ConfigurationProblems("") { Mask = static shown => shown };
        using var document = ConfigurationText.Parse(System.Text.Encoding.UTF8.GetBytes(text), problems);
        return document?.RootElement.Clone() ?? default;
    }

    /// <summary>The entries of a list of different texts; wrong and repeated ones are reported and left out.</summary>
    public IReadOnlyList<(string Text, ConfigurationValue Value)> Texts(string what)
    {
        var texts = new OrderedDictionary<string, ConfigurationValue>(StringComparer.Ordinal);
        foreach (var entry in List($"a list of {what}s") ?? [])
        {
            if (entry.Text($"a {what}") is { } content && !texts.TryAdd(content, entry)) entry.Refuse("is named twice; name it once");
        }

        return [.. texts.Select(pair => (pair.Key, pair.Value))];
    }

    /// <summary>"a", "b" or "c".</summary>
    public static string Alternatives(IReadOnlyList<string> names)
    {
        var quoted = names.Select(name => $"\"{name}\"").ToList();
        return quoted.Count == 1 ? quoted[0] : $"{string.Join(", ", quoted.Take(quoted.Count - 1))} or {quoted[^1]}";
    }

    public bool TryString([NotNullWhen(true)] out string? content)
    {
        content = text?.Text ?? (Kind == JsonValueKind.String ? Element.GetString() : null);
        return content is not null;
    }
}
