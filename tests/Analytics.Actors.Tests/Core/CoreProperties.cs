using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using FsCheck;
using FsCheck.Fluent;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What holds for any records, in any order of events, with any number of shards, and with a crash anywhere.</summary>
public class CoreProperties
{
    private static readonly PipelineConfiguration Pipeline = PipelineFiles.Valid(With(
        """
        "first": { "topics": ["METERS"], "retries": 9, "batch": { "kind": "record", "deadline": "1h" } },
        "single": { "topics": ["PARAMS"], "batch": "none", "retries": 9 },
        "second": { "topics": [], "dependsOn": ["first"], "retries": 9, "batch": { "kind": "record", "deadline": "1h" } },
        "share": { "topics": ["METERS"], "retries": 9, "batch": { "kind": "record", "deadline": "1h", "completeAt": 0.5, "retention": "40s" } },
        "slow": { "topics": ["METERS"], "retries": 9, "batch": { "kind": "record", "retention": "40s" } },
        "window": { "topics": ["METERS"], "retries": 9, "batch": { "kind": "window", "length": "10s", "lateness": "2s", "retention": "40s" } }
        """));

    private const long WindowMs = 10_000;

    private static readonly Gen<Sent> Record =
        from topic in Gen.Frequency((5, Gen.Constant(Meters)), (2, Gen.Constant(Params)), (1, Gen.Constant(Calendar)))
        from partition in Gen.Choose(0, 1)
        from chosen in Gen.NonEmptyListOf(Gen.Choose(1, 9))
        from isBad in Gen.Frequency((9, Gen.Constant(false)), (1, Gen.Constant(true)))
        from timeMs in Gen.Choose(0, 30_000)
        select new Sent(topic, topic == Calendar ? 0 : partition, chosen.Distinct().Take(5).ToArray(), isBad, StartMs + timeMs);

    private static readonly Arbitrary<Scenario> Scenarios = Arb.From(
        from records in Gen.NonEmptyListOf(Record)
        from seed in Gen.Choose(0, int.MaxValue - 1)
        from crash in Gen.Choose(1, 400)
        from again in Gen.Choose(1, 400)
        select new Scenario(records.Take(12).ToArray(), seed, crash, again));

    [Fact]
    public void A_crash_anywhere_changes_neither_the_state_nor_the_uploads() => Prop.ForAll(Scenarios, scenario =>
    {
        var calm = Run(scenario, 4, null, []);
        var crashed = Run(scenario, 4, null, [scenario.Crash, scenario.Crash + scenario.Again]);
        crashed.ShouldBe(calm, $"crash at step {scenario.Crash} and {scenario.Again} steps later");
    }).Check(Config(60));

    [Fact]
    public void The_number_of_stations_in_memory_changes_neither_the_state_nor_the_uploads() => Prop.ForAll(Scenarios, scenario =>
    {
        var calm = Run(scenario, 4, null, []);
        Run(scenario, 4, null, [scenario.Crash, scenario.Crash + scenario.Again], 1).ShouldBe(calm, $"crash at step {scenario.Crash} and {scenario.Again} steps later");
    }).Check(Config(60));

    [Fact]
    public void Any_order_of_events_with_crashes_completes_every_batch_once_with_every_station() => Prop.ForAll(Scenarios, scenario =>
    {
        var node = Execute(scenario, 3, scenario.Seed, [scenario.Crash, scenario.Crash + scenario.Again]);
        node.DeadLetters.Count.ShouldBe(scenario.Records.Count(record => record.IsBad && record.Topic != Calendar));
        var expected = scenario.Batches().ToList();
        foreach (var module in new[] { "first", "second" })
        {
            var uploads = node.Uploads(module);
            uploads.Select(upload => (string)upload["batch_id"]!).Distinct().Count().ShouldBe(expected.Count);
            uploads.Count.ShouldBe(expected.Count, "no batch has a second upload");
            uploads.ShouldAllBe(upload => upload["missing"]!.AsArray().Count == 0 && upload["failed"]!.AsArray().Count == 0);
        }

        node.Uploads("first").ToDictionary(upload => (string)upload["batch_id"]!, upload => string.Join(' ', BatchTests.Stations(upload)))
            .ShouldBe(expected.ToDictionary(batch => batch.Id, batch => batch.Stations), ignoreOrder: true);
        foreach (var module in new[] { "share", "slow" })
        {
            Merged(node, module).ShouldBe(scenario.Records.Select((record, number) => (record, number)).Where(sent => sent.record.Topic == Meters)
                .Zip(expected, (sent, batch) => (batch.Id, Content: Content(sent.record, sent.number))).ToDictionary(batch => batch.Id, batch => batch.Content), ignoreOrder: true);
        }

        // However many revisions it takes: each window has all of its stations, each with its newest result.
        Merged(node, "window").ShouldBe(scenario.Windows().ToDictionary(), ignoreOrder: true);
        node.Events.OfType<BatchTimedOut>().ShouldAllBe(timedOut => timedOut.Module == "slow" || timedOut.Module == "window");
        node.DeadLetterReasons.ShouldNotContain("late-answer");
        node.TakeOverAll().SelectMany(shard => shard.Entities).Where(entity => entity.Kind is EntityKind.Batch or EntityKind.Station).ShouldBeEmpty();
    }).Check(Config(60));

