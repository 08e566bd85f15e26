using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>One thing wrong in a configuration: where it stands, what stands there, and what would be right.</summary>
/// <param name="File">The file, or the environment variable or argument that gave the value.</param>
/// <param name="Path">The key, with its sections: <c>topics.SCHEDULE-CAR-ORDER.window</c>.</param>
/// <param name="Value">What is written there, fit for one line; empty where something is missing.</param>
/// <param name="Rule">What the value must be.</param>
public sealed record ConfigurationProblem(string File, string Path, string Value, string Rule)
{
    public override string ToString() => $"{File}: {Path}: value \"{Value}\": {Rule}";
}

/// <summary>A value from outside the file that takes the place of the file's own: an environment variable or an argument.</summary>
/// <param name="Path">The key that it sets, with its sections, joined by dots; compared without regard to case.</param>
/// <param name="Text">The value as text; numbers and flags are read from it.</param>
/// <param name="Origin">Who said it, for messages: <c>environment variable LOG_LEVEL</c>, <c>--set log.level</c>.</param>
public sealed record ConfigurationOverride(string Path, string Text, string Origin);

/// <summary>
/// Gathers the problems of one configuration while its sections are read, so that all of them are reported and not only
/// the first. Knows the overrides that stand above the file, and what must not be printed.
/// </summary>
public sealed class ConfigurationProblems(string file)
{
    private const int ShownLengthMax = 80;
    private readonly List<ConfigurationProblem> found = [];
    private readonly HashSet<string> asked = new(StringComparer.OrdinalIgnoreCase);

    public string File { get; } = file;
    public IReadOnlyList<ConfigurationProblem> Found => found;

    /// <summary>Overrides by path. A section's value is looked up here first.</summary>
    public IReadOnlyDictionary<string, ConfigurationOverride> Overrides { get; init; } =
        new Dictionary<string, ConfigurationOverride>();

    /// <summary>Says of a path whether its value is a secret; such a value is never shown.</summary>
    public Func<string, bool> IsSecret { get; init; } = static _ => false;

    /// <summary>What is shown instead of a value that may hold a secret under any name; null: values are shown.</summary>
    public Func<string, string>? Mask { get; init; }

    public void Add(string path, string value, string rule) => AddFrom(File, path, value, rule);

    public void AddFrom(string origin, string path, string value, string rule)
    {
        var shown = IsSecret(path) && value.Length > 0 ? "***" : Mask is null ? value : Mask(value);
        found.Add(new ConfigurationProblem(origin, OnOneLine(path, 400), OnOneLine(shown, ShownLengthMax), OnOneLine(rule, 1000)));
    }

    /// <summary>Refuses the overrides of keys that no section asked for; to be called when everything is read.</summary>
    public void RefuseUnknownOverrides()
    {
        foreach (var value in Overrides.Values.Where(value => !asked.Contains(value.Path)))
        {
            AddFrom(value.Origin, value.Path, Mask is null ? value.Text : "***", $"unknown key{NearestName.Suggest(value.Path, asked)}");
        }
    }

    internal void Ask(string path) => asked.Add(path);

    /// <summary>An element as it is shown in a message. Objects and lists are not spelt out: they may hold anything.</summary>
    public static string Show(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => element.GetString()!,
        JsonValueKind.Object => element.EnumerateObject().MoveNext() ? "{...}" : "{}",
        JsonValueKind.Array => element.GetArrayLength() > 0 ? "[...]" : "[]",
        JsonValueKind.Undefined => "",
        _ => element.GetRawText(),
    };

    /// <summary>The path of a member: joined by a dot, or in brackets where its name holds more than letters, digits, dots, hyphens and underscores.</summary>
    public static string Join(string path, string key)
    {
        var plain = key.Length > 0 && key.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.');
        if (!plain) return $"{path}[\"{OnOneLine(key, ShownLengthMax)}\"]";
        return path.Length == 0 ? key : $"{path}.{key}";
    }

    private static string OnOneLine(string text, int lengthMax)
    {
        var line = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            if (line.Length >= lengthMax) return line.Append(CultureInfo.InvariantCulture, $"... ({text.Length} characters)").ToString();
            if (Rune.IsControl(rune)) line.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}");
            else line.Append(rune);
        }

        return line.ToString();
    }
}
