using System.Buffers;
using System.Text.Json;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// What could not be decoded, routed or applied, with its source and reason: one JSON record of
/// <c>&lt;group&gt;.dead-letters</c>. At most 64 KB of the bytes are kept, with the whole length and checksum.
/// </summary>
public sealed record DeadLetter(
    SourcePartition Source, long Offset, int Index, string Station, Rejection Reason,
    ReadOnlyMemory<byte> Bytes, long Length, uint Checksum, long TimeMs)
{
    /// <summary>The most bytes of the rejected value that are kept.</summary>
    public const int KeptBytesMax = 64 * 1024;

    /// <summary>The JSON form: topic, partition, incarnation, offset, index, station, reason, detail, length, crc32c, bytes (base64), timestamp (ms).</summary>
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
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }
}
