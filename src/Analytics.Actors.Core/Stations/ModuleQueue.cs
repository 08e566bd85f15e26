namespace Analytics.Actors.Core.Stations;

/// <summary>
/// The calls that one station owes one module, in order of their triggers: waiting for missing topics, ready, and at
/// most one running. A call past its time keeps the place of the running one until its code returns.
/// </summary>
internal sealed class ModuleQueue(string module) : INamed
{
    // Made when they are needed: most queues of most stations are empty.
    private List<Trigger>? ready;
    private List<Trigger>? waiting;

    public string Name => module;

    /// <summary>Triggers that still miss topics.</summary>
    public int WaitingCount => waiting?.Count ?? 0;

    public Trigger? Running { get; set; }

    /// <summary>The code of an earlier call past its time still runs.</summary>
    public bool IsStuck { get; set; }

    public int Count => ReadyCount + WaitingCount + (Running is null ? 0 : 1);

    /// <summary>All of them, the running one first.</summary>
    public IEnumerable<Trigger> All => (Running is null ? [] : new[] { Running }).Concat(ready ?? []).Concat(waiting ?? []);

    /// <summary>The newest trigger whose call has not begun: the one that a coalescing module goes on with.</summary>
    public Trigger? Latest => ReadyCount > 0 && ready![^1].Attempts == 0 ? ready[^1] : WaitingCount > 0 ? waiting![^1] : null;

    public long? NextDueMs
    {
        get
        {
            long? due = null;
            for (var index = 0; index < WaitingCount; index++)
                due = due is null ? waiting![index].IncompleteDueMs : Math.Min(due.Value, waiting![index].IncompleteDueMs ?? long.MaxValue);
            if (Running is null && !IsStuck && ReadyCount > 0) due = due is null ? ready![0].RetryDueMs : Math.Min(due.Value, ready![0].RetryDueMs);
            return due;
        }
    }

    private int ReadyCount => ready?.Count ?? 0;

    public void Add(Trigger trigger) => (ready ??= []).Add(trigger);

    public void AddWaiting(Trigger trigger) => (waiting ??= []).Add(trigger);

    public Trigger Waiting(int index) => waiting![index];

    public void RemoveWaiting(int index) => waiting!.RemoveAt(index);

    /// <summary>A failed attempt goes first again: triggers are answered in order.</summary>
    public void PutBack(Trigger trigger) => (ready ??= []).Insert(0, trigger);

    public void Remove(Trigger trigger)
    {
        if (ready?.Remove(trigger) != true) waiting?.Remove(trigger);
    }

    /// <summary>The next trigger whose call may begin now; it becomes the running one.</summary>
    public Trigger? TakeNext(long nowMs)
    {
        if (Running is not null || IsStuck || ReadyCount == 0 || ready![0].RetryDueMs > nowMs) return null;
        Running = ready[0];
        ready.RemoveAt(0);
        return Running;
    }

    public List<Trigger> TakeAll()
    {
        var all = All.ToList();
        (Running, ready, waiting) = (null, null, null);
        return all;
    }

    /// <summary>Takes out the triggers during whose call the process ended <paramref name="deaths"/> times or more.</summary>
    public List<Trigger> TakeDeadly(int deaths)
    {
        var deadly = (ready ?? []).Where(trigger => trigger.Deaths >= deaths).ToList();
        ready?.RemoveAll(trigger => trigger.Deaths >= deaths);
        return deadly;
    }
}
