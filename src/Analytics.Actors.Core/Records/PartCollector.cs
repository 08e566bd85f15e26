using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Gathers the items of a record per station, in order of each station's first item. Most records name one station, or
/// one station after another: only what does not is looked up.
/// </summary>
internal sealed class PartCollector(EnvelopePlan plan, ReadOnlyMemory<byte> record)
{
    private readonly List<StationPart> parts = new(1);
    private List<RejectedItem>? rejected;
    private Dictionary<string, int>? byStation;

    /// <summary>Adds an item under the first of its id paths that holds a valid id.</summary>
    /// <param name="ids">Where the plain id members are, in the order of the paths.</param>
    /// <param name="owner">The object that holds the ids.</param>
    /// <returns>Null, or why the item has no station.</returns>
    public Rejection? Add(int index, scoped ReadOnlySpan<JsonSlice> ids, JsonSlice owner, JsonSlice item)
    {
        Span<JsonSlice> nested = plan.NestedStations is null ? [] : new JsonSlice[plan.NestedStations.SlotCount];
        scoped var candidates = ids;
        if (plan.NestedStations is { } locator && locator.TryLocate(owner.Of(record.Span), nested))
        {
            candidates = nested;
            for (var i = 0; i < nested.Length; i++)
                if (nested[i].IsPresent) nested[i] = nested[i] with { Start = nested[i].Start + owner.Start };
        }

        Span<char> id = stackalloc char[StationIds.BytesMax];
        string? problem = null;
        foreach (var slice in candidates)
        {
            if (!slice.IsPresent) continue;
            var fault = StationIds.Read(slice.Of(record.Span), slice.Kind, id, out var length);
            if (fault is null)
            {
                Add(index, id[..length], item.Of(record));
                return null;
            }

            problem ??= fault;
        }

        return problem is null
            ? new Rejection("no-id", $"the item has none of the members {string.Join(", ", plan.StationPaths)}")
            : new Rejection("invalid-id", problem);
    }

    public void Reject(int index, JsonSlice item, string code, string detail) =>
        (rejected ??= []).Add(new RejectedItem(index, new Rejection(code, detail), item.Of(record)));

    public SplitRecord Finish()
    {
        if (plan.Order is not null)
        {
            for (var i = 0; i < parts.Count; i++)
                if (parts[i].Items.Count > 1) parts[i] = InOrder(plan.Order, parts[i]);
        }

        return new SplitRecord(false, parts, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    private void Add(int index, ReadOnlySpan<char> station, ReadOnlyMemory<byte> item)
    {
        if (parts.Count > 0 && station.SequenceEqual(parts[^1].Station))
        {
            Append(parts.Count - 1, index, item);
            return;
        }

        if (parts.Count > 0)
        {
            if (byStation is null)
            {
                byStation = new Dictionary<string, int>(StringComparer.Ordinal);
                for (var i = 0; i < parts.Count; i++) byStation[parts[i].Station] = i;
            }

            if (byStation.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(station, out var at))
            {
                Append(at, index, item);
                return;
            }
        }

        var name = station.ToString();
        byStation?.Add(name, parts.Count);
        parts.Add(new StationPart(name, index, 0, new List<ReadOnlyMemory<byte>>(1) { item }));
    }

    // Indexes are written down only where the items of a station stand apart in the record, which few do.
    private void Append(int at, int index, ReadOnlyMemory<byte> item)
    {
        var part = parts[at];
        var items = (List<ReadOnlyMemory<byte>>)part.Items;
        if (part.ItemIndexes is List<int> known) known.Add(index);
        else if (index != part.Index + items.Count) parts[at] = part with { ItemIndexes = new List<int>([.. Enumerable.Range(part.Index, items.Count), index]) };
        items.Add(item);
    }

    /// <summary>Oldest first by the order member, an item without a readable time before all; else as the record has them.</summary>
    private static StationPart InOrder(MemberLocator order, StationPart part)
    {
        var places = Enumerable.Range(0, part.Items.Count).OrderBy(place => TimeOf(order, part.Items[place].Span)).ToList();
        var indexes = places.ConvertAll(place => part.ItemIndexes.Count > 0 ? part.ItemIndexes[place] : part.Index + place);
        return part with
        {
            Items = places.ConvertAll(place => part.Items[place]),
            ItemIndexes = indexes.SequenceEqual(Enumerable.Range(part.Index, indexes.Count)) ? [] : indexes,
        };
    }

    private static long TimeOf(MemberLocator order, ReadOnlySpan<byte> item)
    {
        Span<JsonSlice> found = stackalloc JsonSlice[1];
        // Only the order among items of one record matters here, so any zone does for times without one.
        return order.TryLocate(item, found) && found[0].IsPresent && EventTime.TryRead(found[0].Of(item), TimeSpan.Zero, out var timeMs)
            ? timeMs
            : long.MinValue;
    }
}
