using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Modules;

/// <summary>A module input made from JSON text, with the numeric series that its lists are.</summary>
internal static class JsonInput
{
    public static ModuleInput Of(string json) => new(
        "S1", 1_680_307_200_000, [new TopicFragment("TOPIC", new JsonFragment(json))],
        new DataQuality
        {
            AvailableTopics = ["TOPIC"], MissingTopics = [], FailedTopics = [], TotalTopics = 1, AgeSeconds = [], Overwritten = [],
        });

    /// <summary>The result as an element; null for nothing.</summary>
    public static JsonElement? Element(this ModuleResult result) =>
        result.IsNothing ? null : JsonDocument.Parse(result.Json).RootElement;

    private sealed class JsonFragment(string json) : InputFragment
    {
        private readonly Dictionary<string, JsonElement> members =
            JsonDocument.Parse(json).RootElement.EnumerateObject().ToDictionary(member => member.Name, member => member.Value);

        public override IReadOnlyList<string> Names => [.. members.Keys];

        public override ReadOnlyMemory<byte> GetJson(string name) => Encoding.UTF8.GetBytes(members[name].GetRawText());

        public override bool TryGetSeries(string name, out NumericSeries series)
        {
            series = default;
            var member = members[name];
            if (member.ValueKind != JsonValueKind.Array) return false;
            var rows = member.EnumerateArray().ToList();
            var lists = rows.Count > 0 && rows.TrueForAll(row => row.ValueKind == JsonValueKind.Array);
            var columns = lists ? rows[0].GetArrayLength() : 1;
            if (lists && rows.Exists(row => row.GetArrayLength() != columns)) return false;
            var values = (lists ? rows.SelectMany(row => row.EnumerateArray()) : rows).ToList();
            if (values.Exists(value => value.ValueKind is not (JsonValueKind.Number or JsonValueKind.Null))) return false;
            series = new NumericSeries(
                values.Select(value => value.ValueKind == JsonValueKind.Null ? double.NaN : value.GetDouble()).ToArray(), rows.Count, columns);
            return true;
        }
    }
}
