using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Looks every few seconds for positions that were set in the store, and now and then for topics that have grown; what
/// follows is the loops' affair.
/// </summary>
public sealed class PositionWatch(
    Func<ShardSettings> current, ICheckpointStore store, PositionLookup lookup, ShardPositioner positioner, RouterLoop router, NodeLoop shards, NodeObserver observer, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    // Topics rarely grow, and the list of all may be long. Of those keyed by station a changed count is to be known soon.
    private int LooksPerCount => current().KeyedTopics.Any() ? 5 : 15;

    private readonly CancellationTokenSource stopping = new();
    private readonly Dictionary<string, int> counted = [];

    // Sources keyed by station with another number of partitions than shards: whatever is set, they are not read.
    private volatile HashSet<string> miscounted = [];
    private Task running = Task.CompletedTask;

    public void Start() => running = Task.Run(RunAsync);

    /// <summary>Looks now: somebody has set a position through this node.</summary>
    public async Task LookAsync()
    {
        var rows = await store.UpdateSourcesAsync([], stopping.Token).ConfigureAwait(false);
        router.Look(rows);
        var changed = await shards.Ask(core => ChangedShards(core, rows)).ConfigureAwait(false);
        if (changed.Count > 0) shards.Post(new PositionsChanged(changed));
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await running.ConfigureAwait(false);
        stopping.Dispose();
    }

    // A row in a newer life than the shard's own position was set by somebody; a stopped shard waits for just that.
    private List<ShardId> ChangedShards(NodeCore core, IReadOnlyList<SourceState> rows)
    {
        var phases = core.Phases.ToDictionary(slot => slot.Shard, slot => slot.Phase);
        var settings = current();
        return rows.Where(row => settings.IsPerShard(row.Partition.Topic))
            .Where(row => phases.TryGetValue(new ShardId(row.Partition.Partition), out var phase) && phase switch
            {
                ShardPhase.Running when core.Find(new ShardId(row.Partition.Partition)) is { } shard => shard.Logs.Contains(row.Partition)
                    ? row.Incarnation > (shard.Positions.GetValueOrDefault(row.Partition)?.Incarnation ?? 0)
                    : row.IsWanted && !miscounted.Contains(row.Partition.Topic),
                ShardPhase.Stopped => row.IsWanted,
                _ => false,
            })
            .Select(row => new ShardId(row.Partition.Partition)).Distinct().ToList();
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Interval, time);
        for (var look = 0; ; look++)
        {
            try
            {
                if (!await timer.WaitForNextTickAsync(stopping.Token).ConfigureAwait(false)) return;
                await LookAsync().ConfigureAwait(false);
                if (look % LooksPerCount == 0) await CountPartitionsAsync().ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // Stopped, or the loops have ended.
                if (stopping.IsCancellationRequested) return;
            }
            catch (Exception unavailable) when (unavailable is StoreUnavailableException or BrokerUnavailableException)
            {
                // Both tell of themselves elsewhere, and this is asked again.
            }
            catch (Exception unfit)
            {
                // Positions that nobody looks for would never be taken up: told, and tried again.
                observer.Warned($"positions could not be looked for: {unfit.Message}");
            }
        }
    }

    // New partitions of a source come to the routers by a rebalance of their own; here an operator hears of it. Those of an
    // internal topic belong to nobody: parts are sent to the pinned ones by number, so the others go on.
    private async Task CountPartitionsAsync()
    {
        var counts = await lookup.PartitionCountsAsync().ConfigureAwait(false);
        var settings = current();
        foreach (var topic in new[] { settings.PartsTopic, settings.BatchTopic })
        {
            if (!counts.TryGetValue(topic, out var count)) continue;
            var first = new TopicPartition(topic, settings.ShardCount);
            if (TopicGrowth.Decide(TopicRole.PerShard, settings.ShardCount, count) == GrowthDecision.Refuse)
                observer.PartitionStopped(first, TopicGrowth.Explain(topic, settings.ShardCount, count));
            else observer.PartitionRead(first);
        }

        miscounted = settings.KeyedTopics.Select(topic => topic.Name).Where(topic => counts.GetValueOrDefault(topic) != settings.ShardCount).ToHashSet(StringComparer.Ordinal);
        var changed = await shards.Ask(core => core.Running.Where(shard => settings.LogsOf(shard.Id).Any(log => positioner.IsToBeChecked(log, counts)))
            .Select(shard => shard.Id).ToList()).ConfigureAwait(false);
        if (changed.Count > 0) shards.Post(new PositionsChanged(changed));

        foreach (var topic in settings.Pipeline.Topics.Keys.Where(topic => !settings.IsKeyed(topic)))
        {
            if (!counts.TryGetValue(topic, out var count)) continue;
            var decision = TopicGrowth.Decide(TopicRole.Source, counted.GetValueOrDefault(topic), count);
            counted[topic] = count;
            if (decision == GrowthDecision.ReadNewFromStart) observer.Warned($"topic {topic} has grown to {count} partitions: the new ones are read from their first record");
            else if (decision == GrowthDecision.Shrunk) observer.Warned($"topic {topic} has only {count} partitions now: it was made anew");
        }
    }
}
