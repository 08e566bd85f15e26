using System.Globalization;
using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// Numbered records, a steady trickle into each partition of FEED until it ends. A record names some of its partition's
/// stations and gives each a number that is never given again. One record of a partition is under way at a time, so their
/// order is known.
/// </summary>
internal sealed class NumberedFeed : IAsyncDisposable
{
    public const int StationsPerPartition = 6;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    private readonly PartitionProducer producer;
    private readonly Func<string> brokers;
    private readonly CancellationTokenSource stop = new();
    private readonly Task running;

    // Partitions whose record the broker has not acknowledged yet.
    private readonly HashSet<int> waiting = [];
    private int acknowledged;
    private int numbers;

    /// <param name="brokers">Tells how the brokers are, where records do not arrive.</param>
    public NumberedFeed(string bootstrapServers, int seed, Func<string> brokers)
    {
        this.brokers = brokers;
        producer = new PartitionProducer(KafkaClientOptions.ForEmbeddedBroker(bootstrapServers));
        running = Task.WhenAll(Enumerable.Range(0, Cluster.Partitions).Select(partition => RunAsync(partition, new Random(seed + partition))));
    }

    /// <summary>Records that the broker has.</summary>
    public int Count => Volatile.Read(ref acknowledged);

    /// <summary>Waits for so many records more.</summary>
    public Task MoreAsync(int records)
    {
        var target = Count + records;
        return Wait.UntilAsync(() => Count >= target, Limit, () => $"{target} records are sent, {Count} are; {State()}");
    }

    /// <summary>Ends the flow; everything sent is acknowledged then.</summary>
    public async Task EndAsync()
    {
        await stop.CancelAsync();
        await Wait.UntilAsync(() => running.IsCompleted, Limit, () => $"the feed ends; {State()}");
        await running;
    }

    /// <summary>Does not wait for what is under way: a test that failed may have left a broker down.</summary>
    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        producer.Dispose();
    }

    private string State()
    {
        lock (waiting) return $"records of partitions {string.Join(", ", waiting.Order())} are under way; {brokers()}";
    }

    private async Task RunAsync(int partition, Random random)
    {
        using var timer = new PeriodicTimer(Period);
        try
        {
            while (await timer.WaitForNextTickAsync(stop.Token))
            {
                var stations = Enumerable.Range(0, StationsPerPartition).Where(_ => random.Next(5) < 2).DefaultIfEmpty(0).ToList();
                var items = stations.Select(station => string.Create(
                    CultureInfo.InvariantCulture, $$"""{"stationId":"station-{{partition}}-{{station}}","n":{{Interlocked.Increment(ref numbers)}}}"""));
                var value = Encoding.UTF8.GetBytes($"[{string.Join(',', items)}]");
                lock (waiting) waiting.Add(partition);
                // The same again, never the next, until it is known to be in the log.
                while (!await SendAsync(new TopicPartition(Cluster.Feed, partition), value)) await timer.WaitForNextTickAsync();
                lock (waiting) waiting.Remove(partition);
                Interlocked.Increment(ref acknowledged);
            }
        }
        catch (OperationCanceledException)
        {
            // The end of the flow.
        }
    }

    private Task<bool> SendAsync(TopicPartition partition, byte[] value)
    {
        var done = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        producer.Send(partition, null, value, [], DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), outcome => done.TrySetResult(outcome.Result == SendResult.Sent));
        return done.Task;
    }
}
