using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

/// <summary>Windows of entries and of devices, and their shapes.</summary>
public class EntryWindowTests
{
    private const long NowMs = 1_763_000_000_000;
    private static readonly TopicConfiguration Meter = DefaultTopics.All[DefaultTopics.Meter];

    [Fact]
    public void The_newest_entries_stay_in_order_of_arrival()
    {
        var window = (AppendWindow)DefaultTopics.Window(Meter with { Window = 3 });
        for (var i = 0; i < 5; i++) window.Apply([Power(i)], NowMs - i, NowMs).Changed.ShouldBeTrue();
        window.Entries.ToArray().Select(entry => NowMs - entry.TimeMs).ShouldBe([2L, 3, 4]);
        window.NewestTimeMs.ShouldBe(NowMs - 2);
        Json(window).ShouldBe("""{"meterId":[null,null,null],"meterPower":[2,3,4],"rmeterLimitPower":[null,null,null]}""");
    }

    [Fact]
    public void One_entry_is_flat_also_in_a_larger_window_unless_it_is_padded()
    {
        var window = DefaultTopics.Window(Meter with { Window = 3, Absent = AbsentFields.Omit });
        window.Apply([Power(7)], NowMs, NowMs);
        Json(window).ShouldBe("""{"meterPower":7}""");
        var padded = DefaultTopics.Window(Meter with { Window = 3, Absent = AbsentFields.Omit, Pad = true, Fill = FillStrategy.Forward });
        padded.Apply([Power(7)], NowMs, NowMs);
        Json(padded).ShouldBe("""{"meterPower":[7,7,7]}""");
    }

    [Fact]
    public void Padding_is_filled_by_the_times_of_the_entries()
    {
        var window = DefaultTopics.Window(Meter with { Window = 5, Absent = AbsentFields.Omit, Pad = true, Fill = FillStrategy.Linear });
        window.Apply([Power(0)], NowMs - 10_000, NowMs);
        window.Apply([Power("null")], NowMs - 9_000, NowMs);
        window.Apply([Power(10)], NowMs, NowMs);
        Json(window).ShouldBe("""{"meterPower":[0,0,0,1,10]}""");
    }

    [Fact]
    public void Without_selected_fields_all_members_become_lists()
    {
        var window = DefaultTopics.Window(Meter with { Fields = [], Window = 2 });
        window.Apply(DefaultTopics.Items("""{"a":1}""", """{"b":2,"a":3}"""), NowMs, NowMs);
        Json(window).ShouldBe("""{"a":[1,3],"b":[null,2]}""");
    }

    [Fact]
    public void Absent_members_are_omitted_or_null()
    {
        var window = DefaultTopics.Window(DefaultTopics.Param);
        window.Apply(DefaultTopics.Items("""{"stationId":"S1","gunNum":null,"gridCapacity":630.0,"x":1}"""), NowMs, NowMs);
        Json(window).ShouldBe("""{"stationId":"S1","gunNum":null,"gridCapacity":630.0}""");
        var meter = DefaultTopics.Window(Meter);
        meter.Apply(DefaultTopics.Items("{}"), NowMs, NowMs);
        Json(meter).ShouldBe("""{"meterId":null,"meterPower":null,"rmeterLimitPower":null}""");
    }

    [Fact]
    public void Numbers_and_nested_values_stay_as_they_are_written()
    {
        var topic = Meter with { Fields = [new("a.b", "x"), new("n", "n"), new("missing.too", "y") { Default = "5" }] };
        var window = DefaultTopics.Window(topic);
        window.Apply(DefaultTopics.Items("""{"n":12345678901234567890,"a":{"c":1,"b":[1.50]}}"""), NowMs, NowMs);
        Json(window).ShouldBe("""{"x":[1.50],"n":12345678901234567890,"y":5}""");
    }

    [Fact]
    public void A_declared_type_is_checked_and_null_always_allowed()
    {
        var window = DefaultTopics.Window(Meter);
        var change = window.Apply(DefaultTopics.Items("""{"meterPower":"12"}""", """{"meterPower":null}""", """{"meterPower":{}}""", "7"), NowMs, NowMs);
        change.Rejected.Select(item => (item.Index, item.Reason.Code)).ShouldBe([(0, "wrong-type"), (2, "wrong-type"), (3, "item-not-object")]);
        change.Rejected[0].Reason.Detail.ShouldBe("meterPower is text where a number is due");
        change.Changed.ShouldBeTrue();
    }

