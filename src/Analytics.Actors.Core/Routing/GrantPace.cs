namespace Analytics.Actors.Core.Routing;

/// <summary>
/// How far ahead of what was read a source partition's grant is raised: <see cref="AheadMs"/> of its traffic, raised again
/// at half of it, so that no record waits for the store where records come steadily. Where fewer come than that, each
/// is granted when it is there: it waits a moment for the store, and new rules take effect with the next record.
/// </summary>
/// <param name="next">The first offset that is read.</param>
internal sealed class GrantPace(long next)
{
    private const long AheadMs = 4_000;

    // What is granted under old rules stays so: more would only make new ones late.
    private const long AheadMax = 50_000;

    // Over less a burst would look like a stream.
    private const long MeasuredMs = 1_000;

    private long fromOffset = next;
    private long? fromMs;

    /// <summary>Offsets beyond the last one read that are to be granted.</summary>
    public long Ahead { get; private set; }

    /// <summary>Looks at what has been read by now.</summary>
    public void Look(long nextOffset, long nowMs)
    {
        // A clock that was set back begins anew.
        if (fromMs is not { } from || nowMs < from)
        {
            fromMs = nowMs;
            fromOffset = nextOffset;
        }
        else if (nowMs - from >= MeasuredMs)
        {
            Ahead = Math.Min(AheadMax, (nextOffset - fromOffset) * AheadMs / (nowMs - from));
            fromMs = nowMs;
            fromOffset = nextOffset;
        }
    }
}
