namespace Analytics.Actors.Node.Hosting;

/// <summary>Something that an operator may want to read.</summary>
/// <param name="Kind">One of few fixed words: dead-letter, call-error, call-timeout, batch-timeout, record-missing, gap, partition-stopped, store, warning, failure.</param>
/// <param name="Station">The station that it concerns; empty where none.</param>
public sealed record Problem(DateTimeOffset Time, string Kind, string Station, string Text);

/// <summary>The latest problems of a node, for the API and the dashboard: the newest <see cref="Kept"/>, and how many there were of each kind.</summary>
public sealed class RecentProblems
{
    public const int Kept = 500;

    private readonly Lock gate = new();
    private readonly Queue<Problem> kept = new();
    private readonly SortedDictionary<string, long> counts = new(StringComparer.Ordinal);

    public void Add(Problem problem)
    {
        lock (gate)
        {
            counts[problem.Kind] = counts.GetValueOrDefault(problem.Kind) + 1;
            if (kept.Count == Kept) kept.Dequeue();
            kept.Enqueue(problem);
        }
    }

    /// <summary>The newest first, at most so many; and the counts since the start, by kind.</summary>
    public (IReadOnlyList<Problem> Newest, IReadOnlyDictionary<string, long> Counts) Take(int limit)
    {
        lock (gate) return (kept.Reverse().Take(limit).ToList(), new SortedDictionary<string, long>(counts, StringComparer.Ordinal));
    }
}
