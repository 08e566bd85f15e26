using System.Globalization;
using System.Runtime.InteropServices;
using Analytics.Actors.Node.Hosting;

namespace Analytics.Actors.Tests.Hosting;

/// <summary>A large heap is gathered into huge pages where the system leaves that to a process.</summary>
public class HugePagesTests
{
    private const int Megabyte = 1024 * 1024;

    [Fact]
    public void Only_a_large_heap_is_gathered_and_once_after_each_full_collection()
    {
        var pages = new HugePages();
        pages.IsDue(HugePages.HeapBytesLeast - 1, 7).ShouldBeFalse("a node that does little has no such heap");
        pages.IsDue(HugePages.HeapBytesLeast, 7).ShouldBeTrue();
        pages.Gather(TimeSpan.MaxValue, 7);
        pages.IsDue(HugePages.HeapBytesLeast, 7).ShouldBeFalse();
        pages.IsDue(HugePages.HeapBytesLeast, 8).ShouldBeTrue("the collector has moved what lives");
    }

    [HugePagesFact]
    public void What_the_collector_has_committed_becomes_huge_a_part_at_a_time()
    {
        var held = GC.AllocateUninitializedArray<byte>(64 * Megabyte, pinned: true);
        Array.Fill(held, (byte)1);
        var pages = new HugePages();
        pages.Gather(TimeSpan.FromTicks(-1), 1);
        pages.IsDue(HugePages.HeapBytesLeast, 1).ShouldBeTrue("the time was too short for any");
        pages.Gather(TimeSpan.MaxValue, 1);
        pages.IsDue(HugePages.HeapBytesLeast, 1).ShouldBeFalse();
        HugeBytes(held).ShouldBeGreaterThanOrEqualTo(48 * Megabyte);
        held.AsSpan().IndexOfAnyExcept((byte)1).ShouldBe(-1);
    }

    // Of the mapping in which the array begins.
    private static long HugeBytes(byte[] held)
    {
        var place = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(held, 0);
        var isOurs = false;
        foreach (var line in File.ReadLines("/proc/self/smaps"))
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (!fields[0].EndsWith(':'))
            {
                var ends = fields[0].Split('-').Select(end => ulong.Parse(end, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)).ToArray();
                isOurs = ends[0] <= place && place < ends[1];
            }
            else if (isOurs && fields[0] == "AnonHugePages:")
            {
                return long.Parse(fields[1], CultureInfo.InvariantCulture) * 1024;
            }
        }

        return 0;
    }

    /// <summary>A fact where the system lets a process gather its pages: transparent huge pages, and Linux 6.1 (MADV_COLLAPSE).</summary>
    [AttributeUsage(AttributeTargets.Method)]
    private sealed class HugePagesFactAttribute : FactAttribute
    {
        public HugePagesFactAttribute() => Skip =
            !HugePages.IsAllowed ? "this system has no transparent huge pages, or does not allow them"
            : Environment.OSVersion.Version < new Version(6, 1) ? "this Linux cannot gather pages when a process asks for it (6.1)" : null;
    }
}
