using System.Collections.Concurrent;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>What became of a record that was to be sent.</summary>
public enum SendResult
{
    /// <summary>The record is in the log.</summary>
    Sent,

    /// <summary>Not acknowledged: it may or may not be in the log. The same message is to be sent again, never the next.</summary>
    Retriable,

    /// <summary>It is not in the log and never can be: too large, or invalid for its topic.</summary>
    Impossible,
}

/// <summary>How a send ended.</summary>
/// <param name="Offset">The record's offset; -1 unless sent.</param>
/// <param name="Error">Null where it was sent.</param>
public readonly record struct SendOutcome(SendResult Result, long Offset, string? Error);

/// <summary>
/// Sends records to partitions that the caller chose. acks=all, and no timer gives a message up: while a broker is away
/// it waits. The rule of one unacknowledged message per origin and destination is the caller's (the senders in Core);
/// this class keeps that every message has exactly one outcome, also when it is disposed with messages under way.
/// </summary>
public sealed class PartitionProducer : IDisposable
{
    private readonly IProducer<byte[]?, byte[]?> producer;
    private readonly SliceProducer slices;
    private readonly ClientLogger logger;
    private readonly ConcurrentDictionary<PendingSend, byte> underWay = new();
    private volatile bool disposed;

    public PartitionProducer(KafkaClientOptions options, ClientLog? log = null)
    {
        KafkaNative.Initialize();
        logger = new ClientLogger("producer", log);
        var configuration = options.ForProducer("producer");
        var builder = new ProducerBuilder<byte[]?, byte[]?>(configuration)
            .SetKeySerializer(Serializers.ByteArray)
            .SetValueSerializer(Serializers.ByteArray)
            .SetLogHandler((_, message) => logger.Native(message))
            .SetErrorHandler((_, error) => logger.Warning(error.Reason));
        producer = ClientThreads.Build(configuration, builder.Build);
        slices = new SliceProducer(producer.Handle);
    }

    /// <summary>
    /// Learns the leaders of topics before the first record is sent: a topic that the client meets only then is looked up
    /// once a second, so that its first record would wait so long. A topic that is unreachable now is left to that.
    /// </summary>
    public async Task PrepareAsync(IEnumerable<string> topics, TimeSpan limit)
    {
        foreach (var topic in topics) await Task.Run(() => TopicKnowledge.Refresh(producer.Handle, topic, limit, logger)).ConfigureAwait(false);
    }

    /// <summary>Messages without an outcome yet.</summary>
    public int UnderWayCount => underWay.Count;

    /// <summary>
    /// Sends one record; the value must not change until it is done. <paramref name="done"/> is called exactly once, on
    /// the client's thread or, where the message is refused at once, on the caller's; it must not block and must not throw.
    /// </summary>
    /// <param name="value">Null: a record without a value.</param>
    /// <param name="timestampMs">Milliseconds since 1970 UTC.</param>
    public void Send(
        TopicPartition destination, byte[]? key, ReadOnlyMemory<byte>? value, IReadOnlyList<RecordHeader> headers,
        long timestampMs, Action<SendOutcome> done)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        var send = new PendingSend(done);
        underWay[send] = 0;
        Headers? sent = null;
        if (headers.Count > 0)
        {
            sent = [];
            foreach (var header in headers) sent.Add(header.Name, header.Value);
        }

        if (slices.Produce(destination, key, value, sent, timestampMs, report => Finish(send, Outcome(report.Error, report.Offset))) is { } refusal) Finish(send, Outcome(refusal, Offset.Unset));
    }

    /// <summary>Waits until every message has its outcome, at most for the limit; true where all have.</summary>
    public bool Flush(TimeSpan limit)
    {
        try
        {
            return producer.Flush(limit) == 0 && underWay.IsEmpty;
        }
        catch (KafkaException failed)
        {
            logger.Warning($"flush: {failed.Error.Reason}");
            return underWay.IsEmpty;
        }
    }

    /// <summary>Ends at once; messages under way end as retriable. Call <see cref="Flush"/> before for an orderly stop.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        producer.Dispose();
        foreach (var send in underWay.Keys)
            Finish(send, new SendOutcome(SendResult.Retriable, -1, "the producer was stopped before the message was acknowledged"));
    }

    private void Finish(PendingSend send, SendOutcome outcome)
    {
        // The report of a message may come while Dispose hands out what is left: whoever removes it tells.
        if (!underWay.TryRemove(send, out _)) return;
        try
        {
            send.Done(outcome);
        }
        catch (Exception failure)
        {
            logger.Error($"what follows a send failed: {failure}");
        }
    }

    private static SendOutcome Outcome(Error error, Offset offset)
    {
        if (!error.IsError) return new SendOutcome(SendResult.Sent, offset.Value, null);
        var result = error.Code switch
        {
            ErrorCode.MsgSizeTooLarge or ErrorCode.RecordListTooLarge or ErrorCode.InvalidTimestamp or ErrorCode.InvalidRecord
                or ErrorCode.PolicyViolation or ErrorCode.UnsupportedForMessageFormat or ErrorCode.TopicException
                or ErrorCode.Local_InvalidArg or ErrorCode.Local_BadMsg => SendResult.Impossible,
            _ => SendResult.Retriable,
        };
        return new SendOutcome(result, -1, $"{error.Code}: {error.Reason}");
    }

    private sealed class PendingSend(Action<SendOutcome> done)
    {
        public Action<SendOutcome> Done { get; } = done;
    }
}
