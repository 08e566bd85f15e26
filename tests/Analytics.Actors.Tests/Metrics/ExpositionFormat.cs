using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Analytics.Actors.Tests.Metrics;

/// <summary>
/// A strict reader of Prometheus' text format: refuses what a lenient scraper might let pass. HELP and TYPE come first and
/// once, samples stay with their family and are unique, labels are escaped, histograms add up.
/// </summary>
internal sealed partial class ExpositionFormat
{
    public sealed record Sample(string Name, IReadOnlyDictionary<string, string> Labels, double Value);

    public sealed record Family(string Name, string Help, string Type, List<Sample> Samples);

    public IReadOnlyDictionary<string, Family> Families => families;

    private readonly Dictionary<string, Family> families = [];

    public static ExpositionFormat Parse(string text)
    {
        if (!text.EndsWith('\n')) throw new FormatException("The text ends within a line.");
        if (text.Contains('\r', StringComparison.Ordinal)) throw new FormatException("Lines end by a line feed alone.");
        var format = new ExpositionFormat();
        Family? current = null;
        string? helpName = null, help = null;
        foreach (var line in text[..^1].Split('\n'))
        {
            if (Help().Match(line) is { Success: true } helped)
            {
                if (help is not null) throw new FormatException($"HELP without TYPE before: {line}");
                (helpName, help) = (helped.Groups[1].Value, Unescape(helped.Groups[2].Value, quotes: false));
            }
            else if (Type().Match(line) is { Success: true } typed)
            {
                if (helpName != typed.Groups[1].Value) throw new FormatException($"TYPE does not follow its HELP: {line}");
                current = new Family(helpName, help!, typed.Groups[2].Value, []);
                if (!format.families.TryAdd(helpName, current)) throw new FormatException($"{helpName} is described twice.");
                (helpName, help) = (null, null);
            }
            else
            {
                if (help is not null || current is null) throw new FormatException($"A sample outside of its family: {line}");
                var sample = ReadSample(line);
                var names = current.Type == "histogram" ? new[] { "_bucket", "_sum", "_count" } : [""];
                if (!names.Any(suffix => sample.Name == current.Name + suffix)) throw new FormatException($"Not a sample of {current.Name}: {line}");
                if (current.Samples.Any(other => other.Name == sample.Name && Same(other.Labels, sample.Labels))) throw new FormatException($"A series twice: {line}");
                if (current.Type == "counter" && !(sample.Value >= 0)) throw new FormatException($"A counter below zero: {line}");
                current.Samples.Add(sample);
            }
        }
        if (help is not null) throw new FormatException("HELP without TYPE at the end.");
        foreach (var family in format.families.Values.Where(family => family.Type == "histogram")) CheckHistogram(family);
        return format;
    }

    /// <summary>The value of one series; labels as name, value, name, value.</summary>
    public double Value(string name, params string[] labels)
    {
        var wanted = labels.Chunk(2).ToDictionary(pair => pair[0], pair => pair[1]);
        return families.Values.SelectMany(family => family.Samples).Single(sample => sample.Name == name && Same(sample.Labels, wanted)).Value;
    }

    private static Sample ReadSample(string line)
    {
        var match = SampleLine().Match(line);
        if (!match.Success) throw new FormatException($"Not a sample: {line}");
        var labels = new Dictionary<string, string>();
        foreach (Match label in Label().Matches(match.Groups["labels"].Value))
            if (!labels.TryAdd(label.Groups[1].Value, Unescape(label.Groups[2].Value, quotes: true))) throw new FormatException($"A label twice: {line}");
        return new Sample(match.Groups["name"].Value, labels, Number(match.Groups["value"].Value));
    }

    private static void CheckHistogram(Family family)
    {
        foreach (var series in family.Samples.GroupBy(sample => string.Join(',', sample.Labels.Where(label => label.Key != "le").Select(label => $"{label.Key}={label.Value}").Order(StringComparer.Ordinal))))
        {
            var buckets = series.Where(sample => sample.Name.EndsWith("_bucket", StringComparison.Ordinal)).ToArray();
            var bounds = buckets.Select(bucket => Number(bucket.Labels["le"])).ToArray();
            if (!bounds.SequenceEqual(bounds.Order())) throw new FormatException($"{family.Name}: buckets out of order.");
            if (bounds.Length == 0 || !double.IsPositiveInfinity(bounds[^1])) throw new FormatException($"{family.Name}: the last bucket is not +Inf.");
            for (var i = 1; i < buckets.Length; i++)
                if (buckets[i].Value < buckets[i - 1].Value) throw new FormatException($"{family.Name}: buckets are not cumulative.");
            var count = series.Single(sample => sample.Name.EndsWith("_count", StringComparison.Ordinal)).Value;
            if (count != buckets[^1].Value) throw new FormatException($"{family.Name}: +Inf is {buckets[^1].Value} and the count {count}.");
            series.Count(sample => sample.Name.EndsWith("_sum", StringComparison.Ordinal)).ShouldBe(1);
        }
    }

    private static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        "NaN" => double.NaN,
        _ => double.Parse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture),
    };

    private static string Unescape(string text, bool quotes)
    {
        var plain = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                plain.Append(text[i]);
                continue;
            }
            if (++i == text.Length) throw new FormatException($"A backslash at the end: {text}");
            plain.Append(text[i] switch
            {
                '\\' => '\\',
                'n' => '\n',
                '"' when quotes => '"',
                _ => throw new FormatException($"An unknown escape in: {text}"),
            });
        }
        return plain.ToString();
    }

    private static bool Same(IReadOnlyDictionary<string, string> left, IReadOnlyDictionary<string, string> right) =>
        left.Count == right.Count && left.All(label => right.TryGetValue(label.Key, out var value) && value == label.Value);

    [GeneratedRegex(@"\A# HELP ([a-zA-Z_][a-zA-Z0-9_]*) (.+)\z")]
    private static partial Regex Help();

    [GeneratedRegex(@"\A# TYPE ([a-zA-Z_][a-zA-Z0-9_]*) (counter|gauge|histogram)\z")]
    private static partial Regex Type();

    [GeneratedRegex("""\A(?<name>[a-zA-Z_][a-zA-Z0-9_]*)(\{(?<labels>[a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*"(,[a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*")*)\})? (?<value>\S+)\z""")]
    private static partial Regex SampleLine();

    [GeneratedRegex("""([a-zA-Z_][a-zA-Z0-9_]*)="((?:\\.|[^"\\])*)"(?:,|\z)""")]
    private static partial Regex Label();
}
