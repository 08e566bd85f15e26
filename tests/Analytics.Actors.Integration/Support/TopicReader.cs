using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Integration.Support;

/// <summary>A record as the test itself read it from a topic.</summary>
/// <param name="Origin">The header <c>aa-origin</c>; null without one.</param>
/// <param name="ReadTicks">When, on the clock of <see cref="System.Diagnostics.Stopwatch"/>.</param>
internal sealed record ReadRecord(string Topic, int Partition, long Offset, byte[]? Key, byte[] Value, string? Origin, long ReadTicks);

/// <summary>A consumer of the test's own: everything in some topics, from their beginning, in the order of arrival.</summary>
internal sealed class TopicReader : IRecordSink, IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly List<ReadRecord> records = [];
    private readonly List<string> failures = [];
    private readonly DataConsumer consumer;

    private TopicReader(string bootstrapServers) =>
        consumer = new DataConsumer(KafkaClientOptions.ForEmbeddedBroker(bootstrapServers), "integration-reader", this);

    public static async Task<TopicReader> StartAsync(string bootstrapServers, IEnumerable<KeyValuePair<string, int>> topics)
    {
        var reader = new TopicReader(bootstrapServers);
        foreach (var (topic, partitions) in topics)
        {
            for (var partition = 0; partition < partitions; partition++) await reader.consumer.Assign(new TopicPartition(topic, partition), 0);
        }

        return reader;
    }

    public int Count
    {
        get { lock (gate) return records.Count; }
    }

    /// <summary>All records so far; fails where some could not be read.</summary>
    public IReadOnlyList<ReadRecord> Records
    {
        get
        {
            lock (gate)
            {
                failures.ShouldBeEmpty();
                return [.. records];
            }
        }
    }

    public void OnRecords(RecordRun run)
    {
        var now = System.Diagnostics.Stopwatch.GetTimestamp();
        lock (gate)
        {
            foreach (var record in run.Records)
            {
                records.Add(new ReadRecord(record.Partition.Topic, record.Partition.Partition, record.Offset, record.Key?.ToArray(), record.Value.ToArray(), record.Origin, now));
            }
        }

        run.Release();
    }

    public void OnOutOfRange(TopicPartition partition, long position)
    {
        lock (gate) failures.Add($"{partition} was trimmed before offset {position} was read");
    }

    public ValueTask DisposeAsync() => consumer.DisposeAsync();
}
