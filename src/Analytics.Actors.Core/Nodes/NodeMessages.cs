using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Nodes;

// Facts that reach a node (past tense) and orders that it gives its host (imperative).

/// <summary>A fact that reaches a node.</summary>
public abstract record NodeMessage;

/// <summary>Kafka's group gave these shards to the node.</summary>
public sealed record ShardsAssigned(IReadOnlyList<ShardId> Shards) : NodeMessage;

/// <summary>Kafka's group takes these shards away and waits: finish, checkpoint, release.</summary>
public sealed record ShardsRevoked(IReadOnlyList<ShardId> Shards) : NodeMessage;

/// <summary>These shards are gone already: stop at once.</summary>
public sealed record ShardsLost(IReadOnlyList<ShardId> Shards) : NodeMessage;

/// <summary>A takeover raised the epoch and read the state.</summary>
/// <param name="Version">The version of the configuration whose logs were checked for it.</param>
public sealed record ShardTakenOver(RecoveredShard Recovered, long Version = long.MaxValue) : NodeMessage;

/// <summary>A takeover came to nothing; it is tried again after a pause.</summary>
public sealed record TakeOverFailed(ShardId Shard, string Reason) : NodeMessage;

/// <summary>
/// A takeover went well, but one of the shard's logs is not the one that it had read: it is not run until its positions
/// are set.
/// </summary>
public sealed record ShardRefused(ShardId Shard, string Reason) : NodeMessage;

/// <summary>
/// The positions of these shards' logs are to be checked again: an operator set one, or reading found one outside its log.
/// They are released in order and taken over anew.
/// </summary>
public sealed record PositionsChanged(IReadOnlyList<ShardId> Shards) : NodeMessage;

/// <summary>
/// There is another version of the configuration. Shards that run an older one are released in order and taken over anew.
/// </summary>
public sealed record ConfigurationChanged(ShardSettings Settings) : NodeMessage;

/// <summary>The rows of the stations that <see cref="LoadStations"/> named; those without rows do not exist yet.</summary>
public sealed record StationsLoaded(LoadStations Load, IReadOnlyList<EntityState> Rows) : NodeMessage;

/// <summary>The page that <see cref="LoadPage"/> named.</summary>
public sealed record PageLoaded(LoadPage Load, IReadOnlyList<EntityState> Rows) : NodeMessage;

/// <summary>The shard has another owner by now, whose rows these would have been.</summary>
public sealed record LoadFenced(ShardLoad Load) : NodeMessage;

/// <summary>The store could not be read; the same load is ordered again after a pause.</summary>
public sealed record LoadFailed(ShardLoad Load, string Reason) : NodeMessage;

/// <summary>Records of one data partition, in order.</summary>
public sealed record RecordsRead(TopicPartition Partition, IReadOnlyList<LogRecord> Records) : NodeMessage;

/// <param name="Releases">False for a call past its time whose code still runs.</param>
public sealed record CallReturned(CallId Call, CallOutcome Outcome, bool Releases) : NodeMessage;

/// <summary>The code of a call past its time has returned.</summary>
public sealed record CallReleased(CallId Call) : NodeMessage;

/// <summary>A group commit ended; outcomes in the order of its checkpoints.</summary>
public sealed record CommitFinished(IReadOnlyList<CheckpointOutcome> Outcomes) : NodeMessage;

/// <summary>Nothing was committed: the same checkpoints are committed again after a pause.</summary>
public sealed record CommitFailed(string Reason) : NodeMessage;

/// <summary>Whether the commit took place is unknown: its shards count as lost.</summary>
public sealed record CommitUnknown(string Reason) : NodeMessage;

/// <summary>The broker has all entries of a destination up to and including this sequence.</summary>
public sealed record OutputsSent(ShardId Shard, Epoch Epoch, TopicPartition Destination, long UpToSequence) : NodeMessage;

/// <summary>
/// Somebody orders that dead letters of a shard be replayed or discarded. They were read from the store after the shard
/// was seen to run in this epoch; in any other the order is void, because they may have been closed since.
/// </summary>
/// <param name="By">Who ordered it.</param>
public sealed record DeadLettersOrdered(ShardId Shard, Epoch Epoch, IReadOnlyList<DeadLetter> Letters, DeadLetterState State, string By) : NodeMessage;

