namespace Analytics.Actors.Core.Windows;

/// <summary>Gathers the members of a fragment.</summary>
/// <param name="plan">Remembers the last list of names: where it comes again, fragments share it.</param>
internal struct MemberList(WindowPlan plan, int capacity)
{
    private readonly string[] usual = plan.UsualNames;
    private ReadOnlyMemory<byte>[] values = new ReadOnlyMemory<byte>[capacity];

    // Null as long as the names are the usual ones.
    private List<string>? names;

    public int Count { get; private set; }

    public void Add(string name, ReadOnlyMemory<byte> value)
    {
        if (names is null && (Count == usual.Length || usual[Count] != name)) names = [.. usual.AsSpan(0, Count)];
        names?.Add(name);
        if (Count == values.Length) Array.Resize(ref values, Math.Max(4, Count * 2));
        values[Count++] = value;
    }

    /// <summary>Null where there is no member.</summary>
    public JsonFragment? ToFragment()
    {
        if (Count == 0) return null;
        var list = usual;
        if (names is not null || usual.Length != Count) plan.UsualNames = list = names is null ? usual[..Count] : [.. names];
        if (values.Length != Count) Array.Resize(ref values, Count);
        return new JsonFragment(list, values);
    }
}
