using System.Runtime;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Cli;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// The hidden verb <c>bench-node</c>: nodes one after the other in one process, each as the verb <c>node</c> runs it, so that a
/// measured node finds the program compiled, as a node that has run for a while does. Reads <c>run FILE</c> and <c>stop</c>; ends with
/// its input.
/// </summary>
internal static class BenchNodeVerb
{
    public const string Name = "bench-node", Run = "run ", Stop = "stop", Stopped = "stopped: ";

    public static async Task<int> RunAsync(TextReader input, TextWriter output, TextWriter error, IReadOnlyList<IModule> modules, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && await Task.Run(input.ReadLine, stop).ConfigureAwait(false) is { } line)
        {
            if (!line.StartsWith(Run, StringComparison.Ordinal)) continue;
            var code = await NodeVerb.RunAsync(line[Run.Length..], [], new UntilStop(input), output, error, stop, modules).ConfigureAwait(false);
            if (code != Verbs.Done) return code;
            // What the node held is gone before the next one begins.
            GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, true, true);
            await output.WriteLineAsync($"{Stopped}{code}").ConfigureAwait(false);
            await output.FlushAsync(stop).ConfigureAwait(false);
        }

        return Verbs.Done;
    }

    /// <summary>The input of one node: it ends with the line that stops it.</summary>
    private sealed class UntilStop(TextReader input) : TextReader
    {
        public override string? ReadLine() => input.ReadLine() is { } line && line != Stop ? line : null;
    }
}