    [Fact]
    public void Without_crashes_no_order_of_events_makes_an_answer_late() => Prop.ForAll(Scenarios, scenario =>
    {
        var node = Execute(scenario, 4, scenario.Seed, []);
        node.Events.OfType<AnswerLate>().ShouldBeEmpty();
        node.Events.OfType<RecordMissing>().ShouldBeEmpty();
        node.Events.OfType<PartRepeated>().ShouldBeEmpty();
        node.Events.OfType<BatchCompleted>().Count(completed => completed.Module == "first").ShouldBe(scenario.Batches().Count());
    }).Check(Config(40));

    [Fact]
    public void The_same_events_give_the_same_checkpoints_byte_for_byte() => Prop.ForAll(Scenarios, scenario =>
    {
        var checkpoints = new[] { 1, 2 }.Select(_ => Execute(scenario, 2, scenario.Seed, [scenario.Crash]).Checkpoints.Select(Describe).ToList()).ToList();
        checkpoints[1].ShouldBe(checkpoints[0]);
        checkpoints[0].ShouldNotBeEmpty();
    }).Check(Config(30));

    [Fact]
    public void One_four_and_sixteen_shards_give_the_same_uploads() => Prop.ForAll(Scenarios, scenario =>
    {
        var one = Run(scenario, 1, null, []);
        Run(scenario, 4, scenario.Seed, []).Uploads.ShouldBe(one.Uploads);
        Run(scenario, 16, scenario.Seed, []).Uploads.ShouldBe(one.Uploads);
    }).Check(Config(30));

    [Fact]
    public void The_order_of_independent_stations_does_not_matter() => Prop.ForAll(Scenarios, scenario =>
    {
        // Each record names one station; stations are mixed anew, each one's own records stay in their order.
        var records = scenario.Records.Where(record => record.Topic != Calendar).SelectMany((record, number) => record.Stations.Select(station => (Station: station, record.Topic, Value: number))).ToList();
        var random = new Random(scenario.Seed);
        var queues = records.GroupBy(record => record.Station).Select(group => new Queue<(int Station, string Topic, int Value)>(group)).ToList();
        List<(int Station, string Topic, int Value)> mixed = [];
        while (queues.Count > 0)
        {
            var queue = queues[random.Next(queues.Count)];
            mixed.Add(queue.Dequeue());
            if (queue.Count == 0) queues.Remove(queue);
        }

        Outputs(mixed).ShouldBe(Outputs(records));

        static string Outputs(IEnumerable<(int Station, string Topic, int Value)> sent)
        {
            var node = Modules(new CoreNode(Pipeline, new CoreNodeOptions { Shards = 3 }));
            foreach (var (station, topic, value) in sent)
                node.Produce(topic, $$"""[{"stationId":"S{{station}}","value":{{value}},"capacity":{{value}}}]""");
            var results = node.Uploads("first").Select(upload => upload["stations"]![0]!.ToJsonString())
                .Concat(node.Uploads("second").Select(upload => upload["stations"]![0]!.ToJsonString()))
                .Concat(node.Uploads("single").Select(single => single["station_id"]! + single["output"]!.ToJsonString())).Order(StringComparer.Ordinal);
            var windows = node.TakeOverAll().SelectMany(shard => shard.Entities).Where(entity => entity.Kind == EntityKind.Window && !entity.Key.Contains("MODULE", StringComparison.Ordinal))
                .Select(entity => entity.Key + Convert.ToHexString(entity.State!)).Order(StringComparer.Ordinal);
            return string.Join('\n', results.Concat(windows));
        }
    }).Check(Config(40));

