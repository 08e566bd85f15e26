using Analytics.Actors.Node.Cli;
using Analytics.Actors.Tests.Kafka;

namespace Analytics.Actors.Tests.CommandLines;

public sealed class BrokerVerbTests
{
    [Fact]
    public async Task It_ends_by_a_signal_while_nobody_types()
    {
        using var silence = new ManualResetEventSlim();
        using var stop = new CancellationTokenSource();
        using var output = new StringWriter();
        var run = Task.Run(() => BrokerVerb.RunAsync(1, Files.Pipeline(null), "g", 1, 1, new SilentConsole(silence, stop), output, stop.Token));
        try
        {
            (await run.WaitAsync(Waiting.AtMost)).ShouldBe(0);
            output.ToString().ShouldStartWith("bootstrap: ");
        }
        finally
        {
            silence.Set();
        }
    }

    /// <summary>As the console's reader: it waits on the thread that asks, and hears of no cancellation. The signal comes meanwhile.</summary>
    private sealed class SilentConsole(ManualResetEventSlim silence, CancellationTokenSource stop) : TextReader
    {
        public override string? ReadLine()
        {
            stop.CancelAfter(1);
            silence.Wait();
            return null;
        }

        public override ValueTask<string?> ReadLineAsync(CancellationToken cancellationToken) => ValueTask.FromResult(ReadLine());
    }
}
