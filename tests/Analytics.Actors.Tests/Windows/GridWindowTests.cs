using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Windows;

/// <summary>Rows on a grid of periods.</summary>
public class GridWindowTests
{
    private const long Hour = 3_600_000;
    private static readonly TopicConfiguration Realtime = DefaultTopics.All[DefaultTopics.Realtime] with { Window = 4 };
    private static readonly long NowMs = DateTimeOffset.Parse("2025-11-04T12:00:00+08:00", System.Globalization.CultureInfo.InvariantCulture).ToUnixTimeMilliseconds();

    [Fact]
    public void A_row_belongs_to_the_period_that_contains_it()
    {
        var shape = Shape(Realtime, Row("01:59:59", 1), Row("03:20:00", 2), Row("02:00:00", 3));
        Text(shape, "sendTime").ShouldBe("""["2025-11-04 00:00:00","2025-11-04 01:00:00","2025-11-04 02:00:00","2025-11-04 03:00:00"]""");
        Text(shape, "outputPowerPerGunAvg").ShouldBe("[[0],[1],[3],[2]]");
    }

    [Fact]
    public void The_latest_row_of_a_period_wins_and_of_equal_times_the_last_one()
    {
        Text(Shape(Realtime, Row("03:40:00", 2), Row("03:20:00", 1)), "outputPowerPerGunAvg").ShouldBe("[[0],[0],[0],[2]]");
        Text(Shape(Realtime, Row("03:20:00", 1), Row("03:20:00", 2)), "outputPowerPerGunAvg").ShouldBe("[[0],[0],[0],[2]]");
    }

    [Fact]
    public void Aligned_to_the_newest_row_periods_end_at_its_minute()
    {
        var shape = Shape(Realtime with { Align = GridAlignment.Newest }, Row("03:20:45", 4), Row("02:21:00", 3), Row("02:20:00", 2), Row("00:20:59", 1));
        Text(shape, "sendTime").ShouldBe("""["2025-11-04 00:20:00","2025-11-04 01:20:00","2025-11-04 02:20:00","2025-11-04 03:20:00"]""");
        Text(shape, "outputPowerPerGunAvg").ShouldBe("[[1],[0],[2],[4]]");
    }

    [Fact]
    public void Guns_come_in_order_of_first_appearance_in_time()
    {
        var shape = Shape(Realtime, Gun("03:00:00", """["C","A"]""", "[5,6]"), Gun("01:00:00", """["B"]""", "[1]"), Gun("02:00:00", """["A",7]""", "[3,4]"), Gun("2025-11-03 01:00:00", """["old"]""", "[9]"));
        Text(shape, "gunNo").ShouldBe("""["B","A",7,"C"]""");
        Text(shape, "outputPowerPerGunAvg").ShouldBe("[[0,0,0,0],[1,0,0,0],[0,3,4,0],[0,6,0,5]]");
        // A list that no row carries is all holes.
        Text(shape, "outputPowerPerGunMax").ShouldBe("[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0]]");
    }

    [Fact]
    public void A_gun_named_twice_has_the_value_named_last() =>
        Text(Shape(Realtime, Gun("03:00:00", """["A","A"]""", "[9007199254740993,6]")), "outputPowerPerGunAvg").ShouldBe("[[0],[0],[0],[6]]");

    [Fact]
    public void A_series_of_the_station_is_absent_where_no_row_carries_it_and_aligned_where_one_does()
    {
        Shape(Realtime, Row("03:00:00", 1)).Names.ShouldNotContain("outputPowerPerStationAvg");
        Shape(Realtime, """{"sendTime":"2025-11-04 03:00:00","outputPowerPerStationAvg":null}""").Names.ShouldNotContain("outputPowerPerStationAvg");
        Text(Shape(Realtime, Row("03:00:00", 1), """{"sendTime":"2025-11-04 01:30:00","outputPowerPerStationAvg":8}"""), "outputPowerPerStationAvg").ShouldBe("[0,8,0,0]");
    }

