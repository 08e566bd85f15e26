using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Tests.Pipeline;

/// <summary>What the options of topics and modules become, where the default pipeline does not show it.</summary>
public class PipelineOptionTests
{
    private static TopicConfiguration Topic(string options) => PipelineFiles.Valid(PipelineFiles.WithTopic(options)).Topics["T"];

    private static ModuleConfiguration Module(string options) => PipelineFiles.Valid(PipelineFiles.WithModule(options)).Modules["m"];

    [Theory]
    [InlineData("500ms", 500)]
    [InlineData("2s", 2_000)]
    [InlineData("1.5s", 1_500)]
    [InlineData("0.001s", 1)]
    [InlineData("10min", 600_000)]
    [InlineData("10 min", 600_000)]
    [InlineData("1h", 3_600_000)]
    [InlineData("35d", 3_024_000_000)]
    [InlineData("36500d", 3_153_600_000_000)]
    public void Durations_are_exact(string text, long ms)
    {
        DurationText.TryParse(text, out var parsed).ShouldBeTrue();
        parsed.ShouldBe(ms);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("5")]
    [InlineData("5m")]
    [InlineData("5 weeks")]
    [InlineData("-5s")]
    [InlineData("+5s")]
    [InlineData("1e3s")]
    [InlineData(".5s")]
    [InlineData("5.s")]
    [InlineData("1,000s")]
    [InlineData("0.0001s")]
    [InlineData("36501d")]
    [InlineData("99999999999999999999s")]
    [InlineData("5S")]
    [InlineData(" 5s")]
    [InlineData("٣s")]
    public void Other_texts_are_no_durations(string text) => DurationText.TryParse(text, out _).ShouldBeFalse();

    [Fact]
    public void An_empty_topic_has_the_defaults()
    {
        var topic = Topic("");
        topic.Envelope.ShouldBe([new EnvelopeForm(EnvelopeKind.Object)]);
        topic.StationPaths.ShouldBe(["stationId", "station_id"]);
        (topic.Scope, topic.Mode, topic.Window, topic.Shape, topic.TimeMember).ShouldBe((TopicScope.Station, UpdateMode.Append, 1, ShapeKind.Fields, null));
        (topic.Triggers, topic.TtlMs, topic.Fill, topic.Absent).ShouldBe((true, null, FillStrategy.Missing, AbsentFields.Omit));
        topic.Fields.ShouldBeEmpty();
    }

    [Fact]
    public void Envelopes_have_several_forms()
    {
        Topic("\"envelope\": [\"rows\", { \"member\": \"list\" }, { \"single\": \"output\" }, \"list\", \"object\"]").Envelope.ShouldBe([
            new(EnvelopeKind.Member, "rows"), new(EnvelopeKind.Member, "list"), new(EnvelopeKind.Output), new(EnvelopeKind.List), new(EnvelopeKind.Object),
        ]);
    }

    [Fact]
    public void The_word_record_is_the_records_own_time()
    {
        Topic("\"time\": \"record\"").TimeMember.ShouldBeNull();
        Topic("\"time\": \"head.sendTime\"").TimeMember.ShouldBe("head.sendTime");
    }

    [Fact]
    public void Starts_and_policies()
    {
        Topic("\"start\": \"earliest\"").Start.ShouldBe(new StartPosition(StartKind.Earliest));
        Topic("\"start\": \"group:data_analysis_prod\"").Start.ShouldBe(new StartPosition(StartKind.Group, Group: "data_analysis_prod"));
        Topic("\"start\": \"timestamp:2025-11-04T00:00:00Z\"").Start.ShouldBe(new StartPosition(StartKind.Timestamp, 1_762_214_400_000));
        // Without a zone: the pipeline's, eight hours earlier.
        Topic("\"start\": \"timestamp:2025-11-04 00:00:00\"").Start.ShouldBe(new StartPosition(StartKind.Timestamp, 1_762_214_400_000 - 8 * 3_600_000));
        Topic("\"outOfRange\": \"timestamp:2025-11-04T08:00:00+08:00\"").OutOfRange.ShouldBe(new OutOfRangePolicy(OutOfRangeKind.Timestamp, 1_762_214_400_000));
        Topic("\"outOfRange\": \"latest\"").OutOfRange.ShouldBe(new OutOfRangePolicy(OutOfRangeKind.Latest));
    }

    [Fact]
    public void Fields_are_selected_renamed_and_named_by_their_last_member()
    {
        Topic("\"fields\": [\"a\", \"b.c\", { \"from\": \"d\", \"as\": \"e\" }], \"window\": 3, \"pad\": true, \"fill\": \"linear\"")
            .Fields.ShouldBe([new("a", "a"), new("b.c", "c"), new("d", "e")]);
    }

    [Fact]
    public void Types_defaults_and_the_order_of_items()
    {
        var topic = Topic("\"orderBy\": \"head.time\", \"fields\": [{ \"from\": \"a\", \"type\": \"list\", \"default\": [] }, { \"indexOf\": \"a\", \"as\": \"i\" }]");
        topic.OrderMember.ShouldBe("head.time");
        topic.Fields.ShouldBe([new("a", "a") { Type = FieldType.List, Default = "[]" }, new("a", "i") { IndexOf = "a" }]);
    }

