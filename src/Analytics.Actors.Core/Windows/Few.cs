using System.Collections;

namespace Analytics.Actors.Core.Windows;

/// <summary>A list of mostly none or one, which costs nothing then.</summary>
public struct Few<T> : IReadOnlyList<T>
{
    private T first;
    private List<T>? further;

    public int Count { get; private set; }

    public readonly T this[int index] =>
        (uint)index >= (uint)Count ? throw new ArgumentOutOfRangeException(nameof(index)) : index == 0 ? first : further![index - 1];

    internal void Add(T item)
    {
        if (Count == 0) first = item;
        else (further ??= []).Add(item);
        Count++;
    }

    public readonly IEnumerator<T> GetEnumerator()
    {
        for (var index = 0; index < Count; index++) yield return this[index];
    }

    readonly IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
