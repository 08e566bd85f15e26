using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Unicode;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// The one pass over a record behind <see cref="RecordSplitter"/>. Several envelope alternatives may be open until the
/// record's end, so items are gathered as soon as a list is met and dropped again where a better alternative follows.
/// Throws <see cref="JsonException"/> for what is not JSON, and nothing else.
/// </summary>
internal ref struct RecordScanner
{
    [Flags]
    private enum Flaws
    {
        None = 0,
        TooDeep = 1,
        BrokenText = 2,
        DuplicateName = 4,
    }

    // Depth is limited by us, item by item: the reader itself would give the whole record up.
    private static readonly JsonReaderOptions ReaderOptions = new() { MaxDepth = int.MaxValue };

    private readonly EnvelopePlan plan;
    private readonly ReadOnlyMemory<byte> record;
    private readonly ReadOnlySpan<byte> bytes;
    private readonly bool isUtf8;
    private Utf8JsonReader reader;
    private readonly SplitRecord into;
    private readonly PartCollector parts;

    public RecordScanner(EnvelopePlan plan, ReadOnlyMemory<byte> record, bool isUtf8, SplitRecord into)
    {
        this.plan = plan;
        this.record = record;
        this.isUtf8 = isUtf8;
        this.into = into;
        parts = new PartCollector(plan, record, into);
        bytes = record.Span;
        reader = new Utf8JsonReader(bytes, ReaderOptions);
    }

    public void Split()
    {
        reader.Read();
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                SplitObject();
                break;
            case JsonTokenType.StartArray when plan.AllowsList:
                SplitList();
                break;
            default:
                RejectEnvelope(reader.TokenType);
                break;
        }
    }

    private readonly void RejectWhole(Flaws flaws) => RejectWhole(Code(flaws), Detail(flaws));
    private readonly void RejectWhole(string code, string detail) => RecordSplitter.RejectWhole(plan, record, code, detail, into);

    private void RejectEnvelope(JsonTokenType kind)
    {
        // Read to the end first: what is not JSON is called that.
        PassValue();
        PassEnd();
        if (!isUtf8) RejectWhole("invalid-utf8", "a text is not UTF-8");
        else RejectWhole("wrong-envelope", $"the record is {JsonText.KindName(kind)}; the topic expects {plan.Expected}");
    }

    private void SplitList()
    {
        if (plan.IsGlobal)
        {
            var flaws = PassValue();
            PassEnd();
            TakeWhole(flaws);
            return;
        }

        ScanItems();
        PassEnd();
        // Between the items of a list stand only commas and blanks, so what is not UTF-8 is inside an item.
        into.Finish(plan.Order);
    }

    /// <summary>Global data concerns every station: the record, which is at its end, stays whole.</summary>
    private readonly void TakeWhole(Flaws flaws)
    {
        into.Clear(isGlobal: true);
        if (!isUtf8) RejectWhole("invalid-utf8", "a text is not UTF-8");
        else if (flaws != Flaws.None) RejectWhole(flaws);
        else into.Add(0, default, record);
    }

    [SkipLocalsInit]
    private void SplitObject()
    {
        Span<ulong> hashes = stackalloc ulong[MemberNames.Capacity];
        Span<(int, int)> spans = stackalloc (int, int)[MemberNames.Capacity];
        Span<JsonSlice> ids = plan.StationNames.Length <= EnvelopePlan.PathsOnStack ? stackalloc JsonSlice[EnvelopePlan.PathsOnStack] : new JsonSlice[plan.StationNames.Length];
        ids = ids[..plan.StationNames.Length];
        ids.Clear();
        var names = new MemberNames(bytes, hashes, spans);
        var flaws = Flaws.None;
        var itemFlaws = Flaws.None;
        var memberRank = EnvelopePlan.NoRank;
        var (listStart, listEnd) = (0, 0);
        var output = default(JsonSlice);
        var outputFlaws = Flaws.None;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            var escapedName = EscapedName(ref flaws);
            if (!names.Add(reader.ValueSpan, (int)reader.TokenStartIndex + 1, escapedName)) flaws |= Flaws.DuplicateName;
            var rank = MemberRank();
            var isOutput = plan.OutputRank != EnvelopePlan.NoRank && JsonText.NameEquals(ref reader, "output"u8);
            var id = StationName(ids.Length);
            reader.Read();
            var (start, kind) = ((int)reader.TokenStartIndex, reader.TokenType);
            if (rank < memberRank && kind == JsonTokenType.StartArray)
            {
                memberRank = rank;
                listStart = start;
                if (plan.IsGlobal) itemFlaws = PassValue();
                else itemFlaws = ScanItems();
                listEnd = (int)reader.BytesConsumed;
            }
            else if (isOutput && kind == JsonTokenType.StartObject)
            {
                outputFlaws = ScanObject(default);
                flaws |= outputFlaws & ~Flaws.DuplicateName;
            }
            else
            {
                flaws |= PassValue();
            }

            var slice = new JsonSlice(start, (int)reader.BytesConsumed - start, kind);
            if (isOutput) output = slice;
            if (id >= 0) ids[id] = slice;
        }

        PassEnd();
        var outputRank = output.IsPresent ? plan.OutputRank : EnvelopePlan.NoRank;
        var best = Math.Min(memberRank, Math.Min(plan.ObjectRank, outputRank));
        if (best == EnvelopePlan.NoRank)
        {
            if (!isUtf8) RejectWhole("invalid-utf8", "a text is not UTF-8");
            else RejectWhole("wrong-envelope", $"the topic expects {plan.Expected}");
        }
        else if (plan.IsGlobal)
        {
            TakeWhole(flaws | itemFlaws);
        }
        else if (best == memberRank)
        {
            if (!isUtf8 && !(Utf8.IsValid(bytes[..listStart]) && Utf8.IsValid(bytes[listEnd..])))
                RejectWhole("invalid-utf8", "a text outside of the items is not UTF-8");
            else if (flaws != Flaws.None) RejectWhole(flaws);
            else into.Finish(plan.Order);
        }
        else
        {
            // The record itself is the item, or holds just one; nothing of it survives a flaw.
            flaws |= itemFlaws;
            if (best == outputRank && best != plan.ObjectRank) flaws |= outputFlaws;
            var item = best == plan.ObjectRank ? new JsonSlice(0, bytes.Length, JsonTokenType.StartObject) : output;
            TakeSingle(flaws, ids, item);
        }
    }

    private readonly void TakeSingle(Flaws flaws, scoped ReadOnlySpan<JsonSlice> ids, JsonSlice item)
    {
        into.Clear();
        if (!isUtf8) RejectWhole("invalid-utf8", "a text is not UTF-8");
        else if (flaws != Flaws.None) RejectWhole(flaws);
        else if (item.Kind != JsonTokenType.StartObject) RejectWhole("item-not-object", $"the member 'output' is {JsonText.KindName(item.Kind)}");
        else if (parts.Add(0, ids, new JsonSlice(0, bytes.Length, JsonTokenType.StartObject), item) is { } reason) RejectWhole(reason.Code, reason.Detail);
    }

    /// <summary>Reads the list at whose start the reader stands, item by item; its flaws lie in the items and are dealt with.</summary>
    [SkipLocalsInit]
    private Flaws ScanItems()
    {
        into.Clear();
        Span<JsonSlice> ids = plan.StationNames.Length <= EnvelopePlan.PathsOnStack ? stackalloc JsonSlice[EnvelopePlan.PathsOnStack] : new JsonSlice[plan.StationNames.Length];
        ids = ids[..plan.StationNames.Length];
        var all = Flaws.None;
        for (var index = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; index++)
        {
            var (start, kind) = ((int)reader.TokenStartIndex, reader.TokenType);
            ids.Clear();
            var flaws = kind == JsonTokenType.StartObject ? ScanObject(ids) : PassValue();
            all |= flaws;
            var item = new JsonSlice(start, (int)reader.BytesConsumed - start, kind);
            if (!isUtf8 && !Utf8.IsValid(item.Of(bytes))) parts.Reject(index, item, "invalid-utf8", "a text is not UTF-8");
            else if (flaws != Flaws.None) parts.Reject(index, item, Code(flaws), Detail(flaws));
            else if (kind != JsonTokenType.StartObject) parts.Reject(index, item, "item-not-object", $"the item is {JsonText.KindName(kind)}");
            else if (parts.Add(index, ids, item, item) is { } reason) parts.Reject(index, item, reason.Code, reason.Detail);
        }

        return all;
    }

    /// <summary>Reads the object at whose start the reader stands, notes where its ids are, and what is wrong with it.</summary>
    [SkipLocalsInit]
    private Flaws ScanObject(scoped Span<JsonSlice> ids)
    {
        Span<ulong> hashes = stackalloc ulong[MemberNames.Capacity];
        Span<(int, int)> spans = stackalloc (int, int)[MemberNames.Capacity];
        var names = new MemberNames(bytes, hashes, spans);
        var flaws = reader.CurrentDepth >= RecordSplitter.DepthMax ? Flaws.TooDeep : Flaws.None;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            var escapedName = EscapedName(ref flaws);
            if (!names.Add(reader.ValueSpan, (int)reader.TokenStartIndex + 1, escapedName)) flaws |= Flaws.DuplicateName;
            var id = StationName(ids.Length);
            reader.Read();
            var (start, kind) = ((int)reader.TokenStartIndex, reader.TokenType);
            flaws |= PassValue();
            if (id >= 0) ids[id] = new JsonSlice(start, (int)reader.BytesConsumed - start, kind);
        }

        return flaws;
    }

    /// <summary>The name at which the reader stands, where it is written with escapes; empty where it cannot be decoded.</summary>
    private string? EscapedName(ref Flaws flaws)
    {
        if (!reader.ValueIsEscaped) return null;
        if (!JsonText.HasLoneSurrogate(reader.ValueSpan) && (isUtf8 || Utf8.IsValid(reader.ValueSpan))) return reader.GetString();
        flaws |= Flaws.BrokenText;
        return "";
    }

    /// <summary>Reads the value at which the reader stands to its end.</summary>
    private Flaws PassValue()
    {
        var flaws = Flaws.None;
        var depth = reader.CurrentDepth;
        var isContainer = reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray;
        while (true)
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.PropertyName or JsonTokenType.String:
                    if (reader.ValueIsEscaped && JsonText.HasLoneSurrogate(reader.ValueSpan)) flaws |= Flaws.BrokenText;
                    break;
                case JsonTokenType.StartObject or JsonTokenType.StartArray:
                    if (reader.CurrentDepth >= RecordSplitter.DepthMax) flaws |= Flaws.TooDeep;
                    break;
                case JsonTokenType.EndObject or JsonTokenType.EndArray:
                    if (reader.CurrentDepth == depth) return flaws;
                    break;
            }

            if (!isContainer) return flaws;
            reader.Read();
        }
    }

    /// <summary>After the record's value nothing may follow; the reader throws if something does.</summary>
    private void PassEnd() => reader.Read();

    private int MemberRank()
    {
        foreach (var (name, rank) in plan.Members)
            if (NameIs(name)) return rank;
        return EnvelopePlan.NoRank;
    }

    private int StationName(int count)
    {
        for (var i = 0; i < count; i++)
            if (NameIs(plan.StationNames[i])) return i;
        return -1;
    }

    private bool NameIs(byte[] name) => JsonText.NameEquals(ref reader, name);

    private static string Code(Flaws flaws) =>
        flaws.HasFlag(Flaws.TooDeep) ? "too-deep" : flaws.HasFlag(Flaws.BrokenText) ? "invalid-utf8" : "duplicate-key";

    private static string Detail(Flaws flaws) =>
        flaws.HasFlag(Flaws.TooDeep) ? $"a record has at most {RecordSplitter.DepthMax} levels of objects and lists"
        : flaws.HasFlag(Flaws.BrokenText) ? "an escaped text has half a surrogate pair, or bytes that are not UTF-8"
        : "an object has the same member twice";
}
