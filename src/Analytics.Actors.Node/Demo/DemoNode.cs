using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http;

namespace Analytics.Actors.Node.Demo;

/// <summary>One node in the demo's own process.</summary>
internal sealed class DemoNode(NodeHost node, NodeServer server) : IDemoCluster
{
    public int Nodes => 1;

    public int QuietLooks => 10;

    public Task Failure => node.Failure;

    public string Addresses => $"dashboard {server.Address}  health {server.Address}health  metrics {server.MetricsAddress}metrics";

    public async Task StartAsync(CancellationToken cancellation)
    {
        await node.StartAsync(cancellation).ConfigureAwait(false);
        var waited = Stopwatch.StartNew();
        while (!await node.IsReadyAsync().ConfigureAwait(false))
        {
            if (node.Failure.IsFaulted) await node.Failure.ConfigureAwait(false);
            if (waited.Elapsed > DemoRunner.StartLimit) throw new TimeoutException($"The node was not ready within {DemoRunner.StartLimit.TotalSeconds:0} s; its log says why.");
            await Task.Delay(50, cancellation).ConfigureAwait(false);
        }
    }

    public async Task<string> RestlessAsync()
    {
        var shards = await node.Shards!.Ask(core =>
        {
            var owed = core.Running.Sum(shard => shard.Stations.Values.Sum(station => station.TriggerCount));
            var batches = core.Running.Sum(shard => shard.Batches.Batches.Count + shard.Batches.WaitingRevisions);
            var outputs = core.Running.Sum(shard => shard.Outputs.Outbox.Count);
            var seconds = core.Running.Sum(shard => shard.Stations.Values.Count(station => station.NextDueMs is { } due && due - DemoFeed.NowMs < 2_000));
            return owed + batches + outputs + seconds == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{owed} calls owed, {batches} batches open, {outputs} outputs to send, {seconds} orders open");
        }).ConfigureAwait(false);
        if (shards.Length > 0) return shards;
        if (!await node.Router!.Ask(router => router.IsIdle).ConfigureAwait(false)) return "the router waits for acknowledgements";
        var lag = (await LagsAsync().ConfigureAwait(false)).Values.Sum();
        return lag == 0 ? "" : $"{lag} records unread";
    }

    public Task<long> AppliedPartsAsync(IReadOnlySet<string> sources) => node.Shards!.Ask(core =>
        core.Running.Sum(shard => shard.AppliedByTopic.Where(topic => sources.Contains(topic.Key)).Sum(topic => topic.Value)));

    public async Task<IReadOnlyList<AppliedMark>> MarksAsync() => await node.Shards!.Ask(core => core.Running
        .SelectMany(shard => shard.Marks.Sources.Where(mark => mark.Log != shard.BatchLog && mark.Mark.AppliedCount > 0)
            .Select(mark => AppliedMark.Of(shard.Id, mark.Source, mark.Mark.AppliedCount, mark.Mark.AppliedHash)))
        .ToList()).ConfigureAwait(false);

    public async Task<DemoActivity> ReadAsync()
    {
        var counters = node.Observer.Counters;
        var activity = new DemoActivity
        {
            FetchedByTopic = counters.FetchedByTopic,
            UploadsByTopic = counters.UploadsByTopic,
            Calls = counters.Calls,
            BatchesCompleted = counters.BatchesCompleted,
            BatchesTimedOut = counters.BatchesTimedOut,
            Missing = counters.Missing,
        };
        if (node.Shards is not { } shards) return activity;
        var (stations, open) = await shards.Ask(core => (
            (int)core.Running.Sum(shard => shard.StationCount),
            core.Running.SelectMany(shard => shard.Batches.Batches.Keys).GroupBy(key => key.Module).ToDictionary(group => group.Key, group => group.LongCount()))).ConfigureAwait(false);
        return activity with { Stations = stations, OpenBatchesByModule = open, LagByTopic = await LagsAsync().ConfigureAwait(false) };
    }

    public Task<IReadOnlyList<string>> StopAsync() => node.StopAsync();

    public async ValueTask DisposeAsync()
    {
        await server.DisposeAsync().ConfigureAwait(false);
        await node.DisposeAsync().ConfigureAwait(false);
    }

    private async Task<Dictionary<string, long>> LagsAsync() => (await node.SourcePositionsAsync().ConfigureAwait(false))
        .GroupBy(position => position.Partition.Topic)
        .ToDictionary(group => group.Key, group => group.Sum(position => Math.Max(0, (position.End ?? position.Next) - position.Next)), StringComparer.Ordinal);
}
