using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;
using Shouldly;
using Xunit;

namespace Analytics.Actors.Tests.Bench;

/// <summary>The workloads of the benchmarks are what tests/Analytics.Actors.Benchmarks/README.md says of them.</summary>
public sealed class WorkloadTests
{
    public static TheoryData<string> Names => ["mix", "grid", "uc2", "shuffle", "scale"];

    private static Workload Of(string name, int seed = 1)
    {
        var options = new WorkloadOptions { Seed = seed };
        return name switch
        {
            "mix" => new MixWorkload(50, options),
            "grid" => new GridWorkload(3, options),
            "uc2" => new Uc2Workload(50, options),
            "shuffle" => new ShuffleWorkload(1_000, options),
            _ => new ScaleWorkload(500, options),
        };
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_record_is_a_function_of_seed_and_number(string name)
    {
        var (forwards, backwards, other) = (Of(name), Of(name), Of(name, seed: 2));
        var records = Enumerable.Range(0, 200).Select(number => forwards.At(number)).ToList();
        for (var number = 199; number >= 0; number--)
        {
            var again = backwards.At(number);
            (again.Topic, again.TimestampMs).ShouldBe((records[number].Topic, records[number].TimestampMs));
            again.Value.ShouldBe(records[number].Value);
            again.Key.ShouldBe(records[number].Key);
        }

        Enumerable.Range(0, 200).Any(number => !other.At(number).Value.AsSpan().SequenceEqual(records[number].Value)).ShouldBeTrue();
        records.Zip(records.Skip(1)).ShouldAllBe(pair => pair.First.TimestampMs <= pair.Second.TimestampMs);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Its_pipeline_declares_its_topics(string name)
    {
        var workload = Of(name);
        foreach (var isKeyed in (bool[])[false, true])
        {
            var pipeline = workload.Configuration(isKeyed);
            workload.Topics.ShouldBeSubsetOf(pipeline.Topics.Keys);
            workload.Topics.ShouldAllBe(topic => pipeline.Topics[topic].Keyed == (isKeyed && pipeline.Topics[topic].Scope == TopicScope.Station));
            pipeline.Topics.Values.Where(topic => topic.OutputOf is null).ShouldAllBe(topic => topic.Start.Kind == StartKind.Earliest);
        }
    }

    [Fact]
    public void The_mix_has_the_shares_and_sizes_of_its_definition()
    {
        var workload = new MixWorkload();
        var records = Enumerable.Range(0, 40_000).Select(number => workload.At(number)).ToList();
        Share(ScheduleTopics.CarOrder).ShouldBe((0.6, 437, 437));
        Share(ScheduleTopics.HostDcdc).ShouldBe((0.3, 373, 373));
        Share(ScheduleTopics.Storage).ShouldBe((0.075, 231, 231));
        Share(ScheduleTopics.Meter).ShouldBe((0.025, 99, 99));
        records.Select(record => Encoding.ASCII.GetString(record.Key)).Distinct().Count().ShouldBe(1_000);
        foreach (var record in records.Take(4_000))
        {
            using var json = JsonDocument.Parse(record.Value);
            json.RootElement.GetProperty("stationId").GetString().ShouldBe(Encoding.ASCII.GetString(record.Key));
            if (record.Topic == ScheduleTopics.CarOrder) json.RootElement.EnumerateObject().Count().ShouldBe(14);
            if (record.Topic != ScheduleTopics.HostDcdc) continue;
            json.RootElement.GetProperty("dcWorkStatus").GetArrayLength().ShouldBe(20);
            json.RootElement.GetProperty("dcdcPower").GetArrayLength().ShouldBe(20);
        }

        (double, int, int) Share(string topic)
        {
            var sizes = records.Where(record => record.Topic == topic).Select(record => record.Value.Length).ToList();
            return (sizes.Count / (double)records.Count, sizes.Min(), sizes.Max());
        }
    }

    [Fact]
    public void A_push_holds_168_hours_of_8_guns_and_a_day_all_that_load_prediction_reads()
    {
        var workload = new GridWorkload(3);
        var day = Enumerable.Range(0, (int)workload.Day).Select(number => workload.At(number)).ToList();
        day.CountBy(record => record.Topic).ShouldBe(
            [new(ScheduleTopics.Calendar, 1), new(ScheduleTopics.StationParam, 3), new(ScheduleTopics.RealtimeData, 72)], ignoreOrder: true);
        var push = day.Last();
        push.Value.Length.ShouldBe(GridWorkload.PushBytes);
        using var json = JsonDocument.Parse(push.Value);
        var rows = json.RootElement.GetProperty("realTimeData");
        rows.GetArrayLength().ShouldBe(168);
        rows.EnumerateArray().ShouldAllBe(row => row.GetProperty("gunPower").GetProperty("outputPowerPerGunAvg").GetArrayLength() == 8);
        // The same hour says the same in the next push.
        using var before = JsonDocument.Parse(day[^4].Value);
        rows[166].GetRawText().ShouldBe(before.RootElement.GetProperty("realTimeData")[167].GetRawText());
    }

    [Fact]
    public void A_fifth_of_the_shuffled_records_match_and_a_tenth_of_those_ask_for_an_output()
    {
        var workload = new ShuffleWorkload();
        var (matches, outputs) = (0, 0);
        for (var number = 0; number < 1_000; number++)
        {
            var record = workload.At(number);
            record.Value.Length.ShouldBe(1_024);
            using var json = JsonDocument.Parse(record.Value);
            foreach (var match in json.RootElement.GetProperty("matches").EnumerateArray())
            {
                matches++;
                if (match.GetProperty("output").GetBoolean()) outputs++;
            }
        }

        (matches, outputs).ShouldBe((200, 20));
    }

    [Fact]
    public void A_small_record_is_of_another_station_than_those_before_it()
    {
        var workload = new ScaleWorkload(1_000);
        Enumerable.Range(0, 1_000).Select(number => Encoding.ASCII.GetString(workload.At(number).Key)).Distinct().Count().ShouldBe(1_000);
        workload.At(7).Value.Length.ShouldBe(99);
    }
}
