namespace Analytics.Actors.Core.Records;

/// <summary>Finds the station of each item of a record.</summary>
internal readonly ref struct PartCollector(EnvelopePlan plan, ReadOnlyMemory<byte> record, SplitRecord into)
{
    /// <summary>Adds an item under the first of its id paths that holds a valid id.</summary>
    /// <param name="ids">Where the plain id members are, in the order of the paths.</param>
    /// <param name="owner">The object that holds the ids.</param>
    /// <returns>Null, or why the item has no station.</returns>
    public Rejection? Add(int index, scoped ReadOnlySpan<JsonSlice> ids, JsonSlice owner, JsonSlice item)
    {
        if (plan.NestedStations is not { } locator) return Add(index, ids, item);
        Span<JsonSlice> nested = locator.SlotCount <= EnvelopePlan.PathsOnStack ? stackalloc JsonSlice[EnvelopePlan.PathsOnStack] : new JsonSlice[locator.SlotCount];
        nested = nested[..locator.SlotCount];
        if (!locator.TryLocate(owner.Of(record.Span), nested)) return Add(index, ids, item);
        foreach (ref var slice in nested)
            if (slice.IsPresent) slice = slice with { Start = slice.Start + owner.Start };
        return Add(index, nested, item);
    }

    public void Reject(int index, JsonSlice item, string code, string detail) =>
        into.Rejected.Add(new RejectedItem(index, new Rejection(code, detail), item.Of(record)));

    private Rejection? Add(int index, scoped ReadOnlySpan<JsonSlice> candidates, JsonSlice item)
    {
        string? problem = null;
        foreach (var slice in candidates)
        {
            if (!slice.IsPresent) continue;
            var fault = StationIds.Read(slice.Of(record.Span), slice.Kind, out var id);
            if (fault is null)
            {
                into.Add(index, record.Span.Overlaps(id, out var at) ? record.Slice(at, id.Length) : id.ToArray(), item.Of(record));
                return null;
            }

            problem ??= fault;
        }

        return problem is null
            ? new Rejection("no-id", $"the item has none of the members {string.Join(", ", plan.StationPaths)}")
            : new Rejection("invalid-id", problem);
    }
}
