namespace Analytics.Actors.Core.Windows;

/// <summary>Gathers the members of a fragment.</summary>
internal sealed class MemberList(int capacity)
{
    private readonly List<string> names = new(capacity);
    private readonly List<ReadOnlyMemory<byte>> values = new(capacity);

    public int Count => names.Count;

    public void Add(string name, ReadOnlyMemory<byte> value)
    {
        names.Add(name);
        values.Add(value);
    }

    /// <summary>Null where there is no member.</summary>
    public JsonFragment? ToFragment() => names.Count == 0 ? null : new JsonFragment(names.ToArray(), values.ToArray());
}
