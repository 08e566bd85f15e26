using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

/// <summary>The reference's shapes: what a topic with a given window adds to the module input.</summary>
public class GoldenShapeTests
{
    private const string File = "shapes.jsonl";
    private const long BaseMs = 1_763_000_000_000;

    // What SPEC.md says where the vectors are marked: the reference's output, changed; null adds nothing.
    private static readonly Dictionary<string, Func<JsonNode?, JsonNode?>> Rules = new()
    {
        // Only normalCap is new, and left out of the comparison.
        ["param_full"] = AsTheReference,
        ["rt_gap_in_middle"] = With("outputPowerPerStationAvg", "[10,0,0,40]", "outputPowerPerStationMax", "[20,0,0,80]"),
        ["rt_shorter_than_window"] = With("outputPowerPerStationAvg", "[0,0,30,40]", "outputPowerPerStationMax", "[0,0,60,80]"),
        // The row whose list does not fit its guns is rejected.
        ["rt_length_mismatch_passthrough"] = With(
            "gunNo", """["02","01"]""", "outputPowerPerGunAvg", "[[0,0],[0,0],[0,0],[4,5]]", "outputPowerPerGunMax", "[[0,0],[0,0],[0,0],[6,7]]"),
        // 01:05 belongs to 01:00.
        ["rt_off_hour_rows_lost"] = With("outputPowerPerGunAvg", "[[0],[1],[2],[3]]", "outputPowerPerGunMax", "[[0],[1],[2],[3]]"),
        ["rt_bad_time_is_newest_textually"] = With(
            "gunNo", """["01"]""", "outputPowerPerGunAvg", "[[0],[0],[0],[1]]", "outputPowerPerGunMax", "[[0],[0],[0],[1]]",
            "sendTime", """["2025-11-03 22:00:00","2025-11-03 23:00:00","2025-11-04 00:00:00","2025-11-04 01:00:00"]"""),
        ["rt_no_sendtime_at_all"] = _ => null,
        ["rt_empty_gun_power"] = AsTheReference,
        ["rt_null_value_kept"] = With("outputPowerPerGunAvg", "[[0,0],[0,0],[0,0],[0,2]]"),
        ["rt_one_row_168"] = AsTheReference,
        ["cal_missing_members"] = AsTheReference,
        ["meter_empty_dict"] = _ => JsonNode.Parse("""{"meterId":null,"meterPower":null,"rmeterLimitPower":null}"""),
        ["gun_text_gunno_iterates_characters"] = _ => null,
        // The only second is still open.
        ["order_single_second"] = _ => null,
        ["price_last_of_list"] = output =>
        {
            var fees = output!["car_price"]!["feeNo"]!.AsArray();
            while (fees.Count < 48) fees.Add(null);
            return output;
        },
        ["price_empty_inner"] = _ => null,
        // Lists of different length in one payload.
        ["dcdc_len_mismatch"] = _ => null,
        ["acdc_no_power"] = AsTheReference,
        ["pv_empty_window_raises"] = _ => null,
    };

    [SharedDataFact]
    public void Vectors_that_do_not_differ_hold() =>
        Golden.AllHold(Golden.Cases(File).Where(vector => !Golden.Differs(vector)).Select(vector =>
        {
            // No devices: the reference gave an empty list instead of members, which adds nothing.
            var expected = Golden.Name(vector) == "storage_empty" ? null : vector["expected"]!["output"];
            return (Golden.Name(vector), Golden.Difference(Golden.Compared(expected), Golden.Compared(Shape(vector))));
        }));

    [SharedDataFact]
    public void Vectors_that_differ_do_as_the_rules_say() =>
        Golden.AllHold(Golden.Cases(File).Where(Golden.Differs).Select(vector =>
        {
            var expected = Rules[Golden.Name(vector)](vector["expected"]!["output"]?.DeepClone());
            return (Golden.Name(vector), Golden.Difference(Golden.Compared(expected), Golden.Compared(Shape(vector))));
        }));

    [SharedDataFact]
    public void Every_vector_that_differs_has_a_rule() => Golden.TableIsComplete(File, Rules.Keys);

    private static JsonNode? AsTheReference(JsonNode? output) => output;

    private static Func<JsonNode?, JsonNode?> With(params string[] members) => output =>
    {
        for (var i = 0; i < members.Length; i += 2) output![members[i]] = JsonNode.Parse(members[i + 1]);
        return output;
    };

    private static JsonNode? Shape(JsonObject vector)
    {
        var topic = DefaultTopics.All[(string)vector["topic"]!];
        var held = vector["window"]!.AsArray();
        if (vector["config"]?["window_sizes"]?[topic.Name] is { } size) topic = topic with { Window = (int)size };
        // This vector holds more entries than the default window has, without saying so.
        if (topic.Shape == ShapeKind.Aligned) topic = topic with { Window = Math.Max(1, held.Count) };
        var window = DefaultTopics.Window(topic);
        switch (topic.Mode)
        {
            case UpdateMode.Device:
                foreach (var (_, entry) in held[0]!.AsObject())
                    window.Apply([Golden.Bytes(entry![0])], (long)entry[1]! * 1000, BaseMs + 60_000);
                break;
            case UpdateMode.Second:
                for (var second = 0; second < held.Count; second++)
                    window.Apply(held[second]!.AsArray().Select(Golden.Bytes).ToArray(), BaseMs + second * 1000, BaseMs + second * 1000);
                break;
            case UpdateMode.Replace:
                window.Apply(held.Select(Golden.Bytes).ToArray(), BaseMs, BaseMs);
                break;
            default:
                foreach (var entry in held)
                    window.Apply(entry is JsonArray list ? list.Select(Golden.Bytes).ToArray() : [Golden.Bytes(entry)], BaseMs, BaseMs);
                break;
        }

        return Golden.ShapeOf(window);
    }
}
