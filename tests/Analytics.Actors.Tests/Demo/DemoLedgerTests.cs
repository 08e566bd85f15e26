using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Tests.Demo;

public class DemoLedgerTests
{
    [Fact]
    public void A_flawless_run_passes()
    {
        var run = FlawlessRun.OfFleet();
        var report = run.Report();
        report.Checks.Where(check => !check.Passed).ShouldBeEmpty();
        report.Verdict.ShouldBe("passed");
        report.ExitCode.ShouldBe(0);
        report.RecordsIn.ShouldBe(run.Acknowledgements.Count);
        report.RecordsApplied.ShouldBe(run.Acknowledgements.Count(entry => !entry.Record.Expectation.IsRejectedWhole));
        (report.RecordsLost, report.RecordsDuplicated).ShouldBe((0, 0));
        report.Uploads.ShouldBe(run.Uploads.Count);
        report.DeadLetters.ShouldBe(run.DeadLetters.Count);
        report.DeadLetters.ShouldBeGreaterThan(15);
        report.Modules.Select(module => module.Module).ShouldBe(["load_prediction", "evaluation_model", "station_guidance"]);
        report.Modules.ShouldAllBe(module => module.ReadyStations > 30 && module.CalledShare >= 0.95);
        run.Ledger.Agrees(run.MarkList).ShouldBeTrue();
        report.PartsExpected.ShouldBe(run.Marks.Values.Sum(mark => mark.Count));
    }

    [Fact]
    public void Events_take_twenty_ms_and_orders_count_from_their_closing()
    {
        var report = FlawlessRun.OfFleet().Report();
        report.LatencyDetailsMs.Events.ShouldSatisfyAllConditions(events => events.Count.ShouldBeGreaterThan(100), events => events.P99.ShouldBe(20), events => events.Max.ShouldBe(20));
        report.LatencyDetailsMs.Orders.Count.ShouldBeGreaterThan(100);
        // The run uploads an order 1,020 ms after its acknowledgement; its second closed at the latest 1,000 ms after it.
        report.LatencyDetailsMs.Orders.Max.ShouldBeInRange(20, 1_020);
        report.LatencyMs.Max.ShouldBe(report.LatencyDetailsMs.Orders.Max);
    }

    [Fact]
    public void A_station_called_missing_at_once_is_not_a_deadline()
    {
        var run = FlawlessRun.OfFleet(stations: 20, seconds: 8);
        run.Alter(run.IndexOfUpload("load_prediction", 3), upload =>
        {
            var stations = upload["stations"]!.AsArray();
            upload["missing"]!.AsArray().Add((string)stations[0]!["station_id"]!);
            stations.RemoveAt(0);
            upload["station_count"] = stations.Count;
        });
        var report = run.Report();
        report.UploadFaults.Select(fault => fault.Fault).ShouldBeEmpty();
        report.LatencyDetailsMs.Deadline.Count.ShouldBe(0);
    }

    [Fact]
    public void A_lost_part_is_found_and_named()
    {
        var run = FlawlessRun.OfFleet();
        var (key, place) = SomePart(run);
        run.Marks[key] = run.Marks[key].Without(place);
        var report = run.Report();
        (report.RecordsLost, report.RecordsDuplicated).ShouldBe((1, 0));
        report.RecordsApplied.ShouldBe(report.RecordsIn - report.RecordsRejected - 1);
        report.ExitCode.ShouldBe(1);
        report.Differences.ShouldHaveSingleItem().Explanation.ShouldBe($"missing: {key.Topic}:{key.Partition}:{place.Offset}, item {place.Index}");
        report.Canary.ShouldBe("passed");
        run.Ledger.Agrees(run.MarkList).ShouldBeFalse();
    }

    [Fact]
    public void A_duplicated_part_is_found_and_named()
    {
        var run = FlawlessRun.OfFleet();
        var (key, place) = SomePart(run);
        run.Marks[key] = run.Marks[key].With(place);
        var report = run.Report();
        (report.RecordsLost, report.RecordsDuplicated).ShouldBe((0, 1));
        report.ExitCode.ShouldBe(1);
        report.Differences.ShouldHaveSingleItem().Explanation.ShouldStartWith("repeated: ");
        report.Canary.ShouldBe("passed");
    }

