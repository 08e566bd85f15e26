using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>What one record must come to: the parts that have to be applied, by construction and not by the router.</summary>
/// <param name="BadItems">Indexes of the items that must come to the dead letters.</param>
public sealed record ExpectedRecord(
    TopicPartition Partition, int Life, long Offset, bool IsGlobal, IReadOnlyList<(string Station, int Index)> Parts, IReadOnlyList<int> BadItems, string Value);

/// <summary>A small pipeline that uses every kind of path, and numbered records for it.</summary>
public sealed class Workload
{
    public const string Meters = "METERS", States = "STATES", Orders = "ORDERS", Calendar = "CALENDAR", First = "first", Second = "second", Watch = "watch", Span = "span", Extra = "extra";
    public const string FirstOutput = "MODULE-OUTPUT-FIRST", SecondOutput = "MODULE-OUTPUT-SECOND", WatchOutput = "MODULE-OUTPUT-WATCH", SpanOutput = "MODULE-OUTPUT-SPAN";

    private const string PipelineText = """
        {
          "topics": {
            "METERS": { "station": "STATION", "keyed": KEYED, "start": "earliest", "outOfRange": "earliest", "envelope": "list", "mode": "append", "window": 1, "shape": "fields", "fields": ["value"] },
            "STATES": { "station": "STATION", "keyed": KEYED, "start": "earliest", "outOfRange": "earliest", "envelope": "object", "mode": "append", "window": 1, "shape": "fields", "fields": ["state"] },
            "ORDERS": { "start": "earliest", "outOfRange": "earliest", "envelope": ["object", "list"], "mode": "second", "window": 2, "shape": { "kind": "orders", "member": "car_order" } },
            "CALENDAR": { "start": "earliest", "outOfRange": "earliest", "envelope": "object", "scope": "global", "mode": "append", "window": 1, "shape": "fields", "fields": ["day"], "triggers": false }
          },
          "modules": {
            "first": { "topics": ["METERS", "CALENDAR"], "requires": ["METERS"] },
            "second": { "topics": ["ORDERS"], "dependsOn": ["first"], "requires": "any", "coalesce": "COALESCE" },
            "span": { "topics": ["METERS"], "batch": { "kind": "window", "length": "3s", "lateness": "500ms" } },
            "watch": { "topics": ["METERS"], "trigger": { "interval": "3s" }, "onIncomplete": "wait", "batch": "none" }EXTRA
          }
        }
        """;

    private readonly World world;
    private readonly SimulatedLog log;
    private readonly ShardSettings settings;
    private readonly List<string> stations;
    private readonly HashSet<int> poisoned = [];
    private readonly Dictionary<(TopicPartition, int, long), ExpectedRecord> byOffset = [];
    private int number;

    public Workload(World world, SimulatedLog log, ShardSettings settings, int stationCount)
    {
        this.world = world;
        this.log = log;
        this.settings = settings;
        stations = Enumerable.Range(1, stationCount).Select(index => $"S{index}").ToList();
    }

    /// <summary>Each call for itself, and calls that share their triggers; METERS and STATES read by routers, and by the shards.</summary>
    public static IReadOnlyList<PipelineConfiguration> Pipelines { get; } = All(isOther: false);

    private static readonly IReadOnlyList<PipelineConfiguration> others = All(isOther: true);

    /// <summary>
    /// The versions of a configuration by turns: every second one finds the stations of METERS and STATES under another member, so that the
    /// parts of its records are other stations' in other shards, and has one module more.
    /// </summary>
    public static PipelineConfiguration Version(PipelineConfiguration first, long version) =>
        IsOther(version) ? others[Pipelines.TakeWhile(pipeline => pipeline != first).Count()] : first;

    /// <summary>The version is one of those that differ from the first.</summary>
    public static bool IsOther(long version) => version % 2 == 0;

    /// <summary>What a record's parts must be under the version that routes it.</summary>
    public static ExpectedRecord Under(long version, ExpectedRecord record) =>
        record.Partition.Topic is Meters or States && IsOther(version) ? record with { Parts = [.. record.Parts.Select(part => (Other(part.Station), part.Index))] } : record;

    private static string Other(string station) => "T" + station[1..];

    public static IReadOnlyList<TopicPartition> Sources(ShardSettings settings) =>
    [
        .. Enumerable.Range(0, MetersPartitions(settings)).Select(partition => new TopicPartition(Meters, partition)),
        .. Enumerable.Range(0, MetersPartitions(settings)).Select(partition => new TopicPartition(States, partition)), new(Orders, 0), new(Orders, 1), new(Calendar, 0), new(FirstOutput, 0), new(FirstOutput, 1),
    ];

    public List<ExpectedRecord> Expected { get; } = [];

