using System.Runtime.InteropServices;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http;
using Analytics.Actors.Node.Logging;
using Analytics.Actors.Node.Modules;
using Analytics.Actors.Storage;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verb <c>node</c>: one node until it is told to stop; a second signal ends it at once.</summary>
internal static class NodeVerb
{
    public static async Task<int> RunAsync(string? config, IReadOnlyList<string> settings, TextWriter output, TextWriter error, CancellationToken cancellation)
    {
        var reading = NodeConfiguration.Read(config, NodeConfiguration.ProcessEnvironment(), settings);
        if (reading.Options is not { } options) throw new BadArgumentsException(string.Join(Environment.NewLine, reading.Problems));
        var pipeline = Files.Pipeline(options.Pipeline);
        var problems = ConfigCheck.Compare(options.Pipeline, pipeline, options);
        if (problems.Count > 0) throw new BadArgumentsException(string.Join(Environment.NewLine, problems));
        if (options.Store.Path is not { } path) throw new BadArgumentsException("store.url: PostgreSQL is not supported yet; use store.path for a SQLite file");
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder) Directory.CreateDirectory(folder);

        using var logging = LoggingSetup.Create(options.Log);
        var logger = logging.CreateLogger("Analytics.Actors.Node");
        logger.LogInformation("effective configuration:\n{Configuration}", options.Describe());
        var kafka = options.ToKafkaClientOptions();
        var catalog = ModuleCatalog.WithBuiltIns(pipeline.CodeTables);
        await using var store = new SqliteCheckpointStore(path);
        await using var node = new NodeHost(options, new NodeParts
        {
            Pipeline = pipeline,
            Kafka = kafka,
            Store = store,
            Modules = catalog.Names.ToDictionary(name => name, name => catalog.Find(name)!, StringComparer.Ordinal),
            Logging = logging,
        });
        // First of all, so that a node that starts slowly can be seen starting.
        await using var server = new NodeServer(node, logging);
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Stop(context, stop));
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Stop(context, stop));
        try
        {
            await server.StartAsync(cancellation).ConfigureAwait(false);
            await node.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch (EndpointUnavailableException wrong)
        {
            throw new BadArgumentsException(wrong.Message);
        }
        catch (Exception failure)
        {
            await error.WriteLineAsync($"the node could not start: {failure.Message}").ConfigureAwait(false);
            return Verbs.Failed;
        }

        await Task.WhenAny(stop.Task, node.Failure).ConfigureAwait(false);
        var unfinished = await node.StopAsync().ConfigureAwait(false);
        foreach (var line in unfinished) await output.WriteLineAsync($"not finished: {line}").ConfigureAwait(false);
        return node.Observer.Failure is null && !node.Failure.IsFaulted ? Verbs.Done : Verbs.Failed;
    }

    private static void Stop(PosixSignalContext context, TaskCompletionSource stop)
    {
        // The first signal stops in order; the second one takes its default way out.
        context.Cancel = stop.TrySetResult();
    }
}
