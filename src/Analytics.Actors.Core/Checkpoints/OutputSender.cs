namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// Decides what of an outbox is sent next: at most one entry outstanding per destination, in order of its sequence, the
/// same one again until it is acknowledged. One object per shard and epoch; an entry that was handed to an earlier epoch's
/// sender may still land, and its sequence tells.
/// </summary>
/// <remarks>Not safe for concurrent use: the host, whose acknowledgements come on other threads, guards it.</remarks>
public sealed class OutputSender
{
    private readonly Dictionary<TopicPartition, Queue<OutboxEntry>> lanes = [];

    /// <summary>Committed entries, in order per destination; those to be sent now are added to <paramref name="send"/>.</summary>
    public void Enqueue(IReadOnlyList<OutboxEntry> entries, List<OutboxEntry> send)
    {
        foreach (var entry in entries)
        {
            if (!lanes.TryGetValue(entry.Destination, out var lane)) lanes.Add(entry.Destination, lane = new Queue<OutboxEntry>());
            lane.Enqueue(entry);
            // The first one is the outstanding one; the others wait for it.
            if (lane.Count == 1) send.Add(entry);
        }
    }

    /// <summary>The outstanding entry of a destination is acknowledged; returns the one to send next.</summary>
    public OutboxEntry? Acknowledged(TopicPartition destination)
    {
        var lane = lanes[destination];
        lane.Dequeue();
        return lane.TryPeek(out var next) ? next : null;
    }

    /// <summary>The outstanding entry of a destination failed for now: the same one is sent again.</summary>
    public OutboxEntry Failed(TopicPartition destination) => lanes[destination].Peek();
}