    /// <summary>What a record of a source partition must come to, one of ours or an upload that is read back.</summary>
    public ExpectedRecord RecordAt(SimulatedLog from, TopicPartition partition, long offset)
    {
        if (!byOffset.TryGetValue((partition, from.Life(partition), offset), out var record))
        {
            using var upload = JsonDocument.Parse(from.At(partition, offset).Value);
            var parts = upload.RootElement.GetProperty("stations").EnumerateArray().Select((item, index) => (item.GetProperty("station_id").GetString()!, index)).ToList();
            byOffset.Add((partition, from.Life(partition), offset), record = new ExpectedRecord(partition, from.Life(partition), offset, false, parts, [], ""));
        }

        return record;
    }

    private static int MetersPartitions(ShardSettings settings) => settings.IsKeyed(Meters) ? settings.ShardCount : 2;

    public void Plan(int records, int poisons, int spanMs)
    {
        while (poisoned.Count < poisons) poisoned.Add(world.Random.Next(1, records));
        for (var count = 0; count < records; count++) world.After(world.Between(0, spanMs), Produce);
    }

    private void Produce()
    {
        number++;
        var value = "v" + number.ToString(CultureInfo.InvariantCulture);
        if (poisoned.Contains(number))
        {
            ProduceMeters(SimulatedModules.Poison + value);
            return;
        }

        switch (world.Random.Next(13))
        {
            case < 5: ProduceMeters(value); break;
            case < 9: ProduceOrder(value); break;
            case < 12: ProduceState(value); break;
            default: Append(new TopicPartition(Calendar, 0), new { day = value }, true, [], [], value); break;
        }
    }

    // A station's records are all in one partition, so that their order is known.
    private void ProduceMeters(string value)
    {
        var partition = world.Random.Next(MetersPartitions(settings));
        var chosen = stations.Where(station => MetersPartitionOf(station) == partition).OrderBy(_ => world.Random.Next()).Take(world.Random.Next(1, 4)).ToList();
        if (chosen.Count == 0) return;
        List<object> items = [];
        List<(string, int)> parts = [];
        List<int> bad = [];
        foreach (var station in chosen)
        {
            if (world.Chance(0.05))
            {
                bad.Add(items.Count);
                items.Add(new { value });
            }

            parts.Add((station, items.Count));
            items.Add(new { stationId = station, otherId = Other(station), value });
        }

        Append(new TopicPartition(Meters, partition), items, false, parts, bad, value, settings.IsKeyed(Meters) ? chosen[0] : null);
    }

    // The producer of a keyed topic keys one station in four wrongly, always in the same way.
    private int MetersPartitionOf(string station)
    {
        var isWrong = settings.IsKeyed(Meters) && Murmur2.Partition(station + "?", 4) == 0;
        return Murmur2.Partition(isWrong ? station + "!" : station, MetersPartitions(settings));
    }

    private void ProduceOrder(string value)
    {
        var station = stations[world.Random.Next(stations.Count)];
        Append(new TopicPartition(Orders, Murmur2.Partition(station, 2)), new { stationId = station, order = value }, false, [(station, 0)], [], value);
    }

    // One object, which nobody gathers: where it is keyed, shards take it without taking it apart first.
    private void ProduceState(string value)
    {
        var station = stations[world.Random.Next(stations.Count)];
        Append(
            new TopicPartition(States, MetersPartitionOf(station)), new { stationId = station, otherId = Other(station), state = value }, false, [(station, 0)], [], value,
            settings.IsKeyed(States) ? station : null);
    }

    private void Append(TopicPartition partition, object value, bool isGlobal, List<(string, int)> parts, List<int> bad, string named, string? key = null)
    {
        var expected = new ExpectedRecord(partition, log.Life(partition), log.End(partition), isGlobal, parts, bad, named);
        Expected.Add(expected);
        byOffset.Add((partition, expected.Life, expected.Offset), expected);
        world.Tell(() => $"{partition} {expected.Offset}: {named} for {(isGlobal ? "all" : string.Join(" ", parts.Select(part => part.Item1)))}");
        log.Append(partition, world.NowMs, key is null ? null : System.Text.Encoding.UTF8.GetBytes(key), JsonSerializer.SerializeToUtf8Bytes(value), null);
    }

    private static IReadOnlyList<PipelineConfiguration> All(bool isOther) =>
        [Read("every", isOther, isKeyed: false), Read("every", isOther, isKeyed: true), Read("latest", isOther, isKeyed: false), Read("latest", isOther, isKeyed: true)];

    private static PipelineConfiguration Read(string coalesce, bool isOther, bool isKeyed)
    {
        var text = PipelineText.Replace("COALESCE", coalesce, StringComparison.Ordinal)
            .Replace("KEYED", isKeyed ? "true" : "false", StringComparison.Ordinal)
            .Replace("STATION", isOther ? "otherId" : "stationId", StringComparison.Ordinal)
            .Replace("EXTRA", isOther ? ",\n\"extra\": { \"topics\": [\"METERS\"] }" : "", StringComparison.Ordinal);
        var read = PipelineReader.Read(System.Text.Encoding.UTF8.GetBytes(text), "simulation");
        return read.Configuration ?? throw new InvalidOperationException(string.Join("\n", read.Problems));
    }
}
