using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>What reading a pipeline file gave: the configuration, or everything that is wrong with it.</summary>
/// <param name="Configuration">Null where there are problems.</param>
/// <param name="Problems">Empty where there is a configuration.</param>
public sealed record PipelineReading(PipelineConfiguration? Configuration, IReadOnlyList<ConfigurationProblem> Problems);

/// <summary>
/// Reads pipeline.json. The only way from a file to a <see cref="PipelineConfiguration"/>: what it returns satisfies every
/// rule, so that nobody else checks again. Topics are read by TopicReader, modules by ModuleReader; what concerns several
/// of them stands in PipelineRules. Never throws, whatever the bytes are.
/// </summary>
public static class PipelineReader
{
    private static readonly TimeSpan DefaultTimeZone = TimeSpan.FromHours(8);

    /// <summary>Reads a pipeline from its file's content.</summary>
    /// <param name="utf8">The bytes of the file; JSON in which comments and trailing commas are allowed.</param>
    /// <param name="file">The file's name, for messages.</param>
    public static PipelineReading Read(ReadOnlyMemory<byte> utf8, string file)
    {
        var problems = new ConfigurationProblems(file);
        using var document = ConfigurationText.Parse(utf8, problems);
        if (document is null) return new PipelineReading(null, problems.Found);
        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            problems.Add("(file)", ConfigurationProblems.Show(document.RootElement), "must be an object with the keys \"topics\" and \"modules\"");
            return new PipelineReading(null, problems.Found);
        }

        var configuration = Read(ConfigurationObject.Of(document.RootElement, "", problems), problems);
        return problems.Found.Count > 0
            ? new PipelineReading(null, problems.Found)
            : new PipelineReading(configuration with { Text = Encoding.UTF8.GetString(utf8.Span) }, []);
    }

    private static PipelineConfiguration Read(ConfigurationObject root, ConfigurationProblems problems)
    {
        var timeZone = ReadTimeZone(root) ?? DefaultTimeZone;
        var codeTables = ReadCodeTables(root);
        foreach (var key in (string[])["topics", "modules"])
        {
            if (!root.Has(key)) root.Missing(key, "is required; write { } where there are none");
        }

        // Output topics come first: a topic of that name has other defaults.
        var modules = ModuleReader.ReadAll(root.Section("modules"));
        var outputs = PipelineRules.OutputTopics(modules);
        var topics = ReadTopics(root.Section("topics"), outputs, timeZone);
        root.Close();
        if (topics.Count == 0 && problems.Found.Count == 0) root.Missing("topics", "must name at least one topic");
        return new PipelineConfiguration
        {
            TimeZone = timeZone,
            CodeTables = codeTables,
            Topics = topics,
            Modules = PipelineRules.Resolve(modules, outputs, topics, problems),
        };
    }

    private static OrderedDictionary<string, TopicConfiguration> ReadTopics(
        ConfigurationObject section, IReadOnlyDictionary<string, string> outputs, TimeSpan timeZone)
    {
        var topics = new OrderedDictionary<string, TopicConfiguration>(StringComparer.Ordinal);
        foreach (var name in section.Keys)
        {
            var value = section.Find(name)!;
            if (!TopicReader.IsTopicName(name)) value.Refuse($"a topic's name must be {TopicReader.TopicNameForm}");
            topics.Add(name, TopicReader.Read(name, section.Section(name), outputs.GetValueOrDefault(name), timeZone));
        }

        foreach (var (topic, module) in outputs)
        {
            if (!section.Has(topic)) topics.Add(topic, TopicReader.Output(topic, module));
        }

        return topics;
    }

    private static TimeSpan? ReadTimeZone(ConfigurationObject root)
    {
        if (root.Find("timeZone") is not { } value) return null;
        if (value.TryString(out var text) && TryParseOffset(text, out var offset)) return offset;
        value.Refuse("must be an offset from UTC such as \"+08:00\", \"-03:30\" or \"Z\", at most 14 hours");
        return null;
    }

    private static bool TryParseOffset(string text, out TimeSpan offset)
    {
        offset = TimeSpan.Zero;
        if (text == "Z") return true;
        if (text.Length != 6 || text[0] is not ('+' or '-')) return false;
        if (!TimeSpan.TryParseExact(text.AsSpan(1), @"hh\:mm", CultureInfo.InvariantCulture, out offset)) return false;
        if (text[0] == '-') offset = -offset;
        return offset.Duration() <= TimeSpan.FromHours(14);
    }

    private static OrderedDictionary<string, IReadOnlyDictionary<string, string>> ReadCodeTables(ConfigurationObject root)
    {
        var tables = new OrderedDictionary<string, IReadOnlyDictionary<string, string>>(StringComparer.Ordinal);
        var section = root.Section("codeTables");
        foreach (var name in section.Keys)
        {
            if (section.Find(name)?.Section() is not { } table) continue;
            var codes = new OrderedDictionary<string, string>(StringComparer.Ordinal);
            foreach (var code in table.Keys)
            {
                if (table.Find(code)?.Text("the meaning of the code, as text") is { } meaning) codes.Add(code, meaning);
            }

            if (!table.Keys.Any()) section.Find(name)!.Refuse("must hold at least one code");
            tables.Add(name, codes);
        }

        return tables;
    }
}
