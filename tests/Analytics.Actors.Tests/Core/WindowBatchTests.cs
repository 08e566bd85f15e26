using Analytics.Actors.Core;
using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using Google.Protobuf;
using static Analytics.Actors.Tests.CoreRules.BatchTests;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.RevisionTests;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Batches by a window of event time. All windows here are of ten seconds; the first begins at 02:13:20 UTC.</summary>
public class WindowBatchTests
{
    private const string First = "METERS:2025-11-13T02:13:20Z", Second = "METERS:2025-11-13T02:13:30Z";

    [Fact]
    public void A_window_gathers_all_stations_of_its_span_over_records_and_partitions_and_closes_after_a_record_beyond_it()
    {
        var node = Node();
        At(node, 0, "S1", "S2");
        At(node, 9_999, 1, "S3");
        At(node, 4_000, 2, "S1");
        node.Uploads("m").ShouldBeEmpty();
        At(node, 10_000, "S4");
        var upload = node.Upload("m");
        ((string)upload["batch_id"]!).ShouldBe(First);
        ((int)upload["expected_count"]!).ShouldBe(3, "members count, not messages");
        Describe(upload).ShouldBe("1: S1 S2 S3; ; ");
        var entry = node.Logs("MODULE-OUTPUT-M").ShouldHaveSingleItem();
        entry.Key.ShouldBe(System.Text.Encoding.UTF8.GetBytes(First));
        entry.Headers.ShouldContain(KeyValuePair.Create(Header.Batch, First));
        node.Shard.Batches.Batches.Keys.Single().BatchId.ShouldBe(Second);
        node.Events.OfType<BatchCompleted>().ShouldHaveSingleItem().ShouldBe(new BatchCompleted(new ShardId(0), "m", First, 3, 3));
    }

    [Fact]
    public void Lateness_keeps_a_window_open_for_event_time_that_lags()
    {
        var node = Node("\"lateness\": \"3s\"");
        At(node, 5_000, "S1");
        At(node, 12_999, "S2");
        At(node, 6_000, 1, "S3");
        node.Uploads("m").ShouldBeEmpty();
        At(node, 13_000, "S4");
        Revisions(node).ShouldBe(["1: S1 S3; ; "]);
        At(node, 23_000, "S5");
        Revisions(node)[1].ShouldBe("1: S2 S4; ; ");
    }

    [Fact]
    public void Without_a_record_beyond_it_a_window_closes_by_its_deadline_after_its_last_record()
    {
        var node = Node();
        At(node, 0, "S1");
        node.Advance(4_000);
        At(node, 1, "S2");
        node.Advance(4_999);
        node.Uploads("m").ShouldBeEmpty();
        node.Advance(1);
        Revisions(node).ShouldBe(["1: S1 S2; ; "]);
        node.Events.OfType<BatchTimedOut>().ShouldBeEmpty("all have answered: the window merely closed");
    }

    [Fact]
    public void A_closed_window_waits_for_its_answers_until_its_deadline()
    {
        var node = Node().Hold("m");
        At(node, 0, "S1", "S2", "S3");
        node.Answer("m", "S1", Result("{}"));
        node.Advance(3_000);
        At(node, 10_000, "S9");
        node.Answer("m", "S2", Result("{}"));
        node.Uploads("m").ShouldBeEmpty();
        node.Advance(1_999);
        node.Uploads("m").ShouldBeEmpty();
        node.Advance(1);
        Revisions(node).ShouldBe(["1: S1 S2; ; S3"]);
        node.Events.OfType<BatchTimedOut>().ShouldHaveSingleItem().BatchId.ShouldBe(First);
        node.Answer("m", "S3", Result("{}"));
        node.Advance(1_000);
        Revisions(node)[1].ShouldBe("2: S3; ; ");
    }

    [Fact]
    public void Complete_at_a_share_counts_when_the_window_is_closed()
    {
        var node = Node("\"completeAt\": 0.5").Hold("m");
        At(node, 0, "S1", "S2");
        node.Answer("m", "S1", Result("{}"));
        node.Uploads("m").ShouldBeEmpty("more stations may come");
        At(node, 10_000, "S1");
        node.Answer("m", "S2", Result("{}"));
        node.Advance(1_000);
        Revisions(node).ShouldBe(["1: S1; ; S2", "2: S2; ; "]);
    }

