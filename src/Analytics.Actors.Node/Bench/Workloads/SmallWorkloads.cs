using System.Text;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.Workloads;

/// <summary>
/// Theodolite's UC2, downsampling: records of one value, one a second from each sensor, and six statistics of every tumbling minute
/// of each.
/// </summary>
public sealed class Uc2Workload(int stations = 1_000, WorkloadOptions? options = null) : Workload(stations, options ?? new WorkloadOptions())
{
    public const string Topic = "UC2-MEASUREMENT", Module = "uc2_statistics";

    public override string Name => "uc2";

    public override IReadOnlyList<string> Topics { get; } = [Topic];

    public override WorkloadRecord At(long number)
    {
        var station = (int)(number % Stations);
        var timeMs = Options.StartMs + (number * 1_000 / Stations);
        Text.Add("{\"identifier\":\""u8).Add(StationNumber(station)).Add("\",\"timestamp\":"u8).Add(timeMs)
            .Add(",\"valueInW\":"u8).Decimal(1_000 + (long)(Draw(number, 1) % 99_000), 2).Add("}"u8);
        return new WorkloadRecord(Topic, Encoding.ASCII.GetBytes(StationId(station)), timeMs, Text.Take());
    }

    public override string Pipeline(bool keyed) =>
        $$"""
        {
          "topics": {
            "{{Topic}}": {
              "station": ["identifier"], "mode": "append", "window": 60, "ttl": "1min", "start": "earliest", "keyed": {{(keyed ? "true" : "false")}},
              "fields": [{ "from": "valueInW", "type": "number" }]
            }
          },
          "modules": {
            "{{Module}}": { "topics": ["{{Topic}}"], "trigger": { "interval": "1min" }, "batch": "none", "onIncomplete": "wait" }
          }
        }
        """;
}

/// <summary>
/// ShuffleBench's shape: records of 1,024 bytes, a fifth of which match one of 1,000,000 consumers (our stations); a consumer counts,
/// and every tenth match asks for an output. What matches nobody names no station and is taken apart all the same.
/// </summary>
public sealed class ShuffleWorkload(int stations = 1_000_000, WorkloadOptions? options = null) : Workload(stations, options ?? new WorkloadOptions())
{
    public const string Topic = "SHUFFLE-RECORD", Module = "shuffle_consumer";
    public const int RecordBytes = 1_024;
    public const double Selectivity = 0.2, OutputRate = 0.1;

    public override string Name => "shuffle";

    public override IReadOnlyList<string> Topics { get; } = [Topic];

    public override WorkloadRecord At(long number)
    {
        var timeMs = Options.StartMs + (number / 100);
        // One consumer a record, of those that match; the others' keys spread over the partitions in the same way.
        var station = (int)(Draw(number, 1) % (ulong)Stations);
        Text.Add("{\"matches\":["u8);
        if (number % 5 == 0)
        {
            Text.Add("{\"stationId\":\""u8).Add(StationNumber(station)).Add("\",\"number\":"u8).Add(number)
                .Add(",\"output\":"u8).Add(number % 50 == 0 ? "true"u8 : "false"u8).Add("}"u8);
        }

        Text.Add("],\"data\":\""u8);
        var draw = Draw(number, 2);
        while (Text.Length < RecordBytes - 2)
        {
            var width = Math.Min(19, RecordBytes - 2 - Text.Length);
            Text.Digits((long)(draw >> 1), width);
            draw = Noise.Mix(draw);
        }

        Text.Add("\"}"u8);
        return new WorkloadRecord(Topic, Encoding.ASCII.GetBytes(StationId(station)), timeMs, Text.Take());
    }

    public override string Pipeline(bool keyed) =>
        $$"""
        {
          "topics": {
            "{{Topic}}": {
              "envelope": "matches", "mode": "append", "start": "earliest", "keyed": {{(keyed ? "true" : "false")}},
              "fields": [{ "from": "number", "type": "number" }, { "from": "output", "type": "boolean" }]
            }
          },
          "modules": {
            "{{Module}}": { "topics": ["{{Topic}}"], "batch": "none" }
          }
        }
        """;
}

/// <summary>
/// Records of 99 bytes and little state, of any number of stations: a meter's. Each record is of another station than those before it,
/// until all have had one; then they come again, in another order.
/// </summary>
public sealed class ScaleWorkload(int stations, WorkloadOptions? options = null) : Workload(stations, options ?? new WorkloadOptions())
{
    // Primes larger than any number of stations here: n times one of them goes through all of them, far apart. What lies together
    // in the order of one of them, as rows do in a table that was filled in that order, lies apart in that of the next.
    private static readonly long[] Strides = [1_073_741_789, 1_220_703_137, 1_318_699_867, 1_610_612_741];

    public override string Name => "scale";

    public override IReadOnlyList<string> Topics { get; } = [ScheduleTopics.Meter];

    public override string Pipeline(bool keyed) => Product(keyed, Topics);

    /// <summary>20,000 records/s, whatever the number of stations.</summary>
    public override WorkloadRecord At(long number)
    {
        var station = (int)(number % Stations * (Strides[number / Stations % Strides.Length] % Stations) % Stations);
        Text.Add("{\"stationId\":\""u8).Add(StationNumber(station));
        MixWorkload.AddMeter(Text, station, Draw(number, 1));
        return new WorkloadRecord(ScheduleTopics.Meter, Encoding.ASCII.GetBytes(StationId(station)), Options.StartMs + (number / 20), Text.Take());
    }
}
