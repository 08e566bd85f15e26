
namespace Analytics.Actors.Node.Demo;

/// <summary>What the demo watches and checks: one node in its own process, or several in processes of theirs.</summary>
public interface IDemoCluster : IAsyncDisposable
{
    /// <summary>How many.</summary>
    int Nodes { get; }

    /// <summary>Looks in a row that must find nothing to do before everything counts as done, 100 ms apart.</summary>
    int QuietLooks { get; }

    /// <summary>Ends, faulted, where a node ended by itself.</summary>
    Task Failure { get; }

    /// <summary>Starts the nodes and waits until all shards run.</summary>
    Task StartAsync(CancellationToken cancellation);

    /// <summary>Where to look at it, for people; known after the start.</summary>
    string Addresses { get; }

    /// <summary>What still waits, for people; empty: nothing.</summary>
    Task<string> RestlessAsync();

    /// <summary>Parts of these topics that were applied, all shards together.</summary>
    Task<long> AppliedPartsAsync(IReadOnlySet<string> sources);

    /// <summary>The witnesses of what was applied.</summary>
    Task<IReadOnlyList<AppliedMark>> MarksAsync();

    /// <summary>What the nodes have counted; where one does not answer, what it last said.</summary>
    Task<DemoActivity> ReadAsync();

    /// <summary>Stops the nodes in order: what they did not finish.</summary>
    Task<IReadOnlyList<string>> StopAsync();
}

/// <summary>What all nodes together have counted since the start.</summary>
public sealed record DemoActivity
{
    public static readonly DemoActivity Nothing = new();

    public int Stations { get; init; }
    public IReadOnlyDictionary<string, long> FetchedByTopic { get; init; } = new Dictionary<string, long>();
    public IReadOnlyDictionary<string, long> LagByTopic { get; init; } = new Dictionary<string, long>();
    public IReadOnlyDictionary<string, long> OpenBatchesByModule { get; init; } = new Dictionary<string, long>();
    public IReadOnlyDictionary<string, long> UploadsByTopic { get; init; } = new Dictionary<string, long>();

    /// <summary>Attempts by module and outcome.</summary>
    public IReadOnlyDictionary<(string Module, string Outcome), long> Calls { get; init; } = new Dictionary<(string, string), long>();
    public long BatchesCompleted { get; init; }
    public long BatchesTimedOut { get; init; }
    public long Missing { get; init; }

    public static DemoActivity Sum(IEnumerable<DemoActivity> nodes)
    {
        var all = nodes.ToList();
        return new DemoActivity
        {
            Stations = all.Sum(node => node.Stations),
            FetchedByTopic = Sum(all.Select(node => node.FetchedByTopic)),
            LagByTopic = Sum(all.Select(node => node.LagByTopic)),
            OpenBatchesByModule = Sum(all.Select(node => node.OpenBatchesByModule)),
            UploadsByTopic = Sum(all.Select(node => node.UploadsByTopic)),
            Calls = Sum(all.Select(node => node.Calls)),
            BatchesCompleted = all.Sum(node => node.BatchesCompleted),
            BatchesTimedOut = all.Sum(node => node.BatchesTimedOut),
            Missing = all.Sum(node => node.Missing),
        };
    }

    private static Dictionary<T, long> Sum<T>(IEnumerable<IReadOnlyDictionary<T, long>> counts) where T : notnull =>
        counts.SelectMany(one => one).GroupBy(pair => pair.Key).ToDictionary(group => group.Key, group => group.Sum(pair => pair.Value));
}
