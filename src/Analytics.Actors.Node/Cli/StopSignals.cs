using System.Runtime.InteropServices;

namespace Analytics.Actors.Node.Cli;

/// <summary>
/// SIGTERM and Ctrl-C: the first one asks the verb to stop in order, which may take its time; the second one ends the
/// process at once.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly PosixSignalRegistration terminate;
    private readonly PosixSignalRegistration interrupt;
    private readonly bool ignoresInterrupts;

    /// <param name="ignoresInterrupts">
    /// Ctrl-C reaches every process of a terminal at once; one that another program started and ends leaves it to that.
    /// </param>
    public StopSignals(bool ignoresInterrupts = false)
    {
        this.ignoresInterrupts = ignoresInterrupts;
        terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Received);
        interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Received);
    }

    public CancellationToken Stop => stop.Token;

    public void Dispose()
    {
        terminate.Dispose();
        interrupt.Dispose();
        stop.Dispose();
    }

    private void Received(PosixSignalContext context)
    {
        if (context.Signal == PosixSignal.SIGINT && ignoresInterrupts)
        {
            context.Cancel = true;
            return;
        }

        if (stop.IsCancellationRequested) return;
        context.Cancel = true;
        // On another thread: what listens may block, and the signals' own thread must be free for the second one.
        _ = stop.CancelAsync();
    }
}
