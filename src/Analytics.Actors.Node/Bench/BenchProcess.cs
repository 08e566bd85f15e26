using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Node.Cli;

namespace Analytics.Actors.Node.Bench;

/// <summary>A child of a benchmark: this program under another verb. It ends with its standard input, and is killed where it does not.</summary>
internal sealed class BenchProcess : IAsyncDisposable
{
    // Linux counts processor time of processes in hundredths of a second.
    private const double TicksPerSecond = 100;

    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(20);

    private readonly Process process;
    private readonly string verb;
    private readonly Lock gate = new();
    private readonly List<(Predicate<string> IsMeant, TaskCompletionSource<string> Found)> waiting = [];
    private string lastWords = "";

    private BenchProcess(string verb, IEnumerable<string> arguments)
    {
        this.verb = verb;
        process = new Process { StartInfo = OwnProgram.With(arguments.Prepend(verb)) };
        process.OutputDataReceived += (_, line) => Hear(line.Data);
        process.ErrorDataReceived += (_, line) => Hear(line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _ = process.WaitForExitAsync().ContinueWith(_ => FailWaiting(), TaskScheduler.Default);
    }

    public static BenchProcess Start(string verb, params IEnumerable<string> arguments) => new(verb, arguments);

    /// <summary>Writes a line to it and gives the next line that fits.</summary>
    public async Task<string> AskAsync(string? line, Predicate<string> isAnswer, TimeSpan limit, CancellationToken cancellation)
    {
        var found = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate) waiting.Add((isAnswer, found));
        if (process.HasExited) FailWaiting();
        if (line is not null)
        {
            await process.StandardInput.WriteLineAsync(line.AsMemory(), cancellation).ConfigureAwait(false);
            await process.StandardInput.FlushAsync(cancellation).ConfigureAwait(false);
        }

        try
        {
            return await found.Task.WaitAsync(limit, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new BenchFailedException($"analytics {verb} did not answer within {limit.TotalSeconds:0} s; it wrote last: {lastWords}");
        }
    }

    public bool HasExited => process.HasExited;

    public string LastWords => lastWords;

    /// <summary>Processor time so far, of all its threads.</summary>
    public double ProcessorSeconds()
    {
        if (!OperatingSystem.IsLinux())
        {
            process.Refresh();
            return process.TotalProcessorTime.TotalSeconds;
        }

        // After the name, which may hold anything: state is the third field, utime and stime the 14th and 15th.
        var text = File.ReadAllText($"/proc/{process.Id}/stat");
        var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
    }

    /// <summary>Memory of the process that is in use now.</summary>
    public long ResidentBytes()
    {
        process.Refresh();
        return process.WorkingSet64;
    }

    /// <summary>Kills it, as by kill -9.</summary>
    public async Task KillAsync()
    {
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            try
            {
                process.StandardInput.Close();
                await process.WaitForExitAsync().WaitAsync(EndLimit).ConfigureAwait(false);
            }
            catch (Exception late) when (late is TimeoutException or IOException)
            {
                await KillAsync().ConfigureAwait(false);
            }
        }

        process.Dispose();
    }

    private void Hear(string? line)
    {
        if (string.IsNullOrWhiteSpace(line)) return;
        lock (gate)
        {
            lastWords = line;
            foreach (var (_, found) in waiting.Where(one => one.IsMeant(line))) found.TrySetResult(line);
            waiting.RemoveAll(one => one.Found.Task.IsCompleted);
        }
    }

    private void FailWaiting()
    {
        lock (gate)
        {
            foreach (var (_, found) in waiting) found.TrySetException(new BenchFailedException($"analytics {verb} has ended; it wrote last: {lastWords}"));
            waiting.Clear();
        }
    }
}
