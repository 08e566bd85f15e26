namespace Analytics.Actors.Storage;

/// <summary>What may be chosen about a PostgreSQL store beside its address. The defaults suit a cluster of nodes.</summary>
public sealed record PostgreSqlStoreOptions
{
    /// <summary>
    /// How long one statement may go without an answer, COMMIT included: a database that froze, or a network that swallows
    /// everything, holds nobody up for longer. Whole seconds; longer than <see cref="LockTimeout"/>.
    /// </summary>
    public TimeSpan CommandTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// How long a statement waits for a row that another node's transaction holds, and how long a transaction of ours may
    /// stand still before the server ends it: a node that froze in the middle of a commit holds up the one that takes its
    /// shard over for so long at most.
    /// </summary>
    public TimeSpan LockTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Connections of one node: one commits, the others take over and read.</summary>
    public int Connections { get; init; } = 8;
}
