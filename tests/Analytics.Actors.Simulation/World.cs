using System.Globalization;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Virtual time: things happen in order of their time, ties in order of planning. All chance comes from one seeded
/// random, so a seed repeats a run bit for bit; the trace hash proves it.
/// </summary>
public sealed class World(int seed)
{
    private readonly PriorityQueue<Action, (long TimeMs, long Order)> agenda = new();
    private readonly List<string> history = [];
    private long order;

    public Random Random { get; } = new(seed);

    /// <summary>Now, ms since 1970 UTC.</summary>
    public long NowMs { get; private set; } = 1_763_000_000_000;

    /// <summary>Hash of everything noted so far.</summary>
    public ulong TraceHash { get; private set; } = 14695981039346656037;

    /// <summary>The last things noted, for the story of a failure.</summary>
    public IReadOnlyList<string> History => history;

    public void After(long delayMs, Action action) => agenda.Enqueue(action, (NowMs + Math.Max(0, delayMs), order++));

    public bool Chance(double probability) => probability > 0 && Random.NextDouble() < probability;

    public long Between(int fromMs, int toMs) => Random.Next(fromMs, toMs + 1);

    /// <summary>Runs what is planned until <paramref name="untilMs"/>, or until nothing is.</summary>
    public void Run(long untilMs)
    {
        while (agenda.TryPeek(out var action, out var when) && when.TimeMs <= untilMs)
        {
            agenda.Dequeue();
            NowMs = when.TimeMs;
            action();
        }

        NowMs = Math.Max(NowMs, untilMs);
    }

    public void Note(string what)
    {
        foreach (var letter in what) TraceHash = (TraceHash ^ letter) * 1099511628211;
        TraceHash = (TraceHash ^ (ulong)NowMs) * 1099511628211;
        history.Add(NowMs.ToString(CultureInfo.InvariantCulture) + " " + what);
        if (history.Count > 4_000) history.RemoveRange(0, 2_000);
    }
}
