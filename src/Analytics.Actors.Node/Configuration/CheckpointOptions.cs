using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>How often a shard writes a checkpoint. Shorter is sooner visible outside, and costs more transactions.</summary>
public sealed record CheckpointOptions
{
    /// <summary>Longest time between two checkpoints of a shard that changed.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The same while results wait for a checkpoint before they may leave.</summary>
    public TimeSpan Waiting { get; init; } = TimeSpan.FromMilliseconds(100);

    internal static CheckpointOptions Read(ConfigurationObject section)
    {
        var idle = section.Find("idleMs")?.Integer(1, 60_000) ?? 1_000;
        var waitingValue = section.Find("waitingMs");
        var waiting = waitingValue?.Integer(1, 60_000) ?? Math.Min(100, idle);
        if (waiting > idle) waitingValue!.Refuse($"must not be longer than \"checkpoint.idleMs\" ({idle})");
        section.Close();
        return new CheckpointOptions { Idle = TimeSpan.FromMilliseconds(idle), Waiting = TimeSpan.FromMilliseconds(waiting) };
    }

    internal IEnumerable<(string Path, string Value)> Describe() =>
    [
        ("checkpoint.idleMs", NodeOptions.Text(Idle.TotalMilliseconds)),
        ("checkpoint.waitingMs", NodeOptions.Text(Waiting.TotalMilliseconds)),
    ];
}

/// <summary>When the router commits its positions in the source topics.</summary>
public sealed record CommitOptions
{
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Records after which it commits without waiting for the interval.</summary>
    public int BatchSize { get; init; } = 100;
    public int RetriesMax { get; init; } = 3;
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    // These keys stand at the top of the file, under the names that users of OFFSET_COMMIT_CONFIG know.
    internal static CommitOptions Read(ConfigurationObject root) => new()
    {
        Interval = TimeSpan.FromSeconds(root.Find("commitIntervalSeconds")?.Number(0.1, 3_600) ?? 5),
        BatchSize = (int)(root.Find("commitBatchSize")?.Integer(1, 1_000_000) ?? 100),
        RetriesMax = (int)(root.Find("maxCommitRetries")?.Integer(0, 1_000) ?? 3),
        RetryDelay = TimeSpan.FromSeconds(root.Find("commitRetryDelaySeconds")?.Number(0.001, 3_600) ?? 1),
    };

    internal IEnumerable<(string Path, string Value)> Describe() =>
    [
        ("commitIntervalSeconds", NodeOptions.Text(Interval.TotalSeconds)),
        ("commitBatchSize", NodeOptions.Text(BatchSize)),
        ("maxCommitRetries", NodeOptions.Text(RetriesMax)),
        ("commitRetryDelaySeconds", NodeOptions.Text(RetryDelay.TotalSeconds)),
    ];
}
