using System.Diagnostics;
using Analytics.Actors.Core;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>Sends the records of a workload: as fast as they are taken, or at a pace.</summary>
internal sealed class BenchFeed(KafkaClientOptions kafka, params IReadOnlyList<(string Name, string Value)> options) : IDisposable
{
    private const int UnderWayMax = 50_000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(2);

    private readonly PartitionProducer producer = new(kafka with { Producer = options.ToDictionary(option => option.Name, option => option.Value) });
    private readonly SemaphoreSlim room = new(UnderWayMax, UnderWayMax);
    private string? refused;

    /// <param name="sent">Hears of the record's offset.</param>
    public async ValueTask SendAsync(TopicPartition partition, WorkloadRecord record, Action<long>? sent, CancellationToken cancellation)
    {
        if (!room.Wait(0, CancellationToken.None)) await room.WaitAsync(cancellation).ConfigureAwait(false);
        producer.Send(partition, record.Key, record.Value, [], record.TimestampMs, outcome =>
        {
            if (outcome.Result != SendResult.Sent) Volatile.Write(ref refused, outcome.Error);
            else sent?.Invoke(outcome.Offset);
            room.Release();
        });
    }

    /// <summary>Learns where these topics are: else the first records of each wait for up to a second.</summary>
    public Task PrepareAsync(IEnumerable<string> topics) => producer.PrepareAsync(topics, Limit);

    /// <summary>Sends a record now, however many are under way.</summary>
    public void Send(TopicPartition partition, byte[] key, byte[] value) => producer.Send(partition, key, value, [], DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), outcome =>
    {
        if (outcome.Result != SendResult.Sent) Volatile.Write(ref refused, outcome.Error);
    });

    /// <summary>An open load: each record is sent when it is due, however long the ones before it take.</summary>
    /// <param name="next">The next record and its partition; stamped with the time of its sending.</param>
    /// <param name="sent">Hears where a record is, and when it was due (<see cref="Stopwatch.GetTimestamp"/>).</param>
    /// <returns>How many were sent.</returns>
    public async Task<long> PaceAsync(
        double perSecond, double seconds, Func<(TopicPartition Partition, WorkloadRecord Record)> next, Action<TopicPartition, long, long>? sent, CancellationToken cancellation)
    {
        var begun = Stopwatch.GetTimestamp();
        var total = (long)(perSecond * seconds);
        for (var count = 0L; count < total;)
        {
            var due = Math.Min(total, (long)(Stopwatch.GetElapsedTime(begun).TotalSeconds * perSecond));
            for (; count < due; count++)
            {
                var (partition, record) = next();
                var dueAt = begun + (long)(count / perSecond * Stopwatch.Frequency);
                var stamped = record with { TimestampMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() };
                await SendAsync(partition, stamped, sent is null ? null : offset => sent(partition, offset, dueAt), cancellation).ConfigureAwait(false);
            }

            await Task.Delay(Tick, cancellation).ConfigureAwait(false);
        }

        return total;
    }

    /// <summary>Waits until every record is in the log.</summary>
    public void Finish()
    {
        if (!producer.Flush(Limit) || refused is not null) throw new BenchFailedException($"records could not be written: {refused ?? "the broker does not answer"}");
    }

    public void Dispose()
    {
        producer.Dispose();
        room.Dispose();
    }
}
