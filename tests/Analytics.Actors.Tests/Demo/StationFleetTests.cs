using System.Globalization;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Tests.Demo;

public class StationFleetTests
{
    // 2025-11-13 02:13:20 UTC, a Thursday morning in Shenzhen.
    private const long StartMs = 1_763_000_000_000;

    private static List<DemoRecord> Run(FleetOptions options, long forMs = 30_000, long stepMs = 30_000)
    {
        using var fleet = new StationFleet(options);
        var records = new List<DemoRecord>();
        for (var now = StartMs + stepMs; now < StartMs + forMs + stepMs; now += stepMs) records.AddRange(fleet.Next(Math.Min(now, StartMs + forMs)));
        return records;
    }

    private static readonly Lazy<List<DemoRecord>> HalfMinute = new(() => Run(new FleetOptions { StartMs = StartMs }));

    private static string Print(DemoRecord record) => $"{record.Topic} {record.Key} {record.TimestampMs} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(record.Value))} {string.Join(",", record.Expectation.Parts)} {string.Join(",", record.Expectation.Rejections)}";

    [Fact]
    public void The_seed_decides_every_byte_whatever_the_steps_of_the_caller()
    {
        var options = new FleetOptions { StartMs = StartMs, Stations = 50 };
        var once = Run(options, 8_000, 8_000).Select(Print).ToArray();
        once.Length.ShouldBeGreaterThan(2_000);
        Run(options, 8_000, 137).Select(Print).ShouldBe(once);
        Run(options with { Seed = 2 }, 8_000, 8_000).Select(Print).SequenceEqual(once).ShouldBeFalse();
    }

    [Fact]
    public void A_limit_of_the_caller_only_postpones()
    {
        var options = new FleetOptions { StartMs = StartMs, Stations = 30 };
        using var fleet = new StationFleet(options);
        var inSlices = new List<DemoRecord>();
        for (var slice = fleet.Next(StartMs + 5_000, 7).ToList(); slice.Count > 0; slice = [.. fleet.Next(StartMs + 5_000, 7)])
        {
            slice.Count.ShouldBeLessThanOrEqualTo(7);
            inSlices.AddRange(slice);
        }

        inSlices.Select(Print).ShouldBe(Run(options, 5_000, 5_000).Select(Print));
    }

    [Fact]
    public void Within_half_a_minute_every_topic_appears_in_the_mix_of_the_users()
    {
        var records = HalfMinute.Value;
        records.Select(record => record.Topic).Distinct().Order().ShouldBe(ScheduleTopics.All.Order());
        double Share(params string[] topics) => (double)records.Count(record => topics.Contains(record.Topic)) / records.Count;
        Share(ScheduleTopics.CarOrder).ShouldBeInRange(0.55, 0.62);
        Share(ScheduleTopics.HostDcdc).ShouldBeInRange(0.27, 0.31);
        Share(ScheduleTopics.Storage, ScheduleTopics.HostAcdc, ScheduleTopics.Pv, ScheduleTopics.Gun).ShouldBeInRange(0.065, 0.08);
        // The burst and the pushes count with the rest, so that it may be a little more than 2.5 %.
        Share(ScheduleTopics.Meter, ScheduleTopics.Error, ScheduleTopics.StationParam, ScheduleTopics.RealtimeData, ScheduleTopics.Calendar, ScheduleTopics.Weather, ScheduleTopics.CarPrice)
            .ShouldBeInRange(0.02, 0.05);
    }

    [Fact]
    public void Even_a_slow_fleet_shows_every_topic_within_half_a_minute() =>
        Run(new FleetOptions { StartMs = StartMs, Stations = 20, RecordsPerSecond = 1 }).Select(record => record.Topic).Distinct().Count().ShouldBe(13);

    [Fact]
    public void The_rate_is_kept()
    {
        using var fleet = new StationFleet(new FleetOptions { StartMs = StartMs, RecordsPerSecond = 2_000, BadRecordEveryMs = 0 });
        _ = fleet.Next(fleet.FlowFromMs + 10_000 - 1).Count();
        // Beside the flow only the pushes on schedule.
        fleet.Next(fleet.FlowFromMs + 15_000 - 1).Count().ShouldBeInRange(10_000, 10_060);
    }

    [Fact]
    public void Without_a_rate_the_callers_count_decides()
    {
        using var fleet = new StationFleet(new FleetOptions { StartMs = StartMs, RecordsPerSecond = 0 });
        fleet.Next(StartMs + 60_000, 5_000).Count().ShouldBe(5_000);
        fleet.Next(StartMs + 60_000, 5_000).ShouldAllBe(record => record.TimestampMs <= StartMs + 60_000);
    }

