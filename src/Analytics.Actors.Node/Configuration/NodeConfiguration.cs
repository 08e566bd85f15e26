using System.Text.Json;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>What reading a node's configuration gave: the options, or everything that is wrong with them.</summary>
public sealed record NodeOptionsReading(NodeOptions? Options, string File, IReadOnlyList<ConfigurationProblem> Problems);

/// <summary>
/// Reads a node's configuration: the file, then the environment, then the arguments <c>--set a.b=c</c>; the later one wins.
/// Never throws for any content; problems name the file, the variable or the argument that is wrong, and no secret.
/// </summary>
public static class NodeConfiguration
{
    internal const string SettingPrefix = "--set";
    private const string VariablePrefix = "ANALYTICS__";
    private const string FileVariable = "DATA_ANALYSIS_CONFIG";

    // Names that users have in their scripts already. ANALYTICS__... says the same thing more exactly, and wins.
    private static readonly (string Variable, string Path)[] KnownVariables =
    [
        ("LOG_LEVEL", "log.level"), ("DATA_ANALYSIS_LOG", "log.file"), ("DATABASE_URL", "store.url"), ("KAFKA_BOOTSTRAP_SERVERS", "kafka.bootstrapServers"),
    ];

    private static readonly string[] KafkaSections = ["kafka.common.", "kafka.consumer.", "kafka.producer."];

    /// <summary>The environment of this process.</summary>
    public static IReadOnlyDictionary<string, string> ProcessEnvironment() =>
        Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? "", StringComparer.Ordinal);

    /// <summary>Reads the effective options.</summary>
    /// <param name="file">The file of the argument <c>--config</c>; null: DATA_ANALYSIS_CONFIG, else cluster-config/development.json
    /// in the current directory or beside the program.</param>
    /// <param name="environment">Environment variables by name.</param>
    /// <param name="settings">The arguments of <c>--set</c>, each <c>a.b=c</c>, in order.</param>
    public static NodeOptionsReading Read(string? file, IReadOnlyDictionary<string, string> environment, IReadOnlyList<string> settings)
    {
        file ??= environment.GetValueOrDefault(FileVariable) is { Length: > 0 } named ? named : DefaultFile();
        var overrides = new OrderedDictionary<string, ConfigurationOverride>(StringComparer.OrdinalIgnoreCase);
        var problems = new ConfigurationProblems(file)
        {
            Overrides = overrides,
            // A store's URL that cannot be read may hold its password anywhere.
            IsSecret = path => Secrets.IsSecret(path) || path.Equals("store.url", StringComparison.OrdinalIgnoreCase),
            Mask = Secrets.MaskInside,
        };
        AddVariables(environment, overrides);
        AddSettings(settings, overrides, problems);

        var options = ReadFile(file, problems);
        return problems.Found.Count > 0
            ? new NodeOptionsReading(null, file, problems.Found)
            : new NodeOptionsReading(options, file, []);
    }

    private static NodeOptions? ReadFile(string file, ConfigurationProblems problems)
    {
        if (!ConfigurationFile.TryRead(file, problems, out var bytes)) return null;
        using var document = ConfigurationText.Parse(bytes, problems);
        if (document is null) return null;
        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            problems.Add("(file)", ConfigurationProblems.Show(document.RootElement), "must be an object, { ... }");
            return null;
        }

        var directory = Path.GetDirectoryName(file) ?? "";
        var options = NodeOptions.Read(ConfigurationObject.Of(document.RootElement, "", problems), directory);
        problems.RefuseUnknownOverrides();
        return options;
    }

    private static void AddVariables(IReadOnlyDictionary<string, string> environment, OrderedDictionary<string, ConfigurationOverride> overrides)
    {
        foreach (var (variable, path) in KnownVariables)
        {
            // Compose files and unit files set such variables to nothing where they mean "not set".
            if (environment.GetValueOrDefault(variable) is { Length: > 0 } text) Add(overrides, path, text, $"environment variable {variable}");
        }

        foreach (var (variable, text) in environment.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (!variable.StartsWith(VariablePrefix, StringComparison.OrdinalIgnoreCase)) continue;
            Add(overrides, variable[VariablePrefix.Length..].Replace("__", ".", StringComparison.Ordinal), text, $"environment variable {variable}");
        }
    }

    private static void AddSettings(
        IReadOnlyList<string> settings, OrderedDictionary<string, ConfigurationOverride> overrides, ConfigurationProblems problems)
    {
        foreach (var setting in settings)
        {
            var equals = setting.IndexOf('=', StringComparison.Ordinal);
            // What cannot be taken apart may hold a secret anywhere.
            if (equals <= 0) problems.AddFrom(SettingPrefix, "(argument)", Secrets.IsSecret(setting) ? Secrets.Masked : setting, "must be KEY=VALUE, such as log.level=Debug");
            else Add(overrides, setting[..equals].Trim(), setting[(equals + 1)..], $"{SettingPrefix} {setting[..equals].Trim()}");
        }
    }

    private static void Add(OrderedDictionary<string, ConfigurationOverride> overrides, string path, string text, string origin)
    {
        // Shells allow no dots in a variable's name, and no option of librdkafka has an underscore.
        var section = KafkaSections.FirstOrDefault(section => path.StartsWith(section, StringComparison.OrdinalIgnoreCase));
        if (section is not null) path = section + path[section.Length..].Replace('_', '.').ToLowerInvariant();
        overrides[path] = new ConfigurationOverride(path, text, origin);
    }

    private static string DefaultFile()
    {
        var name = Path.Combine("cluster-config", "development.json");
        var beside = Path.Combine(AppContext.BaseDirectory, name);
        return !File.Exists(name) && File.Exists(beside) ? beside : name;
    }
}
