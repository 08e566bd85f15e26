namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// What waits to leave a shard. An entry gets its destination and sequence when it is added, may leave only after the
/// checkpoint that recorded it has committed, and goes when it is acknowledged. <see cref="OutputSender"/> sends them, one
/// outstanding per destination and in order.
/// </summary>
public sealed class Outbox
{
    private readonly Dictionary<TopicPartition, Lane> lanes = [];
    private readonly List<OutboxEntry> added = [];
    private readonly List<OutboxEntry> sendable = [];
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
        if (lane.NextSequence <= entry.Sequence) lane.NextSequence = entry.Sequence + 1;
        Count++;
        Bytes += entry.Value.Length;
        sendable.Add(entry);
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
    public void Committed(IReadOnlyList<OutboxEntry> entries) => sendable.AddRange(entries);

    /// <summary>Takes the entries that have committed since the last call, in order per destination.</summary>
    public void TakeSendable(List<OutboxEntry> taken)
    {
        taken.AddRange(sendable);
        sendable.Clear();
    }

    /// <summary>The broker has everything of a destination up to this sequence. A late echo changes nothing.</summary>
    public void Acknowledged(TopicPartition destination, long upToSequence)
    {
        if (!lanes.TryGetValue(destination, out var lane) || upToSequence <= lane.AcknowledgedUpTo) return;
        while (lane.Entries.TryPeek(out var entry) && entry.Sequence <= upToSequence)
        {
            lane.Entries.Dequeue();
            lane.AcknowledgedUpTo = entry.Sequence;
            Count--;
            Bytes -= entry.Value.Length;
            removed.Add(destination);
        }
    }

    private Lane LaneOf(TopicPartition destination)
    {
        if (!lanes.TryGetValue(destination, out var lane)) lanes.Add(destination, lane = new Lane());
        return lane;
    }

    private sealed class Lane
    {
        public readonly Queue<OutboxEntry> Entries = new();
        public long NextSequence;
        public long AcknowledgedUpTo = -1;
    }
}
