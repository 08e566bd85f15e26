using Analytics.Actors.Core;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Tests.Kafka;

/// <summary>One embedded broker for the tests of a class; each test takes topics and groups of its own.</summary>
public sealed class BrokerFixture : IDisposable
{
    private int names;

    public EmbeddedBroker Broker { get; } = EmbeddedBroker.Start();
    public KafkaClientOptions Options => KafkaClientOptions.ForEmbeddedBroker(Broker.BootstrapServers);

    public string NewName(string what) => $"{what}-{Interlocked.Increment(ref names)}";

    public string NewTopic(int partitions, string what = "topic")
    {
        var name = NewName(what);
        Broker.CreateTopic(name, partitions);
        return name;
    }

    public void Dispose() => Broker.Dispose();
}

internal static class Sending
{
    /// <summary>Sends one record and gives its outcome.</summary>
    public static async Task<SendOutcome> SendAsync(
        this PartitionProducer producer, TopicPartition destination, byte[] value, byte[]? key = null, long timestampMs = 1_000,
        params RecordHeader[] headers)
    {
        var done = new TaskCompletionSource<SendOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        producer.Send(destination, key, value, headers, timestampMs, done.SetResult);
        return await done.Task.WaitAsync(Waiting.AtMost);
    }

    /// <summary>Sends small records one after another, so that each is a batch of its own; the value is the number in the order.</summary>
    public static async Task SendNumbersAsync(this PartitionProducer producer, TopicPartition destination, int from, int count, Func<int, long>? timestampMs = null)
    {
        for (var number = from; number < from + count; number++)
            (await producer.SendAsync(destination, [(byte)number], timestampMs: timestampMs?.Invoke(number) ?? 1_000)).Result.ShouldBe(SendResult.Sent);
    }
}

/// <summary>A record as it was read, with bytes of its own.</summary>
internal sealed record ReadRecord(TopicPartition Partition, long Offset, long TimestampMs, byte[]? Key, byte[] Value, bool HasValue, string? Origin)
{
    public static List<ReadRecord> Of(RecordRun run) =>
    [
        .. run.Records.Select(record => new ReadRecord(
            record.Partition, record.Offset, record.TimestampMs, record.Key?.ToArray(), record.Value.ToArray(), record.HasValue, record.Origin)),
    ];

    /// <summary>Records as a consumer hands them over.</summary>
    public static RecordRun Run(TopicPartition partition, params (long Offset, byte[] Value)[] records)
    {
        var run = new RecordRun(partition, records.Sum(record => record.Value.Length), records.Length);
        foreach (var (offset, value) in records) run.Add(offset, 1_000, value, hasValue: true, [], hasKey: false, null);
        return run;
    }
}

internal sealed class RecordingSink : IRecordSink
{
    public EventLog<ReadRecord> Records { get; } = new();
    public EventLog<(TopicPartition Partition, long Position)> OutOfRange { get; } = new();

    public void OnRecords(RecordRun records)
    {
        var read = ReadRecord.Of(records);
        records.Release();
        Records.Add(read);
    }

    void IRecordSink.OnOutOfRange(TopicPartition partition, long position) => OutOfRange.Add((partition, position));

    public long[] Offsets(TopicPartition partition) =>
        Records.All.Where(record => record.Partition == partition).Select(record => record.Offset).ToArray();

    public Task WaitForOffset(TopicPartition partition, long offset) =>
        Records.WaitFor(record => record.Partition == partition && record.Offset == offset);
}
