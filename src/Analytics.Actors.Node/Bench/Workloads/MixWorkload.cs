using System.Text;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.Workloads;

/// <summary>
/// What stations of the product send all day: of 40 records 24 car orders of 14 fields (437 bytes), 12 states of DCDC hosts with
/// 20 modules (373), 3 of storages (231) and one of a meter (99). Every station has 8 guns, 4 hosts and 2 storages. At the
/// workload's own pace, 13,333 records/s for 1,000 stations, each gun sends an order a second.
/// </summary>
public sealed class MixWorkload(int stations = 1_000, WorkloadOptions? options = null) : Workload(stations, options ?? new WorkloadOptions())
{
    public const int OrderBytes = 437, HostBytes = 373, StorageBytes = 231, MeterBytes = 99;

    private const int Cycle = 40, Orders = 24, Hosts = 12, Storages = 3;
    private const int Modules = 20;

    /// <summary>Of each station.</summary>
    public const int Guns = 8, HostsEach = 4, StoragesEach = 2;

    // 27 is coprime to 40: kinds come interleaved, and each 40 records hold the shares exactly.
    private const int Stride = 27;

    public override string Name => "mix";

    public override IReadOnlyList<string> Topics { get; } = [ScheduleTopics.CarOrder, ScheduleTopics.HostDcdc, ScheduleTopics.Storage, ScheduleTopics.Meter];

    /// <summary>The part of the records that are orders.</summary>
    public const double OrderShare = Orders / (double)Cycle;

    public override string Pipeline(bool keyed) => Product(keyed, Topics);

    /// <summary>When a record is sent, ms since 1970 UTC.</summary>
    public long TimeOf(long number) => Options.StartMs + (long)(number * (1_000 * OrderShare / (Guns * Stations)));

    public override WorkloadRecord At(long number)
    {
        var timeMs = TimeOf(number);
        var station = (int)(Draw(number, 1) % (ulong)Stations);
        return (int)(number % Cycle * Stride % Cycle) switch
        {
            < Orders => Order(number, station, (int)(Draw(number, 6) % Guns), timeMs),
            < Orders + Hosts => Host(number, station, (int)(Draw(number, 7) % HostsEach), timeMs),
            < Orders + Hosts + Storages => Storage(number, station, (int)(Draw(number, 8) % StoragesEach), timeMs),
            _ => Meter(number, station, timeMs),
        };
    }

    /// <summary>What the car at one gun of a station says.</summary>
    /// <param name="number">What the values are drawn by.</param>
    public WorkloadRecord Order(long number, int station, int gun, long timeMs)
    {
        var draw = Draw(number, 2);
        Begin(station);
        var power = 20_000 + Pick(ref draw, 100_000);
        var voltage = 330_000 + Pick(ref draw, 110_000);
        var begin = 500 + Pick(ref draw, 4_000);
        var charged = Pick(ref draw, 50_00);
        var startMs = timeMs - 60_000 - (Pick(ref draw, 90) * 60_000);
        Text.Add("\",\"hostCode\":\""u8);
        HostCode(station, gun % HostsEach);
        // Serial numbers are as long as it takes to make the record its size: 40 digits or so.
        Text.Add("\",\"gunNo\":\""u8).Digits(gun + 1, 2)
            .Add("\",\"beginSOC\":"u8).Decimal(begin, 2)
            .Add(",\"soc\":"u8).Decimal(begin + charged, 2)
            .Add(",\"outputPower\":"u8).Decimal(power, 3)
            .Add(",\"outputVoltage\":"u8).Decimal(voltage, 3)
            .Add(",\"outputCurrent\":"u8).Decimal(power * 1_000_000 / voltage, 3)
            .Add(",\"batteryNominalTotalCapacity\":"u8).Decimal(400 + Pick(ref draw, 600), 1)
            .Add(",\"chargedEnergy\":"u8).Decimal(charged * 7 / 10, 2)
            .Add(",\"startChargeTime\":\""u8).Time(startMs)
            .Add("\",\"endChargeTime\":\"0000-00-00 00:00:00\",\"sendTime\":\""u8).Time(timeMs)
            .Add("\",\"transactionSerialNo\":\""u8);
        const string end = "\"}";
        var rest = OrderBytes - Text.Length - end.Length;
        Text.Digits(StationNumber(station), 19).Digits(gun + 1, 2).Digits(startMs / 1_000, rest - 21).Add("\"}"u8);
        return End(ScheduleTopics.CarOrder, station, timeMs);
    }

