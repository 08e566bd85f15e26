using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Pipeline;
using Analytics.Actors.Tests.Storage;
using static Analytics.Actors.Tests.CoreRules.BatchTests;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.Defects;

/// <summary>
/// Defects of the library that this system replaces (SPEC.md, section 8): what was lost, doubled or answered wrongly on the
/// way from a record to its upload. Defects 15, 16 and 21 are about windows and stand beside them.
/// </summary>
public class DeliveryDefects
{
    private const string Param = "SCHEDULE-STATION-PARAM", Realtime = "SCHEDULE-STATION-REALTIME-DATA", Year = "SCHEDULE-ENVIRONMENT-CALENDAR";

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Defect01_global_data_reaches_stations_that_came_before_and_after_it_and_after_a_restart(int shards)
    {
        var node = new CoreNode(PipelineFiles.DefaultConfiguration(), new CoreNodeOptions { Shards = shards });
        string[] early = ["1001", "1002", "1003", "1004", "1005"], late = ["2001", "2002", "2003", "2004", "2005"];
        node.Produce(Param, ParamsOf(early));
        node.Produce(Year, """{"calendar":[{"date":"2025-11-13","isHoliday":0,"isWeekend":1}]}""");
        node.Produce(Realtime, RealtimeOf(early));
        LastCalls(node, early).ShouldAllBe(input => input["date"]!.ToJsonString() == "[\"2025-11-13\"]");

        node.Restart();
        node.Produce(Param, ParamsOf(late));
        node.Produce(Realtime, RealtimeOf([.. early, .. late]));
        LastCalls(node, [.. early, .. late]).ShouldAllBe(input => input["isWeekend"]!.ToJsonString() == "[1]");
    }

    [Fact]
    public void Defect02_a_crash_at_any_moment_loses_no_result_and_no_position_runs_ahead_of_the_work()
    {
        using var file = new DatabaseFile();
        var steps = CountSteps();
        for (var crash = 1; crash <= steps; crash++)
        {
            var path = Path.Combine(Path.GetDirectoryName(file.Path)!, $"{crash}.db");
            var node = new CoreNode(OneModule("\"retries\": 5"), new CoreNodeOptions
            {
                // The database for some moments, for it takes its time; memory for all others.
                OpenStore = crash % 8 == 0 ? () => new SqliteCheckpointStore(path) : null,
                // Commits, calls and messages overtake each other in ever new ways.
                Seed = crash, CrashAtSteps = new HashSet<int> { crash, crash + 4 },
            });
            node.Write(Meters, Values(1, "S1", "S2"));
            node.Write(Meters, Values(2, "S1"));
            node.Advance(20_000);
            node.Uploads("m").Select(upload => $"{upload["batch_id"]} {upload["station_count"]}").Order(StringComparer.Ordinal).AsEnumerable().ShouldBe(["METERS:0:0 2", "METERS:0:1 1"], $"crash after step {crash}");
            node.Close();
        }

        static int CountSteps()
        {
            var node = new CoreNode(OneModule());
            node.Write(Meters, Values(1, "S1", "S2"));
            node.Write(Meters, Values(2, "S1"));
            node.Advance(20_000);
            return node.Steps;
        }
    }

    [Fact]
    public void Defect02_a_crash_long_after_the_commit_of_a_position_still_makes_the_call()
    {
        using var file = new DatabaseFile();
        var node = new CoreNode(OneModule("\"batch\": { \"kind\": \"record\", \"deadline\": \"1h\" }"), new CoreNodeOptions { OpenStore = () => new SqliteCheckpointStore(file.Path), CheckpointIntervalMs = 1_000 }).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Answer("m", "S2", Result("{}"));
        node.Advance(60_000);
        node.Shard.IsDirty.ShouldBeFalse("positions are stored, and the router has committed its own");
        node.Restart();
        node.Advance(1_000);
        node.Answer("m", "S1", Result("{}"));
        node.Advance(1_000);
        Stations(node.Upload("m")).ShouldBe(["S1", "S2"]);
        node.Calls.Count(call => call.Station == "S2").ShouldBe(1);
        node.Close();
    }

    [Fact]
    public void Defect02_a_record_is_committed_only_when_its_parts_are_in_the_log()
    {
        var node = new CoreNode(OneModule());
        node.Write(Meters, Values(1, "S1"));
        while (node.Log(Group + ".station-events").Count == 0 || node.Log(Group + ".batch-results").Count == 0)
        {
            node.Router.Committable.ShouldAllBe(position => position.Next == 0);
            node.Router.NextDueMs.ShouldBeNull();
            node.Step().ShouldBeTrue();
        }

        node.Run();
        node.Router.Committable.ShouldContain((new TopicPartition(Meters, 0), 1));
    }

    [Fact]
    public void Defect03_what_comes_once_a_month_is_still_there_after_a_restart()
    {
        using var file = new DatabaseFile();
        var node = new CoreNode(PipelineFiles.DefaultConfiguration(), new CoreNodeOptions { OpenStore = () => new SqliteCheckpointStore(file.Path), CheckpointIntervalMs = 1_000 });
        node.Produce(Param, ParamsOf("1001"));
        node.Produce(Year, """{"calendar":[{"date":"2025-11-13","isHoliday":0,"isWeekend":1}]}""");
        node.Advance(20L * 24 * 3_600_000);
        node.Restart();
        node.Produce(Realtime, RealtimeOf("1001"));
        node.Advance(3_000);
        var input = LastCalls(node, ["1001"]).Single();
        ((double)input["gridCapacity"]!).ShouldBe(630);
        input["date"]!.ToJsonString().ShouldBe("[\"2025-11-13\"]");
        input["_data_quality"]!["missing_topics"]!.AsArray().ShouldBeEmpty();
        node.Close();
    }

