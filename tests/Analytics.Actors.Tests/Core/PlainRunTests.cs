using System.Text;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Tests.Pipeline;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>
/// Plain records that are read many together, of stations that leave memory and come back, or are paused and forgotten, with
/// windows that age, modules that have several topics, processes that end, and another pipeline after them: the same state and
/// answers as by the general way.
/// </summary>
public class PlainRunTests
{
    private const int Shards = 2;

    private static readonly string Pipeline = SmallPipelines.Build(
        """
        "METERS": { "envelope": ["object", "list"], "keyed": "station", "time": "sendTime", "window": 3, "ttl": "70s", "fields": [{ "from": "value", "type": "number" }, "inner.deep"] },
        "STATES": { "envelope": ["items", "object"], "keyed": "station", "mode": "device", "device": "code", "time": "sendTime", "ttl": "90s", "shape": { "kind": "devices", "member": "states" },
                    "fields": ["code", { "indexOf": "list", "as": "index" }, "list", { "from": "value", "type": "number" }] },
        "FLAT":   { "envelope": ["object"], "keyed": "station", "window": 1, "shape": { "kind": "flat" }, "triggers": false },
        "LAST":   { "envelope": ["output", "object"], "keyed": "station", "mode": "replace", "window": 2, "fields": [{ "from": "value", "type": "number" }, "code"] },
        "ORDERS": { "envelope": ["object", "list"], "keyed": "station", "mode": "second", "time": "sendTime", "window": 2, "shape": { "kind": "orders", "member": "orders" } },
        "COLS":   { "envelope": "object", "keyed": "station", "window": 1, "shape": { "kind": "columns", "list": "rows" }, "fields": [{ "from": "value", "type": "number" }, "code"], "triggers": false },
        "FEES":   { "envelope": "object", "keyed": "station", "shape": { "kind": "tariff", "member": "fees", "prefix": "n", "name": "no", "count": 9 }, "fields": ["code"], "triggers": false },
        "GUNS":   { "envelope": "object", "keyed": "station", "time": "sendTime", "window": 3, "shape": { "kind": "aligned", "member": "guns", "keys": "list", "times": "at", "series": [{ "from": "status", "as": "status", "default": "unknown" }] }, "triggers": false },
        "GRID":   { "envelope": "object", "keyed": "station", "time":  "sendTime", "mode": "replace", "window": 4, "period": "1h", "triggers": false,
                    "shape": { "kind": "grid", "member": "grid", "keys": "list", "keysName": "guns", "times": "at", "series": ["status"], "rowSeries": ["value"] } },
        "GLOBAL": { "scope": "global", "envelope": "object", "fields": ["day"], "triggers": false }
        """,
        """ "m": { "topics": ["METERS", "STATES", "ORDERS"], "batch": "none" }, "n": { "topics": ["LAST", "FLAT", "METERS", "COLS", "FEES", "GUNS", "GRID"], "requires": ["LAST"], "batch": "none" } """);

    // Another version of it: names that were asked for are not, and others are.
    private static readonly string Changed = Pipeline.Replace("\"window\": 3", "\"window\": 2", StringComparison.Ordinal).Replace("\"time\": \"sendTime\", ", "", StringComparison.Ordinal)
        .Replace("\"inner.deep\"", "\"code\", \"n7\"", StringComparison.Ordinal).Replace("\"type\": \"number\" }, \"code\"", "\"type\": \"text\" }", StringComparison.Ordinal);

    private static readonly string[] Topics = ["METERS", "STATES", "FLAT", "LAST", "ORDERS", "COLS", "FEES", "GUNS", "GRID"];
    private static readonly string[] Stations = ["S1", "S2", "17", "Ä-3", "S\"5", "123456789012345678901234567890123456", "1234567890123456789012345678901234567", new string('L', 200) + "é", "-5", "a/b"];

