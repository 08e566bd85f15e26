namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// What waits to leave a shard. An entry gets its destination and sequence when it is added, may leave only after the
/// checkpoint that recorded it has committed, one at a time per destination and in order, and goes when acknowledged.
/// </summary>
public sealed class Outbox
{
    private readonly Dictionary<TopicPartition, Lane> lanes = [];
    private readonly List<OutboxEntry> added = [];
    private readonly List<TopicPartition> ready = [];
    private readonly HashSet<TopicPartition> removed = [];

    /// <summary>Bytes of all entries that have not been acknowledged.</summary>
    public long Bytes { get; private set; }

    /// <summary>Entries that have not been acknowledged.</summary>
    public int Count { get; private set; }

    /// <summary>Entries that no checkpoint holds yet: results wait to leave.</summary>
    public bool HasAdded => added.Count > 0;

    /// <summary>The next sequence of each destination, for the shard's state.</summary>
    public IEnumerable<KeyValuePair<TopicPartition, long>> NextSequences =>
        lanes.Select(pair => KeyValuePair.Create(pair.Key, pair.Value.NextSequence));

    /// <summary>The sequence that the next entry to this destination will get.</summary>
    public long NextSequence(TopicPartition destination) => LaneOf(destination).NextSequence;

    public void Restore(TopicPartition destination, long nextSequence) => LaneOf(destination).NextSequence = nextSequence;

    /// <summary>Puts back an entry read at takeover; all of them are sent again.</summary>
    public void Restore(OutboxEntry entry)
    {
        var lane = LaneOf(entry.Destination);
        lane.Entries.Enqueue(entry);
        lane.CommittedUpTo = entry.Sequence;
        if (lane.NextSequence <= entry.Sequence) lane.NextSequence = entry.Sequence + 1;
        Count++;
        Bytes += entry.Value.Length;
        Offer(entry.Destination, lane);
    }

    /// <summary>Adds an entry; <paramref name="make"/> gets the sequence.</summary>
    public OutboxEntry Add(TopicPartition destination, Func<long, OutboxEntry> make)
    {
        var lane = LaneOf(destination);
        var entry = make(lane.NextSequence++);
        lane.Entries.Enqueue(entry);
        added.Add(entry);
        Count++;
        Bytes += entry.Value.Length;
        return entry;
    }

    /// <summary>The entries added since the last call, for a checkpoint.</summary>
    public IReadOnlyList<OutboxEntry> TakeAdded()
    {
        if (added.Count == 0) return [];
        OutboxEntry[] taken = [.. added];
        added.Clear();
        return taken;
    }

    /// <summary>What has been acknowledged since the last call, for a checkpoint.</summary>
    public IReadOnlyList<OutboxAcknowledgement> TakeRemoved()
    {
        if (removed.Count == 0) return [];
        var taken = removed.Order().Select(destination => new OutboxAcknowledgement(destination, lanes[destination].AcknowledgedUpTo)).ToList();
        removed.Clear();
        return taken;
    }

    /// <summary>A checkpoint with these entries has committed: they may leave.</summary>
    public void Committed(IReadOnlyList<OutboxEntry> entries)
    {
        foreach (var entry in entries)
        {
            var lane = LaneOf(entry.Destination);
            lane.CommittedUpTo = entry.Sequence;
            Offer(entry.Destination, lane);
        }
    }

    /// <summary>Takes the entries that may be sent now: at most one per destination.</summary>
    public void TakeSendable(List<OutboxEntry> sendable)
    {
        foreach (var destination in ready)
        {
            var lane = lanes[destination];
            lane.Offered = false;
            if (lane.InFlight || lane.Entries.Count == 0 || lane.Entries.Peek().Sequence > lane.CommittedUpTo) continue;
            lane.InFlight = true;
            sendable.Add(lane.Entries.Peek());
        }

        ready.Clear();
    }

    /// <summary>The broker has the entry. Anything but the one in flight is a late echo and changes nothing.</summary>
    public void Acknowledged(TopicPartition destination, long sequence)
    {
        if (!lanes.TryGetValue(destination, out var lane) || !lane.InFlight || lane.Entries.Peek().Sequence != sequence) return;
        var entry = lane.Entries.Dequeue();
        lane.InFlight = false;
        lane.AcknowledgedUpTo = sequence;
        Count--;
        Bytes -= entry.Value.Length;
        removed.Add(destination);
        Offer(destination, lane);
    }

    /// <summary>The send failed for now: the same entry is sent again, never the next.</summary>
    public void Failed(TopicPartition destination, long sequence)
    {
        if (!lanes.TryGetValue(destination, out var lane) || !lane.InFlight || lane.Entries.Peek().Sequence != sequence) return;
        lane.InFlight = false;
        Offer(destination, lane);
    }

    private Lane LaneOf(TopicPartition destination)
    {
        if (!lanes.TryGetValue(destination, out var lane)) lanes.Add(destination, lane = new Lane());
        return lane;
    }

    private void Offer(TopicPartition destination, Lane lane)
    {
        if (lane.Offered || lane.InFlight || lane.Entries.Count == 0 || lane.Entries.Peek().Sequence > lane.CommittedUpTo) return;
        lane.Offered = true;
        ready.Add(destination);
    }

    private sealed class Lane
    {
        public readonly Queue<OutboxEntry> Entries = new();
        public long NextSequence;
        public long CommittedUpTo = -1;
        public long AcknowledgedUpTo = -1;
        public bool InFlight;
        public bool Offered;
    }
}
