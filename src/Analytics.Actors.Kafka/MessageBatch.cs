using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Analytics.Actors.Core.Records;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Takes messages from a client's consumer many at a time, straight from the native client: the managed one makes a dozen
/// objects of each and copies it twice. Callbacks (rebalances, errors of the client) run inside <see cref="Take"/>, so what
/// was taken in the same call may be of a partition that was revoked in it: the caller looks at what is assigned afterwards.
/// Of one thread, but for <see cref="Wake"/>.
/// </summary>
internal sealed unsafe partial class MessageBatch : IDisposable
{
    public const int MessagesMax = 1_000;

    private const string Library = KafkaNative.LibraryName;
    private const int TopicCharsMax = 256;

    // librdkafka 2.2, the first with fetch.queue.backoff.ms, and 2.0, the first that lets its threads be woken.
    private const int WithQueueBackoff = 0x02020000;
    private const int WithWaking = 0x02000000;

    // librdkafka 2.1, which fails where one of many messages is an error.
    private const int WithoutErrors = 0x02010000;

    private static readonly TimeSpan WakeEvery = TimeSpan.FromMilliseconds(2);
    private static readonly byte[] OriginHeader = Encoding.UTF8.GetBytes(Core.Shards.Header.Origin + '\0');

    private readonly Lock gate = new();
    private readonly IntPtr client;
    private readonly IntPtr queue;
    private readonly (string User, string Password)? credentials;
    private readonly HashSet<string> topics = new(StringComparer.Ordinal);
    private readonly Message** messages;
    private int count;
    private bool isDisposed;
    private long fetchersWoken;

    /// <summary>Throws <see cref="NotSupportedException"/> where the managed and the native client do not fit together, or the native one cannot do it.</summary>
    /// <param name="configuration">What the client was made of.</param>
    public MessageBatch(Handle handle, IReadOnlyDictionary<string, string> configuration)
    {
        credentials = CredentialsOf(configuration);
        if (rd_kafka_version() != Confluent.Kafka.Library.Version)
            throw new NotSupportedException($"Confluent.Kafka has loaded another librdkafka ({Confluent.Kafka.Library.VersionString}) than ours (0x{rd_kafka_version():x8}).");
        if (rd_kafka_version() is >= WithoutErrors and < WithQueueBackoff)
            throw new NotSupportedException($"librdkafka {Confluent.Kafka.Library.VersionString} ends the process where a topic does not exist (its issue 4273): take 2.2 or later, or 2.0.");
        client = KafkaNative.ClientOf(handle).DangerousGetHandle();
        queue = rd_kafka_queue_get_consumer(client);
        messages = (Message**)NativeMemory.Alloc(MessagesMax, (nuint)sizeof(Message*));
    }

    /// <summary>Waits so long for a message, and takes all that are queued behind it, up to the most. Those of the last call are gone.</summary>
    public int Take(TimeSpan wait)
    {
        Free();
        // A call waits until it has as many as were asked for.
        var taken = rd_kafka_consume_batch_queue(queue, (int)wait.TotalMilliseconds, messages, 1);
        if (taken == 1) taken += Math.Max(0, rd_kafka_consume_batch_queue(queue, 0, messages + 1, MessagesMax - 1));
        return count = (int)Math.Max(0, taken);
    }

    /// <summary>Ends the wait of a <see cref="Take"/>, now or the next one. From any thread.</summary>
    public void Wake()
    {
        lock (gate)
        {
            if (!isDisposed) rd_kafka_queue_yield(queue);
        }
    }

    /// <summary>The setting that bounds how long fetching rests after the client's queue was full; null where the client has none.</summary>
    public static KeyValuePair<string, string>? QueueBackoff =>
        Confluent.Kafka.Library.Version >= WithQueueBackoff ? KeyValuePair.Create("fetch.queue.backoff.ms", "2") : null;

