using System.Globalization;
using Analytics.Actors.Core;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Raw;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// The embedded broker as a process of its own, and the log of records that every run of a scenario reads. It keeps 5 MB of a
/// partition, so a log is written once, within that, and read again and again.
/// </summary>
internal sealed class BenchBroker : IAsyncDisposable
{
    public const int Partitions = 64;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly BenchProcess process;

    private BenchBroker(BenchProcess process, string bootstrapServers)
    {
        this.process = process;
        BootstrapServers = bootstrapServers;
        Kafka = KafkaClientOptions.ForEmbeddedBroker(bootstrapServers);
        Raw = new RawLoop(bootstrapServers);
    }

    public string BootstrapServers { get; }

    public KafkaClientOptions Kafka { get; }

    public RawLoop Raw { get; }

    public static async Task<BenchBroker> StartAsync(CancellationToken cancellation)
    {
        const string announced = "bootstrap: ";
        var process = BenchProcess.Start("broker", "--brokers", "1", "--shards", "64", "--partitions", "64");
        try
        {
            var line = await process.AskAsync(null, line => line.StartsWith(announced, StringComparison.Ordinal), Limit, cancellation).ConfigureAwait(false);
            return new BenchBroker(process, line[announced.Length..]);
        }
        catch
        {
            await process.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Makes a topic; one that any client has asked for before has four partitions.</summary>
    public async Task<IReadOnlyList<TopicPartition>> AddTopicAsync(string topic, CancellationToken cancellation)
    {
        var answer = await process.AskAsync(
            string.Create(CultureInfo.InvariantCulture, $"topic {topic} {Partitions}"), line => line.Contains(topic, StringComparison.Ordinal), Limit, cancellation).ConfigureAwait(false);
        if (answer.StartsWith("error", StringComparison.Ordinal)) throw new BenchFailedException(answer);
        return [.. Enumerable.Range(0, Partitions).Select(partition => new TopicPartition(topic, partition))];
    }

    /// <summary>The internal topics and the uploads' of a new group.</summary>
    public async Task AddGroupAsync(string group, CancellationToken cancellation)
    {
        foreach (var topic in (string[])["station-events", "batch-results", "dead-letters", "replays"]) await AddTopicAsync($"{group}.{topic}", cancellation).ConfigureAwait(false);
    }

    /// <summary>The topic of a module's uploads.</summary>
    public Task<IReadOnlyList<TopicPartition>> AddOutputAsync(string module, CancellationToken cancellation) => AddTopicAsync($"MODULE-OUTPUT-{module.ToUpperInvariant()}", cancellation);

    /// <summary>Writes the log that runs will read, in batches as large as a fetch of a backlog is, and checks that all of it is there.</summary>
    /// <param name="hasPart">Whether the record of a number says something of a station; null: all do.</param>
    public async Task<BenchLog> WriteAsync(Workload workload, long records, CancellationToken cancellation, Func<long, bool>? hasPart = null)
    {
        Dictionary<string, IReadOnlyList<TopicPartition>> partitions = [];
        foreach (var topic in workload.Topics) partitions[topic] = await AddTopicAsync(topic, cancellation).ConfigureAwait(false);
        var log = new BenchLog([.. partitions.Values.SelectMany(list => list)]);
        using (var feed = new BenchFeed(Kafka, ("linger.ms", "200"), ("batch.size", "200000")))
        {
            for (var number = 0L; number < records; number++)
            {
                var record = workload.At(number);
                await feed.SendAsync(log.Add(record, hasPart?.Invoke(number) ?? true), record, null, cancellation).ConfigureAwait(false);
            }

            feed.Finish();
        }

        var held = Raw.Count(log.Partitions);
        if (held != log.Records) throw new BenchFailedException($"{log.Records} records were written and the broker holds {held}");
        return log;
    }

    public ValueTask DisposeAsync() => process.DisposeAsync();
}
