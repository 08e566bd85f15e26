using System.Diagnostics;
using System.Runtime.InteropServices;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Integration.Support;

/// <summary>Signals that tests send, by their Linux numbers.</summary>
internal enum Signal
{
    Interrupt = 2,
    Kill = 9,
    Terminate = 15,
    Continue = 18,
    Stop = 19,
}

/// <summary>The executable as a process of its own, with everything that it wrote; killed with the test where it still runs.</summary>
internal sealed partial class AnalyticsProcess : IDisposable
{
    private static readonly TimeSpan OutputLimit = TimeSpan.FromSeconds(10);

    private readonly Process process;
    private readonly string arguments;
    private readonly Lock gate = new();
    private readonly List<string> output = [];
    private readonly List<string> errors = [];
    private readonly List<(Predicate<string> IsMeant, TaskCompletionSource<string> Found)> waiting = [];

    private AnalyticsProcess(Process process, string arguments)
    {
        this.process = process;
        this.arguments = arguments;
        process.OutputDataReceived += (_, line) => Take(output, line.Data);
        process.ErrorDataReceived += (_, line) => Take(errors, line.Data);
        process.Start();
        Janitor.Watch(process);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public string Output
    {
        get { lock (gate) return string.Join('\n', output); }
    }

    public string Errors
    {
        get { lock (gate) return string.Join('\n', errors); }
    }

    public bool HasExited => process.HasExited;

    /// <summary>The process id.</summary>
    public int Id => process.Id;

    /// <summary>Starts the program that was built with this test.</summary>
    public static AnalyticsProcess Start(string directory, params IReadOnlyList<string> arguments) => Start(directory, [], arguments);

    /// <summary>The same, with these variables in its environment.</summary>
    /// <param name="networkNamespace">Where it runs; null: where the test does.</param>
    public static AnalyticsProcess Start(
        string directory, IReadOnlyList<(string Name, string Value)> environment, IReadOnlyList<string> arguments, string? networkNamespace = null)
    {
        // "ip netns exec" becomes the program: the process is the same, and so are its signals.
        var start = new ProcessStartInfo(networkNamespace is null ? "dotnet" : "ip")
        {
            WorkingDirectory = directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        if (networkNamespace is not null)
        {
            foreach (var argument in (string[])["netns", "exec", networkNamespace, "dotnet"]) start.ArgumentList.Add(argument);
        }

        start.ArgumentList.Add(Program());
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        // What the person who runs the tests has set for a node of theirs must not reach these.
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("ANALYTICS__", StringComparison.Ordinal)).ToList()) start.Environment.Remove(name);
        foreach (var name in new[] { "LOG_LEVEL", "DATA_ANALYSIS_LOG", "DATA_ANALYSIS_CONFIG", "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", CrashPoint.Variable }) start.Environment.Remove(name);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return new AnalyticsProcess(new Process { StartInfo = start }, string.Join(' ', arguments));
    }

    /// <summary>The first line of standard output that fits, written already or still to come.</summary>
    public Task<string> LineAsync(Predicate<string> isMeant, TimeSpan limit)
    {
        TaskCompletionSource<string> found;
        lock (gate)
        {
            if (output.Find(isMeant) is { } line) return Task.FromResult(line);
            found = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
            waiting.Add((isMeant, found));
        }

        return Wait.ForAsync(found.Task, limit, () => $"a line of 'analytics {arguments}', which {State()}");
    }

    /// <summary>A line for its standard input; the answer is the next line that fits.</summary>
    public Task<string> AskAsync(string line, Predicate<string> isAnswer, TimeSpan limit)
    {
        process.StandardInput.WriteLine(line);
        process.StandardInput.Flush();
        return LineAsync(isAnswer, limit);
    }

    public void Send(Signal signal)
    {
        if (Kill(process.Id, (int)signal) != 0) throw new InvalidOperationException($"signal {signal} could not be sent: error {Marshal.GetLastPInvokeError()}; 'analytics {arguments}' {State()}");
    }

    /// <summary>Waits for the end, with all of the output read; the exit code.</summary>
    public async Task<int> ExitAsync(TimeSpan limit)
    {
        using var late = new CancellationTokenSource(limit);
        try
        {
            await process.WaitForExitAsync(late.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"not within {limit.TotalSeconds:0.#} s: the end of 'analytics {arguments}', which {State()}");
        }

        // The pipes may hold lines still; both end after the process.
        process.WaitForExit(OutputLimit);
        return process.ExitCode;
    }

    public string State()
    {
        lock (gate)
        {
            var last = string.Join('\n', output.TakeLast(15).Select(line => line.Length > 2_000 ? line[..2_000] : line));
            return $"{(process.HasExited ? $"has exited with {process.ExitCode}" : "runs")} and wrote:\n{last}\n{string.Join('\n', errors.TakeLast(15))}";
        }
    }

    public void Dispose()
    {
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        process.WaitForExit(OutputLimit);
        process.Dispose();
    }

    // Beside this assembly, where the build puts what it references.
    private static string Program()
    {
        var program = Path.Combine(AppContext.BaseDirectory, "analytics.dll");
        return File.Exists(program) ? program : throw new FileNotFoundException($"{program} is missing: build the solution first");
    }

    private void Take(List<string> lines, string? line)
    {
        if (line is null) return;
        lock (gate)
        {
            lines.Add(line);
            if (lines != output) return;
            foreach (var (_, found) in waiting.Where(one => one.IsMeant(line))) found.TrySetResult(line);
            waiting.RemoveAll(one => one.Found.Task.IsCompleted);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