    /// <summary>
    /// To be called while much is taken. A client before 2.2 whose queue is full puts its broker's thread to sleep for up to a second,
    /// however soon the queue is empty, and nothing but a request wakes it, or new credentials: it is given the ones that it has.
    /// </summary>
    public void KeepFetching()
    {
        if (credentials is not var (user, password)) return;
        if (Confluent.Kafka.Library.Version is < WithWaking or >= WithQueueBackoff || Stopwatch.GetElapsedTime(fetchersWoken) < WakeEvery) return;
        fetchersWoken = Stopwatch.GetTimestamp();
        var refusal = rd_kafka_sasl_set_credentials(client, user, password);
        if (refusal != IntPtr.Zero) rd_kafka_error_destroy(refusal);
    }

    /// <summary>
    /// The user and password that may be given to the client again: those that it has, or any where it authenticates by none.
    /// Null where it authenticates in another way (Kerberos, tokens), in which an empty user may mean something else than none.
    /// </summary>
    internal static (string User, string Password)? CredentialsOf(IReadOnlyDictionary<string, string> configuration)
    {
        if (configuration.TryGetValue("sasl.username", out var user)) return (user, configuration.GetValueOrDefault("sasl.password", ""));
        return configuration.GetValueOrDefault("security.protocol", "").StartsWith("sasl", StringComparison.OrdinalIgnoreCase) ? null : ("", "");
    }

    /// <summary>The partition of a message; of an error it may be unknown, the topic is empty then.</summary>
    public TopicPartition PartitionOf(int index)
    {
        var message = messages[index];
        return new TopicPartition(message->Topic == IntPtr.Zero ? "" : TopicName(message->Topic), message->Partition);
    }

    /// <summary>The offset of a message; of an error what it speaks of, negative where that is none.</summary>
    public long OffsetOf(int index) => messages[index]->Offset;

    /// <summary>The error that stands in a message's place; null where it is a record.</summary>
    public Error? ErrorOf(int index)
    {
        var message = messages[index];
        if (message->Error == 0) return null;
        var code = (ErrorCode)message->Error;
        return new Error(code, Marshal.PtrToStringUTF8(rd_kafka_message_errstr(message)) ?? code.ToString(), code == ErrorCode.Local_Fatal);
    }

    /// <summary>Where the records end that are of one partition with the first one.</summary>
    public int RunEnd(int from)
    {
        var (topic, partition) = (messages[from]->Topic, messages[from]->Partition);
        var to = from + 1;
        while (to < count && messages[to]->Error == 0 && messages[to]->Partition == partition && messages[to]->Topic == topic) to++;
        return to;
    }

    /// <summary>
    /// Copies records that are not below the position, as many as one chunk takes, at least one, and moves the position behind them.
    /// Begins at <paramref name="from"/> and leaves there where the rest begins. Null: none was left.
    /// </summary>
    public RecordRun? Read(ref int from, int to, PartitionReading reading)
    {
        var next = reading.Next!.Value;
        // Delivered before, or fetched before the position was moved.
        while (from < to && messages[from]->Offset < next) from++;
        var (end, bytes) = (from, 0L);
        for (; end < to; end++)
        {
            var size = (long)messages[end]->ValueLength + (long)messages[end]->KeyLength;
            if (end > from && (messages[end]->Offset <= messages[end - 1]->Offset || bytes + size > RecordChunk.PooledBytesMax)) break;
            bytes += size;
        }

        if (end == from) return null;
        reading.Next = messages[end - 1]->Offset + 1;
        var run = new RecordRun(reading.Partition, checked((int)bytes), end - from);
        for (; from < end; from++)
        {
            Add(run, messages[from]);
            // While it is in the processor's cache.
            rd_kafka_message_destroy(messages[from]);
            messages[from] = null;
        }

        return run;
    }

