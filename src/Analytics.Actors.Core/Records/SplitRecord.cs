using System.Runtime.InteropServices;
using System.Text;

namespace Analytics.Actors.Core.Records;

/// <summary>Why something of a record cannot be used; the stable text of a dead letter.</summary>
/// <param name="Code">Short and stable, for programs: not-json, wrong-envelope, no-id, invalid-id, wrong-type, ...</param>
/// <param name="Detail">For people: what was found and what would be right.</param>
public readonly record struct Rejection(string Code, string Detail)
{
    public override string ToString() => Detail.Length == 0 ? Code : $"{Code}: {Detail}";
}

/// <summary>What one record says of one station; its items are asked of the <see cref="SplitRecord"/> that it belongs to.</summary>
/// <param name="Station">The station's id, UTF-8, mostly a slice of the record; empty in the single part of a global record.</param>
/// <param name="Index">Index in the record of the part's first item.</param>
/// <param name="Ordinal">Ordinal of the station inside that item (0 unless an item names several).</param>
/// <param name="FirstItem">Place of its first item in <see cref="SplitRecord.Items"/>.</param>
/// <param name="ItemCount">How many items it has.</param>
/// <param name="IsScattered">Its items' indexes in the record do not simply count on from <paramref name="Index"/>.</param>
public readonly record struct StationPart(ReadOnlyMemory<byte> Station, int Index, int Ordinal, int FirstItem, int ItemCount, bool IsScattered)
{
    /// <summary>The station's id as text.</summary>
    public string StationText => Encoding.UTF8.GetString(Station.Span);
}

/// <summary>An item that cannot be used. Index is its place in the record, or 0 where the whole record is rejected.</summary>
/// <param name="Form">What the bytes are.</param>
public sealed record RejectedItem(int Index, Rejection Reason, ReadOnlyMemory<byte> Bytes, RejectedForm Form = RejectedForm.Item);

/// <summary>
/// A record taken apart: parts ordered by <see cref="StationPart.Index"/> (one per station), rejections ordered likewise.
/// Items and stations are slices of the record. One object serves one record after another: what it holds counts until
/// the next is split into it.
/// </summary>
public sealed class SplitRecord
{
    // A record of very many items must not keep its lists in memory for good.
    private const int KeptMax = 16 * 1024;

    // Of each item: its part, and its index in the record.
    private readonly List<int> itemParts = [];
    private readonly List<int> itemIndexes = [];
    private Dictionary<ReadOnlyMemory<byte>, int>? byStation;
    private bool isMixed;

    /// <summary>The record concerns every station: it stays whole, as the one item of one part.</summary>
    public bool IsGlobal { get; private set; }
    public List<StationPart> Parts { get; } = [];

    /// <summary>The items of all parts, each one JSON value: those of a part stand together, in their order.</summary>
    public List<ReadOnlyMemory<byte>> Items { get; } = [];
    public List<RejectedItem> Rejected { get; } = [];

    public ReadOnlySpan<ReadOnlyMemory<byte>> ItemsOf(in StationPart part) => CollectionsMarshal.AsSpan(Items).Slice(part.FirstItem, part.ItemCount);

    /// <summary>Each item's index in the record, where they do not simply count on from the part's; else empty.</summary>
    public ReadOnlySpan<int> ItemIndexesOf(in StationPart part) =>
        part.IsScattered ? CollectionsMarshal.AsSpan(itemIndexes).Slice(part.FirstItem, part.ItemCount) : [];

    /// <summary>Forgets the record; the object can take the next.</summary>
    public void Clear(bool isGlobal = false)
    {
        IsGlobal = isGlobal;
        isMixed = false;
        Clear(Parts);
        Clear(Items);
        Clear(Rejected);
        Clear(itemParts);
        Clear(itemIndexes);
        if (byStation is { Count: > KeptMax }) byStation = null;
        byStation?.Clear();
    }

    /// <summary>Adds an item to the part of its station, which its first item begins.</summary>
    /// <param name="index">The item's place in the record; higher than those before.</param>
    /// <param name="station">The id as UTF-8; empty in a global record.</param>
    public void Add(int index, ReadOnlyMemory<byte> station, ReadOnlyMemory<byte> item)
    {
        var at = Find(station);
        if (at < 0)
        {
            at = Parts.Count;
            if (byStation is { Count: > 0 }) byStation.Add(station, at);
            Parts.Add(new StationPart(station, index, 0, Items.Count, 1, false));
        }
        else
        {
            isMixed |= at != Parts.Count - 1;
            ref var part = ref CollectionsMarshal.AsSpan(Parts)[at];
            part = part with { ItemCount = part.ItemCount + 1, IsScattered = part.IsScattered || index != part.Index + part.ItemCount };
        }

        Items.Add(item);
        itemParts.Add(at);
        itemIndexes.Add(index);
    }

