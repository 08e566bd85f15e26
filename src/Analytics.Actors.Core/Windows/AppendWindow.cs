using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// The newest items in order of arrival, each a copy of its bytes and nothing else: what they hold is looked at when it
/// is shaped, so that an item which another replaces first has cost one copy. In mode Replace a part's items drop all
/// earlier ones.
/// </summary>
internal sealed class AppendWindow : TopicWindow
{
    // What an entry costs besides its bytes: its slot and the array's header.
    private const int EntryOverhead = 40;

    // Windows of one entry are by far the most frequent; larger ones get an array that grows as they fill.
    private Entry single;
    private Entry[]? several;
    private int count;

    public AppendWindow(WindowContext context) : base(context)
    {
    }

    /// <summary>Oldest first.</summary>
    internal ReadOnlySpan<Entry> Entries => Slots[..count];

    private Span<Entry> Slots => several is null ? new Span<Entry>(ref single) : several;

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
            foreach (var entry in Entries) size += entry.Length + EntryOverhead;
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
            if (AppendCheck.Check(Context, ref item, i, ref rejected, out var timeMs) is { } reason)
            {
                (rejected ??= []).Add(new RejectedItem(i, reason, items[i]));
                continue;
            }

            if (replaces && !changed) Keep(static (_, _) => false, 0);
            Add(Math.Min(timeMs ?? recordTimeMs, nowMs), item.Span);
            changed = true;
        }

        if (changed) MarkChanged();
        return new WindowChange(changed, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    internal override void PrefetchHeld()
    {
        if (count == 1 && single.Array is { } array) Core.Prefetch.Object(array, Math.Min(16 + single.Length, 8 * 64));
    }

    public override bool Expire(long nowMs)
    {
        if (Topic.TtlMs is not { } ttl || count == 0) return false;
        if (!Keep(static (entry, since) => entry.TimeMs >= since, nowMs - ttl)) return false;
        MarkChanged();
        return true;
    }

    private protected override void Save(StateWriter state)
    {
        for (var i = count - 1; i >= 0; i--)
        {
            var mark = state.Length;
            state.Bytes(EntryState.ItemFieldNumber, Entries[i].Item.Span);
            state.Number(EntryState.TimeMsFieldNumber, Entries[i].TimeMs);
            state.Close(EntriesState.EntriesFieldNumber, mark);
        }

        state.Close(WindowState.EntriesFieldNumber, 0);
    }

    /// <summary>Takes over what still fits: the newest entries that the topic, as it is now, would accept.</summary>
    internal void Restore(EntriesState state)
    {
        List<RejectedItem>? rejected = null;
        foreach (var entry in state.Entries)
        {
            var item = entry.Item.Memory;
            if (AppendCheck.Check(Context, ref item, 0, ref rejected, out _) is null) Add(entry.TimeMs, item.Span);
        }

        MarkChanged();
    }

    protected override InputFragment? ShapeCore()
    {
        // Most shapes are slices of the entries' bytes; none of them is told from the others here.
        foreach (ref var entry in Slots[..count]) entry = entry with { IsShared = true };
        return ShapeFlat()?.Under(Topic.ShapeMember);
    }

    private InputFragment? ShapeFlat() => Topic.Shape switch
    {
        ShapeKind.Columns => ColumnsShape.Shape(Plan, Entries[^1].Item),
        ShapeKind.Aligned => AlignedShape.Shape(Plan, Entries),
        ShapeKind.Tariff => FieldsShape.ShapeTariff(Plan, Entries[^1].Item),
        ShapeKind.Flat => FieldsShape.ShapeFlat(Entries[^1].Item),
        _ => FieldsShape.Shape(Plan, Entries),
    };

    private void Add(long timeMs, ReadOnlySpan<byte> item)
    {
        var slots = Slots;
        if (count == Topic.Window)
        {
            var oldest = slots[0];
            slots[1..count].CopyTo(slots);
            slots[count - 1] = oldest.With(timeMs, item, Context.Pool);
            return;
        }

        if (count == slots.Length)
        {
            Array.Resize(ref several, Math.Min(Topic.Window, count * 2));
            if (count == 1) several[0] = single;
            single = default;
            slots = several;
        }

        slots[count++] = Entry.Of(timeMs, item, Context.Pool);
    }

    /// <summary>Drops the other entries; true where there were any.</summary>
    private bool Keep(Func<Entry, long, bool> keeps, long argument)
    {
        var slots = Slots;
        var kept = 0;
        for (var i = 0; i < count; i++)
        {
            if (keeps(slots[i], argument)) slots[kept++] = slots[i];
            else slots[i].GiveBack(Context.Pool);
        }

        if (kept == count) return false;
        slots[kept..count].Clear();
        count = kept;
        return true;
    }
}
