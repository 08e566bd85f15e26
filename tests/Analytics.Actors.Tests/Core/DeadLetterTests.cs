using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Dead letters as rows of the store, and their way through the normal path again: once, in order, as something new.</summary>
public class DeadLetterTests
{
    // The same topic, before and after somebody has seen that its values may be texts.
    private static readonly string Numbers = Topic("number"), Anything = Topic("any");

    [Fact]
    public void A_letter_is_a_record_and_a_row_of_the_same_id()
    {
        var node = new CoreNode(Numbers);
        node.Write(Meters, "[]", partition: 2);
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":"S2","value":"text"}]""", partition: 2, timestampMs: StartMs - 5_000);
        node.Produce(Meters, "{", partition: 1);
        var rows = Rows(node);
        rows.Select(row => $"{row.Id} {row.Letter.Source} {row.Letter.Offset}.{row.Letter.Index} {row.Letter.Station} {row.Letter.Reason.Code} {row.Letter.Form} {row.State}")
            .ShouldBe(["0-1 METERS[2]#0 1.1 S2 wrong-type Item Open", "0-2 METERS[1]#0 0.0  not-json Record Open"]);
        rows[0].Letter.RecordTimestampMs.ShouldBe(StartMs - 5_000);
        rows[0].Letter.TimeMs.ShouldBe(StartMs);
        Encoding.UTF8.GetString(rows[0].Letter.Bytes.Span).ShouldBe("""{"stationId":"S2","value":"text"}""");
        node.DeadLetters.Select(letter => (string)letter["id"]!).ShouldBe(["0-1", "0-2"]);
    }

    [Fact]
    public void A_letter_names_the_items_own_index_where_a_stations_items_stand_apart()
    {
        var node = new CoreNode(Numbers);
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":"S2","value":2},{"stationId":"S1","value":"apart"},{"value":0},{"stationId":"S1","value":"more"}]""");
        node.DeadLetters.Select(letter => ((int)letter["index"]!, (string)letter["reason"]!)).ShouldBe([(2, "wrong-type"), (4, "wrong-type"), (3, "no-id")], ignoreOrder: true);
    }

    [Fact]
    public void A_letter_names_the_items_own_index_where_items_were_put_in_order_of_their_time()
    {
        var node = new CoreNode(Build(
            """ "TARIFFS": { "envelope": "list", "orderBy": "startTime", "fields": [{ "from": "price", "type": "number" }] } """, """ "m": { "topics": ["TARIFFS"] } """));
        node.Produce("TARIFFS", """[{"stationId":"S1","startTime":"2025-11-04 12:00:00","price":"late"},{"stationId":"S1","startTime":"2025-11-04 08:00:00","price":"early"},{"stationId":"S1","startTime":"2025-11-04 10:00:00","price":3}]""");
        node.DeadLetters.Select(letter => ((int)letter["index"]!, Bytes(letter).Contains("late"))).ShouldBe([(1, false), (0, true)]);
    }

    [Fact]
    public void A_replayed_item_goes_alone_through_the_normal_path_with_a_new_identity()
    {
        var node = new CoreNode(Numbers);
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":"S2","value":"text"}]""", timestampMs: StartMs - 5_000);
        node.Advance(1_000);
        node.Restart(PipelineFiles.Valid(Anything));
        Order(node);
        var uploads = node.Uploads("m");
        uploads.Count.ShouldBe(2);
        BatchTests.Stations(uploads[1]).ShouldBe(["S2"]);
        ((string)uploads[1]["batch_id"]!).ShouldBe($"{Group}.replays:c0decafe0123.0.0.0");
        Values(node, "S2").ShouldBe("""["text"]""");
        Values(node, "S1").ShouldBe("[1]");
        node.Shard.Stations["S2"].NewestTimeMs.ShouldBe(StartMs - 5_000, "the record's own time, not that of the order");
        var row = Rows(node).ShouldHaveSingleItem();
        (row.State, row.ChangedBy, row.ChangedMs).ShouldBe((DeadLetterState.Replayed, "anna", StartMs + 1_000));
        node.Events.OfType<DeadLetterClosed>().ShouldBe([new DeadLetterClosed(new ShardId(0), new DeadLetterId(new ShardId(0), 1), DeadLetterState.Replayed, "anna")]);
    }

    [Fact]
    public void A_replay_opens_a_window_of_event_time_of_its_own()
    {
        static string Windowed(string topic) => topic.Replace("""{ "topics": ["METERS"] }""", """{ "topics": ["METERS"], "batch": { "kind": "window", "length": "1h", "deadline": "2s" } }""");
        var node = new CoreNode(Windowed(Numbers));
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":"S2","value":"text"}]""");
        node.Advance(10_000);
        node.Restart(PipelineFiles.Valid(Windowed(Anything)));
        Order(node);
        node.Advance(10_000);
        var uploads = node.Uploads("m");
        uploads.Select(upload => ((string)upload["batch_id"]!).Split(':')[0]).ShouldBe([Meters, Group + ".replays"]);
        BatchTests.Stations(uploads[1]).ShouldBe(["S2"]);
    }

    [Fact]
    public void A_whole_record_is_taken_apart_again()
    {
        var node = new CoreNode(Numbers);
        node.Produce(Meters, """{"rows":[{"stationId":"S1","value":1},{"stationId":"S2","value":2}]}""");
        // The router's position is committed: it would read the record again under the other envelope.
        node.Advance(10_000);
        node.Restart(PipelineFiles.Valid(Numbers.Replace("\"list\"", "\"rows\"")));
        Order(node);
        BatchTests.Stations(node.Upload("m")).Order().ShouldBe(["S1", "S2"]);
        Values(node, "S2").ShouldBe("[2]");
    }

    [Fact]
    public void An_item_without_a_known_station_is_looked_at_alone()
    {
        var node = new CoreNode(Numbers, new CoreNodeOptions { Shards = 4 });
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"place":"S9","value":9}]""");
        node.Advance(10_000);
        node.Restart(PipelineFiles.Valid(Numbers.Replace("\"envelope\"", "\"station\": [\"stationId\", \"place\"], \"envelope\"")));
        Order(node);
        Values(node, "S9").ShouldBe("[9]");
        Values(node, "S1").ShouldBe("[1]");
        BatchTests.Stations(node.Uploads("m")[1]).ShouldBe(["S9"]);
    }

    [Fact]
    public void A_global_record_reaches_every_shard_again()
    {
        static string Pipeline(string type) => Build(
            $$""" "METERS": { "envelope": "list", "fields": ["value"] }, "CALENDAR": { "scope": "global", "fields": [{ "from": "day", "type": "{{type}}" }] } """,
            """ "m": { "topics": ["METERS", "CALENDAR"] } """);
        var node = new CoreNode(Pipeline("text"), new CoreNodeOptions { Shards = 3 });
        node.Produce(Calendar, """{"day":5}""");
        node.Restart(PipelineFiles.Valid(Pipeline("number")));
        Order(node);
        node.Core.Running.Select(shard => Encoding.UTF8.GetString(shard.Globals[Calendar].Shape()!.ToJsonObject())).ShouldBe(Enumerable.Repeat("""{"day":5}""", 3));
    }

    [Fact]
    public void A_replay_that_fails_again_is_a_new_letter_that_names_the_first_and_the_source()
    {
        var node = new CoreNode(Numbers);
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":"S2","value":"text"}]""", partition: 3);
        node.Produce(Meters, "{", partition: 3);
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"value":2}]""", partition: 3);
        Order(node);
        Order(node, 4);
        Rows(node).Select(row => $"{row.Id} {row.Letter.Source} {row.Letter.Offset}.{row.Letter.Index} {row.Letter.Reason.Code} {row.Letter.Form} {row.State} {row.Letter.ReplayOf}").ShouldBe(
        [
            "0-1 METERS[3]#0 0.1 wrong-type Item Replayed ", "0-2 METERS[3]#0 1.0 not-json Record Replayed ", "0-3 METERS[3]#0 2.1 no-id Item Replayed ",
            "0-4 METERS[3]#0 0.1 wrong-type Item Replayed 0-1", "0-5 METERS[3]#0 1.0 not-json Record Open 0-2", "0-6 METERS[3]#0 2.1 no-id Item Open 0-3",
            "0-7 METERS[3]#0 0.1 wrong-type Item Open 0-4",
        ]);
        ((string)node.DeadLetters[^1]["replay_of"]!).ShouldBe("0-4");
        node.Events.OfType<RecordMissing>().ShouldBeEmpty();
    }

    [Fact]
    public void Letters_of_a_station_are_replayed_in_order_and_once_wherever_the_process_ends()
    {
        CoreNode Execute(params int[] crashes)
        {
            var node = new CoreNode(Numbers, new CoreNodeOptions { Shards = 2, CrashAtSteps = crashes.ToHashSet(), PartitionCounts = new Dictionary<string, int> { [Group + ".replays"] = 3 } });
            for (var number = 1; number <= 4; number++)
            {
                node.Produce(Meters, $$"""[{"stationId":"S1","value":"a{{number}}"},{"stationId":"S2","value":"b{{number}}"}]""");
            }

            node.Restart(PipelineFiles.Valid(Anything));
            node.Run();
            return node;
        }

        var calm = Execute();
        var before = calm.Steps;
        Order(calm);
        var after = calm.Steps;
        (after - before).ShouldBeGreaterThan(20);
        for (var crash = before + 1; crash <= after; crash++)
        {
            var node = Execute(crash);
            node.Steps.ShouldBe(before);
            Order(node);
            // Somebody who saw no answer orders again, twice.
            Order(node);
            Order(node);
            Values(node, "S1").ShouldBe("""["a1","a2","a3","a4"]""", $"crash at step {crash}");
            Values(node, "S2").ShouldBe("""["b1","b2","b3","b4"]""", $"crash at step {crash}");
            Rows(node).ShouldAllBe(row => row.State == DeadLetterState.Replayed);
            Rows(node).Count.ShouldBe(8);
            node.Uploads("m").Count(upload => ((string)upload["batch_id"]!).StartsWith(Group, StringComparison.Ordinal)).ShouldBe(8, $"crash at step {crash}");
        }
    }

    [Fact]
    public void An_order_that_comes_twice_replays_once_and_one_of_an_earlier_epoch_is_void()
    {
        var node = new CoreNode(Numbers);
        node.Produce(Meters, """[{"stationId":"S1","value":"text"}]""");
        var letters = Rows(node).Select(row => row.Letter).ToList();
        var order = new DeadLettersOrdered(new ShardId(0), node.Shard.Epoch, letters, DeadLetterState.Replayed, "anna");
        node.Restart(PipelineFiles.Valid(Anything));
        // What it was read from may be older than what the owner before has closed.
        node.Tell(order);
        node.Logs(Group + ".replays").ShouldBeEmpty();

        order = order with { Epoch = node.Shard.Epoch };
        node.Tell(order);
        node.Tell(order);
        node.Tell(order with { State = DeadLetterState.Discarded });
        node.Logs(Group + ".replays").Count().ShouldBe(1);
        Values(node, "S1").ShouldBe("""["text"]""");
        Rows(node).ShouldHaveSingleItem().State.ShouldBe(DeadLetterState.Replayed);
    }

    [Fact]
    public void A_discarded_letter_stays_to_be_read_and_goes_nowhere()
    {
        var node = new CoreNode(Numbers);
        node.Produce(Meters, """[{"stationId":"S1","value":"text"}]""");
        Order(node, state: DeadLetterState.Discarded);
        Rows(node).ShouldHaveSingleItem().State.ShouldBe(DeadLetterState.Discarded);
        node.Logs(Group + ".replays").ShouldBeEmpty();
    }

    [Theory]
    [InlineData("c0decafe0123.0.0.0", "0A00", "")]
    [InlineData("c0decafe0123.0.0.0", "1200", "does not say which dead letter")]
    [InlineData("c0decafe0123.0.0.0", "FF", "")]
    [InlineData("0therst0re00.0.0.0", "0A00", "of another store")]
    [InlineData(null, "0A00", "of another store")]
    public void A_record_of_the_replay_topic_that_is_none_of_ours_is_a_letter(string? origin, string value, string says)
    {
        var node = new CoreNode(Numbers);
        node.Append(new TopicPartition(Group + ".replays", 0), null, Convert.FromHexString(value), origin, StartMs);
        node.Run();
        var letter = node.DeadLetters.ShouldHaveSingleItem();
        ((string)letter["detail"]!).ShouldContain(says);
        DeadLetterReplay.WhyNot(Rows(node)[0].Letter, PipelineFiles.Valid(Numbers)).ShouldNotBeNull();
    }

    [Theory]
    [InlineData(RejectedForm.Internal, "late-answer", Meters, "came after its batch was over")]
    [InlineData(RejectedForm.Internal, "call-failed", Meters, "a module call failed")]
    [InlineData(RejectedForm.Internal, "upload-too-large", Meters, "maxRecordBytes")]
    [InlineData(RejectedForm.Internal, "bad-envelope", Meters, "internal topic")]
    [InlineData(RejectedForm.Element, "wrong-type", Meters, "would take their place")]
    [InlineData(RejectedForm.Item, "too-large", Meters, "in several records")]
    [InlineData(RejectedForm.Record, "bad-replay", Meters, "internal topic")]
    [InlineData(RejectedForm.Record, "not-json", "GONE", "does not declare its topic GONE")]
    [InlineData(RejectedForm.Item, "bad-time", "GRID", "replaces the station's window")]
    [InlineData(RejectedForm.Record, "wrong-envelope", "GRID", null)]
    [InlineData(RejectedForm.Item, "wrong-type", Meters, null)]
    public void What_cannot_be_replayed_says_why(RejectedForm form, string reason, string topic, string? says)
    {
        var pipeline = PipelineFiles.Valid(Build(
            """
            "METERS": { "envelope": "list", "fields": ["value"] },
            "GRID": { "envelope": "rows", "time": "sendTime", "mode": "replace", "window": 3, "period": "1h", "shape": { "kind": "grid", "keys": "gunNo", "times": "sendTime", "series": ["avg"] } }
            """, """ "m": { "topics": ["METERS", "GRID"] } """));
        var letter = DeadLetter.Of(new SourcePartition(topic, 0, 0), 1, 0, "S1", new Rejection(reason, ""), new byte[3], 0) with { Form = form };
        if (says is null) DeadLetterReplay.WhyNot(letter, pipeline).ShouldBeNull();
        else DeadLetterReplay.WhyNot(letter, pipeline).ShouldNotBeNull().ShouldContain(says);
        if (says is null) DeadLetterReplay.WhyNot(letter with { Length = 70_000 }, pipeline).ShouldNotBeNull().ShouldContain("3 of its 70000 bytes");
    }

    [Fact]
    public void Only_the_newest_letters_of_a_shard_stay_and_none_for_longer_than_it_may()
    {
        const long Day = 24 * 3_600_000;
        var node = new CoreNode(Numbers, new CoreNodeOptions { Adjust = settings => settings with { LettersKeptMax = 3, LettersKeptMs = 2 * Day } });
        for (var number = 1; number <= 5; number++) node.Produce(Meters, "{");
        Rows(node).Select(row => row.Id.Number).ShouldBe([3, 4, 5]);
        node.Advance(Day);
        node.Produce(Meters, "{");
        Rows(node).Select(row => row.Id.Number).ShouldBe([4, 5, 6]);
        node.Advance(Day + 7_200_000);
        Rows(node).Select(row => row.Id.Number).ShouldBe([6]);
        node.Restart();
        node.Advance(Day);
        Rows(node).ShouldBeEmpty();
        node.Produce(Meters, "{");
        Rows(node).ShouldHaveSingleItem().Id.Number.ShouldBe(7, "a number is never given twice");

        // At rest again: a shard without letters writes nothing.
        node.Advance(4 * Day);
        var checkpoints = node.Checkpoints.Count;
        node.Advance(Day);
        node.Checkpoints.Count.ShouldBe(checkpoints);
    }

    [Fact]
    public void A_detail_that_is_no_text_of_UTF_8_is_kept_as_one_that_is()
    {
        var node = new CoreNode(OneModule("\"retries\": 0, \"batch\": \"none\"")).Module("m", _ => Error("half \ud83d a pair " + new string('x', 10_000)));
        node.Produce(Meters, SmallPipelines.Values(1, "S1"));
        var detail = Rows(node).ShouldHaveSingleItem().Letter.Reason.Detail;
        detail.ShouldStartWith("m: half \ufffd a pair xxx");
        detail.Length.ShouldBeLessThan(5_000);
    }

    [Theory]
    [InlineData("3-17", 3, 17)]
    [InlineData("0-1", 0, 1)]
    [InlineData("", -1, 0)]
    [InlineData("3", -1, 0)]
    [InlineData("3-", -1, 0)]
    [InlineData("-3-1", -1, 0)]
    [InlineData("3-1-2", -1, 0)]
    [InlineData("3-99999999999999999999", -1, 0)]
    public void An_id_is_read_as_it_is_printed(string text, int shard, long number)
    {
        DeadLetterId.TryParse(text, out var id).ShouldBe(shard >= 0);
        if (shard >= 0) id.ShouldBe(new DeadLetterId(new ShardId(shard), number));
        if (shard >= 0) id.ToString().ShouldBe(text);
    }

    private static string Topic(string type) => Build(
        $$""" "METERS": { "envelope": "list", "window": 9, "fields": [{ "from": "value", "type": "{{type}}" }] } """, """ "m": { "topics": ["METERS"] } """);

    private static List<StoredDeadLetter> Rows(CoreNode node, DeadLetterFilter? filter = null) =>
    [
        .. Enumerable.Range(0, node.Settings.ShardCount).SelectMany(shard =>
            node.Store.ReadDeadLettersAsync(new ShardId(shard), filter ?? DeadLetterFilter.All, 0, 1_000, default).AsTask().GetAwaiter().GetResult()),
    ];

    /// <summary>Orders all open letters, or one number of them, as the host does: under the epoch that runs, with what is stored now.</summary>
    private static void Order(CoreNode node, long? number = null, DeadLetterState state = DeadLetterState.Replayed)
    {
        foreach (var letters in Rows(node, new DeadLetterFilter(State: DeadLetterState.Open)).Where(row => number is null || row.Id.Number == number).GroupBy(row => row.Id.Shard))
        {
            node.Tell(new DeadLettersOrdered(letters.Key, node.Core.Find(letters.Key)!.Epoch, letters.Select(row => row.Letter).Reverse().ToList(), state, "anna"));
        }
    }

    /// <summary>What the store holds of the station, as a list.</summary>
    private static string Values(CoreNode node, string station)
    {
        var shard = new ShardId(Murmur2.Partition(station, node.Settings.ShardCount));
        var row = node.Store.ReadEntitiesAsync(shard, EntityKind.Window, [$"{station}\u001f{Meters}"], default).AsTask().GetAwaiter().GetResult().Single();
        var shape = TopicWindows.Load(node.Settings.Pipeline.Topics[Meters], node.Settings.Pipeline.TimeZone, row.State).Shape()!;
        var value = JsonNode.Parse(shape.ToJsonObject())!["value"]!;
        return value is JsonArray ? value.ToJsonString() : $"[{value.ToJsonString()}]";
    }

    private static string Bytes(JsonObject letter) => Encoding.UTF8.GetString(Convert.FromBase64String((string)letter["bytes"]!));
}
