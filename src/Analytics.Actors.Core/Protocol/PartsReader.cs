using System.Text;
using System.Text.Unicode;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Core.Protocol;

/// <summary>
/// Reads <see cref="PartsEnvelope"/> from its bytes without an object per part. What everybody writes is read by hand; what is
/// out of the ordinary (groups, overlong numbers, fields in another order where it matters, broken bytes) is left to the
/// generated code, which decides what it means.
/// </summary>
internal sealed class PartsReader
{
    // Names of topics: more than a pipeline has, and a bound for what is none.
    private const int NamesMax = 10_000;

    private readonly Dictionary<string, string> names;
    private readonly Dictionary<string, string>.AlternateLookup<ReadOnlySpan<byte>> byBytes;

    public PartsReader()
    {
        names = new Dictionary<string, string>(Utf8Names.Comparer);
        byBytes = names.GetAlternateLookup<ReadOnlySpan<byte>>();
    }

    /// <summary>Fills <paramref name="parts"/> with what an envelope holds, as slices of it.</summary>
    /// <returns>Null, or what is wrong with it; then there are no parts.</returns>
    public string? Read(ReadOnlyMemory<byte> envelope, RoutedParts parts)
    {
        if (TryRead(envelope, parts)) return null;
        parts.Clear();
        // The first of the two decides whether it is an envelope at all, and says why not.
        if (WireMessages.Read(PartsEnvelope.Parser, envelope.Span, out var failure) is null) return failure;
        var known = PartsEnvelope.Parser.WithDiscardUnknownFields(true).ParseFrom(envelope.Span);
        return TryRead(known.ToByteArray(), parts) ? null : throw new InvalidOperationException("An envelope that was just written cannot be read.");
    }

    private bool TryRead(ReadOnlyMemory<byte> envelope, RoutedParts parts)
    {
        parts.Clear();
        var reader = new WireReader(envelope.Span, 0, envelope.Length);
        while (!reader.IsAtEnd)
        {
            if (!reader.TryTag(out var tag)) return false;
            if (tag == (PartsEnvelope.RecordsFieldNumber << 3 | WireReader.Bytes))
            {
                if (!reader.TryBytes(out var start, out var length) || !TryRecord(envelope, start, length, parts)) return false;
            }
            else if (!reader.TrySkip(tag))
            {
                return false;
            }
        }

        return true;
    }

    private bool TryRecord(ReadOnlyMemory<byte> envelope, int from, int count, RoutedParts parts)
    {
        var all = envelope.Span;
        var reader = new WireReader(all, from, from + count);
        var record = new RoutedParts.Record { Topic = "", Origin = "" };
        var (firstPart, firstBatch) = (parts.Parts.Count, parts.Batches.Count);
        while (!reader.IsAtEnd)
        {
            if (!reader.TryTag(out var tag)) return false;
            if ((tag & 7) == WireReader.Varint)
            {
                if (!reader.TryVarint(out var number)) return false;
                switch (tag >> 3)
                {
                    case RecordParts.IncarnationFieldNumber: record.Incarnation = (int)number; break;
                    case RecordParts.PartitionFieldNumber: record.Partition = (int)number; break;
                    case RecordParts.OffsetFieldNumber: record.Offset = (long)number; break;
                    case RecordParts.TimestampMsFieldNumber: record.TimestampMs = (long)number; break;
                    case RecordParts.PreviousOffsetFieldNumber: record.PreviousOffset = (long)number; break;
                    case RecordParts.GlobalFieldNumber: record.Global = number != 0; break;
                    case RecordParts.RulesFieldNumber: record.Rules = (long)number; break;
                    default: break;
                }
            }
            else if ((tag & 7) == WireReader.Bytes)
            {
                if (!reader.TryBytes(out var start, out var length)) return false;
                switch (tag >> 3)
                {
                    case RecordParts.TopicFieldNumber: record.Topic = NameOf(all.Slice(start, length)); break;
                    case RecordParts.OriginFieldNumber: record.Origin = Encoding.UTF8.GetString(all.Slice(start, length)); break;
                    // A record's batches are one run: none of a part's may lie between them.
                    case RecordParts.BatchesFieldNumber when parts.Parts.Count > firstPart || !TryBatch(all.Slice(start, length), parts): return false;
                    case RecordParts.BatchesFieldNumber: record.Batches = parts.Batches.Since(firstBatch); break;
                    case RecordParts.PartsFieldNumber when !TryPart(envelope, start, length, parts): return false;
                    case RecordParts.ReplayFieldNumber when !WireMessages.TryMerge(record.Replay ??= new ReplayedFrom(), all.Slice(start, length)): return false;
                    default: break;
                }
            }
            else if (!reader.TrySkip(tag))
            {
                return false;
            }
        }

        record.Parts = parts.Parts.Since(firstPart);
        parts.Records.Add(record);
        return true;
    }

