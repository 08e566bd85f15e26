namespace Analytics.Actors.Simulation;

/// <summary>Something that is wrong, and whom it concerns: words by which the history is searched (a station, a batch, a shard).</summary>
public sealed record Finding(string Text, IReadOnlyList<string> Concerns)
{
    public Finding(string text, params string[] concerns)
        : this(text, (IReadOnlyList<string>)concerns) { }
}
