using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Core.Routing;

/// <summary>An order of the router to its host.</summary>
public abstract record RouterEffect;

/// <summary>Send this record; report with the same number. There is at most one outstanding per destination.</summary>
/// <param name="Value">Valid until it is reported as acknowledged; then the router uses its memory again.</param>
public sealed record SendEnvelope(TopicPartition Destination, long Number, ReadOnlyMemory<byte> Value) : RouterEffect;

/// <summary>Commit these positions (next offsets) to the router's group; report with <see cref="Router.CommitFinished"/>.</summary>
public sealed record CommitPositions(IReadOnlyList<(TopicPartition Partition, long Next)> Positions) : RouterEffect;

/// <summary>
/// Write these committed positions, each with the record before it, to the store: they tell a topic that was made anew.
/// Nothing is reported back; a write that fails is made up for by the next one.
/// </summary>
public sealed record StorePositions(IReadOnlyList<PartitionPosition> Positions) : RouterEffect;

/// <summary>Stop or go on reading a source topic, all partitions of it: as much of it is in hand as may be.</summary>
public sealed record PauseTopic(string Topic, bool Pause) : RouterEffect;

/// <summary>How far the shards have got with what routers send them.</summary>
/// <param name="Positions">Next offsets of their logs, as far as they can be known; a log that is left out is not begun.</param>
/// <param name="Fullness">What the shards that can be asked have in hand on average, as a part of what they may have: see <see cref="Shards.Shard.Fullness"/>.</param>
/// <param name="IsCheap">It took no question to the store: it may be asked for more often.</param>
public sealed record ShardsProgress(IReadOnlyDictionary<TopicPartition, long> Positions, double Fullness, bool IsCheap = false);

/// <summary>Find out how far the shards have applied their logs, and report it with <see cref="Router.Applied"/>.</summary>
public sealed record ReadShardPositions : RouterEffect;

/// <summary>
/// Raise these grants in the store; report with <see cref="Router.Granted"/> or <see cref="Router.GrantsFailed"/>. One is under way
/// at a time.
/// </summary>
/// <param name="Known">The newest version that the router holds.</param>
public sealed record RaiseGrants(IReadOnlyList<GrantRequest> Requests, long Known) : RouterEffect;

/// <summary>Rules of this version are needed; report with <see cref="Router.Learn"/>, whenever it can be had. Ordered once a version.</summary>
public sealed record ReadRules(long Version) : RouterEffect;
