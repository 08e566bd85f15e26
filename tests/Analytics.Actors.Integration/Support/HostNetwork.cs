using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Analytics.Actors.Integration.Support;

/// <summary>A test that needs hosts of its own; skipped, with the reason, where there can be none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class HostsFactAttribute : FactAttribute
{
    public HostsFactAttribute() => Skip = HostNetwork.Missing();
}

/// <summary>
/// Hosts as network namespaces of Linux, each with a link and an address of its own to a router between them, which passes
/// everything on, or loses what one host sends to another. The machine's own network has no part in it. Namespaces are named
/// after this process and go with it, whatever becomes of it.
/// </summary>
internal sealed partial class HostNetwork : IDisposable
{
    private const string NamePrefix = "analytics-test-";
    private const string Router = "router";
    private const int NewNetwork = 0x40000000;

    private static int networks;

    private readonly int number = Interlocked.Increment(ref networks);
    private readonly List<string> hosts;
    private readonly Janitor janitor = new();

    public HostNetwork(params IReadOnlyList<string> hosts)
    {
        RemoveLeftovers();
        this.hosts = [.. hosts];
        try
        {
            foreach (var host in this.hosts.Append(Router))
            {
                janitor.WatchNamespace(Namespace(host));
                Ip("netns", "add", Namespace(host));
                Ip("-n", Namespace(host), "link", "set", "lo", "up");
            }

            for (var index = 0; index < this.hosts.Count; index++)
            {
                var (at, link, subnet) = (Namespace(this.hosts[index]), Text($"host{index + 1}"), Text($"198.18.{index + 1}"));
                Ip("link", "add", "eth0", "netns", at, "type", "veth", "peer", "name", link, "netns", Namespace(Router));
                Ip("-n", at, "address", "add", $"{subnet}.2/24", "dev", "eth0");
                Ip("-n", at, "link", "set", "eth0", "up");
                Ip("-n", Namespace(Router), "address", "add", $"{subnet}.1/24", "dev", link);
                Ip("-n", Namespace(Router), "link", "set", link, "up");
                Ip("-n", at, "route", "add", "default", "via", $"{subnet}.1");
            }

            Run("ip", "netns", "exec", Namespace(Router), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Why there can be no such network here; null where there can.</summary>
    public static string? Missing()
    {
        var name = Text($"{NamePrefix}{Environment.ProcessId}-trial");
        if (Environment.UserName != "root") return "network namespaces need root";
        try
        {
            Ip("netns", "add", name);
            Ip("netns", "delete", name);
            return null;
        }
        catch (Exception refused) when (refused is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return $"no network namespaces here: {refused.Message}";
        }
    }

    /// <summary>The host's namespace as <c>ip netns exec</c> wants it.</summary>
    public string Namespace(string host) => Text($"{NamePrefix}{Environment.ProcessId}-{number}-{host}");

    public IPAddress Address(string host) => IPAddress.Parse(Text($"198.18.{Index(host) + 1}.2"));

    /// <summary>From now on nothing that one host sends to the other arrives; nobody is told. The other way stays as it is.</summary>
    public void Lose(string from, string to) => Ip("-n", Namespace(Router), "rule", "add", "from", $"{Address(from)}", "to", $"{Address(to)}", "priority", Rule(from, to), "type", "blackhole");

    public void Arrive(string from, string to) => Ip("-n", Namespace(Router), "rule", "delete", "priority", Rule(from, to));

    /// <summary>A socket of that host, for TCP; null: of this process's own.</summary>
    public Socket NewSocket(string? host)
    {
        if (host is null) return new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Socket? made = null;
        Exception? failure = null;
        // A socket belongs for ever to the namespace of the thread that makes it, so a thread goes there to make it.
        var thread = new Thread(() =>
        {
            try
            {
                using var at = File.OpenHandle($"/run/netns/{Namespace(host)}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                if (SetNamespace(at.DangerousGetHandle().ToInt32(), NewNetwork) != 0) throw new InvalidOperationException($"error {Marshal.GetLastPInvokeError()}");
                made = NewSocket(null);
            }
            catch (Exception refused)
            {
                failure = refused;
            }
        });
        thread.Start();
        thread.Join();
        return made ?? throw new InvalidOperationException($"no socket in {Namespace(host)}: {failure!.Message}", failure);
    }

    /// <summary>A client whose connections begin at that host.</summary>
    public HttpClient NewHttpClient(string host, TimeSpan timeout) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (context, cancellation) =>
        {
            var socket = NewSocket(host);
            try
            {
                await socket.ConnectAsync(IPAddress.Parse(context.DnsEndPoint.Host), context.DnsEndPoint.Port, cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        },
    })
    {
        Timeout = timeout,
    };

    /// <summary>Ends every process in the hosts, and removes them.</summary>
    public void Dispose() => janitor.Dispose();

    private int Index(string host) => hosts.IndexOf(host) is var index and >= 0 ? index : throw new ArgumentException($"there is no host {host}");

    private string Rule(string from, string to) => Text($"{100 + Index(from) * 100 + Index(to)}");

    // Of a run whose janitor was killed as well.
    private static void RemoveLeftovers()
    {
        if (!Directory.Exists("/run/netns")) return;
        using var janitor = new Janitor();
        foreach (var name in Directory.EnumerateFiles("/run/netns", NamePrefix + "*").Select(file => Path.GetFileName(file)))
        {
            if (int.TryParse(name[NamePrefix.Length..].Split('-')[0], CultureInfo.InvariantCulture, out var process) && !Directory.Exists(Text($"/proc/{process}"))) janitor.WatchNamespace(name);
        }
    }

    private static void Ip(params IReadOnlyList<string> arguments) => Run("ip", arguments);

    private static void Run(string program, params IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardError = true, UseShellExecute = false };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {errors.Trim()}");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetNamespace(int descriptor, int kind);
}
