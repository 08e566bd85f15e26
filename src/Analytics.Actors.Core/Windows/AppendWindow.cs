using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Core.Windows;

/// <summary>An item with its time, ms since 1970 UTC; a time in the future was taken as now.</summary>
internal readonly record struct Entry(long TimeMs, byte[] Item);

/// <summary>
/// The newest items in order of arrival, each a copy of its bytes and nothing else: what they hold is looked at when it
/// is shaped, so that an item which another replaces first has cost one copy. In mode Replace a part's items drop all
/// earlier ones.
/// </summary>
internal sealed class AppendWindow : TopicWindow
{
    // What an entry costs besides its bytes: its slot and the array's header.
    private const int EntryOverhead = 40;

    private readonly WindowPlan plan;
    private Entry[] entries = [];
    private int count;

    public AppendWindow(TopicConfiguration topic, TimeSpan timeZone) : base(topic, timeZone) => plan = WindowPlan.For(topic);

    /// <summary>Oldest first.</summary>
    internal ReadOnlySpan<Entry> Entries => entries.AsSpan(0, count);

    public override bool IsEmpty => count == 0;

    public override long? NewestTimeMs
    {
        get
        {
            if (count == 0) return null;
            var newest = long.MinValue;
            foreach (var entry in Entries) newest = Math.Max(newest, entry.TimeMs);
            return newest;
        }
    }

    public override long SizeBytes
    {
        get
        {
            long size = 0;
            foreach (var entry in Entries) size += entry.Item.Length + EntryOverhead;
            return size;
        }
    }

    public override WindowChange Apply(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs)
    {
        List<RejectedItem>? rejected = null;
        var replaces = Topic.Mode == UpdateMode.Replace;
        var changed = false;
        for (var i = 0; i < items.Length; i++)
        {
            var item = items[i];
            if (AppendCheck.Check(plan, ref item, TimeZone, i, ref rejected, out var timeMs) is { } reason)
            {
                (rejected ??= []).Add(new RejectedItem(i, reason, items[i]));
                continue;
            }

            if (replaces && !changed) count = 0;
            Add(new Entry(Math.Min(timeMs ?? recordTimeMs, nowMs), item.ToArray()));
            changed = true;
        }

        if (changed) MarkChanged();
        return new WindowChange(changed, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    public override bool Expire(long nowMs)
    {
        if (Topic.TtlMs is not { } ttl || count == 0) return false;
        var kept = 0;
        for (var i = 0; i < count; i++)
            if (nowMs - entries[i].TimeMs <= ttl) entries[kept++] = entries[i];
        if (kept == count) return false;
        Array.Clear(entries, kept, count - kept);
        count = kept;
        MarkChanged();
        return true;
    }

    public override byte[] Save()
    {
        var state = new EntriesState();
        foreach (var entry in Entries) state.Entries.Add(new EntryState { TimeMs = entry.TimeMs, Item = UnsafeByteOperations.UnsafeWrap(entry.Item) });
        return new WindowState { Entries = state }.ToByteArray();
    }

    /// <summary>Takes over what still fits: the newest entries that the topic, as it is now, would accept.</summary>
    internal void Restore(EntriesState state)
    {
        List<RejectedItem>? rejected = null;
        foreach (var entry in state.Entries)
        {
            var bytes = entry.Item.ToByteArray();
            ReadOnlyMemory<byte> item = bytes;
            if (AppendCheck.Check(plan, ref item, TimeZone, 0, ref rejected, out _) is not null) continue;
            Add(new Entry(entry.TimeMs, item.Length == bytes.Length ? bytes : item.ToArray()));
        }

        MarkChanged();
    }

    protected override InputFragment? ShapeCore() => ShapeFlat()?.Under(Topic.ShapeMember);

    private InputFragment? ShapeFlat() => Topic.Shape switch
    {
        ShapeKind.Columns => ColumnsShape.Shape(plan, entries[count - 1].Item),
        ShapeKind.Aligned => AlignedShape.Shape(plan, Entries),
        ShapeKind.Tariff => FieldsShape.ShapeTariff(plan, entries[count - 1].Item),
        ShapeKind.Flat => FieldsShape.ShapeFlat(entries[count - 1].Item),
        _ => FieldsShape.Shape(plan, Entries),
    };

    private void Add(Entry entry)
    {
        if (count == Topic.Window)
        {
            Array.Copy(entries, 1, entries, 0, count - 1);
            entries[count - 1] = entry;
            return;
        }

        // Windows of one entry are by far the most frequent; larger ones grow as they fill.
        if (count == entries.Length) Array.Resize(ref entries, Math.Min(Topic.Window, Math.Max(1, count * 2)));
        entries[count++] = entry;
    }
}
