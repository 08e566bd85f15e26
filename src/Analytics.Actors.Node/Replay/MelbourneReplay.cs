using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Node.Replay;

/// <summary>
/// The Melbourne data as records in event order. The hourly files are read once, in step; in memory are the last 168 rows
/// of volumes (already as JSON), a day of prices and the weather of each day.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>At the first moment: SCHEDULE-STATION-PARAM. Then at it and at each midnight, in this order:
/// SCHEDULE-ENVIRONMENT-CALENDAR (seven days back to seven days on), SCHEDULE-ENVIRONMENT-WEATHER (yesterday's and, in place of
/// a forecast, tomorrow's most frequent condition: the file's code as text) and SCHEDULE-CAR-PRICE (the day's tariff,
/// <see cref="DayTariff"/>).</item>
/// <item>SCHEDULE-STATION-REALTIME-DATA: the volume of hour H is known at its end, so the push at moment T carries the 168
/// hours before T, <c>sendTime</c> being the start of each hour, and kWh in the hour being its average kW. Stations are
/// packed in the order of the options into records of at most <see cref="ReplayOptions.RecordBytesMax"/>.</item>
/// <item>Every number is the file's own text.</item>
/// </list>
/// </remarks>
internal static class MelbourneReplay
{
    private const int WindowHours = 168;

    // A row: three members, an id of up to 6 bytes, a number of up to 24.
    private const int RowBytesMax = 112;

    public static IEnumerable<ReplayRecord> Records(string directory, ReplayOptions options)
    {
        var ids = options.Stations ?? MelbourneStations.Usable;
        var volume = new CsvTable(directory, "charged_mel_volume.csv.gz");
        var columns = ids.Select(volume.Column).ToArray();
        var window = new Queue<byte[][]>(WindowHours + 1);
        using var daily = Daily(directory, ids, options).GetEnumerator();
        var more = daily.MoveNext();
        foreach (var row in volume.Rows())
        {
            var start = volume.Time(row[0]);
            var end = start.AddHours(1);
            var sendTime = options.Text(start);
            window.Enqueue([.. ids.Zip(columns, (id, column) => Row(id, sendTime, volume.Number(row[column])))]);
            if (window.Count > WindowHours) window.Dequeue();
            var timestamp = options.TimestampMs(end);
            for (; more && daily.Current.TimestampMs <= timestamp; more = daily.MoveNext()) yield return daily.Current;
            if (end >= options.To) break;
            if (end < options.From || end.Hour % options.HoursBetweenPushes != 0) continue;
            foreach (var record in Push(ids, window, timestamp, options.RecordBytesMax)) yield return record;
        }

        for (; more; more = daily.MoveNext()) yield return daily.Current;
    }

    private static IEnumerable<ReplayRecord> Push(
        IReadOnlyList<string> ids, IReadOnlyCollection<byte[][]> window, long timestamp, int bytesMax)
    {
        // The same stations always travel together, under one key: so their pushes stay in order.
        var perRecord = Math.Max(1, bytesMax / (WindowHours * RowBytesMax));
        for (var first = 0; first < ids.Count; first += perRecord)
        {
            var record = new ArrayBufferWriter<byte>(bytesMax);
            record.Write("{\"realTimeData\":["u8);
            var separator = ""u8;
            for (var station = first; station < Math.Min(ids.Count, first + perRecord); station++)
            {
                foreach (var hour in window)
                {
                    record.Write(separator);
                    record.Write(hour[station]);
                    separator = ","u8;
                }
            }

            record.Write("]}"u8);
            yield return new ReplayRecord("SCHEDULE-STATION-REALTIME-DATA", Encoding.UTF8.GetBytes(MelbourneStations.IdOf(ids[first])), timestamp, record.WrittenSpan.ToArray());
        }
    }

    private static byte[] Row(string id, string time, string value) =>
        Encoding.UTF8.GetBytes($"{{\"stationId\":\"{MelbourneStations.IdOf(id)}\",\"sendTime\":\"{time}\",\"outputPowerPerStationAvg\":{value}}}");

