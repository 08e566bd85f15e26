using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What two nodes have come to that were given the same records, one with keys and the other without.</summary>
internal static class KeyedTwins
{
    /// <summary>All that the shards' next owners find.</summary>
    public static string State(CoreNode node) => string.Join('\n', node.TakeOverAll().SelectMany(shard => (IEnumerable<string>)
    [
        Convert.ToHexString(shard.ShardState),
        .. shard.Entities.Select(entity => $"{entity.Kind} {entity.Key} {Convert.ToHexString(entity.State!)}").Order(StringComparer.Ordinal),
        .. shard.Positions.Select(position => position.ToString()).Order(StringComparer.Ordinal),
        .. shard.Marks.Select(mark => mark.ToString()).Order(StringComparer.Ordinal),
    ]));

    /// <summary>What happened. Only of a key can be told that it is wrong.</summary>
    public static IEnumerable<string> Events(CoreNode node) => node.Events.Where(happened => happened is not RecordMisplaced).Select(happened => happened.ToString()!);
}
