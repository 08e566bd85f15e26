using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Core.Shards;

/// <summary>Identity of one attempt at a module call; answers come back with it.</summary>
public readonly record struct CallId(ShardId Shard, Epoch Epoch, long Trigger, int Attempt);

/// <summary>A call that the host is to run in the module's pool.</summary>
public sealed record ModuleCall(CallId Id, ModuleConfiguration Module, ModuleInput Input);

/// <summary>
/// What leaves a shard: answers to batches, uploads, dead letters (all through the outbox, so only after a checkpoint),
/// module calls, and events for observers.
/// </summary>
public sealed class ShardOutputs(ShardId shard, Epoch epoch, ShardSettings settings)
{
    // A piece's tag and length in its envelope.
    internal const int PieceOverhead = 8;

    private readonly SortedDictionary<int, List<Answer>> answers = [];
    private readonly SortedDictionary<int, List<Manifest>> manifests = [];
    private readonly SortedDictionary<int, List<RecordParts>> forwarded = [];

    public Outbox Outbox { get; } = new();
    public ShardLetters Letters { get; } = new(shard, settings);
    public List<ModuleCall> Calls { get; } = [];
    public List<ShardEvent> Events { get; } = [];
    public RecentAnswers Recent { get; } = new();

    /// <summary>Something waits to leave: the next checkpoint is urgent.</summary>
    public bool IsWaiting => answers.Count > 0 || manifests.Count > 0 || forwarded.Count > 0 || Outbox.HasAdded;

    /// <summary>Bytes of manifests and parts that are not in the outbox yet.</summary>
    public long ForwardedBytes { get; private set; }

    public ShardId Shard => shard;
    public Epoch Epoch => epoch;

    public void Raise(ShardEvent happened) => Events.Add(happened);

    /// <summary>Answers a batch; sent with others to the batch's shard by the next checkpoint.</summary>
    public void Answer(string station, string module, in Stations.BatchDebt debt, Outcome outcome, ReadOnlyMemory<byte> result, string reason, int attempt, long nowMs)
    {
        var to = debt.WindowStartMs is null
            ? Murmur2.Partition(debt.BatchId, settings.ShardCount)
            : Batches.EventWindow.ShardOf(debt.Source.Topic, module, settings.ShardCount);
        if (result.Length > settings.EnvelopeBytesMax && result.Length > settings.RecordBytesMax - 4096)
        {
            outcome = Outcome.Error;
            reason = $"the result has {result.Length} bytes; at most {settings.RecordBytesMax - 4096} can be sent (maxRecordBytes)";
            result = default;
        }

        var answer = new Answer
        {
            Module = module,
            BatchId = debt.BatchId,
            Station = station,
            Outcome = outcome,
            Result = UnsafeByteOperations.UnsafeWrap(result),
            Reason = reason,
            Topic = debt.Source.Topic,
            Incarnation = debt.Source.Incarnation,
            Partition = debt.Source.Partition,
            Offset = debt.Offset,
            Attempt = attempt,
        };
        if (debt.WindowStartMs is { } start) answer.WindowStartMs = start;
        Recent.Add(new RecentAnswer(nowMs, station, module, debt.BatchId, outcome, reason, attempt));
        Waiting(answers, to).Add(answer);
    }

    /// <summary>Announces batches of a record to their shard, with the next checkpoint.</summary>
    public void Announce(int to, Manifest manifest)
    {
        ForwardedBytes += manifest.CalculateSize();
        Waiting(manifests, to).Add(manifest);
    }

    /// <summary>Sends parts that belong to another shard there, with the next checkpoint.</summary>
    public void Forward(int to, RecordParts parts)
    {
        ForwardedBytes += parts.CalculateSize();
        Waiting(forwarded, to).Add(parts);
    }

    /// <summary>Puts a record for an output topic into the outbox; one that is too large to send becomes a dead letter.</summary>
    public void Upload(string topic, string key, byte[] value, string batchId, long nowMs)
    {
        if (value.Length > settings.RecordBytesMax)
        {
            var reason = new Rejection("upload-too-large", $"the upload has {value.Length} bytes; at most {settings.RecordBytesMax} can be sent (maxRecordBytes)");
            Reject(DeadLetter.Of(new SourcePartition(topic, 0, 0), -1, 0, "", reason, value, nowMs));
            return;
        }

        Add(topic, key, value, batchId, nowMs);
        Raise(new Uploaded(shard, topic, key, value));
    }