    private static IEnumerable<ReplayRecord> Daily(string directory, IReadOnlyList<string> ids, ReplayOptions options)
    {
        var stations = MelbourneStations.Read(directory, ids);
        var weather = MelbourneWeather.Read(directory);
        var first = true;
        foreach (var (day, prices) in PricesByDay(directory, ids))
        {
            var moment = day.ToDateTime(TimeOnly.MinValue);
            // A replay that begins within a day still needs that day's calendar, weather and prices.
            if (first && moment < options.From) moment = options.From;
            if (DateOnly.FromDateTime(moment) != day) continue;
            if (moment >= options.To) yield break;
            var timestamp = options.TimestampMs(moment);
            if (first) yield return Record("SCHEDULE-STATION-PARAM", timestamp, writer => WriteParam(writer, stations));
            first = false;
            yield return Record("SCHEDULE-ENVIRONMENT-CALENDAR", timestamp, writer => WriteCalendar(writer, day, options));
            yield return Record("SCHEDULE-ENVIRONMENT-WEATHER", timestamp, writer => WriteWeather(writer, ids, day, weather));
            yield return Record("SCHEDULE-CAR-PRICE", timestamp, writer => WritePrices(writer, ids, day, prices, options));
        }
    }

    private static IEnumerable<(DateOnly Day, List<string>[] Prices)> PricesByDay(string directory, IReadOnlyList<string> ids)
    {
        var table = new CsvTable(directory, "charged_mel_e_price.csv.gz");
        var columns = ids.Select(table.Column).ToArray();
        var day = DateOnly.MinValue;
        var prices = Array.Empty<List<string>>();
        foreach (var row in table.Rows())
        {
            var time = table.Time(row[0]);
            if (DateOnly.FromDateTime(time) != day)
            {
                if (prices is [{ Count: 24 }, ..]) yield return (day, prices);
                day = DateOnly.FromDateTime(time);
                prices = [.. columns.Select(_ => new List<string>(24))];
            }

            for (var station = 0; station < columns.Length; station++) prices[station].Add(table.Number(row[columns[station]]));
        }

        if (prices is [{ Count: 24 }, ..]) yield return (day, prices);
    }

    private static void WriteParam(Utf8JsonWriter writer, IReadOnlyList<MelbourneStation> stations)
    {
        writer.WriteStartArray();
        foreach (var station in stations)
        {
            writer.WriteStartObject();
            writer.WriteString("stationId", MelbourneStations.IdOf(station.Id));
            writer.WritePropertyName("stationLng");
            writer.WriteRawValue(station.Longitude);
            writer.WritePropertyName("stationLat");
            writer.WriteRawValue(station.Latitude);
            writer.WriteNumber("gunNum", station.Guns);
            writer.WriteNumber("gridCapacity", station.GridCapacityKw);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteCalendar(Utf8JsonWriter writer, DateOnly day, ReplayOptions options)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("calendar");
        for (var date = day.AddDays(-7); date <= day.AddDays(7); date = date.AddDays(1))
        {
            writer.WriteStartObject();
            writer.WriteString("date", options.Text(date));
            writer.WriteNumber("isHoliday", MelbourneStations.Holidays.Contains(date) ? 1 : 0);
            writer.WriteNumber("isWeekend", date.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday ? 1 : 0);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteWeather(
        Utf8JsonWriter writer, IReadOnlyList<string> ids, DateOnly day, IReadOnlyDictionary<DateOnly, string> conditions)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("weather");
        foreach (var id in ids)
        {
            writer.WriteStartObject();
            writer.WriteString("stationId", MelbourneStations.IdOf(id));
            // A day outside the file (before its first, after its last) has no condition: the member is absent.
            if (conditions.TryGetValue(day.AddDays(-1), out var yesterday)) writer.WriteString("weatherSituationYesterday", yesterday);
            writer.WriteString("seasonTomorrow", MelbourneWeather.Season(day.AddDays(1)));
            if (conditions.TryGetValue(day.AddDays(1), out var tomorrow)) writer.WriteString("weatherSituationTomorrow", tomorrow);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WritePrices(Utf8JsonWriter writer, IReadOnlyList<string> ids, DateOnly day, List<string>[] prices, ReplayOptions options)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("fee");
        for (var station = 0; station < ids.Count; station++)
        {
            writer.WriteStartObject();
            writer.WriteString("stationId", MelbourneStations.IdOf(ids[station]));
            writer.WriteString("startTime", options.Text(day.ToDateTime(TimeOnly.MinValue)));
            writer.WriteString("endTime", options.Text(day.AddDays(1).ToDateTime(TimeOnly.MinValue)));
            DayTariff.Write(writer, prices[station]);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static ReplayRecord Record(string topic, long timestamp, Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(4096);
        using (var writer = new Utf8JsonWriter(buffer)) write(writer);
        return new ReplayRecord(topic, "melbourne"u8.ToArray(), timestamp, buffer.WrittenSpan.ToArray());
    }
}
