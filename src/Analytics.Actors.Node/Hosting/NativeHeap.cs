using System.Runtime.InteropServices;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// The C library's heap, where the Kafka client and SQLite have their memory. As it is, glibc gives a node's forty threads
/// arenas of their own, up to eight for each processor, and keeps in each what it once held: after two minutes four fifths of
/// 111 MB were free and of no use to anybody. Another C library (musl) is left alone, and so is what the environment says.
/// </summary>
internal static partial class NativeHeap
{
    // M_ARENA_MAX of malloc.h.
    private const int ArenasMax = -8;

    // So many threads allocate without waiting for each other; those that are busy at once are fewer. The runtime has as many already
    // when the program begins.
    private const int Arenas = 4;

    /// <summary>To be called first of all: arenas that exist stay.</summary>
    public static void Bound()
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("MALLOC_ARENA_MAX"))) _ = mallopt(ArenasMax, Arenas);
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

    [LibraryImport("libc.so.6")]
    private static partial int mallopt(int parameter, int value);

    [LibraryImport("libc.so.6")]
    private static partial int malloc_trim(nuint pad);
}