    [Theory]
    [InlineData(FieldType.Text, "\"a\"", "1")]
    [InlineData(FieldType.Number, "1.5", "\"1\"")]
    [InlineData(FieldType.Boolean, "false", "0")]
    [InlineData(FieldType.List, "[]", "{}")]
    [InlineData(FieldType.Object, "{}", "[]")]
    public void Every_type_takes_its_own_kind(FieldType type, string right, string wrong)
    {
        var window = DefaultTopics.Window(Meter with { Fields = [new("v", "v") { Type = type }] });
        window.Apply([DefaultTopics.Bytes($$"""{"v":{{right}}}""")], NowMs, NowMs).Rejected.ShouldBeEmpty();
        window.Apply([DefaultTopics.Bytes($$"""{"v":{{wrong}}}""")], NowMs, NowMs).Rejected.Single().Reason.Code.ShouldBe("wrong-type");
    }

    [Fact]
    public void Entries_expire_each_by_its_time_and_the_future_counts_as_now()
    {
        var window = DefaultTopics.Window(Meter with { Window = 3, TtlMs = 1000 });
        window.Apply([Power(1)], NowMs - 900, NowMs);
        window.Apply([Power(2)], NowMs + 1_000_000, NowMs);
        window.NewestTimeMs.ShouldBe(NowMs);
        var version = window.Version;
        window.Expire(NowMs + 100).ShouldBeFalse();
        window.Version.ShouldBe(version);
        window.Expire(NowMs + 101).ShouldBeTrue();
        Json(window).ShouldBe("""{"meterId":null,"meterPower":2,"rmeterLimitPower":null}""");
        window.Expire(NowMs + 1001).ShouldBeTrue();
        window.IsEmpty.ShouldBeTrue();
        window.Shape().ShouldBeNull();
        window.SizeBytes.ShouldBe(0);
    }

    [Fact]
    public void In_mode_replace_a_parts_items_are_the_new_window()
    {
        var window = DefaultTopics.Window(Meter with { Mode = UpdateMode.Replace, Window = 5, Absent = AbsentFields.Omit });
        window.Apply([Power(1), Power(2)], NowMs, NowMs);
        window.Apply([DefaultTopics.Bytes("5")], NowMs, NowMs).Changed.ShouldBeFalse();
        Json(window).ShouldBe("""{"meterPower":[1,2]}""");
        window.Apply([Power(3), DefaultTopics.Bytes("5"), Power(4)], NowMs, NowMs);
        Json(window).ShouldBe("""{"meterPower":[3,4]}""");
    }

    [Fact]
    public void A_window_holds_its_own_copy_of_an_item()
    {
        var bytes = Encoding.UTF8.GetBytes("""{"meterPower":1}""");
        var window = DefaultTopics.Window(Meter);
        window.Apply([bytes], NowMs, NowMs);
        Array.Fill(bytes, (byte)'x');
        Json(window).ShouldContain("\"meterPower\":1");
    }

    [Fact]
    public void Guns_are_aligned_and_holes_take_the_nearest_earlier_value_else_the_later_else_the_default()
    {
        var window = DefaultTopics.Window(DefaultTopics.All[DefaultTopics.Gun] with { Window = 3 });
        window.Apply(DefaultTopics.Items(
            """{"sendTime":"2025-11-04 01:00:00","gunNo":["02"],"hostCode":["H1"],"status":[null]}""",
            """{"gunNo":["01",3],"hostCode":["H2","H3"]}""",
            """{"sendTime":1762198800,"gunNo":["02","01"],"status":["busy","idle"]}"""), NowMs, NowMs).Rejected.ShouldBeEmpty();
        Json(window).ShouldBe(
            """{"sendTime":["2025-11-04 01:00:00","",1762198800],"gunNo":["02","01",3],"hostCode":[["H1","H2","H3"],["H1","H2","H3"],["H1","H2","H3"]],"status":[["busy","idle","unknown"],["busy","idle","unknown"],["busy","idle","unknown"]]}""");
    }