    [Fact]
    public void A_lost_and_a_duplicated_part_of_one_shard_and_partition_do_not_cancel_out()
    {
        var run = FlawlessRun.OfFleet();
        var (key, place) = SomePart(run);
        run.Marks[key] = run.Marks[key].Without(place).With(place with { Offset = place.Offset + 3 });
        var report = run.Report();
        (report.RecordsLost, report.RecordsDuplicated).ShouldBe((1, 1));
        report.ExitCode.ShouldBe(1);
    }

    [Fact]
    public void Two_lost_and_one_duplicated_are_told_from_one_lost()
    {
        var run = FlawlessRun.OfFleet();
        var (key, place) = SomePart(run);
        run.Marks[key] = run.Marks[key].Without(place).Without(place with { Offset = 123_456 }).With(place with { Offset = 234_567 });
        var report = run.Report();
        (report.RecordsLost, report.RecordsDuplicated).ShouldBe((2, 1));
    }

    [Fact]
    public void A_shard_that_missed_a_global_record_is_found()
    {
        var run = FlawlessRun.OfFleet();
        run.Marks.Remove(run.Marks.Keys.First(key => key.Topic == ScheduleTopics.Calendar)).ShouldBeTrue();
        run.Report().RecordsLost.ShouldBe(1);
    }

    [Fact]
    public void Parts_applied_of_records_that_nobody_sent_count_as_duplicates()
    {
        var run = FlawlessRun.OfFleet();
        run.Marks[new WitnessKey(0, ScheduleTopics.Meter, 77)] = default(Witness).With(new Place(5, 0, 0));
        run.Report().RecordsDuplicated.ShouldBe(1);
    }

    [Fact]
    public void Marks_of_outputs_are_not_the_producers_business()
    {
        var run = FlawlessRun.OfFleet();
        run.Marks[new WitnessKey(0, DemoPipeline.LoadOutput, 0)] = new Witness(3, 99);
        run.Report().ExitCode.ShouldBe(0);
    }

    [Fact]
    public void Marks_of_several_incarnations_are_summed()
    {
        var run = FlawlessRun.OfFleet();
        var (key, place) = SomePart(run);
        run.Feed();
        run.Marks[key] = run.Marks[key].Without(place);
        var marks = run.MarkList;
        marks.Add(new AppliedMark(key.Shard, key.Topic, key.Partition, 1, place.Hash()));
        run.Ledger.Verdict(marks).RecordsLost.ShouldBe(0);
    }

    [Fact]
    public void A_missing_dead_letter_is_found()
    {
        var run = FlawlessRun.OfFleet();
        var gone = run.DeadLetters[3];
        run.DeadLetters.RemoveAt(3);
        var report = run.Report();
        report.DeadLetterDifferences.ShouldSatisfyAllConditions(letters => letters.Missing.ShouldBe(1), letters => letters.Unexpected.ShouldBe(0), letters => letters.Repeated.ShouldBe(0));
        report.DeadLetterDifferences.Examples.ShouldBe([$"missing: {gone}"]);
        report.ExitCode.ShouldBe(1);
        report.Canary.ShouldBe("passed");
        run.Ledger.Agrees(run.MarkList).ShouldBeFalse();
    }

    [Theory]
    [InlineData(0, 0, 0, "")]
    [InlineData(1, 0, 0, "")]
    [InlineData(0, 1, 0, "")]
    [InlineData(0, 0, 1, "")]
    [InlineData(0, 0, 0, "wrong-type-of-code")]
    public void A_dead_letter_of_another_place_or_reason_is_unexpected(int partition, int offset, int index, string code)
    {
        var run = FlawlessRun.OfFleet();
        var letter = run.DeadLetters[3];
        var other = new DeadLetterKey(letter.Topic, letter.Partition + partition * 7, letter.Offset + offset * 10_000, letter.Index + index * 5, code.Length > 0 ? code : letter.Code);
        run.DeadLetters.Add(other);
        var differences = run.Report().DeadLetterDifferences;
        if (other == letter) (differences.Unexpected, differences.Repeated).ShouldBe((0, 1));
        else (differences.Unexpected, differences.Repeated).ShouldBe((1, 0));
        differences.Missing.ShouldBe(0);
    }

