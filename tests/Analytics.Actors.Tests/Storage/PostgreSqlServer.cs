using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Analytics.Actors.Tests.Storage;

/// <summary>
/// A PostgreSQL server of the tests' own, made with the machine's binaries in a temporary folder, on a free port of
/// loopback. Each test takes a schema of its own in its one database. The server ends with the object, or with the process.
/// </summary>
public sealed class PostgreSqlServer : IDisposable
{
    private const string User = "postgres";
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("analytics-pg-");
    private readonly string binaries = FindBinaries();
    private readonly string? networkNamespace;
    private readonly string host;
    private bool isDisposed;

    public PostgreSqlServer() : this("127.0.0.1", null)
    {
    }

    private PostgreSqlServer(string host, string? networkNamespace)
    {
        (this.host, this.networkNamespace) = (host, networkNamespace);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Dispose();
        if (Environment.UserName == "root") Run("chown", User, folder.FullName);
        RunServerTool("initdb", "-D", Data, "-U", User, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync");
        if (networkNamespace is not null) File.AppendAllText(Path.Combine(Data, "pg_hba.conf"), "host all all 198.18.0.0/15 trust\n");
        // Somebody else may take the port between the look and the start.
        for (var attempt = 1; ; attempt++)
        {
            Port = FreePort();
            try
            {
                Start();
                return;
            }
            catch (InvalidOperationException) when (attempt < 5)
            {
            }
        }
    }

    /// <summary>A server in a network namespace, which this process still reaches by its socket.</summary>
    /// <param name="host">The address that it listens on; any host of 198.18.0.0/15 may sign in.</param>
    public static PostgreSqlServer StartIn(string networkNamespace, string host) => new(host, networkNamespace);

    public int Port { get; private set; }

    private string Data => Path.Combine(folder.FullName, "data");

    /// <summary>A connection string for a schema of this name, which is made where it is missing.</summary>
    /// <param name="port">Another port than the server's, for a proxy in front of it.</param>
    public string Schema(string name, int? port = null)
    {
        Execute($"CREATE SCHEMA IF NOT EXISTS \"{name}\"");
        return $"{Address(host, port ?? Port)};Search Path={name}";
    }

    public string NewSchema() => Schema($"test_{Guid.NewGuid():n}");

    /// <summary>A backup of a schema as an operator makes it, while it is in use.</summary>
    public string Dump(string schema)
    {
        var dump = Path.Combine(folder.FullName, $"{Guid.NewGuid():n}.dump");
        RunServerTool("pg_dump", "-h", folder.FullName, "-p", $"{Port}", "-U", User, "--schema", schema, "--format=custom", "--file", dump, "postgres");
        return dump;
    }

    /// <summary>Puts a backup in the place of a schema.</summary>
    public void Restore(string schema, string dump)
    {
        Execute($"DROP SCHEMA \"{schema}\" CASCADE");
        RunServerTool("pg_restore", "-h", folder.FullName, "-p", $"{Port}", "-U", User, "--dbname", "postgres", "--exit-on-error", dump);
    }

    /// <summary>Runs a statement as an administrator, in no schema of a test; returns its first value.</summary>
    public object? Execute(string sql)
    {
        using var connection = new NpgsqlConnection(Administration + ";Pooling=false");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    public void Start() => RunServerTool("pg_ctl", "start", "-w", "-s", "-D", Data, "-l", Path.Combine(folder.FullName, "log"), "-o",
        $"-p {Port} -c listen_addresses={host} -c unix_socket_directories={folder.FullName} -c max_connections=60 -c log_min_messages=warning");

    /// <param name="mode">fast: as an administrator does it; immediate: as a crash does.</param>
    public void Stop(string mode) => RunServerTool("pg_ctl", "stop", "-w", "-s", "-D", Data, "-m", mode);

    public void Dispose()
    {
        if (isDisposed) return;
        isDisposed = true;
        try
        {
            if (File.Exists(Path.Combine(Data, "postmaster.pid"))) Stop("immediate");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>
    /// A port that nobody has now and that no connection is given by chance (Linux gives those from 32768 on): a server that is
    /// stopped for a while finds its port again.
    /// </summary>
    public static int FreePort()
    {
        while (true)
        {
            var port = Random.Shared.Next(20_000, 32_000);
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // Taken.
            }
        }
    }

    /// <summary>How this process reaches the server, wherever that runs.</summary>
    public string Administration => Address(networkNamespace is null ? host : folder.FullName, Port);

    private static string Address(string host, int port) => string.Create(CultureInfo.InvariantCulture, $"Host={host};Port={port};Username={User};Database=postgres;SSL Mode=Disable");

    // Debian keeps the server's programs out of PATH, a folder for each version.
    private static string FindBinaries()
    {
        const string Versions = "/usr/lib/postgresql";
        var newest = Directory.Exists(Versions) ? Directory.EnumerateDirectories(Versions).OrderByDescending(name => int.TryParse(Path.GetFileName(name), out var version) ? version : 0).FirstOrDefault() : null;
        var found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Prepend(Path.Combine(newest ?? "", "bin")).FirstOrDefault(path => File.Exists(Path.Combine(path, "pg_ctl")));
        return found ?? throw new InvalidOperationException("These tests need PostgreSQL's own programs. On Debian and Ubuntu: apt-get install postgresql.");
    }

    // The server refuses to run as root.
    private void RunServerTool(string tool, params string[] arguments)
    {
        var path = Path.Combine(binaries, tool);
        if (networkNamespace is not null) Run("ip", ["netns", "exec", networkNamespace, "runuser", "-u", User, "--", path, .. arguments]);
        else if (Environment.UserName == "root") Run("runuser", ["-u", User, "--", path, .. arguments]);
        else Run(path, arguments);
    }

    private void Run(string program, params string[] arguments)
    {
        // Output goes to a file: the server would keep a pipe open.
        var log = Path.Combine(folder.FullName, "tools.log");
        var start = new ProcessStartInfo("sh") { WorkingDirectory = folder.FullName };
        foreach (var argument in (string[])["-c", "log=$1; shift; exec \"$@\" < /dev/null > \"$log\" 2>&1", "sh", log, program, .. arguments]) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {(File.Exists(log) ? File.ReadAllText(log) : "")}");
    }
}

/// <summary>One server for all tests that use it; they run one after the other, because some of them restart it.</summary>
[CollectionDefinition(Name)]
public sealed class PostgreSqlTests : ICollectionFixture<PostgreSqlServer>
{
    public const string Name = "PostgreSQL";
}
