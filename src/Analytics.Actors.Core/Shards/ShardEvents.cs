using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Shards;

// What a shard tells its observers (trace, metrics, logs, tests, checkers). Observers never change anything.

/// <summary>Something that happened in a shard.</summary>
public abstract record ShardEvent(ShardId Shard);

/// <summary>A part changed the window of a station; Station is empty for a global topic.</summary>
public sealed record PartApplied(ShardId Shard, string Station, SourcePartition Source, Place Place) : ShardEvent(Shard);

/// <summary>A part had been seen before.</summary>
public sealed record PartRepeated(ShardId Shard, SourcePartition Source, Place Place) : ShardEvent(Shard);

/// <summary>A sender named a record as sent that never came: counted, reported, and the work goes on.</summary>
public sealed record RecordMissing(ShardId Shard, SourcePartition Source, long Offset) : ShardEvent(Shard);

/// <summary>
/// A record of a source keyed by station lay in another partition than its stations', or under another key: so many of its
/// parts were sent on to other shards.
/// </summary>
public sealed record RecordMisplaced(ShardId Shard, TopicPartition Partition, long Offset, int PartsSentOn) : ShardEvent(Shard);

/// <summary>Something went to the dead letters.</summary>
public sealed record DeadLettered(ShardId Shard, DeadLetter Letter) : ShardEvent(Shard);

/// <summary>A dead letter was replayed or discarded, by whom.</summary>
public sealed record DeadLetterClosed(ShardId Shard, DeadLetterId Letter, Checkpoints.DeadLetterState State, string By) : ShardEvent(Shard);

/// <summary>An operator's order for a station was carried out.</summary>
public sealed record StationSteered(ShardId Shard, long Number, string Station, StationOrder Order, string By) : ShardEvent(Shard);

/// <summary>So many stations left memory; their rows say all of them.</summary>
public sealed record StationsPassivated(ShardId Shard, int Count) : ShardEvent(Shard);

/// <summary>A module call ended; Outcome is result, nothing, error or timeout.</summary>
/// <param name="IsFinal">The answer; false: an error that is tried again.</param>
/// <param name="InputMs">When the trigger had its input, ms: what this call has waited and taken since, with all attempts.</param>
public sealed record CallEnded(ShardId Shard, string Station, string Module, string Outcome, string Reason, bool IsFinal, long InputMs) : ShardEvent(Shard);

/// <summary>A global record changed its window.</summary>
public sealed record GlobalCached(ShardId Shard, string Topic) : ShardEvent(Shard);

/// <summary>A global record is now part of the inputs of so many stations; later ones find it cached.</summary>
public sealed record GlobalApplied(ShardId Shard, string Topic, int Count) : ShardEvent(Shard);

/// <summary>A timer of a station or batch came due: order-second, incomplete, retry, interval, deadline, revision.</summary>
public sealed record TimerFired(ShardId Shard, string Kind, string Entity) : ShardEvent(Shard);

/// <summary>A manifest opened a batch.</summary>
public sealed record BatchOpened(ShardId Shard, string Module, string BatchId, int Expected) : ShardEvent(Shard);

/// <summary>A batch took a station's answer.</summary>
public sealed record BatchAnswered(ShardId Shard, string Module, string BatchId, string Station) : ShardEvent(Shard);

/// <summary>A batch is complete; Results is the number of stations in its upload (0: none was sent).</summary>
public sealed record BatchCompleted(ShardId Shard, string Module, string BatchId, int Expected, int Results) : ShardEvent(Shard);

/// <summary>A batch ended at its deadline; Results is the number of stations in its upload.</summary>
public sealed record BatchTimedOut(ShardId Shard, string Module, string BatchId, int Expected, int Results) : ShardEvent(Shard);

/// <summary>Late answers of a batch that was over went out as its next revision: so many results and errors.</summary>
public sealed record BatchRevised(ShardId Shard, string Module, string BatchId, int Revision, int Results, int Failed) : ShardEvent(Shard);

/// <summary>A batch that was over is not kept for late answers any more, before its time: there were too many younger ones.</summary>
public sealed record BatchForgotten(ShardId Shard, string Module, string BatchId) : ShardEvent(Shard);

/// <summary>An answer came when its batch was over and no longer kept.</summary>
public sealed record AnswerLate(ShardId Shard, string Module, string BatchId, string Station) : ShardEvent(Shard);

/// <summary>An output of ours was read that the store, restored from a backup, does not remember; it is written again.</summary>
public sealed record OutputTakenBack(ShardId Shard, Origin Origin, string Topic) : ShardEvent(Shard);

/// <summary>An order came for a second that had been delivered.</summary>
public sealed record OrderLate(ShardId Shard, string Station, string Topic, int Count) : ShardEvent(Shard);

/// <summary>An upload or single result was put into the outbox.</summary>
public sealed record Uploaded(ShardId Shard, string Topic, string Key, ReadOnlyMemory<byte> Value) : ShardEvent(Shard);
