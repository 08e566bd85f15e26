using System.Text;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.Workloads;

/// <summary>
/// What load_prediction reads: every hour each station pushes its last 168 hours of 8 guns (69.6 KB); each day begins with the
/// calendar and the parameters of all stations. A day is a calendar, then one record of parameters per station, then 24 times one push
/// per station.
/// </summary>
public sealed class GridWorkload(int stations = 100, WorkloadOptions? options = null) : Workload(stations, options ?? new WorkloadOptions())
{
    /// <summary>The size of a push.</summary>
    public const int PushBytes = 69_570;

    private const int Hours = 168, Guns = 8, PushesADay = 24;
    private const long HourMs = 3_600_000;

    public override string Name => "grid";

    public override IReadOnlyList<string> Topics { get; } = [ScheduleTopics.StationParam, ScheduleTopics.RealtimeData, ScheduleTopics.Calendar];

    /// <summary>Records of a day.</summary>
    public long Day => 1 + ((1L + PushesADay) * Stations);

    public override string Pipeline(bool keyed) => Product(keyed, Topics, "load_prediction");

    public override WorkloadRecord At(long number)
    {
        var day = number / Day;
        var within = number % Day;
        if (within == 0) return Calendar(day);
        if (within <= Stations) return Parameters((int)(within - 1), day);
        var push = within - 1 - Stations;
        return Push((int)(push % Stations), (day * PushesADay) + (push / Stations));
    }

    /// <summary>The days around the given one.</summary>
    public WorkloadRecord Calendar(long day)
    {
        Text.Add("{\"calendar\":["u8);
        for (var offset = -7; offset <= 2; offset++)
        {
            var date = DateTime.UnixEpoch.AddMilliseconds(Options.StartMs).AddDays(day + offset);
            var isWeekend = date.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday;
            if (offset > -7) Text.Add(","u8);
            Text.Add("{\"date\":\""u8).Digits(date.Year, 4).Add("-"u8).Digits(date.Month, 2).Add("-"u8).Digits(date.Day, 2)
                .Add("\",\"isHoliday\":0,\"isWeekend\":"u8).Add(isWeekend ? 1 : 0).Add("}"u8);
        }

        Text.Add("]}"u8);
        return new WorkloadRecord(ScheduleTopics.Calendar, [], Options.StartMs + (day * PushesADay * HourMs), Text.Take());
    }

    /// <summary>What a station is made of; its grid's capacity changes from day to day.</summary>
    public WorkloadRecord Parameters(int station, long day)
    {
        Text.Add("[{\"stationId\":\""u8).Add(StationNumber(station))
            .Add("\",\"stationName\":\"bench\",\"stationLng\":113.812345,\"stationLat\":22.512345,\"gunNum\":8,\"gridCapacity\":"u8).Add(600 + (day % 100))
            .Add(",\"meterId\":\"M"u8).Digits(station, 7).Add("\",\"powerNum\":4,\"normalCap\":186.8,\"hostCode\":["u8);
        for (var host = 1; host <= 4; host++) Text.Add(host > 1 ? ",\"H"u8 : "\"H"u8).Digits(StationNumber(station), 17).Digits(host, 2).Add("\""u8);
        Text.Add("],\"power\":{\"powerIds\":[\"p1\"]}}]"u8);
        return new WorkloadRecord(ScheduleTopics.StationParam, Key(station), Options.StartMs + (day * PushesADay * HourMs), Text.Take());
    }

    /// <summary>The 168 hours of a station that end with the given one, counted from the start.</summary>
    public WorkloadRecord Push(int station, long hour)
    {
        var timeMs = Options.StartMs + (hour * HourMs);
        Text.Add("{\"realTimeData\":["u8);
        for (var row = 0; row < Hours; row++) Row(station, hour - Hours + 1 + row, row > 0);
        Text.Add("]}"u8);
        return new WorkloadRecord(ScheduleTopics.RealtimeData, Key(station), timeMs + (station * HourMs / Stations), Text.Take());
    }

    private void Row(int station, long hour, bool isLater)
    {
        Text.Add(isLater ? ",{\"stationId\":\""u8 : "{\"stationId\":\""u8).Add(StationNumber(station))
            .Add("\",\"hostCode\":\"H"u8).Digits(StationNumber(station), 17).Digits(1, 2)
            .Add("\",\"sendTime\":\""u8).Time(Options.StartMs + (hour * HourMs))
            .Add("\",\"gunPower\":{\"gunNo\":["u8);
        for (var gun = 1; gun <= Guns; gun++) Text.Add(gun > 1 ? ",\""u8 : "\""u8).Digits(gun, 2).Add("\""u8);
        Text.Add("],\"outputPowerPerGunAvg\":["u8);
        for (var gun = 0; gun < Guns; gun++) Power(station, hour, gun, gun > 0);
        Text.Add("],\"outputPowerPerGunMax\":["u8);
        for (var gun = 0; gun < Guns; gun++) Power(station, hour, 32 + gun, gun > 0);
        Text.Add("]},\"outputPowerPerStationAvg\":"u8);
        Power(station, hour, 64, false);
        Text.Add(",\"outputPowerPerStationMax\":"u8);
        Power(station, hour, 65, false);
        Text.Add("}"u8);
    }

    // Seven characters, kW, and the same for the same hour in every push.
    private void Power(int station, long hour, int which, bool isLater)
    {
        if (isLater) Text.Add(","u8);
        Text.Decimal(100_000 + (long)(Draw((hour + 1_000_000) * Stations + station, which) % 900_000), 4);
    }

    private static byte[] Key(int station) => Encoding.ASCII.GetBytes(StationId(station));
}
