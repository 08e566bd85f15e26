using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>Where a source partition is read from, as the store has it now.</summary>
/// <param name="State">The partition's row: its life, its last gap.</param>
/// <param name="Next">The first offset to read; null: it is stopped.</param>
/// <param name="Gap">Where reading did not go on where it stood: why.</param>
public sealed record SourcePlace(SourceState State, long? Next, GapReason? Gap = null)
{
    /// <summary>The topic had fewer partitions when it was first seen.</summary>
    public bool IsGrown { get; init; }

    /// <summary>The group must hear of this place before anything is read; false where it stands there already.</summary>
    public bool IsNewToGroup { get; init; }

    public TopicPartition Partition => State.Partition;
}

/// <summary>Where a reader stood, and in which life of its partition.</summary>
internal readonly record struct RunningReader(long Next, int Incarnation);

/// <summary>
/// Finds where source partitions are read from: gathers the facts, lets <see cref="PositionCheck"/> decide, and records what
/// was decided in the store before anything is read. Partitions about which something is not known yet are left out.
/// </summary>
internal sealed class SourcePositioner(
    PositionLookup lookup, ICheckpointStore store, IReadOnlyDictionary<string, RouterTopic> topics, TimeProvider time)
{
    /// <param name="partitions">With the place of a reader that was running; null: the group's committed offset counts.</param>
    public async Task<IReadOnlyList<SourcePlace>> FindAsync(IReadOnlyDictionary<TopicPartition, RunningReader?> partitions)
    {
        var rows = await store.UpdateSourcesAsync([], CancellationToken.None).ConfigureAwait(false);
        var stored = rows.ToDictionary(row => row.Partition);
        var committed = await lookup.CommittedAsync(partitions.Keys.ToList()).ConfigureAwait(false);
        var known = partitions.ToDictionary(partition => partition.Key, partition => Facts(
            partition.Key, rows, stored.GetValueOrDefault(partition.Key), partition.Value?.Next ?? (committed.TryGetValue(partition.Key, out var offset) ? offset : null)) with
        {
            ReadingIncarnation = partition.Value?.Incarnation,
        });
        var logs = await lookup.ReadAsync(known.ToDictionary(facts => facts.Key, facts => PositionCheck.WitnessOffset(facts.Value))).ConfigureAwait(false);

        List<SourcePlace> places = [];
        foreach (var (partition, log) in logs)
        {
            var facts = known[partition] with { Log = log.Log, Found = log.Found };
            var row = stored.GetValueOrDefault(partition) ?? new SourceState(partition, log.PartitionCount, 0);
            places.Add(await PlaceAsync(row, facts, log).ConfigureAwait(false));
        }

        return await RecordAsync(places, stored).ConfigureAwait(false);
    }

    private PositionFacts Facts(TopicPartition partition, IReadOnlyList<SourceState> rows, SourceState? row, long? committed)
    {
        var first = rows.Where(other => other.Partition.Topic == partition.Topic && other.PartitionCount > 0).Select(other => other.PartitionCount).DefaultIfEmpty().Min();
        return new PositionFacts
        {
            Stored = row?.Position,
            IsWanted = row is { IsWanted: true },
            Committed = committed,
            Log = default,
            Start = topics[partition.Topic].Start,
            Policy = topics[partition.Topic].OutOfRange,
            IsGrown = row is null && first > 0 && partition.Partition >= first,
        };
    }

    private async Task<SourcePlace> PlaceAsync(SourceState row, PositionFacts facts, LogFacts log)
    {
        var partition = row.Partition;
        switch (PositionCheck.Decide(facts))
        {
            case PositionDecision.GoOn(var next, _):
                if (row.Next < 0) row = row.At(new PartitionPosition(partition, next, -1, 0));
                // It was stopped, and the log is as it was again.
                if (row.IsStopped) row = row with { GapFrom = -1, GapReason = "", GapAtMs = -1 };
                // A reader that was running has not had everything acknowledged: what it may commit is its router's affair.
                return new SourcePlace(row, next, facts.IsWanted && row.GapReason.StartsWith(Gaps.SetBy, StringComparison.Ordinal) ? GapReason.Operator : null) { IsNewToGroup = facts.IsWanted || facts.Committed is null };
            case PositionDecision.Begin(var at, var incarnation):
                var begin = await lookup.FindAsync(partition, at, log.Log).ConfigureAwait(false);
                return new SourcePlace(row.At(new PartitionPosition(partition, begin, -1, 0)) with { Incarnation = incarnation }, begin) { IsGrown = facts.IsGrown, IsNewToGroup = true };
            case PositionDecision.Skip(var reason, var from, var to, var incarnation):
                var target = await lookup.FindAsync(partition, to, log.Log).ConfigureAwait(false);
                return new SourcePlace(
                    row.At(new PartitionPosition(partition, target, -1, 0)) with
                    {
                        Incarnation = incarnation, GapFrom = from, GapTo = target, GapReason = Gaps.Explain(reason, log.Log), GapAtMs = NowMs, IsWanted = incarnation > row.Incarnation,
                    },
                    target, reason)
                { IsNewToGroup = true };
            case PositionDecision.Stop(var reason, var position):
                return new SourcePlace(row with { GapFrom = position, GapTo = -1, GapReason = Gaps.Explain(reason, log.Log), GapAtMs = NowMs, IsWanted = false }, null, reason);
            default:
                throw new InvalidOperationException($"no way to carry out the decision on {partition}");
        }
    }

    // Somebody else may have changed a row meanwhile, an operator for one: then it is looked at anew.
    private async Task<IReadOnlyList<SourcePlace>> RecordAsync(List<SourcePlace> places, Dictionary<TopicPartition, SourceState> stored)
    {
        var changed = places.Select(place => place.State).Where(state => stored.GetValueOrDefault(state.Partition) != state).ToList();
        if (changed.Count == 0) return places;
        var answer = (await store.UpdateSourcesAsync(changed, CancellationToken.None).ConfigureAwait(false)).ToHashSet();
        return places.Where(place => answer.Contains(place.State)).ToList();
    }

    private long NowMs => time.GetUtcNow().ToUnixTimeMilliseconds();
}

/// <summary>Gaps in words.</summary>
public static class Gaps
{
    /// <summary>How the reason begins where an operator set a position.</summary>
    public const string SetBy = "set to ";

    public static string Explain(GapReason reason, LogRange log) => reason switch
    {
        GapReason.Trimmed => $"trimmed: the log begins at {log.Low}",
        GapReason.Recreated => $"recreated: another record stands where the last one read was; the log holds {log}",
        GapReason.BeyondEnd => $"beyond the end: the log holds {log}",
        _ => throw new ArgumentOutOfRangeException(nameof(reason), reason, "an operator gives the reason"),
    };
}
