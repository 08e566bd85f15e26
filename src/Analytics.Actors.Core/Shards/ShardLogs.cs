using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Shards;

/// <summary>How far a shard is with one of its data partitions.</summary>
internal sealed class ShardLog(TopicPartition partition)
{
    private ReadOnlyMemory<byte>? last;
    private long timestampMs = -1;
    private uint checksum;
    private bool isDirty;

    public TopicPartition Partition => partition;

    /// <summary>The next offset to take: ahead of the position while records wait.</summary>
    public long Received { get; set; }

    /// <summary>The next offset to apply; null where nothing was applied yet.</summary>
    public long? Next { get; private set; }

    public int Incarnation { get; private set; }

    /// <summary>How plain records of this incarnation are taken; null before the first.</summary>
    public PlainSource? Plain { get; set; }

    public PartitionPosition Position => new(partition, Next!.Value, timestampMs, checksum, Incarnation);

    public void Restore(PartitionPosition position)
    {
        (Received, Next, Incarnation, Plain) = (position.Next, position.Next, position.Incarnation, null);
        (timestampMs, checksum, last) = (position.LastTimestampMs, position.LastChecksum, null);
    }

    /// <summary>A record has been applied.</summary>
    public void Advance(in LogRecord record) => (Next, timestampMs, last) = (record.Offset + 1, record.TimestampMs, record.Value);

    /// <summary>Takes the checksum of the last record, while its bytes are there.</summary>
    public void Witness()
    {
        if (last is not { } value) return;
        checksum = Checksum.Of(value.Span);
        last = null;
    }

    /// <summary>True where it was not to be written yet.</summary>
    public bool Touch() => !isDirty && (isDirty = true);

    public void Saved() => isDirty = false;
}

/// <summary>
/// The positions of one shard in its data partitions. With each goes the checksum of the record before it, which is taken
/// where the reading of a run ends, and not of every record.
/// </summary>
internal sealed class ShardLogs
{
    private readonly Dictionary<TopicPartition, ShardLog> logs = [];
    private readonly List<ShardLog> dirty = [];
    private ShardLog? found;
    private ShardLog? unwitnessed;

    public bool IsDirty => dirty.Count > 0;

    public IReadOnlyDictionary<TopicPartition, PartitionPosition> Positions
    {
        get
        {
            Witness();
            return logs.Values.Where(log => log.Next is not null).ToDictionary(log => log.Partition, log => log.Position);
        }
    }

    public ShardLog Of(TopicPartition partition)
    {
        if (found is not null && found.Partition == partition) return found;
        if (!logs.TryGetValue(partition, out var log)) logs.Add(partition, log = new ShardLog(partition));
        return found = log;
    }

    public void Restore(PartitionPosition position) => Of(position.Partition).Restore(position);

    /// <summary>Restores a position that the next checkpoint writes.</summary>
    public void Move(PartitionPosition position)
    {
        Restore(position);
        Touch(Of(position.Partition));
    }

    /// <summary>A record has been applied. Its bytes have to be there until <see cref="Witness"/>.</summary>
    public void Advance(ShardLog log, in LogRecord record)
    {
        if (unwitnessed != log) Witness();
        log.Advance(record);
        unwitnessed = log;
        Touch(log);
    }

    /// <summary>The bytes of the records that were applied may go now.</summary>
    public void Witness()
    {
        unwitnessed?.Witness();
        unwitnessed = null;
    }

    /// <summary>The positions changed since the last call, for a checkpoint.</summary>
    public IReadOnlyList<PartitionPosition> TakeChanged()
    {
        Witness();
        if (dirty.Count == 0) return [];
        var changed = dirty.ConvertAll(log => log.Position);
        foreach (var log in dirty) log.Saved();
        dirty.Clear();
        return changed;
    }

    private void Touch(ShardLog log)
    {
        if (log.Touch()) dirty.Add(log);
    }
}