    [Theory]
    [InlineData("""{"gunNo":"01","status":"idle"}""", "wrong-type")]
    [InlineData("""{"gunNo":["01"],"status":"idle"}""", "wrong-type")]
    [InlineData("""{"gunNo":["01"],"status":["idle","busy"]}""", "wrong-type")]
    [InlineData("""{"gunNo":[1.5],"status":["idle"]}""", "wrong-type")]
    [InlineData("""{"status":["idle"]}""", "wrong-type")]
    [InlineData("""{"gunNo":["01"],"sendTime":"zzz"}""", "bad-time")]
    [InlineData("""{"gunNo":["01"],"sendTime":[]}""", "bad-time")]
    [InlineData("""{"gunNo":["01"]""", "not-json")]
    public void A_gun_payload_that_cannot_be_aligned_is_rejected(string item, string code)
    {
        var window = DefaultTopics.Window(DefaultTopics.Gun);
        var change = window.Apply([DefaultTopics.Bytes(item)], NowMs, NowMs);
        change.Changed.ShouldBeFalse();
        change.Rejected.Single().Reason.Code.ShouldBe(code);
        window.IsEmpty.ShouldBeTrue();
    }

    [Fact]
    public void An_entry_has_its_own_time_or_the_records()
    {
        var window = DefaultTopics.Window(DefaultTopics.Gun);
        window.Apply(DefaultTopics.Items("""{"sendTime":"2025-11-04 01:00:00","gunNo":[]}"""), NowMs, NowMs);
        window.NewestTimeMs.ShouldBe(DateTimeOffset.Parse("2025-11-04T01:00:00+08:00", System.Globalization.CultureInfo.InvariantCulture).ToUnixTimeMilliseconds());
        window.Apply(DefaultTopics.Items("""{"sendTime":"","gunNo":[]}"""), NowMs, NowMs);
        window.NewestTimeMs.ShouldBe(NowMs);
    }

    [Fact]
    public void A_calendars_bad_days_are_left_out_singly()
    {
        var window = DefaultTopics.Window(DefaultTopics.Calendar);
        var change = window.Apply(DefaultTopics.Items("""{"v":1,"calendar":[{"date":"2025-01-01","isHoliday":1},5,{"isWeekend":true},{"date":"x","date":"y"}],"w":2}"""), NowMs, NowMs);
        change.Rejected.Select(item => (item.Reason.Code, Encoding.UTF8.GetString(item.Bytes.Span))).ShouldBe([("item-not-object", "5"), ("duplicate-key", """{"date":"x","date":"y"}""")]);
        Json(window).ShouldBe("""{"date":["2025-01-01",""],"isHoliday":[1,0],"isWeekend":[0,true]}""");
        // Nothing usable: the calendar that is there stays.
        window.Apply(DefaultTopics.Items("""{"calendar":[1,2]}"""), NowMs, NowMs).Rejected.Count.ShouldBe(1);
        window.Apply(DefaultTopics.Items("""{"calendar":5}"""), NowMs, NowMs).Rejected.Single().Reason.Code.ShouldBe("wrong-type");
        Json(window).ShouldContain("2025-01-01");
        window.Apply(DefaultTopics.Items("""{"calendar":[]}"""), NowMs, NowMs).Changed.ShouldBeTrue();
        Json(window).ShouldBe("""{"date":[],"isHoliday":[],"isWeekend":[]}""");
    }

