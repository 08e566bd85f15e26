using System.Runtime.InteropServices;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// The C library's heap, where the Kafka client and SQLite have their memory. As it is, glibc gives each of a node's thirty
/// threads an arena of its own, up to eight for each processor, and learns from the first large block that is freed to
/// keep the next ones there: after a minute four fifths of what it held of the system were free and of no use to anybody.
/// Another C library (musl) has none of this and is left alone, and so is what the environment says (MALLOC_ARENA_MAX and others).
/// </summary>
internal static partial class NativeHeap
{
    // M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of malloc.h.
    private const int TrimThreshold = -1, MappingThreshold = -3, ArenasMax = -8;

    // As many threads as this allocate side by side without waiting for each other; a node's busy ones are fewer.
    private const int Arenas = 2;

    // Larger blocks (answers to fetches) are mapped one by one, and are the system's again when they are freed.
    private const int MappedFrom = 128 * 1024;

    /// <summary>To be called before there are threads: arenas that exist stay.</summary>
    public static void Bound()
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            Set("MALLOC_ARENA_MAX", ArenasMax, Arenas);
            Set("MALLOC_MMAP_THRESHOLD_", MappingThreshold, MappedFrom);
            Set("MALLOC_TRIM_THRESHOLD_", TrimThreshold, MappedFrom);
        }
        catch (Exception unknown) when (unknown is EntryPointNotFoundException or DllNotFoundException)
        {
            // Not glibc.
        }
    }

    /// <summary>Gives the system back what is free.</summary>
    public static void Trim()
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            _ = malloc_trim(0);
        }
        catch (Exception unknown) when (unknown is EntryPointNotFoundException or DllNotFoundException)
        {
            // Not glibc.
        }
    }

    private static void Set(string variable, int parameter, int value)
    {
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable(variable))) _ = mallopt(parameter, value);
    }

    [LibraryImport("libc.so.6")]
    private static partial int mallopt(int parameter, int value);

    [LibraryImport("libc.so.6")]
    private static partial int malloc_trim(nuint pad);
}
