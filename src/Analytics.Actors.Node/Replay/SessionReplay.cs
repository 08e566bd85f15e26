using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Node.Replay;

/// <summary>
/// Charging sessions as SCHEDULE-CAR-ORDER, one order a record, at the end of charging. The files are ordered by other
/// times, so the sessions are held and sorted: 26,000 short lines at most, and never more than the file.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>EPFL: station <c>epfl-l3</c>; <c>outputPower</c> is the session's peak power and
/// <c>batteryNominalTotalCapacity</c> the car's total capacity, in kW and kWh (the file has W and Wh; exact). The first
/// record is the station's SCHEDULE-STATION-PARAM: two guns, 172.5 kW.</item>
/// <item>Boulder: the station is the name in the file; a session has no plug, so <c>gunNo</c> is <c>01</c>;
/// <c>outputPower</c> is energy / charging time, rounded to a watt, and absent where no time was charged. Sessions whose
/// end lies before their start are left out.</item>
/// </list>
/// </remarks>
internal static class SessionReplay
{
    public const string EpflStation = "epfl-l3";

    public static IEnumerable<ReplayRecord> Epfl(string directory, ReplayOptions options)
    {
        var table = new CsvTable(directory, "epfl_l3_sessions.csv");
        int session = table.Column("Session"), plug = table.Column("CCS"), arrival = table.Column("Arrival");
        int departure = table.Column("Departure"), peak = table.Column("Pmax (W)"), capacity = table.Column("TotalCapacity");
        int before = table.Column("SOC arrival"), after = table.Column("SOC departure");
        var parameters = true;
        foreach (var (end, row) in ByEnd(table, arrival, departure, options))
        {
            if (parameters)
            {
                yield return Record("SCHEDULE-STATION-PARAM", EpflStation, end, options, writer =>
                {
                    writer.WriteStartArray();
                    writer.WriteStartObject();
                    writer.WriteString("stationId", EpflStation);
                    writer.WriteNumber("gunNum", 2);
                    writer.WriteNumber("gridCapacity", 172.5m);
                    writer.WriteEndObject();
                    writer.WriteEndArray();
                });
                parameters = false;
            }

            yield return Order(EpflStation, row[session], row[plug], table.Time(row[arrival]), end, options, writer =>
            {
                writer.WritePropertyName("beginSOC");
                writer.WriteRawValue(table.Number(row[before]));
                writer.WritePropertyName("soc");
                writer.WriteRawValue(table.Number(row[after]));
                writer.WriteNumber("outputPower", Kilo(table.Number(row[peak])));
                writer.WriteNumber("batteryNominalTotalCapacity", Kilo(table.Number(row[capacity])));
            });
        }
    }

    public static IEnumerable<ReplayRecord> Boulder(string directory, ReplayOptions options)
    {
        var table = new CsvTable(directory, "boulder_sessions.csv.gz");
        int station = table.Column("Station_Name"), id = table.Column("ObjectId"), energy = table.Column("Energy__kWh_");
        int start = table.Column("Start_Date___Time"), finish = table.Column("End_Date___Time");
        var charging = table.Column("Charging_Time__hh_mm_ss_");
        foreach (var (end, row) in ByEnd(table, start, finish, options))
        {
            yield return Order(row[station], row[id], "01", table.Time(row[start]), end, options, writer =>
            {
                var hours = Hours(row[charging]);
                if (hours > 0) writer.WriteNumber("outputPower", Math.Round(decimal.Parse(table.Number(row[energy]), NumberStyles.Float, CultureInfo.InvariantCulture) / hours, 3));
            });
        }
    }

    // OrderBy is stable: sessions that end at once stay in the file's order.
    private static IEnumerable<(DateTime End, string[] Row)> ByEnd(CsvTable table, int start, int end, ReplayOptions options) =>
        table.Rows()
            .Select(row => (Start: table.Time(row[start]), End: table.Time(row[end]), Row: row))
            .Where(session => session.End >= session.Start && session.End >= options.From && session.End < options.To)
            .OrderBy(session => session.End)
            .Select(session => (session.End, session.Row));

    private static ReplayRecord Order(
        string station, string serial, string gun, DateTime start, DateTime end, ReplayOptions options, Action<Utf8JsonWriter> write) =>
        Record("SCHEDULE-CAR-ORDER", station, end, options, writer =>
        {
            writer.WriteStartObject();
            writer.WriteString("stationId", station);
            writer.WriteString("transactionSerialNo", serial);
            writer.WriteString("gunNo", gun);
            writer.WriteString("startChargeTime", options.Text(start));
            writer.WriteString("endChargeTime", options.Text(end));
            write(writer);
            writer.WriteEndObject();
        });

    private static ReplayRecord Record(string topic, string key, DateTime time, ReplayOptions options, Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(buffer)) write(writer);
        return new ReplayRecord(topic, Encoding.UTF8.GetBytes(key), options.TimestampMs(time), buffer.WrittenSpan.ToArray());
    }

    private static decimal Kilo(string text) => decimal.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture) / 1000;

    private static decimal Hours(string text) =>
        text.Split(':') is [var hours, var minutes, var seconds]
        && int.TryParse(hours, CultureInfo.InvariantCulture, out var h)
        && int.TryParse(minutes, CultureInfo.InvariantCulture, out var m)
        && int.TryParse(seconds, CultureInfo.InvariantCulture, out var s)
            ? h + m / 60m + s / 3600m
            : 0;
}
