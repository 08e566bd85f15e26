using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Node.Logging;
using Analytics.Actors.Node.Modules;
using Analytics.Actors.Storage;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verb <c>node</c>: one node until it is told to stop (<see cref="StopSignals"/>).</summary>
internal static class NodeVerb
{
    /// <summary>Closes the store, but does not wait for a database that answers nothing: the process ends.</summary>
    private sealed class LimitedClose(IAsyncDisposable store) : IAsyncDisposable
    {
        private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

        public async ValueTask DisposeAsync() => await Task.WhenAny(store.DisposeAsync().AsTask(), Task.Delay(Limit)).ConfigureAwait(false);
    }

    private static async Task CancelAtEndAsync(TextReader input, CancellationTokenSource ended)
    {
        // On a thread of the pool: reading a console holds its thread up.
        await Task.Run(() =>
        {
            while (input.ReadLine() is not null)
            {
            }
        }).ConfigureAwait(false);
        try
        {
            await ended.CancelAsync().ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The node has stopped already.
        }
    }

    /// <param name="input">The node stops when this ends; null: it does not matter.</param>
    /// <param name="modules">Known beside the built-in ones.</param>
    public static async Task<int> RunAsync(
        string? config, IReadOnlyList<string> settings, TextReader? input, TextWriter output, TextWriter error, CancellationToken stop, params IReadOnlyList<IModule> modules)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        if (input is not null)
        {
            _ = CancelAtEndAsync(input, ended);
            stop = ended.Token;
        }

        if (CrashPoint.Arm(Environment.GetEnvironmentVariable(CrashPoint.Variable)) is { } wrongPoint) throw new BadArgumentsException(wrongPoint);
        var reading = NodeConfiguration.Read(config, NodeConfiguration.ProcessEnvironment(), settings);
        if (reading.Options is not { } options) throw new BadArgumentsException(string.Join(Environment.NewLine, reading.Problems));
        var pipeline = Files.Pipeline(options.Pipeline);
        var problems = ConfigCheck.Compare(options.Pipeline, pipeline, options);
        if (problems.Count > 0) throw new BadArgumentsException(string.Join(Environment.NewLine, problems));

        using var logging = LoggingSetup.Create(options.Log);
        var logger = logging.CreateLogger("Analytics.Actors.Node");
        using var memory = new MemoryKeeper(logger, options.Limits.HugePages ? new HugePages() : null);
        logger.LogInformation("effective configuration:\n{Configuration}", options.Describe());
        var kafka = options.ToKafkaClientOptions();
        IReadOnlyDictionary<string, IModule> ModulesOf(PipelineConfiguration configured)
        {
            var catalog = ModuleCatalog.WithBuiltIns(configured.CodeTables);
            foreach (var module in modules) catalog.Add(module);
            return catalog.Names.ToDictionary(name => name, name => catalog.Find(name)!, StringComparer.Ordinal);
        }

        var store = options.Store.Connect();
        await using var closing = new LimitedClose(store);
        await using var node = new NodeHost(options, new NodeParts
        {
            Pipeline = pipeline,
            Kafka = kafka,
            Store = store,
            Modules = ModulesOf(pipeline),
            ModulesOf = ModulesOf,
            Logging = logging,
        });
        // First of all, so that a node that starts slowly can be seen starting.
        await using var server = new NodeServer(node, logging);
        try
        {
            await server.StartAsync(stop).ConfigureAwait(false);
            await node.StartAsync(stop).ConfigureAwait(false);
        }
        catch (EndpointUnavailableException wrong)
        {
            throw new BadArgumentsException(wrong.Message);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            await error.WriteLineAsync("the node was stopped by a signal before it had started").ConfigureAwait(false);
            return Verbs.Failed;
        }
        catch (Exception failure)
        {
            await error.WriteLineAsync($"the node could not start: {failure.Message}").ConfigureAwait(false);
            return Verbs.Failed;
        }

        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (stop.Register(() => stopped.TrySetResult())) await Task.WhenAny(stopped.Task, node.Failure, node.Ending).ConfigureAwait(false);
        var unfinished = await node.StopAsync().ConfigureAwait(false);
        foreach (var line in unfinished) await output.WriteLineAsync($"not finished: {line}").ConfigureAwait(false);
        if (node.Ending is { IsCompleted: true, Result: var end })
        {
            await (end.IsFailure ? error : output).WriteLineAsync(end.Reason).ConfigureAwait(false);
            if (end.IsFailure) return Verbs.Failed;
        }

        return node.Observer.Failure is null && !node.Failure.IsFaulted ? Verbs.Done : Verbs.Failed;
    }
}
