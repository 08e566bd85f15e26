using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Storage;

/// <summary>
/// What every database refuses at its opening, in the same words: a schema of a newer binary, another shard count, another
/// group. Each message says what would be right.
/// </summary>
internal static class StoreRefusals
{
    /// <param name="database">How the database is called in messages: a path, or a name and a host.</param>
    /// <param name="version">The last migration applied, by its name and by the binary that applied it.</param>
    public static void RequireKnownVersion(string database, long version, string? name, string? by)
    {
        if (version <= Migrations.Latest) return;
        throw new StoreRefusedException(
            $"{database} has schema version {version} ('{name}', made by {by}); "
            + $"{Migrations.Binary} knows versions up to {Migrations.Latest}. Run {by} or newer.");
    }

    public static void RequireSamePins(string database, string pinnedGroup, long pinnedShardCount, string group, int shardCount)
    {
        if (pinnedShardCount != shardCount)
        {
            throw new StoreRefusedException(
                $"{database} was made for {pinnedShardCount} shards and is opened with {shardCount}. The shard count of a store "
                + $"never changes: set it to {pinnedShardCount}, or begin with a new database.");
        }
        if (pinnedGroup != group)
        {
            throw new StoreRefusedException(
                $"{database} belongs to the group '{pinnedGroup}' and is opened by the group '{group}'. A store belongs to one "
                + $"group: set the group to '{pinnedGroup}', or give this group a database of its own.");
        }
    }

    /// <summary>A running node stamps its outputs with the store id that it was started with.</summary>
    public static void RequireSameStore(string database, string opened, string stored)
    {
        if (stored == opened) return;
        throw new StoreRefusedException(
            $"{database} has the store id {stored} and was opened as {opened}: the store was renewed, or another database took its place. Start the node again.");
    }

    public static StoreRefusedException NoStore(string database) =>
        new($"{database} holds no store. The first node that is started with it makes one.");

    public static StoreRefusedException NodesConnected(string database) =>
        new($"{database} is in use: stop the nodes first. With --force the store is renewed all the same; running nodes are fenced and have to be started again.");
}
