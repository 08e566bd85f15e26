using System.Collections.Concurrent;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Metrics;
using Microsoft.Extensions.Logging;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Hears what happens in a node and turns it into counters, metrics, log events and the list of recent problems. It never
/// changes what happens. Methods are called from several threads.
/// </summary>
public sealed class NodeObserver : IDisposable
{
    // Their names are a contract: log readers select by them.
    private static readonly EventId Opened = new(1, "BatchOpened"), Answer = new(2, "BatchAnswer"), TimedOut = new(3, "BatchTimedOut"),
        Cached = new(4, "GlobalCached"), Applied = new(5, "GlobalApplied"), Records = new(6, "RecordsFetched"), Failed = new(7, "CallFailed"),
        Dead = new(8, "DeadLetter"), Missing = new(9, "RecordMissing"), Late = new(10, "AnswerLate"), Released = new(11, "ShardReleased"),
        Positioned = new(12, "SourcePositioned"), Stopped = new(13, "PartitionStopped"), Skipped = new(14, "Gap"), Ended = new(15, "LoopFailed"),
        Grown = new(16, "NewPartition"), Revised = new(20, "BatchRevised"), Forgotten = new(21, "BatchForgotten"),
        TakenBack = new(22, "OutputTakenBack"), Closed = new(24, "DeadLetterClosed"), Steered = new(25, "StationSteered"), Misplaced = new(26, "RecordMisplaced"),
        TookConfiguration = new(30, "ConfigurationTakenOver"), AppliedConfiguration = new(31, "ConfigurationApplied"),
        Taken = new(32, "ShardTakenOver"), Fence = new(33, "ShardFenced");

    private readonly ILogger logger;
    private readonly string node;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<string, string> stopped = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> toldOfMisplaced = new(StringComparer.Ordinal);

    // By module: the modules that it depends on, and their output topics.
    private volatile Dictionary<string, IReadOnlyList<(string Module, string Topic)>> dependencies;

    public NodeObserver(ILogger logger, PipelineConfiguration pipeline, TimeProvider time, string node = "")
    {
        this.node = node;
        this.logger = logger;
        this.time = time;
        Sending = new SendProgress(time);
        Sources = new SourceMeter(time);
        dependencies = DependenciesOf(pipeline);
    }

    /// <summary>Hears what the cluster should know of this node; set before the node starts.</summary>
    public Action<ClusterEvent>? ClusterListener { get; set; }

    /// <summary>The node runs another pipeline from now on.</summary>
    public void Use(PipelineConfiguration pipeline) => dependencies = DependenciesOf(pipeline);

    /// <summary>Somebody applied a version through this node.</summary>
    public void ConfigurationApplied(long version, string by, string comment) => logger.LogInformation(
        AppliedConfiguration, "ConfigurationApplied: version {Version} by {By}{Comment}", version, by, comment.Length == 0 ? "" : $": {comment}");

    /// <summary>The node takes a version of the configuration over.</summary>
    public void ConfigurationTakenOver(ConfigurationVersion version) => logger.LogInformation(
        TookConfiguration, "ConfigurationTakenOver: version {Version} by {By}{Comment}", version.Number, version.By, version.Comment.Length == 0 ? "" : $": {version.Comment}");

    private static Dictionary<string, IReadOnlyList<(string Module, string Topic)>> DependenciesOf(PipelineConfiguration pipeline) => pipeline.Modules.Values.ToDictionary(
        module => module.Name,
        IReadOnlyList<(string, string)> (module) => module.DependsOn.Select(name => (name, pipeline.Modules[name].OutputTopic)).ToList(),
        StringComparer.Ordinal);

    /// <summary>Counters since the start, for health, reports and the live view.</summary>
    public NodeCounters Counters { get; } = new();

    public NodeMetrics Metrics { get; } = new();

    public RecentProblems Problems { get; } = new();

    public SendProgress Sending { get; }

    public SourceMeter Sources { get; }

    /// <summary>Partitions that are not read any more, with the reason.</summary>
    public IReadOnlyDictionary<string, string> StoppedPartitions => stopped;

