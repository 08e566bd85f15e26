using System.Text.Json.Nodes;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Tests.Windows;

namespace Analytics.Actors.Tests.Records;

/// <summary>The reference's envelopes, through the splitter.</summary>
public class GoldenEnvelopeTests
{
    private const string File = "envelopes.jsonl";

    // What SPEC.md says where the reference did otherwise: stations with their number of items | rejections.
    private static readonly Dictionary<string, string> Rules = new()
    {
        ["param_not_list"] = "| 0 wrong-envelope",
        ["param_item_not_dict"] = "S2 x1 | 0 item-not-object",
        // The row without a time is the window's to reject: it belongs to this station.
        ["realtime_missing_sendtime_sorts_first"] = "S1 x2 |",
        ["realtime_missing_key"] = "| 0 wrong-envelope",
        ["realtime_items_bad"] = "| 0 item-not-object, 1 no-id, 2 invalid-id",
        ["realtime_null_list"] = "| 0 wrong-envelope",
        ["calendar_missing_key"] = "| 0 wrong-envelope",
        ["calendar_not_dict"] = "| 0 wrong-envelope",
        ["meter_no_station"] = "| 0 no-id",
        ["order_not_dict"] = "S1 x1 |",
        ["weather_flat"] = "| 0 wrong-envelope",
        ["model_output_item_without_id"] = "S1 x1, S2 x1 |",
        ["model_output_no_results"] = "| 0 wrong-envelope",
        ["zero_station_id_is_falsy"] = "| 0 invalid-id",
        // A topic that the pipeline does not declare is not read at all.
        ["unknown_topic_dict_with_stationId"] = "not read",
        ["unknown_topic_fee"] = "not read",
        ["unknown_topic_dict_other"] = "not read",
    };

    [SharedDataFact]
    public void Vectors_that_do_not_differ_hold() =>
        Golden.AllHold(Golden.Cases(File).Where(vector => !Golden.Differs(vector)).Select(vector =>
        {
            var split = Split(vector)!;
            if (split.Rejected.Count > 0) return (Golden.Name(vector), split.Rejected[0].Reason.ToString());
            var found = new JsonArray(split.Parts.Select(part => (JsonNode)new JsonArray(
                part.StationText, Items(split, part, vector["expected"]!["stations"]!.AsArray()))).ToArray());
            return (Golden.Name(vector), Golden.Difference(vector["expected"]!["stations"], found));
        }));

    [SharedDataFact]
    public void Vectors_that_differ_do_as_the_rules_say() =>
        Golden.AllHold(Golden.Cases(File).Where(Golden.Differs).Select(vector =>
        {
            var found = Split(vector) is { } split ? Describe(split) : "not read";
            return (Golden.Name(vector), found == Rules[Golden.Name(vector)] ? null : found);
        }));

    [SharedDataFact]
    public void Every_vector_that_differs_has_a_rule() => Golden.TableIsComplete(File, Rules.Keys);

    internal static string Describe(SplitRecord split)
    {
        var parts = string.Join(", ", split.Parts.Select(part => $"{part.StationText} x{part.ItemCount}"));
        var rejected = string.Join(", ", split.Rejected.Select(item => $"{item.Index} {item.Reason.Code}"));
        return $"{parts} | {rejected}".Trim();
    }

    private static SplitRecord? Split(JsonObject vector)
    {
        var message = vector["messages"]![0]!;
        return DefaultTopics.All.TryGetValue((string)message["topic"]!, out var topic)
            ? SampleRecords.Split(topic, Golden.Bytes(message["value"]))
            : null;
    }

    // The vectors write the items of some topics as a list, also when there is one, and those of others without it.
    private static JsonNode? Items(SplitRecord split, StationPart part, JsonArray expected)
    {
        var items = split.ItemsOf(part).ToArray().Select(item => JsonNode.Parse(item.Span)).ToArray();
        var asList = expected.Any(pair => (string)pair![0]! == part.StationText && pair[1] is JsonArray);
        return asList ? new JsonArray(items) : items.Single();
    }
}
