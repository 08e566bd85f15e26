using System.Text.Json.Nodes;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.Records;

namespace Analytics.Actors.Tests.Windows;

/// <summary>
/// The reference's message sequences: windows after them, which messages changed a window, and module inputs. A message
/// here is what the splitter hands on: the items of one station.
/// </summary>
public class GoldenWindowTests
{
    private const string File = "windows.jsonl";

    /// <summary>What a run of the messages left: compared with the reference, or with the rules that SPEC.md gives instead.</summary>
    private sealed class Run
    {
        public Dictionary<string, TopicWindow> Windows { get; } = [];
        public List<bool> Changed { get; } = [];
        public List<string> Rejected { get; } = [];
        public List<JsonNode?> Orders { get; } = [];
        public long NowMs { get; set; }

        public JsonNode Input(string module) => Golden.Compared(JsonNode.Parse(InputAssembler.Assemble(module, "S1", Windows, NowMs).ToJson()))!;
    }

    // What SPEC.md says where the vectors are marked. Every entry is a check of a run against the vector.
    private static readonly Dictionary<string, Action<JsonObject, Run>> Rules = new()
    {
        ["replace_with_dict_iterates_keys"] = (_, run) =>
        {
            run.Rejected.ShouldBe(["wrong-envelope"]);
            run.Windows[DefaultTopics.Realtime].IsEmpty.ShouldBeTrue();
        },
        ["replace_none_payload"] = (_, run) =>
        {
            run.Rejected.ShouldBe(["wrong-envelope"]);
            run.Windows[DefaultTopics.Realtime].IsEmpty.ShouldBeTrue();
        },
        ["order_seconds_roll"] = (_, run) =>
        {
            // A second is delivered when it closes, and only then.
            run.Changed.ShouldBe([false, true, false, true]);
            Serials(run).ShouldBe(["", "a", "a", "bc"]);
            Close(run).ShouldBe("d");
        },
        ["order_out_of_order_second"] = (_, run) =>
        {
            // The order of the older second gets that second to itself, at once; nothing is lost.
            run.Changed.ShouldBe([false, true, false]);
            Serials(run).ShouldBe(["", "a", "a"]);
            Close(run).ShouldBe("bc");
        },
        ["order_same_gun_twice_in_second"] = (_, run) =>
        {
            run.Changed.ShouldBe([false, false]);
            Close(run).ShouldBe("aa");
        },
        ["storage_map"] = (vector, run) =>
        {
            Triggers(vector, run);
            // The payload without a device code is rejected.
            run.Rejected.ShouldBe(["no-device"]);
            Inputs(vector, run);
        },
        ["weather_and_pv_default_updater"] = (vector, run) =>
        {
            Triggers(vector, run);
            Inputs(vector, run);
        },
        ["model_output_append"] = (vector, run) =>
        {
            Triggers(vector, run);
            Inputs(vector, run);
        },
        ["module_operation_optimization_all_topics"] = (vector, run) =>
        {
            var input = vector["expected"]!["module_input"]!["operation_optimization"]!;
            input["load"] = JsonNode.Parse("[2]");
            input["timestamp"] = 3;
            Inputs(vector, run);
        },
        // No data, no trigger, no call; the interval asks all the same, and gets an input that says so.
        ["missing_topics_none"] = (_, run) =>
        {
            run.Input("load_prediction")["_data_quality"]!["availability_ratio"]!.GetValue<double>().ShouldBe(0.0);
            run.Input("operation_optimization")["_data_quality"]!["total_topics"]!.GetValue<int>().ShouldBe(7);
        },
        ["missing_topics_no_calendar"] = Inputs,
        ["missing_topics_only_unrelated"] = Inputs,
        ["collision_later_topic_wins"] = (vector, run) =>
        {
            vector["expected"]!["module_input"]!["SOH_model"]!["stationId"] = "S1";
            Inputs(vector, run);
        },
        ["parser_error_still_available"] = (vector, run) =>
        {
            // An empty list names nobody: nothing changes, and the topic is missing.
            run.Changed.ShouldBe([false]);
            var quality = vector["expected"]!["module_input"]!["operation_optimization"]!["_data_quality"]!;
            quality["available_topics"] = new JsonArray();
            quality["missing_topics"] = JsonNode.Parse($"""["{DefaultTopics.Param}","{DefaultTopics.Order}","{DefaultTopics.Price}","{DefaultTopics.Dcdc}","{DefaultTopics.Storage}","MODULE-OUTPUT-PV_PREDICTION"]""");
            Inputs(vector, run);
        },
    };

