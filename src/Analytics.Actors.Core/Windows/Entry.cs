namespace Analytics.Actors.Core.Windows;

/// <summary>A copy of an item with its time, ms since 1970 UTC; a time in the future was taken as now.</summary>
/// <param name="Array">Begins with the item; of the pool.</param>
/// <param name="IsShared">A fragment shares the bytes: the array may not be written to again, ever.</param>
internal readonly record struct Entry(long TimeMs, byte[] Array, int Length, bool IsShared = false)
{
    /// <summary>The item's bytes.</summary>
    public ReadOnlyMemory<byte> Item => new(Array, 0, Length);

    /// <summary>
    /// The item in the place of an earlier one: in its array, where nobody else looks at it and it is as long as a new one would be.
    /// </summary>
    public Entry With(long timeMs, ReadOnlySpan<byte> item, ItemPool pool)
    {
        if (!IsShared && ItemPool.Fits(Array, item.Length))
        {
            item.CopyTo(Array);
            return new Entry(timeMs, Array, item.Length);
        }

        GiveBack(pool);
        return Of(timeMs, item, pool);
    }

    public static Entry Of(long timeMs, ReadOnlySpan<byte> item, ItemPool pool) => new(timeMs, pool.Copy(item), item.Length);

    /// <summary>The entry goes; its array may hold another item, unless a fragment shares it.</summary>
    public void GiveBack(ItemPool pool)
    {
        if (!IsShared) pool.Return(Array);
    }
}