    private static Outcome Run(Scenario scenario, int shards, int? seed, HashSet<int> crashes, int stationsMax = 10_000)
    {
        var node = Execute(scenario, shards, seed, crashes, stationsMax);
        var uploads = new StringBuilder();
        foreach (var upload in node.Uploads("first").OrderBy(upload => (string)upload["batch_id"]!, StringComparer.Ordinal)) uploads.Append(Content(upload)).Append('\n');
        // Their batch is named by the first one's origin, which depends on shards and on what was packed together.
        foreach (var upload in node.Uploads("second").Select(upload => Content(upload, "batch_id")).Order(StringComparer.Ordinal)) uploads.Append(upload).Append('\n');
        // How late answers are shared out over revisions depends on when they come; what all of them say does not.
        foreach (var module in new[] { "share", "slow", "window" })
        {
            foreach (var (batch, content) in Merged(node, module).OrderBy(batch => batch.Key, StringComparer.Ordinal)) uploads.Append(batch).Append(' ').Append(content).Append('\n');
        }

        foreach (var upload in node.Uploads("single").Select(upload => Content(upload)).Order(StringComparer.Ordinal)) uploads.Append(upload).Append('\n');
        foreach (var letter in node.DeadLetters.Select(letter => $"{letter["topic"]}:{letter["partition"]}:{letter["offset"]}:{letter["index"]} {letter["reason"]}").Order(StringComparer.Ordinal)) uploads.Append(letter).Append('\n');
        var state = new StringBuilder();
        foreach (var shard in node.TakeOverAll())
        {
            // Uploads of different batches may land in either order; what records of the outside made must be the same.
            foreach (var entity in shard.Entities.Where(entity => !entity.Key.EndsWith("MODULE-OUTPUT-FIRST", StringComparison.Ordinal)))
                state.Append(shard.Shard).Append(' ').Append(entity.Kind).Append(' ').Append(entity.Key).Append(' ').Append(Convert.ToHexString(entity.State!)).Append('\n');
            foreach (var mark in shard.Marks.Where(mark => mark.Source.StartsWith("p|", StringComparison.Ordinal) && !mark.Source.Contains("MODULE-OUTPUT-FIRST", StringComparison.Ordinal)))
                state.Append(mark).Append('\n');
        }

        return new Outcome(uploads.ToString(), state.ToString());
    }

    private static CoreNode Execute(Scenario scenario, int shards, int? seed, HashSet<int> crashes, int stationsMax = 10_000)
    {
        var node = Modules(new CoreNode(Pipeline, new CoreNodeOptions
        {
            Shards = shards, Seed = seed, CrashAtSteps = crashes,
            // However small a batch is: what changed of it goes into further rows.
            Adjust = settings => settings with { StationsMax = stationsMax, WholeBatchBytesMax = 0 },
        }));
        for (var number = 0; number < scenario.Records.Length; number++)
        {
            var record = scenario.Records[number];
            node.Write(record.Topic, record.Value(number), record.Partition, record.TimeMs);
            // The next record comes while the last one is still being worked on.
            for (var steps = 0; steps < 5 && node.Step(); steps++) { }
        }

        node.Run();
        // The slow module answers when its batches are over by their deadline.
        node.Advance(5_500);
        for (var answers = 1; node.WaitingCalls.Count > 0; answers++)
        {
            var call = node.WaitingCalls[0];
            node.Answer("slow", call.Station, Result($$"""{"saw":{{call.Input["value"]!.ToJsonString()}}}"""));
            if (answers % 5 == 0) node.Advance(700);
        }

        node.Advance(60_000);
        return node;
    }

    // Results that depend on the very record that asked for them, and on nothing that another order of events could change.
    private static CoreNode Modules(CoreNode node) => node
        .Module("first", call => Result($$"""{"first":{{call.Input["value"]!.ToJsonString()}}}"""))
        .Module("share", call => Result($$"""{"saw":{{call.Input["value"]!.ToJsonString()}}}"""))
        .Module("window", call => Result($$"""{"saw":{{call.Input["value"]!.ToJsonString()}}}"""))
        .Hold("slow")
        .Module("single", call => Result($$"""{"single":{{call.Input["capacity"]!.ToJsonString()}}}"""))
        .Module("second", call => Result($$"""{"second":{{call.Input["first"]!.ToJsonString()}}}"""));

    private static string Content(JsonObject upload, params string[] without)
    {
        var copy = (JsonObject)upload.DeepClone();
        foreach (var name in without.Append("timestamp")) copy.Remove(name);
        return copy.ToJsonString();
    }

