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
    // With their names: to look for one touches no other.
    private Named[]? items;

    public readonly int Count => items?.Length ?? 0;

    /// <summary>The items themselves, in the order in which they came.</summary>
    public readonly ItemList All => new(items);

    public readonly T this[string name] => TryGetValue(name, out var item) ? item : throw new KeyNotFoundException($"There is no {name}.");

    public readonly IEnumerable<string> Keys => items?.Select(item => item.Name) ?? [];

    public readonly IEnumerable<T> Values => items?.Select(item => item.Item) ?? [];

    public readonly bool ContainsKey(string name) => IndexOf(name) >= 0;

    public readonly bool TryGetValue(string name, [MaybeNullWhen(false)] out T item)
    {
        var index = IndexOf(name);
        item = index < 0 ? default : items![index].Item;
        return index >= 0;
    }

    /// <summary>Asks memory for where they stand.</summary>
    internal readonly void Prefetch()
    {
        if (items is { } held) Core.Prefetch.Object(held, 2 * 64);
    }

    /// <summary>The one that came first, if there is any.</summary>
    internal readonly T? First => items is { } held ? held[0].Item : default;

    /// <summary>Adds the item, or puts it into the place of the one of its name.</summary>
    internal void Set(T item)
    {
        var index = IndexOf(item.Name);
        if (index >= 0) items![index] = new Named(item.Name, item);
        else items = [.. items ?? [], new Named(item.Name, item)];
    }

    internal void Remove(string name)
    {
        var index = IndexOf(name);
        if (index < 0) return;
        if (Count == 1) Clear();
        else items = [.. items.AsSpan(0, index), .. items.AsSpan(index + 1)];
    }

    internal void Clear() => items = null;

    public readonly IEnumerator<KeyValuePair<string, T>> GetEnumerator() => Values.Select(item => KeyValuePair.Create(item.Name, item)).GetEnumerator();

    readonly IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private readonly int IndexOf(string name)
    {
        // Names come from the configuration: mostly it is the very same text.
        var held = items.AsSpan();
        for (var index = 0; index < held.Length; index++)
            if (ReferenceEquals(held[index].Name, name)) return index;
        for (var index = 0; index < held.Length; index++)
            if (held[index].Name == name) return index;
        return -1;
    }

    /// <summary>The items one by one, as they are now.</summary>
    public readonly ref struct ItemList
    {
        private readonly ReadOnlySpan<Named> items;

        internal ItemList(Named[]? items) => this.items = items;

        public Enumerator GetEnumerator() => new(items);
    }

    /// <summary>Goes through the items.</summary>
    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<Named> items;
        private int index = -1;

        internal Enumerator(ReadOnlySpan<Named> items) => this.items = items;

        public readonly ref readonly T Current => ref items[index].Item;

        public bool MoveNext() => ++index < items.Length;
    }

    internal readonly struct Named(string name, T item)
    {
        public readonly string Name = name;
        public readonly T Item = item;
    }
}
