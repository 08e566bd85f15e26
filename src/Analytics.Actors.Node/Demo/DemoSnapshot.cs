namespace Analytics.Actors.Node.Demo;

/// <summary>One topic in the live view. Rates are per second since the snapshot before.</summary>
/// <param name="Lag">Records acknowledged and not yet read by the nodes.</param>
public sealed record TopicActivity(string Topic, long Records, double RecordsPerSecond, double BytesPerSecond, long Lag, long DeadLetters);

/// <summary>One module in the live view.</summary>
public sealed record ModuleActivity(string Module, long Calls, double CallsPerSecond, long Results, long Errors, long BatchesOpen, long Uploads);

/// <summary>What the live view shows: a reading at one moment.</summary>
public sealed record DemoSnapshot
{
    public required TimeSpan Elapsed { get; init; }
    public required TimeSpan Duration { get; init; }
    public required IReadOnlyList<TopicActivity> Topics { get; init; }
    public required IReadOnlyList<ModuleActivity> Modules { get; init; }
    public int Nodes { get; init; } = 1;
    public int Stations { get; init; }
    public long Uploads { get; init; }
    public long DeadLetters { get; init; }
    public long Faults { get; init; }
    public long LatencyP50Ms { get; init; }
    public long LatencyP99Ms { get; init; }

    /// <summary>What is going on, in a word or two: starting, running, draining.</summary>
    public string Phase { get; init; } = "running";

    public long Records => Topics.Sum(topic => topic.Records);
    public double RecordsPerSecond => Topics.Sum(topic => topic.RecordsPerSecond);
    public long Lag => Topics.Sum(topic => topic.Lag);
    public long Calls => Modules.Sum(module => module.Calls);
    public long Errors => Modules.Sum(module => module.Errors);
    public long BatchesOpen => Modules.Sum(module => module.BatchesOpen);
}