    [Fact]
    public void Rows_that_replace_the_window_may_be_shaped_as_entries()
    {
        var topic = Topic("\"mode\": \"replace\", \"window\": 24, \"fill\": \"forward\", \"fields\": [\"load\"]");
        (topic.Mode, topic.Shape, topic.Window, topic.Fill).ShouldBe((UpdateMode.Replace, ShapeKind.Fields, 24, FillStrategy.Forward));
    }

    [Fact]
    public void A_default_is_plain_json_without_the_files_comments()
    {
        var topic = Topic("\"shape\": { \"kind\": \"columns\", \"list\": \"rows\" }, \"fields\": [{ \"from\": \"a\", \"default\": [1, /* two */ 2.50,] }, { \"from\": \"b\", \"default\": null }]");
        topic.Fields.Select(field => field.Default).ShouldBe(["[1,2.50]", "null"]);
    }

    [Fact]
    public void A_global_topic_may_trigger_a_module_that_sends_each_result_alone()
    {
        var pipeline = PipelineFiles.Valid("""
            { "topics": { "G": { "scope": "global", "triggers": true } }, "modules": { "m": { "topics": ["G"], "batch": "none" } } }
            """);
        pipeline.Topics["G"].Triggers.ShouldBeTrue();
        pipeline.Modules["m"].Batch.Kind.ShouldBe(BatchKind.None);
    }

    [Fact]
    public void Requirements_and_incomplete_inputs()
    {
        Module("\"topics\": [\"T\", \"G\"], \"requires\": \"any\"").RequiresAny.ShouldBeTrue();
        Module("\"topics\": [\"T\", \"G\"], \"requires\": [\"G\"]").RequiredTopics.ShouldBe(["G"]);
        Module("\"topics\": [\"T\"], \"onIncomplete\": \"wait\"").OnIncomplete.ShouldBe(IncompletePolicy.Wait);
        var delayed = Module("\"topics\": [\"T\"], \"onIncomplete\": { \"call\": \"7s\" }");
        (delayed.OnIncomplete, delayed.IncompleteDelayMs).ShouldBe((IncompletePolicy.Call, 7_000));
    }

    [Fact]
    public void A_dependencys_output_may_be_required()
    {
        var pipeline = PipelineFiles.Valid("""
            { "topics": { "T": {} }, "modules": {
              "b": { "topics": ["T"], "dependsOn": ["a"], "requires": ["MODULE-OUTPUT-A"] },
              "a": { "topics": ["T"], "enabled": false } } }
            """);
        pipeline.Modules["b"].Topics.ShouldBe(["T", "MODULE-OUTPUT-A"]);
        pipeline.Modules["b"].RequiredTopics.ShouldBe(["MODULE-OUTPUT-A"]);
    }

    [Fact]
    public void Triggers_by_event_interval_or_both()
    {
        var interval = Module("\"topics\": [\"G\"], \"trigger\": { \"interval\": \"15min\" }");
        (interval.TriggerOnEvent, interval.IntervalMs).ShouldBe((false, 900_000));
        var both = Module("\"topics\": [\"T\"], \"trigger\": { \"event\": true, \"interval\": \"1h\" }");
        (both.TriggerOnEvent, both.IntervalMs).ShouldBe((true, 3_600_000));
    }

    [Fact]
    public void The_rest_of_a_module()
    {
        var module = Module("""
            "topics": ["T"], "coalesce": "latest", "callTimeout": "500ms", "retries": 0, "retryDelay": "1s", "pool": "python",
            "batch": { "deadline": "9s", "completeAt": 0.5, "retention": "1h" }, "output": "results", "uploadFormat": "legacy"
            """);
        (module.Coalesce, module.CallTimeoutMs, module.Retries, module.RetryDelayMs, module.Pool).ShouldBe((CoalescePolicy.Latest, 500, 0, 1_000, "python"));
        module.Batch.ShouldBe(new BatchConfiguration { Kind = BatchKind.Record, DeadlineMs = 9_000, CompleteAt = 0.5, RetentionMs = 3_600_000 });
        (module.OutputTopic, module.UploadFormat).ShouldBe(("results", UploadFormat.Legacy));
    }

    [Fact]
    public void An_output_topic_may_be_overridden_and_keeps_its_other_defaults()
    {
        var pipeline = PipelineFiles.Valid("""
            { "topics": { "MODULE-OUTPUT-A": { "ttl": "1d", "window": 2, "start": "earliest" }, "T": {} }, "modules": { "a": { "topics": ["T"] } } }
            """);
        var output = pipeline.Topics["MODULE-OUTPUT-A"];
        (output.OutputOf, output.TtlMs, output.Window, output.Shape).ShouldBe(("a", 86_400_000, 2, ShapeKind.Flat));
        output.Envelope.Count.ShouldBe(3);
        output.StationPaths.ShouldBe(["station_id", "stationId"]);
        pipeline.Topics.Keys.ShouldBe(["MODULE-OUTPUT-A", "T"]);
    }

    [Theory]
    [InlineData("Z", 0)]
    [InlineData("+00:00", 0)]
    [InlineData("-03:30", -210)]
    [InlineData("+14:00", 840)]
    public void Time_zones_are_offsets(string text, int minutes) =>
        PipelineFiles.Valid($$"""{ "timeZone": "{{text}}", "topics": { "T": {} }, "modules": {} }""").TimeZone.ShouldBe(TimeSpan.FromMinutes(minutes));
}
