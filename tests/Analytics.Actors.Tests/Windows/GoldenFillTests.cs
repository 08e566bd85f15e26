using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

/// <summary>The reference's padded sequences.</summary>
public class GoldenFillTests
{
    private const string File = "fill.jsonl";

    // What SPEC.md says where the reference did otherwise: linear never moves a known value and holds the ends, a null
    // inside is a hole, text is never interpolated, and the length is the one asked for.
    private static readonly Dictionary<string, string> Rules = new()
    {
        ["pad_linear_empty"] = "[null,null,null]",
        ["pad_linear_two_to_five"] = "[1,1,1,1,2]",
        ["pad_linear_one_three_to_four"] = "[1,1,1,3]",
        ["pad_linear_exact"] = "[1,2,3]",
        ["pad_linear_overfull"] = "[2,3,4]",
        ["pad_zero_none_first"] = "[0,0,0,2]",
        ["pad_forward_none_first"] = "[2,2,2,2]",
        ["pad_linear_none_inside"] = "[1,1,1,2,3]",
        ["pad_forward_none_inside"] = "[1,1,1,1,3]",
        ["pad_zero_none_last"] = "[0,0,1,2,0]",
        ["pad_linear_none_last"] = "[1,1,1,2,2]",
        ["pad_zero_all_none"] = "[0,0,0]",
        ["pad_forward_all_none"] = "[null,null,null]",
        ["pad_linear_text"] = """["a","a","a","b"]""",
        ["pad_linear_text_after_number"] = """[1,1,1,"b"]""",
        ["pad_linear_bool"] = "[true,true,true,false]",
        ["pad_linear_lists"] = "[[1,2],[1,2],[1,2],[3,4]]",
        ["pad_zero_target_zero"] = "[]",
        ["pad_forward_target_zero"] = "[]",
        ["pad_missing_target_zero"] = "[]",
        ["pad_linear_target_one"] = "[2]",
        ["pad_zero_empty_target_zero"] = "[]",
        ["pad_linear_empty_target_zero"] = "[]",
        ["pad_missing_empty_target_zero"] = "[]",
    };

    [SharedDataFact]
    public void Vectors_that_do_not_differ_hold() =>
        Golden.AllHold(Golden.Cases(File).Where(vector => !Golden.Differs(vector))
            .Select(vector => (Golden.Name(vector), Golden.Difference(vector["expected"]!["output"], Pad(vector)))));

    [SharedDataFact]
    public void Vectors_that_differ_do_as_the_rules_say() =>
        Golden.AllHold(Golden.Cases(File).Where(Golden.Differs)
            .Select(vector => (Golden.Name(vector), Golden.Difference(JsonNode.Parse(Rules[Golden.Name(vector)]), Pad(vector)))));

    [SharedDataFact]
    public void Every_vector_that_differs_has_a_rule() => Golden.TableIsComplete(File, Rules.Keys);

    private static JsonArray Pad(JsonObject vector)
    {
        var strategy = Enum.Parse<FillStrategy>((string)vector["config"]!["strategy"]!, ignoreCase: true);
        var values = vector["sequence"]!.AsArray().Select(Golden.Bytes).ToArray();
        var padded = Fill.Pad(values, [], (int)vector["config"]!["target_len"]!, strategy);
        return new JsonArray(padded.Select(value => JsonNode.Parse(value.Span)).ToArray());
    }
}