    /// <summary>Writes a dead letter: a record of its topic, and a row of the store.</summary>
    public void Reject(DeadLetter letter)
    {
        letter = Letters.Add(letter);
        Add(settings.DeadLetterTopic, $"{letter.Source.Topic}:{letter.Source.Partition}", letter.ToJson(), "", letter.TimeMs);
        Raise(new DeadLettered(shard, letter));
    }

    /// <summary>
    /// Sends a dead letter through the normal path again, as a new record. Letters of one station (where it is not known:
    /// of one source partition) share a partition of the topic, so they arrive in the order of these calls.
    /// </summary>
    public void Replay(DeadLetter letter, long nowMs)
    {
        var record = new ReplayedRecord
        {
            From = new ReplayedFrom
            {
                Topic = letter.Source.Topic,
                Incarnation = letter.Source.Incarnation,
                Partition = letter.Source.Partition,
                Offset = letter.Offset,
                Index = letter.Index,
                Item = letter.Form == RejectedForm.Item,
                Shard = shard.Value,
                Number = letter.Id!.Value.Number,
            },
            TimestampMs = letter.RecordTimestampMs,
            Station = letter.Station,
            Value = UnsafeByteOperations.UnsafeWrap(letter.Bytes),
        };
        var key = letter.Station.Length > 0 ? letter.Station : $"{letter.Source.Topic}:{letter.Source.Partition}";
        Add(settings.ReplayTopic, key, record.ToByteArray(), "", nowMs);
    }

    /// <summary>Packs what waits for other shards into envelopes and puts them into the outbox; part of taking a checkpoint.</summary>
    public void Pack(long nowMs)
    {
        Pack(settings.PartsTopic, forwarded, nowMs, (records, _) => new PartsEnvelope { Records = { records } });
        // Manifests go first: an answer that finds its batch need not be held.
        Pack(settings.BatchTopic, manifests, nowMs, (announced, origin) => new BatchEnvelope { Manifests = { announced }, Origin = origin });
        Pack(settings.BatchTopic, answers, nowMs, (given, origin) => new BatchEnvelope { Answers = { given }, Origin = origin });
        ForwardedBytes = 0;
    }

    private void Pack<T>(string topic, SortedDictionary<int, List<T>> lanes, long nowMs, Func<IEnumerable<T>, string, IMessage> envelope) where T : IMessage
    {
        foreach (var (to, waiting) in lanes)
        {
            var destination = new TopicPartition(topic, to);
            for (var from = 0; from < waiting.Count;)
            {
                var bytes = 0;
                var end = from;
                for (; end < waiting.Count; end++)
                {
                    var size = waiting[end].CalculateSize() + PieceOverhead;
                    if (end > from && bytes + size > settings.EnvelopeBytesMax) break;
                    bytes += size;
                }

                var packed = waiting.GetRange(from, end - from);
                from = end;
                Outbox.Add(destination, sequence =>
                {
                    var origin = OriginOf(destination, sequence).ToString();
                    return new OutboxEntry(destination, sequence, null, envelope(packed, origin).ToByteArray(), [KeyValuePair.Create(Header.Origin, origin)], nowMs);
                });
            }
        }

        lanes.Clear();
    }

    private static List<T> Waiting<T>(SortedDictionary<int, List<T>> lanes, int to)
    {
        if (!lanes.TryGetValue(to, out var waiting)) lanes.Add(to, waiting = []);
        return waiting;
    }

    private void Add(string topic, string key, byte[] value, string batchId, long nowMs)
    {
        var destination = new TopicPartition(topic, Murmur2.Partition(key, settings.PartitionsOf(topic)));
        Outbox.Add(destination, sequence =>
        {
            List<KeyValuePair<string, string>> headers = [KeyValuePair.Create(Header.Origin, OriginOf(destination, sequence).ToString())];
            if (batchId.Length > 0) headers.Add(KeyValuePair.Create(Header.Batch, batchId));
            return new OutboxEntry(destination, sequence, System.Text.Encoding.UTF8.GetBytes(key), value, headers, nowMs);
        });
    }

    private Origin OriginOf(TopicPartition destination, long sequence) => new(settings.StoreId, shard, destination.Partition, sequence);
}

/// <summary>Names of the headers of every record that the system writes.</summary>
public static class Header
{
    /// <summary>Who wrote it; see <see cref="Core.Origin"/>.</summary>
    public const string Origin = "aa-origin";

    /// <summary>The batch that it belongs to.</summary>
    public const string Batch = "aa-batch";
}