    [Fact]
    public void Good_records_have_their_topics_envelope_and_name_the_stations_that_are_expected()
    {
        foreach (var record in HalfMinute.Value.Where(record => record.Expectation.Bad is null))
        {
            var items = Items(record);
            if (record.Topic == ScheduleTopics.Calendar)
            {
                record.Expectation.IsGlobal.ShouldBeTrue();
                items.Count.ShouldBeGreaterThan(5);
                continue;
            }

            var parts = new List<ExpectedPart>();
            for (var index = 0; index < items.Count; index++)
            {
                var id = items[index].GetProperty("stationId");
                var text = id.ValueKind == JsonValueKind.Number ? id.GetRawText() : id.GetString()!;
                if (!parts.Exists(part => part.Station == text)) parts.Add(new ExpectedPart(text, index));
            }

            record.Expectation.Parts.ShouldBe(parts);
            record.Expectation.Rejections.ShouldBeEmpty();
            if (record.Key is not null) record.Key.ShouldBe(parts.ShouldHaveSingleItem().Station);
        }
    }

    // By hand, from the topics' description; not by the code under test.
    private static List<JsonElement> Items(DemoRecord record)
    {
        var json = JsonDocument.Parse(record.Value).RootElement;
        var member = record.Topic switch
        {
            ScheduleTopics.RealtimeData => "realTimeData",
            ScheduleTopics.Calendar => "calendar",
            ScheduleTopics.Weather => "weather",
            ScheduleTopics.CarPrice => "fee",
            ScheduleTopics.Pv when json.TryGetProperty("photovoltaicMessage", out _) => "photovoltaicMessage",
            _ => null,
        };
        if (member is not null)
        {
            json.EnumerateObject().ShouldHaveSingleItem().Name.ShouldBe(member);
            return [.. json.GetProperty(member).EnumerateArray()];
        }

        if (record.Topic == ScheduleTopics.StationParam || (record.Topic == ScheduleTopics.CarOrder && json.ValueKind == JsonValueKind.Array)) return [.. json.EnumerateArray()];
        json.ValueKind.ShouldBe(JsonValueKind.Object);
        return [json];
    }

    [Fact]
    public void Ids_are_of_all_the_kinds_that_users_have()
    {
        var ids = HalfMinute.Value.Where(record => record.Topic == ScheduleTopics.CarOrder && record.Expectation.Bad is null).SelectMany(Items).Select(item => item.GetProperty("stationId")).ToArray();
        ids.ShouldContain(id => id.ValueKind == JsonValueKind.Number && id.GetRawText().Length == 19);
        ids.ShouldContain(id => id.ValueKind == JsonValueKind.Number && id.GetRawText().Length < 10);
        ids.ShouldContain(id => id.ValueKind == JsonValueKind.String && Ascii.IsValid(id.GetString()!));
        ids.ShouldContain(id => id.ValueKind == JsonValueKind.String && !Ascii.IsValid(id.GetString()!));
    }

    [Fact]
    public void Orders_have_fourteen_members_and_a_session_only_goes_forward()
    {
        var orders = Run(new FleetOptions { StartMs = StartMs, Stations = 12, RecordsPerSecond = 20, LateEvery = 0 }, 40 * 60_000)
            .Where(record => record.Topic == ScheduleTopics.CarOrder && record.Expectation.Bad is null).SelectMany(Items).ToArray();
        foreach (var session in orders.GroupBy(order => order.GetProperty("transactionSerialNo").GetString()))
        {
            var soc = session.First().GetProperty("beginSOC").GetDouble();
            foreach (var order in session)
            {
                order.EnumerateObject().Count().ShouldBe(14);
                order.GetProperty("soc").GetDouble().ShouldBeGreaterThanOrEqualTo(soc);
                soc = order.GetProperty("soc").GetDouble();
            }

            session.Select(order => $"{order.GetProperty("stationId")} {order.GetProperty("gunNo")}").Distinct().Count().ShouldBe(1);
        }

        // Cars go, others come.
        var ended = orders.Where(order => !order.GetProperty("endChargeTime").GetString()!.StartsWith("2070", StringComparison.Ordinal)).ToArray();
        ended.Length.ShouldBeGreaterThan(3);
        ended.ShouldAllBe(order => order.GetProperty("outputPower").GetDouble() == 0);
    }

