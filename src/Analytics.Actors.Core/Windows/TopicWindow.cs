using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>What applying one part did.</summary>
/// <param name="Changed">The window changed: modules may be triggered.</param>
/// <param name="Rejected">Items or rows that could not be used; Index counts inside the part.</param>
public readonly record struct WindowChange(bool Changed, IReadOnlyList<RejectedItem> Rejected)
{
    public static readonly WindowChange Nothing = new(false, []);
}

/// <summary>
/// The window of one topic in one station (or of a global topic in a shard). A state machine: bytes and times in, state
/// out; never throws for any input. Numbers that form series live unboxed in column buffers.
/// </summary>
public abstract class TopicWindow : Stations.INamed
{
    private InputFragment? shaped;
    private bool shapedKnown;

    private protected TopicWindow(WindowContext context) => Context = context;

    public TopicConfiguration Topic => Context.Topic;

    string Stations.INamed.Name => Topic.Name;

    internal WindowContext Context { get; }

    private protected WindowPlan Plan => Context.Plan;

    /// <summary>Offset of times written without a zone.</summary>
    protected TimeSpan TimeZone => Context.TimeZone;

    /// <summary>Changed since the last checkpoint that holds it.</summary>
    internal bool IsDirty { get; set; }

    /// <summary>Raised by every change of what <see cref="Shape"/> would give; input assembly compares it.</summary>
    public long Version { get; private set; }

    /// <summary>Nothing is held.</summary>
    public abstract bool IsEmpty { get; }

    /// <summary>Time of the newest entry, ms since 1970 UTC (for age and ttl); null when empty.</summary>
    public abstract long? NewestTimeMs { get; }

    /// <summary>Bytes that the window holds, for limits and metrics.</summary>
    public abstract long SizeBytes { get; }

    /// <summary>Asks memory for the window itself, before a part is applied.</summary>
    internal static void Prefetch(TopicWindow window) => Core.Prefetch.Object(window, 2 * 64);

    /// <summary>Asks memory for what a part will probably change behind the window, which itself should be here by now.</summary>
    internal virtual void PrefetchHeld()
    {
    }

    /// <summary>Applies one part: its items in order.</summary>
    /// <param name="items">Each one JSON value, already known to be well-formed. What is kept of them is copied.</param>
    /// <param name="recordTimeMs">The record's timestamp, ms since 1970 UTC.</param>
    /// <param name="nowMs">Now, ms since 1970 UTC; an entry's time in the future counts as now.</param>
    public abstract WindowChange Apply(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs);

    /// <summary>Drops what is older than the topic's ttl; true where something went.</summary>
    public abstract bool Expire(long nowMs);

    /// <summary>
    /// What this window adds to a module input, shaped once per version; null where it adds nothing. Throws
    /// <see cref="ShapeException"/> where the held data cannot be shaped: the topic then counts as failed.
    /// </summary>
    public InputFragment? Shape()
    {
        if (!shapedKnown)
        {
            shaped = IsEmpty ? null : ShapeCore();
            shapedKnown = true;
        }

        return shaped;
    }

    /// <summary>Shapes what is held. Whatever the fragment shares with the window may never be written to again.</summary>
    protected abstract InputFragment? ShapeCore();

    /// <summary>The window's state as protobuf (<see cref="Protocol.WindowState"/>), for a checkpoint; the caller's own.</summary>
    public byte[] Save()
    {
        Save(Context.Writer);
        return Context.Writer.Take();
    }

    /// <summary>Writes the state, from its end to its beginning.</summary>
    private protected abstract void Save(StateWriter state);

    /// <summary>To be called by every change.</summary>
    protected void MarkChanged()
    {
        Version++;
        shaped = null;
        shapedKnown = false;
    }
}

/// <summary>A window's data cannot be shaped; the message is the reason given in <c>failed_topics</c>.</summary>
public sealed class ShapeException(string message) : Exception(message);
