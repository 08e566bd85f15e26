using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Windows;

/// <summary>The topics and modules of the default pipeline, as records and windows need them.</summary>
internal static class DefaultTopics
{
    public const string Param = "SCHEDULE-STATION-PARAM";
    public const string Realtime = "SCHEDULE-STATION-REALTIME-DATA";
    public const string Calendar = "SCHEDULE-ENVIRONMENT-CALENDAR";
    public const string Weather = "SCHEDULE-ENVIRONMENT-WEATHER";
    public const string Meter = "SCHEDULE-DEVICE-METER";
    public const string Gun = "SCHEDULE-DEVICE-GUN";
    public const string Error = "SCHEDULE-DEVICE-ERROR";
    public const string Dcdc = "SCHEDULE-DEVICE-HOST-DCDC";
    public const string Acdc = "SCHEDULE-DEVICE-HOST-ACDC";
    public const string Storage = "SCHEDULE-DEVICE-STORAGE";
    public const string Pv = "SCHEDULE-DEVICE-PV";
    public const string Order = "SCHEDULE-CAR-ORDER";
    public const string Price = "SCHEDULE-CAR-PRICE";

    private const long Minute = 60_000;
    private const long Hour = 60 * Minute;
    private const long Day = 24 * Hour;

    // Before the topics, which are made from them.
    private static readonly EnvelopeForm Object = new(EnvelopeKind.Object);
    private static readonly EnvelopeForm List = new(EnvelopeKind.List);

    public static readonly TimeSpan Zone = TimeSpan.FromHours(8);

    public static IReadOnlyDictionary<string, TopicConfiguration> All { get; } = Make().ToDictionary(topic => topic.Name);

    /// <summary>Topics in merge order, the outputs of dependencies last.</summary>
    public static IReadOnlyDictionary<string, string[]> Modules { get; } = new Dictionary<string, string[]>
    {
        ["load_prediction"] = [Param, Realtime, Calendar],
        ["pv_prediction"] = [Pv, Weather],
        ["SOH_model"] = [Param, Realtime, Calendar, Error],
        ["evaluation_model"] = [Param, Realtime, Order, Price, Dcdc, Acdc, Storage],
        ["operation_optimization"] = [Param, Order, Price, Dcdc, Storage, Output("load_prediction"), Output("pv_prediction")],
        ["electricity_price"] = [Param, Realtime, Calendar, Meter, Order, Price, Storage, Output("pv_prediction"), Output("evaluation_model"), Output("SOH_model")],
        ["station_guidance"] = [Order, Output("load_prediction"), Output("evaluation_model")],
        ["thermal_management"] = [Realtime, Price, Dcdc, Acdc, Storage, Output("load_prediction"), Output("operation_optimization")],
        ["customer_mining"] = [Order, Param],
    };

    public static string Output(string module) => "MODULE-OUTPUT-" + module.ToUpperInvariant();

    public static TopicWindow Window(string topic) => TopicWindows.Create(All[topic], Zone);

    public static TopicWindow Window(TopicConfiguration topic) => TopicWindows.Create(topic, Zone);

    public static ReadOnlyMemory<byte> Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public static IReadOnlyList<ReadOnlyMemory<byte>> Items(params string[] items) => Array.ConvertAll(items, Bytes);

