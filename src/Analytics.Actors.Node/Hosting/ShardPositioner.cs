using System.Collections.Concurrent;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Checks the positions of a shard that was taken over, before it starts: gathers the facts of its logs, lets the core
/// decide, and records gaps and beginnings in the store. An internal log that is not what it was stops its shard; a source
/// keyed by station stops alone.
/// </summary>
public sealed class ShardPositioner(
    Func<ShardSettings> current, OutOfRangePolicy policy, ICheckpointStore store, PositionLookup lookup, NodeObserver observer, TimeProvider time)
{
    // How many partitions a keyed source had when its log was checked last.
    private readonly ConcurrentDictionary<TopicPartition, int> counted = new();

    /// <summary>
    /// The shard as it is to start, and null; or why it must not be run; with the version of the configuration whose logs
    /// were checked. Fails where brokers or the store do not answer: then the shard is taken over again.
    /// </summary>
    public async Task<(RecoveredShard Shard, string? Refusal, long Version)> CheckAsync(RecoveredShard taken)
    {
        var settings = current();
        var logs = settings.LogsOf(taken.Shard);
        var rows = (await store.UpdateSourcesAsync([], CancellationToken.None).ConfigureAwait(false)).ToDictionary(row => row.Partition);
        var known = logs.ToDictionary(log => log, log => ShardPositions.Stored(taken, log, rows.GetValueOrDefault(log), policy, SourceOf(log, settings)));
        var facts = await lookup.ReadAsync(known.ToDictionary(log => log.Key, log => PositionCheck.WitnessOffset(log.Value))).ConfigureAwait(false);
        var check = new Check(taken, settings);
        foreach (var log in logs)
        {
            var row = rows.GetValueOrDefault(log) ?? new SourceState(log, settings.ShardCount, 0);
            if (SourceOf(log, settings) is not null && await WhyUnfitAsync(log, facts.GetValueOrDefault(log), settings.ShardCount).ConfigureAwait(false) is { } unfit)
            {
                check.NotRead.Add(log);
                observer.PartitionStopped(log, unfit);
                continue;
            }

            if (!facts.TryGetValue(log, out var range)) throw new BrokerUnavailableException($"nothing is known of {log} yet");
            await DecideAsync(check, row, known[log] with { Log = range.Log, Found = range.Found }).ConfigureAwait(false);
        }

        // A gap is recorded before anything is read behind it; where an operator was quicker, all is looked at anew.
        if (check.Changed.Count > 0)
        {
            var answer = await store.UpdateSourcesAsync(check.Changed, CancellationToken.None).ConfigureAwait(false);
            if (check.Changed.Any(row => !answer.Contains(row))) return await CheckAsync(taken).ConfigureAwait(false);
        }

        return (check.Shard with { NotRead = check.NotRead }, check.Refusals.Count == 0 ? null : string.Join("; ", check.Refusals), settings.ConfigurationVersion);
    }

    /// <summary>The partition belongs to a keyed source that has another number of partitions than when this node checked it.</summary>
    /// <param name="counts">Partitions by topic, as brokers tell now.</param>
    public bool IsToBeChecked(TopicPartition log, IReadOnlyDictionary<string, int> counts) =>
        SourceOf(log, current()) is not null && counted.TryGetValue(log, out var count) && count != counts.GetValueOrDefault(log.Topic);

    /// <summary>The shard is no longer this node's: nothing is said of its logs any more.</summary>
    public void Forget(ShardId shard)
    {
        foreach (var log in current().LogsOf(shard).Concat(counted.Keys.Where(log => log.Partition == shard.Value))) observer.PartitionRead(log);
    }

    private static TopicConfiguration? SourceOf(TopicPartition log, ShardSettings settings) => settings.IsKeyed(log.Topic) ? settings.Pipeline.Topics[log.Topic] : null;

    // A station belongs to the partition of its shard only where there are as many partitions as shards.
    private async Task<string?> WhyUnfitAsync(TopicPartition log, LogFacts? facts, int shards)
    {
        var count = facts?.PartitionCount ?? (await lookup.PartitionCountsAsync().ConfigureAwait(false)).GetValueOrDefault(log.Topic);
        // What is not known is asked for again, whatever the count.
        counted[log] = facts is null && count == shards ? -1 : count;
        return count == 0 ? $"topic {log.Topic} does not exist; it is read when it does, with {shards} partitions"
            : count != shards ? TopicGrowth.Explain(log.Topic, shards, count)
            : facts is null ? "its broker does not answer; it is asked again"
            : null;
    }

    private async Task DecideAsync(Check check, SourceState row, PositionFacts facts)
    {
        var log = row.Partition;
        var source = SourceOf(log, check.Settings);
        switch (PositionCheck.Decide(facts))
        {
            case PositionDecision.GoOn(var next, var incarnation):
                observer.PartitionRead(log);
                if (row.IsStopped || row.IsWanted)
                    check.Changed.Add((row.IsStopped ? row with { GapFrom = -1, GapReason = "", GapAtMs = -1 } : row) with { IsWanted = false });
                if (!facts.IsWanted) break;
                check.MoveTo(new PartitionPosition(log, next, -1, 0, incarnation));
                if (row.GapReason.StartsWith(Gaps.SetBy, StringComparison.Ordinal)) observer.Gap(log, row.GapFrom, next, GapReason.Operator, row.GapReason);
                break;
            case PositionDecision.Begin(var at, var incarnation):
                // Written down before the first record is read: a crash before the first checkpoint does not move it.
                var begin = new PartitionPosition(log, await lookup.FindAsync(log, at, facts.Log).ConfigureAwait(false), -1, 0, incarnation);
                check.Changed.Add(row.At(begin) with { Incarnation = incarnation });
                check.MoveTo(begin);
                observer.PartitionRead(log);
                break;
            case PositionDecision.Skip(var reason, var from, var to, var incarnation):
                var target = await lookup.FindAsync(log, to, facts.Log).ConfigureAwait(false);
                var text = Gaps.Explain(reason, facts.Log);
                check.Changed.Add(row with { Incarnation = incarnation, GapFrom = from, GapTo = target, GapReason = text, GapAtMs = NowMs, Next = target, IsWanted = false });
                check.MoveTo(new PartitionPosition(log, target, -1, 0, incarnation));
                observer.PartitionRead(log);
                observer.Gap(log, from, target, reason, text);
                break;
            case PositionDecision.Stop(var reason, var position):
                var why = Gaps.Explain(reason, facts.Log);
                check.Changed.Add(row with { GapFrom = position, GapTo = -1, GapReason = why, GapAtMs = NowMs, IsWanted = false });
                if (source is null) check.Refusals.Add($"{log} stands at {position}, {why}");
                else check.NotRead.Add(log);
                var stands = source is null ? $"its shard stands at {position} and is not run" : $"it stands at {position} and its outOfRange says stop";
                observer.PartitionStopped(log, $"{why}; {stands}. {NodeObserver.HowToSet(log.Topic)} --partition {log.Partition}");
                break;
            case var other:
                throw new InvalidOperationException($"no way to carry out the decision on {log}: {other}");
        }
    }

    private long NowMs => time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>What one check has come to so far.</summary>
    private sealed class Check(RecoveredShard shard, ShardSettings settings)
    {
        public ShardSettings Settings => settings;
        public RecoveredShard Shard { get; private set; } = shard;
        public List<SourceState> Changed { get; } = [];
        public List<string> Refusals { get; } = [];
        public List<TopicPartition> NotRead { get; } = [];

        public void MoveTo(PartitionPosition position) => Shard = Shard.MovedTo(position);
    }
}