    [SharedDataFact]
    public void Vectors_that_do_not_differ_hold() =>
        Golden.AllHold(Golden.Cases(File).Where(vector => !Golden.Differs(vector)).Select(vector => (Golden.Name(vector), Failure(vector, (_, run) =>
        {
            Triggers(vector, run);
            Held(vector, run);
            Inputs(vector, run);
        }))));

    [SharedDataFact]
    public void Vectors_that_differ_do_as_the_rules_say() =>
        Golden.AllHold(Golden.Cases(File).Where(Golden.Differs).Select(vector => (Golden.Name(vector), Failure(vector, Rules[Golden.Name(vector)]))));

    [SharedDataFact]
    public void Every_vector_that_differs_has_a_rule() => Golden.TableIsComplete(File, Rules.Keys);

    private static string? Failure(JsonObject vector, Action<JsonObject, Run> check)
    {
        try
        {
            check(vector, Feed(vector));
            return null;
        }
        catch (ShouldAssertException exception)
        {
            return exception.Message;
        }
    }

    private static Run Feed(JsonObject vector)
    {
        var run = new Run();
        foreach (var message in vector["messages"]!.AsArray())
        {
            var topic = DefaultTopics.All[(string)message!["topic"]!];
            if (vector["config"]!["window_sizes"]![topic.Name] is { } size) topic = topic with { Window = (int)size };
            if (!run.Windows.TryGetValue(topic.Name, out var window)) run.Windows[topic.Name] = window = DefaultTopics.Window(topic);
            run.NowMs = (long)Math.Round((double)message["ts"]! * 1000);
            run.Changed.Add(Apply(run, topic, window, message["value"]));
            run.Orders.Add(window.Shape() is { } fragment && topic.Mode == UpdateMode.Second ? JsonNode.Parse(fragment.GetJson("car_order").Span) : null);
        }

        return run;
    }

    private static bool Apply(Run run, TopicConfiguration topic, TopicWindow window, JsonNode? value)
    {
        ReadOnlyMemory<byte>[] items;
        if (value is JsonArray list) items = list.Select(Golden.Bytes).ToArray();
        else if (topic.Mode == UpdateMode.Replace)
        {
            // Not a part that the splitter would make: so it goes through it.
            var split = SampleRecords.Split(topic, Golden.Bytes(value));
            run.Rejected.AddRange(split.Rejected.Select(item => item.Reason.Code));
            return false;
        }
        else items = [Golden.Bytes(value)];

        var change = window.Apply(items, run.NowMs, run.NowMs);
        run.Rejected.AddRange(change.Rejected.Select(item => item.Reason.Code));
        return change.Changed;
    }

    /// <summary>Orders change the window when their second closes, not when they arrive as in the reference: left out.</summary>
    private static void Triggers(JsonObject vector, Run run)
    {
        var messages = vector["messages"]!.AsArray();
        for (var i = 0; i < messages.Count; i++)
            if ((string)messages[i]!["topic"]! != DefaultTopics.Order)
                run.Changed[i].ShouldBe((bool)vector["expected"]!["triggers"]![i]!, $"message {i}");
    }

    private static void Inputs(JsonObject vector, Run run)
    {
        foreach (var (module, input) in vector["expected"]!["module_input"]!.AsObject())
        {
            Correct(module, input);
            Golden.Difference(Golden.Compared(input), run.Input(module)).ShouldBeNull();
        }
    }

    /// <summary>
    /// Two modules have one topic more than in the reference (SPEC.md, section 3), also in vectors that are not marked:
    /// evaluation_model reads PARAM, and operation_optimization depends on load_prediction.
    /// </summary>
    private static void Correct(string module, JsonNode? input)
    {
        var topic = module switch { "evaluation_model" => DefaultTopics.Param, "operation_optimization" => DefaultTopics.Output("load_prediction"), _ => null };
        if (topic is null || input?["_data_quality"] is not JsonObject quality) return;
        quality["total_topics"] = 7;
        var hasData = input["load"] is not null;
        var names = quality[hasData ? "available_topics" : "missing_topics"]!.AsArray();
        var order = DefaultTopics.Modules[module];
        names.Insert(names.Count(name => Array.IndexOf(order, (string)name!) < Array.IndexOf(order, topic)), topic);
        quality["availability_ratio"] = quality["available_topics"]!.AsArray().Count / 7.0;
    }

