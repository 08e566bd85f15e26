using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verb <c>broker</c>: the embedded broker as a process of its own.</summary>
internal static class BrokerVerb
{
    public static async Task<int> RunAsync(
        int brokers, PipelineConfiguration pipeline, string group, int shards, int partitions, TextReader input, TextWriter output, CancellationToken cancellation)
    {
        if (brokers is < 1 or > EmbeddedBroker.BrokersMax) throw new BadArgumentsException($"--brokers {brokers}: must be 1 to {EmbeddedBroker.BrokersMax}");
        if (shards is < 1 or > 4_096) throw new BadArgumentsException($"--shards {shards}: must be 1 to 4096");
        if (partitions is < 1 or > 4_096) throw new BadArgumentsException($"--partitions {partitions}: must be 1 to 4096");
        using var broker = EmbeddedBroker.Start(brokers, Topics(pipeline, group, shards, partitions));
        await output.WriteLineAsync($"bootstrap: {broker.BootstrapServers}").ConfigureAwait(false);
        await output.FlushAsync(cancellation).ConfigureAwait(false);
        try
        {
            // The console's reader waits for a line on its caller's thread, whatever is cancelled meanwhile.
            while (await Task.Run(input.ReadLine, cancellation).WaitAsync(cancellation).ConfigureAwait(false) is { } line)
            {
                if (string.IsNullOrWhiteSpace(line)) continue;
                EmbeddedBrokerCommands.Execute(broker, line, output);
                await output.FlushAsync(cancellation).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Ctrl-C or SIGTERM: the broker and all that it held are gone.
        }

        return Verbs.Done;
    }

    private static Dictionary<string, int> Topics(PipelineConfiguration pipeline, string group, int shards, int partitions)
    {
        var topics = new Dictionary<string, int>(StringComparer.Ordinal)
        {
            [$"{group}.station-events"] = shards,
            [$"{group}.batch-results"] = shards,
            [$"{group}.dead-letters"] = partitions,
            [$"{group}.replays"] = partitions,
        };
        foreach (var topic in pipeline.Topics.Keys) topics.TryAdd(topic, partitions);
        foreach (var module in pipeline.Modules.Values) topics.TryAdd(module.OutputTopic, partitions);
        return topics;
    }
}
