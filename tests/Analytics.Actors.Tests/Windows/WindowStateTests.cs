using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

/// <summary>What a checkpoint keeps of a window, also where the topic's configuration changed since.</summary>
public class WindowStateTests
{
    private const long NowMs = 1_763_000_000_000;

    // Written by version 0.1, and the input that they give. They must be read for ever: never change one, add those of new versions.
    public static TheoryData<string, string, string> StatesOfVersion01 => new()
    {
        {
            DefaultTopics.Meter,
            "0A1E0A1C0880BCF4D7A73312137B226D65746572506F776572223A31322E357D",
            """{"meterId":null,"meterPower":12.5,"rmeterLimitPower":null}"""
        },
        {
            DefaultTopics.Realtime,
            "12FC010880B7BAE6A4331080DDDB0120012880BCF4D7A7333204223031223201323A020200420CC0CCA7E3A43380D683E7A4334A430A1D67756E506F7765722E6F7574707574506F77657250657247756E41766710011A20000000000000F83F000000000000F8FF000000000000F8FF000000000000F8FF4A430A1D67756E506F7765722E6F7574707574506F77657250657247756E4D617810011A20000000000000F8FF000000000000F8FF000000000000F8FF00000000000010404A400A186F7574707574506F77657250657253746174696F6E4D61781A100000000000004043000000000000F8FF2212121039303037313939323534373430393933",
            """{"sendTime":["2025-11-04T01:00:00","2025-11-04T02:00:00","2025-11-04T03:00:00"],"gunNo":["01",2],"outputPowerPerGunAvg":[[1.5,0],[0,0],[0,0]],"outputPowerPerGunMax":[[0,0],[0,0],[0,4]],"outputPowerPerStationMax":[9007199254740993,0,0]}"""
        },
        {
            DefaultTopics.Acdc,
            "1A580A2A0A0248311080BCF4D7A7331A1D7B22686F7374436F6465223A224831222C226163506F776572223A317D0A2A0A0248321080BCF4D7A7331A1D7B22686F7374436F6465223A224832222C226163506F776572223A327D",
            """{"device_host_acdc":[{"hostCode":"H1","acPower":1},{"hostCode":"H2","acPower":2}]}"""
        },
        {
            DefaultTopics.Order,
            "22480A1F08C1FDD4C80610DCC7F4D7A7331A077B226E223A327D1A077B226E223A337D121608C0FDD4C8061080BCF4D7A7331A077B226E223A317D18C0FDD4C80620A4C9F4D7A7332801",
            """{"car_order":[{"n":1}]}"""
        },
    };

    public static TheoryData<string> Topics => new(DefaultTopics.All.Keys);

