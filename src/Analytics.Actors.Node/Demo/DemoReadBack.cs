using Analytics.Actors.Core;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Node.Demo;

/// <summary>Reads uploads and dead letters back with a consumer of its own: the ledger takes nobody's word.</summary>
public sealed class DemoReadBack(DemoLedger ledger, string deadLetterTopic) : IRecordSink
{
    private readonly List<string> failures = [];

    /// <summary>Partitions that could not be read to their end.</summary>
    public IReadOnlyList<string> Failures
    {
        get { lock (failures) return [.. failures]; }
    }

    public void OnRecords(RecordRun run)
    {
        foreach (var record in run.Records)
        {
            if (record.Partition.Topic != deadLetterTopic)
            {
                ledger.UploadRead(new UploadRecord(record.Partition.Topic, record.Partition.Partition, record.Offset, record.Origin, record.Value, DemoFeed.NowMs));
            }
            else if (DeadLetterKey.TryRead(record.Value.Span, out var key))
            {
                ledger.DeadLetterRead(key, record.Origin, record.Partition.Topic);
            }
            else
            {
                Fail($"a dead letter cannot be read: {record.Partition} offset {record.Offset}");
            }
        }

        run.Release();
    }

    public void OnOutOfRange(TopicPartition partition, long position) => Fail($"{partition} was trimmed before offset {position} was read back");

    private void Fail(string what)
    {
        lock (failures) failures.Add(what);
    }
}
