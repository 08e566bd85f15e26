using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// Numbers the dead letters of one shard, and gathers for the next checkpoint what was added, what an order closed, and
/// what has been kept long enough. The letters themselves are in the store alone: memory holds only those of the next
/// checkpoint, and the numbers that this owner closed.
/// </summary>
/// <remarks>
/// An order is given with letters that were read under this owner's epoch. What an earlier owner closed was then read as
/// closed, and what this one closed is known here: so a letter is closed once, however often and late it is ordered.
/// </remarks>
public sealed class ShardLetters(ShardId shard, ShardSettings settings)
{
    private const long SweepIntervalMs = 3_600_000;
    private const int ExpiredMost = 1_000;

    private readonly List<DeadLetter> added = [];
    private readonly List<DeadLetterChange> changed = [];
    private readonly HashSet<long> closed = [];
    private bool isSweeping;
    private long? sweptMs;

    /// <summary>The number of the last letter; 0 before the first.</summary>
    public long LastNumber { get; private set; }

    /// <summary>When it was written, ms.</summary>
    public long LastTimeMs { get; private set; }

    /// <summary>There is something for a checkpoint.</summary>
    public bool IsDirty => added.Count > 0 || changed.Count > 0 || isSweeping;

    /// <summary>Everything up to this number is no longer kept.</summary>
    private long Floor => LastNumber - settings.LettersKeptMax;

    internal void Restore(long lastNumber, long lastTimeMs) => (LastNumber, LastTimeMs) = (lastNumber, lastTimeMs);

    /// <summary>Takes a letter, and gives it back as it is kept.</summary>
    public DeadLetter Add(DeadLetter letter)
    {
        var kept = letter.Kept(new DeadLetterId(shard, ++LastNumber));
        LastTimeMs = letter.TimeMs;
        added.Add(kept);
        return kept;
    }

    /// <summary>Closes a letter; false where that has been done, or it is not kept any more.</summary>
    public bool Close(long number, DeadLetterState state, string by, long nowMs)
    {
        if (number <= Floor || number > LastNumber || !closed.Add(number)) return false;
        changed.Add(new DeadLetterChange(number, state, by, nowMs));
        return true;
    }

    /// <summary>Once an hour, as long as there may be letters, the next checkpoint drops those that are too old.</summary>
    public void TimePassed(long nowMs)
    {
        if (nowMs - sweptMs < SweepIntervalMs) return;
        // A day longer than any letter is kept: what is dropped at a time has a bound.
        if (LastNumber == 0 || nowMs > LastTimeMs + settings.LettersKeptMs + (24 * SweepIntervalMs)) return;
        sweptMs = nowMs;
        isSweeping = true;
        closed.RemoveWhere(number => number <= Floor);
    }

    public IReadOnlyList<DeadLetter> TakeAdded()
    {
        if (added.Count == 0) return [];
        DeadLetter[] taken = [.. added];
        added.Clear();
        return taken;
    }

    public IReadOnlyList<DeadLetterChange> TakeChanged()
    {
        if (changed.Count == 0) return [];
        DeadLetterChange[] taken = [.. changed];
        changed.Clear();
        return taken;
    }

    /// <summary>What has been kept long enough; to be taken before what was added. Null: nothing is to be looked for.</summary>
    public DeadLetterExpiry? TakeExpired(long nowMs)
    {
        if (!isSweeping && (added.Count == 0 || Floor < 1)) return null;
        var beforeMs = isSweeping ? nowMs - settings.LettersKeptMs : long.MinValue;
        isSweeping = false;
        return new DeadLetterExpiry(Math.Max(0, Floor) + 1, beforeMs, ExpiredMost + added.Count);
    }
}