    [Fact]
    public void Runs_of_plain_records_come_to_the_same_by_the_short_way_as_by_the_general_one() => Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
    {
        var random = new Random(seed);
        var most = new[] { 1, 2, 7, 40, 100 }[random.Next(5)];
        var stations = random.Next(1, 12);
        var interval = random.Next(2) * 200;
        var order = random.Next(2) == 0 ? random.Next() : (int?)null;
        var crashes = random.Next(2) == 0 ? Enumerable.Range(0, 4).Select(_ => random.Next(20, 1_500)).ToHashSet() : [];
        CoreNode[] nodes = [NewNode(most, stations, interval, order, crashes), NewNode(most, stations, interval, order, crashes)];
        for (var round = random.Next(1, 14); round > 0; round--)
        {
            for (var count = random.Next(1, random.Next(4) == 0 ? 120 : 30); count > 0; count--) Append(random, nodes[0], nodes[1]);
            Advance(nodes, random.Next(2));
            var step = random.Next(12);
            var pipeline = PipelineFiles.Valid(random.Next(2) == 0 ? Pipeline : Changed);
            if (step == 0) foreach (var node in nodes) node.Restart(pipeline);
            if (step == 1) foreach (var node in nodes) node.Produce("GLOBAL", """{"day":1}""");
            if (step is 4 or 5) Order(nodes, round, Stations[random.Next(Stations.Length)], (StationOrder)random.Next(Enum.GetValues<StationOrder>().Length));
            Advance(nodes, step switch { 2 => 65_000, 3 => 130_000, _ => random.Next(3) * 700 });
        }

        Advance(nodes, 65_000);
        nodes[0].Steps.ShouldBe(nodes[1].Steps);
        nodes[0].Calls.Select(Shown).ShouldBe(nodes[1].Calls.Select(Shown));
        nodes[0].DeadLetters.Select(letter => letter.ToJsonString()).ShouldBe(nodes[1].DeadLetters.Select(letter => letter.ToJsonString()));
        KeyedTwins.Events(nodes[0]).ShouldBe(KeyedTwins.Events(nodes[1]));
        KeyedTwins.State(nodes[0]).ShouldBe(KeyedTwins.State(nodes[1]));
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));

    private static void Advance(CoreNode[] nodes, long ms)
    {
        foreach (var node in nodes) node.Advance(ms);
    }

    private static void Order(CoreNode[] nodes, int number, string station, StationOrder order)
    {
        var shard = new ShardId(Murmur2.Partition(station, Shards));
        foreach (var node in nodes)
        {
            if (node.Core.Find(shard) is { } owned) node.Tell(new StationOrdered(number, shard, owned.Epoch, station, order, "anna"));
        }
    }

    private static string Shown(SeenCall call) => $"{call.Module} {call.Station} {call.Input.ToJsonString()}";

    private static CoreNode NewNode(int most, int stations, int interval, int? order, IReadOnlySet<int> crashes) => new CoreNode(Pipeline, new CoreNodeOptions
    {
        Shards = Shards, RunMost = most, Seed = order, CrashAtSteps = crashes, CheckpointIntervalMs = interval, Adjust = settings => settings with { StationsMax = stations, PassivateAfterMs = 30_000 },
    }).Module("m", _ => CoreNode.Nothing);

    private static void Append(Random random, CoreNode keyed, CoreNode general)
    {
        var (topic, station) = (Topics[random.Next(Topics.Length)], Stations[random.Next(Stations.Length)]);
        var value = Value(random, station);
        var key = random.Next(20) == 0 ? Stations[random.Next(Stations.Length)] : station;
        var partition = new TopicPartition(topic, random.Next(25) == 0 ? random.Next(Shards) : Murmur2.Partition(station, Shards));
        var origin = random.Next(20) == 0 ? $"0123456789ab.3.0.{random.Next(5)}" : null;
        var timeMs = keyed.NowMs - random.Next(2_000) + (random.Next(10) == 0 ? 60_000 : 0);
        keyed.Append(partition, Encoding.UTF8.GetBytes(key), value, origin, timeMs);
        general.Append(partition, null, value, origin, timeMs);
    }

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static string Time(Random random)
    {
        var seconds = CoreNode.StartMs / 1_000 + random.Next(200) - 20;
        var time = DateTimeOffset.FromUnixTimeSeconds(seconds);
        return random.Next(14) switch
        {
            0 => $"{seconds}",
            1 => $"{seconds}.25",
            2 => $"{seconds}123",
            3 => $"\"{time:yyyy-MM-ddTHH:mm:ss}\"",
            4 => $"\"{time:yyyy-MM-ddTHH:mm:ss}Z\"",
            5 => $"\"{time:yyyy-MM-dd HH:mm:ss.fff}\"",
            6 => "null",
            7 => "\"\"",
            8 => "1.763e9",
            9 => "\"2025-02-30 00:00:00\"",
            10 => "-1",
            11 => "12345678901234567890123",
            12 => $"\" {time:yyyy-MM-dd HH:mm} \"",
            _ => $"\"{time:yyyy-MM-dd HH:mm:ss}\"",
        };
    }

    private static byte[] Value(Random random, string station)
    {
        var id = station is "17" or "-5" && random.Next(2) == 0 ? station : JsonSerializer.Serialize(station, random.Next(3) == 0 ? null : Relaxed);
        string[] numbers = ["1", "0", "-0", "2.50", "1e3", "-3.25E-2", "1e400", "123456789012345678901234567890", "\"x\"", "null", "true", "[1]", "{}"];
        List<string> members =
        [
            $"\"stationId\":{id}", $"\"code\":{(random.Next(9) == 0 ? "5" : $"\"C{random.Next(4)}\"")}", $"\"sendTime\":{Time(random)}",
            $"\"value\":{(random.Next(3) == 0 ? numbers[random.Next(numbers.Length)] : random.Next(2_000) / 100m)}",
            random.Next(8) == 0 ? "\"list\":[1,2]" : "\"list\":[\"00\",\"01\",\"02\"]",
            "\"inner\":{\"deep\":" + random.Next(5) + "}",
        ];
        if (random.Next(6) == 0) members.Add($"\"n{random.Next(150)}\":\"{new string('y', random.Next(70))}\"");
        if (random.Next(3) == 0) members.Add("\"rows\":[{\"value\":1},{\"code\":\"a\",\"value\":2.5}" + (random.Next(3) switch { 0 => ",5", 1 => ",{\"value\":\"x\"}", _ => "" }) + "]");
        if (random.Next(3) == 0) members.Add(random.Next(5) == 0 ? "\"status\":[1]" : "\"status\":[1,-0.5,2.25]");
        if (random.Next(15) == 0) members.Add($"\"station_id\":{(random.Next(2) == 0 ? id : JsonSerializer.Serialize(Stations[random.Next(Stations.Length)], Relaxed))}");
        if (random.Next(25) == 0) members.Add(random.Next(2) == 0 ? "\"output\":{\"value\":1}" : "\"output\":3");
        if (random.Next(25) == 0) members.Add("\"deep\":" + new string('[', random.Next(70)) + "1" + new string(']', random.Next(70)));
        if (random.Next(40) == 0) members.AddRange(Enumerable.Range(0, random.Next(140)).Select(number => $"\"m{number}\":{number}"));
        var chosen = members.Where((_, place) => place == 0 || random.Next(12) > 0).ToArray();
        if (random.Next(5) == 0) random.Shuffle(chosen);
        var item = "{" + string.Join(random.Next(8) == 0 ? ", " : ",", chosen) + "}";
        var text = random.Next(45) switch
        {
            0 => $" {item}\r\n\t",
            1 => $"[{item}]",
            2 => $"[{item},{item.Replace(id, "\"S2\"", StringComparison.Ordinal)}]",
            3 => item[..random.Next(item.Length)],
            4 => item[..^1] + ",\"value\":3}",
            5 => item[..^1] + ",\"v\\u0061lue\":3}",
            6 => item[..^1] + ",\"st\\u0061tionId\":\"S2\"}",
            7 => item[..^1] + ",\"items\":[" + item + "]}",
            8 => "\uFEFF" + item,
            9 => item[..^1] + ",\"text\":\"ä€\\u00e4\\n\"}",
            10 => "",
            11 => item + item,
            12 => item + "x",
            13 => item.Replace(":", " : ", StringComparison.Ordinal),
            14 => item[..^1] + ",}",
            15 => item[..^1] + ",\"bad\":01}",
            16 => item[..^1] + ",\"bad\":\"\\ud800\"}",
            17 => "null",
            18 => item[..^1] + ",\"stationId\":null}",
            19 => item.Replace("\"stationId\":", "\"stationId\":null,\"station_id\":", StringComparison.Ordinal),
            _ => item,
        };
        var bytes = Encoding.UTF8.GetBytes(text);
        if (random.Next(40) == 0 && bytes.Length > 0) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
        return bytes;
    }
}
