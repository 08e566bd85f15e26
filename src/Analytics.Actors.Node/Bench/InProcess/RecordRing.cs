using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>
/// Records made before a measurement, as the client would have read them: in runs of one partition, each with its values and keys
/// side by side in a block. There is more of them than a processor's cache holds, as in the full mailbox of a node. They are read again and again, each time at later offsets and times, so that a measurement may be longer than
/// memory has room for records.
/// </summary>
internal sealed class RecordRing
{
    private readonly List<Run> runs = [];
    private readonly Dictionary<TopicPartition, long> counts = [];
    private readonly long roundMs;
    private int next;

    /// <param name="from">Number of the first record.</param>
    /// <param name="count">Records of a round.</param>
    /// <param name="shards">Partitions of each topic; records go where Kafka's partitioner puts their keys.</param>
    /// <param name="perRun">Records of one partition that come together.</param>
    /// <param name="ends">Where the logs end, if they are not empty; they end behind this ring then.</param>
    public RecordRing(Workload workload, long from, int count, int shards, int perRun = 100, Dictionary<TopicPartition, long>? ends = null)
    {
        ends ??= [];
        Count = count;
        FirstMs = workload.At(from).TimestampMs;
        var open = new Dictionary<TopicPartition, Run>();
        for (var number = from; number < from + count; number++)
        {
            var made = workload.At(number);
            var partition = new TopicPartition(made.Topic, Murmur2.Partition(made.Key, shards));
            if (!open.TryGetValue(partition, out var run)) open.Add(partition, run = new Run(partition, perRun));
            counts[partition] = counts.GetValueOrDefault(partition) + 1;
            var offset = ends.GetValueOrDefault(partition);
            ends[partition] = offset + 1;
            run.Add(new LogRecord(partition, offset, made.TimestampMs, made.Value, made.Key));
            Bytes += made.Value.Length;
            LastMs = made.TimestampMs;
            if (run.Count < perRun) continue;
            runs.Add(run);
            open.Remove(partition);
        }

        runs.AddRange(open.Values);
        foreach (var run in runs) run.Pack();
        roundMs = workload.At(from + count).TimestampMs - FirstMs;
    }

    /// <summary>Records of a round, and the bytes of their values.</summary>
    public int Count { get; }
    public long Bytes { get; }

    /// <summary>Times of the first and the last record, in the current round.</summary>
    public long FirstMs { get; private set; }
    public long LastMs { get; private set; }

    /// <summary>The values of a round's records, in no order.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> Values => runs.SelectMany(run => run.Records).Select(record => record.Value);

    /// <summary>Reads so many records or a few more, and goes on from there the next time, from round to round; returns how many.</summary>
    public int Read(CoreDriver core, int records, Clock clock)
    {
        var read = 0;
        while (read < records)
        {
            var run = runs[next];
            core.Read(run.Partition, run.Records, clock.NowMs);
            clock.Count += run.Count;
            read += run.Count;
            if (++next < runs.Count) continue;
            next = 0;
            GoOn();
        }

        core.Settle(clock.NowMs);
        return read;
    }

    // The next round: the same records, where the logs go on.
    private void GoOn()
    {
        FirstMs += roundMs;
        LastMs += roundMs;
        foreach (var run in runs) run.GoOn(counts[run.Partition], roundMs);
    }

    /// <summary>Records of one partition that come together.</summary>
    private sealed class Run(TopicPartition partition, int most)
    {
        private readonly LogRecord[] records = new LogRecord[most];

        public TopicPartition Partition => partition;
        public int Count { get; private set; }
        public IReadOnlyList<LogRecord> Records => Count == records.Length ? records : new ArraySegment<LogRecord>(records, 0, Count);

        public void Add(in LogRecord record) => records[Count++] = record;

        /// <summary>Puts the bytes of the records into one block.</summary>
        public void Pack()
        {
            var block = new byte[records.Sum(record => record.Value.Length + (record.Key?.Length ?? 0))];
            var used = 0;
            foreach (ref var record in records.AsSpan(0, Count))
            {
                record = record with { Value = Moved(record.Value), Key = record.Key is { } key ? Moved(key) : default(ReadOnlyMemory<byte>?) };
            }

            ReadOnlyMemory<byte> Moved(ReadOnlyMemory<byte> bytes)
            {
                var moved = block.AsMemory(used, bytes.Length);
                bytes.CopyTo(moved);
                used += bytes.Length;
                return moved;
            }
        }

        public void GoOn(long count, long timeMs)
        {
            foreach (ref var record in records.AsSpan(0, Count))
                record = record with { Offset = record.Offset + count, TimestampMs = record.TimestampMs + timeMs };
        }
    }
}

/// <summary>A node's clock: it goes on with the records that were read, a millisecond for so many.</summary>
internal sealed class Clock(long startMs, double recordsPerMs)
{
    public long Count { get; set; }

    public long NowMs => startMs + (long)(Count / recordsPerMs);
}
