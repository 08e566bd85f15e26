using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Batches: who is expected, when one is over, and what its upload says.</summary>
public class BatchTests
{
    [Fact]
    public void A_batch_is_one_record_and_its_upload_names_every_station_once()
    {
        var node = new CoreNode(OneModule()).Module("m", call => Result($$"""{"saw":{{call.Input["value"]!.ToJsonString()}}}"""));
        node.Produce(Meters, Values(7, "S1", "S2", "S3"), partition: 2);

        var upload = node.Upload("m");
        ((string)upload["batch_id"]!).ShouldBe("METERS:2:0");
        ((string)upload["module"]!).ShouldBe("m");
        ((double)upload["timestamp"]!).ShouldBe(StartMs / 1000.0);
        upload["stations"]!.AsArray().Select(item => item!.ToJsonString()).ShouldBe(
            ["""{"saw":7,"station_id":"S1"}""", """{"saw":7,"station_id":"S2"}""", """{"saw":7,"station_id":"S3"}"""]);
        ((int)upload["station_count"]!).ShouldBe(3);
        ((int)upload["expected_count"]!).ShouldBe(3);
        upload["failed"]!.AsArray().ShouldBeEmpty();
        upload["missing"]!.AsArray().ShouldBeEmpty();
        ((int)upload["revision"]!).ShouldBe(1);
        upload.Count.ShouldBe(9);
        var entry = node.Logs("MODULE-OUTPUT-M").ShouldHaveSingleItem();
        entry.Key.ShouldBe("METERS:2:0"u8.ToArray());
        entry.Headers.ShouldContain(KeyValuePair.Create(Header.Batch, "METERS:2:0"));
        Origin.TryParse(entry.Origin, out var origin).ShouldBeTrue();
        origin.ShouldBe(new Origin("c0decafe0123", new ShardId(0), 0, 0));
    }

    [Fact]
    public void A_record_that_names_one_station_is_a_batch_too()
    {
        var node = new CoreNode(OneModule());
        node.Produce(Meters, Values(1, "S1"));
        ((int)node.Upload("m")["expected_count"]!).ShouldBe(1);
    }

