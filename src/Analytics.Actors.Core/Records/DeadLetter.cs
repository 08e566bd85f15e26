using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Core.Records;

/// <summary>What the bytes of a rejection are. The numbers are stored and sent: never change one.</summary>
public enum RejectedForm
{
    /// <summary>Nothing that came from a source: an envelope, a result, an upload, or no bytes at all.</summary>
    Internal = 0,

    /// <summary>A whole source record.</summary>
    Record = 1,

    /// <summary>One item of a source record.</summary>
    Item = 2,

    /// <summary>An element of a list inside an item; the rest of the item was applied.</summary>
    Element = 3,
}

/// <summary>
/// What could not be decoded, routed or applied, with its source and reason: one JSON record of
/// <c>&lt;group&gt;.dead-letters</c>, and one row of the store. At most 64 KB of the bytes are kept, with the whole length
/// and checksum.
/// </summary>
/// <param name="Index">Index of the item in its record; 0 for a whole one.</param>
/// <param name="Station">Empty where it is not known.</param>
/// <param name="TimeMs">When it was written, ms since 1970 UTC.</param>
public sealed record DeadLetter(
    SourcePartition Source, long Offset, int Index, string Station, Rejection Reason,
    ReadOnlyMemory<byte> Bytes, long Length, uint Checksum, long TimeMs)
{
    /// <summary>The most bytes of the rejected value that are kept.</summary>
    public const int KeptBytesMax = 64 * 1024;

    // A detail may quote a module's exception, which may be any text.
    private const int DetailMax = 4_000;

    /// <summary>Null until a shard has taken it.</summary>
    public DeadLetterId? Id { get; init; }

    public RejectedForm Form { get; init; }

    /// <summary>The source record's own timestamp, ms since 1970 UTC; 0 where there is none.</summary>
    public long RecordTimestampMs { get; init; }

    /// <summary>Set where it is a replay that failed again: the letter that was replayed.</summary>
    public DeadLetterId? ReplayOf { get; init; }

    /// <summary>Bytes are missing at the end.</summary>
    public bool IsCut => Bytes.Length < Length;

    /// <summary>A letter of bytes that are all there.</summary>
    public static DeadLetter Of(SourcePartition source, long offset, int index, string station, Rejection reason, ReadOnlyMemory<byte> bytes, long nowMs) =>
        new(source, offset, index, station, reason, bytes, bytes.Length, Records.Checksum.Of(bytes.Span), nowMs);

    /// <summary>The letter under its id, with no more of bytes and detail than is kept, and a detail that any store takes.</summary>
    public DeadLetter Kept(DeadLetterId id)
    {
        var detail = Reason.Detail.Length <= DetailMax ? Reason.Detail : Reason.Detail[..DetailMax];
        return this with
        {
            Id = id,
            // Half a surrogate pair becomes U+FFFD: there is no UTF-8 for it.
            Reason = Reason with { Detail = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(detail)) },
            // They may be a slice of what is read, which is there for now only.
            Bytes = Bytes[..Math.Min(Bytes.Length, KeptBytesMax)].ToArray(),
        };
    }

    /// <summary>
    /// The JSON form: topic, partition, incarnation, offset, index, station, reason, detail, length, crc32c, bytes (base64),
    /// timestamp (ms), id, replay_of.
    /// </summary>
    public byte[] ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>(256 + (Bytes.Length * 4 / 3));
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("topic", Source.Topic);
            writer.WriteNumber("partition", Source.Partition);
            writer.WriteNumber("incarnation", Source.Incarnation);
            writer.WriteNumber("offset", Offset);
            writer.WriteNumber("index", Index);
            if (Station.Length > 0) writer.WriteString("station", Station);
            writer.WriteString("reason", Reason.Code);
            writer.WriteString("detail", Reason.Detail);
            writer.WriteNumber("length", Length);
            writer.WriteNumber("crc32c", Checksum);
            writer.WriteBase64String("bytes", Bytes.Span);
            writer.WriteNumber("timestamp", TimeMs);
            if (Id is { } id) writer.WriteString("id", id.ToString());
            if (ReplayOf is { } replayed) writer.WriteString("replay_of", replayed.ToString());
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }
}
