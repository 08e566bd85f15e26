using System.Text;

namespace Analytics.Actors.Node.Demo;

/// <summary>What can be wrong with a record that a station sends.</summary>
public enum BadRecordKind
{
    NotJson, CutJson, WrongEnvelope, MissingId, NullId, FractionalId, BooleanId, OversizedId, WrongFieldType,
    TooDeep, InvalidUtf8, DuplicateKeys, BadSendTime, ItemNotObject, ZeroId,
}

/// <summary>
/// Makes records that cannot be used, wholly or in one item, each with the dead letters that it must cause. Where the
/// topic's envelope is a list, the bad item stands between good ones, which must count all the same.
/// </summary>
internal sealed class BadRecords(PayloadWriter payloads, FleetOptions options)
{
    private static readonly int KindCount = Enum.GetValues<BadRecordKind>().Length;

    public static BadRecordKind KindOf(int number) => (BadRecordKind)(number % KindCount);

    /// <param name="first">A station that talks.</param>
    /// <param name="second">Another one.</param>
    public DemoRecord Make(BadRecordKind kind, SimulatedStation first, SimulatedStation second, long nowMs) => kind switch
    {
        BadRecordKind.NotJson => Whole(kind, ScheduleTopics.Meter, "not-json", "meterPower=12.5;unit=kW"u8, nowMs),
        BadRecordKind.CutJson => Whole(kind, ScheduleTopics.HostDcdc, "not-json", Cut(first, nowMs), nowMs),
        // A list where the topic has objects.
        BadRecordKind.WrongEnvelope => Whole(kind, ScheduleTopics.Meter, "wrong-envelope", payloads.List([first], nowMs, null, payloads.Meter), nowMs),
        BadRecordKind.MissingId => BetweenGoodItems(kind, ScheduleTopics.StationParam, null, "no-id", "{\"gunNum\":2,\"gridCapacity\":630.0}", first, second, nowMs, payloads.Param),
        BadRecordKind.NullId => BetweenGoodItems(kind, ScheduleTopics.Weather, "weather", "invalid-id", "{\"stationId\":null,\"seasonTomorrow\":\"winter\"}", first, second, nowMs, payloads.Weather),
        BadRecordKind.FractionalId => Whole(kind, ScheduleTopics.CarOrder, "invalid-id", "{\"stationId\":12.5,\"transactionSerialNo\":\"tx\",\"gunNo\":\"01\",\"soc\":50.5}"u8, nowMs),
        BadRecordKind.BooleanId => BetweenGoodItems(kind, ScheduleTopics.CarPrice, "fee", "invalid-id", "{\"stationId\":true,\"feeNo1\":\"01\"}", first, second, nowMs, payloads.Price),
        BadRecordKind.OversizedId => Whole(kind, ScheduleTopics.Meter, "invalid-id", Encoding.UTF8.GetBytes($"{{\"stationId\":\"{new string('x', 10_000)}\",\"meterPower\":1}}"), nowMs),
        BadRecordKind.WrongFieldType => WrongFieldType(first, nowMs),
        BadRecordKind.TooDeep => Whole(kind, ScheduleTopics.Meter, "too-deep", Encoding.UTF8.GetBytes($"{{\"stationId\":\"{new string('d', 3)}\",\"meterPower\":{new string('[', 1_000)}{new string(']', 1_000)}}}"), nowMs),
        BadRecordKind.InvalidUtf8 => Whole(kind, ScheduleTopics.Meter, "invalid-utf8", [.. "{\"stationId\":\"S"u8, 0xc3, 0x28, 0xff, .. "\",\"meterPower\":1}"u8], nowMs),
        BadRecordKind.DuplicateKeys => Whole(kind, ScheduleTopics.Meter, "duplicate-key", "{\"stationId\":\"S1\",\"meterPower\":1,\"stationId\":\"S2\"}"u8, nowMs),
        BadRecordKind.BadSendTime => BadSendTime(first, nowMs),
        BadRecordKind.ItemNotObject => BetweenGoodItems(kind, ScheduleTopics.StationParam, null, "item-not-object", "\"x\"", first, second, nowMs, payloads.Param),
        BadRecordKind.ZeroId => Whole(kind, ScheduleTopics.HostAcdc, "invalid-id", "{\"stationId\":0,\"hostCode\":\"H1\",\"acPower\":1}"u8, nowMs),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    private static DemoRecord Whole(BadRecordKind kind, string topic, string code, ReadOnlySpan<byte> value, long nowMs) =>
        new(topic, null, nowMs, value.ToArray(), Expectation.Rejected(kind, code));

    private byte[] Cut(SimulatedStation station, long nowMs)
    {
        payloads.Dcdc(station, 0, nowMs);
        var whole = payloads.Take();
        return whole[..(whole.Length * 2 / 3)];
    }

    private DemoRecord BetweenGoodItems(
        BadRecordKind kind, string topic, string? member, string code, string badItem,
        SimulatedStation first, SimulatedStation second, long nowMs, Action<SimulatedStation, long> write)
    {
        payloads.BeginList(member);
        write(first, nowMs);
        payloads.Json.WriteRawValue(badItem, skipInputValidation: true);
        write(second, nowMs);
        payloads.EndList(member);
        return new DemoRecord(topic, null, nowMs, payloads.Take(), new Expectation
        {
            Bad = kind,
            Parts = [new ExpectedPart(first.Id, 0), new ExpectedPart(second.Id, 2)],
            Rejections = [new ExpectedRejection(1, code)],
        });
    }

    // The record can be routed, and the station's window refuses the item: the part counts as applied.
    private DemoRecord WrongFieldType(SimulatedStation station, long nowMs)
    {
        payloads.Json.WriteStartObject();
        if (station.IntegerId != 0) payloads.Json.WriteNumber("stationId", station.IntegerId);
        else payloads.Json.WriteString("stationId", station.Id);
        payloads.Json.WriteString("gunNo", "01");
        payloads.Json.WriteString("hostCode", "H1");
        payloads.Json.WriteString("status", "idle");
        payloads.Json.WriteEndObject();
        return new DemoRecord(ScheduleTopics.Gun, station.Id, nowMs, payloads.Take(), new Expectation
        {
            Bad = BadRecordKind.WrongFieldType,
            Parts = [new ExpectedPart(station.Id, 0)],
            Rejections = [new ExpectedRejection(0, "wrong-type")],
        });
    }

    // The whole history comes along, for a push replaces the window; one row in its middle has no readable time.
    private DemoRecord BadSendTime(SimulatedStation station, long nowMs)
    {
        const int rowsAfter = 5;
        payloads.BeginList("realTimeData");
        payloads.Realtime(station, nowMs - rowsAfter * 3_600_000L, options.HistoryHours - rowsAfter);
        payloads.RealtimeRow(station, nowMs / 3_600_000, "the hour before");
        payloads.Realtime(station, nowMs, rowsAfter);
        payloads.EndList("realTimeData");
        return new DemoRecord(ScheduleTopics.RealtimeData, station.Id, nowMs, payloads.Take(), new Expectation
        {
            Bad = BadRecordKind.BadSendTime,
            Parts = [new ExpectedPart(station.Id, 0)],
            Rejections = [new ExpectedRejection(options.HistoryHours - rowsAfter, "bad-time")],
        });
    }
}