    private static IEnumerable<TopicConfiguration> Make()
    {
        yield return Station(Param, List) with
        {
            Fields = Same("stationId", "stationLng", "stationLat", "gunNum", "gridCapacity", "meterId", "powerNum", "normalCap", "normalClap", "hostCode"),
        };
        yield return Station(Realtime, Member("realTimeData")) with
        {
            TimeMember = "sendTime", Mode = UpdateMode.Replace, Window = 168, PeriodMs = Hour, Shape = ShapeKind.Grid,
            Grid = new GridConfiguration("gunPower.gunNo", "gunNo", "sendTime",
                [new("gunPower.outputPowerPerGunAvg", "outputPowerPerGunAvg"), new("gunPower.outputPowerPerGunMax", "outputPowerPerGunMax")],
                Same("outputPowerPerStationAvg", "outputPowerPerStationMax")),
            Fill = FillStrategy.Zero, TtlMs = 35 * Day,
        };
        yield return Station(Calendar, Member("calendar")) with
        {
            Scope = TopicScope.Global, Triggers = false, Shape = ShapeKind.Columns, ColumnsMember = "calendar",
            Fields = [new("date", "date") { Default = "\"\"" }, new("isHoliday", "isHoliday") { Default = "0" }, new("isWeekend", "isWeekend") { Default = "0" }],
        };
        yield return Station(Weather, Member("weather")) with
        {
            Fields = Same("stationId", "weatherSituationYesterday", "seasonTomorrow", "weatherSituationTomorrow"), TtlMs = 3 * Day,
        };
        yield return Station(Meter, Object) with
        {
            Fields = [new("meterId", "meterId"), Number("meterPower"), Number("rmeterLimitPower")], Absent = AbsentFields.Null, TtlMs = Hour,
        };
        yield return Station(Gun, Object) with
        {
            TimeMember = "sendTime", Shape = ShapeKind.Aligned, TtlMs = 10 * Minute,
            Aligned = new AlignedConfiguration("gunNo", "gunNo", "sendTime",
                [new("hostCode", "hostCode") { Default = "\"\"" }, new("status", "status") { Default = "\"unknown\"" }]),
        };
        yield return Station(Error, Object) with
        {
            Fields = Same("stationId", "hostError", "acError", "dcError", "terminalError", "storageError"), Absent = AbsentFields.Null,
        };
        yield return Device(Dcdc, "hostCode", "device_host_dcdc") with
        {
            Fields = [new("hostCode", "hostCode"), new("", "moduleIndex") { IndexOf = "dcWorkStatus" }, new("dcWorkStatus", "dcWorkStatus"),
                new("dcdcPower", "dcPower") { Type = FieldType.List }],
        };
        yield return Device(Acdc, "hostCode", "device_host_acdc") with { Fields = [new("hostCode", "hostCode"), Number("acPower")] };
        yield return Device(Storage, "storageCode", "device_storage");
        yield return Station(Pv, Member("photovoltaicMessage"), Object) with { Fields = Same("stationId", "pvId", "pvPreDcPower"), TtlMs = 3 * Day };
        yield return Station(Order, Object, List) with
        {
            Mode = UpdateMode.Second, Window = 2, Shape = ShapeKind.Orders, ShapeMember = "car_order", TtlMs = Hour,
        };
        yield return Station(Price, Member("fee")) with
        {
            OrderMember = "sendTime", Shape = ShapeKind.Tariff, ShapeMember = "car_price", Tariff = new TariffConfiguration("feeNo", "feeNo", 48),
            Fields = Same("stationId", "startTime", "endTime", "ebbElectricFee", "ebbServerFee", "flatElectricFee", "flatServerFee",
                "peakElectricFee", "peakServerFee", "sharpElectricFee", "sharpServerFee", "otherElectricFee", "otherServerFee"),
        };
        foreach (var module in new[] { "load_prediction", "pv_prediction", "SOH_model", "evaluation_model", "operation_optimization" })
        {
            yield return Station(Output(module), Member("stations"), Member("results"), new EnvelopeForm(EnvelopeKind.Output)) with
            {
                StationPaths = ["station_id", "stationId"], Shape = ShapeKind.Flat, OutputOf = module,
            };
        }
    }

    private static EnvelopeForm Member(string name) => new(EnvelopeKind.Member, name);

    private static FieldSelection Number(string name) => new(name, name) { Type = FieldType.Number };

    private static FieldSelection[] Same(params string[] names) => Array.ConvertAll(names, name => new FieldSelection(name, name));

    private static TopicConfiguration Station(string name, params EnvelopeForm[] envelope) =>
        new() { Name = name, Envelope = envelope, StationPaths = ["stationId", "station_id"] };

    private static TopicConfiguration Device(string name, string member, string shapeMember) => Station(name, Object) with
    {
        Mode = UpdateMode.Device, DeviceMember = member, Shape = ShapeKind.Devices, ShapeMember = shapeMember, TtlMs = 10 * Minute,
    };
}