    /// <summary>The same as partitions.</summary>
    public IReadOnlyCollection<TopicPartition> StoppedLogs => Metrics.StoppedPartitions;

    /// <summary>Why the store did not do its last work; null while it does.</summary>
    public string? StoreFailure { get; private set; }

    /// <summary>The last failure of a loop; null while all run.</summary>
    public string? Failure { get; private set; }

    /// <summary>Events of shards, in order, on the shards' thread.</summary>
    public void Happened(IReadOnlyList<ShardEvent> events, long nowMs)
    {
        foreach (var happened in events)
        {
            switch (happened)
            {
                case BatchAnswered answered:
                    Counters.Answers++;
                    if (logger.IsEnabled(LogLevel.Debug)) logger.LogDebug(Answer, "BatchAnswer: {StationId} answered {BatchId} of {Module}", answered.Station, answered.BatchId, answered.Module);
                    break;
                case CallEnded ended:
                    CallHasEnded(ended, nowMs);
                    break;
                case BatchOpened opened:
                    Counters.BatchesOpened++;
                    if (logger.IsEnabled(LogLevel.Debug)) logger.LogDebug(Opened, "BatchOpened: {BatchId} of {Module}, expected {Expected}", opened.BatchId, opened.Module, opened.Expected);
                    break;
                case BatchCompleted completed:
                    Counters.BatchEnded(completed.Module, false);
                    if (completed.Results > 0) Metrics.BatchCompleted(completed.Results);
                    else Metrics.BatchEmpty();
                    break;
                case BatchTimedOut timedOut:
                    Counters.BatchEnded(timedOut.Module, true);
                    Metrics.BatchTimedOut();
                    if (timedOut.Results == 0) Metrics.BatchEmpty();
                    Tell("batch-timeout", "", $"{timedOut.BatchId} of {timedOut.Module}: {timedOut.Results} of {timedOut.Expected} stations");
                    logger.LogInformation(TimedOut, "BatchTimedOut: {BatchId} of {Module}, {Results} of {Expected} stations", timedOut.BatchId, timedOut.Module, timedOut.Results, timedOut.Expected);
                    break;
                case Uploaded uploaded:
                    Counters.Uploaded(uploaded.Topic);
                    break;
                case DeadLettered dead:
                    Counters.DeadLettered(dead.Letter.Reason.Code);
                    Metrics.DeadLettered(dead.Letter.Source.Topic, dead.Letter.Reason.Code);
                    Tell("dead-letter", dead.Letter.Station, $"{dead.Letter.Source} offset {dead.Letter.Offset} item {dead.Letter.Index}: {dead.Letter.Reason}");
                    logger.LogInformation(Dead, "DeadLetter: {Source} offset {Offset} item {Index}: {Reason}", dead.Letter.Source, dead.Letter.Offset, dead.Letter.Index, dead.Letter.Reason);
                    break;
                case DeadLetterClosed closed:
                    logger.LogInformation(Closed, "DeadLetterClosed: {Letter} {State} by {By}", closed.Letter, closed.State, closed.By);
                    break;
                case StationSteered steered:
                    logger.LogInformation(Steered, "StationSteered: {StationId} {Order} by {By}", steered.Station, steered.Order, steered.By);
                    break;
                case RecordMissing missing:
                    Counters.Missing++;
                    Metrics.RecordsMissing(missing.Source.Topic, 1);
                    Tell("record-missing", "", $"shard {missing.Shard} never got offset {missing.Offset} of {missing.Source}");
                    logger.LogError(Missing, "RecordMissing: shard {Shard} never got offset {Offset} of {Source}", missing.Shard, missing.Offset, missing.Source);
                    break;
                case BatchRevised revised:
                    Counters.Revisions++;
                    Metrics.BatchRevised();
                    logger.LogDebug(Revised, "BatchRevised: {BatchId} of {Module}, revision {Revision} with {Results} stations", revised.BatchId, revised.Module, revised.Revision, revised.Results);
                    break;
                case BatchForgotten forgotten:
                    Metrics.BatchForgotten();
                    Tell("batch-forgotten", "", $"{forgotten.BatchId} of {forgotten.Module}: too many batches wait for late answers");
                    logger.LogWarning(Forgotten, "BatchForgotten: {BatchId} of {Module} takes no late answers any more, too many younger batches wait for theirs", forgotten.BatchId, forgotten.Module);
                    break;
                case RecordMisplaced misplaced:
                    Counters.Misplaced(misplaced.Partition);
                    Metrics.RecordMisrouted(misplaced.Partition.Topic);
                    TellOfMisplaced(misplaced, nowMs);
                    break;
                case AnswerLate late:
                    Counters.LateAnswers++;
                    Metrics.BatchAnswersLate(1);
                    logger.LogDebug(Late, "AnswerLate: {StationId} answered {BatchId} of {Module} when it was no longer kept", late.Station, late.BatchId, late.Module);
                    break;
                case OutputTakenBack output:
                    logger.LogInformation(TakenBack, "OutputTakenBack: {Origin} in {Topic} is from after the backup, shard {Shard} passes it over", output.Origin, output.Topic, output.Shard);
                    break;
                case OrderLate late:
                    Counters.LateOrders += late.Count;
                    Metrics.LateItems(late.Topic, late.Count);
                    break;
                case GlobalCached cached:
                    logger.LogDebug(Cached, "GlobalCached: {Topic} in shard {Shard}", cached.Topic, cached.Shard);
                    break;
                case GlobalApplied applied:
                    logger.LogDebug(Applied, "GlobalApplied: {Topic} to {Count} stations of shard {Shard}", applied.Topic, applied.Count, applied.Shard);
                    break;
                default:
                    break;
            }
        }
    }

