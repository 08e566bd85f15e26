using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Invariant 4: what a shard tells as sent is in the same checkpoint; nothing lands before the checkpoint that holds it has
/// committed; per destination and origin the sequences land without a hole, repeats are equal; only what has landed is
/// removed, and what has landed is removed at last.
/// </summary>
public sealed class OutboxChecker(Cluster cluster)
{
    private readonly Dictionary<(string Topic, string Origin), OutboxEntry> committed = [];
    private readonly Dictionary<(string Topic, string Store, int Shard, int Partition), Run> runs = [];

    public void Committed(Committed entry, Action<Finding> report)
    {
        var checkpoint = entry.Checkpoint;
        var settings = cluster.Settings;
        var letters = checkpoint.OutboxAdded.Count(added => added.Destination.Topic == settings.DeadLetterTopic);
        var uploads = checkpoint.OutboxAdded.Count(added => added.Destination.Topic != settings.DeadLetterTopic && added.Destination.Topic != settings.BatchTopic && added.Destination.Topic != settings.PartsTopic);
        CompareCount(entry, "dead letters", entry.Events.OfType<DeadLettered>().Count(), letters, report);
        CompareCount(entry, "uploads", entry.Events.OfType<Uploaded>().Count(), uploads, report);
        foreach (var added in checkpoint.OutboxAdded)
        {
            var text = added.Headers.FirstOrDefault(header => header.Key == Header.Origin).Value;
            if (!Origin.TryParse(text, out var origin) || origin.Shard != checkpoint.Shard || origin.Partition != added.Destination.Partition || origin.Sequence != added.Sequence)
            {
                report(new Finding($"shard {checkpoint.Shard}: entry {added.Sequence} to {added.Destination} has the origin '{text}'", $"shard {checkpoint.Shard}"));
                continue;
            }

            var run = RunOf(added.Destination, origin);
            if (run.CommittedUpTo is { } upTo && added.Sequence != upTo + 1)
                report(new Finding($"shard {checkpoint.Shard}: entry {added.Sequence} to {added.Destination} was committed after {upTo}", $"shard {checkpoint.Shard}"));
            run.CommittedUpTo = added.Sequence;
            run.LandedUpTo ??= added.Sequence - 1;
            committed[(added.Destination.Topic, text)] = added;
        }

        foreach (var removed in checkpoint.OutboxRemoved)
        {
            var run = runs.GetValueOrDefault((removed.Destination.Topic, settings.StoreId, checkpoint.Shard.Value, removed.Destination.Partition));
            if (run?.CommittedUpTo is not { } upTo || run.LandedUpTo >= Math.Min(upTo, removed.UpToSequence)) continue;
            report(new Finding($"shard {checkpoint.Shard} removed what it sends to {removed.Destination} up to {removed.UpToSequence}; up to {run.LandedUpTo} have landed", $"shard {checkpoint.Shard}"));
        }
    }

    public void Landed(TopicPartition partition, StoredRecord record, Action<Finding> report)
    {
        if (!Origin.TryParse(record.Origin, out var origin)) return;
        var name = $"{record.Origin} to {partition}";
        if (!committed.TryGetValue((partition.Topic, record.Origin!), out var entry))
        {
            report(new Finding($"output {name} landed, and no checkpoint that holds it has committed", $"shard {origin.Shard}"));
            return;
        }

        if (!record.Value.AsSpan().SequenceEqual(entry.Value)) report(new Finding($"output {name} landed with another content than was committed", $"shard {origin.Shard}"));
        var run = RunOf(partition, origin);
        if (origin.Sequence > run.LandedUpTo + 1) report(new Finding($"output {name} landed after sequence {run.LandedUpTo}", $"shard {origin.Shard}"));
        run.LandedUpTo = Math.Max(run.LandedUpTo ?? -1, origin.Sequence);
    }

    /// <summary>At rest, after an orderly stop: nothing committed is missing, nothing old waits.</summary>
    public void Judge(Action<Finding> report)
    {
        foreach (var shard in Enumerable.Range(0, cluster.Settings.ShardCount).Select(number => new ShardId(number)))
        {
            var waiting = cluster.Store.Peek(shard).Outbox;
            // An owner that learns only at the end that it was fenced removes nothing any more.
            var isReleased = cluster.Store.Timeline.LastOrDefault(entry => entry.Shard == shard) is Committed { Checkpoint.Release: true };
            foreach (var old in waiting.Where(entry => isReleased && entry.TimestampMs < cluster.World.NowMs - 8_000))
                report(new Finding($"shard {shard} still keeps entry {old.Sequence} to {old.Destination} in its outbox", $"shard {shard}"));
            var kept = waiting.Select(entry => (entry.Destination, entry.Sequence)).ToHashSet();
            foreach (var added in cluster.Store.Timeline.OfType<Committed>().Where(entry => entry.Shard == shard).SelectMany(entry => entry.Checkpoint.OutboxAdded))
            {
                _ = Origin.TryParse(added.Headers.First(header => header.Key == Header.Origin).Value, out var origin);
                if (RunOf(added.Destination, origin).LandedUpTo >= added.Sequence || kept.Contains((added.Destination, added.Sequence))) continue;
                report(new Finding($"shard {shard}: entry {added.Sequence} to {added.Destination} never landed", $"shard {shard}"));
            }
        }
    }

    private static void CompareCount(Committed entry, string what, int told, int added, Action<Finding> report)
    {
        if (told != added) report(new Finding($"shard {entry.Shard}: checkpoint {entry.Checkpoint.Number} holds {added} {what}, the shard told of {told}", $"shard {entry.Shard}"));
    }

    private Run RunOf(TopicPartition destination, Origin origin)
    {
        var key = (destination.Topic, origin.Store, origin.Shard.Value, destination.Partition);
        if (!runs.TryGetValue(key, out var run)) runs.Add(key, run = new Run());
        return run;
    }

    private sealed class Run
    {
        public long? CommittedUpTo { get; set; }
        public long? LandedUpTo { get; set; }
    }
}
