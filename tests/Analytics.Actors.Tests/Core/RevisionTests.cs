using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.BatchTests;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What becomes of answers that come when their batch is over.</summary>
public class RevisionTests
{
    [Fact]
    public void Late_answers_go_out_together_as_the_next_revision_which_holds_only_them()
    {
        var node = Late("S1");
        node.Answer("m", "S2", Result("""{"late":2}"""));
        node.Advance(400);
        node.Answer("m", "S3", Result("""{"late":3}"""));
        node.Advance(599);
        node.Uploads("m").Count.ShouldBe(1);
        node.Advance(1);
        var revision = node.Uploads("m")[1];
        ((string)revision["batch_id"]!).ShouldBe("METERS:0:0");
        revision["stations"]!.ToJsonString().ShouldBe("""[{"late":2,"station_id":"S2"},{"late":3,"station_id":"S3"}]""");
        ((int)revision["station_count"]!).ShouldBe(2);
        ((int)revision["expected_count"]!).ShouldBe(4);
        Texts(revision["missing"]).ShouldBe(["S4"], "results, errors and the last missing make up the expected");
        ((int)revision["revision"]!).ShouldBe(2);
        var entry = node.Logs("MODULE-OUTPUT-M").Last();
        entry.Key.ShouldBe("METERS:0:0"u8.ToArray());
        entry.Headers.ShouldContain(KeyValuePair.Create(Header.Batch, "METERS:0:0"));
        node.Events.OfType<BatchRevised>().ShouldHaveSingleItem().ShouldBe(new BatchRevised(new ShardId(0), "m", "METERS:0:0", 2, 2, 0));
        node.DeadLetters.ShouldBeEmpty();
        node.Shard.Batches.LateAnswers.ShouldBe(0);
    }

    [Fact]
    public void The_last_late_answer_goes_out_at_once_and_the_batch_is_gone()
    {
        var node = Late("S1", "S2");
        node.Answer("m", "S3", Result("{}"));
        node.Answer("m", "S4", Result("{}"));
        Revisions(node).ShouldBe(["1: S1 S2; ; S3 S4", "2: S3 S4; ; "]);
        node.Shard.Batches.Over.ShouldBeEmpty();
        Rows(node).ShouldBeEmpty();
    }

    [Fact]
    public void A_batch_that_everybody_answered_leaves_nothing_behind()
    {
        var node = Late("S1", "S2", "S3", "S4");
        node.Shard.Batches.Over.ShouldBeEmpty();
        Rows(node).ShouldBeEmpty();
    }

    [Fact]
    public void A_late_error_is_told_and_a_late_nothing_is_not()
    {
        var node = Late("S1");
        node.Answer("m", "S2", Nothing);
        node.Advance(2_000);
        Revisions(node).Count.ShouldBe(1);
        node.Answer("m", "S3", TimedOut);
        node.Advance(1_000);
        Revisions(node)[1].ShouldBe("2: ; S3; S2 S4");
        node.Answer("m", "S4", Nothing);
        Revisions(node).Count.ShouldBe(2);
        node.Shard.Batches.Over.ShouldBeEmpty();
        node.DeadLetters.ShouldBeEmpty();
    }

    [Fact]
    public void The_first_result_of_a_batch_that_had_none_is_its_first_revision_and_tells_all()
    {
        var node = new CoreNode(OneModule("\"retries\": 0")).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2", "S3"));
        node.Answer("m", "S1", Error("no"));
        node.Advance(5_000);
        node.Answer("m", "S2", Error("no"));
        node.Advance(1_000);
        node.Uploads("m").ShouldBeEmpty("a batch without any result is not uploaded");
        node.Answer("m", "S3", Result("{}"));
        Revisions(node).ShouldBe(["1: S3; S1 S2; "]);
        node.Events.OfType<BatchRevised>().ShouldBeEmpty();
    }

    [Fact]
    public void What_comes_after_a_batch_was_complete_at_its_share_is_a_revision()
    {
        var node = new CoreNode(OneModule("\"batch\": { \"kind\": \"record\", \"completeAt\": 0.5 }")).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2", "S3", "S4"));
        foreach (var station in new[] { "S4", "S2", "S1" }) node.Answer("m", station, Result("{}"));
        node.Advance(1_000);
        node.Answer("m", "S3", Result("{}"));
        Revisions(node).ShouldBe(["1: S2 S4; ; S1 S3", "2: S1; ; S3", "3: S3; ; "]);
        node.Events.OfType<BatchCompleted>().ShouldHaveSingleItem().Results.ShouldBe(2);
        node.Advance(10_000);
        node.Events.OfType<BatchTimedOut>().ShouldBeEmpty();
    }