    /// <summary>An input goes to its module; a repeated attempt has the same input.</summary>
    public void CallBegins(ModuleCall call)
    {
        if (call.Id.Attempt > 1) return;
        var quality = call.Input.Quality;
        Metrics.InputAssembled(call.Module.Name, quality);
        if (!dependencies.TryGetValue(call.Module.Name, out var needed)) return;
        for (var index = 0; index < needed.Count; index++)
        {
            Metrics.DependencySeen(call.Module.Name, needed[index].Module, quality.AvailableTopics.Contains(needed[index].Topic));
        }
    }

    /// <summary>One attempt has ended, or its time is up; on the pool's threads.</summary>
    public void CallFinished(string module, TimeSpan elapsed, CallOutcomeKind outcome) => Metrics.CallFinished(module, elapsed.TotalSeconds, outcome);

    public void Fetched(RecordRun run)
    {
        var (partition, count) = (run.Partition, run.Records.Count);
        Sources.Fetched(partition, count, run.Records[count - 1].TimestampMs);
        Counters.Fetched(partition.Topic, count);
        Metrics.RecordsFetched(partition.Topic, count);
        if (logger.IsEnabled(LogLevel.Debug)) logger.LogDebug(Records, "Fetched: {Count} records of {Topic}", count, partition.Topic);
    }

    public void SendBegins() => Sending.Begun();

    /// <summary>A message of the router (an envelope) or of a shard (an output) has its outcome.</summary>
    public void SendEnded(string topic, TimeSpan elapsed, bool sent, bool isOutput)
    {
        Sending.Ended(sent);
        if (!sent) return;
        Metrics.Produced(topic, elapsed.TotalSeconds);
        if (isOutput) Counters.Sent(elapsed);
    }

    public void Committed(IReadOnlyList<ShardCheckpoint> checkpoints, IReadOnlyList<CheckpointOutcome> outcomes, TimeSpan elapsed)
    {
        StoreFailure = null;
        var bytes = 0L;
        foreach (var checkpoint in checkpoints)
        {
            bytes += checkpoint.ShardState.Length;
            foreach (var entity in checkpoint.Entities) bytes += entity.State?.Length ?? 0;
            foreach (var entry in checkpoint.OutboxAdded) bytes += entry.Value.Length;
        }

        Counters.Committed(elapsed, bytes);
        Metrics.CheckpointCommitted(elapsed.TotalSeconds, bytes, checkpoints.Count);
        foreach (var outcome in outcomes)
        {
            if (outcome == CheckpointOutcome.Fenced) Metrics.CheckpointFailed(CheckpointFailure.Fenced);
        }
    }

