using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// Writes the payloads of the simulated stations, as stations send them: one buffer and one JSON writer serve all
/// records, only the finished bytes are allocated.
/// </summary>
internal sealed class PayloadWriter : IDisposable
{
    // Cars that still charge carry this end, as the platforms' own orders do.
    private const string NotEnded = "2070-01-02 08:00:01";

    private static readonly JsonEncodedText StationId = JsonEncodedText.Encode("stationId");
    private static readonly JsonEncodedText HostCode = JsonEncodedText.Encode("hostCode");
    private static readonly JsonEncodedText SendTime = JsonEncodedText.Encode("sendTime");
    private static readonly JsonEncodedText GunNo = JsonEncodedText.Encode("gunNo");
    private static readonly JsonEncodedText GunPower = JsonEncodedText.Encode("gunPower");
    private static readonly JsonEncodedText GunAverage = JsonEncodedText.Encode("outputPowerPerGunAvg");
    private static readonly JsonEncodedText GunPeak = JsonEncodedText.Encode("outputPowerPerGunMax");
    private static readonly JsonEncodedText StationAverage = JsonEncodedText.Encode("outputPowerPerStationAvg");
    private static readonly JsonEncodedText StationPeak = JsonEncodedText.Encode("outputPowerPerStationMax");
    private static readonly JsonEncodedText DcWorkStatus = JsonEncodedText.Encode("dcWorkStatus");
    private static readonly JsonEncodedText DcdcPower = JsonEncodedText.Encode("dcdcPower");
    private static readonly JsonEncodedText[] FeeNo =
        [.. Enumerable.Range(1, 48).Select(position => JsonEncodedText.Encode(string.Create(CultureInfo.InvariantCulture, $"feeNo{position}")))];

    // Half hours of the day by tariff kind: 01 sharp, 02 peak, 03 flat, 04 ebb, 00 other.
    private static readonly string[] Tariff =
    [
        .. Enumerable.Repeat("04", 14), .. Enumerable.Repeat("03", 4), .. Enumerable.Repeat("02", 4), .. Enumerable.Repeat("01", 4),
        .. Enumerable.Repeat("03", 6), .. Enumerable.Repeat("02", 6), .. Enumerable.Repeat("01", 4), .. Enumerable.Repeat("03", 4),
        .. Enumerable.Repeat("00", 2),
    ];

    private static readonly string[] Skies = ["sunny", "cloudy", "overcast", "rain", "storm"];
    private static readonly string[] Seasons = ["winter", "spring", "summer", "autumn"];

    private readonly ArrayBufferWriter<byte> buffer = new(64 * 1024);
    private readonly Utf8JsonWriter json;

