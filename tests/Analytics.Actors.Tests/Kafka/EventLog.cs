namespace Analytics.Actors.Tests.Kafka;

/// <summary>How long a test waits for what will come: so long that only a test that hangs is ended by it, however busy the machine.</summary>
internal static class Waiting
{
    public static readonly TimeSpan AtMost = TimeSpan.FromMinutes(3);
}

/// <summary>Collects what another thread reports and lets a test wait for it, without polling and without sleeping.</summary>
internal sealed class EventLog<T>
{
    private readonly Lock gate = new();
    private readonly List<T> events = [];
    private readonly List<(Func<IReadOnlyList<T>, bool> Condition, TaskCompletionSource Met)> waiting = [];

    public void Add(params IEnumerable<T> added)
    {
        lock (gate)
        {
            events.AddRange(added);
            foreach (var waiter in waiting.ToArray())
            {
                if (!waiter.Condition(events)) continue;
                waiting.Remove(waiter);
                waiter.Met.SetResult();
            }
        }
    }

    /// <summary>Forgets what was seen.</summary>
    public void Clear()
    {
        lock (gate) events.Clear();
    }

    public IReadOnlyList<T> All
    {
        get
        {
            lock (gate) return events.ToArray();
        }
    }

    /// <summary>Waits until the events meet a condition; fails with what was seen instead.</summary>
    public async Task<IReadOnlyList<T>> WaitUntil(Func<IReadOnlyList<T>, bool> condition)
    {
        Task met;
        lock (gate)
        {
            if (condition(events)) return events.ToArray();
            var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            waiting.Add((condition, waiter));
            met = waiter.Task;
        }

        try
        {
            await met.WaitAsync(Waiting.AtMost);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"Not seen within {Waiting.AtMost.TotalSeconds} s; seen were {All.Count}: {string.Join("; ", All.TakeLast(20))}");
        }

        return All;
    }

    public async Task<T> WaitFor(Func<T, bool> match) => (await WaitUntil(events => events.Any(match))).First(match);
}
