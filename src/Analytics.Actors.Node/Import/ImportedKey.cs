namespace Analytics.Actors.Node.Import;

/// <summary>What became of a key.</summary>
public enum KeyFate
{
    /// <summary>Taken over; the text says as what.</summary>
    Taken,

    /// <summary>Not needed any more; the text says why.</summary>
    NotNeeded,

    /// <summary>Cannot be taken over; the text says why, and what to do.</summary>
    Refused,
}

/// <summary>One key of a Python configuration.</summary>
/// <param name="Key">Its path, names joined by dots.</param>
public sealed record ImportedKey(string Key, KeyFate Fate, string Text);