    [Fact]
    public void A_late_result_is_counted_apart_from_the_letters_of_bad_records()
    {
        var ledger = new DemoLedger(DemoPipeline.Create(), 4);
        ledger.DeadLetterRead(new DeadLetterKey(ScheduleTopics.CarPrice, 2, 1, 0, "late-answer"), "5eedfeed0001.0.0.5", "g.dead-letters");
        ledger.LateAnswers.ShouldBe(1);
        ledger.Verdict([]).DeadLetters.ShouldBe(0);
        ledger.Verdict([]).DeadLetterDifferences.Total.ShouldBe(0);
    }

    [Fact]
    public void A_dead_letter_sent_again_with_its_origin_is_a_repeat_and_no_fault()
    {
        var run = FlawlessRun.OfFleet();
        run.Feed();
        var letter = new DeadLetterKey(ScheduleTopics.Meter, 9, 1, 0, "not-json");
        run.Ledger.DeadLetterRead(letter, "5eedfeed0001.0.0.5", "g.dead-letters");
        run.Ledger.DeadLetterRead(letter, "5eedfeed0001.0.0.5", "g.dead-letters");
        run.Ledger.Verdict(run.MarkList).DeadLetterDifferences.ShouldSatisfyAllConditions(letters => letters.Unexpected.Count.ShouldBe(1), letters => letters.Repeated.ShouldBeEmpty());
    }

    [Theory]
    [InlineData("""{"topic":"T","partition":3,"incarnation":1,"offset":77,"index":2,"reason":"no-id","detail":"","length":5,"bytes":"AA=="}""", true)]
    [InlineData("""{"topic":"T","partition":3,"offset":77,"index":2}""", false)]
    [InlineData("""{"topic":null,"partition":3,"offset":77,"index":2,"reason":"no-id"}""", false)]
    [InlineData("""{"topic":"T","partition":3.5,"offset":77,"index":2,"reason":"no-id"}""", false)]
    [InlineData("""{"topic":"T","partition":"3","offset":77,"index":2,"reason":"no-id"}""", false)]
    [InlineData("[1]", false)]
    [InlineData("{", false)]
    [InlineData("", false)]
    public void A_dead_letter_is_read_from_its_record(string record, bool isOne)
    {
        DeadLetterKey.TryRead(System.Text.Encoding.UTF8.GetBytes(record), out var key).ShouldBe(isOne);
        if (isOne) key.ShouldBe(new DeadLetterKey("T", 3, 77, 2, "no-id"));
    }

    public static TheoryData<string, string> WrongUploads => new()
    {
        { "stranger", "a station is not of the batch" },
        { "twice", "a station is in an upload twice" },
        { "miscounted", "station_count is not the number of stations" },
        { "expects more", "expected_count is not the number of the record's stations" },
        { "no station_id", "an upload has a result without station_id" },
        { "other module", "an upload names another module than its topic's" },
        { "no timestamp", "an upload has no timestamp" },
        { "no failed", "an upload lacks failed or missing" },
        { "later revision", "a revision came before the first one" },
        { "other record", "an upload names a record that was never acknowledged" },
        { "other topic", "a batch of a topic that does not trigger the module" },
        { "no batch", "a batch_id names neither a record nor an origin" },
        { "not JSON", "an upload is not JSON" },
        { "no origin", "an output has no aa-origin" },
        { "second one", "a second upload of one batch and revision" },
    };

