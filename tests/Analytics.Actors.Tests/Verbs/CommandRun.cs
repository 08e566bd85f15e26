using System.Text;
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Tests.Http;
using Analytics.Actors.Tests.Kafka;
using AllVerbs = Analytics.Actors.Node.Cli.Verbs;

namespace Analytics.Actors.Tests.CommandLines;

/// <summary>A command line as a user gives it, with all that he reads.</summary>
internal sealed record CommandRun(int Code, string Output, string Error)
{
    /// <summary>Each line of the output.</summary>
    public IReadOnlyList<string> Lines => Output.TrimEnd('\n').Split('\n');

    /// <summary>The words of the line that begins with this.</summary>
    public string[] Row(string begins) => (Lines.FirstOrDefault(line => line.TrimStart().StartsWith(begins, StringComparison.Ordinal)) ?? throw new InvalidOperationException($"no line begins with {begins}: {Output}{Error}")).Split(' ', StringSplitOptions.RemoveEmptyEntries);

    public static Task<CommandRun> AtAsync(LiveNode node, params string[] arguments) => RunAsync([.. arguments, "--address", node.Address]);

    public static async Task<CommandRun> RunAsync(params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await AllVerbs.RunAsync(arguments, new Desk(TimeProvider.System, false), output, error, CancellationToken.None);
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    /// <summary>One that goes on until Ctrl-C, which comes when it has written so much.</summary>
    public static async Task<CommandRun> UntilAsync(LiveNode node, bool isTerminal, Func<string, bool> isEnough, params string[] arguments)
    {
        using var stop = new CancellationTokenSource(Waiting.AtMost);
        using var output = new WatchedWriter(text =>
        {
            if (isEnough(text)) stop.Cancel();
        });
        using var error = new StringWriter();
        var code = await AllVerbs.RunAsync([.. arguments, "--address", node.Address], new Desk(TimeProvider.System, isTerminal), output, error, stop.Token);
        isEnough(output.Text).ShouldBeTrue($"it was stopped for its time; written: {output.Text}{error}");
        return new CommandRun(code, output.Text, error.ToString());
    }

    private sealed class WatchedWriter(Action<string> written) : StringWriter
    {
        private readonly StringBuilder text = new();

        public string Text => text.ToString();

        public override Task WriteAsync(string? value)
        {
            text.Append(value);
            return Task.CompletedTask;
        }

        public override Task WriteLineAsync(string? value)
        {
            text.Append(value).Append('\n');
            return Task.CompletedTask;
        }

        public override Task FlushAsync(CancellationToken cancellationToken)
        {
            written(Text);
            return Task.CompletedTask;
        }

        public override Task FlushAsync() => FlushAsync(CancellationToken.None);
    }
}
