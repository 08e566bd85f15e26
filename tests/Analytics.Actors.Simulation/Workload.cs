using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Simulation;

/// <summary>What one record must come to: the parts that have to be applied, by construction and not by the router.</summary>
public sealed record ExpectedRecord(TopicPartition Partition, long Offset, bool IsGlobal, IReadOnlyList<(string Station, int Index)> Parts, string Value);

/// <summary>A small pipeline that uses every kind of path, and numbered records for it.</summary>
public sealed class Workload
{
    public const string Meters = "METERS", Orders = "ORDERS", Calendar = "CALENDAR", First = "first", Second = "second";
    public const string FirstOutput = "MODULE-OUTPUT-FIRST", SecondOutput = "MODULE-OUTPUT-SECOND";

    private const string PipelineText = """
        {
          "topics": {
            "METERS": { "envelope": "list", "mode": "append", "window": 1, "shape": "fields", "fields": ["value"] },
            "ORDERS": { "envelope": ["object", "list"], "mode": "second", "window": 2, "shape": { "kind": "orders", "member": "car_order" } },
            "CALENDAR": { "envelope": "object", "scope": "global", "mode": "append", "window": 1, "shape": "fields", "fields": ["day"], "triggers": false }
          },
          "modules": {
            "first": { "topics": ["METERS", "CALENDAR"], "requires": ["METERS"] },
            "second": { "topics": ["ORDERS"], "dependsOn": ["first"], "requires": "any", "coalesce": "latest" }
          }
        }
        """;

    private readonly World world;
    private readonly SimulatedLog log;
    private readonly List<string> stations;
    private int number;

    public Workload(World world, SimulatedLog log, int stationCount)
    {
        this.world = world;
        this.log = log;
        stations = Enumerable.Range(1, stationCount).Select(index => $"S{index}").ToList();
    }

    public static PipelineConfiguration Pipeline { get; } = ReadPipeline();

    public static IReadOnlyList<TopicPartition> Sources { get; } =
    [
        new(Meters, 0), new(Meters, 1), new(Orders, 0), new(Orders, 1), new(Calendar, 0), new(FirstOutput, 0), new(FirstOutput, 1),
    ];

    public List<ExpectedRecord> Expected { get; } = [];

    /// <summary>The last value that each station was sent on METERS.</summary>
    public Dictionary<string, string> LastValue { get; } = [];

    /// <summary>Items that must come to the dead letters.</summary>
    public int BadItems { get; private set; }

    public void Plan(int records, int spanMs)
    {
        for (var count = 0; count < records; count++) world.After(world.Between(0, spanMs), Produce);
    }

    private void Produce()
    {
        number++;
        var value = "v" + number.ToString(System.Globalization.CultureInfo.InvariantCulture);
        switch (world.Random.Next(10))
        {
            case < 5: ProduceMeters(value); break;
            case < 9: ProduceOrder(value); break;
            default: Append(new TopicPartition(Calendar, 0), new { day = value }, true, [], value); break;
        }
    }

    // A station's records are all in one partition, so that their order is known.
    private void ProduceMeters(string value)
    {
        var partition = world.Random.Next(2);
        var chosen = stations.Where(station => Murmur2.Partition(station, 2) == partition).OrderBy(_ => world.Random.Next()).Take(world.Random.Next(1, 4)).ToList();
        if (chosen.Count == 0) return;
        List<object> items = [];
        List<(string, int)> parts = [];
        foreach (var station in chosen)
        {
            if (world.Chance(0.05))
            {
                items.Add(new { value });
                BadItems++;
            }

            parts.Add((station, items.Count));
            items.Add(new { stationId = station, value });
            LastValue[station] = value;
        }

        Append(new TopicPartition(Meters, partition), items, false, parts, value);
    }

    private void ProduceOrder(string value)
    {
        var station = stations[world.Random.Next(stations.Count)];
        Append(new TopicPartition(Orders, Murmur2.Partition(station, 2)), new { stationId = station, order = value }, false, [(station, 0)], value);
    }

    private void Append(TopicPartition partition, object value, bool isGlobal, List<(string, int)> parts, string named)
    {
        var offset = log.Append(partition, world.NowMs, null, JsonSerializer.SerializeToUtf8Bytes(value), null);
        Expected.Add(new ExpectedRecord(partition, offset, isGlobal, parts, named));
    }

    private static PipelineConfiguration ReadPipeline()
    {
        var read = PipelineReader.Read(System.Text.Encoding.UTF8.GetBytes(PipelineText), "simulation");
        return read.Configuration ?? throw new InvalidOperationException(string.Join("\n", read.Problems));
    }
}
