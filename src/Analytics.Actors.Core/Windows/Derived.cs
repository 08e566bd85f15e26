namespace Analytics.Actors.Core.Windows;

/// <summary>
/// What can be made again from what is held: kept while somebody uses it or the collector leaves it, so that those who ask one
/// after the other share it, and a million stations hold none of it. Made twice by two threads, it is the same twice.
/// </summary>
internal struct Derived<T>
    where T : class
{
    private WeakReference<T>? made;

    public readonly bool TryGet(out T value)
    {
        value = null!;
        return Volatile.Read(in made) is { } known && known.TryGetTarget(out value!);
    }

    public T Set(T value)
    {
        Volatile.Write(ref made, new WeakReference<T>(value));
        return value;
    }
}
