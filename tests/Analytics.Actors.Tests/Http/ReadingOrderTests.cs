using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.Kafka;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Http;

/// <summary>
/// Orders overtake records in a loop's mailbox. What was read before a shard or a source partition began anew must not be taken
/// for what is read after it, nor be lost by it. Each test has a node of its own, whose loop it holds up.
/// </summary>
public sealed class ReadingOrderTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("reading-order-");

    private readonly PipelineConfiguration pipeline = PipelineFiles.Valid(
        """{ "topics": { "A": { "start": "earliest", "envelope": "object", "mode": "append", "window": 2, "shape": "fields", "fields": ["n"], "triggers": false } }, "modules": {} }""");
    private readonly EmbeddedBroker broker;

    public ReadingOrderTests() => broker = LiveNode.StartBroker(pipeline);

    public void Dispose()
    {
        broker.Dispose();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Records_of_an_earlier_reading_are_not_taken_by_a_shard_that_began_anew()
    {
        await using var node = await StartedAsync();
        var loop = node.Host.Shards!;
        var shard = new ShardId(0);
        await using var store = new SqliteCheckpointStore(node.Host.Options.Store.Path!);
        await store.OpenAsync(LiveNode.Group, LiveNode.Shards, default);
        var recovered = await store.TakeOverAsync(shard, "node-1", default);

        await HoldingAsync<NodeCore>(() => loop.Ask, () =>
        {
            ((IRecordSink)loop).OnRecords(ReadRecord.Run(new TopicPartition($"{LiveNode.Group}.station-events", 0), (1_000, [255, 255])));
            loop.Post(new ShardsLost([shard]));
            loop.Post(new ShardsAssigned([shard]));
            loop.Post(new ShardTakenOver(recovered));
        });
        // The second one is taken after all that was there at the first.
        await loop.Ask(core => core.Find(shard));
        await loop.Ask(core => core.Find(shard));
        node.Host.Observer.Counters.DeadLettersByReason.ShouldBeEmpty();
        await node.WaitReadyAsync();
    }

    [Fact]
    public async Task Records_that_were_read_before_a_gap_are_routed_before_it()
    {
        await using var node = await StartedAsync();
        var router = node.Host.Router!;
        var source = new TopicPartition("A", 0);

        await HoldingAsync<Core.Routing.Router>(() => router.Ask, () =>
        {
            IRouterListener listener = router;
            listener.OnRecords(ReadRecord.Run(source, (0, """{"stationId": "S1", "n": 1}"""u8.ToArray()), (1, """{"stationId": "S2", "n": 2}"""u8.ToArray())));
            listener.OnPositioned([new SourcePlace(new SourceState(source, LiveNode.Partitions, 0) { Next = 5 }, 5)]);
        });
        await node.WaitAppliedAsync("A", 2);
    }

    [Fact]
    public async Task What_a_router_hears_of_a_partition_late_does_not_undo_what_came_after_it()
    {
        await using var node = await StartedAsync();
        var router = node.Host.Router!;
        IRouterListener listener = router;
        var (gone, back) = (new TopicPartition("A", 8), new TopicPartition("A", 9));

        // Where a partition begins stands behind a backlog when its loss is told.
        await HoldingAsync<Core.Routing.Router>(() => router.Ask, () =>
        {
            listener.OnPositioned([Place(gone, 5)]);
            listener.OnLost([gone]);
        });

        // The release of a partition ends after it has come back.
        listener.OnPositioned([Place(back, 5)]);
        var released = Task.CompletedTask;
        await HoldingAsync<Core.Routing.Router>(() => router.Ask, () =>
        {
            released = listener.OnRevokedAsync([back]);
            listener.OnPositioned([Place(back, 7)]);
        });
        await released;
        var read = await router.Ask(core => core.Committable);
        read.ShouldNotContain(position => position.Partition == gone);
        read.ShouldContain((back, 7));
    }

    /// <summary>Else a crash just then would leave the group where it was before, and the store without a word of it.</summary>
    [Fact]
    public async Task A_place_to_be_gone_to_is_forgotten_by_the_store_once_the_group_stands_there()
    {
        await using var node = await StartedAsync();
        var source = new TopicPartition("A", 0);
        using var admin = new TopicAdmin(KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers));

        // As though a commit of what was read before had come after that of the place.
        (await admin.GetCommittedAsync($"{LiveNode.Group}.router", [source]))[source].ShouldBe(0);
        ((IRouterListener)node.Host.Router!).OnPositioned([new SourcePlace(new SourceState(source, LiveNode.Partitions, 1) { Next = 2, IsWanted = true }, 2)]);

        await node.WaitUntilAsync("the place is reached", async () => (await node.Host.StoredPositionsAsync())[source] is { Incarnation: 1, IsWanted: false });
        (await admin.GetCommittedAsync($"{LiveNode.Group}.router", [source]))[source].ShouldBe(2);
    }

    [Fact]
    public async Task A_loop_that_is_still_at_work_when_the_time_for_a_stop_is_over_has_not_failed()
    {
        await using var node = await StartedAsync(TimeSpan.FromSeconds(1));
        await using var platform = new Platform(broker, pipeline);
        // So many that the next one is granted already.
        const int Sent = 100;
        for (var number = 0; number < Sent; number++) await platform.SendAsync("A", """{"stationId": "S1", "n": 1}""");
        await node.WaitAppliedAsync("A", Sent);
        var router = node.Host.Router!;

        Task? holding = null;
        using var isOver = new ManualResetEventSlim(false);
        await HoldingAsync<Core.Routing.Router>(() => router.Ask, () =>
        {
            // Both are taken from the mailbox at once.
            holding = router.Ask(_ =>
            {
                isOver.Wait();
                return 0;
            });
            ((IRouterListener)router).OnRecords(ReadRecord.Run(new TopicPartition("A", 0), (Sent, """{"stationId": "S2", "n": 2}"""u8.ToArray())));
        });
        (await node.Host.StopAsync()).ShouldNotBeEmpty();
        isOver.Set();
        await holding!;
        await router.Completion;
        node.Host.FailureReason.ShouldBeNull();
    }

    private static SourcePlace Place(TopicPartition partition, long next) => new(new SourceState(partition, 10, 0) { Next = next }, next);

    private delegate Task<int> Asking<T>(Func<T, int> question);

    // Holds a loop up while something is put into its mailbox.
    private static async Task HoldingAsync<T>(Func<Asking<T>> loop, Action put)
    {
        using var held = new ManualResetEventSlim(false);
        var isHeld = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var holding = loop()(_ =>
        {
            isHeld.SetResult();
            held.Wait();
            return 0;
        });
        await isHeld.Task;
        put();
        held.Set();
        await holding;
    }

    private async Task<LiveNode> StartedAsync(TimeSpan? stopDeadline = null)
    {
        var options = LiveNode.Options(broker.BootstrapServers, folder.FullName);
        var node = new LiveNode(stopDeadline is { } limit ? options with { StopDeadline = limit } : options, pipeline);
        await node.StartAsync();
        await node.WaitReadyAsync();
        return node;
    }
}
