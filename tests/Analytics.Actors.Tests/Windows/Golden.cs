using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

/// <summary>
/// Reads reference vectors and compares as their index says: keys in any order, lists in order, numbers by value; null,
/// an empty object and nothing are one.
/// </summary>
internal static class Golden
{
    public static List<JsonObject> Cases(string file) =>
        File.ReadLines(SharedData.Path("golden", file)).Where(line => line.Length > 0).Select(line => JsonNode.Parse(line)!.AsObject()).ToList();

    public static string Name(JsonObject vector) => (string)vector["name"]!;

    public static bool Differs(JsonObject vector) => vector["differs"] is not null;

    public static ReadOnlyMemory<byte> Bytes(JsonNode? node) => DefaultTopics.Bytes(node?.ToJsonString() ?? "null");

    public static JsonNode? ShapeOf(TopicWindow window) => window.Shape() is { } fragment ? JsonNode.Parse(fragment.ToJsonObject()) : null;

    /// <summary>Null where equal, else what differs.</summary>
    public static string? Difference(JsonNode? expected, JsonNode? actual)
    {
        if (IsNothing(expected) && IsNothing(actual)) return null;
        var (left, right) = (JsonSerializer.SerializeToElement(expected), JsonSerializer.SerializeToElement(actual));
        return JsonElement.DeepEquals(left, right) ? null : $"expected {left.GetRawText()}\n  but was {right.GetRawText()}";
    }

    /// <summary>Leaves out what the index says is not compared.</summary>
    public static JsonNode? Compared(JsonNode? input)
    {
        if (input is not JsonObject members) return input;
        members.Remove("normalCap");
        if (members["_data_quality"] is not JsonObject quality) return input;
        foreach (var added in new[] { "failed_topics", "age_seconds", "overwritten" }) quality.Remove(added);
        return input;
    }

    public static void AllHold(IEnumerable<(string Name, string? Difference)> cases)
    {
        var all = cases.ToList();
        all.ShouldNotBeEmpty();
        var wrong = all.Where(item => item.Difference is not null).Select(item => $"{item.Name}: {item.Difference}").ToList();
        wrong.ShouldBeEmpty(string.Join("\n", wrong));
    }

    /// <summary>Every vector marked as differing has an entry in the table, and every entry a vector.</summary>
    public static void TableIsComplete(string file, IEnumerable<string> table) =>
        table.Order().ShouldBe(Cases(file).Where(Differs).Select(Name).Order());

    private static bool IsNothing(JsonNode? node) => node is null or JsonObject { Count: 0 };
}

/// <summary>Puts a module input together from windows, in the simplest way.</summary>
internal static class InputAssembler
{
    public static ModuleInput Assemble(string module, string station, IReadOnlyDictionary<string, TopicWindow> windows, long nowMs)
    {
        var topics = DefaultTopics.Modules[module];
        var fragments = new List<TopicFragment>();
        List<string> available = [], missing = [];
        var failed = new List<KeyValuePair<string, string>>();
        var ages = new List<KeyValuePair<string, double>>();
        foreach (var topic in topics)
        {
            if (!windows.TryGetValue(topic, out var window) || window.NewestTimeMs is not { } newestMs)
            {
                missing.Add(topic);
                continue;
            }

            try
            {
                fragments.Add(new TopicFragment(topic, window.Shape()));
                available.Add(topic);
                ages.Add(new(topic, (nowMs - newestMs) / 1000.0));
            }
            catch (ShapeException exception)
            {
                failed.Add(new(topic, exception.Message));
            }
        }

        return new ModuleInput(station, nowMs, fragments, new DataQuality
        {
            AvailableTopics = available, MissingTopics = missing, FailedTopics = failed, TotalTopics = topics.Length,
            AgeSeconds = ages, Overwritten = ModuleInput.FindOverwritten(fragments),
        });
    }
}
