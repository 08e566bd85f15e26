using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Analytics.Actors.Core.Stations;

/// <summary>Something that a station has at most one of per name.</summary>
public interface INamed
{
    string Name { get; }
}

/// <summary>
/// The few things of one kind that a station has, by name, in the order in which they came. There may be a million stations,
/// so that where there are none nothing is held, and else an array that is full.
/// </summary>
public struct NamedItems<T> : IReadOnlyDictionary<string, T>
    where T : INamed
{
    private T[]? items;

    // Of the items, place by place: to look for one touches no other.
    private string[]? names;

    public readonly int Count => items?.Length ?? 0;

    /// <summary>The items themselves, in the order in which they came.</summary>
    public readonly ReadOnlySpan<T> All => items;

    public readonly T this[string name] => TryGetValue(name, out var item) ? item : throw new KeyNotFoundException($"There is no {name}.");

    public readonly IEnumerable<string> Keys => names ?? [];

    public readonly IEnumerable<T> Values => items ?? [];

    public readonly bool ContainsKey(string name) => IndexOf(name) >= 0;

    public readonly bool TryGetValue(string name, [MaybeNullWhen(false)] out T item)
    {
        var index = IndexOf(name);
        item = index < 0 ? default : items![index];
        return index >= 0;
    }

    /// <summary>Adds the item, or puts it into the place of the one of its name.</summary>
    internal void Set(T item)
    {
        var index = IndexOf(item.Name);
        if (index >= 0) items![index] = item;
        else (items, names) = ([.. All, item], [.. names ?? [], item.Name]);
    }

    internal void Remove(string name)
    {
        var index = IndexOf(name);
        if (index < 0) return;
        if (Count == 1) Clear();
        else (items, names) = ([.. All[..index], .. All[(index + 1)..]], [.. names.AsSpan(0, index), .. names.AsSpan(index + 1)]);
    }

    internal void Clear() => (items, names) = (null, null);

    public readonly IEnumerator<KeyValuePair<string, T>> GetEnumerator() => Values.Select(item => KeyValuePair.Create(item.Name, item)).GetEnumerator();

    readonly IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private readonly int IndexOf(string name)
    {
        // Names come from the configuration: mostly it is the very same text.
        for (var index = 0; index < Count; index++)
            if (ReferenceEquals(names![index], name)) return index;
        return names.AsSpan().IndexOf(name);
    }
}
