using System.Numerics;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// Latencies in milliseconds in fixed memory: exact below 256 ms, to one part in 128 above. Quantiles are upper bounds.
/// </summary>
public sealed class LatencyHistogram
{
    private const int ExactBelow = 256;
    private const int StepsPerDoubling = 128;
    private readonly long[] counts = new long[ExactBelow + StepsPerDoubling * 32];

    public long Count { get; private set; }
    public long MaxMs { get; private set; }

    public void Add(long latencyMs)
    {
        var value = Math.Clamp(latencyMs, 0, int.MaxValue);
        counts[Bucket(value)]++;
        Count++;
        MaxMs = Math.Max(MaxMs, value);
    }

    public void Add(LatencyHistogram other)
    {
        for (var bucket = 0; bucket < counts.Length; bucket++) counts[bucket] += other.counts[bucket];
        Count += other.Count;
        MaxMs = Math.Max(MaxMs, other.MaxMs);
    }

    /// <summary>The latency that this share of all did not exceed; 0 without any.</summary>
    public long Quantile(double share)
    {
        if (Count == 0) return 0;
        var rank = Math.Max(1, (long)Math.Ceiling(share * Count));
        var seen = 0L;
        for (var bucket = 0; bucket < counts.Length; bucket++)
        {
            seen += counts[bucket];
            if (seen >= rank) return Math.Min(UpperBound(bucket), MaxMs);
        }

        return MaxMs;
    }

    // Values of one power of two share 128 buckets; the first doubling after the exact ones is [256, 512).
    private static int Bucket(long value)
    {
        if (value < ExactBelow) return (int)value;
        var doubling = BitOperations.Log2((ulong)value) - 8;
        return ExactBelow + doubling * StepsPerDoubling + (int)((value >> (doubling + 1)) - StepsPerDoubling);
    }

    private static long UpperBound(int bucket)
    {
        if (bucket < ExactBelow) return bucket;
        var doubling = (bucket - ExactBelow) / StepsPerDoubling;
        var step = (bucket - ExactBelow) % StepsPerDoubling;
        return ((long)(step + StepsPerDoubling + 1) << (doubling + 1)) - 1;
    }
}
