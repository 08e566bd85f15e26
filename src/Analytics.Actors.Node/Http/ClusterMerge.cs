using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// Makes one answer of several nodes' answers, without knowing more of them than what they are ordered by. Lines name their
/// node, counts are added up. Members that a newer node has and an older one lacks pass through.
/// </summary>
internal static class ClusterMerge
{
    /// <summary>Every line of a list names its node. An object names it itself.</summary>
    public static JsonNode Name(string node, JsonNode answer)
    {
        foreach (var line in Lines(answer)) line["node"] ??= node;
        if (answer is JsonObject single) single["node"] ??= node;
        return answer;
    }

    /// <summary>All lines, each with its node, in the order of these members.</summary>
    public static JsonArray List(Picture picture, params ReadOnlySpan<string> by) => Order(picture.Answers.SelectMany(Take), by);

    public static JsonArray Order(IEnumerable<JsonObject> lines, params ReadOnlySpan<string> by)
    {
        var ordered = lines.OrderBy(_ => 0);
        foreach (var member in by) ordered = ordered.ThenBy(line => line[member], Values.Instance);
        return new JsonArray([.. ordered]);
    }

    /// <summary>The first lines of a list.</summary>
    public static JsonArray First(JsonArray lines, int limit)
    {
        while (lines.Count > limit) lines.RemoveAt(lines.Count - 1);
        return lines;
    }

    /// <summary>The last lines of a list.</summary>
    public static JsonArray Last(JsonArray lines, int limit)
    {
        var begin = Math.Max(0, lines.Count - limit);
        return new JsonArray([.. lines.Skip(begin).Select(line => line?.DeepClone())]);
    }

    /// <summary>Open batches first, the oldest before the others; then those without manifest; then those that are over, the newest first.</summary>
    public static JsonArray Batches(Picture picture, int limit) => First(new JsonArray([.. picture.Answers.SelectMany(Take)
        .OrderBy(batch => batch["ended"] is null ? 0 : 1)
        .ThenBy(batch => IsTrue(batch["open"]) ? Number(batch["opened"]) : decimal.MaxValue)
        .ThenByDescending(batch => Number(batch["ended"]))
        .ThenBy(batch => batch["batch_id"]?.ToString(), StringComparer.Ordinal)]), limit);

    /// <summary>One line a module, with the sums of all nodes; installed is one that all of them have.</summary>
    public static JsonArray Modules(Picture picture)
    {
        var modules = new OrderedDictionary<string, JsonObject>(StringComparer.Ordinal);
        foreach (var answer in picture.Answers)
        {
            foreach (var line in Take(answer))
            {
                line.Remove("node");
                var name = line["module"]?.ToString() ?? "";
                if (modules.TryGetValue(name, out var sum)) Add(sum, line);
                else modules[name] = line;
                var nodes = modules[name]["nodes"] as JsonArray;
                if (nodes is null) modules[name]["nodes"] = nodes = [];
                nodes.Add(answer.Node);
            }
        }

        return new JsonArray([.. modules.Values]);
    }

    /// <summary>Sums of all nodes; <c>since</c> is the earliest start.</summary>
    public static JsonObject Counters(Picture picture)
    {
        var sum = new JsonObject();
        foreach (var answer in picture.Answers)
        {
            if (answer.Body is not JsonObject counters) continue;
            counters.Remove("node");
            var since = string.CompareOrdinal(counters["since"]?.ToString(), sum["since"]?.ToString()) < 0 || sum.Count == 0 ? counters["since"] : sum["since"];
            var text = since?.ToString();
            Add(sum, counters);
            sum["since"] = text;
        }

        sum["nodes"] = new JsonArray([.. picture.Answers.Select(answer => (JsonNode)answer.Node)]);
        return sum;
    }

