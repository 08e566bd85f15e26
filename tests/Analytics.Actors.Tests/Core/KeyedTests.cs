using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>
/// Sources keyed by station: shard i reads partition i without a router. Whatever lies in the wrong partition comes to the
/// same as with a router, once.
/// </summary>
public class KeyedTests
{
    private const int Shards = 3;

    private static readonly string[] Stations = [.. Enumerable.Range(0, 12).Select(number => $"S{number}")];

    [Fact]
    public void A_record_in_its_stations_partition_is_applied_there_and_no_envelope_is_written()
    {
        var node = NewNode();
        var station = StationOf(1);
        Produce(node, 1, station, SmallPipelines.Values(7, station));
        node.Log("core.station-events", 1).ShouldBeEmpty();
        node.Events.OfType<PartApplied>().ShouldHaveSingleItem().ShouldBe(new PartApplied(new ShardId(1), station, new SourcePartition("METERS", 0, 1), new Place(0, 0, 0)));
        node.Events.OfType<RecordMisplaced>().ShouldBeEmpty();
        var upload = node.Upload("m");
        ((string)upload["batch_id"]!).ShouldBe("METERS:1:0");
        ((string)upload["stations"]![0]!["station_id"]!).ShouldBe(station);
        node.Core.Find(new ShardId(1))!.Positions[new TopicPartition("METERS", 1)].Next.ShouldBe(1);
    }

    [Fact]
    public void Parts_that_belong_to_other_shards_are_sent_on_and_each_is_applied_once_under_the_mark_of_its_partition()
    {
        var node = NewNode();
        string[] stations = [StationOf(0), StationOf(1), StationOf(2)];
        Produce(node, 0, stations[2], SmallPipelines.Values(1, stations));
        Produce(node, 0, stations[2], SmallPipelines.Values(2, stations[2]));
        node.Events.OfType<PartApplied>().Select(part => (part.Station, part.Shard.Value, part.Place.Offset)).ShouldBe(
            [(stations[0], 0, 0), (stations[1], 1, 0), (stations[2], 2, 0), (stations[2], 2, 1)], ignoreOrder: true);
        node.Events.OfType<RecordMisplaced>().Select(misplaced => misplaced.PartsSentOn).ShouldBe([2, 1]);
        node.Uploads("m").Count.ShouldBe(2);
        node.Core.Find(new ShardId(2))!.Marks.Find(new TopicPartition("core.station-events", 2), new SourcePartition("METERS", 0, 0))!.AppliedCount.ShouldBe(2);
        var sent = node.Log("core.station-events", 2).Select(entry => PartsEnvelope.Parser.ParseFrom(entry.Value).Records.ShouldHaveSingleItem()).ToList();
        sent.Select(parts => parts.PreviousOffset).ShouldBe([-1, 0], "the receiver can tell that nothing is missing");
        node.Events.OfType<RecordMissing>().ShouldBeEmpty();

        // The envelope lands once more, as after an acknowledgement that was lost.
        var repeated = node.Log("core.station-events", 2)[0];
        node.Append(new TopicPartition("core.station-events", 2), null, repeated.Value, repeated.Origin, node.NowMs);
        node.Run();
        node.Events.OfType<PartApplied>().Count().ShouldBe(4);
    }

    [Theory]
    [InlineData("another", 1)]
    [InlineData(null, 0)]
    public void A_record_that_lies_right_under_a_wrong_key_is_applied_and_told_of(string? key, int misplaced)
    {
        var node = NewNode();
        Produce(node, 2, key, SmallPipelines.Values(1, StationOf(2)));
        node.Events.OfType<PartApplied>().ShouldHaveSingleItem();
        node.Log("core.station-events", 2).ShouldBeEmpty();
        node.Events.OfType<RecordMisplaced>().Count().ShouldBe(misplaced);
    }

    [Fact]
    public void What_cannot_be_used_is_a_dead_letter_of_the_partitions_own_shard()
    {
        var node = NewNode();
        Produce(node, 1, "S", "{ this is not JSON");
        Produce(node, 1, "S", """[{"value": 1}]""");
        node.DeadLetterReasons.ShouldBe(["not-json", "no-id"]);
        node.Checkpoints.Where(checkpoint => checkpoint.LettersAdded.Count > 0).ShouldAllBe(checkpoint => checkpoint.Shard == new ShardId(1));
        node.Events.OfType<RecordMisplaced>().ShouldBeEmpty();
    }

    [Fact]
    public void An_output_that_its_writer_wrote_twice_counts_once()
    {
        var node = NewNode();
        string[] stations = [StationOf(0), StationOf(1)];
        var value = Encoding.UTF8.GetBytes(SmallPipelines.Values(5, stations));
        for (var copy = 0; copy < 2; copy++) node.Append(new TopicPartition("METERS", 0), Encoding.UTF8.GetBytes(stations[0]), value, "0123456789ab.3.0.17", node.NowMs);
        node.Run();
        node.Events.OfType<PartApplied>().Select(part => part.Station).ShouldBe(stations, ignoreOrder: true);
        ((string)node.Upload("m")["batch_id"]!).ShouldBe("METERS:0123456789ab.3.0.17");
    }

