using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Kafka;
using Analytics.Actors.Tests.Pipeline;
using Microsoft.Extensions.Logging.Abstractions;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Tests.Hosting;

/// <summary>Where a shard begins with its partition of a source keyed by station, on a real broker.</summary>
public sealed class ShardPositionerTests : IDisposable
{
    private const int Shards = 2;
    private static readonly TopicPartition Meters = new("METERS", 1);

    private readonly EmbeddedBroker broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["core.station-events"] = Shards, ["core.batch-results"] = Shards, ["METERS"] = Shards });
    private readonly MemoryCheckpointStore store = new("c0decafe0123");
    private readonly PartitionProducer producer;
    private readonly PositionLookup lookup;

    public ShardPositionerTests()
    {
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        producer = new PartitionProducer(options);
        lookup = new PositionLookup(options, "core.router");
    }

    public void Dispose()
    {
        producer.Dispose();
        lookup.Dispose();
        broker.Dispose();
    }

    [Fact]
    public async Task The_beginning_is_written_down_before_anything_is_read_so_that_a_crash_before_the_first_checkpoint_does_not_move_it()
    {
        await store.OpenAsync(CoreNode.Group, Shards, default);
        using var observer = NewObserver(out var positioner, "latest");
        await SendAsync(3);
        var (first, refusal, _) = await positioner.CheckAsync(await TakeOverAsync());
        refusal.ShouldBeNull();
        first.Moved.ShouldBe([new PartitionPosition(Meters, 3, -1, 0)]);

        // No checkpoint was taken, and more has come meanwhile: the next owner reads it.
        await SendAsync(4);
        var (second, _, _) = await positioner.CheckAsync(await TakeOverAsync());
        second.Moved.ShouldBe([new PartitionPosition(Meters, 3, -1, 0)]);
        second.NotRead.ShouldBeEmpty();
        observer.Problems.Take(10).Newest.ShouldBeEmpty("it is no gap");
    }

    [Fact]
    public async Task Another_number_of_partitions_than_was_checked_has_the_shard_check_again()
    {
        await store.OpenAsync(CoreNode.Group, Shards, default);
        using var observer = NewObserver(out var positioner, "earliest");
        positioner.IsToBeChecked(Meters, new Dictionary<string, int> { ["METERS"] = 5 }).ShouldBeFalse("nobody has looked at it yet");
        await positioner.CheckAsync(await TakeOverAsync());
        positioner.IsToBeChecked(Meters, new Dictionary<string, int> { ["METERS"] = Shards }).ShouldBeFalse();
        positioner.IsToBeChecked(Meters, new Dictionary<string, int> { ["METERS"] = Shards + 1 }).ShouldBeTrue("it has grown");
        positioner.IsToBeChecked(Meters, new Dictionary<string, int>()).ShouldBeTrue("it was deleted");
        positioner.IsToBeChecked(new TopicPartition("core.station-events", 1), new Dictionary<string, int>()).ShouldBeFalse("an internal topic has a check of its own");
    }

    [Fact]
    public async Task A_position_outside_its_log_stops_the_topic_and_not_the_shard()
    {
        await store.OpenAsync(CoreNode.Group, Shards, default);
        using var observer = NewObserver(out var positioner, "earliest");
        var recovered = await TakeOverAsync();
        await SendAsync(2);
        var (shard, refusal, _) = await positioner.CheckAsync(recovered with { Positions = [new PartitionPosition(Meters, 90, -1, 0)] });
        refusal.ShouldBeNull();
        shard.NotRead.ShouldBe([Meters]);
        observer.StoppedPartitions.ShouldHaveSingleItem().Value.ShouldContain("it stands at 90 and its outOfRange says stop");
        (await store.UpdateSourcesAsync([], default)).ShouldHaveSingleItem().IsStopped.ShouldBeTrue();
    }

    private NodeObserver NewObserver(out ShardPositioner positioner, string start)
    {
        var pipeline = PipelineFiles.Valid(SmallPipelines.OneModule(topicOptions: $"\"keyed\": true, \"start\": \"{start}\""));
        var settings = new ShardSettings { Pipeline = pipeline, Group = CoreNode.Group, ShardCount = Shards, StoreId = "c0decafe0123" };
        var observer = new NodeObserver(NullLogger.Instance, pipeline, TimeProvider.System);
        positioner = new ShardPositioner(() => settings, new OutOfRangePolicy(OutOfRangeKind.Stop), store, lookup, observer, TimeProvider.System);
        return observer;
    }

    private async Task<RecoveredShard> TakeOverAsync() => await store.TakeOverAsync(new ShardId(1), "node", default);

    private async Task SendAsync(int records)
    {
        for (var number = 0; number < records; number++) (await producer.SendAsync(Meters, Encoding.UTF8.GetBytes("[]"))).Result.ShouldBe(SendResult.Sent);
    }
}