    [Fact]
    public void A_station_named_twice_in_a_record_is_one_member()
    {
        var node = new CoreNode(OneModule());
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":"S2","value":2},{"stationId":"S1","value":3}]""");
        var upload = node.Upload("m");
        ((int)upload["expected_count"]!).ShouldBe(2);
        Stations(upload).ShouldBe(["S1", "S2"]);
        node.Calls.Count.ShouldBe(2);
        ((int)node.Calls.Single(call => call.Station == "S1").Input["value"]!).ShouldBe(3);
    }

    [Fact]
    public void The_legacy_format_writes_results_and_stations_count()
    {
        var node = new CoreNode(OneModule("\"uploadFormat\": \"legacy\""));
        node.Produce(Meters, Values(1, "S1", "S2"));
        var upload = node.Upload("m");
        upload["results"]!.AsArray().Count.ShouldBe(2);
        ((int)upload["stations_count"]!).ShouldBe(2);
        upload.ContainsKey("stations").ShouldBeFalse();
        upload.ContainsKey("station_count").ShouldBeFalse();
    }

    [Fact]
    public void Batch_none_sends_each_result_alone()
    {
        var node = new CoreNode(OneModule("\"batch\": \"none\"")).Module("m", call => call.Station == "S2" ? Nothing : Result("""{"x":1}"""));
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Upload("m").ToJsonString().ShouldBe("""{"station_id":"S1","module":"m","output":{"x":1},"timestamp":1763000000}""");
        var entry = node.Logs("MODULE-OUTPUT-M").ShouldHaveSingleItem();
        entry.Key.ShouldBe("S1"u8.ToArray());
        entry.Headers.Select(header => header.Key).ShouldBe([Header.Origin]);
        node.Log(Group + ".batch-results").ShouldBeEmpty();
    }

    [Theory]
    [InlineData("""{"station_id":"S9","x":1}""")]
    [InlineData("""{"x":1,"station_id":[1,{"station_id":2}]}""")]
    [InlineData("""{"station\u005fid":"S9","x":1}""")]
    public void The_station_id_in_a_result_is_always_ours(string result)
    {
        var node = new CoreNode(OneModule()).Module("m", _ => Result(result));
        node.Produce(Meters, Values(1, "S1"));
        node.Upload("m")["stations"]!.ToJsonString().ShouldBe("""[{"x":1,"station_id":"S1"}]""");
    }

    [Fact]
    public void Numbers_of_a_result_keep_every_digit()
    {
        var node = new CoreNode(OneModule()).Module("m", _ => Result("""{"id":1234567890123456789,"x":10.00,"nested":{"a":[1e2]}}"""));
        node.Produce(Meters, Values(1, "S1"));
        System.Text.Encoding.UTF8.GetString(node.Logs("MODULE-OUTPUT-M").Single().Value)
            .ShouldContain("""{"id":1234567890123456789,"x":10.00,"nested":{"a":[1e2]},"station_id":"S1"}""");
    }

    [Fact]
    public void At_the_deadline_the_upload_goes_with_what_there_is()
    {
        var node = new CoreNode(OneModule("\"batch\": { \"deadline\": \"5s\", \"kind\": \"record\" }")).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2", "S3"));
        node.Answer("m", "S2", Result("{}"));
        node.Advance(4_999);
        node.Uploads("m").ShouldBeEmpty();
        node.Advance(1);
        var upload = node.Upload("m");
        Stations(upload).ShouldBe(["S2"]);
        Texts(upload["missing"]).ShouldBe(["S1", "S3"]);
        ((int)upload["expected_count"]!).ShouldBe(3);
        node.Events.OfType<BatchTimedOut>().ShouldHaveSingleItem().Results.ShouldBe(1);
        node.Shard.Batches.Batches.ShouldBeEmpty();
    }

    [Fact]
    public void The_deadline_survives_a_restart()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Advance(3_000);
        node.Restart();
        node.Advance(1_999);
        node.Events.OfType<BatchTimedOut>().ShouldBeEmpty();
        node.Advance(1);
        node.Events.OfType<BatchTimedOut>().ShouldHaveSingleItem();
    }

    [Theory]
    [InlineData("0.5", 4, 2)]
    [InlineData("0.55", 100, 55)]
    [InlineData("0.51", 4, 3)]
    [InlineData("1.0", 3, 3)]
    public void Complete_at_a_share_of_the_expected(string share, int expected, int answers)
    {
        var node = new CoreNode(OneModule($"\"batch\": {{ \"kind\": \"record\", \"completeAt\": {share} }}")).Hold("m");
        var stations = Enumerable.Range(0, expected).Select(number => $"S{number}").ToArray();
        node.Produce(Meters, Values(1, stations));
        foreach (var station in stations.Take(answers - 1)) node.Answer("m", station, Result("{}"));
        node.Uploads("m").ShouldBeEmpty();
        node.Answer("m", stations[answers - 1], Result("{}"));
        var upload = node.Upload("m");
        ((int)upload["station_count"]!).ShouldBe(answers);
        upload["missing"]!.AsArray().Count.ShouldBe(expected - answers);
    }

    [Fact]
    public void Failed_calls_and_missing_results_are_told_apart()
    {
        var node = new CoreNode(OneModule("\"retries\": 0")).Module("m", call => call.Station switch
        {
            "S1" => Error("no"),
            "S2" => Nothing,
            "S3" => TimedOut,
            _ => Result("{}"),
        });
        node.Produce(Meters, Values(1, "S1", "S2", "S3", "S4"));
        var upload = node.Upload("m");
        Texts(upload["failed"]).ShouldBe(["S1", "S3"]);
        Texts(upload["missing"]).ShouldBe(["S2"]);
        Stations(upload).ShouldBe(["S4"]);
    }

    [Fact]
    public void A_batch_without_any_result_is_counted_and_not_uploaded()
    {
        var node = new CoreNode(OneModule("\"retries\": 0")).Module("m", call => call.Station == "S1" ? Nothing : Error("no"));
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Logs("MODULE-OUTPUT-M").ShouldBeEmpty();
        var completed = node.Events.OfType<BatchCompleted>().ShouldHaveSingleItem();
        completed.Expected.ShouldBe(2);
        completed.Results.ShouldBe(0);
    }

    [Fact]
    public void A_station_whose_part_is_invalid_answers_at_once()
    {
        var node = new CoreNode(OneModule(topicOptions: "\"shape\": \"fields\"").Replace("\"fields\": [\"value\"]", "\"fields\": [{ \"from\": \"value\", \"type\": \"number\" }]"));
        node.Produce(Meters, """[{"stationId":"S1","value":"text"},{"stationId":"S2","value":2},{"value":3}]""");
        var upload = node.Upload("m");
        Stations(upload).ShouldBe(["S2"]);
        Texts(upload["missing"]).ShouldBe(["S1"]);
        node.DeadLetterReasons.Order().ShouldBe(["no-id", "wrong-type"]);
    }

    [Fact]
    public void Answers_that_come_before_their_manifest_are_held()
    {
        var node = new CoreNode(OneModule());
        var log = new TopicPartition(Group + ".batch-results", 0);
        AppendAnswers(node, log, 0, Answer("S1", 0), Answer("S3", 0));
        node.Run();
        node.Uploads("m").ShouldBeEmpty();
        node.Restart();
        AppendManifest(node, log, 0, "S1", "S2");
        node.Run();
        node.Uploads("m").ShouldBeEmpty();
        // S3 is not of this batch: its answer does not complete it.
        AppendAnswers(node, log, 1, Answer("S2", 0));
        node.Run();
        Stations(node.Upload("m")).ShouldBe(["S1", "S2"]);
        node.Shard.Batches.Batches.ShouldBeEmpty();
        node.Shard.Batches.LateAnswers.ShouldBe(0);
    }

    [Fact]
    public void Held_answers_whose_manifest_will_not_come_any_more_go()
    {
        var node = new CoreNode(OneModule());
        var log = new TopicPartition(Group + ".batch-results", 0);
        AppendAnswers(node, log, 0, Answer("S1", 3));
        node.Run();
        node.Shard.Batches.Batches.Count.ShouldBe(1);
        AppendManifest(node, log, 4, "S1");
        node.Run();
        node.Shard.Batches.Batches.Single().Key.BatchId.ShouldBe("METERS:0:4");
        node.Shard.Batches.LateAnswers.ShouldBe(1);
    }

    [Fact]
    public void Repeated_manifests_and_answers_change_nothing()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2"));
        var log = new TopicPartition(Group + ".batch-results", 0);
        Repeat(node, log, 0);
        node.Answer("m", "S1", Result("""{"x":1}"""));
        Repeat(node, log, 0);
        Repeat(node, log, 2);
        node.Uploads("m").ShouldBeEmpty();
        node.Answer("m", "S2", Result("""{"x":2}"""));
        for (var offset = 0; offset < 6; offset++) Repeat(node, log, offset);
        node.Advance(10_000);
        node.Uploads("m").Count.ShouldBe(1);
        node.Events.OfType<BatchOpened>().Count().ShouldBe(1);
        node.Events.OfType<BatchTimedOut>().ShouldBeEmpty();
        node.Shard.Batches.LateAnswers.ShouldBe(0);
        node.DeadLetters.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("record")]
    [InlineData("window")]
    public void Of_a_large_batch_a_checkpoint_writes_only_what_changed(string kind)
    {
        var batch = kind == "record" ? "" : ", \"batch\": { \"kind\": \"window\", \"length\": \"1min\" }";
        var node = new CoreNode(OneModule("\"retries\": 9" + batch)).Hold("m");
        var stations = Enumerable.Range(0, 1_000).Select(number => $"S{number}").ToArray();
        var result = $$"""{"x":"{{new string('x', 500)}}"}""";
        node.Produce(Meters, Values(1, stations), timestampMs: 1_763_000_040_000);
        foreach (var station in stations[..^1])
        {
            node.Answer("m", station, Result(result));
            if (station is "S400" or "S998") node.Restart();
        }

        // 0.5 MB of results came in 1,000 checkpoints. Writing all of them anew whenever they have doubled costs as much twice.
        var written = node.Checkpoints.SelectMany(checkpoint => checkpoint.Entities).Where(entity => entity.Kind == EntityKind.Batch).ToList();
        written.Sum(entity => entity.State?.Length ?? 0).ShouldBeLessThan(2_500_000);
        node.Answer("m", stations[^1], Result(result));
        if (kind == "window") node.Produce(Meters, Values(1, "S0"), timestampMs: 1_763_000_100_000);
        Stations(node.Uploads("m")[0]).ShouldBe(stations);
        node.Advance(700_000);
        node.TakeOverAll().SelectMany(shard => shard.Entities).ShouldNotContain(entity => entity.Kind == EntityKind.Batch);
    }

    [Fact]
    public void Repeated_parts_call_nothing()
    {
        var node = new CoreNode(OneModule());
        node.Produce(Meters, Values(1, "S1", "S2"));
        Repeat(node, new TopicPartition(Group + ".station-events", 0), 0);
        node.Calls.Count.ShouldBe(2);
        node.Shard.RepeatedParts.ShouldBe(2);
        node.Shard.MissingRecords.ShouldBe(0);
    }

    [Fact]
    public void Answers_of_another_store_are_dead_lettered()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1"));
        var envelope = new BatchEnvelope { Origin = "ffffffffffff.0.0.0", Answers = { Answer("S1", 0) } };
        node.Append(new TopicPartition(Group + ".batch-results", 0), null, envelope.ToByteArray(), null, node.NowMs);
        node.Append(new TopicPartition(Group + ".batch-results", 0), null, "no protobuf"u8.ToArray(), null, node.NowMs);
        node.Append(new TopicPartition(Group + ".station-events", 0), null, "no protobuf"u8.ToArray(), null, node.NowMs);
        node.Run();
        node.Uploads("m").ShouldBeEmpty();
        node.DeadLetterReasons.ShouldBe(["bad-envelope", "bad-envelope", "bad-envelope"]);
        ((string)node.DeadLetters[0]["detail"]!).ShouldContain("another store");
    }

    // A length of 2^31 - 1: the library adds it to where it stands, gets a negative end, and reads on beyond its buffer.
    [Theory]
    [InlineData(".station-events")]
    [InlineData(".batch-results")]
    public void An_envelope_on_which_the_library_runs_out_of_its_buffer_is_a_dead_letter(string log)
    {
        var node = new CoreNode(OneModule());
        node.Append(new TopicPartition(Group + log, 0), null, Convert.FromHexString("0AFFFFFFFF071801"), null, node.NowMs);
        node.Produce(Meters, Values(1, "S1"));
        node.DeadLetterReasons.ShouldBe(["bad-envelope"]);
        node.Uploads("m").Count().ShouldBe(1, "the work goes on");
    }

    [Fact]
    public void An_output_that_was_sent_twice_opens_one_batch()
    {
        const string modules = """ "first": { "topics": ["METERS"] }, "second": { "topics": [], "dependsOn": ["first"] } """;
        var node = new CoreNode(With(modules));
        node.Produce(Meters, Values(1, "S1", "S2"));
        var upload = node.Logs("MODULE-OUTPUT-FIRST").ShouldHaveSingleItem();
        node.Append(new TopicPartition("MODULE-OUTPUT-FIRST", 0), upload.Key, upload.Value, upload.Origin, node.NowMs);
        node.Run();
        node.Advance(10_000);
        ((string)node.Upload("second")["batch_id"]!).ShouldBe("MODULE-OUTPUT-FIRST:" + upload.Origin);
        node.Calls.Count(call => call.Module == "second").ShouldBe(2);
        node.Events.OfType<BatchTimedOut>().ShouldBeEmpty();
    }

    [Fact]
    public void An_upload_that_no_topic_takes_is_a_dead_letter()
    {
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Adjust = settings => settings with { RecordBytesMax = 5_000, EnvelopeBytesMax = 2_000 } })
            .Module("m", _ => Result("""{"x":""" + new string('1', 1_500) + "}"));
        node.Produce(Meters, Values(1, "S1", "S2", "S3", "S4"));
        node.Logs("MODULE-OUTPUT-M").ShouldBeEmpty();
        node.DeadLetterReasons.ShouldBe(["upload-too-large"]);
        node.Produce(Meters, Values(1, "S1"));
        ((int)node.Upload("m")["station_count"]!).ShouldBe(1, "and the next one goes out as ever");
    }

    [Fact]
    public void A_result_that_no_envelope_takes_is_an_error()
    {
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Adjust = settings => settings with { RecordBytesMax = 8_000, EnvelopeBytesMax = 2_000 } })
            .Module("m", call => Result("""{"x":""" + new string('1', call.Station == "S1" ? 4_000 : 10) + "}"));
        node.Produce(Meters, Values(1, "S1", "S2"));
        Texts(node.Upload("m")["failed"]).ShouldBe(["S1"]);
    }

    internal static IEnumerable<string> Stations(JsonObject upload) => upload["stations"]!.AsArray().Select(item => (string)item!["station_id"]!);

    internal static IEnumerable<string> Texts(JsonNode? list) => list!.AsArray().Select(item => (string)item!);

    internal static Answer Answer(string station, long offset) => new()
    {
        Module = "m", BatchId = $"METERS:0:{offset}", Station = station, Outcome = Outcome.Result, Result = ByteString.CopyFromUtf8("{}"),
        Topic = Meters, Partition = 0, Offset = offset, Attempt = 1,
    };

    internal static void AppendAnswers(CoreNode node, TopicPartition log, long sequence, params Answer[] answers)
    {
        var envelope = new BatchEnvelope { Origin = $"c0decafe0123.7.0.{sequence}" };
        envelope.Answers.AddRange(answers);
        node.Append(log, null, envelope.ToByteArray(), null, node.NowMs);
    }

    internal static void AppendManifest(CoreNode node, TopicPartition log, long offset, params string[] stations)
    {
        var manifest = new Manifest { Topic = Meters, Partition = 0, Offset = offset, PreviousOffset = -1, BatchId = $"METERS:0:{offset}", Modules = { "m" } };
        manifest.Stations.AddRange(stations);
        node.Append(log, null, new BatchEnvelope { Manifests = { manifest } }.ToByteArray(), null, node.NowMs);
    }

    internal static void Repeat(CoreNode node, TopicPartition log, int offset)
    {
        if (offset >= node.Log(log.Topic, log.Partition).Count) return;
        node.Append(log, null, node.Log(log.Topic, log.Partition)[offset].Value, null, node.NowMs);
        node.Run();
    }
}