    [Fact]
    public void The_newest_result_of_a_station_stands_and_neither_an_error_nor_nothing_takes_its_place()
    {
        var node = Node(module: "\"retries\": 0").Module("m", call => (int)call.Input["value"]! switch { 3 => Error("no"), 4 => Nothing, var value => Result($$"""{"saw":{{value}}}""") });
        foreach (var (value, stations) in new[] { (1, "S1 S3 S4"), (2, "S1 S2 S4"), (3, "S1 S2 S3 S5"), (4, "S1 S4 S5 S6"), (5, "S3") })
            node.Produce(Meters, Values(value, stations.Split(' ')), timestampMs: StartMs);
        At(node, 10_000, "S9");
        var upload = node.Upload("m");
        upload["stations"]!.AsArray().Select(item => $"{item!["station_id"]} {item["saw"]}").ShouldBe(["S1 2", "S3 5", "S4 2", "S2 2"]);
        Texts(upload["failed"]).ShouldBe(["S5"]);
        Texts(upload["missing"]).ShouldBe(["S6"]);
        ((int)upload["expected_count"]!).ShouldBe(6);
    }

    [Fact]
    public void Calls_that_answer_several_records_of_one_window_settle_them_all()
    {
        var node = Node(module: "\"coalesce\": \"latest\"").Hold("m");
        for (var number = 0; number < 4; number++) node.Produce(Meters, Values(number, "S1"), timestampMs: StartMs);
        At(node, 10_000, "S9");
        node.Answer("m", "S1", Result("""{"saw":0}"""));
        node.Uploads("m").ShouldBeEmpty();
        node.Answer("m", "S1", Result("""{"saw":3}"""));
        node.Upload("m")["stations"]!.ToJsonString().ShouldBe("""[{"saw":3,"station_id":"S1"}]""");
    }

    [Fact]
    public void Event_time_is_that_of_the_newest_item_of_a_part_and_the_records_where_there_is_none()
    {
        var node = new CoreNode(OneModule(Window(), "\"time\": \"at\""));
        node.Produce(Meters, """
            [{"stationId":"S1","value":1,"at":"2025-11-13 10:13:25"},{"stationId":"S1","value":1,"at":1763000012000},{"stationId":"S2","value":1,"at":"2025-11-13 10:13:29"},
             {"stationId":"S3","value":1},{"stationId":"S4","value":1,"at":null},{"stationId":"S5","value":1,"at":"2099-01-01 00:00:00"}]
            """, timestampMs: StartMs + 15_000);
        node.Advance(5_000);
        node.Uploads("m").Select(upload => $"{upload["batch_id"]} {string.Join(' ', Stations(upload))}").ShouldBe([$"{First} S2", $"{Second} S1 S3 S4 S5"]);
    }

    [Fact]
    public void A_station_whose_clock_is_ahead_does_not_close_the_windows_of_the_others()
    {
        var node = new CoreNode(OneModule(Window(), "\"time\": \"at\""));
        node.Produce(Meters, """[{"stationId":"S1","value":1,"at":"2099-01-01 00:00:00"}]""", timestampMs: StartMs);
        node.Produce(Meters, """[{"stationId":"S2","value":1,"at":"2025-11-13 10:13:21"}]""", timestampMs: StartMs + 1_000);
        node.Uploads("m").ShouldBeEmpty();
        node.Advance(5_000);
        Revisions(node).ShouldBe(["1: S1 S2; ; "]);
    }

    [Fact]
    public void A_record_of_a_closed_window_is_late_and_its_answers_are_a_revision()
    {
        var node = Node();
        At(node, 0, "S1", "S2");
        At(node, 10_000, "S1");
        node.Produce(Meters, Values(7, "S3", "S1"), timestampMs: StartMs + 1);
        node.Advance(1_000);
        var revision = node.Uploads("m")[1];
        Describe(revision).ShouldBe("2: S1 S3; ; ", "a station may come again with a newer result");
        ((string)revision["batch_id"]!).ShouldBe(First);
        ((int)revision["expected_count"]!).ShouldBe(3);
        node.DeadLetters.ShouldBeEmpty();
    }

    [Fact]
    public void After_its_retention_a_window_never_opens_again()
    {
        var node = Node("\"retention\": \"1min\"");
        At(node, 0, "S1");
        At(node, 10_000, "S1");
        node.Advance(60_000);
        node.Shard.Batches.Over.Keys.Select(key => key.BatchId).ShouldBe([Second]);
        At(node, 1, "S2");
        At(node, -50_000, "S3");
        node.Restart();
        At(node, 2, "S2");
        node.DeadLetterReasons.ShouldBe(["late-answer", "late-answer", "late-answer"]);
        node.Shard.Batches.LateAnswers.ShouldBe(3);
        node.Advance(120_000);
        Revisions(node).ShouldBe(["1: S1; ; ", "1: S1; ; "]);
        node.Shard.Batches.Over.ShouldBeEmpty();
        node.TakeOverAll().SelectMany(shard => shard.Entities).Where(entity => entity.Kind == Analytics.Actors.Core.Checkpoints.EntityKind.Batch).ShouldBeEmpty();
    }

