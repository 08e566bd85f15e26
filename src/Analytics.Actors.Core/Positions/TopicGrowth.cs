namespace Analytics.Actors.Core.Positions;

/// <summary>What a topic's partitions stand for.</summary>
public enum TopicRole
{
    /// <summary>Any partition holds any station: the router reads them all.</summary>
    Source,

    /// <summary>Partition and shard are the same thing: the two internal topics, and sources keyed by station.</summary>
    PerShard,
}

/// <summary>What a changed number of partitions means.</summary>
public enum GrowthDecision
{
    Unchanged,

    /// <summary>New partitions are read from their first record: nobody has read them before.</summary>
    ReadNewFromStart,

    /// <summary>The topic's keys have moved, or would: it is not read as it is.</summary>
    Refuse,

    /// <summary>Kafka never takes partitions away: the topic was made anew with fewer; its positions are checked.</summary>
    Shrunk,
}

/// <summary>The number of partitions is pinned when a topic is first seen.</summary>
public static class TopicGrowth
{
    /// <param name="pinned">Partitions when first seen, or the number of shards; 0 where not known.</param>
    /// <param name="found">Partitions now.</param>
    public static GrowthDecision Decide(TopicRole role, int pinned, int found) =>
        pinned == found || pinned == 0 ? GrowthDecision.Unchanged
        : role == TopicRole.PerShard ? GrowthDecision.Refuse
        : found > pinned ? GrowthDecision.ReadNewFromStart
        : GrowthDecision.Shrunk;

    /// <summary>What an operator reads where a topic is refused.</summary>
    public static string Explain(string topic, int pinned, int found) =>
        $"topic {topic} has {found} partitions, and {pinned} are pinned: a station belongs to one of {pinned} for good. Make the topic with {pinned} partitions again; what was written beyond them is not read";
}
