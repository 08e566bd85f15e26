using System.Collections.Concurrent;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>When the last record of each source partition came, and how many came a second, over the last ten.</summary>
public sealed class SourceMeter(TimeProvider time)
{
    private const int Seconds = 10;

    private readonly ConcurrentDictionary<TopicPartition, Meter> meters = new();
    private readonly long begun = time.GetTimestamp();

    /// <summary>So many records of a partition have been fetched; the time of the last one, ms.</summary>
    public void Fetched(TopicPartition partition, int count, long lastTimestampMs)
    {
        var meter = meters.GetOrAdd(partition, static _ => new Meter());
        lock (meter)
        {
            var slot = meter.Of(Second());
            meter.Counts[slot] += count;
            meter.LastTimestampMs = lastTimestampMs;
        }
    }

    /// <summary>The last record's own time, ms (null: none was read by this process), and records a second.</summary>
    public (long? LastRecordMs, double PerSecond) Read(TopicPartition partition)
    {
        if (!meters.TryGetValue(partition, out var meter)) return (null, 0);
        lock (meter)
        {
            meter.Of(Second());
            var elapsed = Math.Clamp(time.GetElapsedTime(begun).TotalSeconds, 1, Seconds);
            return (meter.LastTimestampMs, meter.Counts.Sum() / elapsed);
        }
    }

    private long Second() => (long)time.GetElapsedTime(begun).TotalSeconds;

    private sealed class Meter
    {
        private long newest;

        public long[] Counts { get; } = new long[Seconds];
        public long LastTimestampMs { get; set; }

        /// <summary>The place of a second; those that have passed since the newest one begin anew.</summary>
        public int Of(long second)
        {
            for (var passed = Math.Max(newest + 1, second - Seconds + 1); passed <= second; passed++) Counts[passed % Seconds] = 0;
            newest = Math.Max(newest, second);
            return (int)(second % Seconds);
        }
    }
}
