using System.Runtime.InteropServices;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Makes clients whose threads do not spin. Before 2.4 (librdkafka issue 4684) a client's main thread waits for its next timer in whole
/// milliseconds, rounded down, and spends the rest, most of a millisecond for each timer, in a loop: of an idle node that was a third
/// of its processor time. The kernel may let these threads' waits for a time end later; those for something to happen end as
/// before. Threads take over how late from the one that begins them.
/// </summary>
internal static partial class ClientThreads
{
    // PR_SET_TIMERSLACK of linux/prctl.h; 0 is what the thread had at its beginning.
    private const int SetTimerSlack = 29;
    private const nuint Usual = 0;

    // Two ticks of the kernel: however busy the machine, the timer is due when the thread runs. Heartbeats and refreshes of metadata,
    // which is what these threads wait for, are a matter of hundreds of milliseconds.
    private const nuint LateNanoseconds = 10_000_000;

    // 2.2 is the first that has waits of a few milliseconds which matter: fetch.queue.backoff.ms.
    private const int WithShortWaits = 0x02020000;

    /// <param name="configuration">What the client is made of.</param>
    public static T Build<T>(IReadOnlyDictionary<string, string> configuration, Func<T> build)
    {
        KafkaNative.Initialize();
        if (!MayBeLate(configuration, Confluent.Kafka.Library.Version)) return build();
        Set(LateNanoseconds);
        try
        {
            return build();
        }
        finally
        {
            Set(Usual);
        }
    }

    /// <summary>No wait of such a client is so short that it matters how late it ends.</summary>
    internal static bool MayBeLate(IReadOnlyDictionary<string, string> configuration, int version) =>
        OperatingSystem.IsLinux() && version < WithShortWaits && new[] { "linger.ms", "queue.buffering.max.ms" }.All(linger => configuration.GetValueOrDefault(linger, "0") == "0");

    private static void Set(nuint nanoseconds)
    {
        try
        {
            // Where it is refused (a sandbox), the threads spin, and do the same.
            _ = prctl(SetTimerSlack, nanoseconds, 0, 0, 0);
        }
        catch (Exception unknown) when (unknown is EntryPointNotFoundException or DllNotFoundException)
        {
            // Not glibc.
        }
    }

    [LibraryImport("libc.so.6")]
    private static partial int prctl(int option, nuint first, nuint second, nuint third, nuint fourth);
}