    public void CommitFailed(CheckpointFailure failure, string reason)
    {
        StoreFailure = reason;
        Metrics.CheckpointFailed(failure);
        Tell("store", "", failure == CheckpointFailure.Unavailable ? $"a checkpoint was not taken: {reason}" : $"whether a checkpoint was taken is not known: {reason}");
    }

    public void TookOver(ShardId shard, string? failure)
    {
        StoreFailure = failure;
        if (failure is not null) Tell("store", "", $"shard {shard} could not be taken over: {failure}");
    }

    /// <summary>A shard is taken over and read, so long after its assignment.</summary>
    public void ShardTakenOver(ShardId shard, TimeSpan took)
    {
        Metrics.ShardMoved("takeover", took.TotalSeconds);
        logger.LogInformation(Taken, "ShardTakenOver: {Shard} {Milliseconds:0} ms after its assignment", shard, took.TotalMilliseconds);
        TellCluster("takenOver", shard, took, "");
    }

    /// <param name="wasRunning">It had been taken over, and not only assigned.</param>
    /// <param name="took">Since its revocation; null where it was not revoked.</param>
    public void ShardReleased(ReleaseShard release, bool wasRunning, TimeSpan? took)
    {
        var (shard, inOrder) = (release.Shard, release.InOrder);
        var isUnfinished = release.CallsUnfinished + release.OutputsUnsent > 0;
        if (isUnfinished) Warned(ShardMoves.Explain(release));
        logger.LogInformation(Released, "ShardReleased: {Shard} {How}", shard, inOrder ? "in order" : "without a last checkpoint");
        if (!wasRunning) return;
        if (inOrder && took is { } elapsed) Metrics.ShardMoved("release", elapsed.TotalSeconds);
        TellCluster(inOrder ? "released" : "lost", shard, inOrder ? took : null, isUnfinished ? $"{release.CallsUnfinished} calls and {release.OutputsUnsent} outputs were not finished" : "");
    }

    public void ShardFenced(ShardId shard, Epoch epoch)
    {
        Tell("warning", "", $"shard {shard} was fenced in epoch {epoch}");
        logger.LogWarning(Fence, "ShardFenced: {Shard} in epoch {Epoch}: another node has taken it over, or this one was declared down", shard, epoch);
        TellCluster("fenced", shard, null, $"epoch {epoch}");
    }

    private void TellCluster(string kind, ShardId? shard, TimeSpan? took, string detail) =>
        ClusterListener?.Invoke(new ClusterEvent(kind, node, shard, took is { } elapsed ? (long)elapsed.TotalMilliseconds : null, "", detail));

    // A producer that keys wrongly does so with every record: told once a minute for each topic, with how many there were.
    private void TellOfMisplaced(RecordMisplaced record, long nowMs)
    {
        var topic = record.Partition.Topic;
        if (toldOfMisplaced.TryGetValue(topic, out var toldMs) && nowMs - toldMs is >= 0 and < 60_000) return;
        toldOfMisplaced[topic] = nowMs;
        var text = $"{topic} is declared as keyed by station, and {Counters.MisplacedOf(topic)} records were not in their station's partition, or had another key, since the start; "
            + $"the last one is offset {record.Offset} of {record.Partition}. They are applied all the same, at the cost of a router: let the producer use the station id as the key, and Kafka's own partitioner (murmur2)";
        Tell("misplaced", "", text);
        logger.LogWarning(Misplaced, "RecordMisplaced: {Text}", text);
    }

