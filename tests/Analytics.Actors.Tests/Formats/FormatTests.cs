using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Pipeline;
using Google.Protobuf;

namespace Analytics.Actors.Tests.Formats;

/// <summary>
/// What version 0.1 wrote into databases and logs is read today with its content, and written back byte for byte. The
/// golden files are never changed: a new version adds one of its own.
/// </summary>
public class FormatTests
{
    private const long NowMs = 1_763_000_001_000;
    private static readonly JsonObject Golden = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Root, "tests", "Analytics.Actors.Tests", "Formats", "v0.1.json")))!;

    private static readonly PipelineConfiguration Pipeline = PipelineFiles.Valid(SmallPipelines.Build(
        """
        "METERS": { "envelope": "list", "window": 2, "fields": ["value"] },
        "PARAMS": { "envelope": "list", "fields": ["capacity"] },
        "ORDERS": { "envelope": "object", "mode": "second", "window": 2, "shape": { "kind": "orders", "member": "car_order" } },
        "GRID": { "envelope": "rows", "time": "sendTime", "mode": "replace", "window": 3, "period": "1h",
          "shape": { "kind": "grid", "keys": "gunNo", "times": "sendTime", "series": ["avg"], "rowSeries": ["total"] } },
        "DEVICES": { "envelope": "object", "mode": "device", "device": "hostCode", "shape": { "kind": "devices", "member": "hosts" } }
        """,
        """
        "m": { "topics": ["METERS", "PARAMS"] },
        "o": { "topics": ["ORDERS", "PARAMS"] },
        "i": { "topics": ["METERS"], "trigger": { "interval": "1min" } }
        """));

    public static TheoryData<string> Names => new(FormatSamples.Messages.Keys);

    [Theory]
    [MemberData(nameof(Names))]
    public void A_message_of_version_01_is_read_with_its_content_and_written_back_identically(string name)
    {
        var sample = FormatSamples.Messages[name];
        var read = sample.Descriptor.Parser.ParseFrom(Bytes(name));
        read.ShouldBe(sample);
        Convert.ToHexString(read.ToByteArray()).ShouldBe(Hex(name));
    }

    [Fact]
    public void Every_message_has_golden_bytes_and_the_other_way_round() =>
        Golden["messages"]!.AsObject().Select(entry => entry.Key).ShouldBe(FormatSamples.Messages.Keys, ignoreOrder: true);

    [Theory]
    [InlineData("METERS", "window-entries", """{"value":[2,3]}""")]
    [InlineData("GRID", "window-grid", """{"sendTime":["2025-11-13T08:00:00","2025-11-13T09:00:00","2025-11-13T10:00:00"],"gunNo":["01",2],"avg":[[1.5,2.5],[null,null],[null,4.5]],"total":[9007199254740993,null,7]}""")]
    [InlineData("DEVICES", "window-devices", """{"hosts":[{"hostCode":"H1","power":1},{"hostCode":"H2","power":2}]}""")]
    [InlineData("ORDERS", "window-seconds", """{"car_order":[{"no":1}]}""")]
    public void A_window_of_version_01_gives_its_input_and_saves_itself_identically(string topic, string name, string input)
    {
        var window = TopicWindows.Load(Pipeline.Topics[topic], Pipeline.TimeZone, Bytes(name));
        System.Text.Encoding.UTF8.GetString(window.Shape()!.ToJsonObject()).ShouldBe(input);
        Convert.ToHexString(window.Save()).ShouldBe(Hex(name));
    }

    [Fact]
    public void The_open_second_of_version_01_closes_with_its_orders()
    {
        var window = (SecondsWindow)TopicWindows.Load(Pipeline.Topics["ORDERS"], Pipeline.TimeZone, Bytes("window-seconds"));
        window.LateCount.ShouldBe(1);
        window.SilenceDueMs.ShouldBe(1_763_000_002_600);
        System.Text.Encoding.UTF8.GetString(window.CloseDue(1_763_000_002_600)!.Value.Fragment!.GetJson("car_order").Span).ShouldBe("""[{"no":2},{"no":3}]""");
    }

    [Theory]
    [InlineData("batch-state")]
    [InlineData("batch-state-held")]
    public void A_batch_of_version_01_goes_on_where_it_was(string name)
    {
        var batch = BatchStateMessage.Load(Bytes(name));
        batch.Key.Module.ShouldBe("m");
        batch.Opening.Source.ShouldBe(new SourcePartition("METERS", 1, 2));
        batch.IsOpen.ShouldBe(name == "batch-state");
        batch.Expected.Select(member => member.Station).ShouldBe(batch.IsOpen ? ["S1", "S2", "S3"] : []);
        batch.AnsweredCount.ShouldBe(batch.IsOpen ? 2 : 1);
        if (batch.IsOpen) batch.DeadlineMs.ShouldBe(1_763_000_005_000);
        Convert.ToHexString(batch.Save()).ShouldBe(Hex(name));
    }

    [Fact]
    public void A_shard_of_version_01_goes_on_where_it_was_and_loses_nothing_of_its_state()
    {
        var shard = new Shard(
            new ShardSettings { Pipeline = Pipeline, Group = "core", ShardCount = 1, StoreId = "c0decafe0123" },
            new RecoveredShard
            {
                Shard = new ShardId(0), Epoch = new Epoch(3), CheckpointNumber = 8, ReleasedInOrder = true, ShardState = Bytes("shard-state"),
                Entities = [new EntityState(EntityKind.Batch, Text("batch-key"), Bytes("batch-state"))],
                Positions = [], Marks = [], Outbox = [],
            },
            NowMs);
        var station1 = new EntityState(EntityKind.Station, "S1", Bytes("station-state"));
        var window1 = new EntityState(EntityKind.Window, Text("window-key"), Bytes("window-entries"));
        var page = Load<LoadPage>(shard);
        shard.PageLoaded(page.Kind, page.After, [station1], NowMs);
        var load = Load<LoadStations>(shard);
        load.WindowKeys.ShouldContain(window1.Key);
        shard.StationsLoaded(load.Stations, [station1, window1], NowMs);
        page = Load<LoadPage>(shard);
        page.Kind.ShouldBe(EntityKind.Window, "the first version counted no stations and stored no timers: all are looked through once");
        shard.PageLoaded(page.Kind, page.After, [window1], NowMs);

        shard.MissingRecords.ShouldBe(2);
        shard.Batches.LateAnswers.ShouldBe(3);
        shard.Batches.Batches.Keys.Single().ShouldBe(new BatchKey("m", "METERS:2:3"));
        shard.Outputs.Outbox.NextSequence(new TopicPartition("MODULE-OUTPUT-M", 1)).ShouldBe(12);
        var station = shard.Stations["S1"];
        station.Windows.Keys.ShouldBe(["METERS"]);
        station.TriggerCount.ShouldBe(2);
        var call = shard.Outputs.Calls.ShouldHaveSingleItem();
        call.Id.ShouldBe(new CallId(new ShardId(0), new Epoch(3), 41, 2));
        shard.BatchOf(call.Id).ShouldBe("METERS:2:3");
        ((int)JsonNode.Parse(call.Input.ToJson())!["value"]!).ShouldBe(1);
        call.Input.Quality.AgeSeconds.ShouldBe([KeyValuePair.Create("METERS", 0.25), KeyValuePair.Create("PARAMS", 3.5)]);

        // An orderly stop puts the call back, so that the state is what it was.
        var checkpoint = shard.TakeCheckpoint(true, NowMs);
        var shardState = Analytics.Actors.Core.Protocol.ShardState.Parser.ParseFrom(checkpoint.ShardState);
        shardState.Stations.ShouldBe(1);
        shardState.ClearStations();
        Convert.ToHexString(shardState.ToByteArray()).ShouldBe(Hex("shard-state"));
        var stationState = Analytics.Actors.Core.Protocol.StationState.Parser.ParseFrom(checkpoint.Entities.Single(entity => entity.Kind == EntityKind.Station).State!);
        stationState.WakeMs = 0;
        Convert.ToHexString(stationState.ToByteArray()).ShouldBe(Hex("station-state"));
    }

    private static T Load<T>(Shard shard) where T : ShardLoad
    {
        List<NodeEffect> effects = [];
        shard.TakeLoads(effects);
        return effects.ShouldHaveSingleItem().ShouldBeOfType<T>();
    }

    [Fact]
    public void Marks_keep_their_text_forms()
    {
        var log = new TopicPartition("core.station-events", 3);
        var marks = new Marks();
        marks.Restore(new MarkState(log, Text("mark-of-source"), new Place(7, 1, 2), 5, 99));
        marks.Restore(new MarkState(log, Text("mark-of-origin"), new Place(8, 0, 0), 0, 0));
        var bySource = marks.Of(log, new SourcePartition("METERS", 1, 2));
        bySource.Highest.ShouldBe(new Place(7, 1, 2));
        bySource.AppliedCount.ShouldBe(5);
        var byOrigin = marks.Of(log, new OriginRun("c0decafe0123", new ShardId(4), "MODULE-OUTPUT-M", 5));
        byOrigin.Highest.Offset.ShouldBe(8);
        bySource.Advance(new Place(9, 0, 0)).ShouldBeTrue();
        byOrigin.Advance(new Place(9, 0, 0)).ShouldBeTrue();
        marks.TakeChanged().Select(mark => mark.Source).ShouldBe([Text("mark-of-source"), Text("mark-of-origin")]);
        Should.Throw<InvalidDataException>(() => marks.Restore(new MarkState(log, "x|METERS|1|2", Place.None, 0, 0)));
    }

    [Fact]
    public void Origins_keys_and_names_keep_their_text_forms()
    {
        Origin.TryParse(Text("origin"), out var origin).ShouldBeTrue();
        origin.ShouldBe(new Origin("c0decafe0123", new ShardId(4), 5, 9_000_000_000));
        origin.ToString().ShouldBe(Text("origin"));
        new BatchKey("m", "METERS:2:3").ToEntityKey().ShouldBe(Text("batch-key"));
        Header.Origin.ShouldBe(Text("origin-header"));
        Header.Batch.ShouldBe(Text("batch-header"));
        foreach (var text in new[] { "", "a", "a.1.2", "a.1.2.3.4", ".1.2.3", "a.-1.2.3", "a.1. 2.3", "a.1.2.99999999999999999999" }) Origin.TryParse(text, out _).ShouldBeFalse(text);
        Origin.TryParse(null, out _).ShouldBeFalse();
    }

    [Fact]
    public void Numbers_in_rows_and_messages_keep_their_meaning() => string.Join(' ',
        $"{(int)EntityKind.Station} {(int)EntityKind.Window} {(int)EntityKind.Batch} {(int)EntityKind.Global}",
        $"{(int)Analytics.Actors.Core.Protocol.Outcome.Result} {(int)Analytics.Actors.Core.Protocol.Outcome.Nothing} {(int)Analytics.Actors.Core.Protocol.Outcome.Error}",
        $"{(int)Analytics.Actors.Core.Stations.TopicStatus.Missing} {(int)Analytics.Actors.Core.Stations.TopicStatus.Available} {(int)Analytics.Actors.Core.Stations.TopicStatus.Failed}").ShouldBe("1 2 3 4 1 2 3 0 1 2");

    [Fact]
    public void A_dead_letter_keeps_its_form()
    {
        var letter = new DeadLetter(new SourcePartition("METERS", 1, 2), 3, 4, "S1", new Rejection("wrong-type", "why"), "xyz"u8.ToArray(), 70_000, 0xfedcba98, 1_763_000_000_000);
        System.Text.Encoding.UTF8.GetString(letter.ToJson()).ShouldBe(Text("dead-letter"));
    }

    [Fact]
    public void Stations_stay_in_their_shards_and_witnesses_comparable()
    {
        foreach (var (key, hash) in Golden["functions"]!["murmur2-of-100000"]!.AsObject()) Murmur2.Partition(key, 100_000).ShouldBe((int)hash!, key);
        foreach (var (text, checksum) in Golden["functions"]!["crc32c"]!.AsObject()) Checksum.Of(System.Text.Encoding.UTF8.GetBytes(text)).ShouldBe((uint)checksum!, text);
        foreach (var (place, hash) in Golden["functions"]!["place-hash"]!.AsObject())
        {
            var numbers = place.Split('.').Select(number => long.Parse(number, CultureInfo.InvariantCulture)).ToArray();
            new Place(numbers[0], (int)numbers[1], (int)numbers[2]).Hash().ToString(CultureInfo.InvariantCulture).ShouldBe((string)hash!, place);
        }
    }

    private static string Hex(string name) => (string)Golden["messages"]![name]!;

    private static byte[] Bytes(string name) => Convert.FromHexString(Hex(name));

    private static string Text(string name) => (string)Golden["texts"]![name]!;
}
