using System.Reflection;
using System.Runtime.InteropServices;
using SQLitePCL;

namespace Analytics.Actors.Storage;

/// <summary>
/// Finds the native SQLite. On Linux it is the system's <c>libsqlite3.so.0</c>, which gets its security fixes from the
/// distribution; elsewhere the runtime's own search decides. Loaded once per process, before the first connection.
/// </summary>
internal static class SqliteNative
{
    private const string SystemLibrary = "libsqlite3.so.0";

    /// <summary>3.37 brought STRICT tables; RETURNING is older.</summary>
    private const int OldestVersion = 3_037_000;

    /// <summary>Asks whether the file that a connection opened is no longer at its path: SQLITE_FCNTL_HAS_MOVED.</summary>
    private const int HasMovedCode = 20;

    private static FileControl? fileControl;

    private static readonly Lazy<string> Loaded = new(Load);

    /// <summary>Loads the library if that has not happened yet, and returns its version.</summary>
    /// <exception cref="DllNotFoundException">No library, or one that is too old; the message names the package to install.</exception>
    public static string EnsureLoaded() => Loaded.Value;

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int FileControl(nint database, nint name, int code, out int answer);

    /// <summary>
    /// The file that this connection opened was moved, deleted or replaced by another. False where the library cannot tell
    /// (other systems than Linux).
    /// </summary>
    public static bool HasMoved(sqlite3 database)
    {
        if (fileControl is null) return false;
        var result = fileControl(database.DangerousGetHandle(), 0, HasMovedCode, out var moved);
        GC.KeepAlive(database);
        return result == raw.SQLITE_OK && moved != 0;
    }

    private static string Load()
    {
        NativeLibrary.SetDllImportResolver(typeof(SQLite3Provider_e_sqlite3).Assembly, Resolve);
        Batteries_V2.Init();
        var version = raw.sqlite3_libversion().utf8_to_string();
        return raw.sqlite3_libversion_number() >= OldestVersion
            ? version
            : throw new DllNotFoundException($"SQLite {version} is too old, 3.37 or newer is needed (on Debian and Ubuntu: package libsqlite3-0).");
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? search)
    {
        if (name != "e_sqlite3" || !OperatingSystem.IsLinux()) return 0;
        var library = LoadSystemLibrary(SystemLibrary);
        fileControl = Marshal.GetDelegateForFunctionPointer<FileControl>(NativeLibrary.GetExport(library, "sqlite3_file_control"));
        return library;
    }

    internal static nint LoadSystemLibrary(string file) =>
        NativeLibrary.TryLoad(file, out var handle)
            ? handle
            : throw new DllNotFoundException($"The SQLite library {file} is not installed. On Debian and Ubuntu: apt-get install libsqlite3-0.");
}
