using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.Records;

namespace Analytics.Actors.Tests.Windows;

/// <summary>Bad values in every field of every topic, from the record to the shape: no exception, and nothing good is lost.</summary>
public class WindowBadInputTests
{
    private const long NowMs = 1_763_000_000_000;
    private static readonly string[] Values =
    [
        "null", "true", "5", "-1.5", "1e400", "\"\"", "\"text\"", "[]", "[null]", "[1]", "[\"x\",\"y\"]", "[[1],[2]]", "[1,2,3,4,5]", "{}", "{\"a\":1}",
        "9007199254740993", "\"" + new string('x', 10_000) + "\"", new string('[', 60) + new string(']', 60),
    ];

    public static TheoryData<string> Topics => new(DefaultTopics.All.Keys);

    [Theory]
    [MemberData(nameof(Topics))]
    public void Wrong_values_in_every_field_are_applied_or_rejected_and_what_is_applied_can_be_shaped(string name)
    {
        var outcomes = new HashSet<string>();
        foreach (var path in Paths(JsonNode.Parse(SampleRecords.Item(name))!.AsObject()))
            foreach (var value in Values.Append(null))
                outcomes.Add(Outcome(name, With(SampleRecords.Item(name), path, value)));
        // Something of it was fine and something was not, or the test would not test.
        outcomes.ShouldContain("applied");
        if (DefaultTopics.All[name].Scope == TopicScope.Station) outcomes.ShouldContain("invalid-id");
    }

    [Theory]
    [InlineData(DefaultTopics.Meter, "meterPower", "\"5\"")]
    [InlineData(DefaultTopics.Gun, "gunNo", "\"01\"")]
    [InlineData(DefaultTopics.Gun, "status", "[\"idle\"]")]
    [InlineData(DefaultTopics.Gun, "hostCode", "{}")]
    [InlineData(DefaultTopics.Dcdc, "dcWorkStatus", "\"00\"")]
    [InlineData(DefaultTopics.Dcdc, "dcdcPower", "[1]")]
    [InlineData(DefaultTopics.Dcdc, "dcdcPower", "1")]
    [InlineData(DefaultTopics.Acdc, "acPower", "\"1\"")]
    [InlineData(DefaultTopics.Realtime, "gunPower", "5", true)]
    [InlineData(DefaultTopics.Realtime, "gunPower.gunNo", "[\"01\"]")]
    [InlineData(DefaultTopics.Realtime, "gunPower.outputPowerPerGunAvg", "[1]")]
    [InlineData(DefaultTopics.Realtime, "outputPowerPerStationAvg", "{}")]
    public void What_a_shape_cannot_hold_is_of_the_wrong_type(string name, string path, string value, bool isAbsent = false)
    {
        // A gunPower that is no object has no guns: a row without them, not a wrong type.
        Outcome(name, With(SampleRecords.Item(name), path.Split('.'), value)).ShouldBe(isAbsent ? "applied" : "wrong-type");
        Outcome(name, SampleRecords.Item(name)).ShouldBe("applied");
    }

    [Fact]
    public void A_value_of_ten_megabytes_is_held_and_shaped()
    {
        var window = DefaultTopics.Window(DefaultTopics.Weather);
        window.Apply([DefaultTopics.Bytes($$"""{"stationId":"S1","seasonTomorrow":"{{new string('x', 10_000_000)}}"}""")], NowMs, NowMs).Rejected.ShouldBeEmpty();
        window.Shape()!.GetJson("seasonTomorrow").Length.ShouldBe(10_000_002);
        window.SizeBytes.ShouldBeGreaterThan(10_000_000);
    }

    [Fact]
    public void A_grid_takes_rows_with_very_many_guns()
    {
        const int guns = 20_000;
        var names = string.Join(',', Enumerable.Range(0, guns));
        var window = DefaultTopics.Window(DefaultTopics.Realtime);
        window.Apply([DefaultTopics.Bytes($$$"""{"sendTime":"2025-11-04 03:00:00","gunPower":{"gunNo":[{{{names}}}],"outputPowerPerGunAvg":[{{{names}}}]}}""")], NowMs, NowMs).Rejected.ShouldBeEmpty();
        window.Shape()!.TryGetSeries("outputPowerPerGunAvg", out var series).ShouldBeTrue();
        series[167, guns - 1].ShouldBe(guns - 1);
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void Nesting_that_the_splitter_would_refuse_is_refused_by_windows_that_look_into_items(string name)
    {
        var deep = new string('[', 1000) + new string(']', 1000);
        var item = SampleRecords.Item(name).Replace("\"S1\"", $"\"S1\",\"deep\":{deep}");
        var window = DefaultTopics.Window(name);
        var change = window.Apply([DefaultTopics.Bytes(item)], NowMs, NowMs);
        if (change.Rejected.Count > 0) return;
        try
        {
            _ = window.Shape();
        }
        catch (ShapeException)
        {
            // It was held unseen, as the contract allows, and fails where it is looked at.
        }
    }

    private static string Outcome(string name, string item)
    {
        var topic = DefaultTopics.All[name];
        var split = SampleRecords.Split(topic, DefaultTopics.Bytes(SampleRecords.Wrap(name, item)));
        if (split.Rejected.Count > 0) return split.Rejected.Single().Reason.Code;
        var window = DefaultTopics.Window(topic);
        var change = window.Apply(split.ItemsOf(split.Parts.Single()).ToArray(), NowMs, NowMs);
        if (window is SecondsWindow seconds) seconds.CloseDue(NowMs + 1_000).ShouldNotBeNull();
        if (window.Shape() is { } shape)
            foreach (var member in shape.Names) Should.NotThrow(() => JsonNode.Parse(shape.GetJson(member).Span), member);
        TopicWindows.Load(topic, DefaultTopics.Zone, window.Save()).Save().ShouldBe(window.Save());
        return change.Rejected.Count > 0 ? change.Rejected.Single().Reason.Code : "applied";
    }

    private static IEnumerable<string[]> Paths(JsonObject item)
    {
        foreach (var (name, value) in item)
        {
            yield return [name];
            if (value is JsonObject nested)
                foreach (var path in Paths(nested)) yield return [name, .. path];
        }
    }

    /// <summary>The item with one member replaced; null takes the member away.</summary>
    private static string With(string item, string[] path, string? value)
    {
        const string mark = "\"<here>\"";
        var root = JsonNode.Parse(item)!.AsObject();
        var owner = path[..^1].Aggregate(root, (node, name) => node[name]!.AsObject());
        if (value is null)
        {
            owner.Remove(path[^1]);
            return root.ToJsonString();
        }

        owner[path[^1]] = "<here>";
        return root.ToJsonString(new System.Text.Json.JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }).Replace(mark, value);
    }
}
