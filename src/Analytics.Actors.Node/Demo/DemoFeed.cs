using System.Diagnostics;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// Puts the demo's records into Kafka as a platform would, tells the ledger of each acknowledgement, and holds back while
/// too much is unread: the embedded broker forgets what is beyond 5 MB of a partition.
/// </summary>
public sealed class DemoFeed(PartitionProducer producer, DemoLedger ledger, Func<string, int> partitionsOf, Func<CancellationToken, Task<long>> appliedParts) : IDisposable
{
    private const long UnreadBytesMax = 2L * 1024 * 1024;
    private const int UnacknowledgedMax = 2_000;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    private readonly SemaphoreSlim room = new(UnacknowledgedMax, UnacknowledgedMax);
    private readonly Queue<(long Parts, long Bytes)> produced = new();
    private long producedParts;
    private long producedBytes;
    private long readBytes;
    private int nextPartition;

    public long Bytes => producedBytes;

    /// <summary>Sends one record; waits while as much is under way as may be.</summary>
    public async Task SendAsync(DemoRecord record, int shards, CancellationToken cancellation)
    {
        await room.WaitAsync(cancellation).ConfigureAwait(false);
        var partitions = partitionsOf(record.Topic);
        var partition = record.Key is { } key ? Murmur2.Partition(key, partitions) : nextPartition = (nextPartition + 1) % partitions;
        producer.Send(
            new TopicPartition(record.Topic, partition), record.Key is null ? null : System.Text.Encoding.UTF8.GetBytes(record.Key),
            record.Value, [], record.TimestampMs, outcome =>
            {
                if (outcome.Result == SendResult.Sent) ledger.Acknowledged(record, partition, outcome.Offset, NowMs);
                else ledger.ProduceFailed(record, outcome.Error ?? outcome.Result.ToString());
                room.Release();
            });
        producedParts += record.Expectation.IsGlobal ? shards : record.Expectation.Parts.Count;
        producedBytes += record.Value.Length;
        produced.Enqueue((producedParts, producedBytes));
    }

    /// <summary>Waits until what is produced and not yet applied is little enough to go on.</summary>
    public async Task HoldBackAsync(CancellationToken cancellation)
    {
        while (producedBytes - readBytes > UnreadBytesMax)
        {
            var applied = await appliedParts(cancellation).ConfigureAwait(false);
            while (produced.TryPeek(out var oldest) && oldest.Parts <= applied)
            {
                readBytes = oldest.Bytes;
                produced.Dequeue();
            }

            if (producedBytes - readBytes <= UnreadBytesMax) return;
            await Task.Delay(Pause, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Waits until everything sent has its outcome.</summary>
    public bool Flush(TimeSpan limit) => producer.Flush(limit);

    /// <summary>The demo's one clock, ms since 1970 UTC.</summary>
    public static long NowMs => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    public void Dispose() => room.Dispose();
}