    /// <summary>The modules of one DCDC host of a station.</summary>
    public WorkloadRecord Host(long number, int station, int host, long timeMs)
    {
        var draw = Draw(number, 3);
        Begin(station);
        Text.Add("\",\"hostCode\":\""u8);
        HostCode(station, host);
        Text.Add("\",\"sendTime\":\""u8).Time(timeMs).Add("\",\"dcWorkStatus\":["u8);
        for (var module = 0; module < Modules; module++)
        {
            Text.Add(module > 0 ? ",\"0"u8 : "\"0"u8).Digits((long)(draw >> module) & 1, 1).Add("\""u8);
        }

        Text.Add("],\"dcdcPower\":["u8);
        for (var module = 0; module < Modules; module++)
        {
            if (module > 0) Text.Add(","u8);
            Text.Decimal(10_000 + (long)(Draw(number, 10 + module) % 30_000), 3);
        }

        Text.Add("]}"u8);
        return End(ScheduleTopics.HostDcdc, station, timeMs);
    }

    /// <summary>One storage of a station.</summary>
    public WorkloadRecord Storage(long number, int station, int storage, long timeMs)
    {
        var draw = Draw(number, 4);
        Begin(station);
        var power = 100 + Pick(ref draw, 500);
        Text.Add("\",\"storageCode\":\"B0"u8).Add(storage + 1).Add("\",\"hostCode\":\""u8);
        HostCode(station, storage);
        Text.Add("\",\"batteryGroupElectric\":"u8).Decimal(power * 10 / 9 + 10, 1)
            .Add(",\"batteryGroupOutPower\":"u8).Decimal(power, 1)
            .Add(",\"batteryGroupSoc\":"u8).Add(10 + Pick(ref draw, 90))
            .Add(",\"batteryGroupSoh\":"u8).Add(90 + Pick(ref draw, 10))
            .Add(",\"maxTemperature\":"u8).Decimal(280 + Pick(ref draw, 120), 1)
            .Add(",\"minTemperature\":"u8).Decimal(180 + Pick(ref draw, 80), 1)
            .Add("}"u8);
        return End(ScheduleTopics.Storage, station, timeMs);
    }

    private WorkloadRecord Meter(long number, int station, long timeMs)
    {
        Begin(station);
        AddMeter(Text, station, Draw(number, 5));
        return End(ScheduleTopics.Meter, station, timeMs);
    }

    private void Begin(int station) => Text.Add("{\"stationId\":\""u8).Add(StationNumber(station));

    private WorkloadRecord End(string topic, int station, long timeMs) =>
        new(topic, Encoding.ASCII.GetBytes(StationId(station)), timeMs, Text.Take());

    /// <summary>A meter's record behind the station's id.</summary>
    internal static void AddMeter(RecordText text, int station, ulong draw)
    {
        text.Add("\",\"meterId\":\"M"u8).Digits(station, 7)
            .Add("\",\"meterPower\":"u8).Decimal(1_000 + Pick(ref draw, 9_000), 1)
            .Add(",\"rmeterLimitPower\":"u8).Add(1_000 + Pick(ref draw, 9_000))
            .Add("}"u8);
    }

    private void HostCode(int station, int host) =>
        Text.Add("H"u8).Digits(StationNumber(station), 17).Digits(host + 1, 2);

    private static long Pick(ref ulong draw, ulong count)
    {
        var picked = draw % count;
        draw = Noise.Mix(draw);
        return (long)picked;
    }
}