    private static bool TryPart(ReadOnlyMemory<byte> envelope, int from, int count, RoutedParts parts)
    {
        var all = envelope.Span;
        var reader = new WireReader(all, from, from + count);
        ref var part = ref parts.Parts.Add();
        var (firstItem, firstIndex, firstBatch) = (parts.Items.Count, parts.ItemIndexes.Count, parts.Batches.Count);
        while (!reader.IsAtEnd)
        {
            if (!reader.TryTag(out var tag)) return false;
            if ((tag & 7) == WireReader.Varint)
            {
                if (!reader.TryVarint(out var number)) return false;
                switch (tag >> 3)
                {
                    case Part.IndexFieldNumber: part.Index = (int)number; break;
                    case Part.OrdinalFieldNumber: part.Ordinal = (int)number; break;
                    case Part.ItemIndexesFieldNumber: parts.ItemIndexes.Add((int)number); break;
                    default: break;
                }
            }
            else if ((tag & 7) == WireReader.Bytes)
            {
                if (!reader.TryBytes(out var start, out var length)) return false;
                switch (tag >> 3)
                {
                    case Part.StationFieldNumber: part.Station = AsText(envelope.Slice(start, length)); break;
                    case Part.ItemsFieldNumber: parts.Items.Add(envelope.Slice(start, length)); break;
                    case Part.RejectedFieldNumber when !WireMessages.TryMerge(part.Rejected ??= new RejectedPart(), all.Slice(start, length)): return false;
                    case Part.BatchesFieldNumber when !TryBatch(all.Slice(start, length), parts): return false;
                    case Part.ItemIndexesFieldNumber when !TryIndexes(new WireReader(all, start, start + length), parts): return false;
                    default: break;
                }
            }
            else if (!reader.TrySkip(tag))
            {
                return false;
            }
        }

        part.Items = parts.Items.Since(firstItem);
        part.ItemIndexes = parts.ItemIndexes.Since(firstIndex);
        part.Batches = parts.Batches.Since(firstBatch);
        return true;
    }

    private static bool TryIndexes(WireReader packed, RoutedParts parts)
    {
        while (!packed.IsAtEnd)
        {
            if (!packed.TryVarint(out var number)) return false;
            parts.ItemIndexes.Add((int)number);
        }

        return true;
    }

    private static bool TryBatch(ReadOnlySpan<byte> bytes, RoutedParts parts)
    {
        var batch = new BatchReference();
        parts.Batches.Add(batch);
        return WireMessages.TryMerge(batch, bytes);
    }

    // Text that is no UTF-8 is what the generated code makes of it.
    private static ReadOnlyMemory<byte> AsText(ReadOnlyMemory<byte> text) =>
        Utf8.IsValid(text.Span) ? text : Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(text.Span));

    private string NameOf(ReadOnlySpan<byte> bytes)
    {
        if (byBytes.TryGetValue(bytes, out var known)) return known;
        var name = Encoding.UTF8.GetString(bytes);
        if (names.Count < NamesMax) names.TryAdd(name, name);
        return name;
    }
}
