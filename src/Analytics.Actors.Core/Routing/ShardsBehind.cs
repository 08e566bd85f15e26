namespace Analytics.Actors.Core.Routing;

/// <summary>
/// What a router has sent and the shards have not applied, as far as it knows: it hears of the shards' positions now and
/// then. From it follows how much may be under way at all: the allowance, which is set so that what is routed waits for
/// <see cref="RouterSettings.DelayTargetMs"/> before it is applied, whatever the shards' pace.
/// </summary>
/// <remarks>
/// Shards that fill up (with calls that have not come back) stop reading when they are full, at once: what is routed then
/// waits long, whatever it took before. So the fuller they are, the less is allowed, down to the minimum at half.
/// The delay is looked at when a shard's position has just moved: the age of the oldest of what it has not applied. So it
/// makes no difference how seldom positions are written. A log whose position does not move at all (nobody runs its shard,
/// or an operator has to decide) does not count, or one shard would hold up all.
/// </remarks>
internal sealed class ShardsBehind(RouterSettings settings)
{
    private readonly SortedDictionary<TopicPartition, Log> logs = [];
    private readonly SourceTopics topics = new(settings);
    private long adjustedMs = long.MinValue;
    private long wholeMs;
    private bool hasPassed;
    private int landedCount;

    private readonly long least = Math.Min(settings.AheadBytesMin, settings.AheadBytesMax);
    private long paced = Math.Min(settings.AheadBytesStart, settings.AheadBytesMax);
    private double fullness;

    /// <summary>Bytes that all topics together may be ahead of the shards; see <see cref="SourceTopics"/>.</summary>
    public long Allowance => Math.Max(least, (long)(paced * (1 - 2 * fullness)));

    public SourceTopics Topics => topics;

    /// <summary>Something is in a log and not applied yet: the shards' positions are of interest.</summary>
    public bool IsAny => landedCount > 0;

    /// <summary>An envelope is in a log.</summary>
    /// <param name="offset">Where; negative: not known, and it counts as applied.</param>
    /// <param name="routedMs">When the oldest of what it holds was routed.</param>
    /// <param name="held">What it holds, by topic.</param>
    public void Landed(TopicPartition partition, long offset, long routedMs, List<(SourceTopic Topic, long Bytes)> held)
    {
        if (!logs.TryGetValue(partition, out var log)) logs.Add(partition, log = new Log());
        foreach (var (topic, bytes) in held)
        {
            if (offset < Math.Max(0, log.Next) || log.IsStalled)
            {
                topics.Ahead(topic, -bytes);
                continue;
            }

            log.Landed.Enqueue((offset, routedMs, topic, bytes));
            landedCount++;
        }
    }

    /// <summary>
    /// How far the shards have applied their logs (next offsets), as of a moment ago; a log that is left out is not begun. Heard more
    /// often than in the usual pause, it only makes room: delays are judged as seldom as ever.
    /// </summary>
    /// <param name="shardFullness">What shards have in hand, as a part of what they may have: 0 to 1.</param>
    public void Applied(IReadOnlyDictionary<TopicPartition, long> positions, double shardFullness, long nowMs)
    {
        fullness = shardFullness;
        adjustedMs = Math.Min(adjustedMs, nowMs);
        var isWhole = nowMs < wholeMs || nowMs - wholeMs > settings.LookIntervalMs - settings.HeldLookIntervalMs;
        // What is longer than a pause between two looks was not looked at.
        var passedMs = Math.Clamp(nowMs - wholeMs, 0, settings.LookIntervalMs);
        var (movedDelayMs, delayMs) = (0L, 0L);
        foreach (var (partition, log) in logs)
        {
            var next = positions.GetValueOrDefault(partition);
            while (log.Landed.TryPeek(out var first) && first.Offset < next)
            {
                log.Landed.Dequeue();
                landedCount--;
                topics.Ahead(first.Topic, -first.Bytes);
                hasPassed |= first.RoutedMs >= adjustedMs;
            }

            if (!isWhole) continue;
            var isMoved = next != log.Next;
            log.Next = next;
            if (isMoved) (log.UnmovedMs, log.IsStalled) = (0, false);
            if (!log.Landed.TryPeek(out var oldest)) (log.DelayMs, log.UnmovedMs) = (0, 0);
            else if (isMoved) log.DelayMs = Math.Max(0, nowMs - oldest.RoutedMs);
            else if ((log.UnmovedMs += passedMs) >= settings.StalledAfterMs) Stall(log);
            delayMs = Math.Max(delayMs, log.DelayMs);
            if (isMoved) movedDelayMs = Math.Max(movedDelayMs, log.DelayMs);
        }

        if (!isWhole) return;
        wholeMs = nowMs;
        // What was routed under the present allowance has to have come through, before it is judged.
        if (hasPassed) Adjust(movedDelayMs, delayMs, nowMs);
        hasPassed = false;
    }

    private void Adjust(long movedDelayMs, long delayMs, long nowMs)
    {
        var isTooMuch = movedDelayMs > settings.DelayTargetMs;
        if (!isTooMuch && (delayMs > settings.DelayTargetMs || !topics.WasHeld)) return;
        var factor = Math.Min(2.0, settings.DelayTargetMs / (double)Math.Max(1, isTooMuch ? movedDelayMs : delayMs));
        paced = Math.Clamp((long)(paced * factor), least, settings.AheadBytesMax);
        adjustedMs = nowMs;
        topics.WasHeld = false;
    }

    private void Stall(Log log)
    {
        log.IsStalled = true;
        log.DelayMs = 0;
        foreach (var (_, _, topic, bytes) in log.Landed) topics.Ahead(topic, -bytes);
        landedCount -= log.Landed.Count;
        log.Landed.Clear();
    }

    private sealed class Log
    {
        public Queue<(long Offset, long RoutedMs, SourceTopic Topic, long Bytes)> Landed { get; } = new();

        /// <summary>The position last heard of; -1 before.</summary>
        public long Next { get; set; } = -1;

        /// <summary>Age of the oldest of what was not applied when the position last moved, ms.</summary>
        public long DelayMs { get; set; }

        /// <summary>How long the position has stood still.</summary>
        public long UnmovedMs { get; set; }
        public bool IsStalled { get; set; }
    }
}