    [Fact]
    public void Defect04_a_station_answers_each_batch_with_what_that_batch_asked_for()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Answer("m", "S2", Result("""{"saw":1}"""));
        // The slow station is still at work on the first batch when two more come.
        node.Produce(Meters, Values(2, "S1"));
        node.Produce(Meters, Values(3, "S1"));
        for (var saw = 1; saw <= 3; saw++) node.Answer("m", "S1", Result($$"""{"saw":{{node.Calls[^1].Input["value"]}}}"""));
        node.Uploads("m").Select(upload => $"{upload["batch_id"]} {string.Join(' ', upload["stations"]!.AsArray().Select(item => $"{item!["station_id"]}={item["saw"]}"))}")
            .ShouldBe(["METERS:0:0 S1=1 S2=1", "METERS:0:1 S1=2", "METERS:0:2 S1=3"]);
    }

    [Fact]
    public void Defect05_members_count_and_not_entries()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, """[{"stationId":"S1","value":1},{"stationId":"S1","value":2},{"stationId":"S2","value":3}]""");
        node.Events.OfType<BatchOpened>().Single().Expected.ShouldBe(2);
        node.Answer("m", "S1", Result("{}"));
        node.Uploads("m").ShouldBeEmpty("one member of two has answered");
        node.Answer("m", "S2", Result("{}"));
        Stations(node.Upload("m")).ShouldBe(["S1", "S2"]);
    }

    [Fact]
    public void Defect05_late_answers_and_failed_uploads_do_not_vanish()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2"));
        node.Answer("m", "S1", Result("{}"));
        node.SendFailures = 5;
        node.Advance(5_000);
        node.Uploads("m").Count.ShouldBe(1, "sent again until it is there");
        node.Answer("m", "S2", Result("""{"late":true}"""));
        node.Uploads("m").Select(upload => $"{upload["revision"]} {string.Join(' ', Stations(upload))}").ShouldBe(["1 S1", "2 S2"]);
        node.DeadLetters.ShouldBeEmpty();
    }

    [Fact]
    public void Defect06_batch_ids_follow_from_the_records_alone()
    {
        const string modules = """ "first": { "topics": ["METERS"] }, "second": { "topics": [], "dependsOn": ["first"] } """;
        string Ids(int shards, long waitMs)
        {
            var node = new CoreNode(With(modules), new CoreNodeOptions { Shards = shards });
            node.Advance(waitMs);
            node.Write(Meters, Values(1, "S1", "S2"), partition: 3);
            node.Write(Meters, Values(2, "S1"), partition: 0);
            while (node.Calls.Count == 0) node.Step();
            // Routed, and then again by the next process.
            node.Restart();
            return string.Join(' ', node.Uploads("first").Select(upload => (string)upload["batch_id"]!).Order(StringComparer.Ordinal))
                + " | " + node.Uploads("second").All(upload => ((string)upload["batch_id"]!).StartsWith("MODULE-OUTPUT-FIRST:c0decafe0123.", StringComparison.Ordinal));
        }

        Ids(1, 0).ShouldBe("METERS:0:0 METERS:3:0 | True");
        Ids(4, 77_777).ShouldBe(Ids(1, 0));
    }

    [Fact]
    public void Defect20_all_topics_of_a_station_come_to_one_place()
    {
        var node = new CoreNode(With(""" "m": { "topics": ["METERS", "PARAMS", "ORDERS"], "onIncomplete": "wait" } """), new CoreNodeOptions { Shards = 16 });
        var stations = Enumerable.Range(1, 30).Select(number => $"S{number}").ToArray();
        // The same station stands in another partition of each topic.
        for (var number = 0; number < stations.Length; number++)
        {
            node.Produce(Meters, Values(number, stations[number]), partition: number % 5);
            node.Produce(Params, $$"""[{"stationId":"{{stations[number]}}","capacity":{{number}}}]""", partition: (number + 1) % 7);
            node.Produce(Orders, Order(stations[number], number), partition: (number + 2) % 3);
        }

        node.Advance(1_000);
        node.Calls.Count.ShouldBe(30);
        node.Calls.ShouldAllBe(call => (int)call.Input["value"]! == (int)call.Input["capacity"]! && (int)call.Input["value"]! == (int)call.Input["car_order"]![0]!["no"]!);
        node.Core.Running.Sum(shard => shard.Stations.Count).ShouldBe(30);
    }

    private static string ParamsOf(params string[] stations) =>
        "[" + string.Join(',', stations.Select(station => $$"""{"stationId":"{{station}}","gunNum":2,"gridCapacity":630}""")) + "]";

    private static string RealtimeOf(params string[] stations) => """{"realTimeData":[""" + string.Join(',', stations.Select(station =>
        $$$"""{"stationId":"{{{station}}}","sendTime":"2025-11-13 01:00:00","gunPower":{"gunNo":["01"],"outputPowerPerGunAvg":[5],"outputPowerPerGunMax":[6]}}""")) + "]}";

    private static IEnumerable<JsonObject> LastCalls(CoreNode node, string[] stations) =>
        stations.Select(station => node.Calls.Last(call => call.Module == "load_prediction" && call.Station == station).Input);
}
