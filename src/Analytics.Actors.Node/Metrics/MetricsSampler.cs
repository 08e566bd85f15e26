using Analytics.Actors.Core;
using Analytics.Actors.Node.Hosting;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Metrics;

/// <summary>
/// Takes the measurements that nobody reports as they change: sizes, lags, ownership, and what shards count themselves.
/// Taken when somebody scrapes, on the loops' threads and one shard at a time, so that records pass between. What does not
/// answer in time keeps its last value.
/// </summary>
public sealed class MetricsSampler(NodeHost node) : IDisposable
{
    private readonly NodeMetrics metrics = node.Observer.Metrics;
    private readonly SemaphoreSlim sampling = new(1);
    private readonly Dictionary<string, long> applied = new(StringComparer.Ordinal);
    private HashSet<ShardId> owned = [];
    private HashSet<TopicPartition> lagging = [];

    public async Task SampleAsync(TimeSpan limit)
    {
        if (node.Shards is not { } shards || !await sampling.WaitAsync(limit).ConfigureAwait(false)) return;
        try
        {
            using var ending = new CancellationTokenSource(limit);
            await SampleShardsAsync(shards, ending.Token).ConfigureAwait(false);
            await SampleLagsAsync(ending.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Out of time, or the loop has ended.
        }
        catch (ObjectDisposedException)
        {
            // A consumer has stopped under our hands.
        }
        finally
        {
            sampling.Release();
        }
    }

    public void Dispose() => sampling.Dispose();

    private async Task SampleShardsAsync(NodeLoop shards, CancellationToken ending)
    {
        var (counts, running) = await shards.Ask(core => (
            core.AppliedByTopic(),
            core.Running.Select(shard => (shard.Id, shard.Epoch)).ToList())).WaitAsync(ending).ConfigureAwait(false);
        foreach (var (topic, count) in counts)
        {
            metrics.RecordsApplied(topic, count - applied.GetValueOrDefault(topic));
            applied[topic] = count;
        }

        var now = running.Select(shard => shard.Id).ToHashSet();
        foreach (var lost in owned.Except(now)) metrics.ShardLost(lost);
        owned = now;
        foreach (var (id, epoch) in running)
        {
            metrics.ShardOwned(id, epoch);
            var (stations, bytes) = await shards.Ask(core => core.Find(id) is { } shard
                ? ((int)shard.StationCount, shard.Stations.Values.SelectMany(station => station.Windows.Values).Concat(shard.Globals.Values)
                    .GroupBy(window => window.Topic.Name).ToDictionary(topic => topic.Key, topic => topic.Sum(window => window.SizeBytes), StringComparer.Ordinal))
                : (0, [])).WaitAsync(ending).ConfigureAwait(false);
            metrics.Stations(id, stations);
            foreach (var topic in node.Pipeline.Topics.Keys) metrics.WindowCache(id, topic, bytes.GetValueOrDefault(topic));
        }
    }

    private async Task SampleLagsAsync(CancellationToken ending)
    {
        var positions = await node.SourcePositionsAsync().WaitAsync(ending).ConfigureAwait(false);
        var logs = await node.ShardPositionsAsync().WaitAsync(ending).ConfigureAwait(false);
        HashSet<TopicPartition> now = [];
        foreach (var (partition, next, end) in positions.Concat(logs))
        {
            if (end is null) continue;
            now.Add(partition);
            metrics.Lag(partition.Topic, partition.Partition, Math.Max(0, end.Value - next));
        }

        foreach (var lost in lagging.Except(now)) metrics.PartitionLost(lost.Topic, lost.Partition);
        lagging = now;
    }
}
