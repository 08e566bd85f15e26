namespace Analytics.Actors.Integration.Support;

/// <summary>
/// A clock whose time of day follows the records of a replay: a base that the test sets, and the real time since. After
/// the first second it goes slowly, so that a machine that is held up does not run a batch into its deadline. Timestamps and
/// timers are the system's.
/// </summary>
internal sealed class EventClock(DateTimeOffset start) : TimeProvider
{
    private const double SlowedTo = 1.0 / 20;
    private static readonly TimeSpan RealTime = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private DateTimeOffset from = start;
    private long setAt = System.GetTimestamp();

    public override DateTimeOffset GetUtcNow()
    {
        lock (gate)
        {
            var elapsed = System.GetElapsedTime(setAt);
            return from + (elapsed <= RealTime ? elapsed : RealTime + (elapsed - RealTime) * SlowedTo);
        }
    }

    /// <summary>Moves forward; a time that has passed already changes nothing.</summary>
    public void MoveTo(DateTimeOffset time)
    {
        lock (gate)
        {
            if (time <= GetUtcNow()) return;
            from = time;
            setAt = System.GetTimestamp();
        }
    }
}
