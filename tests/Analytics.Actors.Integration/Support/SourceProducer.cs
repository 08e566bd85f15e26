using System.Diagnostics;
using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Integration.Support;

/// <summary>A record that the broker has acknowledged.</summary>
/// <param name="AckTicks">When, on the clock of <see cref="Stopwatch"/>.</param>
internal sealed record Acknowledged(string Topic, int Partition, long Offset, byte[] Value, long AckTicks)
{
    /// <summary>The id of the batch that the record opens.</summary>
    public string BatchId => $"{Topic}:{Partition}:{Offset}";
}

/// <summary>Puts records into source topics as a platform would, and remembers every acknowledgement.</summary>
internal sealed class SourceProducer(string bootstrapServers, int partitions) : IDisposable
{
    private readonly PartitionProducer producer = new(KafkaClientOptions.ForEmbeddedBroker(bootstrapServers));
    private readonly Lock gate = new();
    private readonly List<Acknowledged> acknowledged = [];
    private int nextPartition;

    public IReadOnlyList<Acknowledged> Acknowledged
    {
        get { lock (gate) return [.. acknowledged]; }
    }

    public Task<Acknowledged> SendAsync(string topic, string? key, string json, long? timestampMs = null) =>
        SendAsync(topic, key is null ? null : Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(json), timestampMs ?? DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());

    public Task<Acknowledged> SendAsync(string topic, byte[]? key, byte[] value, long timestampMs)
    {
        var partition = key is null ? nextPartition = (nextPartition + 1) % partitions : Murmur2.Partition(key, partitions);
        var done = new TaskCompletionSource<Acknowledged>(TaskCreationOptions.RunContinuationsAsynchronously);
        producer.Send(new TopicPartition(topic, partition), key, value, [], timestampMs, outcome =>
        {
            if (outcome.Result != SendResult.Sent)
            {
                done.TrySetException(new InvalidOperationException($"{topic}[{partition}]: {outcome.Error}"));
                return;
            }

            var record = new Acknowledged(topic, partition, outcome.Offset, value, Stopwatch.GetTimestamp());
            lock (gate) acknowledged.Add(record);
            done.TrySetResult(record);
        });
        return done.Task;
    }

    public void Dispose() => producer.Dispose();
}
