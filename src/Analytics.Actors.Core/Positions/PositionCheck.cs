using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Positions;

/// <summary>Why reading does not go on where it stood.</summary>
public enum GapReason
{
    /// <summary>The log begins above the position: retention was shorter than the outage.</summary>
    Trimmed,

    /// <summary>Another record stands where the last one read stood, or the log ends before it: the topic was made anew.</summary>
    Recreated,

    /// <summary>The position is above the log's end: the topic was made anew, or its end was lost with a broker.</summary>
    BeyondEnd,

    /// <summary>An operator said so.</summary>
    Operator,
}

/// <summary>What is known of one partition when somebody is about to read it.</summary>
public sealed record PositionFacts
{
    /// <summary>What the store remembers; null for a partition that was never read. Its Next is -1 where only the incarnation is known.</summary>
    public PartitionPosition? Stored { get; init; }

    /// <summary>The stored position was put there to be gone to, and nobody has yet: it counts, whatever the group has committed.</summary>
    public bool IsWanted { get; init; }

    /// <summary>The life of the partition that a reader which was running has been reading; null: none was, the group's offset counts.</summary>
    public int? ReadingIncarnation { get; init; }

    /// <summary>Where the reader's own truth is outside the store (a router's group, or a reader that was running): its next offset. Null: there is none.</summary>
    public long? Committed { get; init; }

    public required LogRange Log { get; init; }

    /// <summary>The record at the offset that <see cref="PositionCheck.WitnessOffset"/> names; null where the log has none there, or it was not looked up.</summary>
    public RecordWitness? Found { get; init; }

    /// <summary>Where a partition begins that was never read.</summary>
    public StartPosition Start { get; init; } = new(StartKind.Earliest);

    /// <summary>What to do about a gap.</summary>
    public OutOfRangePolicy Policy { get; init; } = new(OutOfRangeKind.Stop);

    /// <summary>The topic did not have this partition when it was first seen.</summary>
    public bool IsGrown { get; init; }
}

/// <summary>Where reading of a partition begins, and in which of its lives. A place that is a time or a group is looked up by the host.</summary>
public abstract record PositionDecision
{
    /// <summary>All is well: read on.</summary>
    public sealed record GoOn(long Next, int Incarnation) : PositionDecision;

    /// <summary>Read for the first time.</summary>
    public sealed record Begin(StartPosition At, int Incarnation) : PositionDecision;

    /// <summary>A gap from <paramref name="From"/> to wherever <paramref name="To"/> is: record it, then read on there.</summary>
    public sealed record Skip(GapReason Reason, long From, StartPosition To, int Incarnation) : PositionDecision;

    /// <summary>A gap that only an operator may decide about: do not read this partition, and say so loudly.</summary>
    public sealed record Stop(GapReason Reason, long Position) : PositionDecision;
}

/// <summary>
/// Decides where reading of a partition goes on. A position is believed only if it is inside the log and the record before
/// it is still the one that was read; anything else is a gap, and the topic's policy decides.
/// </summary>
/// <remarks>
/// Must keep true: no silent jump; marks never swallow the records of a topic that was made anew, so whenever the log may be
/// another one its incarnation is raised. A trimmed log is the same log: its offsets only rise, so it keeps its incarnation,
/// and what was routed beyond the position before a crash is recognised.
/// </remarks>
public static class PositionCheck
{
    /// <summary>The offset of the record to look up, if the log holds it; null: there is nothing to compare.</summary>
    public static long? WitnessOffset(PositionFacts facts) => facts is { IsWanted: false, Stored: { HasWitness: true } stored } ? stored.Next - 1 : null;

    public static PositionDecision Decide(PositionFacts facts)
    {
        var incarnation = facts.Stored?.Incarnation ?? 0;
        // Kafka forgets a group's offsets with a deleted topic, and with a group that is away for long. What the store
        // remembers is then better than the topic's start, which may be its end.
        var remembered = facts.Stored is { Next: >= 0 } stored ? stored.Next : (long?)null;
        // Somebody has found another log since this reader began: its offset is of a life that is over, and says nothing of
        // this one. Without that a router that hears of it last would begin one more life, and all would be applied again.
        var isOver = facts.ReadingIncarnation < incarnation;
        var position = facts.IsWanted || isOver ? remembered : facts.Committed ?? remembered;
        if (position is not { } next)
        {
            // A row without a position and a group without an offset: nothing tells which log its marks are of.
            return new PositionDecision.Begin(facts.IsGrown ? new StartPosition(StartKind.Earliest) : facts.Start, facts.Stored is null ? 0 : incarnation + 1);
        }

        if (next > facts.Log.High) return Gap(facts, GapReason.BeyondEnd, next, incarnation + 1);
        if (WitnessOffset(facts) is { } last && IsAnotherLog(facts, last)) return Gap(facts, GapReason.Recreated, next, incarnation + 1);
        return next < facts.Log.Low
            ? Gap(facts, GapReason.Trimmed, next, incarnation)
            : new PositionDecision.GoOn(next, incarnation);
    }

    // A record that is gone from the middle of a log was compacted away: that says nothing.
    private static bool IsAnotherLog(PositionFacts facts, long last) =>
        last >= facts.Log.High || (facts.Log.Holds(last) && facts.Found is { } found && found != facts.Stored!.Witness);

    private static PositionDecision Gap(PositionFacts facts, GapReason reason, long position, int incarnation) => facts.Policy.Kind switch
    {
        OutOfRangeKind.Stop => new PositionDecision.Stop(reason, position),
        OutOfRangeKind.Earliest => new PositionDecision.Skip(reason, position, new StartPosition(StartKind.Earliest), incarnation),
        OutOfRangeKind.Latest => new PositionDecision.Skip(reason, position, new StartPosition(StartKind.Latest), incarnation),
        OutOfRangeKind.Timestamp => new PositionDecision.Skip(reason, position, new StartPosition(StartKind.Timestamp, facts.Policy.TimestampMs), incarnation),
        _ => throw new ArgumentOutOfRangeException(nameof(facts), facts.Policy.Kind, "no such policy"),
    };
}