    [Theory]
    [MemberData(nameof(WrongUploads))]
    public void A_wrong_upload_is_found(string wrong, string fault)
    {
        var run = FlawlessRun.OfFleet();
        var at = run.IndexOfUpload("load_prediction", 3);
        switch (wrong)
        {
            case "stranger":
                run.Alter(at, upload => upload["stations"]![0]!["station_id"] = "stranger");
                break;
            case "twice":
                run.Alter(at, upload => upload["stations"]![0]!["station_id"] = (string)upload["stations"]![1]!["station_id"]!);
                break;
            case "miscounted":
                run.Alter(at, upload => upload["station_count"] = 1);
                break;
            case "expects more":
                run.Alter(at, upload => upload["expected_count"] = 99);
                break;
            case "no station_id":
                run.Alter(at, upload => upload["stations"]![0]!.AsObject().Remove("station_id"));
                break;
            case "other module":
                run.Alter(at, upload => upload["module"] = "evaluation_model");
                break;
            case "no timestamp":
                run.Alter(at, upload => upload.Remove("timestamp"));
                break;
            case "no failed":
                run.Alter(at, upload => upload.Remove("failed"));
                break;
            case "later revision":
                run.Alter(at, upload => upload["revision"] = 2);
                break;
            case "other record":
                run.Alter(at, upload => upload["batch_id"] = $"{ScheduleTopics.RealtimeData}:0:9999");
                break;
            case "other topic":
                run.Alter(at, upload => upload["batch_id"] = $"{ScheduleTopics.Meter}:0:0");
                break;
            case "no batch":
                run.Alter(at, upload => upload["batch_id"] = $"{ScheduleTopics.RealtimeData}:x:y");
                break;
            case "not JSON":
                run.Uploads[at] = run.Uploads[at] with { Value = "{"u8.ToArray() };
                break;
            case "no origin":
                run.Uploads[at] = run.Uploads[at] with { Origin = null };
                break;
            case "second one":
                var last = run.Uploads.FindLast(upload => upload.Topic == DemoPipeline.LoadOutput && upload.Partition == run.Uploads[at].Partition)!;
                Origin.TryParse(last.Origin, out var origin).ShouldBeTrue();
                run.Uploads.Add(run.Uploads[at] with { Origin = (origin with { Sequence = origin.Sequence + 1 }).ToString() });
                break;
        }

        var report = run.Report();
        report.UploadFaults.Select(found => found.Fault).ShouldContain(fault);
        report.ExitCode.ShouldBe(1);
        report.Canary.ShouldBe("passed");
    }

    [Fact]
    public void An_upload_read_again_with_its_origin_is_a_repeat_and_no_fault()
    {
        var run = FlawlessRun.OfFleet();
        run.Uploads.Add(run.Uploads[5]);
        var report = run.Report();
        report.ExitCode.ShouldBe(0);
        report.UploadRepeats.ShouldBe(1);
        report.Uploads.ShouldBe(run.Uploads.Count - 1);
    }

    [Fact]
    public void An_upload_that_vanished_leaves_a_hole_in_the_sequence()
    {
        var run = FlawlessRun.OfFleet();
        run.Uploads.RemoveAt(run.Uploads.Count / 2);
        run.Report().UploadFaults.Select(fault => fault.Fault).ShouldContain("outputs are missing between two sequences");
    }

    [Fact]
    public void Late_stations_come_as_the_next_revision_and_only_once()
    {
        var run = FlawlessRun.OfFleet();
        var at = run.Uploads.FindLastIndex(upload => upload.Topic == DemoPipeline.GuidanceOutput);
        run.Uploads[at] = run.Uploads[at] with { ReadMs = run.Uploads[at].ReadMs + 5_000 };
        var late = "";
        run.Alter(at, upload =>
        {
            late = (string)upload["stations"]![0]!["station_id"]!;
            upload["stations"]!.AsArray().RemoveAt(0);
            upload["station_count"] = upload["stations"]!.AsArray().Count;
            upload["missing"]!.AsArray().Add(late);
        });
        Origin.TryParse(run.Uploads[at].Origin, out var origin).ShouldBeTrue();
        UploadRecord Revision(int revision, string station, long sequence)
        {
            var json = JsonNode.Parse(run.Uploads[at].Value.Span)!.AsObject();
            json["revision"] = revision;
            json["stations"] = new JsonArray(new JsonObject { ["station_id"] = station });
            json["station_count"] = 1;
            json["missing"] = new JsonArray();
            return run.Uploads[at] with
            {
                Value = System.Text.Encoding.UTF8.GetBytes(json.ToJsonString()), Origin = (origin with { Sequence = sequence }).ToString(), ReadMs = run.Uploads[at].ReadMs + 9_000,
            };
        }

        // Sequences of this shard go on after the last one that it used.
        var next = run.Uploads.Where(upload => upload.Topic == DemoPipeline.GuidanceOutput).Select(upload => Origin.TryParse(upload.Origin, out var other) && other.Shard == origin.Shard ? other.Sequence : 0).Max() + 1;
        run.Feed();
        run.Ledger.UploadRead(Revision(2, late, next));
        var verdict = run.Ledger.Verdict(run.MarkList);
        verdict.UploadFaults.ShouldBeEmpty();
        verdict.Latency.Deadline.Count.ShouldBe(2);
        run.Ledger.UploadRead(Revision(3, late, next + 1));
        run.Ledger.Verdict(run.MarkList).UploadFaults.ShouldHaveSingleItem().Fault.ShouldBe("a second upload of one batch and revision");
    }