    [Fact]
    public void A_window_that_nobody_was_in_opens_late_and_ends_when_its_stations_have_answered()
    {
        var node = Node().Hold("m");
        At(node, 30_000, "S1");
        At(node, 0, "S2", "S3");
        node.Answer("m", "S2", Result("{}"));
        node.Uploads("m").ShouldBeEmpty();
        node.Answer("m", "S3", Result("{}"));
        ((string)node.Upload("m")["batch_id"]!).ShouldBe(First);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    public void Restarts_at_any_time_lose_nothing_of_a_window(int shards)
    {
        var node = Node(module: "\"retries\": 9", options: new CoreNodeOptions { Shards = shards }).Hold("m");
        At(node, 0, "S1", "S2", "S3");
        node.Restart();
        node.Answer("m", "S1", Result("""{"saw":1}"""));
        At(node, 1, 1, "S1", "S4");
        node.Restart();
        foreach (var station in new[] { "S1", "S2", "S4" }) node.Answer("m", station, Result("""{"saw":2}"""));
        node.Restart();
        At(node, 10_000, "S9");
        node.Restart();
        node.Uploads("m").ShouldBeEmpty();
        node.Advance(5_000);
        Revisions(node)[0].ShouldBe("1: S1 S2 S4; ; S3");
        node.Uploads("m")[0]["stations"]![0]!.ToJsonString().ShouldBe("""{"saw":2,"station_id":"S1"}""");
        node.Restart();
        At(node, 3, "S2", "S5");
        node.Answer("m", "S3", Result("{}"));
        node.Restart();
        node.Answer("m", "S5", Result("{}"));
        node.Advance(1_000);
        node.Answer("m", "S2", Error("no"));
        node.Advance(20_000);
        var late = node.Uploads("m").Where(upload => (string)upload["batch_id"]! == First).Skip(1).ToList();
        Describe(late.ShouldHaveSingleItem()).ShouldBe("2: S3 S5; ; ");
        ((int)late[0]["expected_count"]!).ShouldBe(5);
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(0)]
    public void How_often_a_station_came_and_answered_survives_a_restart(int wholeBatchBytesMax)
    {
        var node = Node(module: "\"retries\": 9", options: new CoreNodeOptions { Adjust = settings => settings with { WholeBatchBytesMax = wholeBatchBytesMax } }).Hold("m");
        At(node, 0, "S1");
        At(node, 1, "S1");
        At(node, 2, "S1", "S2");
        foreach (var station in new[] { "S1", "S2", "S1" }) node.Answer("m", station, Result("{}"));
        node.Restart();
        At(node, 10_000, "S9");
        node.Uploads("m").ShouldBeEmpty("S1 owes its third answer");
        node.Answer("m", "S1", Result("{}"));
        Revisions(node).ShouldBe(["1: S1 S2; ; "], "nobody waits for the deadline");
    }

    [Fact]
    public void Windows_and_batches_of_records_of_one_topic_live_side_by_side_in_any_shards()
    {
        var modules = $$""" "w": { "topics": ["METERS"], {{Window()}} }, "r": { "topics": ["METERS"] }, "v": { "topics": ["METERS", "PARAMS"], "requires": "any", {{Window()}} } """;
        var node = new CoreNode(With(modules), new CoreNodeOptions { Shards = 16 });
        var stations = Enumerable.Range(0, 40).Select(number => $"S{number}").ToArray();
        for (var second = 0; second < 10; second++) node.Produce(Meters, Values(second, stations), second % 3, StartMs + second * 1_000);
        node.Produce(Meters, Values(1, "S0"), 0, StartMs + 10_000);
        foreach (var module in new[] { "w", "v" }) Stations(node.Upload(module)).ShouldBe(stations);
        node.Uploads("r").Count.ShouldBe(11);
        node.Core.Running.Sum(shard => shard.MissingRecords).ShouldBe(0);
        node.Advance(5_000);
        node.Uploads("w").Count.ShouldBe(2);
        node.Events.OfType<AnswerLate>().ShouldBeEmpty();
    }

    [Fact]
    public void Answers_that_come_before_their_manifest_are_held()
    {
        var node = Node();
        var log = new TopicPartition(Group + ".batch-results", 0);
        AppendAnswers(node, log, 0, WindowAnswer("S1", 0, StartMs), WindowAnswer("S2", 1, StartMs));
        node.Run();
        node.Restart();
        AppendWindows(node, log, 0, StartMs, StartMs, "S1");
        node.Run();
        // The clock is beyond the window, but S2 has answered a record whose manifest is still to come.
        AppendWindows(node, log, 1, StartMs + 10_000, StartMs + 10_000, partition: 1, "S9");
        node.Run();
        node.Uploads("m").ShouldBeEmpty();
        AppendWindows(node, log, 1, StartMs, StartMs, "S2");
        node.Run();
        Revisions(node).ShouldBe(["1: S1 S2; ; "]);
    }

    [Fact]
    public void A_late_record_whose_answer_comes_before_its_manifest_is_a_revision_all_the_same()
    {
        var node = Node();
        var log = new TopicPartition(Group + ".batch-results", 0);
        AppendWindows(node, log, 0, StartMs, StartMs + 20_000, "S1");
        AppendAnswers(node, log, 0, WindowAnswer("S1", 0, StartMs), WindowAnswer("S2", 1, StartMs));
        node.Run();
        node.Restart();
        node.Advance(2_000);
        Revisions(node).ShouldBe(["1: S1; ; "]);
        AppendWindows(node, log, 1, StartMs, StartMs, "S2");
        node.Run();
        node.Advance(1_000);
        Revisions(node)[1].ShouldBe("2: S2; ; ");
    }

    [Fact]
    public void Repeated_manifests_answers_and_parts_change_nothing()
    {
        var node = Node().Hold("m");
        var log = new TopicPartition(Group + ".batch-results", 0);
        At(node, 0, "S1", "S2");
        Again();
        node.Answer("m", "S1", Result("{}"));
        Again();
        At(node, 10_000, "S1");
        Again();
        node.Answer("m", "S2", Result("{}"));
        Again();
        Revisions(node).ShouldBe(["1: S1 S2; ; "]);
        node.Answer("m", "S1", Result("{}"));
        Again();
        node.Advance(10_000);
        Again();
        Revisions(node).ShouldBe(["1: S1 S2; ; ", "1: S1; ; "]);
        node.Calls.Count.ShouldBe(3);
        node.Advance(600_000);
        Again();
        node.Shard.Batches.Batches.ShouldBeEmpty();
        node.Shard.Batches.Over.ShouldBeEmpty();
        node.Shard.Batches.LateAnswers.ShouldBe(0);

        void Again()
        {
            for (int offset = 0, count = node.Log(log.Topic).Count; offset < count; offset++) Repeat(node, log, offset);
            Repeat(node, new TopicPartition(Group + ".station-events", 0), 0);
        }
    }

    [Fact]
    public void Invalid_parts_answer_their_windows_with_nothing()
    {
        var node = new CoreNode(OneModule(Window()).Replace("\"fields\": [\"value\"]", "\"fields\": [{ \"from\": \"value\", \"type\": \"number\" }]"));
        node.Produce(Meters, """[{"stationId":"S1","value":"text"},{"stationId":"S2","value":2}]""", timestampMs: StartMs);
        At(node, 10_000, "S1");
        Revisions(node).ShouldBe(["1: S2; ; S1"]);
    }

    [Fact]
    public void Orders_and_outputs_of_modules_fall_into_windows_too()
    {
        var node = new CoreNode(With($$""" "o": { "topics": ["ORDERS"], {{Window()}} }, "s": { "topics": [], "dependsOn": ["o"], {{Window()}} } """));
        node.Produce(Orders, Order("S1", 1), timestampMs: StartMs);
        node.Produce(Orders, Order("S2", 2), timestampMs: StartMs + 1_000);
        node.Advance(10_000);
        Stations(node.Upload("o")).ShouldBe(["S1", "S2"]);
        Stations(node.Upload("s")).ShouldBe(["S1", "S2"]);
        ((string)node.Upload("s")["batch_id"]!).ShouldStartWith("MODULE-OUTPUT-O:2025-11-13T02:13:");
        // The output is written again by its shard: it is part of its window once.
        var upload = node.Logs("MODULE-OUTPUT-O").Single();
        node.Append(new TopicPartition("MODULE-OUTPUT-O", 0), upload.Key, upload.Value, upload.Origin, node.NowMs);
        node.Run();
        node.Advance(20_000);
        node.Uploads("s").Count.ShouldBe(1);
    }

    [Fact]
    public void Too_many_windows_kept_let_the_oldest_go_for_good()
    {
        var node = Node(options: new CoreNodeOptions { Adjust = settings => settings with { RetainedStationsMax = 2 } });
        for (var window = 0; window < 4; window++) At(node, window * 10_000, "S1");
        node.Shard.Batches.Over.Keys.Select(key => key.BatchId).ShouldBe([Second, "METERS:2025-11-13T02:13:40Z"], ignoreOrder: true);
        At(node, 0, "S2");
        node.DeadLetterReasons.ShouldBe(["late-answer"]);
        At(node, 11_000, "S2");
        node.Shard.Batches.Over.Keys.ShouldHaveSingleItem("it grew, and was the oldest").BatchId.ShouldBe("METERS:2025-11-13T02:13:40Z");
    }

    [Theory]
    [InlineData("2025-11-13T02:13:20Z", "10s", 8, "2025-11-13T02:13:20Z")]
    [InlineData("2025-11-13T15:59:59Z", "1d", 8, "2025-11-12T16:00:00Z")]
    [InlineData("2025-11-13T16:00:00Z", "1d", 8, "2025-11-13T16:00:00Z")]
    [InlineData("2025-11-13T15:59:59Z", "1d", 0, "2025-11-13T00:00:00Z")]
    [InlineData("1970-01-01T00:00:00Z", "1h", -8, "1970-01-01T00:00:00Z")]
    [InlineData("1970-01-01T00:00:00Z", "1d", -8, "1969-12-31T08:00:00Z")]
    [InlineData("2025-11-13T02:13:20.600Z", "500ms", 8, "2025-11-13T02:13:20.500Z")]
    public void Windows_are_laid_out_by_the_pipelines_clock(string time, string length, int zone, string start)
    {
        Analytics.Actors.Core.Pipeline.DurationText.TryParse(length, out var lengthMs).ShouldBeTrue();
        var timeMs = DateTimeOffset.Parse(time, System.Globalization.CultureInfo.InvariantCulture).ToUnixTimeMilliseconds();
        var startMs = EventWindow.StartOf(timeMs, lengthMs, TimeSpan.FromHours(zone));
        EventWindow.BatchId("T", startMs).ShouldBe("T:" + start);
    }

    [Fact]
    public void How_times_are_read_is_a_pinned_rule_of_routing_where_windows_follow_from_it()
    {
        RoutingRules.Of(PipelineFiles.Valid(OneModule()), 1).ShouldNotContain(rule => rule.Name.StartsWith("windows", StringComparison.Ordinal));
        var rules = RoutingRules.Of(PipelineFiles.Valid(OneModule(Window(), "\"time\": \"at\"")), 1);
        rules.Single(rule => rule.Name == "windows of METERS").Rule.ShouldBe("time at; time zone 08:00:00");
        rules.Single(rule => rule.Name == "module m").Rule.ShouldContain("Window 10000 ms");
    }

    private static string Window(string options = "") => $$""" "batch": { "kind": "window", "length": "10s"{{(options.Length == 0 ? "" : ", " + options)}} } """;

    private static CoreNode Node(string batch = "", string module = "", CoreNodeOptions? options = null) =>
        new(OneModule(Window(batch) + (module.Length == 0 ? "" : ", " + module)), options);

    private static void At(CoreNode node, long ms, params string[] stations) => At(node, ms, 0, stations);

    private static void At(CoreNode node, long ms, int partition, params string[] stations) => node.Produce(Meters, Values(1, stations), partition, StartMs + ms);

    private static Answer WindowAnswer(string station, long offset, long startMs)
    {
        var answer = Answer(station, offset);
        answer.BatchId = EventWindow.BatchId(Meters, startMs);
        answer.WindowStartMs = startMs;
        return answer;
    }

    private static void AppendWindows(CoreNode node, TopicPartition log, long offset, long startMs, long newestMs, params string[] stations) =>
        AppendWindows(node, log, offset, startMs, newestMs, 0, stations);

    private static void AppendWindows(CoreNode node, TopicPartition log, long offset, long startMs, long newestMs, int partition, params string[] stations)
    {
        var manifest = new Manifest
        {
            Topic = Meters, Partition = partition, Offset = offset, PreviousOffset = -1,
            Windows = { new WindowAddition { Module = "m", StartMs = startMs, NewestMs = newestMs, Stations = { stations } } },
        };
        node.Append(log, null, new BatchEnvelope { Manifests = { manifest } }.ToByteArray(), null, node.NowMs);
    }
}
