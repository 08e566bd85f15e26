namespace Analytics.Actors.Node.Demo;

/// <summary>The thirteen topics of the default pipeline that stations write to.</summary>
public static class ScheduleTopics
{
    public const string StationParam = "SCHEDULE-STATION-PARAM";
    public const string RealtimeData = "SCHEDULE-STATION-REALTIME-DATA";
    public const string Calendar = "SCHEDULE-ENVIRONMENT-CALENDAR";
    public const string Weather = "SCHEDULE-ENVIRONMENT-WEATHER";
    public const string Meter = "SCHEDULE-DEVICE-METER";
    public const string Gun = "SCHEDULE-DEVICE-GUN";
    public const string Error = "SCHEDULE-DEVICE-ERROR";
    public const string HostDcdc = "SCHEDULE-DEVICE-HOST-DCDC";
    public const string HostAcdc = "SCHEDULE-DEVICE-HOST-ACDC";
    public const string Storage = "SCHEDULE-DEVICE-STORAGE";
    public const string Pv = "SCHEDULE-DEVICE-PV";
    public const string CarOrder = "SCHEDULE-CAR-ORDER";
    public const string CarPrice = "SCHEDULE-CAR-PRICE";

    public static readonly IReadOnlyList<string> All =
    [
        StationParam, RealtimeData, Calendar, Weather, Meter, Gun, Error, HostDcdc, HostAcdc, Storage, Pv, CarOrder, CarPrice,
    ];
}