    [Fact]
    public void The_burst_gives_every_punctual_station_what_the_modules_need()
    {
        using var fleet = new StationFleet(new FleetOptions { StartMs = StartMs });
        var burst = fleet.Next(fleet.FlowFromMs - 1).ToList();
        burst[0].Topic.ShouldBe(ScheduleTopics.Calendar);
        (fleet.FlowFromMs - StartMs).ShouldBeLessThan(3_000);
        string[] needed = [ScheduleTopics.StationParam, ScheduleTopics.CarPrice, ScheduleTopics.Weather, ScheduleTopics.RealtimeData];
        var told = needed.ToDictionary(topic => topic, topic => Stations(burst, topic));
        foreach (var topic in needed) told[topic].Count.ShouldBeGreaterThan((int)(fleet.StationCount * 0.9));

        // Late ones follow within ten seconds; silent ones never say a word.
        burst.AddRange(fleet.Next(StartMs + 10_000));
        foreach (var topic in needed) Stations(burst, topic).ShouldBe(fleet.TalkingStations, ignoreOrder: true);
        fleet.TalkingStations.Count().ShouldBe(195);
        var orders = Stations(burst, ScheduleTopics.CarOrder);
        orders.Count.ShouldBeGreaterThan(190);
    }

    private static HashSet<string> Stations(IEnumerable<DemoRecord> records, string topic) =>
        records.Where(record => record.Topic == topic && record.Expectation.Bad is null).SelectMany(record => record.Expectation.Parts).Select(part => part.Station).ToHashSet();

    [Fact]
    public void Some_stations_are_late_and_some_fall_silent()
    {
        var records = HalfMinute.Value.Where(record => record.Topic == ScheduleTopics.HostDcdc && record.Expectation.Bad is null).ToArray();
        var jumpsBack = records.GroupBy(record => record.Key!).Count(station => station.Zip(station.Skip(1)).Any(pair => pair.Second.TimestampMs < pair.First.TimestampMs));
        jumpsBack.ShouldBeInRange(5, 20);
        records.GroupBy(record => record.Key!).Count(station => station.Max(record => record.TimestampMs) < StartMs + 12_000).ShouldBe(5);
    }

    [Fact]
    public void A_push_tells_168_hours_of_every_gun_in_less_than_300_KB_and_always_the_same_past()
    {
        var pushes = Run(new FleetOptions { StartMs = StartMs, Stations = 30, RealtimePushEveryMs = 5_000 }, 14_000)
            .Where(record => record.Topic == ScheduleTopics.RealtimeData && record.Expectation.Bad is null).ToArray();
        var past = new Dictionary<string, string>();
        var repeated = 0;
        foreach (var push in pushes)
        {
            push.Value.Length.ShouldBeLessThan(300_000);
            var items = Items(push);
            items.Count.ShouldBe(push.Expectation.Parts.Count * 168);
            foreach (var item in items)
            {
                var power = item.GetProperty("gunPower");
                var guns = power.GetProperty("gunNo").GetArrayLength();
                power.GetProperty("outputPowerPerGunAvg").GetArrayLength().ShouldBe(guns);
                power.GetProperty("outputPowerPerGunMax").GetArrayLength().ShouldBe(guns);
                var row = $"{item.GetProperty("stationId")} {item.GetProperty("sendTime")}";
                if (past.TryAdd(row, item.GetRawText())) continue;
                item.GetRawText().ShouldBe(past[row]);
                repeated++;
            }
        }

        repeated.ShouldBeGreaterThan(168 * 30);
        past.Values.ShouldContain(row => row.Contains("outputPowerPerStationAvg", StringComparison.Ordinal));
        past.Values.ShouldContain(row => !row.Contains("outputPowerPerStationAvg", StringComparison.Ordinal));
    }

    [Fact]
    public void Evenings_differ_from_nights_and_weekends_from_workdays()
    {
        var push = HalfMinute.Value.First(record => record.Topic == ScheduleTopics.RealtimeData && record.Expectation.Bad is null);
        var city = push.Expectation.Parts[0].Station;
        var rows = Items(push).Where(item => item.GetProperty("stationId").ToString() == city)
            .Select(item => (Time: DateTime.Parse(item.GetProperty("sendTime").GetString()!, System.Globalization.CultureInfo.InvariantCulture), Power: item.GetProperty("gunPower").GetProperty("outputPowerPerGunAvg").EnumerateArray().Sum(value => value.GetDouble())))
            .ToArray();
        var evening = rows.Where(row => row.Time.Hour is >= 18 and <= 20).Average(row => row.Power);
        var night = rows.Where(row => row.Time.Hour is >= 1 and <= 4).Average(row => row.Power);
        evening.ShouldBeGreaterThan(night * 3);
        var weekend = rows.Where(row => row.Time.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday).Average(row => row.Power);
        var workday = rows.Where(row => row.Time.DayOfWeek is not (DayOfWeek.Saturday or DayOfWeek.Sunday)).Average(row => row.Power);
        (weekend / workday).ShouldNotBeInRange(0.95, 1.05);
    }

