using Confluent.Kafka;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Learns which shards this node owns. The methods are called on the ownership's thread, one after another, in the order
/// of the events; partitions are in ascending order and never empty.
/// </summary>
public interface IOwnershipListener
{
    /// <summary>These partitions are ours now. The rebalance does not wait for the task: taking over may take its time.</summary>
    Task AssignedAsync(IReadOnlyList<int> partitions);

    /// <summary>
    /// These partitions go to somebody else, who gets them once the task has ended, or the limit has passed. Until then
    /// they are ours: what is under way can be finished and released in order.
    /// </summary>
    Task RevokedAsync(IReadOnlyList<int> partitions);

    /// <summary>These partitions are already somebody else's: drop them, release nothing.</summary>
    void Lost(IReadOnlyList<int> partitions);
}

/// <summary>
/// Membership in the cluster's group. It subscribes to the anchor topic only to be given partitions of it, cooperatively,
/// so that a rebalance moves few and stops no other; it never reads, and commits nothing.
/// </summary>
public sealed class Ownership : IConsumerLoopOwner, IAsyncDisposable
{
    private readonly IConsumer<byte[]?, byte[]?> consumer;
    private readonly ConsumerLoop loop;
    private readonly ClientLogger logger;
    private readonly IOwnershipListener listener;
    private readonly TimeSpan revokeLimit;

    private readonly TaskCompletionSource joined = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Assigned, but not yet paused: the client knows a partition only after the handler has returned.
    private readonly List<TopicPartition> unpaused = [];

    /// <param name="anchorTopic">The topic whose partitions stand for the shards; should exist.</param>
    public Ownership(KafkaClientOptions options, string group, string anchorTopic, IOwnershipListener listener, ClientLog? log = null)
    {
        this.listener = listener;
        revokeLimit = options.RevokeLimit;
        logger = new ClientLogger("ownership", log);
        var configuration = options.ForConsumer("ownership", group);
        var builder = ClientConversions.NewConsumer(configuration, logger)
            .SetPartitionsAssignedHandler((_, partitions) => loop!.Callback(() => OnAssigned(partitions)))
            .SetPartitionsRevokedHandler((_, partitions) => loop!.Callback(() => OnRevoked(partitions)))
            .SetPartitionsLostHandler((_, partitions) => loop!.Callback(() => OnLost(partitions)));
        consumer = ClientThreads.Build(configuration, builder.Build);
        consumer.Subscribe(anchorTopic);
        loop = new ConsumerLoop(consumer, configuration, this, logger, options.IsStaticMember);
        loop.Start();
    }

    /// <summary>
    /// Ends with the ownership's thread; faulted where that ended by itself (a static member that was fenced by a second
    /// one of the same group.instance.id, for example). Whatever was owned then must count as lost.
    /// </summary>
    public Task Completion => loop.Completion;

    /// <summary>Ends when the group has first told this member what it owns, if only that it is nothing.</summary>
    public Task Joined => joined.Task;

    /// <summary>Leaves the group: everything owned is revoked first, with its limit, so that others take over at once.</summary>
    public async ValueTask DisposeAsync()
    {
        await FirstAssignment.WaitAsync(joined.Task, loop.Completion).ConfigureAwait(false);
        await loop.StopAsync().ConfigureAwait(false);
    }

    private List<TopicPartitionOffset> OnAssigned(List<TopicPartition> partitions)
    {
        unpaused.AddRange(partitions);
        if (partitions.Count > 0)
        {
            var numbers = Numbers(partitions);
            logger.Information($"assigned: {string.Join(", ", numbers)}");
            ReportFailure(listener.AssignedAsync(numbers));
        }

        joined.TrySetResult();

        // The end is an offset that always exists, so no partition can fail for want of a committed one.
        return partitions.ConvertAll(partition => new TopicPartitionOffset(partition, Offset.End));
    }

    private void OnRevoked(List<TopicPartitionOffset> partitions)
    {
        if (partitions.Count == 0) return;
        var numbers = Forget(partitions);
        logger.Information($"revoked: {string.Join(", ", numbers)}");
        Revocation.Hold(() => listener.RevokedAsync(numbers), revokeLimit, logger);
    }

    private void OnLost(List<TopicPartitionOffset> partitions)
    {
        if (partitions.Count == 0) return;
        var numbers = Forget(partitions);
        logger.Warning($"lost: {string.Join(", ", numbers)}");
        listener.Lost(numbers);
    }

    private List<int> Forget(List<TopicPartitionOffset> partitions)
    {
        var gone = partitions.ConvertAll(partition => partition.TopicPartition);
        unpaused.RemoveAll(gone.Contains);
        return Numbers(gone);
    }

    private static List<int> Numbers(List<TopicPartition> partitions)
    {
        var numbers = partitions.ConvertAll(partition => partition.Partition.Value);
        numbers.Sort();
        return numbers;
    }

    private void ReportFailure(Task task) => task.ContinueWith(
        failed => logger.Error($"taking over failed: {failed.Exception!.InnerException!.Message}"),
        CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    PartitionReading? IConsumerLoopOwner.Find(Core.TopicPartition partition) => null;

    void IConsumerLoopOwner.OnRecords(RecordRun records)
    {
    }

    void IConsumerLoopOwner.OnConsumeError(Core.TopicPartition partition, long offset, Error error) => logger.Warning($"{partition}: {error.Reason}");

    void IConsumerLoopOwner.OnPolled()
    {
        if (unpaused.Count == 0) return;
        consumer.Pause(unpaused);
        unpaused.Clear();
    }
}

/// <summary>
/// A member leaves only after its group has given it something, if only nothing: librdkafka before 2.3 (issue 4312) ends the
/// process where one leaves between its first join and its first assignment.
/// </summary>
internal static class FirstAssignment
{
    /// <summary>Three rounds of an embedded broker's group. Brokers that are away give nothing, however long one waits.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    public static async Task WaitAsync(Task joined, Task completion) =>
        await Task.WhenAny(joined, completion, Task.Delay(Limit)).ConfigureAwait(false);
}

/// <summary>Holds a rebalance while partitions are released.</summary>
internal static class Revocation
{
    /// <summary>
    /// Waits for the release, at most for the limit; then the rebalance goes on, and what the late owner still writes is
    /// fenced by its epoch.
    /// </summary>
    public static void Hold(Func<Task> release, TimeSpan limit, ClientLogger logger)
    {
        try
        {
            if (!release().Wait(limit)) logger.Warning($"releasing partitions took longer than {limit.TotalSeconds:0.#} s: the rebalance goes on");
        }
        catch (Exception failure)
        {
            logger.Error($"releasing partitions failed: {(failure as AggregateException)?.InnerException?.Message ?? failure.Message}");
        }
    }
}
