using System.Diagnostics;
using System.Globalization;
using System.Runtime;
using Analytics.Actors.Core.Records;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Gives back what a flood has left behind. What the collector and the C library hold free they keep for the next flood, for
/// minutes or for ever; but whoever sizes a small machine goes by what a node uses, and has to see it fall. One of a process.
/// </summary>
internal sealed class MemoryKeeper : IDisposable
{
    private const long Megabyte = 1024 * 1024;

    private static readonly EventId Returned = new(50, "MemoryReturned");
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(5), FloodEvery = TimeSpan.FromSeconds(30), IdleEvery = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan PatienceMost = TimeSpan.FromHours(1), GatherMost = TimeSpan.FromMilliseconds(100);

    private readonly ILogger logger;
    private readonly HugePages? hugePages;
    private readonly Timer timer;
    private readonly Lock gate = new();
    private readonly long startedAt = Stopwatch.GetTimestamp();
    private long allocated;
    private long peak;
    private long? collectedAt;
    private TimeSpan patience = PatienceLeast;

    /// <param name="hugePages">Gathers a large heap; null: nothing does.</param>
    public MemoryKeeper(ILogger logger, HugePages? hugePages = null)
    {
        this.logger = logger;
        this.hugePages = hugePages;
        timer = new Timer(_ => Look(), null, LookEvery, LookEvery);
    }

    /// <summary>How long a heap is left alone at first that has more than what lives in it seems to need.</summary>
    public static TimeSpan PatienceLeast => FloodEvery;

    public void Dispose() => timer.Dispose();

    /// <summary>What is to be done for the managed heap now.</summary>
    public static MemoryStep Decide(in MemoryReading reading)
    {
        var (isOver, isIdle) = (IsOver(reading), IsIdle(reading));
        // A heap that works may hold as much again as what lives in it; what is far beyond that was a flood's.
        var isBloated = reading.Committed - reading.Live > Math.Max(64 * Megabyte, reading.Live) && reading.SinceCollection >= reading.Patience;
        if (!isOver && !isIdle && !isBloated) return MemoryStep.None;
        // Compacting stops all threads, for about a millisecond per megabyte that lives.
        if (reading.Live <= 128 * Megabyte) return MemoryStep.Compact;
        // Beside the work nothing is compacted: it finds what a flood has left, and gains nothing of a heap that works.
        return isOver || isIdle ? MemoryStep.CollectBeside : MemoryStep.None;
    }

    /// <summary>How long a heap is left alone that has more than it seems to need, after a collection.</summary>
    /// <remarks>
    /// One that gets as large again while it works is large because of the work: half a minute of it, with a tenth of a second or
    /// more in which all threads wait, is worth no memory. After a flood it begins anew.
    /// </remarks>
    public static TimeSpan NextPatience(in MemoryReading reading)
    {
        if (IsOver(reading) || IsIdle(reading)) return PatienceLeast;
        var twice = reading.Patience * 2;
        return twice < PatienceMost ? twice : PatienceMost;
    }

    // A flood is over. What it has left is garbage that nothing makes the collector look for. Of work that comes in bursts each one
    // looks like a flood: not all of them are worth that everything stops.
    private static bool IsOver(in MemoryReading reading) =>
        reading.PeakAllocated >= 32 * Megabyte && reading.Allocated <= reading.PeakAllocated / 4 && reading.SinceCollection >= FloodEvery;

    // So is what stations were that have left memory since.
    private static bool IsIdle(in MemoryReading reading) => reading.Allocated < 5 * Megabyte && reading.SinceCollection >= IdleEvery;

    private void Look()
    {
        // One that takes longer than the pause between two.
        if (!gate.TryEnter()) return;
        try
        {
            BufferPool.Shared.Shrink();
            var (before, info) = (allocated, GC.GetGCMemoryInfo(GCKind.Any));
            allocated = GC.GetTotalAllocatedBytes();
            peak = Math.Max(peak, allocated - before);
            var reading = new MemoryReading(
                allocated - before, peak, Stopwatch.GetElapsedTime(collectedAt ?? startedAt), info.TotalCommittedBytes, info.HeapSizeBytes - info.FragmentedBytes, patience);
            var step = Decide(reading);
            var begun = Stopwatch.GetTimestamp();
            if (step != MemoryStep.None)
            {
                Collect(step);
                patience = NextPatience(reading);
            }

            NativeHeap.Trim();
            if (GC.CollectionCount(GC.MaxGeneration) is var collections && hugePages?.IsDue(info.TotalCommittedBytes, collections) == true) hugePages.Gather(GatherMost, collections);
            if (step == MemoryStep.None) return;
            logger.LogInformation(
                Returned, "MemoryReturned: the heap had {Before} MB of the system and has {After} MB, {Milliseconds} ms",
                info.TotalCommittedBytes / Megabyte, GC.GetGCMemoryInfo(GCKind.Any).TotalCommittedBytes / Megabyte, Text(Stopwatch.GetElapsedTime(begun).TotalMilliseconds));
        }
        finally
        {
            gate.Exit();
        }
    }

    private void Collect(MemoryStep step)
    {
        if (step == MemoryStep.Compact)
        {
            GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        }
        else
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
        }

        (collectedAt, peak) = (Stopwatch.GetTimestamp(), 0);
    }

    private static string Text(double milliseconds) => milliseconds.ToString("0", CultureInfo.InvariantCulture);
}

/// <summary>What is known of the managed heap; all in bytes.</summary>
/// <param name="Allocated">In the last five seconds.</param>
/// <param name="PeakAllocated">The most in five seconds since it was last collected for its size.</param>
/// <param name="SinceCollection">Since then, or since the start.</param>
/// <param name="Committed">What the heap had of the system after the last collection of any kind.</param>
/// <param name="Live">What lived in it then, and what that collection did not look at.</param>
/// <param name="Patience">How long after a collection a heap is left alone that has more than it seems to need.</param>
internal readonly record struct MemoryReading(long Allocated, long PeakAllocated, TimeSpan SinceCollection, long Committed, long Live, TimeSpan Patience);

/// <summary>What is done for the managed heap.</summary>
internal enum MemoryStep
{
    None,

    /// <summary>Collected and compacted while all threads wait.</summary>
    Compact,

    /// <summary>Collected while the threads go on.</summary>
    CollectBeside,
}