    [Theory]
    [MemberData(nameof(Topics))]
    public void Every_window_comes_back_as_it_was(string name)
    {
        var window = WindowWith(name);
        var loaded = TopicWindows.Load(DefaultTopics.All[name], DefaultTopics.Zone, window.Save());
        loaded.Save().ShouldBe(window.Save());
        loaded.NewestTimeMs.ShouldBe(window.NewestTimeMs);
        loaded.SizeBytes.ShouldBe(window.SizeBytes);
        loaded.IsEmpty.ShouldBe(window.IsEmpty);
        loaded.Shape()?.ToJsonObject().ShouldBe(window.Shape()?.ToJsonObject());
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void An_empty_window_comes_back_empty(string name)
    {
        TopicWindows.Load(DefaultTopics.All[name], DefaultTopics.Zone, []).IsEmpty.ShouldBeTrue();
        TopicWindows.Load(DefaultTopics.All[name], DefaultTopics.Zone, DefaultTopics.Window(name).Save()).IsEmpty.ShouldBeTrue();
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public void A_window_of_another_kind_starts_empty_or_with_what_fits(string name)
    {
        foreach (var other in DefaultTopics.All.Values)
        {
            var loaded = TopicWindows.Load(other, DefaultTopics.Zone, WindowWith(name).Save());
            if (loaded.GetType() != DefaultTopics.Window(name).GetType()) loaded.IsEmpty.ShouldBeTrue($"{name} as {other.Name}");
            else Should.NotThrow(() => loaded.Shape(), $"{name} as {other.Name}");
        }
    }

    [Theory]
    [MemberData(nameof(StatesOfVersion01))]
    public void The_formats_of_released_versions_are_read(string name, string state, string input)
    {
        var topic = DefaultTopics.All[name];
        if (topic.Shape == ShapeKind.Grid) topic = topic with { Window = 3 };
        var loaded = TopicWindows.Load(topic, DefaultTopics.Zone, Convert.FromHexString(state));
        Json(loaded).ShouldBe(input);
        Convert.ToHexString(loaded.Save()).ShouldBe(state);
    }

    [Fact]
    public void A_smaller_window_keeps_the_newest_entries()
    {
        var meter = DefaultTopics.All[DefaultTopics.Meter] with { Window = 4, Absent = AbsentFields.Omit };
        var window = DefaultTopics.Window(meter);
        for (var i = 0; i < 4; i++) window.Apply([DefaultTopics.Bytes($$"""{"meterPower":{{i}}}""")], NowMs + i, NowMs + i);
        Json(TopicWindows.Load(meter with { Window = 2 }, DefaultTopics.Zone, window.Save())).ShouldBe("""{"meterPower":[2,3]}""");
        Json(TopicWindows.Load(meter with { Window = 9 }, DefaultTopics.Zone, window.Save())).ShouldBe("""{"meterPower":[0,1,2,3]}""");
        // A type declared since then: what does not have it does not fit.
        TopicWindows.Load(meter with { Fields = [new("meterPower", "meterPower") { Type = FieldType.Text }] }, DefaultTopics.Zone, window.Save()).IsEmpty.ShouldBeTrue();
    }

    [Fact]
    public void A_grid_keeps_the_rows_that_fit_its_new_periods()
    {
        var realtime = DefaultTopics.All[DefaultTopics.Realtime] with { Window = 4 };
        var window = DefaultTopics.Window(realtime);
        window.Apply(DefaultTopics.Items(Row("00:10:00", "A", 0), Row("01:20:00", "B", 1), Row("03:40:00", "C", 3)), NowMs, NowMs);
        Json(window, "outputPowerPerGunAvg").ShouldBe("[[0,0,0],[0,1,0],[0,0,0],[0,0,3]]");

        var smaller = TopicWindows.Load(realtime with { Window = 3 }, DefaultTopics.Zone, window.Save());
        Json(smaller, "gunNo").ShouldBe("""["B","C"]""");
        Json(smaller, "outputPowerPerGunAvg").ShouldBe("[[1,0],[0,0],[0,3]]");

        var larger = TopicWindows.Load(realtime with { Window = 5 }, DefaultTopics.Zone, window.Save());
        Json(larger, "outputPowerPerGunAvg").ShouldBe("[[0,0,0],[0,0,0],[0,1,0],[0,0,0],[0,0,3]]");

        var halfHours = TopicWindows.Load(realtime with { PeriodMs = 1_800_000 }, DefaultTopics.Zone, window.Save());
        Json(halfHours, "sendTime").ShouldStartWith("[\"2025-11-04 02:00:00\"");
        Json(halfHours, "outputPowerPerGunAvg").ShouldBe("[[0],[0],[0],[3]]");

        var newest = TopicWindows.Load(realtime with { Align = GridAlignment.Newest }, DefaultTopics.Zone, window.Save());
        Json(newest, "sendTime").ShouldEndWith("\"2025-11-04 03:40:00\"]");
        // 01:20 lies in the period that ends at 01:40.
        Json(newest, "outputPowerPerGunAvg").ShouldBe("[[0,0,0],[0,1,0],[0,0,0],[0,0,3]]");

        var otherSeries = realtime with { Grid = realtime.Grid! with { KeyedSeries = [realtime.Grid.KeyedSeries[0], new("gunPower.new", "new")] } };
        var changed = TopicWindows.Load(otherSeries, DefaultTopics.Zone, window.Save());
        Json(changed, "outputPowerPerGunAvg").ShouldBe("[[0,0,0],[0,1,0],[0,0,0],[0,0,3]]");
        Json(changed, "new").ShouldBe("[[0,0,0],[0,0,0],[0,0,0],[0,0,0]]");

        Json(TopicWindows.Load(realtime with { Fill = FillStrategy.Missing }, DefaultTopics.Zone, window.Save()), "outputPowerPerGunAvg")
            .ShouldBe("[[0,null,null],[null,1,null],[null,null,null],[null,null,3]]");
    }

    [Fact]
    public void Devices_named_by_another_member_now_are_taken_over_by_it()
    {
        var storage = DefaultTopics.All[DefaultTopics.Storage];
        var window = DefaultTopics.Window(storage);
        window.Apply(DefaultTopics.Items("""{"storageCode":"B1","hostCode":"H2"}""", """{"storageCode":"B2"}""", """{"storageCode":"B3","hostCode":"H1"}"""), NowMs, NowMs);
        Json(TopicWindows.Load(storage with { DeviceMember = "hostCode" }, DefaultTopics.Zone, window.Save()))
            .ShouldBe("""{"device_storage":[{"storageCode":"B3","hostCode":"H1"},{"storageCode":"B1","hostCode":"H2"}]}""");
    }

    [Fact]
    public void A_grid_saves_only_periods_that_have_a_row()
    {
        var window = DefaultTopics.Window(DefaultTopics.Realtime);
        window.Apply(DefaultTopics.Items(Row("00:10:00", "A", 0)), NowMs, NowMs);
        window.Save().Length.ShouldBeLessThan(200);
    }

    private static TopicWindow WindowWith(string name)
    {
        var window = DefaultTopics.Window(name);
        var record = Records.SampleRecords.Item(name);
        if (name == DefaultTopics.Calendar) record = Records.SampleRecords.Of(name);
        window.Apply([DefaultTopics.Bytes(record)], NowMs, NowMs).Rejected.ShouldBeEmpty();
        // The second after it closes the second of orders.
        if (window is SecondsWindow) window.Apply([DefaultTopics.Bytes(record)], NowMs + 1000, NowMs + 1000);
        return window;
    }

    private static string Row(string time, string gun, int power) =>
        $$$"""{"sendTime":"2025-11-04 {{{time}}}","gunPower":{"gunNo":["{{{gun}}}"],"outputPowerPerGunAvg":[{{{power}}}]}}""";

    private static string Json(TopicWindow window) => Encoding.UTF8.GetString(window.Shape()!.ToJsonObject());
    private static string Json(TopicWindow window, string name) => Encoding.UTF8.GetString(window.Shape()!.GetJson(name).Span);
}