    [Theory]
    [InlineData("\"batch\": \"record\"")]
    [InlineData("\"batch\": { \"kind\": \"window\", \"length\": \"10s\" }")]
    public void It_comes_to_the_same_as_with_a_router(string batch)
    {
        var (keyed, routed) = (NewNode(batch: batch), NewNode(batch: batch, isKeyed: false));
        foreach (var node in new[] { keyed, routed })
        {
            Feed(node, 40);
            node.Advance(60_000);
        }

        Outcome(keyed).ShouldBe(Outcome(routed));
        keyed.Log("core.station-events").Count.ShouldBeLessThan(routed.Log("core.station-events").Count);
    }

    [Fact]
    public void A_crash_after_any_step_changes_nothing()
    {
        var whole = NewNode();
        Feed(whole, 8);
        whole.Advance(60_000);
        var steps = whole.Steps;
        var expected = Outcome(whole);
        for (var step = 1; step < steps; step += 3)
        {
            var node = NewNode(crashAt: [step, step + 7]);
            Feed(node, 8);
            node.Advance(60_000);
            Outcome(node).ShouldBe(expected, $"after step {step}");
            node.Events.OfType<RecordMissing>().ShouldBeEmpty();
        }
    }

    [Fact]
    public void A_shard_that_has_enough_in_hand_reads_none_of_its_partitions()
    {
        var settings = Settings(isKeyed: true) with { CallsMax = 1 };
        var core = new NodeCore(new NodeSettings { Shards = settings });
        List<NodeEffect> effects = [];
        var shard = Start(core, settings, [], effects);
        effects.OfType<StartReading>().Select(start => start.Partition).ShouldBe([shard.PartsLog, shard.BatchLog, new TopicPartition("METERS", 0)]);
        effects.Clear();
        // Its stations have to be loaded first; then the call begins.
        core.Handle(new RecordsRead(new TopicPartition("METERS", 0), [Record(0, SmallPipelines.Values(1, StationOf(0)))]), 0, effects);
        core.Settle(0, effects);
        foreach (var load in effects.OfType<LoadStations>().ToList()) core.Handle(new StationsLoaded(load, []), 0, effects);
        core.Settle(0, effects);
        effects.OfType<PauseReading>().ShouldBe([new PauseReading(shard.PartsLog, true), new PauseReading(shard.BatchLog, true), new PauseReading(new TopicPartition("METERS", 0), true)]);
    }

    [Fact]
    public void Parts_that_wait_for_a_checkpoint_count_as_outbox()
    {
        var settings = Settings(isKeyed: true) with { OutboxBytesMax = 1_000 };
        var core = new NodeCore(new NodeSettings { Shards = settings });
        List<NodeEffect> effects = [];
        var shard = Start(core, settings, [], effects);
        for (var offset = 0; offset < 20; offset++) shard.Receive([Record(offset, SmallPipelines.Values(offset, StationOf(1)))], 0);
        shard.IsFull.ShouldBeTrue();
        shard.IsUrgent.ShouldBeTrue();
        shard.Outputs.Outbox.Bytes.ShouldBe(0);
        shard.TakeCheckpoint(release: false, 0).OutboxAdded.Select(entry => entry.Destination.Topic).Distinct().ShouldBe(["core.station-events", "core.batch-results"]);
    }

    [Fact]
    public void A_partition_that_is_not_fit_to_be_read_leaves_the_shard_running()
    {
        var settings = Settings(isKeyed: true);
        var core = new NodeCore(new NodeSettings { Shards = settings });
        List<NodeEffect> effects = [];
        var shard = Start(core, settings, [new TopicPartition("METERS", 0)], effects);
        effects.OfType<StartReading>().Select(start => start.Partition).ShouldBe([shard.PartsLog, shard.BatchLog]);
        core.Phases.ShouldBe([(new ShardId(0), ShardPhase.Running)]);
    }

    [Fact]
    public void What_is_sent_on_names_the_version_of_its_rules_so_that_a_shard_of_an_older_one_waits()
    {
        var settings = Settings(isKeyed: true) with { ConfigurationVersion = 3 };
        var shard = Start(new NodeCore(new NodeSettings { Shards = settings }), settings, [], []);
        shard.Receive([Record(0, SmallPipelines.Values(1, StationOf(0), StationOf(1)))], 0);
        shard.AwaitedVersion.ShouldBeNull();
        shard.StationsLoaded([StationOf(0)], [], 0);
        var entries = shard.TakeCheckpoint(release: false, 0).OutboxAdded;
        entries.Where(entry => entry.Destination.Topic == settings.PartsTopic).SelectMany(entry => PartsEnvelope.Parser.ParseFrom(entry.Value).Records).ShouldHaveSingleItem().Rules.ShouldBe(3);
        entries.Where(entry => entry.Destination.Topic == settings.BatchTopic).SelectMany(entry => BatchEnvelope.Parser.ParseFrom(entry.Value).Manifests).ShouldAllBe(manifest => manifest.Rules == 3);
    }

