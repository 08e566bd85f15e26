using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Analytics.Actors.Node.Cli;

/// <summary>Where verbs write, and the clock that they wait by; tests give their own.</summary>
/// <param name="IsTerminal">The output is a terminal: what is watched is drawn in place.</param>
internal sealed record Desk(TimeProvider Time, bool IsTerminal)
{
    public static readonly Desk Own = new(TimeProvider.System, !Console.IsOutputRedirected);
}

/// <summary>
/// The options of a verb that looks at a running cluster, and how it shows what a node answered: a table, or JSON, once, or
/// again and again until Ctrl-C: in place in a terminal, one picture after the other in a pipe.
/// </summary>
internal sealed class Look
{
    private const double WatchSecondsDefault = 2;

    // What a verb does not name itself: a list of the whole cluster may have to wait for a node that is away.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(30);

    private readonly Desk desk;
    private readonly Option<string> address = NodeClient.Address();
    private readonly Option<bool> json = NodeClient.Json();
    private readonly Option<double?>? watch;

    public Look(Desk desk, Command command, bool isWatched = true)
    {
        this.desk = desk;
        command.Add(address);
        command.Add(json);
        if (!isWatched) return;
        watch = new Option<double?>("--watch")
        {
            Description = $"show it again every so many seconds, until Ctrl-C [default: {WatchSecondsDefault}]",
            Arity = ArgumentArity.ZeroOrOne,
            HelpName = "SECONDS",
            CustomParser = Seconds,
        };
        command.Add(watch);
    }

    public bool AsJson(ParseResult parse) => parse.GetValue(json);

    public DateTimeOffset Now => desk.Time.GetUtcNow();

    /// <summary>Asks, and shows; 1 where no node answered. While it is watched a node that does not answer is asked again.</summary>
    /// <param name="show">The answer, for people.</param>
    /// <param name="judge">The exit code of an answer; null: done.</param>
    public Task<int> ShowAsync(
        ParseResult parse, Func<NodeClient, CancellationToken, Task<JsonNode?>> ask, Func<JsonNode, string> show, CancellationToken cancellation, Func<JsonNode, int>? judge = null) =>
        WithNodeAsync(parse, async node =>
        {
            var output = parse.InvocationConfiguration.Output;
            if (watch is null || parse.GetResult(watch) is null)
            {
                if (await ask(node, cancellation).ConfigureAwait(false) is not { } answer) return Verbs.Failed;
                await output.WriteLineAsync(AsJson(parse) ? Tables.Json(answer) : show(answer)).ConfigureAwait(false);
                return judge?.Invoke(answer) ?? Verbs.Done;
            }

            var interval = TimeSpan.FromSeconds(parse.GetValue(watch) ?? WatchSecondsDefault);
            return await UntilStoppedAsync(async () =>
            {
                while (true)
                {
                    if (await ask(node, cancellation).ConfigureAwait(false) is { } answer) await DrawAsync(output, AsJson(parse) ? Tables.Json(answer) : show(answer), AsJson(parse)).ConfigureAwait(false);
                    await Task.Delay(interval, desk.Time, cancellation).ConfigureAwait(false);
                }
            }, cancellation).ConfigureAwait(false);
        });

    /// <summary>Writes what is new every second, until Ctrl-C.</summary>
    public Task<int> FollowAsync(ParseResult parse, Func<NodeClient, Task<bool>> writeNew, bool isOnce, CancellationToken cancellation) =>
        WithNodeAsync(parse, async node =>
        {
            if (!await writeNew(node).ConfigureAwait(false)) return Verbs.Failed;
            if (isOnce) return Verbs.Done;
            return await UntilStoppedAsync(async () =>
            {
                while (true)
                {
                    await Task.Delay(TimeSpan.FromSeconds(1), desk.Time, cancellation).ConfigureAwait(false);
                    await writeNew(node).ConfigureAwait(false);
                }
            }, cancellation).ConfigureAwait(false);
        });

    public async Task<int> WithNodeAsync(ParseResult parse, Func<NodeClient, Task<int>> run)
    {
        using var http = NodeClient.Connect(parse, AnswerLimit);
        return await run(new NodeClient(http, parse.InvocationConfiguration.Error)).ConfigureAwait(false);
    }

    /// <summary>What destroys something is done with --yes, or when somebody at a terminal says so.</summary>
    public async Task ConfirmAsync(ParseResult parse, bool isSaid, string question, CancellationToken cancellation)
    {
        if (isSaid) return;
        if (!desk.IsTerminal || Console.IsInputRedirected) throw new BadArgumentsException($"{question} Say --yes.");
        await parse.InvocationConfiguration.Output.WriteAsync($"{question} [y/N] ").ConfigureAwait(false);
        var answer = await Console.In.ReadLineAsync(cancellation).ConfigureAwait(false);
        if (answer?.Trim().ToLowerInvariant() is not ("y" or "yes")) throw new BadArgumentsException("nothing was done");
    }

    public static Option<bool> Yes() => new("--yes") { Description = "do not ask whether this is meant" };

    // Ctrl-C is how watching ends: nothing failed.
    private static async Task<int> UntilStoppedAsync(Func<Task> watching, CancellationToken cancellation)
    {
        try
        {
            await watching().ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
        }

        return Verbs.Done;
    }

    private async Task DrawAsync(TextWriter output, string text, bool isJson)
    {
        if (isJson) await output.WriteLineAsync(text).ConfigureAwait(false);
        // To the top left, and what an earlier picture left over is cleared; each line to its end.
        else if (desk.IsTerminal) await output.WriteAsync($"\u001b[H{text.Replace("\n", "\u001b[K\n", StringComparison.Ordinal)}\u001b[K\n\u001b[J").ConfigureAwait(false);
        else await output.WriteLineAsync($"{Now.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture)}\n{text}\n").ConfigureAwait(false);
        await output.FlushAsync().ConfigureAwait(false);
    }

    private static double? Seconds(ArgumentResult argument)
    {
        if (argument.Tokens.Count == 0) return null;
        var text = argument.Tokens[0].Value;
        if (double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) && seconds is >= 0.1 and <= 86_400) return seconds;
        argument.AddError($"--watch {text}: must be a number of seconds, 0.1 to 86400");
        return null;
    }
}
