using System.Diagnostics;
using System.Globalization;

namespace Analytics.Actors.Integration.Support;

/// <summary>
/// Ends what a test leaves behind, also where the test itself was killed: a shell that is told what there is on its standard
/// input, and clears it away when that ends, which it does with the test's process at the latest.
/// </summary>
internal sealed class Janitor : IDisposable
{
    // A process id may have been given to somebody else since: only ours is ended.
    private const string Script = """
        while read -r kind name; do
          case $kind in
            process) processes="$processes $name" ;;
            namespace) namespaces="$namespaces $name" ;;
          esac
        done
        for process in $processes; do
          grep -q analytics.dll "/proc/$process/cmdline" 2>/dev/null && kill -9 "$process"
        done
        for namespace in $namespaces; do
          ip netns pids "$namespace" 2>/dev/null | xargs -r kill -9
          ip netns delete "$namespace"
        done
        """;

    private static readonly Lazy<Janitor> OfThisProcess = new(() => new Janitor());

    private readonly Lock gate = new();
    private readonly Process shell;

    public Janitor()
    {
        // A session of its own: an interrupt at the terminal must not reach it.
        var start = new ProcessStartInfo("setsid") { RedirectStandardInput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (var argument in (string[])["sh", "-c", Script]) start.ArgumentList.Add(argument);
        shell = Process.Start(start)!;
        shell.BeginErrorReadLine();
    }

    /// <summary>Has a process of <c>analytics</c> killed that is still there when this process ends.</summary>
    public static void Watch(Process process) => OfThisProcess.Value.Tell($"process {process.Id.ToString(CultureInfo.InvariantCulture)}");

    /// <summary>Has a network namespace removed with all processes in it.</summary>
    public void WatchNamespace(string name) => Tell($"namespace {name}");

    /// <summary>Clears everything away now.</summary>
    public void Dispose()
    {
        shell.StandardInput.Close();
        shell.WaitForExit();
        shell.Dispose();
    }

    private void Tell(string line)
    {
        lock (gate)
        {
            shell.StandardInput.WriteLine(line);
            shell.StandardInput.Flush();
        }
    }
}