    /// <summary>The newest of all nodes, and the sums of their counts.</summary>
    public static JsonObject Problems(Picture picture, int limit)
    {
        var counts = new JsonObject();
        List<JsonObject> lines = [];
        foreach (var answer in picture.Answers)
        {
            if (answer.Body["counts"] is JsonObject counted) Add(counts, counted);
            lines.AddRange(Take(answer));
        }

        return new JsonObject
        {
            ["counts"] = counts,
            // Written by nodes' own clocks, all in the same form and zone.
            ["problems"] = new JsonArray([.. lines.OrderByDescending(line => line["time"]?.ToString(), StringComparer.Ordinal).Take(limit)]),
        };
    }

    /// <summary>One page of the stations of all nodes, in order of their ids' characters, with those that only the store told of.</summary>
    public static JsonObject Stations(Picture picture, IEnumerable<JsonObject> stored, int limit)
    {
        var isMore = picture.Answers.Any(answer => answer.Body["next"] is not null);
        var lines = picture.Answers.SelectMany(Take).Concat(stored).OrderBy(line => line["station"]?.ToString(), StringComparer.Ordinal).ToList();
        var shown = lines.Take(limit).ToList();
        return new JsonObject
        {
            ["station_count"] = JsonValue.Create(picture.Answers.Sum(answer => Number(answer.Body["station_count"]))),
            ["stations"] = new JsonArray([.. shown]),
            ["next"] = shown.Count > 0 && (isMore || lines.Count > limit) ? shown[^1]["station"]?.ToString() : null,
        };
    }

    /// <summary>A line of which the store alone told, because its node did not answer.</summary>
    /// <param name="ageSeconds">Since the store was last known to have what the node has; null: not known.</param>
    public static JsonObject Stale(JsonObject line, string? node, double? ageSeconds)
    {
        line["node"] = node;
        line["stale"] = true;
        line["age_seconds"] = ageSeconds;
        return line;
    }

    public static bool IsTrue(JsonNode? value) => value?.GetValueKind() == JsonValueKind.True;

    public static decimal Number(JsonNode? value) =>
        value?.GetValueKind() == JsonValueKind.Number && decimal.TryParse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private static IEnumerable<JsonObject> Lines(JsonNode answer) => ListOf(answer)?.OfType<JsonObject>() ?? [];

    // The list that an answer is, or holds.
    private static JsonArray? ListOf(JsonNode answer) => answer as JsonArray ?? answer["stations"] as JsonArray ?? answer["problems"] as JsonArray;

    /// <summary>An answer's lines, taken out of it, each with its node.</summary>
    public static List<JsonObject> Take(NodeAnswer answer)
    {
        var lines = Lines(answer.Body).ToList();
        ListOf(answer.Body)?.Clear();
        foreach (var line in lines) line["node"] ??= answer.Node;
        return lines;
    }

    private static void Add(JsonObject sum, JsonObject more)
    {
        foreach (var (name, value) in more.ToList())
        {
            switch (value?.GetValueKind(), sum[name]?.GetValueKind())
            {
                case (JsonValueKind.Number, JsonValueKind.Number): sum[name] = JsonValue.Create(Number(sum[name]) + Number(value)); break;
                case (JsonValueKind.Object, JsonValueKind.Object): Add((JsonObject)sum[name]!, (JsonObject)value!); break;
                case (JsonValueKind.False, JsonValueKind.True) when name == "installed": sum[name] = false; break;
                case (_, null):
                    more.Remove(name);
                    sum[name] = value;
                    break;
            }
        }
    }

    /// <summary>Numbers by size, texts by characters, what is missing first.</summary>
    private sealed class Values : IComparer<JsonNode?>
    {
        public static readonly Values Instance = new();

        public int Compare(JsonNode? left, JsonNode? right)
        {
            var areNumbers = left?.GetValueKind() == JsonValueKind.Number && right?.GetValueKind() == JsonValueKind.Number;
            return areNumbers ? Number(left).CompareTo(Number(right)) : string.CompareOrdinal(left?.ToString(), right?.ToString());
        }
    }
}
