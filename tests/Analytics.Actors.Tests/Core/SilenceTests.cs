using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Tests.Pipeline;
using Analytics.Actors.Tests.Windows;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>When a station wants to hear of time because seconds of orders are open.</summary>
public class SilenceTests
{
    private const long NowMs = 1_763_000_000_000;

    [Fact]
    public void The_first_of_several_open_seconds_wakes_the_station()
    {
        var pipeline = PipelineFiles.DefaultConfiguration();
        var first = pipeline.Topics[DefaultTopics.Order];
        var second = first with { Name = "OTHER-ORDERS" };
        pipeline = pipeline with { Topics = pipeline.Topics.Append(KeyValuePair.Create(second.Name, second)).ToDictionary(), Modules = pipeline.Modules.Take(0).ToDictionary() };
        var settings = new ShardSettings { Pipeline = pipeline, Group = "g", ShardCount = 1, StoreId = "be4c4be4c4be" };
        var station = new Station("S1", new StationSurroundings(pipeline, new ShardOutputs(new ShardId(0), new Epoch(1), settings), (_, _, _) => { }));
        station.NextDueMs.ShouldBeNull();

        Apply(first, 0);
        station.NextDueMs.ShouldBe(NowMs + 1_000);
        Apply(second, 300);
        station.NextDueMs.ShouldBe(NowMs + 1_000, "the other one's order changes nothing about the first");
        Apply(first, 500);
        station.NextDueMs.ShouldBe(NowMs + 1_300);
        station.TimePassed(NowMs + 1_300);
        station.NextDueMs.ShouldBe(NowMs + 1_500);
        station.TimePassed(NowMs + 1_500);
        station.NextDueMs.ShouldBeNull();

        void Apply(Analytics.Actors.Core.Pipeline.TopicConfiguration topic, long atMs) =>
            station.Apply(
                topic,
                new PartArrival(new SourcePartition(topic.Name, 0, 0), new Place(atMs, 0, 0), NowMs + atMs, DefaultTopics.Items("""{"stationId":"S1"}"""), default, default, null),
                NowMs + atMs);
    }
}
