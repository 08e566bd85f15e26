using System.Diagnostics;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Demo;

/// <summary>Takes a snapshot of the running demo every half second, for the live table.</summary>
public sealed class DemoView(IDemoCluster cluster, DemoLedger ledger, PipelineConfiguration pipeline, TimeSpan duration)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly Stopwatch elapsed = Stopwatch.StartNew();
    private readonly Dictionary<string, long> records = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> calls = new(StringComparer.Ordinal);

    /// <summary>Starting, running, draining.</summary>
    public string Phase { get; set; } = "starting";

    public async Task RunAsync(LiveTable table, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation).ConfigureAwait(false)) table.Show(await TakeAsync().ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // The demo is over.
        }
    }

    private async Task<DemoSnapshot> TakeAsync()
    {
        var counters = await cluster.ReadAsync().ConfigureAwait(false);
        var progress = ledger.Progress();
        return new DemoSnapshot
        {
            Elapsed = elapsed.Elapsed,
            Duration = duration,
            Phase = Phase,
            Nodes = cluster.Nodes,
            Stations = counters.Stations,
            Uploads = progress.UploadsRead,
            DeadLetters = progress.DeadLettersRead,
            Faults = progress.UploadFaults,
            LatencyP50Ms = progress.LatencyP50Ms,
            LatencyP99Ms = progress.LatencyP99Ms,
            Topics = pipeline.Topics.Values.Where(topic => counters.FetchedByTopic.ContainsKey(topic.Name) || topic.OutputOf is null)
                .Select(topic => Topic(topic.Name, counters, counters.LagByTopic.GetValueOrDefault(topic.Name))).ToList(),
            Modules = pipeline.Modules.Values.Where(module => module.Enabled).Select(module => Module(module, counters, counters.OpenBatchesByModule.GetValueOrDefault(module.Name))).ToList(),
        };
    }

    private TopicActivity Topic(string topic, DemoActivity counters, long lag)
    {
        var count = counters.FetchedByTopic.GetValueOrDefault(topic);
        return new TopicActivity(topic, count, Rate(records, topic, count), 0, lag, 0);
    }

    private ModuleActivity Module(ModuleConfiguration module, DemoActivity counters, long open)
    {
        long Of(string outcome) => counters.Calls.GetValueOrDefault((module.Name, outcome));
        var results = Of("result");
        var errors = Of("error") + Of("timeout");
        var all = results + errors + Of("nothing");
        return new ModuleActivity(module.Name, all, Rate(calls, module.Name, all), results, errors, open, counters.UploadsByTopic.GetValueOrDefault(module.OutputTopic));
    }

    private static double Rate(Dictionary<string, long> before, string name, long now)
    {
        var rate = (now - before.GetValueOrDefault(name)) / Interval.TotalSeconds;
        before[name] = now;
        return rate;
    }
}
