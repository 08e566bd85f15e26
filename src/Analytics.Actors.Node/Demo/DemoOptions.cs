namespace Analytics.Actors.Node.Demo;

/// <summary>What the verb <c>demo</c> was asked for.</summary>
public sealed record DemoOptions
{
    /// <summary>For how long records are produced.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(30);
    public int Stations { get; init; } = 200;

    /// <summary>Records per second after the start burst.</summary>
    public double Rate { get; init; } = 500;

    /// <summary>A directory with real data to replay instead of simulated stations; null: simulate.</summary>
    public string? Data { get; init; }

    /// <summary>The file for the report; null: none.</summary>
    public string? Report { get; init; }

    /// <summary>Parts that the node drops, and applies twice, on purpose.</summary>
    public int Drop { get; init; }
    public int Duplicate { get; init; }
    public int Seed { get; init; } = 1;

    /// <summary>With more than one, each is a process of its own.</summary>
    public int Nodes { get; init; } = 1;

    /// <summary>The pipeline file, which nodes in processes of their own read again; null: the default pipeline.</summary>
    public string? Pipeline { get; init; }

    /// <summary>Keep the node's database and log in this directory; null: a temporary one, deleted at the end.</summary>
    public string? Keep { get; init; }
}
