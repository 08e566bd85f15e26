namespace Analytics.Actors.Core.Shards;

/// <summary>When a station wants to hear of time.</summary>
internal sealed class StationTimer(string station)
{
    public string Station => station;

    /// <summary>When it is due, ms; null: never.</summary>
    public long? DueMs { get; set; }

    /// <summary>Its earliest entry in the queue, ms; null: it has none.</summary>
    public long? QueuedMs { get; set; }

    /// <summary>The entry that it had before one that is earlier, ms: the next one when that has come.</summary>
    public long? LaterMs { get; set; }
}

/// <summary>The timers of one shard's stations: those of passivated ones too.</summary>
/// <remarks>
/// A timer that moves to later is looked at again when its earlier time comes: a station whose timer moves with every record
/// has one entry in the queue and not one for each. And one that is moved to earlier and back again and again, as by orders
/// under an interval of a day, goes on with the entry that it had.
/// </remarks>
internal sealed class StationTimers
{
    private readonly Dictionary<string, StationTimer> timers = new(StringComparer.Ordinal);
    private readonly PriorityQueue<StationTimer, long> queue = new();

    /// <summary>Nothing is due before, ms; null: nothing ever.</summary>
    public long? NextDueMs => queue.TryPeek(out _, out var dueMs) ? dueMs : null;

    /// <summary>Entries in the queue: about as many as there are timers.</summary>
    public int QueuedCount => queue.Count;

    /// <summary>The timer of a station, if it has one.</summary>
    public StationTimer? Find(string station) => timers.GetValueOrDefault(station);

    public StationTimer Of(string station) => Find(station) ?? new StationTimer(station);

    public void Set(StationTimer timer, long dueMs)
    {
        timer.DueMs = dueMs;
        if (timer.QueuedMs <= dueMs) return;
        timer.LaterMs ??= timer.QueuedMs;
        timer.QueuedMs = dueMs;
        queue.Enqueue(timer, dueMs);
        timers[timer.Station] = timer;
    }

    /// <summary>The next station whose time has come, which then has no timer any more; null: no more.</summary>
    public string? TakeDue(long nowMs)
    {
        while (queue.TryPeek(out var timer, out var queuedMs) && queuedMs <= nowMs)
        {
            queue.Dequeue();
            // One that moved to earlier has a later entry too.
            if (timer.QueuedMs != queuedMs) continue;
            (timer.QueuedMs, timer.LaterMs) = (timer.LaterMs, null);
            if (timer.DueMs is { } dueMs && dueMs > nowMs)
            {
                Set(timer, dueMs);
                continue;
            }

            if (timer.QueuedMs is null) timers.Remove(timer.Station);
            if (timer.DueMs is null) continue;
            timer.DueMs = null;
            return timer.Station;
        }

        return null;
    }
}