    [Fact]
    public void An_upload_read_before_the_acknowledgement_waits_for_it()
    {
        var run = FlawlessRun.OfFleet();
        foreach (var upload in run.Uploads) run.Ledger.UploadRead(upload);
        run.Uploads.Clear();
        foreach (var (record, partition, offset, ackMs) in run.Acknowledgements) run.Ledger.Acknowledged(record, partition, offset, ackMs);
        run.Ledger.Verdict(run.MarkList).UploadFaults.ShouldBeEmpty();
    }

    [Fact]
    public void A_module_that_skips_stations_fails()
    {
        var run = FlawlessRun.OfFleet();
        var skipped = run.Acknowledgements.SelectMany(entry => entry.Record.Expectation.Parts).Select(part => part.Station).Distinct().Take(3).ToHashSet();
        for (var upload = 0; upload < run.Uploads.Count; upload++)
        {
            if (run.Uploads[upload].Topic != DemoPipeline.LoadOutput) continue;
            run.Alter(upload, json =>
            {
                var stations = json["stations"]!.AsArray();
                foreach (var station in stations.Where(station => skipped.Contains((string)station!["station_id"]!)).ToArray()) stations.Remove(station);
                json["station_count"] = stations.Count;
            });
        }

        var report = run.Report();
        report.Modules[0].CalledShare.ShouldBeLessThan(0.95);
        report.Checks.Single(check => check.Name.StartsWith("load_prediction", StringComparison.Ordinal)).Passed.ShouldBeFalse();
        report.ExitCode.ShouldBe(1);
    }

    [Fact]
    public void Legacy_uploads_and_single_results_are_read_too()
    {
        FlawlessRun.OfFleet(pipeline: DemoPipeline.Create(UploadFormat.Legacy)).Report().ExitCode.ShouldBe(0);

        var run = new FlawlessRun(DemoPipeline.Create(batch: BatchKind.None));
        run.Play(new DemoRecord(ScheduleTopics.Calendar, null, 1_000, [], Expectation.Global));
        run.Play(new DemoRecord(ScheduleTopics.StationParam, null, 1_000, [], Expectation.Of("S1")));
        run.Play(new DemoRecord(ScheduleTopics.RealtimeData, null, 1_000, [], Expectation.Of("S1")));
        run.Uploads.Clear();
        run.Feed();
        run.Ledger.UploadRead(new UploadRecord(DemoPipeline.LoadOutput, 0, 0, "5eedfeed0001.0.0.1", """{"station_id":"S1","module":"load_prediction","output":{"load":[1]},"timestamp":1.5}"""u8.ToArray(), 1_050));
        run.Ledger.UploadRead(new UploadRecord(DemoPipeline.LoadOutput, 0, 1, "5eedfeed0001.0.0.2", """{"module":"load_prediction","output":{"load":[1]},"timestamp":1.5}"""u8.ToArray(), 1_060));
        var verdict = run.Ledger.Verdict(run.MarkList);
        verdict.Modules[0].ShouldBe(new ModuleShare("load_prediction", 1, 1));
        verdict.UploadFaults.ShouldHaveSingleItem().Count.ShouldBe(1);
    }

    [Fact]
    public void A_failed_production_fails_the_demo()
    {
        var run = FlawlessRun.OfFleet();
        run.Ledger.ProduceFailed(run.Acknowledgements[0].Record, "broker is down");
        run.Report().ExitCode.ShouldBe(1);
    }