    private static void Held(JsonObject vector, Run run)
    {
        foreach (var (topic, held) in vector["expected"]!["windows"]!.AsObject())
        {
            var raw = vector["expected"]!["raw_windows"]![topic]!.AsArray();
            switch (run.Windows[topic])
            {
                case AppendWindow window:
                    HeldEntries(window, topic, raw);
                    break;
                case DeviceWindow window:
                    var devices = window.Devices.ToDictionary(pair => pair.Key, pair => pair.Value);
                    devices.Keys.Order().ShouldBe(raw[0]!.AsObject().Select(pair => pair.Key).Order());
                    foreach (var (code, entry) in raw[0]!.AsObject())
                    {
                        Golden.Difference(entry![0], JsonNode.Parse(devices[code].Item.Span)).ShouldBeNull();
                        devices[code].TimeMs.ShouldBe((long)entry[1]! * 1000);
                    }

                    break;
                case SecondsWindow window:
                    var seconds = new[] { window.ClosedItems, window.OpenItems }.Select(items => new JsonArray(items.Select(item => JsonNode.Parse(item)).ToArray()));
                    Golden.Difference(held, new JsonArray(seconds.ToArray<JsonNode>())).ShouldBeNull();
                    break;
                case GridWindow window:
                    HeldRows(window, held!.AsArray());
                    break;
            }
        }
    }

    private static void HeldEntries(AppendWindow window, string topic, JsonArray raw)
    {
        window.Entries.Length.ShouldBe(raw.Count, topic);
        for (var i = 0; i < raw.Count; i++)
        {
            // A tariff part is one entry in the reference, a list; here its newest item is the entry.
            var payload = raw[i]![0] is JsonArray items ? items[^1] : raw[i]![0];
            Golden.Difference(payload, JsonNode.Parse(window.Entries[i].Item.Span)).ShouldBeNull(topic);
            window.Entries[i].TimeMs.ShouldBe((long)raw[i]![1]! * 1000, topic);
        }
    }

    /// <summary>
    /// A grid keeps of a row its time, its guns and their numbers, and the station's; the reference also kept stationId and
    /// hostCode, which no input shows.
    /// </summary>
    private static void HeldRows(GridWindow window, JsonArray held)
    {
        var grid = window.Grid!;
        var present = Enumerable.Range(0, grid.Count).Where(row => grid.RowTimeMs(row) != GridColumns.NoRow).ToList();
        present.Count.ShouldBe(held.Count);
        for (var i = 0; i < held.Count; i++)
        {
            var row = held[i]!;
            EventTime.TryReadLocal(Golden.Bytes(row["sendTime"]).Span, DefaultTopics.Zone, out var localMs, out _).ShouldBeTrue();
            grid.RowTimeMs(present[i]).ShouldBe(localMs);
            var guns = row["gunPower"]!["gunNo"]!.AsArray();
            for (var gun = 0; gun < guns.Count; gun++)
            {
                var key = Array.FindIndex(grid.Keys, name => JsonNode.Parse(name)!.GetValue<string>() == (string)guns[gun]!);
                grid.Keyed[0][present[i] * grid.Keys.Length + key].ShouldBe((double)row["gunPower"]!["outputPowerPerGunAvg"]![gun]!);
                grid.Keyed[1][present[i] * grid.Keys.Length + key].ShouldBe((double)row["gunPower"]!["outputPowerPerGunMax"]![gun]!);
            }
        }
    }

    private static IEnumerable<string> Serials(Run run) => run.Orders.Select(Serials);

    private static string Serials(JsonNode? orders) => string.Concat((orders?.AsArray() ?? []).Select(order => (string)order!["transactionSerialNo"]!));

    /// <summary>The orders of the second that silence closes.</summary>
    private static string Close(Run run)
    {
        var window = (SecondsWindow)run.Windows[DefaultTopics.Order];
        window.CloseDue(run.NowMs + SecondsWindow.SilenceMs - 1).ShouldBeNull();
        var closed = window.CloseDue(run.NowMs + SecondsWindow.SilenceMs).ShouldNotBeNull();
        return Serials(JsonNode.Parse(closed.Fragment!.GetJson("car_order").Span));
    }
}