    [Theory]
    [InlineData(FillStrategy.Zero, "[[0],[1],[0],[4]]")]
    [InlineData(FillStrategy.Forward, "[[1],[1],[1],[4]]")]
    [InlineData(FillStrategy.Linear, "[[1],[1],[2.5],[4]]")]
    [InlineData(FillStrategy.Missing, "[[null],[1],[null],[4]]")]
    public void Missing_periods_are_filled(FillStrategy fill, string expected)
    {
        var shape = Shape(Realtime with { Fill = fill }, Row("01:00:00", 1), Row("03:00:00", 4));
        Text(shape, "outputPowerPerGunAvg").ShouldBe(expected);
        shape.TryGetSeries("outputPowerPerGunAvg", out var series).ShouldBeTrue();
        series.Rows.ShouldBe(4);
        series.Columns.ShouldBe(1);
        JsonNode.Parse(expected)!.AsArray().Select(row => row![0] is { } value ? (double)value : double.NaN).ShouldBe(series.Values.ToArray());
    }

    [Fact]
    public void Numbers_that_a_double_does_not_hold_keep_their_digits_also_where_they_fill_a_hole()
    {
        var topic = Realtime with { Fill = FillStrategy.Forward };
        var window = DefaultTopics.Window(topic);
        window.Apply(DefaultTopics.Items(Gun("01:00:00", """["A","B"]""", "[9007199254740993,10.0]"), Gun("03:00:00", """["A"]""", "[0.10000000000000000555]")), NowMs, NowMs);
        const string expected = "[[9007199254740993,10],[9007199254740993,10],[9007199254740993,10],[0.10000000000000000555,10]]";
        Text(window.Shape()!, "outputPowerPerGunAvg").ShouldBe(expected);
        Text(TopicWindows.Load(topic, DefaultTopics.Zone, window.Save()).Shape()!, "outputPowerPerGunAvg").ShouldBe(expected);
    }

    [Fact]
    public void A_number_beyond_the_range_of_doubles_fails_nothing()
    {
        foreach (var fill in Enum.GetValues<FillStrategy>())
            Text(Shape(Realtime with { Fill = fill }, Row("01:00:00", "1e400"), Row("03:00:00", "-1e400")), "outputPowerPerGunAvg").ShouldContain("1e400");
    }

