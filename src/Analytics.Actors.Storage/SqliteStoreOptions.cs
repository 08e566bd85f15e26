namespace Analytics.Actors.Storage;

/// <summary>What may be chosen about a SQLite store. The defaults suit a node on a machine of its own.</summary>
public sealed record SqliteStoreOptions
{
    /// <summary>How long a statement waits for another process that is writing to the same file.</summary>
    public TimeSpan BusyTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Connections that read (takeovers, stations that are activated) while one writes.</summary>
    public int ReadConnections { get; init; } = 4;

    /// <summary>Page cache of each connection, in KiB.</summary>
    public int CacheKilobytes { get; init; } = 65_536;
}
