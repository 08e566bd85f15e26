using System.Collections.Concurrent;
using Analytics.Actors.Core;

namespace Analytics.Actors.Node.Hosting;

/// <summary>Counts since the start of the process. Written by the loops, read by anyone; a reader may see them a moment apart.</summary>
public sealed class NodeCounters
{
    private readonly ConcurrentDictionary<string, long> fetched = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(string Module, string Outcome), long> calls = new();
    private readonly ConcurrentDictionary<string, long> uploads = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(string Module, bool TimedOut), long> batches = new();
    private readonly ConcurrentDictionary<string, long> deadLetters = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<TopicPartition, long> misplaced = new();
    private long checkpoints, checkpointBytes, checkpointTicks, sent, sentTicks;

    /// <summary>Records read from source topics, by topic.</summary>
    public IReadOnlyDictionary<string, long> FetchedByTopic => fetched;

    /// <summary>Calls that ended, each attempt one, by module and outcome (result, nothing, error, timeout).</summary>
    public IReadOnlyDictionary<(string Module, string Outcome), long> Calls => calls;

    public IReadOnlyDictionary<string, long> UploadsByTopic => uploads;

    public IReadOnlyDictionary<string, long> DeadLettersByReason => deadLetters;

    /// <summary>Batches that ended, complete or by their deadline.</summary>
    public IReadOnlyDictionary<(string Module, bool TimedOut), long> BatchesByModule => batches;

    /// <summary>Records of sources keyed by station that lay in another partition than their stations', or had another key.</summary>
    public IReadOnlyDictionary<TopicPartition, long> MisplacedByPartition => misplaced;

    public long Answers { get; internal set; }
    public long BatchesOpened { get; internal set; }
    public long BatchesCompleted { get; private set; }
    public long BatchesTimedOut { get; private set; }
    public long Missing { get; internal set; }

    /// <summary>Uploads of late answers, beyond the first one of their batch.</summary>
    public long Revisions { get; internal set; }

    /// <summary>Answers that came when their batch was over and no longer kept.</summary>
    public long LateAnswers { get; internal set; }
    public long LateOrders { get; internal set; }
    public long Checkpoints => Interlocked.Read(ref checkpoints);
    public long CheckpointBytes => Interlocked.Read(ref checkpointBytes);
    public TimeSpan CheckpointTime => TimeSpan.FromTicks(Interlocked.Read(ref checkpointTicks));
    public long OutputsSent => Interlocked.Read(ref sent);
    public TimeSpan SendTime => TimeSpan.FromTicks(Interlocked.Read(ref sentTicks));

    internal void Fetched(string topic, int records) => fetched.AddOrUpdate(topic, static (_, more) => more, static (_, count, more) => count + more, (long)records);

    internal void CallEnded(string module, string outcome) => calls.AddOrUpdate((module, outcome), 1, static (_, count) => count + 1);

    internal void Uploaded(string topic) => uploads.AddOrUpdate(topic, 1, static (_, count) => count + 1);

    internal void Misplaced(TopicPartition partition) => misplaced.AddOrUpdate(partition, 1, static (_, count) => count + 1);

    internal long MisplacedOf(string topic) => misplaced.Where(entry => entry.Key.Topic == topic).Sum(entry => entry.Value);

    internal void DeadLettered(string reason) => deadLetters.AddOrUpdate(reason, 1, static (_, count) => count + 1);

    internal void BatchEnded(string module, bool timedOut)
    {
        if (timedOut) BatchesTimedOut++;
        else BatchesCompleted++;
        batches.AddOrUpdate((module, timedOut), 1, static (_, count) => count + 1);
    }

    internal void Committed(TimeSpan elapsed, long bytes)
    {
        Interlocked.Increment(ref checkpoints);
        Interlocked.Add(ref checkpointBytes, bytes);
        Interlocked.Add(ref checkpointTicks, elapsed.Ticks);
    }

    internal void Sent(TimeSpan elapsed)
    {
        Interlocked.Increment(ref sent);
        Interlocked.Add(ref sentTicks, elapsed.Ticks);
    }
}