    [Fact]
    public void Devices_come_in_order_of_their_code_as_text_each_with_its_own_ttl()
    {
        var window = DefaultTopics.Window(DefaultTopics.Acdc);
        window.Apply(DefaultTopics.Items("""{"hostCode":"H9","acPower":9}""", """{"hostCode":10,"acPower":10.0}"""), NowMs, NowMs);
        window.Apply(DefaultTopics.Items("""{"hostCode":"H10","acPower":1}"""), NowMs + 300_000, NowMs + 300_000);
        window.Apply(DefaultTopics.Items("""{"hostCode":"H9","acPower":8,"x":1}"""), NowMs + 1, NowMs + 1);
        Json(window).ShouldBe("""{"device_host_acdc":[{"hostCode":10,"acPower":10.0},{"hostCode":"H10","acPower":1},{"hostCode":"H9","acPower":8}]}""");
        window.NewestTimeMs.ShouldBe(NowMs + 300_000);
        window.Expire(NowMs + 600_000).ShouldBeFalse();
        window.Expire(NowMs + 600_002).ShouldBeTrue();
        Json(window).ShouldBe("""{"device_host_acdc":[{"hostCode":"H10","acPower":1}]}""");
        window.Expire(NowMs + 900_001).ShouldBeTrue();
        window.IsEmpty.ShouldBeTrue();
        window.Shape().ShouldBeNull();
    }

    [Theory]
    [InlineData("""{"acPower":1}""", "no-device")]
    [InlineData("""{"hostCode":null}""", "invalid-device")]
    [InlineData("""{"hostCode":["H1"]}""", "invalid-device")]
    [InlineData("""{"hostCode":""}""", "invalid-device")]
    [InlineData("""{"hostCode":"H1","acPower":"1"}""", "wrong-type")]
    [InlineData("null", "item-not-object")]
    [InlineData("""{"hostCode":"H1",}""", "not-json")]
    public void A_payload_without_a_device_is_rejected(string item, string code)
    {
        var window = DefaultTopics.Window(DefaultTopics.Acdc);
        window.Apply([DefaultTopics.Bytes(item)], NowMs, NowMs).Rejected.Single().Reason.Code.ShouldBe(code);
        window.IsEmpty.ShouldBeTrue();
    }

    [Fact]
    public void A_shape_is_made_once_for_each_version()
    {
        var window = DefaultTopics.Window(Meter);
        window.Apply([Power(1)], NowMs, NowMs);
        var (shape, version) = (window.Shape(), window.Version);
        window.Shape().ShouldBeSameAs(shape);
        window.Apply([DefaultTopics.Bytes("1")], NowMs, NowMs);
        window.Version.ShouldBe(version);
        window.Shape().ShouldBeSameAs(shape);
        window.Apply([Power(2)], NowMs, NowMs);
        window.Version.ShouldBeGreaterThan(version);
        window.Shape().ShouldNotBeSameAs(shape);
    }

    [Fact]
    public void What_cannot_be_shaped_says_so()
    {
        // Nothing checks items of a topic without declared types, so garbage is found when it is shaped.
        var window = DefaultTopics.Window(DefaultTopics.Weather);
        window.Apply([DefaultTopics.Bytes("{{{")], NowMs, NowMs);
        Should.Throw<ShapeException>(() => window.Shape());
    }

    [Fact]
    public void A_configuration_that_no_window_can_serve_is_refused()
    {
        TopicWindows.Refuse(Meter).ShouldBeNull();
        DefaultTopics.All.Values.ShouldAllBe(topic => TopicWindows.Refuse(topic) == null);
        foreach (var topic in new[]
        {
            Meter with { Window = 0 }, Meter with { Mode = UpdateMode.Device }, Meter with { Mode = UpdateMode.Second }, Meter with { Shape = ShapeKind.Grid },
            Meter with { Shape = ShapeKind.Devices }, Meter with { Shape = ShapeKind.Orders }, Meter with { Shape = ShapeKind.Aligned }, Meter with { Shape = ShapeKind.Tariff },
            Meter with { Shape = ShapeKind.Columns, Fields = [] }, DefaultTopics.All[DefaultTopics.Realtime] with { PeriodMs = 0 },
            DefaultTopics.All[DefaultTopics.Order] with { ShapeMember = null }, DefaultTopics.All[DefaultTopics.Acdc] with { DeviceMember = null },
        })
        {
            TopicWindows.Refuse(topic).ShouldNotBeNull();
            Should.Throw<ArgumentException>(() => DefaultTopics.Window(topic));
        }
    }

    private static ReadOnlyMemory<byte> Power(object power) => DefaultTopics.Bytes($$"""{"stationId":"S1","meterPower":{{power}}}""");

    private static string Json(TopicWindow window) => Encoding.UTF8.GetString(window.Shape()!.ToJsonObject());
}
