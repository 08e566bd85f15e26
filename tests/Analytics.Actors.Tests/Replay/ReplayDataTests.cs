using System.Globalization;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Node.Modules;
using Analytics.Actors.Node.Replay;
using Analytics.Actors.Tests.Modules;

namespace Analytics.Actors.Tests.Replay;

public class ReplayDataTests
{
    private const string Realtime = "SCHEDULE-STATION-REALTIME-DATA";

    private static readonly DateTime May = new(2023, 5, 1);

    private static IEnumerable<ReplayRecord> Read(ReplayOptions options) => ReplayData.Read(SharedData.Path("data"), options);

    private static JsonElement Json(ReplayRecord record) => JsonDocument.Parse(record.Value).RootElement;

    private static string Hash(IEnumerable<ReplayRecord> records)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var record in records)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{record.Topic} {record.TimestampMs} {Convert.ToHexString(record.Key ?? [])}"));
            hash.AppendData(record.Value);
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    [SharedDataFact]
    public void Records_come_in_event_order_and_none_is_too_large()
    {
        long last = 0;
        var topics = new HashSet<string>();
        foreach (var record in Read(new ReplayOptions { From = new(2023, 4, 1), To = new(2023, 4, 20), HoursBetweenPushes = 6, Epfl = true, Boulder = true }))
        {
            record.TimestampMs.ShouldBeGreaterThanOrEqualTo(last);
            record.Value.Length.ShouldBeLessThanOrEqualTo(200_000);
            last = record.TimestampMs;
            topics.Add(record.Topic);
        }

        topics.Order().ShouldBe(
            ["SCHEDULE-CAR-ORDER", "SCHEDULE-CAR-PRICE", "SCHEDULE-ENVIRONMENT-CALENDAR", "SCHEDULE-ENVIRONMENT-WEATHER", "SCHEDULE-STATION-PARAM", Realtime]);
    }

    [SharedDataFact]
    public void The_same_options_give_the_same_bytes()
    {
        var options = new ReplayOptions { From = May, To = May.AddDays(2), Epfl = true };
        Hash(Read(options)).ShouldBe(Hash(Read(options)));
    }

    [SharedDataFact]
    public void Nothing_is_read_further_than_it_is_asked_for()
    {
        // The whole span at one push an hour is 2.6 GB: the first records must not wait for it.
        Read(new ReplayOptions { Boulder = true }).Take(3).Count().ShouldBe(3);
        Read(new ReplayOptions()).First().Topic.ShouldBe("SCHEDULE-STATION-PARAM");
    }

    [SharedDataFact]
    public void A_push_carries_the_168_hours_before_it_of_every_station_as_written()
    {
        var oracle = new MelbourneOracle(SharedData.Path("data"));
        var found = new Dictionary<string, List<(string, string)>>();
        foreach (var record in Read(new ReplayOptions { From = May, To = May.AddHours(1) }).Where(record => record.Topic == Realtime))
        {
            record.TimestampMs.ShouldBe(new DateTimeOffset(2023, 5, 1, 0, 0, 0, TimeSpan.FromHours(8)).ToUnixTimeMilliseconds());
            foreach (var row in Json(record).GetProperty("realTimeData").EnumerateArray())
            {
                var id = row.GetProperty("stationId").GetString()!["mel-".Length..];
                if (!found.TryGetValue(id, out var rows)) found[id] = rows = [];
                rows.Add((row.GetProperty("sendTime").GetString()!, row.GetProperty("outputPowerPerStationAvg").GetRawText()));
            }
        }

        found.Keys.ShouldBe(MelbourneOracle.Stations);
        foreach (var station in MelbourneOracle.Stations)
        {
            var expected = oracle.Window(station, 30);
            found[station].ShouldBe(expected.SendTime.Zip(expected.OutputPowerPerStationAvg));
        }
    }

    [SharedDataFact]
    public void The_first_pushes_carry_what_there_is_and_the_last_one_the_end()
    {
        var pushes = Read(new ReplayOptions { Stations = ["34"] }).Where(record => record.Topic == Realtime).Take(2).ToList();
        pushes.Select(push => Json(push).GetProperty("realTimeData").GetArrayLength()).ShouldBe([1, 2]);
        var last = Read(new ReplayOptions { Stations = ["34"], HoursBetweenPushes = 24 }).Last();
        Json(last).GetProperty("realTimeData")[167].GetProperty("sendTime").GetString().ShouldBe("2023-09-30 23:00:00");
    }

    [SharedDataFact]
    public void Pushes_follow_the_hours_between_them_at_every_start()
    {
        var hours = Read(new ReplayOptions { Stations = ["0"], HoursBetweenPushes = 8, From = May.AddHours(3), To = May.AddDays(1) })
            .Where(record => record.Topic == Realtime)
            .Select(record => DateTimeOffset.FromUnixTimeMilliseconds(record.TimestampMs).ToOffset(TimeSpan.FromHours(8)).Hour);
        hours.ShouldBe([8, 16]);
        Should.Throw<ArgumentOutOfRangeException>(() => ReplayData.Read("x", new ReplayOptions { HoursBetweenPushes = 5 }));
    }

    [SharedDataFact]
    public void A_replay_that_begins_within_a_day_begins_with_that_days_parameters_prices_weather_and_calendar()
    {
        var records = Read(new ReplayOptions { From = May.AddHours(13), To = May.AddHours(15) }).ToList();
        records.Take(4).Select(record => record.Topic).ShouldBe(
            ["SCHEDULE-STATION-PARAM", "SCHEDULE-ENVIRONMENT-CALENDAR", "SCHEDULE-ENVIRONMENT-WEATHER", "SCHEDULE-CAR-PRICE"]);
        Json(records[3]).GetProperty("fee")[0].GetProperty("startTime").GetString().ShouldBe("2023-05-01 00:00:00");
        records.Select(record => record.TimestampMs).Distinct().Count().ShouldBe(2);
    }

    [SharedDataFact]
    public void Parameters_calendar_and_weather_are_those_read_off_the_files()
    {
        var records = Read(new ReplayOptions { From = new(2023, 4, 7), To = new(2023, 4, 7, 1, 0, 0), Stations = ["1", "0"] }).ToList();
        var stations = Json(records[0]);
        stations[0].GetRawText().ShouldBe("""{"stationId":"mel-1","stationLng":144.9263865,"stationLat":-37.7970088,"gunNum":9,"gridCapacity":198.0}""");
        stations[1].GetProperty("gunNum").GetInt32().ShouldBe(10);
        stations[1].GetProperty("gridCapacity").GetDecimal().ShouldBe(70.01624989114085m);

        var calendar = Json(records[1]).GetProperty("calendar").EnumerateArray().ToList();
        calendar.Count.ShouldBe(15);
        calendar[0].GetRawText().ShouldBe("""{"date":"2023-03-31","isHoliday":0,"isWeekend":0}""");
        calendar[7].GetRawText().ShouldBe("""{"date":"2023-04-07","isHoliday":1,"isWeekend":0}""");
        calendar[8].GetRawText().ShouldBe("""{"date":"2023-04-08","isHoliday":0,"isWeekend":1}""");

        Json(records[2]).GetProperty("weather")[0].GetRawText().ShouldBe(
            $$"""{"stationId":"mel-1","weatherSituationYesterday":"{{Condition("2023-04-06")}}","seasonTomorrow":"autumn","weatherSituationTomorrow":"{{Condition("2023-04-08")}}"}""");
    }

    private static string Condition(string day)
    {
        using var reader = new StreamReader(new GZipStream(File.OpenRead(SharedData.Path("data", "charged_mel_weather.csv.gz")), CompressionMode.Decompress));
        return reader.ReadToEnd().Split('\n').Where(line => line.StartsWith(day, StringComparison.Ordinal)).Select(line => line.Split(',')[^1].Trim())
            .CountBy(code => code).OrderByDescending(code => code.Value).ThenBy(code => code.Key).First().Key;
    }

    [SharedDataFact]
    public void The_tariff_and_the_window_give_the_revenue_that_the_files_give()
    {
        const int days = 40;
        var at = new DateTime(2023, 4, 1).AddDays(days);
        var oracle = new MelbourneOracle(SharedData.Path("data"));
        var records = Read(new ReplayOptions { From = at, To = at.AddHours(1) }).ToList();
        var fees = Json(records.Single(record => record.Topic == "SCHEDULE-CAR-PRICE")).GetProperty("fee").EnumerateArray()
            .ToDictionary(fee => fee.GetProperty("stationId").GetString()!["mel-".Length..]);
        var exact = 0;
        foreach (var station in MelbourneOracle.Stations)
        {
            var expected = oracle.Evaluation(station, days);
            var window = oracle.Window(station, days);
            var price = fees[station].EnumerateObject().Where(member => member.Name.EndsWith("Fee", StringComparison.Ordinal))
                .Select(member => $"\"{member.Name}\":{member.Value.GetRawText()}")
                .Append($"\"feeNo\":{JsonSerializer.Serialize(Enumerable.Range(1, 48).Select(position => fees[station].GetProperty("feeNo" + position).GetString()))}");
            var input = JsonInput.Of($$"""
                {"sendTime": {{JsonSerializer.Serialize(window.SendTime)}}, "outputPowerPerStationAvg": [{{string.Join(",", window.OutputPowerPerStationAvg)}}],
                 "car_price": { {{string.Join(",", price)}} } }
                """);
            var result = new EvaluationModel().Call(input, CancellationToken.None).Element()!.Value;
            result.GetProperty("energyKwh").GetDouble().ShouldBe(expected.EnergyKwh, 1e-5);
            result.GetProperty("peakPowerKw").GetDouble().ShouldBe(expected.PeakPowerKw, 1e-5);
            result.GetProperty("averagePowerKw").GetDouble().ShouldBe(expected.AveragePowerKw, 1e-5);
            result.GetProperty("peakToAverageRatio").GetDouble().ShouldBe(expected.PeakToAverageRatio!.Value, 1e-5);
            result.GetProperty("pricedEnergyShare").GetDouble().ShouldBe(1);
            if (expected.Revenue is not { } revenue) continue;
            exact++;
            result.GetProperty("revenue").GetDouble().ShouldBe(revenue, 1e-4);
        }

        exact.ShouldBeGreaterThan(30);
    }

    [SharedDataFact]
    public void Weeks_of_shift_move_every_time_and_nothing_else()
    {
        var options = new ReplayOptions { From = May, To = May.AddDays(1), Stations = ["0"], HoursBetweenPushes = 24, Epfl = true };
        var plain = Read(options).ToList();
        var shifted = Read(options with { ShiftWeeks = 100 }).ToList();
        shifted.Count.ShouldBe(plain.Count);
        for (var record = 0; record < plain.Count; record++)
        {
            (shifted[record].TimestampMs - plain[record].TimestampMs).ShouldBe((long)TimeSpan.FromDays(700).TotalMilliseconds);
            var moved = System.Text.RegularExpressions.Regex.Replace(Encoding.UTF8.GetString(plain[record].Value), "[0-9]{4}-[0-9]{2}-[0-9]{2}",
                date => DateOnly.Parse(date.Value, CultureInfo.InvariantCulture).AddDays(700).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));
            Encoding.UTF8.GetString(shifted[record].Value).ShouldBe(moved);
        }
    }

    [SharedDataFact]
    public void Sessions_become_orders_at_their_end()
    {
        var epfl = Read(new ReplayOptions { Melbourne = false, Epfl = true }).ToList();
        epfl.Count.ShouldBe(1 + 1878);
        Encoding.UTF8.GetString(epfl[0].Value).ShouldBe("""[{"stationId":"epfl-l3","gunNum":2,"gridCapacity":172.5}]""");
        Encoding.UTF8.GetString(epfl[1].Value).ShouldBe(
            """{"stationId":"epfl-l3","transactionSerialNo":"1","gunNo":"CCS1","startChargeTime":"2022-04-12 19:27:00","endChargeTime":"2022-04-12 19:38:00","beginSOC":82.998732572877003,"soc":89,"outputPower":80.238,"batteryNominalTotalCapacity":78.9}""");
        epfl[1].TimestampMs.ShouldBe(new DateTimeOffset(2022, 4, 12, 19, 38, 0, TimeSpan.FromHours(8)).ToUnixTimeMilliseconds());
        Encoding.UTF8.GetString(epfl[1].Key!).ShouldBe("epfl-l3");

        var boulder = Read(new ReplayOptions { Melbourne = false, Boulder = true }).ToList();
        // One of the 24,081 ends before it starts.
        boulder.Count.ShouldBe(24_080);
        var first = boulder.Single(order => Json(order).GetProperty("transactionSerialNo").GetString() == "1");
        // 6.706 kWh in 1:28:11 = 5291 s: 4.5627... kW.
        Encoding.UTF8.GetString(first.Value).ShouldBe(
            """{"stationId":"BOULDER / BASELINE ST1","transactionSerialNo":"1","gunNo":"01","startChargeTime":"2018-01-12 15:54:00","endChargeTime":"2018-01-12 17:22:00","outputPower":4.563}""");
    }

    [Fact]
    public void A_directory_without_the_files_is_refused_by_name()
    {
        var directory = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        Should.Throw<ReplayDataException>(() => ReplayData.Read(directory).First()).Message.ShouldContain(directory);
    }
}