    /// <summary>To be called after the last item: puts together the items of each part.</summary>
    /// <param name="order">Finds the member by whose time the items of a part are ordered; null where they stay as they came.</param>
    internal void Finish(MemberLocator? order)
    {
        if (isMixed) Gather();
        if (order is null) return;
        foreach (ref var part in CollectionsMarshal.AsSpan(Parts))
            if (part.ItemCount > 1) PutInOrder(order, ref part);
    }

    private static void Clear<T>(List<T> list)
    {
        list.Clear();
        if (list.Capacity > KeptMax) list.Capacity = 0;
    }

    /// <summary>Most records name one station, or one station after another: only what does not is looked up.</summary>
    private int Find(ReadOnlyMemory<byte> station)
    {
        if (Parts.Count == 0) return -1;
        if (station.Span.SequenceEqual(Parts[^1].Station.Span)) return Parts.Count - 1;
        byStation ??= new Dictionary<ReadOnlyMemory<byte>, int>(ByBytes.Instance);
        if (byStation.Count == 0)
        {
            for (var i = 0; i < Parts.Count; i++) byStation.Add(Parts[i].Station, i);
        }

        return byStation.TryGetValue(station, out var at) ? at : -1;
    }

    private void Gather()
    {
        var next = 0;
        foreach (ref var part in CollectionsMarshal.AsSpan(Parts))
        {
            part = part with { FirstItem = next };
            next += part.ItemCount;
        }

        var places = new int[Items.Count];
        var taken = new int[Parts.Count];
        for (var i = 0; i < places.Length; i++)
        {
            var at = itemParts[i];
            places[Parts[at].FirstItem + taken[at]++] = i;
        }

        Take(0, places);
    }

    /// <summary>Oldest first by the order member, an item without a readable time before all; else as the record has them.</summary>
    private void PutInOrder(MemberLocator order, ref StationPart part)
    {
        var isInOrder = true;
        var newest = long.MinValue;
        foreach (var item in ItemsOf(part))
        {
            var timeMs = TimeOf(order, item.Span);
            isInOrder &= timeMs >= newest;
            newest = timeMs;
        }

        if (!isInOrder) Sort(order, ref part);
    }

    private void Sort(MemberLocator order, ref StationPart part)
    {
        var (first, count) = (part.FirstItem, part.ItemCount);
        Take(first, [.. Enumerable.Range(first, count).OrderBy(place => TimeOf(order, Items[place].Span))]);
        var isScattered = false;
        for (var i = 0; i < count; i++) isScattered |= itemIndexes[first + i] != part.Index + i;
        part = part with { IsScattered = isScattered };
    }

    /// <summary>Puts items from <paramref name="first"/> on in another order: that of the places given.</summary>
    private void Take(int first, int[] places)
    {
        var sortedItems = Array.ConvertAll(places, place => Items[place]);
        var sortedIndexes = Array.ConvertAll(places, place => itemIndexes[place]);
        sortedItems.CopyTo(CollectionsMarshal.AsSpan(Items)[first..]);
        sortedIndexes.CopyTo(CollectionsMarshal.AsSpan(itemIndexes)[first..]);
    }

    private static long TimeOf(MemberLocator order, ReadOnlySpan<byte> item)
    {
        Span<JsonSlice> found = stackalloc JsonSlice[1];
        // Only the order among items of one record matters here, so any zone does for times without one.
        return order.TryLocate(item, found) && found[0].IsPresent && EventTime.TryRead(found[0].Of(item), TimeSpan.Zero, out var timeMs)
            ? timeMs
            : long.MinValue;
    }

    private sealed class ByBytes : IEqualityComparer<ReadOnlyMemory<byte>>
    {
        public static readonly ByBytes Instance = new();

        public bool Equals(ReadOnlyMemory<byte> left, ReadOnlyMemory<byte> right) => left.Span.SequenceEqual(right.Span);

        public int GetHashCode(ReadOnlyMemory<byte> bytes)
        {
            var hash = new HashCode();
            hash.AddBytes(bytes.Span);
            return hash.ToHashCode();
        }
    }
}
