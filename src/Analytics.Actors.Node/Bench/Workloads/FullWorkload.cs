using System.Text;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.Workloads;

/// <summary>
/// Fills the windows of stations: of each one 168 hours of 8 guns, 4 DCDC hosts with 20 modules, 2 storages, 8 orders in each of two
/// seconds, and a tariff of 48 positions. Times do not advance: stations come one after the other.
/// </summary>
public sealed class FullWorkload(int stations, WorkloadOptions? options = null) : Workload(stations, options ?? new WorkloadOptions())
{
    private readonly GridWorkload grid = new(stations, options);
    private readonly MixWorkload mix = new(stations, options);

    private const int Hosts = 1 + MixWorkload.HostsEach, Storages = Hosts + MixWorkload.StoragesEach, Orders = Storages + (2 * MixWorkload.Guns);

    /// <summary>Records of each station.</summary>
    public const int RecordsEach = Orders + 1;

    public override string Name => "full";

    public override IReadOnlyList<string> Topics { get; } =
        [ScheduleTopics.RealtimeData, ScheduleTopics.HostDcdc, ScheduleTopics.Storage, ScheduleTopics.CarOrder, ScheduleTopics.CarPrice];

    public override string Pipeline(bool keyed) => Product(keyed, Topics);

    public override WorkloadRecord At(long number)
    {
        var station = (int)(number / RecordsEach);
        return (int)(number % RecordsEach) switch
        {
            0 => grid.Push(station, 0) with { TimestampMs = Options.StartMs },
            < Hosts and var host => mix.Host(number, station, host - 1, Options.StartMs),
            < Storages and var storage => mix.Storage(number, station, storage - Hosts, Options.StartMs),
            < Orders and var order => mix.Order(number, station, (order - Storages) % MixWorkload.Guns, Options.StartMs + ((order - Storages) / MixWorkload.Guns * 1_000)),
            _ => Price(station),
        };
    }

    private WorkloadRecord Price(int station)
    {
        Text.Add("{\"fee\":[{\"stationId\":\""u8).Add(StationNumber(station)).Add("\",\"sendTime\":\""u8).Time(Options.StartMs)
            .Add("\",\"startTime\":\"00:00\",\"endTime\":\"24:00\""u8);
        foreach (var kind in (ReadOnlySpan<string>)["ebb", "flat", "peak", "sharp", "other"])
        {
            Text.Add(",\""u8).Add(Encoding.ASCII.GetBytes(kind)).Add("ElectricFee\":"u8).Decimal(3_200 + (station % 1_000), 4)
                .Add(",\""u8).Add(Encoding.ASCII.GetBytes(kind)).Add("ServerFee\":0.45"u8);
        }

        for (var position = 1; position <= 48; position++) Text.Add(",\"feeNo"u8).Add(position).Add("\":\"0"u8).Add(position / 10).Add("\""u8);
        Text.Add("}]}"u8);
        return new WorkloadRecord(ScheduleTopics.CarPrice, Encoding.ASCII.GetBytes(StationId(station)), Options.StartMs, Text.Take());
    }
}