/// <summary>
/// An operator pauses, resumes or forgets a station. Void where the shard is not run in this epoch; how it ended comes with
/// <see cref="StationOrderEnded"/>.
/// </summary>
/// <param name="Number">The host's own, to tell orders apart.</param>
/// <param name="By">Who ordered it.</param>
public sealed record StationOrdered(long Number, ShardId Shard, Epoch Epoch, string Station, StationOrder Order, string By) : NodeMessage;

/// <summary>Time has passed.</summary>
public sealed record TimePassed : NodeMessage;

/// <summary>The node is to stop in order: release every shard.</summary>
public sealed record StopRequested : NodeMessage;

/// <summary>An order that a node gives its host.</summary>
public abstract record NodeEffect;

/// <summary>Raise the shard's epoch in the store, then read its state; report with ShardTakenOver or TakeOverFailed.</summary>
public sealed record TakeOver(ShardId Shard) : NodeEffect;

/// <summary>Read something of a shard's state in the background; report with LoadFailed where that does not work.</summary>
public abstract record ShardLoad(ShardId Shard, Epoch Epoch) : NodeEffect;

/// <summary>Read the rows of these stations and of their windows; report with StationsLoaded.</summary>
public sealed record LoadStations(ShardId Shard, Epoch Epoch, IReadOnlyList<string> Stations, IReadOnlyList<string> WindowKeys) : ShardLoad(Shard, Epoch);

/// <summary>Read a page of the shard's rows of one kind, those after a key; report with PageLoaded.</summary>
public sealed record LoadPage(ShardId Shard, Epoch Epoch, EntityKind Kind, string? After, int Limit) : ShardLoad(Shard, Epoch);

/// <summary>Read this partition from this offset on.</summary>
public sealed record StartReading(TopicPartition Partition, long Next) : NodeEffect;
/// <summary>Read this partition no more.</summary>
public sealed record StopReading(TopicPartition Partition) : NodeEffect;
/// <summary>Stop reading this partition for now, or go on: the shard has as much in hand as it may.</summary>
public sealed record PauseReading(TopicPartition Partition, bool Pause) : NodeEffect;
/// <summary>Run this call in its module's pool; report with CallReturned.</summary>
public sealed record BeginCall(ModuleCall Call) : NodeEffect;

/// <summary>The shard is given up in this epoch: its calls and what it has not sent yet are of no more use.</summary>
public sealed record AbandonShard(ShardId Shard, Epoch Epoch) : NodeEffect;

/// <summary>Commit these checkpoints in one transaction; report with CommitFinished, CommitFailed or CommitUnknown.</summary>
public sealed record Commit(IReadOnlyList<ShardCheckpoint> Checkpoints) : NodeEffect;

/// <summary>
/// Send these outbox entries as <see cref="OutputSender"/> says, the shard's own of this epoch; report with OutputsSent.
/// </summary>
public sealed record SendOutputs(ShardId Shard, Epoch Epoch, IReadOnlyList<OutboxEntry> Entries) : NodeEffect;

/// <summary>The node has nothing to do with this shard any more: the revocation may go on.</summary>
/// <param name="InOrder">Its last checkpoint committed; false: fenced, lost or out of time.</param>
/// <param name="CallsUnfinished">Calls that still ran when its time was up; its next owner runs them again.</param>
/// <param name="OutputsUnsent">Outputs that the brokers had not acknowledged then; its next owner sends them again.</param>
public sealed record ReleaseShard(ShardId Shard, bool InOrder, int CallsUnfinished = 0, int OutputsUnsent = 0) : NodeEffect;

/// <summary>Tell whoever gave this order what became of it.</summary>
public sealed record StationOrderEnded(long Number, StationOrderOutcome Outcome) : NodeEffect;

/// <summary>A shard waits for this version of the configuration; report with ConfigurationChanged, whenever it can be had.</summary>
public sealed record ReadConfiguration(long Version) : NodeEffect;

/// <summary>Something an operator should read.</summary>
public record Warn(string Text) : NodeEffect;

/// <summary>The store says that the shard has another owner, or that somebody declared this node down.</summary>
public sealed record ShardFenced(ShardId Shard, Epoch Epoch) : Warn($"shard {Shard} was fenced in epoch {Epoch}: another node has taken it over");
