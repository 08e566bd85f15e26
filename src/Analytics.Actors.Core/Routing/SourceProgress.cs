using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Positions;

namespace Analytics.Actors.Core.Routing;

/// <summary>
/// How far a router is with one source partition. Only the contiguous prefix of wholly acknowledged records is ever
/// committed.
/// </summary>
internal sealed class SourceProgress(TopicPartition partition, int incarnation, long next, int shards, SourceTopic topic)
{
    // Records that are routed and not wholly acknowledged, from the first such on: a ring, with each record's number its place.
    private Incomplete[] incomplete = new Incomplete[16];
    private long firstNumber, nextNumber;

    // What the log no longer has: from the next offset after the last record read to where reading went on.
    private readonly Queue<(long From, long To)> gaps = new();
    private RecordWitness last = new(-1, 0);

    public TopicPartition Partition { get; } = partition;
    public int Incarnation { get; } = incarnation;

    /// <summary>How its topic stands.</summary>
    public SourceTopic Topic => topic;

    /// <summary>The last offset read: it has been routed, or waits for its grant.</summary>
    public long HighestSeen { get; set; } = next - 1;

    /// <summary>What may be processed, and by which rules; null until the store has told.</summary>
    public SourceGrant? Grant { get; set; }

    /// <summary>Its grant is to be looked at.</summary>
    public bool IsWanting { get; set; }

    /// <summary>The newest version that was known when the grant was last asked for.</summary>
    public long GrantReadWith { get; set; } = -1;

    /// <summary>Records that wait, in order, for their grant or for rules that are not known yet.</summary>
    public Queue<SourceRecord> Held { get; } = new();

    /// <summary>How fast records come: a grant reaches so many records ahead.</summary>
    public GrantPace Pace { get; } = new(next);

    /// <summary>The lowest offset not wholly acknowledged: what may be committed.</summary>
    public long Committable { get; private set; } = next;

    /// <summary>The position that may be committed, with the record before it.</summary>
    public PartitionPosition Position => new(Partition, Committable, last.TimestampMs, last.Checksum, Incarnation);

    /// <summary>The position of the commit that is under way.</summary>
    public PartitionPosition? Committing { get; set; }

    /// <summary>What has been committed.</summary>
    public long Committed { get; set; } = next;

    /// <summary>The last offset sent to each shard's parts log, and to its batch log: -1 before the first.</summary>
    public long[] LastSent { get; } = Enumerable.Repeat(-1L, shards).ToArray();
    public long[] LastAnnounced { get; } = Enumerable.Repeat(-1L, shards).ToArray();

    /// <summary>Begins a record that goes out in so many pieces.</summary>
    public Pending Begin(long offset, int pieces, RecordWitness witness)
    {
        if (nextNumber - firstNumber == incomplete.Length) Grow();
        incomplete[nextNumber & (incomplete.Length - 1)] = new Incomplete { Offset = offset, Witness = witness, Pieces = pieces };
        var pending = new Pending(this, nextNumber++);
        Advance();
        return pending;
    }

    /// <summary>
    /// Reading goes on at a later offset, in the same life of the log. What was read before is still to be acknowledged before
    /// the gap counts as passed.
    /// </summary>
    public void GoOnAt(long offset)
    {
        if (offset == HighestSeen + 1) return;
        gaps.Enqueue((HighestSeen + 1, offset));
        HighestSeen = offset - 1;
        Advance();
    }

    private void Advance()
    {
        for (; firstNumber < nextNumber; firstNumber++)
        {
            ref readonly var record = ref incomplete[firstNumber & (incomplete.Length - 1)];
            if (record.Pieces > 0) break;
            Committable = record.Offset + 1;
            last = record.Witness;
        }

        while (gaps.TryPeek(out var gap) && gap.From <= Committable)
        {
            gaps.Dequeue();
            if (gap.To <= Committable) continue;
            Committable = gap.To;
            last = new RecordWitness(-1, 0);
        }
    }

    private void Grow()
    {
        var larger = new Incomplete[2 * incomplete.Length];
        for (var number = firstNumber; number < nextNumber; number++) larger[number & (larger.Length - 1)] = incomplete[number & (incomplete.Length - 1)];
        incomplete = larger;
    }

    private struct Incomplete
    {
        public long Offset;
        public RecordWitness Witness;
        public int Pieces;
    }

    /// <summary>A record whose pieces have not all been acknowledged.</summary>
    internal readonly record struct Pending(SourceProgress Owner, long Number)
    {
        /// <summary>One piece is there.</summary>
        public void Acknowledged()
        {
            if (--Owner.incomplete[Number & (Owner.incomplete.Length - 1)].Pieces == 0) Owner.Advance();
        }
    }
}
