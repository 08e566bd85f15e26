using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Confluent.Kafka;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Makes the native client library known to the managed one. The build without a bundled native part maps the name
/// <c>librdkafka</c> to the system's <c>librdkafka.so.1</c>; the build with one (-p:BundledLibrdkafka=true) maps nothing.
/// </summary>
public static class KafkaNative
{
    internal const string LibraryName = "librdkafka";

    /// <summary>
    /// The native client behind a managed one, as long as which it lives: the one thing that the managed client does not hand out. Throws
    /// <see cref="NotSupportedException"/> where it is not found.
    /// </summary>
    internal static SafeHandle ClientOf(Handle handle) =>
        typeof(Handle).GetProperty("LibrdkafkaHandle", BindingFlags.Instance | BindingFlags.NonPublic)?.GetValue(handle) as SafeHandle
        ?? throw new NotSupportedException($"Confluent.Kafka {typeof(Handle).Assembly.GetName().Version} has no Handle.LibrdkafkaHandle any more, behind which the native client is.");

#if BUNDLED_LIBRDKAFKA
    /// <summary>The package brings its own native library and finds it itself.</summary>
    public static void Initialize()
    {
    }
#else
    private const string SystemLibrary = "librdkafka.so.1";

    // The resolvers must be there before anybody's first call into either assembly, also before one that does not pass
    // through this project; that is what a module initializer is for. It never fails: Initialize says what is missing.
#pragma warning disable CA2255
    [ModuleInitializer]
    internal static void RegisterResolvers()
    {
        NativeLibrary.SetDllImportResolver(typeof(KafkaNative).Assembly, Resolve);
        NativeLibrary.SetDllImportResolver(typeof(Confluent.Kafka.Library).Assembly, Resolve);
    }
#pragma warning restore CA2255

    private static readonly Lazy<IntPtr> Loaded = new(() => NativeLibrary.TryLoad(SystemLibrary, out var handle) ? handle : IntPtr.Zero);

    /// <summary>
    /// To be called before the first client is made; calling it again does nothing. Throws
    /// <see cref="DllNotFoundException"/>, with the package to install, where the library is missing.
    /// </summary>
    public static void Initialize()
    {
        if (Loaded.Value != IntPtr.Zero) return;
        throw new DllNotFoundException(
            $"The Kafka client library {SystemLibrary} is not installed. Install Debian's package librdkafka1 " +
            "(apt-get install librdkafka1), or build with -p:BundledLibrdkafka=true where the package feed has librdkafka.redist.");
    }

    private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath) =>
        name == LibraryName ? Loaded.Value : IntPtr.Zero;
#endif
}