    [Fact]
    public void Bad_records_are_many_of_many_kinds_and_are_really_bad()
    {
        var bad = HalfMinute.Value.Where(record => record.Expectation.Bad is not null).ToArray();
        bad.Length.ShouldBeGreaterThanOrEqualTo(20);
        bad.Select(record => record.Expectation.Bad).Distinct().Count().ShouldBe(Enum.GetValues<BadRecordKind>().Length);
        bad.Select(record => record.Topic).Distinct().Count().ShouldBeGreaterThan(5);
        bad.Select(record => record.TimestampMs / 5_000).Distinct().Count().ShouldBeGreaterThanOrEqualTo(6);
        foreach (var record in bad)
        {
            record.Expectation.Rejections.ShouldHaveSingleItem();
            ReallyBad(record);
        }

        bad.ShouldContain(record => record.Expectation.Parts.Count == 2 && record.Expectation.Rejections[0].Index == 1);
    }

    private static void ReallyBad(DemoRecord record)
    {
        var text = Encoding.UTF8.GetString(record.Value);
        var rejection = record.Expectation.Rejections[0];
        switch (record.Expectation.Bad)
        {
            case BadRecordKind.NotJson or BadRecordKind.CutJson:
                Should.Throw<JsonException>(() => JsonDocument.Parse(record.Value));
                break;
            case BadRecordKind.InvalidUtf8:
                Should.Throw<DecoderFallbackException>(() => new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(record.Value));
                break;
            case BadRecordKind.TooDeep:
                text.ShouldContain(new string('[', 1_000));
                JsonDocument.Parse(record.Value, new JsonDocumentOptions { MaxDepth = 2_000 }).Dispose();
                break;
            case BadRecordKind.DuplicateKeys:
                Should.Throw<JsonException>(() => JsonDocument.Parse(record.Value, new JsonDocumentOptions { AllowDuplicateProperties = false }));
                break;
            case BadRecordKind.WrongEnvelope:
                record.Topic.ShouldBe(ScheduleTopics.Meter);
                text[0].ShouldBe('[');
                break;
            case BadRecordKind.WrongFieldType:
                Items(record)[0].GetProperty("gunNo").ValueKind.ShouldBe(JsonValueKind.String);
                break;
            case BadRecordKind.BadSendTime:
                var rows = Items(record);
                rows.Count.ShouldBe(169);
                rows.Select((row, index) => (row, index)).Where(row => !DateTime.TryParse(row.row.GetProperty("sendTime").GetString(), out _))
                    .ShouldHaveSingleItem().index.ShouldBe(rejection.Index);
                rows.Select(row => row.GetProperty("sendTime").GetString()).Distinct().Count().ShouldBe(169);
                break;
            default:
                var item = Items(record)[rejection.Index];
                if (record.Expectation.Bad == BadRecordKind.ItemNotObject)
                {
                    item.ValueKind.ShouldNotBe(JsonValueKind.Object);
                    break;
                }

                var hasId = item.TryGetProperty("stationId", out var id);
                (rejection.Code == "no-id").ShouldBe(!hasId);
                if (hasId) (id.ValueKind == JsonValueKind.String && id.GetString()!.Length <= 256).ShouldBeFalse();
                foreach (var part in record.Expectation.Parts) Items(record)[part.Index].GetProperty("stationId").ToString().ShouldBe(part.Station);
                break;
        }
    }

    [Fact]
    public void Five_thousand_records_a_second_cost_a_small_part_of_a_core()
    {
        // The best of a few runs: in the first ones code is still compiled.
        var best = Enumerable.Range(0, 4).Max(_ =>
        {
            using var fleet = new StationFleet(new FleetOptions { StartMs = StartMs, RecordsPerSecond = 5_000 });
            _ = fleet.Next(fleet.FlowFromMs).Count();
            var begun = ProcessorSeconds();
            var made = fleet.Next(fleet.FlowFromMs + 4_000).Count();
            return made / (ProcessorSeconds() - begun);
        });
        best.ShouldBeGreaterThan(20_000);
    }

    // Of this thread: what others do meanwhile does not count.
    private static double ProcessorSeconds() => long.Parse(File.ReadAllText("/proc/thread-self/schedstat").Split(' ')[0], CultureInfo.InvariantCulture) / 1e9;
}
