using System.Numerics;
using System.Text;
using Google.Protobuf;

namespace Analytics.Actors.Core.Protocol;

/// <summary>Writes the records of <see cref="RoutedParts"/> as <see cref="RecordParts"/>, byte for byte as the generated code does.</summary>
internal static class PartsWriter
{
    // All field numbers are below 16: a tag is one byte.
    private const int TagSize = 1;

    /// <summary>Bytes of a field with so long a value, with its tag and length.</summary>
    public static int FieldSize(int length) => TagSize + VarintSize((uint)length) + length;

    /// <summary>The size of a record's message.</summary>
    public static int SizeOf(RoutedParts parts, in RoutedParts.Record record)
    {
        var size = TextSize(record.Topic)
            + NumberSize(record.Incarnation) + NumberSize(record.Partition) + NumberSize(record.Offset) + NumberSize(record.TimestampMs)
            + NumberSize(record.PreviousOffset) + TextSize(record.Origin) + (record.Global ? TagSize + 1 : 0) + NumberSize(record.Rules);
        if (record.Replay is { } replay) size += FieldSize(replay.CalculateSize());
        foreach (var batch in parts.Batches.Of(record.Batches)) size += FieldSize(batch.CalculateSize());
        foreach (ref readonly var part in parts.Parts.Of(record.Parts)) size += FieldSize(SizeOf(parts, part));
        return size;
    }

    /// <summary>The size of a part's message.</summary>
    public static int SizeOf(RoutedParts parts, in RoutedParts.Part part)
    {
        var size = (part.Station.IsEmpty ? 0 : FieldSize(part.Station.Length)) + NumberSize(part.Index) + NumberSize(part.Ordinal);
        foreach (ref readonly var item in parts.Items.Of(part.Items)) size += FieldSize(item.Length);
        if (part.Rejected is { } rejected) size += FieldSize(rejected.CalculateSize());
        foreach (var batch in parts.Batches.Of(part.Batches)) size += FieldSize(batch.CalculateSize());
        return part.ItemIndexes.Count == 0 ? size : size + FieldSize(PackedSize(parts.ItemIndexes.Of(part.ItemIndexes)));
    }

    /// <summary>Writes a record's message, of the size that <see cref="SizeOf(RoutedParts, in RoutedParts.Record)"/> gives.</summary>
    public static void Write(RoutedParts parts, in RoutedParts.Record record, Span<byte> to)
    {
        var writer = new WireWriter(to);
        writer.Text(RecordParts.TopicFieldNumber, record.Topic);
        writer.Number(RecordParts.IncarnationFieldNumber, record.Incarnation);
        writer.Number(RecordParts.PartitionFieldNumber, record.Partition);
        writer.Number(RecordParts.OffsetFieldNumber, record.Offset);
        writer.Number(RecordParts.TimestampMsFieldNumber, record.TimestampMs);
        writer.Number(RecordParts.PreviousOffsetFieldNumber, record.PreviousOffset);
        writer.Text(RecordParts.OriginFieldNumber, record.Origin);
        foreach (var batch in parts.Batches.Of(record.Batches)) writer.Message(RecordParts.BatchesFieldNumber, batch);
        foreach (ref readonly var part in parts.Parts.Of(record.Parts))
        {
            writer.Begin(RecordParts.PartsFieldNumber, SizeOf(parts, part));
            Write(parts, part, ref writer);
        }

        writer.Number(RecordParts.GlobalFieldNumber, record.Global ? 1 : 0);
        if (record.Replay is { } replay) writer.Message(RecordParts.ReplayFieldNumber, replay);
        writer.Number(RecordParts.RulesFieldNumber, record.Rules);
        if (writer.Count != to.Length) throw new InvalidOperationException($"A record has {writer.Count} bytes, {to.Length} were counted.");
    }

    /// <summary>Writes a field's tag and the length of its value; returns where the value begins.</summary>
    public static int Begin(int field, int length, Span<byte> to)
    {
        var writer = new WireWriter(to);
        writer.Begin(field, length);
        return writer.Count;
    }

    private static void Write(RoutedParts parts, in RoutedParts.Part part, ref WireWriter writer)
    {
        if (!part.Station.IsEmpty) writer.Bytes(Part.StationFieldNumber, part.Station.Span);
        writer.Number(Part.IndexFieldNumber, part.Index);
        writer.Number(Part.OrdinalFieldNumber, part.Ordinal);
        foreach (ref readonly var item in parts.Items.Of(part.Items)) writer.Bytes(Part.ItemsFieldNumber, item.Span);
        if (part.Rejected is { } rejected) writer.Message(Part.RejectedFieldNumber, rejected);
        foreach (var batch in parts.Batches.Of(part.Batches)) writer.Message(Part.BatchesFieldNumber, batch);
        if (part.ItemIndexes.Count == 0) return;
        var indexes = parts.ItemIndexes.Of(part.ItemIndexes);
        writer.Begin(Part.ItemIndexesFieldNumber, PackedSize(indexes));
        foreach (var index in indexes) writer.Varint((ulong)index);
    }

    private static int PackedSize(ReadOnlySpan<int> numbers)
    {
        var size = 0;
        foreach (var number in numbers) size += VarintSize((ulong)number);
        return size;
    }

    private static int TextSize(string text) => text.Length == 0 ? 0 : FieldSize(Encoding.UTF8.GetByteCount(text));

    private static int NumberSize(long number) => number == 0 ? 0 : TagSize + VarintSize((ulong)number);

    // Seven bits a byte; a negative number has ten.
    private static int VarintSize(ulong number) => (BitOperations.Log2(number | 1) / 7) + 1;

    private ref struct WireWriter(Span<byte> to)
    {
        private readonly Span<byte> to = to;

        public int Count { get; private set; }

        public void Varint(ulong number)
        {
            for (; number >= 0x80; number >>= 7) to[Count++] = (byte)(number | 0x80);
            to[Count++] = (byte)number;
        }

        public void Begin(int field, int length)
        {
            to[Count++] = (byte)((field << 3) | (int)WireReader.Bytes);
            Varint((uint)length);
        }

        public void Number(int field, long number)
        {
            if (number == 0) return;
            to[Count++] = (byte)(field << 3);
            Varint((ulong)number);
        }

        public void Bytes(int field, ReadOnlySpan<byte> bytes)
        {
            Begin(field, bytes.Length);
            bytes.CopyTo(to[Count..]);
            Count += bytes.Length;
        }

        public void Text(int field, string text)
        {
            if (text.Length == 0) return;
            Begin(field, Encoding.UTF8.GetByteCount(text));
            Count += Encoding.UTF8.GetBytes(text, to[Count..]);
        }

        public void Message(int field, IMessage message)
        {
            var size = message.CalculateSize();
            Begin(field, size);
            message.WriteTo(to.Slice(Count, size));
            Count += size;
        }
    }
}