    [Fact]
    public async Task A_takeover_whose_logs_were_checked_for_an_older_version_is_made_again()
    {
        var settings = Settings(isKeyed: true) with { ConfigurationVersion = 2 };
        var core = new NodeCore(new NodeSettings { Shards = settings });
        var store = new MemoryCheckpointStore("c0decafe0123");
        await store.OpenAsync(CoreNode.Group, settings.ShardCount, default);
        List<NodeEffect> effects = [];
        core.Handle(new ShardsAssigned([new ShardId(0)]), 0, effects);
        effects.Clear();
        var recovered = await store.TakeOverAsync(new ShardId(0), "node", default);
        core.Handle(new ShardTakenOver(recovered, Version: 1), 0, effects);
        effects.ShouldBe([new TakeOver(new ShardId(0))]);
        core.Running.ShouldBeEmpty();
        core.Handle(new ShardTakenOver(recovered, Version: 2), 0, effects);
        core.Running.ShouldHaveSingleItem();
    }

    private static ShardSettings Settings(bool isKeyed) =>
        new() { Pipeline = Pipeline("\"batch\": \"record\"", isKeyed), Group = CoreNode.Group, ShardCount = Shards, StoreId = "c0decafe0123" };

    private static Shard Start(NodeCore core, ShardSettings settings, IReadOnlyList<TopicPartition> notRead, List<NodeEffect> effects)
    {
        var store = new MemoryCheckpointStore("c0decafe0123");
        store.OpenAsync(CoreNode.Group, settings.ShardCount, default).AsTask().GetAwaiter().GetResult();
        core.Handle(new ShardsAssigned([new ShardId(0)]), 0, effects);
        var recovered = store.TakeOverAsync(new ShardId(0), "node", default).AsTask().GetAwaiter().GetResult();
        core.Handle(new ShardTakenOver(recovered with { NotRead = notRead }), 0, effects);
        return core.Find(new ShardId(0))!;
    }

    private static LogRecord Record(long offset, string value) => new(new TopicPartition("METERS", 0), offset, 0, Encoding.UTF8.GetBytes(value));

    private static CoreNode NewNode(string batch = "\"batch\": \"record\"", bool isKeyed = true, int[]? crashAt = null) => new CoreNode(
        Pipeline(batch, isKeyed),
        new CoreNodeOptions { Shards = Shards, CrashAtSteps = (crashAt ?? []).ToHashSet() })
        .Module("m", seen => CoreNode.Result($$"""{"saw":{{seen.Input["value"]}}}"""));

    private static PipelineConfiguration Pipeline(string batch, bool isKeyed) =>
        PipelineFiles.Valid(SmallPipelines.OneModule(batch, isKeyed ? "\"keyed\": \"station\"" : "\"keyed\": false"));

    // Most records lie right; every third names stations of several shards, every seventh item none.
    private static void Feed(CoreNode node, int records)
    {
        for (var number = 0; number < records; number++)
        {
            var station = Stations[number % Stations.Length];
            var value = number % 3 == 0 ? SmallPipelines.Values(number, station, Stations[(number + 5) % Stations.Length], Stations[(number + 7) % Stations.Length])
                : number % 7 == 0 ? $$"""[{"value":1},{"stationId":"{{station}}","value":{{number}}}]"""
                : SmallPipelines.Values(number, station);
            Produce(node, Murmur2.Partition(station, Shards), station, value);
            node.Advance(1_000);
        }
    }

    private static void Produce(CoreNode node, int partition, string? key, string value)
    {
        node.Append(new TopicPartition("METERS", partition), key is null ? null : Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value), null, node.NowMs);
        node.Run();
    }

    private static string StationOf(int shard) => Stations.First(station => Murmur2.Partition(station, Shards) == shard);

    // All that a user sees: uploads, letters, windows, and the witness of what was applied.
    private static string Outcome(CoreNode node)
    {
        var uploads = node.Uploads("m").Select(upload =>
        {
            var stations = upload["stations"]!.AsArray().Select(station => station!.ToJsonString()).Order(StringComparer.Ordinal);
            return $"{upload["batch_id"]} {upload["revision"]} {string.Join(" ", stations)}";
        }).Order(StringComparer.Ordinal).ToList();
        var letters = node.DeadLetters.Select(letter => $"{letter["reason"]} {letter["offset"]} {letter["partition"]}").Order(StringComparer.Ordinal).ToList();
        var shards = node.TakeOverAll();
        var windows = shards.SelectMany(shard => shard.Entities).Where(entity => entity.Kind == EntityKind.Window)
            .Select(entity => $"{entity.Key} {Convert.ToBase64String(entity.State!)}").Order(StringComparer.Ordinal);
        var marks = shards.SelectMany(shard => shard.Marks.Where(mark => mark.Log.Topic != "core.batch-results" && mark.Source.StartsWith('p') && mark.AppliedCount > 0)
            .Select(mark => $"{shard.Shard} {mark.Source} {mark.AppliedCount} {mark.AppliedHash}")).Order(StringComparer.Ordinal);
        return string.Join("\n", [.. uploads, .. letters, .. windows, .. marks]);
    }
}