    [Fact]
    public void Complete_at_none_uploads_the_first_result_as_the_first_revision()
    {
        var node = new CoreNode(OneModule("\"batch\": { \"kind\": \"record\", \"completeAt\": 0.0 }"));
        node.Produce(Meters, Values(1, "S1", "S2"));
        Revisions(node).ShouldBe(["1: S1 S2; ; "]);
    }

    [Fact]
    public void After_the_retention_a_late_answer_is_counted_and_dead_lettered()
    {
        var node = new CoreNode(OneModule("\"batch\": { \"kind\": \"record\", \"retention\": \"1min\" }")).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2", "S3", "S4"));
        node.Answer("m", "S1", Result("{}"));
        node.Advance(5_000 + 59_999);
        node.Answer("m", "S2", Result("""{"in":"time"}"""));
        node.Advance(1);
        Revisions(node)[1].ShouldBe("2: S2; ; S3 S4", "what waits when the retention ends still goes");
        Rows(node).ShouldBeEmpty();
        node.Answer("m", "S3", Result("""{"late":1}"""));
        node.Answer("m", "S4", Nothing);
        node.Uploads("m").Count.ShouldBe(2);
        node.Shard.Batches.LateAnswers.ShouldBe(2);
        var letter = node.DeadLetters.ShouldHaveSingleItem();
        ((string)letter["reason"]!).ShouldBe("late-answer");
        ((string)letter["station"]!).ShouldBe("S3");
        ((string)letter["topic"]!).ShouldBe(Meters);
        Convert.FromBase64String((string)letter["bytes"]!).ShouldBe("""{"late":1}"""u8.ToArray());
        node.Restart();
        node.Shard.Batches.LateAnswers.ShouldBe(2, "the count is kept");
    }

    [Fact]
    public void Retention_revisions_and_what_they_gather_survive_restarts()
    {
        var node = Late("S1");
        node.Advance(2_000);
        node.Restart();
        node.Answer("m", "S2", Result("""{"late":2}"""));
        node.Advance(300);
        node.Restart();
        node.Advance(699);
        node.Uploads("m").Count.ShouldBe(1);
        node.Advance(1);
        Revisions(node)[1].ShouldBe("2: S2; ; S3 S4");
        node.Advance(600_000 - 3_000 - 1);
        node.Restart();
        node.Shard.Batches.Over.Count.ShouldBe(1);
        node.Answer("m", "S3", Result("{}"));
        node.Advance(1);
        Revisions(node)[2].ShouldBe("3: S3; ; S4");
        node.Shard.Batches.Over.ShouldBeEmpty();
        node.DeadLetters.ShouldBeEmpty();
    }

    [Fact]
    public void A_batch_that_is_over_keeps_only_what_it_still_needs()
    {
        var node = Late("S1", "S2");
        var row = Rows(node).ShouldHaveSingleItem();
        row.Expected.ShouldBe(["S3", "S4"]);
        row.Answers.ShouldBeEmpty();
        row.ExpectedCount.ShouldBe(4);
    }