    public PayloadWriter() =>
        json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });

    public void Dispose() => json.Dispose();

    /// <summary>The writer itself, for what differs from the usual; to be ended by <see cref="Take"/>.</summary>
    public Utf8JsonWriter Json => json;

    /// <summary>What was written since the last call.</summary>
    public byte[] Take()
    {
        json.Flush();
        var value = buffer.WrittenSpan.ToArray();
        buffer.ResetWrittenCount();
        json.Reset();
        return value;
    }

    public byte[] Alone(SimulatedStation station, long nowMs, Action<SimulatedStation, long> write)
    {
        write(station, nowMs);
        return Take();
    }

    /// <summary>A list of one object per station; inside a member of an object where <paramref name="member"/> is given.</summary>
    public byte[] List(IEnumerable<SimulatedStation> stations, long nowMs, string? member, Action<SimulatedStation, long> write)
    {
        BeginList(member);
        foreach (var station in stations) write(station, nowMs);
        EndList(member);
        return Take();
    }

    public void BeginList(string? member)
    {
        if (member is null)
        {
            json.WriteStartArray();
            return;
        }

        json.WriteStartObject();
        json.WriteStartArray(member);
    }

    public void EndList(string? member)
    {
        json.WriteEndArray();
        if (member is not null) json.WriteEndObject();
    }

    public void Param(SimulatedStation station, long nowMs)
    {
        BeginItem(station);
        json.WriteString("stationName", "demo");
        json.WriteNumber("stationLng", station.Longitude);
        json.WriteNumber("stationLat", station.Latitude);
        json.WriteNumber("gunNum", station.Guns.Count);
        json.WriteNumber("gridCapacity", station.GridCapacityKw);
        json.WriteString("meterId", station.MeterId);
        json.WriteNumber("powerNum", station.Hosts.Count);
        json.WriteNumber("normalCap", 186.8);
        json.WriteNumber("normalClap", 0.5);
        json.WriteStartArray(HostCode);
        foreach (var host in station.Hosts) json.WriteStringValue(host);
        json.WriteEndArray();
        json.WriteStartObject("power");
        json.WriteStartArray("powerIds");
        json.WriteStringValue("p1");
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>One row per hour up to the running one: <paramref name="hours"/> items of the list.</summary>
    public void Realtime(SimulatedStation station, long nowMs, int hours)
    {
        var newest = nowMs / 3_600_000;
        for (var hour = newest - hours + 1; hour <= newest; hour++) RealtimeRow(station, hour, null);
    }

    /// <param name="sendTime">Written instead of the hour, for a row whose time cannot be read.</param>
    public void RealtimeRow(SimulatedStation station, long hour, string? sendTime)
    {
        var usual = station.UsualLoad(hour * 3_600_000);
        BeginItem(station);
        json.WriteString(HostCode, station.Hosts[0]);
        if (sendTime is null) Time(SendTime, station.LocalTime(hour * 3_600_000));
        else json.WriteString(SendTime, sendTime);
        json.WriteStartObject(GunPower);
        json.WriteStartArray(GunNo);
        foreach (var gun in station.Guns) json.WriteStringValue(gun.Number);
        json.WriteEndArray();
        var (average, peak) = (0.0, 0.0);
        json.WriteStartArray(GunAverage);
        for (var gun = 0; gun < station.Guns.Count; gun++)
        {
            var power = station.HourOfGun(gun, hour, usual);
            average += power.Average;
            peak += power.Peak;
            json.WriteNumberValue(power.Average);
        }

        json.WriteEndArray();
        json.WriteStartArray(GunPeak);
        for (var gun = 0; gun < station.Guns.Count; gun++) json.WriteNumberValue(station.HourOfGun(gun, hour, usual).Peak);
        json.WriteEndArray();
        json.WriteEndObject();
        // A few stations do not send the totals: their series must then be absent, not zero.
        if (station.Index % 10 != 4)
        {
            json.WriteNumber(StationAverage, Math.Round(average, 1));
            json.WriteNumber(StationPeak, Math.Round(peak, 1));
        }

        json.WriteEndObject();
    }

    public byte[] Calendar(DateTime today)
    {
        BeginList("calendar");
        for (var day = -7; day <= 2; day++)
        {
            var date = today.Date.AddDays(day);
            var isWeekend = date.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday;
            json.WriteStartObject();
            json.WriteString("date", date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));
            json.WriteNumber("isHoliday", date is { Day: 1, Month: 1 or 5 or 10 } ? 1 : 0);
            json.WriteNumber("isWeekend", isWeekend ? 1 : 0);
            json.WriteEndObject();
        }

        EndList("calendar");
        return Take();
    }

    public void Weather(SimulatedStation station, long nowMs)
    {
        BeginItem(station);
        json.WriteString("weatherSituationYesterday", Skies[(int)(station.Wander(nowMs - 86_400_000, 1, 86_400_000) * 4.99)]);
        json.WriteString("seasonTomorrow", Seasons[station.LocalTime(nowMs + 86_400_000).Month % 12 / 3]);
        json.WriteString("weatherSituationTomorrow", Skies[(int)(station.Wander(nowMs + 86_400_000, 1, 86_400_000) * 4.99)]);
        json.WriteEndObject();
    }

    public void Meter(SimulatedStation station, long nowMs)
    {
        BeginItem(station);
        json.WriteString("meterId", station.MeterId);
        json.WriteNumber("meterPower", Math.Round(station.InstalledKw * station.UsualLoad(nowMs) * (0.7 + 0.6 * station.Wander(nowMs, 2)), 1));
        json.WriteNumber("rmeterLimitPower", station.GridCapacityKw);
        json.WriteEndObject();
    }

    public void Gun(SimulatedStation station, long nowMs)
    {
        BeginItem(station);
        Time(SendTime, station.LocalTime(nowMs));
        json.WriteStartArray(GunNo);
        foreach (var gun in station.Guns) json.WriteStringValue(gun.Number);
        json.WriteEndArray();
        json.WriteStartArray(HostCode);
        foreach (var gun in station.Guns) json.WriteStringValue(gun.Host);
        json.WriteEndArray();
        json.WriteStartArray("status");
        foreach (var gun in station.Guns)
            json.WriteStringValue(gun.Session is not null ? "charging" : station.Wander(nowMs, 20 + gun.Index, 60_000) > 0.93 ? "fault" : "idle");
        json.WriteEndArray();
        json.WriteEndObject();
    }

    public void Error(SimulatedStation station, long nowMs)
    {
        BeginItem(station);
        Errors("hostError", 10);
        Errors("acError", 11);
        Errors("dcError", 12);
        Errors("terminalError", 13);
        // Not every station has the newer member.
        if (station.Index % 5 != 0) Errors("storageError", 14);
        json.WriteEndObject();

        void Errors(string name, int channel)
        {
            json.WriteStartArray(name);
            var value = station.Wander(nowMs, channel, 30_000);
            if (value > 0.7) json.WriteStringValue(value > 0.85 ? "E12" : "E03");
            json.WriteEndArray();
        }
    }

    public void Dcdc(SimulatedStation station, int host, long nowMs)
    {
        var load = station.UsualLoad(nowMs);
        BeginItem(station);
        json.WriteString(HostCode, station.Hosts[host]);
        json.WriteStartArray(DcWorkStatus);
        for (var module = 0; module < station.ModulesPerHost; module++) json.WriteStringValue(Power(module) > 0 ? "01" : "00");
        json.WriteEndArray();
        json.WriteStartArray(DcdcPower);
        for (var module = 0; module < station.ModulesPerHost; module++) json.WriteNumberValue(Power(module));
        json.WriteEndArray();
        json.WriteEndObject();

        double Power(int module)
        {
            var share = load * 1.6 - station.Wander(nowMs, 100 + host * 16 + module) * 0.8;
            return share <= 0 ? 0 : Math.Round(Math.Min(1, share) * 40, 1);
        }
    }

    public void Acdc(SimulatedStation station, int host, long nowMs)
    {
        BeginItem(station);
        json.WriteString(HostCode, station.Hosts[host]);
        json.WriteNumber("acPower", Math.Round(station.InstalledKw / station.Hosts.Count * station.UsualLoad(nowMs) * (0.8 + 0.4 * station.Wander(nowMs, 80 + host)), 1));
        json.WriteEndObject();
    }

    /// <summary>Charges at night, gives in the evening.</summary>
    public void Storage(SimulatedStation station, int storage, long nowMs)
    {
        var hour = station.LocalTime(nowMs).Hour;
        var power = hour < 7 ? -30 : hour is >= 17 and < 22 ? 45 : 0;
        var soc = hour < 7 ? 20 + hour * 10 : hour < 17 ? 90 : Math.Max(15, 90 - (hour - 16) * 13);
        BeginItem(station);
        json.WriteString("storageCode", station.Storages[storage]);
        json.WriteString(HostCode, station.Hosts[storage % station.Hosts.Count]);
        json.WriteNumber("batteryGroupElectric", Math.Round(power / 0.72 + station.Wander(nowMs, 60 + storage), 1));
        json.WriteNumber("batteryGroupOutPower", power);
        json.WriteNumber("batteryGroupSoc", soc);
        json.WriteNumber("batteryGroupSoh", 97 - station.Index % 9);
        json.WriteNumber("maxTemperature", Math.Round(28 + 12 * station.Wander(nowMs, 64 + storage, 60_000), 1));
        json.WriteNumber("minTemperature", Math.Round(18 + 8 * station.Wander(nowMs, 68 + storage, 60_000), 1));
        json.WriteEndObject();
    }

    /// <summary>The PV power predicted for the next 24 hours.</summary>
    public void Pv(SimulatedStation station, long nowMs)
    {
        BeginItem(station);
        json.WriteString("pvId", "PV1");
        json.WriteStartArray("pvPreDcPower");
        for (var hour = 0; hour < 24; hour++) json.WriteNumberValue(station.PvPower(nowMs + hour * 3_600_000L));
        json.WriteEndArray();
        json.WriteEndObject();
    }

    public void Price(SimulatedStation station, long nowMs)
    {
        var level = 1 + station.Index % 7 * 0.03;
        BeginItem(station);
        json.WriteString("dialNo", "2100");
        json.WriteString(HostCode, station.Hosts[0]);
        json.WriteNumber("lossRate", 1);
        Time(SendTime, station.LocalTime(nowMs));
        json.WriteString("startTime", "00:00");
        json.WriteString("endTime", "24:00");
        Fee("ebb", 0.32, 0.30);
        Fee("flat", 0.66, 0.40);
        Fee("peak", 1.08, 0.55);
        Fee("sharp", 1.32, 0.60);
        Fee("other", 0, 0);
        for (var position = 0; position < FeeNo.Length; position++)
        {
            // Some stations leave positions out: they must stay holes, and shift nothing.
            if (station.Index % 11 == 7 && position is 5 or 30) continue;
            json.WriteString(FeeNo[position], Tariff[(position + station.Index % 3) % Tariff.Length]);
        }

        json.WriteEndObject();

        void Fee(string kind, double electric, double server)
        {
            json.WriteNumber(kind + "ElectricFee", Math.Round(electric * level, 4));
            json.WriteNumber(kind + "ServerFee", server);
        }
    }

    /// <summary>The state of one car: the members that the reference's orders show, and what chargers add to them.</summary>
    public void Order(SimulatedGun gun, ChargingSession session, double soc, bool ended, long nowMs)
    {
        var power = ended ? 0 : Math.Round(session.PowerAt(soc) * (0.97 + 0.03 * gun.Station.Wander(nowMs, 40 + gun.Index)), 1);
        var voltage = Math.Round(330 + soc * 1.1, 1);
        BeginItem(gun.Station);
        json.WriteString(HostCode, gun.Host);
        json.WriteString("transactionSerialNo", session.Serial);
        json.WriteString(GunNo, gun.Number);
        json.WriteNumber("beginSOC", session.BeginSoc);
        json.WriteNumber("soc", Math.Round(soc, 1));
        json.WriteNumber("outputPower", power);
        json.WriteNumber("outputVoltage", voltage);
        json.WriteNumber("outputCurrent", Math.Round(power * 1000 / voltage, 1));
        json.WriteNumber("batteryNominalTotalCapacity", session.BatteryKwh);
        json.WriteNumber("chargedEnergy", Math.Round((soc - session.BeginSoc) / 100 * session.BatteryKwh, 2));
        Time("startChargeTime", gun.Station.LocalTime(session.StartMs));
        if (ended) Time("endChargeTime", gun.Station.LocalTime(nowMs));
        else json.WriteString("endChargeTime", NotEnded);
        Time(SendTime, gun.Station.LocalTime(nowMs));
        json.WriteEndObject();
    }

    private void BeginItem(SimulatedStation station)
    {
        json.WriteStartObject();
        if (station.IntegerId != 0) json.WriteNumber(StationId, station.IntegerId);
        else json.WriteString(StationId, station.Id);
    }

    private void Time(JsonEncodedText name, DateTime time)
    {
        Span<byte> text = stackalloc byte[19];
        time.TryFormat(text, out _, "yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        json.WriteString(name, text);
    }

    private void Time(string name, DateTime time)
    {
        Span<byte> text = stackalloc byte[19];
        time.TryFormat(text, out _, "yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        json.WriteString(name, text);
    }
}
