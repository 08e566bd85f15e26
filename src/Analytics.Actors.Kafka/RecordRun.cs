using System.Collections.Concurrent;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Records of one partition that were read together, in the order of their offsets, at least one; all of them lie in one
/// chunk. It belongs to whoever takes it, one thread, and is given back once: as a whole (<see cref="Release"/>), or its
/// records one by one to their chunk, and the list alone (<see cref="ReleaseList"/>). What is never given back is only collected.
/// </summary>
public sealed class RecordRun
{
    // Of all lists that wait to be used again: about 2 MB.
    private const int PooledRecordsMax = 16 * 1024;
    private static readonly ConcurrentQueue<List<LogRecord>> Lists = new();
    private static int pooledRecords;

    private readonly List<LogRecord> records;
    private readonly RecordChunk chunk;

    internal RecordRun(TopicPartition partition, int bytes, int count)
    {
        Partition = partition;
        Bytes = bytes;
        chunk = RecordChunk.Rent(bytes, count);
        records = Lists.TryDequeue(out var used) ? used : [];
        Interlocked.Add(ref pooledRecords, -records.Capacity);
        records.EnsureCapacity(count);
    }

    public TopicPartition Partition { get; }

    /// <summary>Of keys and values together.</summary>
    public int Bytes { get; }

    /// <summary>Valid until the list is given back.</summary>
    public IReadOnlyList<LogRecord> Records => records;

    public void Release()
    {
        chunk.Release(records.Count);
        ReleaseList();
    }

    /// <summary>The records go on, each on its own, and are given back by whoever takes them.</summary>
    public void ReleaseList()
    {
        records.Clear();
        if (Interlocked.Add(ref pooledRecords, records.Capacity) <= PooledRecordsMax) Lists.Enqueue(records);
        else Interlocked.Add(ref pooledRecords, -records.Capacity);
    }

    internal void Add(long offset, long timestampMs, ReadOnlySpan<byte> value, bool hasValue, ReadOnlySpan<byte> key, bool hasKey, string? origin) =>
        records.Add(new LogRecord(Partition, offset, timestampMs, chunk.Add(value), hasKey ? chunk.Add(key) : default(ReadOnlyMemory<byte>?), origin, chunk, hasValue));
}
