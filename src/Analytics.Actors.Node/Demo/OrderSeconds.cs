namespace Analytics.Actors.Node.Demo;

/// <summary>
/// Estimates from outside when an order's second closed at its station. A second is open from its first acknowledgement
/// to the first acknowledgement of a later one, or until one second after its last acknowledgement, whichever comes
/// first. An order for an older second than the open one joins the open one, as the station does it. The station sees
/// records a little later than their acknowledgement, so the estimate is never too late: latencies counted from it are
/// rather too long than too short.
/// </summary>
internal sealed class OrderSeconds
{
    private const int Kept = 64;
    private const long SilenceMs = 1_000;
    private readonly (long Second, long FirstAckMs, long LastAckMs)[] seconds = new (long, long, long)[Kept];
    private long count;

    public void Acknowledged(long timestampMs, long ackMs)
    {
        var second = timestampMs / 1000;
        if (count > 0)
        {
            ref var open = ref seconds[(count - 1) % Kept];
            if (second <= open.Second && ackMs <= open.LastAckMs + SilenceMs)
            {
                open.LastAckMs = Math.Max(open.LastAckMs, ackMs);
                return;
            }

            second = Math.Max(second, open.Second);
        }

        seconds[count % Kept] = (second, ackMs, ackMs);
        count++;
    }

    /// <summary>When the second closed in which an order acknowledged at <paramref name="ackMs"/> was; null where it is forgotten.</summary>
    public long? ClosedAtMs(long ackMs)
    {
        for (var number = count - 1; number >= Math.Max(0, count - Kept); number--)
        {
            var second = seconds[number % Kept];
            if (second.FirstAckMs > ackMs) continue;
            var silent = second.LastAckMs + SilenceMs;
            return number + 1 < count ? Math.Min(silent, seconds[(number + 1) % Kept].FirstAckMs) : silent;
        }

        return null;
    }
}