    [Fact]
    public void Old_records_are_forgotten_but_stay_in_the_books()
    {
        var ledger = new DemoLedger(DemoPipeline.Create(), 4) { KeepMs = 10_000 };
        var record = new DemoRecord(ScheduleTopics.HostDcdc, "S1", 0, [], Expectation.Of("S1"));
        for (var offset = 0L; offset < 200_000; offset++) ledger.Acknowledged(record, 0, offset, offset);
        var marks = ledger.ExpectedMarks();
        ledger.Verdict(marks).RecordsApplied.ShouldBe(200_000);
        UploadRecord Of(long offset, long sequence) => new(DemoPipeline.EvaluationOutput, 0, sequence, $"5eedfeed0001.0.0.{sequence}", System.Text.Encoding.UTF8.GetBytes(
            $$"""{"batch_id":"{{ScheduleTopics.HostDcdc}}:0:{{offset}}","module":"evaluation_model","timestamp":1,"stations":[{"station_id":"S1"}],"station_count":1,"expected_count":1,"failed":[],"missing":[],"revision":1}"""), 200_000);
        ledger.UploadRead(Of(5, 1));
        ledger.UploadRead(Of(199_999, 2));
        var verdict = ledger.Verdict(marks);
        verdict.UploadsUnchecked.ShouldBe(1);
        verdict.UploadFaults.ShouldBeEmpty();
    }

    [Fact]
    public void The_canary_notices_all_planted_faults_even_where_nothing_was_read()
    {
        var empty = new DemoLedger(DemoPipeline.Create(), 4).Canary([]);
        empty.Passed.ShouldBeTrue();
        empty.Planted.Count.ShouldBe(11);

        var run = FlawlessRun.OfFleet();
        run.Feed();
        var before = run.Ledger.Verdict(run.MarkList);
        var canary = run.Ledger.Canary(run.MarkList);
        canary.Passed.ShouldBeTrue();
        canary.Planted.Count.ShouldBe(3 + 3 + 5 * 3);
        run.Ledger.Canary([]).Passed.ShouldBeTrue();
        // On copies only.
        run.Ledger.Verdict(run.MarkList).ShouldSatisfyAllConditions(
            after => after.RecordsApplied.ShouldBe(before.RecordsApplied), after => after.DeadLetterDifferences.Total.ShouldBe(0), after => after.UploadFaults.ShouldBeEmpty());
    }

    [Fact]
    public void A_canary_that_a_comparison_cannot_hear_fails_the_report()
    {
        var witness = new Dictionary<WitnessKey, Witness> { [new WitnessKey(0, ScheduleTopics.Meter, 0)] = default(Witness).With(new Place(1, 0, 0)) };
        // The places on offer are not those of the books, as if the ledger hashed wrongly.
        var canary = LedgerCanary.Run(witness, witness, _ => ([new Place(9, 0, 0), new Place(9, 0, 0)], true), new HashSet<DeadLetterKey>(), new Dictionary<DeadLetterKey, int>(),
            [new UploadSample("m", false, ["A"], """{"batch_id":"T:0:7","module":"other","timestamp":1.0,"stations":[],"station_count":0,"expected_count":1,"failed":[],"missing":[],"revision":1}"""u8.ToArray())]);
        canary.Passed.ShouldBeFalse();
        var run = FlawlessRun.OfFleet(stations: 10, seconds: 8);
        run.Feed();
        var report = DemoReport.Of(run.Ledger.Verdict(run.MarkList), canary, new NodeCounters(0, 0, 0, 0), 8);
        (report.Canary, report.ExitCode).ShouldBe(("failed", 1));
    }

    private static (WitnessKey Key, Place Place) SomePart(FlawlessRun run)
    {
        var (record, partition, offset, _) = run.Acknowledgements.First(entry => entry.Record.Expectation.Parts.Count > 3 && entry.Record.Topic == ScheduleTopics.CarOrder);
        var part = record.Expectation.Parts[2];
        return (new WitnessKey(Core.Records.Murmur2.Partition(part.Station, FlawlessRun.Shards), record.Topic, partition), new Place(offset, part.Index, 0));
    }
}
