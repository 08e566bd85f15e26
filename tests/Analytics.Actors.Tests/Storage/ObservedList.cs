namespace Analytics.Actors.Tests.Storage;

/// <summary>A list that does something when it is enumerated as far as a certain element: a view into a transaction.</summary>
internal sealed class ObservedList<T>(IReadOnlyList<T> items, int at, Action action) : IReadOnlyList<T>
{
    public T this[int index] => items[index];
    public int Count => items.Count;

    public IEnumerator<T> GetEnumerator()
    {
        for (var i = 0; i < items.Count; i++)
        {
            if (i == at) action();
            yield return items[i];
        }
    }

    System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
}
