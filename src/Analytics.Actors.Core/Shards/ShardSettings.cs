using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Shards;

/// <summary>What every shard of a node shares and never changes by itself.</summary>
public sealed record ShardSettings
{
    public required PipelineConfiguration Pipeline { get; init; }

    /// <summary>The version of the configuration that <see cref="Pipeline"/> is; 0 where there are no versions (a trace, tests).</summary>
    public long ConfigurationVersion { get; init; }

    /// <summary>The Kafka group, first part of the internal topics' names.</summary>
    public required string Group { get; init; }
    public required int ShardCount { get; init; }

    /// <summary>Random id of the store, part of every origin.</summary>
    public required string StoreId { get; init; }

    /// <summary>The ids that the store had before it was renewed.</summary>
    public EarlierStores Earlier { get; init; } = EarlierStores.None;

    /// <summary>Partition counts of the topics that shards write to; a topic that is not named has one.</summary>
    public IReadOnlyDictionary<string, int> PartitionCounts { get; init; } = new Dictionary<string, int>();

    /// <summary>Envelopes stay below this; a single larger part travels alone.</summary>
    public int EnvelopeBytesMax { get; init; } = 512 * 1024;

    /// <summary>The largest record that topics take.</summary>
    public int RecordBytesMax { get; init; } = 16 * 1024 * 1024;

    /// <summary>Calls that a shard may have begun and not finished before it stops reading.</summary>
    public int CallsMax { get; init; } = 10_000;

    /// <summary>Outbox bytes of a shard at which it stops reading.</summary>
    public long OutboxBytesMax { get; init; } = 16 * 1024 * 1024;

    /// <summary>How long dead letters stay in the store, ms.</summary>
    public long LettersKeptMs { get; init; } = 14L * 24 * 3_600_000;

    /// <summary>How many of them stay there for each shard, the newest.</summary>
    public int LettersKeptMax { get; init; } = 10_000;

    /// <summary>
    /// Stations that a shard keeps for late answers, over all batches that ended. Beyond it the oldest of them are no
    /// longer kept, however long their module's retention; the newest one always is.
    /// </summary>
    public int RetainedStationsMax { get; init; } = 100_000;

    /// <summary>A batch up to so many bytes is written whole whenever it changes; of a larger one only what changed.</summary>
    public int WholeBatchBytesMax { get; init; } = 4096;

    /// <summary>Stations that a shard keeps in memory; those used longest ago are passivated. Those that owe a call stay all the same.</summary>
    public int StationsMax { get; init; } = 10_000;

    /// <summary>A station that nothing has needed for so long is passivated, ms.</summary>
    public long PassivateAfterMs { get; init; } = 600_000;

    /// <summary>Records that may wait for stations to be loaded before the shard stops reading, and their bytes.</summary>
    public int ArrivalsMax { get; init; } = 10_000;
    public long ArrivalBytesMax { get; init; } = 16 * 1024 * 1024;

    /// <summary>Every part applied is raised as an event (trace, tests, checkers), not only counted.</summary>
    public bool DetailedEvents { get; init; }

    /// <summary>
    /// How often a part is applied: once, unless a self-test wants a record dropped (0) or doubled (2) on purpose, past
    /// the marks, to see that the checks notice. Null in every other use.
    /// </summary>
    public Func<SourcePartition, Place, int>? ApplyTimes { get; init; }

    public string PartsTopic => $"{Group}.station-events";
    public string BatchTopic => $"{Group}.batch-results";
    public string DeadLetterTopic => $"{Group}.dead-letters";

    /// <summary>Dead letters on their way through the normal path again.</summary>
    public string ReplayTopic => $"{Group}.replays";

    /// <summary>The source topics keyed by station.</summary>
    public IEnumerable<TopicConfiguration> KeyedTopics => Pipeline.Topics.Values.Where(topic => topic.Keyed);

    /// <summary>The partitions that a shard reads: its two internal logs, then its partition of each source keyed by station.</summary>
    public IReadOnlyList<TopicPartition> LogsOf(ShardId shard) =>
        [new(PartsTopic, shard.Value), new(BatchTopic, shard.Value), .. KeyedTopics.Select(topic => new TopicPartition(topic.Name, shard.Value))];

    public bool IsKeyed(string topic) => Pipeline.Topics.TryGetValue(topic, out var declared) && declared.Keyed;

    /// <summary>The topic's partitions are those of the shards: read by their owners and not by a router.</summary>
    public bool IsPerShard(string topic) => topic == PartsTopic || topic == BatchTopic || IsKeyed(topic);

    public int PartitionsOf(string topic) =>
        topic == BatchTopic ? ShardCount : PartitionCounts.TryGetValue(topic, out var count) ? count : 1;
}
