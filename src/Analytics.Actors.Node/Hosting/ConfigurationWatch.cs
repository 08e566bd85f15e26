using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Looks for new versions of the configuration, every two seconds and when a router or a shard has met one, and hands them to
/// the loops: first to the router, which routes by it where the store says so, then to the shards.
/// </summary>
/// <param name="prepare">Makes the topics of a pipeline ready to be written, and takes up what it reads: the settings of its shards.</param>
public sealed class ConfigurationWatch(
    ShardSettings first, ConfigurationVersions versions, ICheckpointStore store, RouterLoop router, NodeLoop shards,
    Func<long, PipelineConfiguration, CancellationToken, Task<ShardSettings>> prepare, NodeObserver observer) : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan TakingOver = TimeSpan.FromMilliseconds(50);

    private readonly CancellationTokenSource stopping = new();
    private readonly SemaphoreSlim wake = new(0);
    private readonly Lock gate = new();
    private readonly SortedSet<long> wanted = [];
    private Task running = Task.CompletedTask;
    private ShardSettings current = first;
    private long runs = first.ConfigurationVersion;
    private volatile string? problem;

    /// <summary>The version that all of this node runs: its router, and each of its shards.</summary>
    public long Runs => Interlocked.Read(ref runs);

    /// <summary>Why this node does not run the newest version; null where it does, or will in a moment.</summary>
    public string? Problem => problem;

    public void Start() => running = Task.Run(RunAsync);

    /// <summary>A router needs the rules of this version, or a shard waits for it: looks now.</summary>
    public void Need(long version)
    {
        lock (gate) wanted.Add(version);
        wake.Release();
    }

    /// <summary>Looks now: a version was applied through this node.</summary>
    public void Look() => wake.Release();

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await running.ConfigureAwait(false);
        stopping.Dispose();
        wake.Dispose();
    }

    private async Task RunAsync()
    {
        while (true)
        {
            try
            {
                var isDone = Runs == current.ConfigurationVersion;
                await wake.WaitAsync(isDone ? Interval : TakingOver, stopping.Token).ConfigureAwait(false);
                await LookAsync().ConfigureAwait(false);
                Interlocked.Exchange(ref runs, await shards.Ask(core => core.ConfigurationVersion).WaitAsync(stopping.Token).ConfigureAwait(false));
            }
            catch (OperationCanceledException)
            {
                // Stopped, or the loops have ended.
                if (stopping.IsCancellationRequested) return;
            }
            catch (Exception unavailable) when (unavailable is StoreUnavailableException or BrokerUnavailableException)
            {
                // Both tell of themselves elsewhere, and this is asked again.
                problem = $"a newer version of the configuration cannot be read or prepared now: {unavailable.Message}";
            }
            catch (Exception unfit)
            {
                // A topic that cannot be made, a module that cannot be built: told once, and tried again, because it may be mended.
                var why = $"a newer version of the configuration cannot be taken over: {unfit.Message}";
                if (why != problem) observer.Warned(why);
                problem = why;
            }
        }
    }

    private async Task LookAsync()
    {
        var stored = await store.ReadConfigurationAsync(null, stopping.Token).ConfigureAwait(false);
        string? refused = null;
        if (stored is not null && stored.Number > current.ConfigurationVersion) refused = await TakeOverAsync(stored).ConfigureAwait(false);
        List<long> needed;
        lock (gate) needed = [.. wanted];
        foreach (var version in needed)
        {
            // Each by itself: what one of them is refused for keeps no other away from the router.
            var why = await LearnAsync(version, stored?.Number ?? 0).ConfigureAwait(false);
            refused ??= why;
        }

        // It is looked at again and again, and told once.
        if (refused is not null && refused != problem) observer.Warned(refused);
        problem = refused;
    }

    // Why it is not taken over; null where it is.
    private async Task<string?> TakeOverAsync(ConfigurationVersion stored)
    {
        PipelineConfiguration pipeline;
        try
        {
            pipeline = versions.Parse(stored);
            var moved = await versions.PinReadersAsync(pipeline, stopping.Token).ConfigureAwait(false);
            if (moved.Count > 0) return $"configuration version {stored.Number} does not run: {string.Join("; ", moved.Select(change => $"{change.What}, {change.Change}: {change.Effect}"))}";
        }
        catch (ConfigurationRefusedException refused)
        {
            return refused.Message;
        }

        var settings = await prepare(stored.Number, pipeline, stopping.Token).ConfigureAwait(false);
        // The router first: a record that only the new rules know is routed before a shard meets it.
        router.Learn(settings);
        shards.Post(new ConfigurationChanged(settings));
        current = settings;
        observer.ConfigurationTakenOver(stored);
        return null;
    }

    private async Task<string?> LearnAsync(long version, long newest)
    {
        try
        {
            if (version > newest) return $"records were routed by configuration version {version}, which the store does not have (a restored backup?): apply it again";
            if (version > current.ConfigurationVersion) return null;
            if (await versions.ReadAsync(version, stopping.Token).ConfigureAwait(false) is { } pipeline) router.Learn(current with { Pipeline = pipeline, ConfigurationVersion = version });
            lock (gate) wanted.Remove(version);
            return null;
        }
        catch (ConfigurationRefusedException refused)
        {
            return refused.Message;
        }
    }
}
