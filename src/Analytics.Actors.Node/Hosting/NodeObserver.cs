using System.Collections.Concurrent;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using Microsoft.Extensions.Logging;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Hears what happens in a node and turns it into counters and log events. It never changes what happens. Methods are
/// called from several threads.
/// </summary>
public sealed class NodeObserver(ILogger logger)
{
    private readonly ConcurrentDictionary<string, string> stopped = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, string> gaps = new(StringComparer.Ordinal);

    /// <summary>Counters since the start, for health, reports and the live view.</summary>
    public NodeCounters Counters { get; } = new();

    /// <summary>Partitions that are not read any more, with the reason.</summary>
    public IReadOnlyDictionary<string, string> StoppedPartitions => stopped;

    /// <summary>Ranges of offsets that were skipped by a topic's policy.</summary>
    public IReadOnlyDictionary<string, string> Gaps => gaps;

    /// <summary>The last failure of a loop; null while all run.</summary>
    public string? Failure { get; private set; }

    /// <summary>Events of shards, in order, on the shards' thread.</summary>
    public void Happened(IReadOnlyList<ShardEvent> events)
    {
        foreach (var happened in events)
        {
            switch (happened)
            {
                case BatchAnswered answered:
                    Counters.Answers++;
                    if (logger.IsEnabled(LogLevel.Debug)) logger.LogDebug("BatchAnswer: {StationId} answered {BatchId} of {Module}", answered.Station, answered.BatchId, answered.Module);
                    break;
                case CallEnded ended:
                    Counters.CallEnded(ended.Module, ended.Outcome);
                    if (ended.Outcome is "error" or "timeout")
                        logger.LogWarning("CallFailed: {Module} of {StationId}: {Reason}", ended.Module, ended.Station, ended.Reason);
                    break;
                case BatchOpened opened:
                    Counters.BatchesOpened++;
                    if (logger.IsEnabled(LogLevel.Debug)) logger.LogDebug("BatchOpened: {BatchId} of {Module}, expected {Expected}", opened.BatchId, opened.Module, opened.Expected);
                    break;
                case BatchCompleted completed:
                    Counters.BatchEnded(completed.Expected, false);
                    break;
                case BatchTimedOut timedOut:
                    Counters.BatchEnded(timedOut.Expected, true);
                    logger.LogInformation("BatchTimedOut: {BatchId} of {Module}, {Results} of {Expected} stations", timedOut.BatchId, timedOut.Module, timedOut.Results, timedOut.Expected);
                    break;
                case Uploaded uploaded:
                    Counters.Uploaded(uploaded.Topic);
                    break;
                case DeadLettered dead:
                    Counters.DeadLettered(dead.Letter.Reason.Code);
                    logger.LogInformation("DeadLetter: {Source} offset {Offset} item {Index}: {Reason}", dead.Letter.Source, dead.Letter.Offset, dead.Letter.Index, dead.Letter.Reason);
                    break;
                case RecordMissing missing:
                    Counters.Missing++;
                    logger.LogError("RecordMissing: shard {Shard} never got offset {Offset} of {Source}", missing.Shard, missing.Offset, missing.Source);
                    break;
                case AnswerLate late:
                    Counters.LateAnswers++;
                    logger.LogDebug("AnswerLate: {StationId} answered {BatchId} of {Module} after its end", late.Station, late.BatchId, late.Module);
                    break;
                case OrderLate late:
                    Counters.LateOrders += late.Count;
                    break;
                case GlobalCached cached:
                    logger.LogDebug("GlobalCached: {Topic} in shard {Shard}", cached.Topic, cached.Shard);
                    break;
                default:
                    break;
            }
        }
    }

    public void Fetched(IReadOnlyList<FetchedRecord> records)
    {
        foreach (var record in records) Counters.Fetched(record.Partition.Topic);
        if (logger.IsEnabled(LogLevel.Debug))
        {
            foreach (var group in records.GroupBy(record => record.Partition.Topic)) logger.LogDebug("Fetched: {Count} records of {Topic}", group.Count(), group.Key);
        }
    }

    public void Sent(OutboxEntry entry, TimeSpan elapsed) => Counters.Sent(elapsed);

    public void Committed(IReadOnlyList<ShardCheckpoint> checkpoints, TimeSpan elapsed)
    {
        var bytes = 0L;
        foreach (var checkpoint in checkpoints)
        {
            bytes += checkpoint.ShardState.Length;
            foreach (var entity in checkpoint.Entities) bytes += entity.State?.Length ?? 0;
            foreach (var entry in checkpoint.OutboxAdded) bytes += entry.Value.Length;
        }

        Counters.Committed(elapsed, bytes);
    }

    public void ShardReleased(ShardId shard, bool inOrder) => logger.LogInformation("ShardReleased: {Shard} {How}", shard, inOrder ? "in order" : "without a last checkpoint");

    public void SourcesPositioned(IReadOnlyList<PartitionOffset> positions)
    {
        if (positions.Count > 0) logger.LogInformation("SourcesPositioned: {Positions}", string.Join(", ", positions));
    }

    public void PartitionStopped(TopicPartition partition, string reason)
    {
        stopped[partition.ToString()] = reason;
        logger.LogError("PartitionStopped: {Partition}: {Reason}", partition, reason);
    }

    public void Gap(TopicPartition partition, long position, long? to, string log)
    {
        if (to is null)
        {
            PartitionStopped(partition, $"position {position} is outside the log ({log}) and the topic's outOfRange says stop");
            return;
        }

        gaps[partition.ToString()] = $"{position} to {to}";
        logger.LogError("Gap: {Partition} goes on at {To} instead of {Position}; the log holds {Log}", partition, to, position, log);
    }

    public void Warned(string text) => logger.LogWarning("{Text}", text);

    public void LoopFailed(Exception failure)
    {
        Failure = failure.ToString();
        logger.LogCritical(failure, "a loop has ended: a rule that must hold was broken; the node stops");
    }
}