    /// <summary>To be called before the consumer is closed; again, it does nothing.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (isDisposed) return;
            isDisposed = true;
            Free();
            NativeMemory.Free(messages);
            rd_kafka_queue_destroy(queue);
        }
    }

    private void Free()
    {
        for (var index = 0; index < count; index++)
        {
            if (messages[index] != null) rd_kafka_message_destroy(messages[index]);
        }

        count = 0;
    }

    private static void Add(RecordRun run, Message* message)
    {
        int kind;
        var timestamp = rd_kafka_message_timestamp(message, &kind);
        run.Add(
            message->Offset, kind == (int)TimestampType.NotAvailable ? -1 : timestamp,
            new ReadOnlySpan<byte>(message->Value, (int)message->ValueLength), message->Value != null,
            new ReadOnlySpan<byte>(message->Key, (int)message->KeyLength), message->Key != null, OriginOf(message));
    }

    // The last one where there are several; a header without a value is none of ours.
    private static string? OriginOf(Message* message)
    {
        IntPtr headers;
        if (rd_kafka_message_headers(message, &headers) != 0) return null;
        byte* value;
        nuint length;
        fixed (byte* name = OriginHeader)
        {
            return rd_kafka_header_get_last(headers, name, &value, &length) == 0 && value != null ? Encoding.UTF8.GetString(value, (int)length) : null;
        }
    }

    // One string for each topic: it is looked up for every run of records.
    private string TopicName(IntPtr topic)
    {
        var name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(rd_kafka_topic_name(topic));
        Span<char> text = stackalloc char[TopicCharsMax];
        if (!Encoding.UTF8.TryGetChars(name, text, out var length)) return Encoding.UTF8.GetString(name);
        if (topics.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text[..length], out var known)) return known;
        var found = text[..length].ToString();
        topics.Add(found);
        return found;
    }

    /// <summary>rd_kafka_message_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public int Error;
        public IntPtr Topic;
        public int Partition;
        public byte* Value;
        public nuint ValueLength;
        public byte* Key;
        public nuint KeyLength;
        public long Offset;
        public IntPtr Private;
    }

    [LibraryImport(Library)]
    private static partial int rd_kafka_version();

    [LibraryImport(Library)]
    private static partial IntPtr rd_kafka_queue_get_consumer(IntPtr client);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial IntPtr rd_kafka_sasl_set_credentials(IntPtr client, string user, string password);

    [LibraryImport(Library)]
    private static partial void rd_kafka_error_destroy(IntPtr error);

    [LibraryImport(Library)]
    private static partial void rd_kafka_queue_destroy(IntPtr queue);

    [LibraryImport(Library)]
    private static partial void rd_kafka_queue_yield(IntPtr queue);

    [LibraryImport(Library)]
    private static partial nint rd_kafka_consume_batch_queue(IntPtr queue, int timeoutMs, Message** messages, nint size);

    [LibraryImport(Library)]
    private static partial void rd_kafka_message_destroy(Message* message);

    [LibraryImport(Library)]
    private static partial IntPtr rd_kafka_message_errstr(Message* message);

    [LibraryImport(Library)]
    private static partial byte* rd_kafka_topic_name(IntPtr topic);

    // Reads two fields: neither waits nor calls back.
    [LibraryImport(Library)]
    [SuppressGCTransition]
    private static partial long rd_kafka_message_timestamp(Message* message, int* kind);

    [LibraryImport(Library)]
    private static partial int rd_kafka_message_headers(Message* message, IntPtr* headers);

    [LibraryImport(Library)]
    private static partial int rd_kafka_header_get_last(IntPtr headers, byte* name, byte** value, nuint* length);
}

/// <summary>Where reading of one partition stands. Of the poll thread.</summary>
internal class PartitionReading(TopicPartition partition)
{
    public TopicPartition Partition { get; } = partition;

    /// <summary>The offset after the last record delivered; null until the partition is positioned.</summary>
    public long? Next { get; set; }

    public bool Paused { get; set; }

    /// <summary>
    /// Whether an offset that could not be read is where this stands. The client tells of it late: the partition may have been moved
    /// meanwhile, and be read elsewhere. (An offset above is of here too: the client passes over what is no record.)
    /// </summary>
    public bool IsAt(long offset) => Next is { } next && offset >= next;
}
