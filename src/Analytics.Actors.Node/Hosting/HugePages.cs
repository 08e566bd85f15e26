using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Gathers the managed heap into pages of 2 MB where the system allows that and does not do it by itself (Linux, transparent huge pages
/// on <c>madvise</c>). Of a heap of a gigabyte each record meets several pages that the processor has to look up: with a million stations
/// a record costs a sixth less.
/// </summary>
/// <remarks>
/// The collector commits its memory little by little, so that to ask for huge pages beforehand gives none. What is gathered was committed
/// already, but a page of it that nobody has touched yet becomes memory in use. Where anything is not possible nothing happens.
/// </remarks>
internal sealed partial class HugePages
{
    /// <summary>What the heap has of the system before it is worth it; none of a node that does little.</summary>
    public const long HeapBytesLeast = 512L * 1024 * 1024;

    private const string Setting = "/sys/kernel/mm/transparent_hugepage/enabled", Mappings = "/proc/self/maps";
    private const int Collapse = 25;
    private const ulong PageBytes = 2UL * 1024 * 1024;

    // The collector's regions are so large and so aligned; stacks are not both, and of the C library's arenas only one that has grown large.
    private const ulong RegionBytes = 4UL * 1024 * 1024;

    // What one call gathers: whoever needs a new page just then waits for that of one.
    private const ulong CallBytes = 8 * PageBytes;

    private readonly bool isAllowed = IsAllowed;
    private long? gatheredAfter;
    private long roundAfter;
    private ulong next;

    /// <summary>The system leaves it to each process, or does it for all.</summary>
    public static bool IsAllowed
    {
        get
        {
            try
            {
                return OperatingSystem.IsLinux() && File.ReadAllText(Setting) is var said && (said.Contains("[madvise]", StringComparison.Ordinal) || said.Contains("[always]", StringComparison.Ordinal));
            }
            catch (Exception unknown) when (unknown is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    /// <summary>
    /// There is something to gather: the heap is large, and the full collection that changed it has not been followed by a whole
    /// <see cref="Gather(TimeSpan, long)"/>.
    /// </summary>
    /// <param name="heapBytes">What the heap has of the system.</param>
    /// <param name="fullCollections">So far.</param>
    public bool IsDue(long heapBytes, long fullCollections) => heapBytes >= HeapBytesLeast && gatheredAfter != fullCollections;

    /// <summary>Gathers the heap, from where the last time ended.</summary>
    /// <param name="limit">About how long it may take; the rest is left to the next time.</param>
    /// <param name="fullCollections">So far.</param>
    public void Gather(TimeSpan limit, long fullCollections)
    {
        // One that comes in the midst changes what was gathered before it.
        if (next == 0) roundAfter = fullCollections;
        if (isAllowed && !Gather(limit)) return;
        (gatheredAfter, next) = (roundAfter, 0);
    }

    // False where the time was too short.
    private bool Gather(TimeSpan limit)
    {
        var begun = Stopwatch.GetTimestamp();
        try
        {
            foreach (var line in File.ReadLines(Mappings))
            {
                if (!TryRead(line, out var first, out var end)) continue;
                for (first = Math.Max(first, next); first + PageBytes <= end; next = first)
                {
                    if (Stopwatch.GetElapsedTime(begun) > limit) return false;
                    var bytes = Math.Min(CallBytes, (end - first) / PageBytes * PageBytes);
                    // What is refused, as by a kernel before 6.1, stays as it is.
                    _ = madvise((nuint)first, (nuint)bytes, Collapse);
                    first += bytes;
                }
            }
        }
        catch (Exception unknown) when (unknown is IOException or UnauthorizedAccessException or EntryPointNotFoundException or DllNotFoundException)
        {
            // No /proc, or another system's library.
        }

        return true;
    }

    // Private memory that may be written and belongs to no file: "7f4651800000-7f4652cb9000 rw-p 00000000 00:00 0".
    private static bool TryRead(string line, out ulong first, out ulong end)
    {
        (first, end) = (0, 0);
        Span<Range> fields = stackalloc Range[6];
        if (line.AsSpan().Split(fields, ' ', StringSplitOptions.RemoveEmptyEntries) != 5) return false;
        var place = line.AsSpan(fields[0]);
        var hyphen = place.IndexOf('-');
        return line.AsSpan(fields[1]) is "rw-p" && line.AsSpan(fields[4]) is "0"
            && ulong.TryParse(place[..hyphen], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out first)
            && ulong.TryParse(place[(hyphen + 1)..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out end)
            && first % RegionBytes == 0 && end - first >= RegionBytes;
    }

    [LibraryImport("libc")]
    private static partial int madvise(nuint address, nuint length, int advice);
}