    [Theory]
    [InlineData("""{"gunPower":{"gunNo":[]}}""", "bad-time")]
    [InlineData("""{"sendTime":null}""", "bad-time")]
    [InlineData("""{"sendTime":"zzz"}""", "bad-time")]
    [InlineData("""{"sendTime":""}""", "bad-time")]
    [InlineData("""{"sendTime":{}}""", "bad-time")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":"01"}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":[1.5]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":[null]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":1}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":["1"]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[true]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[1,2]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"outputPowerPerGunAvg":[1]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[1],"outputPowerPerGunMax":[9007199254740993,1]}}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","outputPowerPerStationAvg":"1"}""", "wrong-type")]
    [InlineData("""{"sendTime":"2025-11-04 01:00:00","outputPowerPerStationMax":[1]}""", "wrong-type")]
    [InlineData("""[]""", "item-not-object")]
    [InlineData("""{"sendTime":""", "not-json")]
    public void A_bad_row_is_rejected_singly(string bad, string code)
    {
        var window = DefaultTopics.Window(Realtime);
        var change = window.Apply(DefaultTopics.Items(Row("02:00:00", 1), bad, Row("03:00:00", 2)), NowMs, NowMs);
        change.Changed.ShouldBeTrue();
        change.Rejected.Single().ShouldSatisfyAllConditions(item => item.Index.ShouldBe(1), item => item.Reason.Code.ShouldBe(code));
        Text(window.Shape()!, "outputPowerPerGunAvg").ShouldBe("[[0],[0],[1],[2]]");

        // A part without any usable row leaves the window as it is.
        var before = window.Save();
        var version = window.Version;
        window.Apply([DefaultTopics.Bytes(bad)], NowMs, NowMs).Changed.ShouldBeFalse();
        window.Save().ShouldBe(before);
        window.Version.ShouldBe(version);
    }

    [Fact]
    public void Times_keep_the_form_of_the_newest_row_and_lose_their_zone()
    {
        Text(Shape(Realtime, """{"sendTime":"2025-11-04T03:20:00"}"""), "sendTime").ShouldEndWith("\"2025-11-04T03:00:00\"]");
        Text(Shape(Realtime, """{"sendTime":"2025-11-03T19:20:00Z"}"""), "sendTime").ShouldEndWith("\"2025-11-04T03:00:00\"]");
        Text(Shape(Realtime, """{"sendTime":1762197600}"""), "sendTime").ShouldEndWith("\"2025-11-04 03:00:00\"]");
    }

    [Fact]
    public void A_new_part_replaces_the_rows()
    {
        var window = DefaultTopics.Window(Realtime);
        window.Apply(DefaultTopics.Items(Row("01:00:00", 1), Row("02:00:00", 2)), NowMs, NowMs);
        window.Apply(DefaultTopics.Items(Row("03:00:00", 3)), NowMs, NowMs);
        Text(window.Shape()!, "outputPowerPerGunAvg").ShouldBe("[[0],[0],[0],[3]]");
    }

    [Fact]
    public void An_appending_grid_keeps_the_rows_that_are_there()
    {
        var window = DefaultTopics.Window(Realtime with { Mode = UpdateMode.Append });
        foreach (var row in new[] { Row("01:00:00", 1), Row("03:00:00", 3), Row("02:30:00", 2), Row("05:00:00", 5) })
            window.Apply([DefaultTopics.Bytes(row)], NowMs, NowMs).Changed.ShouldBeTrue();
        Text(window.Shape()!, "sendTime").ShouldStartWith("[\"2025-11-04 02:00:00\"");
        Text(window.Shape()!, "outputPowerPerGunAvg").ShouldBe("[[2],[3],[0],[5]]");
    }

    [Fact]
    public void Rows_expire_by_their_own_time()
    {
        var window = DefaultTopics.Window(Realtime with { TtlMs = Hour });
        window.Apply(DefaultTopics.Items(Row("10:30:00", 1), Row("11:30:00", 2)), NowMs, NowMs);
        window.NewestTimeMs.ShouldBe(NowMs - Hour / 2);
        window.Expire(NowMs - Hour / 2).ShouldBeFalse();
        window.Expire(NowMs).ShouldBeTrue();
        Text(window.Shape()!, "outputPowerPerGunAvg").ShouldBe("[[0],[0],[0],[2]]");
        window.Expire(NowMs + Hour / 2 + 1).ShouldBeTrue();
        window.IsEmpty.ShouldBeTrue();
        window.Shape().ShouldBeNull();
        window.NewestTimeMs.ShouldBeNull();
    }

    [Fact]
    public void A_row_of_the_future_counts_as_now()
    {
        var window = DefaultTopics.Window(Realtime with { TtlMs = Hour });
        window.Apply(DefaultTopics.Items(Row("23:00:00", 1)), NowMs, NowMs);
        window.NewestTimeMs.ShouldBe(NowMs);
        window.Expire(NowMs + Hour + 1).ShouldBeTrue();
    }

    [Fact]
    public void Numbers_are_handed_out_without_a_copy_for_each_who_asks()
    {
        var window = (GridWindow)DefaultTopics.Window(Realtime with { Fill = FillStrategy.Missing });
        window.Apply(DefaultTopics.Items(Row("02:00:00", 1), Row("03:00:00", 2)), NowMs, NowMs);
        var shape = window.Shape()!;
        shape.TryGetSeries("outputPowerPerGunAvg", out var series).ShouldBeTrue();
        shape.TryGetSeries("outputPowerPerGunAvg", out var again).ShouldBeTrue();
        series.Values.Equals(again.Values).ShouldBeTrue();
        GC.KeepAlive(series.Values);
        shape.TryGetSeries("sendTime", out _).ShouldBeFalse();
        shape.GetJson("unknown").IsEmpty.ShouldBeTrue();
        window.Shape().ShouldBeSameAs(shape);
    }

    [Fact]
    public void All_series_align_for_arbitrary_rows()
    {
        var row = from hour in Gen.Choose(0, 400)
                  from minute in Gen.Choose(0, 59)
                  from guns in Gen.Elements("01", "02", "03", "04").ArrayOf()
                  from station in Gen.Elements("", ",\"outputPowerPerStationAvg\":5", ",\"outputPowerPerStationMax\":null")
                  from broken in Gen.Choose(0, 9)
                  select Row(hour, minute, guns, station, broken);
        var align = Gen.Elements(GridAlignment.Period, GridAlignment.Newest);
        Prop.ForAll(row.ArrayOf().ToArbitrary(), align.ToArbitrary(), Gen.Elements(Enum.GetValues<FillStrategy>()).ToArbitrary(), (rows, alignment, fill) =>
        {
            var topic = Realtime with { Window = 24, Align = alignment, Fill = fill };
            var window = DefaultTopics.Window(topic);
            var change = window.Apply(DefaultTopics.Items(rows), NowMs, NowMs);
            change.Changed.ShouldBe(change.Rejected.Count < rows.Length);
            if (window.Shape() is not { } shape) return;
            var guns = JsonNode.Parse(shape.GetJson("gunNo").Span)!.AsArray().Count;
            JsonNode.Parse(shape.GetJson("sendTime").Span)!.AsArray().Count.ShouldBe(24);
            foreach (var name in shape.Names.Except(["sendTime", "gunNo"]))
            {
                shape.TryGetSeries(name, out var series).ShouldBeTrue();
                series.Rows.ShouldBe(24);
                series.Columns.ShouldBe(name.Contains("Gun") ? guns : 1);
                series.Values.Length.ShouldBe(series.Rows * series.Columns);
                if (fill == FillStrategy.Zero) series.Values.ToArray().ShouldAllBe(value => !double.IsNaN(value));
                // The JSON says the same as the numbers.
                SeriesParser.TryParse(shape.GetJson(name).Span, out var parsed).ShouldBeTrue();
                parsed.Values.ToArray().ShouldBe(series.Values.ToArray());
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_order_of_rows_in_a_part_does_not_matter()
    {
        var hours = Gen.Choose(0, 30).ArrayOf();
        Prop.ForAll(hours.ToArbitrary(), chosen =>
        {
            // Times differ, so that no two rows compete as equals.
            var rows = chosen.Select((hour, index) => Row(hour, index % 60, [$"0{hour % 3}"], "", 5)).DistinctBy(row => row[..40]).ToArray();
            var (forward, backward) = (DefaultTopics.Window(Realtime), DefaultTopics.Window(Realtime));
            forward.Apply(DefaultTopics.Items(rows), NowMs, NowMs);
            backward.Apply(DefaultTopics.Items(rows.Reverse().ToArray()), NowMs, NowMs);
            return forward.Save().AsSpan().SequenceEqual(backward.Save());
        }).QuickCheckThrowOnFailure();
    }

    private static string Row(int hour, int minute, string[] guns, string station, int broken)
    {
        var time = broken == 0 ? "no time" : new DateTime(2025, 10, 20, 0, minute, 0, DateTimeKind.Unspecified).AddHours(hour).ToString("yyyy-MM-dd HH:mm:ss", System.Globalization.CultureInfo.InvariantCulture);
        var numbers = string.Join(',', guns.Select((_, index) => index == 1 ? "null" : $"{hour}.5").Skip(broken == 1 && guns.Length > 0 ? 1 : 0));
        var names = string.Join(',', guns.Select(gun => $"\"{gun}\""));
        return $$"""{"sendTime":"{{time}}","gunPower":{"gunNo":[{{names}}],"outputPowerPerGunAvg":[{{numbers}}]}{{station}}}""";
    }

    private static string Row(string time, object power) => Gun(time, """["01"]""", $"[{power}]");

    private static string Gun(string time, string guns, string power)
    {
        if (time.Length < 10) time = "2025-11-04 " + time;
        return $$$"""{"sendTime":"{{{time}}}","gunPower":{"gunNo":{{{guns}}},"outputPowerPerGunAvg":{{{power}}}}}""";
    }

    private static InputFragment Shape(TopicConfiguration topic, params string[] rows)
    {
        var window = DefaultTopics.Window(topic);
        window.Apply(DefaultTopics.Items(rows), NowMs, NowMs).Rejected.ShouldBeEmpty();
        return window.Shape().ShouldNotBeNull();
    }

    private static string Text(InputFragment fragment, string name) => Encoding.UTF8.GetString(fragment.GetJson(name).Span);
}
