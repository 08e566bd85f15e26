using System.Text;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>
/// Plain records of a keyed source take a short way to their station. Without a key none does: so the same records come to the same
/// with keys and without.
/// </summary>
public class PlainSourceTests
{
    private const int Shards = 2, ValueMax = 300;

    private static readonly string Pipeline = SmallPipelines.Build(
        """
        "METERS": { "envelope": ["object", "list"], "keyed": "station", "time": "sendTime", "window": 3, "fields": [{ "from": "value", "type": "number" }, "inner.deep"] },
        "STATES": { "envelope": ["items", "object"], "keyed": "station", "mode": "device", "device": "code", "time": "sendTime", "shape": { "kind": "devices", "member": "states" },
                    "fields": ["code", { "indexOf": "list", "as": "index" }, "list", { "from": "value", "type": "number" }] },
        "ORDERS": { "envelope": ["object", "list"], "keyed": "station", "mode": "second", "time": "sendTime", "window": 2, "shape": { "kind": "orders", "member": "orders" } }
        """,
        """ "m": { "topics": ["METERS", "STATES", "ORDERS"], "batch": "none" } """);

    private static readonly string[] Topics = ["METERS", "STATES", "ORDERS"];
    internal static readonly string[] Stations = ["S1", "S2", "17", "Ä-3", "S\"5"];

    [Fact]
    public void Records_come_to_the_same_by_the_short_way_as_by_the_general_one() => Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
    {
        var random = new Random(seed);
        var (keyed, general) = (NewNode(), NewNode());
        for (var round = random.Next(1, 12); round > 0; round--)
        {
            for (var count = random.Next(1, 25); count > 0; count--) Append(random, keyed, general);
            foreach (var node in new[] { keyed, general }) node.Advance(1);
            var ms = random.Next(3) * 700;
            foreach (var node in new[] { keyed, general }) node.Advance(ms);
        }

        foreach (var node in new[] { keyed, general }) node.Advance(5_000);
        KeyedTwins.State(keyed).ShouldBe(KeyedTwins.State(general));
        keyed.DeadLetters.Select(letter => letter.ToJsonString()).ShouldBe(general.DeadLetters.Select(letter => letter.ToJsonString()));
        keyed.Calls.Select(call => $"{call.Station} {call.Input.ToJsonString()}").ShouldBe(general.Calls.Select(call => $"{call.Station} {call.Input.ToJsonString()}"));
        KeyedTwins.Events(keyed).ShouldBe(KeyedTwins.Events(general));
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Fact]
    public void Another_record_with_the_same_bytes_in_the_same_place_is_read_anew()
    {
        var node = NewNode();
        var partition = new TopicPartition("STATES", Murmur2.Partition("S1", Shards));
        foreach (var code in new[] { "A", "B", "C" })
        {
            node.Append(partition, "S1"u8.ToArray(), Encoding.UTF8.GetBytes($$"""{"stationId":"S1","code":"{{code}}","list":[1],"value":1}"""), null, node.NowMs);
            node.Advance(1_000);
        }

        node.Calls[^1].Input["states"]!.AsArray().Select(state => (string)state!["code"]!).ShouldBe(["A", "B", "C"]);
    }

    private static CoreNode NewNode() => new CoreNode(Pipeline, new CoreNodeOptions { Shards = Shards, Adjust = settings => settings with { RecordBytesMax = 4096 + ValueMax } })
        .Module("m", _ => CoreNode.Nothing);

    private static void Append(Random random, CoreNode keyed, CoreNode general)
    {
        var (topic, station) = (Topics[random.Next(Topics.Length)], Stations[random.Next(Stations.Length)]);
        var value = Value(random, station);
        var key = random.Next(12) == 0 ? Stations[random.Next(Stations.Length)] : station;
        var partition = new TopicPartition(topic, random.Next(15) == 0 ? random.Next(Shards) : Murmur2.Partition(station, Shards));
        var origin = random.Next(10) == 0 ? $"0123456789ab.3.0.{random.Next(5)}" : null;
        var timeMs = keyed.NowMs - random.Next(2_000);
        keyed.Append(partition, Encoding.UTF8.GetBytes(key), value, origin, timeMs);
        general.Append(partition, null, value, origin, timeMs);
    }

    internal static byte[] Value(Random random, string station)
    {
        var id = station == "17" && random.Next(2) == 0 ? "17" : JsonSerializer.Serialize(station, random.Next(2) == 0 ? null : new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        var second = CoreNode.StartMs / 1_000 + random.Next(6);
        string[] members =
        [
            $"\"stationId\":{id}", $"\"code\":\"C{random.Next(4)}\"", $"\"sendTime\":{second}", $"\"value\":{(random.Next(9) == 0 ? "\"x\"" : random.Next(2_000) / 100m)}",
            random.Next(8) == 0 ? "\"list\":[1,2]" : """
            "list":["00","01","02"]
            """.Trim(), $$"""
            "inner":{"deep":{{random.Next(5)}}}
            """.Trim(),
        ];
        var chosen = members.Where((_, place) => place == 0 || random.Next(10) > 0).ToList();
        if (random.Next(5) == 0) random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(chosen));
        var separator = random.Next(8) == 0 ? ", " : ",";
        var item = "{" + string.Join(separator, chosen) + "}";
        var text = random.Next(30) switch
        {
            0 => $" {item}\n",
            1 => $"[{item}]",
            2 => $"[{item},{item.Replace(id, "\"S2\"", StringComparison.Ordinal)}]",
            3 => item[..random.Next(item.Length)],
            4 => item[..^1] + ",\"value\":3}",
            5 => item[..^1] + $",\"station_id\":{(random.Next(2) == 0 ? id : "0")}}}",
            6 => item[..^1] + $",\"more\":\"{new string('x', random.Next(ValueMax))}\"}}",
            7 => item[..^1] + ",\"items\":[" + item + "]}",
            8 => "\uFEFF" + item,
            9 => item[..^1] + ",\"text\":\"ä€\\u00e4\\n\"}",
            10 => "",
            _ => item,
        };
        var bytes = Encoding.UTF8.GetBytes(text);
        if (random.Next(25) == 0 && bytes.Length > 0) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
        return bytes;
    }
}
