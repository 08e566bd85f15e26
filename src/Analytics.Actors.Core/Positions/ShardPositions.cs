using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Positions;

/// <summary>
/// The positions of a shard in its logs, checked between its takeover and its start. For a shard the store is the truth: an
/// internal log that was never read begins at offset 0, a source keyed by station where its topic says, which is written to
/// the source's row before anything is read; and what an operator set has a higher incarnation than what the last checkpoint
/// wrote.
/// </summary>
/// <remarks>
/// Reading a log again does no harm: marks are per source partition and its incarnation, not per offset of the log, so what
/// was applied is dropped. What was lost with a log is applied when its routers send it again, as long as the shard has read
/// nothing behind it; that is why the default is to stop.
/// </remarks>
public static class ShardPositions
{
    /// <summary>The facts that the store knows; the host adds the log's range and the record found.</summary>
    /// <param name="row">The store's row of this log; null where nobody ever wrote one.</param>
    /// <param name="policy">What to do about a gap in an internal log.</param>
    /// <param name="source">The topic of a source keyed by station; null for the two internal logs.</param>
    public static PositionFacts Stored(RecoveredShard recovered, TopicPartition log, SourceState? row, OutOfRangePolicy policy, TopicConfiguration? source = null)
    {
        var position = recovered.Positions.FirstOrDefault(position => position.Partition == log)
            ?? (source is null ? new PartitionPosition(log, 0, -1, 0) : null);
        // Without a position the row tells where a reader was about to begin.
        var isSet = row is { Next: >= 0 } && !(row.Incarnation <= position?.Incarnation);
        return new PositionFacts
        {
            Stored = isSet ? new PartitionPosition(log, row!.Next, -1, 0, row.Incarnation) : position,
            IsWanted = isSet,
            Start = source?.Start ?? new StartPosition(StartKind.Earliest),
            Policy = source?.OutOfRange ?? policy,
            Log = default,
        };
    }

    /// <summary>The shard as it starts with this log read from another place; its next checkpoint writes that down.</summary>
    public static RecoveredShard MovedTo(this RecoveredShard recovered, PartitionPosition position) =>
        recovered with { Moved = [.. recovered.Moved.Where(moved => moved.Partition != position.Partition), position] };
}
