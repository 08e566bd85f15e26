using System.Globalization;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Virtual time: things happen in order of their time, ties in order of planning. All chance comes from one seeded
/// random, so a seed repeats a run bit for bit; the trace hash, over every step and every note, proves it.
/// </summary>
/// <param name="keepsHistory">Keep what was noted, for the story of a failure; a failing seed is run again for it.</param>
public sealed class World(int seed, bool keepsHistory)
{
    private readonly PriorityQueue<Action, (long TimeMs, long Order)> agenda = new();
    private readonly List<string> history = [];
    private long order;

    public Random Random { get; } = new(seed);

    /// <summary>When every run begins, ms since 1970 UTC.</summary>
    public const long StartMs = 1_763_000_000_000;

    /// <summary>Now, ms since 1970 UTC.</summary>
    public long NowMs { get; private set; } = StartMs;

    /// <summary>Hash of every step taken and of everything noted so far.</summary>
    public ulong TraceHash { get; private set; } = 14695981039346656037;

    /// <summary>Everything noted, with its time in ms since the start; empty unless it is kept.</summary>
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
            Mix((ulong)(when.TimeMs ^ (when.Order << 20)));
            action();
        }

        NowMs = Math.Max(NowMs, untilMs);
    }

    public void Note(string what)
    {
        foreach (var letter in what) Mix(letter);
        if (keepsHistory) history.Add((NowMs - StartMs).ToString("D6", CultureInfo.InvariantCulture) + " " + what);
    }

    /// <summary>A line of the history alone, for what would be too much to note in every run.</summary>
    public void Tell(Func<string> what)
    {
        if (keepsHistory) history.Add((NowMs - StartMs).ToString("D6", CultureInfo.InvariantCulture) + " " + what());
    }

    private void Mix(ulong value) => TraceHash = (TraceHash ^ value) * 1099511628211;
}