    /// <summary>A source partition is read from a place on, or stopped.</summary>
    public void SourcePositioned(SourcePlace place)
    {
        var (partition, row) = (place.Partition, place.State);
        if (place.Next is not { } next)
        {
            PartitionStopped(partition, $"{row.GapReason}; it stands at {row.GapFrom} and its outOfRange says stop. {HowToSet(partition.Topic)}");
            return;
        }

        PartitionRead(partition);
        if (place.IsGrown) logger.LogWarning(Grown, "NewPartition: {Partition} is new, it is read from its first record, {Next}", partition, next);
        else logger.LogInformation(Positioned, "SourcePositioned: {Partition} at {Next}, incarnation {Incarnation}", partition, next, row.Incarnation);
        if (place.Gap is { } reason) Gap(partition, row.GapFrom, next, reason, row.GapReason);
    }

    /// <summary>Another node's now, or nobody's.</summary>
    public void SourceGone(TopicPartition partition) => PartitionRead(partition);

    /// <summary>The partition is not read any more until somebody decides; told again, only the reason is kept up.</summary>
    public void PartitionStopped(TopicPartition partition, string reason)
    {
        Metrics.PartitionStopped(partition);
        var known = stopped.TryGetValue(partition.ToString(), out var before) && before == reason;
        stopped[partition.ToString()] = reason;
        if (known) return;
        Tell("partition-stopped", "", $"{partition}: {reason}");
        logger.LogError(Stopped, "PartitionStopped: {Partition}: {Reason}", partition, reason);
    }

    /// <summary>The partition is read (again), or is no longer this node's.</summary>
    public void PartitionRead(TopicPartition partition)
    {
        Metrics.PartitionStarted(partition);
        stopped.TryRemove(partition.ToString(), out _);
    }

    /// <summary>Reading goes on elsewhere than where it stood.</summary>
    public void Gap(TopicPartition partition, long from, long to, GapReason reason, string text)
    {
        // A recreated topic begins below the position: what is lost of the old one, nobody knows.
        Metrics.GapSkipped(partition.Topic, reason, from < 0 ? 0 : Math.Max(0, to - from));
        Tell("gap", "", $"{partition} goes on at {to} instead of {from}: {text}");
        TellCluster("gap", null, null, $"{partition} goes on at {to} instead of {from}: {text}");
        logger.LogError(Skipped, "Gap: {Partition} goes on at {To} instead of {From}: {Reason}", partition, to, from, text);
    }

    public static string HowToSet(string topic) => $"Say where to go on: analytics positions set {topic} --to earliest|latest|TIME";

    public void Warned(string text)
    {
        Tell("warning", "", text);
        logger.LogWarning("{Text}", text);
    }

    public void LoopFailed(Exception failure)
    {
        Failure = failure.ToString();
        Tell("failure", "", failure.Message);
        logger.LogCritical(Ended, failure, "a loop has ended: a rule that must hold was broken; the node stops");
    }

    public void Dispose() => Metrics.Dispose();

    private void CallHasEnded(CallEnded ended, long nowMs)
    {
        Counters.CallEnded(ended.Module, ended.Outcome);
        var outcome = ended.Outcome switch
        {
            "result" => CallOutcomeKind.Result,
            "nothing" => CallOutcomeKind.Nothing,
            "timeout" => CallOutcomeKind.Timeout,
            _ => CallOutcomeKind.Error,
        };
        var seconds = Math.Max(0, nowMs - ended.InputMs) / 1000.0;
        if (ended.IsFinal) Metrics.InputProcessed(ended.Module, seconds, outcome);
        if (outcome is CallOutcomeKind.Result or CallOutcomeKind.Nothing) return;
        var again = ended.IsFinal ? "" : ", it is tried again";
        Tell(outcome == CallOutcomeKind.Timeout ? "call-timeout" : "call-error", ended.Station, $"{ended.Module}: {ended.Reason}{again}");
        logger.LogWarning(Failed, "CallFailed: {Module} of {StationId}: {Reason}{Again}", ended.Module, ended.Station, ended.Reason, again);
    }

    private void Tell(string kind, string station, string text) => Problems.Add(new Problem(time.GetUtcNow(), kind, station, text));
}