    // What all revisions of a batch say together: the newest result of each station, and what the last one still misses.
    private static Dictionary<string, string> Merged(CoreNode node, string module)
    {
        var merged = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var batch in node.Uploads(module).GroupBy(upload => (string)upload["batch_id"]!))
        {
            var revisions = batch.ToList();
            revisions.Select(upload => (int)upload["revision"]!).ShouldBe(Enumerable.Range(1, revisions.Count), batch.Key);
            var results = new SortedDictionary<string, string>(StringComparer.Ordinal);
            foreach (var item in revisions.SelectMany(upload => upload["stations"]!.AsArray())) results[(string)item!["station_id"]!] = item["saw"]!.ToJsonString();
            revisions[^1]["missing"]!.AsArray().ShouldBeEmpty();
            ((int)revisions[^1]["expected_count"]!).ShouldBe(results.Count, batch.Key);
            merged.Add(batch.Key, Content(results));
        }

        return merged;
    }

    private static string Content(Sent record, int number) => Content(record.Names.Order(StringComparer.Ordinal).Select(name => KeyValuePair.Create(name, $"{number}")));

    private static string Content(IEnumerable<KeyValuePair<string, string>> results) => string.Join(' ', results.Select(result => $"{result.Key}={result.Value}"));

    private static string Describe(ShardCheckpoint checkpoint) => string.Join('\n',
    [
        $"{checkpoint.Shard} {checkpoint.Epoch} {checkpoint.Number} {Convert.ToHexString(checkpoint.ShardState)}",
        .. checkpoint.Entities.Select(entity => $"{entity.Kind} {entity.Key} {(entity.State is null ? "-" : Convert.ToHexString(entity.State))}"),
        .. checkpoint.Positions.Select(position => position.ToString()),
        .. checkpoint.Marks.Select(mark => mark.ToString()),
        .. checkpoint.OutboxAdded.Select(entry => $"{entry.Destination} {entry.Sequence} {Convert.ToHexString(entry.Value)} {string.Join(' ', entry.Headers)}"),
        .. checkpoint.OutboxRemoved.Select(removed => removed.ToString()),
    ]);

    private static Config Config(int tests) => FsCheck.Config.QuickThrowOnFailure.WithMaxTest(tests).WithEndSize(12);

    private sealed record Outcome(string Uploads, string State);

    private sealed record Sent(string Topic, int Partition, int[] Stations, bool IsBad, long TimeMs)
    {
        public IEnumerable<string> Names => Stations.Select(station => $"S{station}-{Partition}");

        public string Value(int number) => Topic == Calendar
            ? $$"""{"day":{{number}}}"""
            : "[" + string.Join(',', Stations.Select(station => $$"""{"stationId":"S{{station}}-{{Partition}}","value":{{number}},"capacity":{{number}}}""").Concat(IsBad ? ["""{"stationId":null}"""] : [])) + "]";
    }

    private sealed record Scenario(Sent[] Records, int Seed, int Crash, int Again)
    {
        public IEnumerable<(string Id, string Stations)> Batches()
        {
            var offsets = new Dictionary<int, int>();
            foreach (var record in Records.Where(record => record.Topic == Meters))
            {
                var offset = offsets.GetValueOrDefault(record.Partition);
                offsets[record.Partition] = offset + 1;
                yield return ($"{Meters}:{record.Partition}:{offset}", string.Join(' ', record.Stations.Select(station => $"S{station}-{record.Partition}")));
            }
        }

        public IEnumerable<KeyValuePair<string, string>> Windows() => Records.Select((record, number) => (Record: record, Number: number))
            .Where(sent => sent.Record.Topic == Meters)
            .GroupBy(sent => EventWindow.BatchId(Meters, EventWindow.StartOf(sent.Record.TimeMs, WindowMs, Pipeline.TimeZone)))
            .Select(window =>
            {
                var results = new SortedDictionary<string, string>(StringComparer.Ordinal);
                foreach (var (record, number) in window)
                {
                    foreach (var name in record.Names) results[name] = $"{number}";
                }

                return KeyValuePair.Create(window.Key, Content(results));
            });

        public override string ToString() => $"seed {Seed}, crash {Crash}, again {Again}: {string.Join("; ", Records.Select(record => $"{record.Topic}:{record.Partition} {string.Join(',', record.Stations)} at {record.TimeMs - StartMs}{(record.IsBad ? " bad" : "")}"))}";
    }
}
