using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Checks the positions of a shard that was taken over, before it starts: gathers the facts of its two logs, lets the core
/// decide, and records gaps in the store.
/// </summary>
public sealed class ShardPositioner(
    ShardSettings settings, OutOfRangePolicy policy, ICheckpointStore store, PositionLookup lookup, NodeObserver observer, TimeProvider time)
{
    /// <summary>
    /// The shard as it is to start, and null; or why it must not be run. Fails where brokers or the store do not answer:
    /// then the shard is taken over again.
    /// </summary>
    public async Task<(RecoveredShard Shard, string? Refusal)> CheckAsync(RecoveredShard taken)
    {
        var recovered = taken;
        var logs = LogsOf(recovered.Shard);
        var rows = (await store.UpdateSourcesAsync([], CancellationToken.None).ConfigureAwait(false)).ToDictionary(row => row.Partition);
        var known = logs.ToDictionary(log => log, log => ShardPositions.Stored(recovered, log, rows.GetValueOrDefault(log), policy));
        var facts = await lookup.ReadAsync(known.ToDictionary(log => log.Key, log => PositionCheck.WitnessOffset(log.Value))).ConfigureAwait(false);
        List<string> refusals = [];
        List<SourceState> changed = [];
        foreach (var log in logs)
        {
            if (!facts.TryGetValue(log, out var range)) throw new BrokerUnavailableException($"nothing is known of {log} yet");
            var row = rows.GetValueOrDefault(log) ?? new SourceState(log, settings.ShardCount, 0);
            var wanted = known[log].IsWanted;
            switch (PositionCheck.Decide(known[log] with { Log = range.Log, Found = range.Found }))
            {
                case PositionDecision.GoOn(var next, var incarnation):
                    observer.PartitionRead(log);
                    if (row.IsStopped || row.IsWanted)
                        changed.Add((row.IsStopped ? row with { GapFrom = -1, GapReason = "", GapAtMs = -1 } : row) with { IsWanted = false });
                    if (!wanted) break;
                    recovered = recovered.MovedTo(new PartitionPosition(log, next, -1, 0, incarnation));
                    observer.Gap(log, row.GapFrom, next, GapReason.Operator, row.GapReason);
                    break;
                case PositionDecision.Skip(var reason, var from, var to, var incarnation):
                    var target = await lookup.FindAsync(log, to).ConfigureAwait(false);
                    var text = Gaps.Explain(reason, range.Log);
                    changed.Add(row with { Incarnation = incarnation, GapFrom = from, GapTo = target, GapReason = text, GapAtMs = NowMs, Next = target, IsWanted = false });
                    recovered = recovered.MovedTo(new PartitionPosition(log, target, -1, 0, incarnation));
                    observer.PartitionRead(log);
                    observer.Gap(log, from, target, reason, text);
                    break;
                case PositionDecision.Stop(var reason, var position):
                    var why = Gaps.Explain(reason, range.Log);
                    changed.Add(row with { GapFrom = position, GapTo = -1, GapReason = why, GapAtMs = NowMs, IsWanted = false });
                    refusals.Add($"{log} stands at {position}, {why}");
                    observer.PartitionStopped(log, $"{why}; its shard stands at {position} and is not run. {NodeObserver.HowToSet(log.Topic)} --partition {log.Partition}");
                    break;
                case var other:
                    throw new InvalidOperationException($"a shard's log has a position always: {other}");
            }
        }

        // A gap is recorded before anything is read behind it; where an operator was quicker, all is looked at anew.
        if (changed.Count > 0)
        {
            var answer = await store.UpdateSourcesAsync(changed, CancellationToken.None).ConfigureAwait(false);
            if (changed.Any(row => !answer.Contains(row))) return await CheckAsync(taken).ConfigureAwait(false);
        }

        return (recovered, refusals.Count == 0 ? null : string.Join("; ", refusals));
    }

    /// <summary>The two logs of a shard.</summary>
    public IReadOnlyList<TopicPartition> LogsOf(ShardId shard) => [new(settings.PartsTopic, shard.Value), new(settings.BatchTopic, shard.Value)];

    private long NowMs => time.GetUtcNow().ToUnixTimeMilliseconds();
}