    [Fact]
    public void Too_many_stations_kept_for_late_answers_let_the_oldest_batches_go()
    {
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Adjust = settings => settings with { RetainedStationsMax = 4 } }).Hold("m");
        for (var number = 0; number < 3; number++)
        {
            node.Produce(Meters, Values(number, "A" + number, "B" + number, "C" + number));
            node.Answer("m", "A" + number, Result("{}"));
        }

        node.Advance(5_000);
        node.Shard.Batches.Over.Keys.Select(key => key.BatchId).ShouldBe(["METERS:0:1", "METERS:0:2"], ignoreOrder: true);
        node.Events.OfType<BatchForgotten>().ShouldHaveSingleItem().BatchId.ShouldBe("METERS:0:0");
        node.Answer("m", "B0", Result("{}"));
        node.DeadLetterReasons.ShouldBe(["late-answer"]);
        // What waits for its revision goes out before its batch is let go.
        node.Answer("m", "B1", Result("{}"));
        node.Produce(Meters, Values(3, "A3", "B3", "C3"));
        node.Answer("m", "A3", Result("{}"));
        node.Advance(500);
        node.Shard.Batches.Over.Count.ShouldBe(2);
        node.Restart();
        node.Shard.Batches.Over.Count.ShouldBe(2);
        node.Advance(5_000);
        node.Uploads("m").Select(upload => $"{upload["batch_id"]} {upload["revision"]}").ShouldBe(["METERS:0:0 1", "METERS:0:1 1", "METERS:0:2 1", "METERS:0:1 2", "METERS:0:3 1"]);
    }

    [Fact]
    public void A_batch_larger_than_the_limit_is_kept_while_it_is_the_newest()
    {
        var node = new CoreNode(OneModule(), new CoreNodeOptions { Adjust = settings => settings with { RetainedStationsMax = 1 } }).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2", "S3"));
        node.Advance(5_000);
        node.Answer("m", "S1", Result("{}"));
        node.Advance(1_000);
        Revisions(node).ShouldBe(["1: S1; ; S2 S3"]);
    }

    [Fact]
    public void Repeated_manifests_and_answers_change_nothing_after_the_end()
    {
        var node = Late("S1", "S2");
        var log = new TopicPartition(Group + ".batch-results", 0);
        Again();
        node.Advance(2_000);
        Again();
        node.Answer("m", "S3", Result("""{"late":3}"""));
        Again();
        node.Advance(1_000);
        Again();
        node.Answer("m", "S4", Result("""{"late":4}"""));
        Again();
        node.Advance(20_000);
        Revisions(node).ShouldBe(["1: S1 S2; ; S3 S4", "2: S3; ; S4", "3: S4; ; "]);
        node.Events.OfType<BatchOpened>().Count().ShouldBe(1);
        node.Shard.Batches.Batches.ShouldBeEmpty();
        node.Shard.Batches.Over.ShouldBeEmpty();
        node.Shard.Batches.LateAnswers.ShouldBe(0);

        void Again()
        {
            for (int offset = 0, count = node.Log(log.Topic).Count; offset < count; offset++) Repeat(node, log, offset);
        }
    }

    [Fact]
    public void An_answer_of_a_station_that_was_not_expected_changes_nothing()
    {
        var node = Late("S1");
        AppendAnswers(node, new TopicPartition(Group + ".batch-results", 0), 0, Answer("S9", 0), Answer("S1", 0));
        node.Run();
        node.Advance(2_000);
        node.Uploads("m").Count.ShouldBe(1);
    }

    [Fact]
    public void A_module_that_depends_on_another_gets_its_revisions_too()
    {
        const string modules = """ "first": { "topics": ["METERS"] }, "second": { "topics": [], "dependsOn": ["first"] } """;
        var node = new CoreNode(With(modules)).Hold("first");
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Answer("first", "S1", Result("{}"));
        node.Advance(5_000);
        node.Answer("first", "S2", Result("{}"));
        node.Uploads("second").Select(upload => string.Join(' ', Stations(upload))).ShouldBe(["S1", "S2"]);
    }

    [Fact]
    public void A_batch_whose_module_is_gone_is_let_go()
    {
        var node = Late("S1");
        node.Restart(PipelineFiles.Valid(OneModule().Replace("\"m\"", "\"n\"")));
        // The stations whose calls are gone answer that, late: no revision can go out for it.
        node.Shard.Batches.Over.ShouldBeEmpty();
        node.Advance(600_000);
        Rows(node).ShouldBeEmpty();
    }

    // A batch of four whose deadline passed when these had answered.
    private static CoreNode Late(params string[] inTime)
    {
        var node = new CoreNode(OneModule("\"retries\": 9")).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2", "S3", "S4"));
        foreach (var station in inTime) node.Answer("m", station, Result("{}"));
        node.Advance(5_000);
        return node;
    }

    internal static IReadOnlyList<string> Revisions(CoreNode node, string module = "m") => node.Uploads(module).Select(Describe).ToList();

    internal static string Describe(JsonObject upload) =>
        $"{upload["revision"]}: {string.Join(' ', Stations(upload))}; {string.Join(' ', Texts(upload["failed"]))}; {string.Join(' ', Texts(upload["missing"]))}";

    private static List<BatchState> Rows(CoreNode node) => node.Checkpoints.SelectMany(checkpoint => checkpoint.Entities)
        .Where(entity => entity.Kind == EntityKind.Batch).GroupBy(entity => entity.Key).Select(rows => rows.Last().State)
        .Where(state => state is not null).Select(BatchState.Parser.ParseFrom).ToList();
}
