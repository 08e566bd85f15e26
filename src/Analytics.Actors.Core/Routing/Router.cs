using System.Runtime.InteropServices;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Core.Routing;

/// <summary>Settings of a router; times in ms.</summary>
public sealed record RouterSettings
{
    public long CommitIntervalMs { get; init; } = 5_000;
    public int CommitBatchSize { get; init; } = 100;

    /// <summary>At most ten commits a second.</summary>
    public long CommitSpacingMs { get; init; } = 100;
    public int MaxCommitRetries { get; init; } = 3;
    public long CommitRetryDelayMs { get; init; } = 1_000;

    /// <summary>Pause between two writes of committed positions to the store.</summary>
    public long StoreIntervalMs { get; init; } = 1_000;

    /// <summary>Pause before grants that the store did not take are asked for again.</summary>
    public long GrantRetryMs { get; init; } = 300;

    /// <summary>Bytes waiting for acknowledgement at which nothing more is routed; it goes on at half of it.</summary>
    public long WaitingBytesMax { get; init; } = 32 * 1024 * 1024;

    /// <summary>
    /// Bytes of one topic that are read and not routed, for want of a turn or of a grant, at which reading of the topic pauses;
    /// it goes on at half of it.
    /// </summary>
    public long TopicWaitingBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// Bounds of what may be routed and not applied by the shards yet, of all topics together, and where it begins. Between
    /// them it follows the shards' pace.
    /// </summary>
    public long AheadBytesMin { get; init; } = 16 * 1024;
    public long AheadBytesStart { get; init; } = 64 * 1024;
    public long AheadBytesMax { get; init; } = 16 * 1024 * 1024;

    /// <summary>How long what is routed should wait to be applied, where a topic has a backlog.</summary>
    public long DelayTargetMs { get; init; } = 500;

    /// <summary>Pause between two looks at the shards' positions, while something is not applied.</summary>
    public long LookIntervalMs { get; init; } = 100;

    /// <summary>The same while a topic has to wait for shards that have hardly anything in hand, and asking them costs little.</summary>
    public long HeldLookIntervalMs { get; init; } = 20;

    /// <summary>How long a log's position stands still, from look to look, until its shard is waited for no more.</summary>
    public long StalledAfterMs { get; init; } = 10_000;
}

/// <summary>
/// The router of one node: takes records apart, packs what goes to one partition into envelopes, and commits what has
/// been acknowledged. It keeps nothing that it cannot lose: the group's offsets are the truth, and the shards' marks drop
/// what it sends twice.
/// </summary>
/// <remarks>
/// Must keep true: one envelope outstanding per destination, sent again until it is acknowledged; a source partition's
/// parts reach each destination in order; a position is committed only when everything below it is acknowledged; an offset
/// is processed only below its partition's grant, by the rules that the list read with the grant says for it. So a router that
/// nobody expects any more, or one that begins again before what another one had done, processes it in the same way.
/// </remarks>
public sealed class Router(ShardSettings shards, RouterSettings settings)
{
    // Shards that have more in hand than this part of what they may have wait for calls, and are not so fast that looking often would matter.
    private const double NotFull = 0.02;

    private readonly SortedDictionary<long, RecordRouter> rules = new() { [shards.ConfigurationVersion] = new RecordRouter(shards) };
    private readonly HashSet<long> askedFor = [];

    // Source partitions whose grants are to be looked at.
    private readonly List<SourceProgress> wanting = [];
    private bool isRaising;
    private long? raiseAgainMs;
    private long clockMs;
    private readonly ShardsBehind behind = new(settings);
    private bool isLooking;
    private bool mayLookOften;
    private long lookedMs;
    private readonly Dictionary<TopicPartition, SourceProgress> sources = [];

    // The one of the last record.
    private SourceProgress? read;

    // Those to the batch logs, then those to the parts logs, by shard: in the order of their names.
    private readonly Lane[] lanes =
    [
        .. Enumerable.Range(0, shards.ShardCount).Select(shard => new Lane(new TopicPartition(shards.BatchTopic, shard), shards.EnvelopeBytesMax)),
        .. Enumerable.Range(0, shards.ShardCount).Select(shard => new Lane(new TopicPartition(shards.PartsTopic, shard), shards.EnvelopeBytesMax)),
    ];

    // Lanes in which something waits and nothing is outstanding; each once.
    private readonly List<int> idle = [];
    private readonly RoutedRecord routed = new();
    private readonly List<RoutedParts.Record> pieces = [];
    private readonly List<(SourceTopic Topic, long Bytes)> landed = [];
    private long nextNumber = 1;
    private long waitingBytes;
    private bool isFull;
    private bool isCommitting;
    private int commitFailures;
    private long lastCommitMs;
    private long sinceCommit;
    private readonly SortedDictionary<TopicPartition, PartitionPosition> committed = [];
    private long storedMs;

    /// <summary>Records routed since the start, by topic.</summary>
    public IReadOnlyDictionary<string, long> RoutedByTopic =>
        Topics.All.Where(topic => topic.RoutedCount > 0).ToDictionary(topic => topic.Name, topic => topic.RoutedCount, StringComparer.Ordinal);

    /// <summary>Items rejected since the start, by reason code.</summary>
    public Dictionary<string, long> RejectedByReason { get; } = new(StringComparer.Ordinal);

    /// <summary>Nothing waits to be routed, sent or acknowledged.</summary>
    public bool IsIdle => waitingBytes == 0 && Topics.IsEmpty && lanes.All(lane => !lane.InFlight);

    /// <summary>By topic: what was read of it, what the shards have still to apply, and whether it is held for their sake.</summary>
    public IReadOnlyDictionary<string, TopicFlow> Flows => Topics.Flows;

    /// <summary>Bytes that may be routed and not applied, as the shards' pace has it now.</summary>
    public long AheadBytesAllowed => behind.Allowance;

    private SourceTopics Topics => behind.Topics;

    /// <summary>The positions that may be committed, of all assigned partitions.</summary>
    public IReadOnlyList<(TopicPartition Partition, long Next)> Committable =>
        InOrder.Select(source => (source.Partition, source.Committable)).ToList();

    /// <summary>The same with the record before each position, for the store.</summary>
    public IReadOnlyList<PartitionPosition> Positions => InOrder.Select(source => source.Position).ToList();

    /// <summary>Partitions whose records wait for a grant, or for rules of a version that is not known here: the version, where it is known which.</summary>
    public IReadOnlyList<(TopicPartition Partition, long? Version)> Waiting => InOrder.Where(source => source.Held.Count > 0)
        .Select(source => (source.Partition, source.Grant is { } grant && source.Held.Peek().Offset < grant.Granted ? grant.VersionAt(source.Held.Peek().Offset) : (long?)null)).ToList();

    /// <summary>The newest version whose rules are known here.</summary>
    public long Known => rules.Keys.Last();

    /// <summary>When the router next wants to hear of time, ms; null: never.</summary>
    public long? NextDueMs => Earlier(Earlier(CommitDueMs, LookDueMs), !isRaising && wanting.Count > 0 ? raiseAgainMs : null);

    private long? LookDueMs => isLooking || !behind.IsAny ? null : lookedMs + (mayLookOften && Topics.WasHeld ? settings.HeldLookIntervalMs : settings.LookIntervalMs);

    private long? CommitDueMs => isCommitting || !IsUncommitted ? null
        : commitFailures > 0 ? lastCommitMs + RetryDelayMs
        : sinceCommit >= settings.CommitBatchSize ? lastCommitMs + settings.CommitSpacingMs
        : lastCommitMs + settings.CommitIntervalMs;

    private bool IsUncommitted
    {
        get
        {
            foreach (var source in sources.Values)
            {
                if (source.Committable > source.Committed) return true;
            }

            return false;
        }
    }

    private IEnumerable<SourceProgress> InOrder => sources.Values.OrderBy(source => source.Partition);

    /// <summary>A source partition is ours, from this position on.</summary>
    /// <param name="grant">What may be processed of it; null: the store is asked.</param>
    public void Assigned(TopicPartition partition, int incarnation, long next, SourceGrant? grant = null)
    {
        // A log that was trimmed under its reader goes on behind the gap; what was read before may be nowhere else any more.
        if (sources.TryGetValue(partition, out var known) && known.Incarnation == incarnation && next > known.HighestSeen)
        {
            known.GoOnAt(next);
            return;
        }

        Forget(partition);
        var source = sources[partition] = new SourceProgress(partition, incarnation, next, shards.ShardCount, Topics.Of(partition.Topic)) { Grant = grant };
        if (grant is null) Want(source);
    }

    /// <summary>A source partition is no longer ours: what is not on its way is forgotten, the next owner sends it.</summary>
    public void Revoked(TopicPartition partition)
    {
        committed.Remove(partition);
        if (!sources.TryGetValue(partition, out var source)) return;
        Forget(partition);
        foreach (var lane in lanes)
        {
            var dropped = lane.Drop(source);
            waitingBytes -= dropped;
            Topics.Ahead(source.Topic, -dropped);
        }
    }

    /// <summary>
    /// Takes one record in; <see cref="Flush"/> routes it when it may be, and it is its topic's turn. Its bytes are given back
    /// when it has been routed, or is not to be any more.
    /// </summary>
    public void Receive(in SourceRecord record)
    {
        // Records come in runs of one partition.
        if (read?.Partition != record.Partition) read = sources.GetValueOrDefault(record.Partition);
        if (read is not { } source || record.Offset <= source.HighestSeen)
        {
            record.Chunk?.Release();
            return;
        }

        source.HighestSeen = record.Offset;
        if (source.Grant is not { } grant || record.Offset + 1 > grant.Granted - (source.Pace.Ahead / 2)) Want(source);
        SourceTopics.Received(source, record);
        if (source.Held.Count == 0 && RulesFor(source, record.Offset) is { } now) SourceTopics.Enqueue(source, now, record);
        else source.Held.Enqueue(record);
    }

    /// <summary>
    /// What the store says of grants that were asked for. What waited for them goes on, as far as its rules are known; others
    /// are ordered.
    /// </summary>
    public void Granted(IReadOnlyList<SourceGrant> grants, List<RouterEffect> effects)
    {
        isRaising = false;
        foreach (var grant in grants)
        {
            // One that was assigned anew meanwhile may be in another life, or know more.
            if (!sources.TryGetValue(grant.Partition, out var source) || source.Incarnation != grant.Incarnation || source.Grant?.Granted > grant.Granted) continue;
            source.Grant = grant;
            var next = source.Held.TryPeek(out var first) ? first.Offset : source.HighestSeen + 1;
            for (var index = 0; index < grant.Rules.Count; index++)
            {
                var version = grant.Rules[index].Version;
                var isPast = index + 1 < grant.Rules.Count && grant.Rules[index + 1].FromOffset <= Math.Max(next, grant.Rules[index].FromOffset);
                if (!isPast && !rules.ContainsKey(version) && askedFor.Add(version)) effects.Add(new ReadRules(version));
            }

            GoOn(source);
        }
    }

    /// <summary>The store did not take them; they are asked for again after a pause. What waits for them waits.</summary>
    public void GrantsFailed(IReadOnlyList<GrantRequest> requests)
    {
        isRaising = false;
        raiseAgainMs = clockMs + settings.GrantRetryMs;
        foreach (var request in requests)
        {
            if (!sources.TryGetValue(request.Partition, out var source)) continue;
            source.GrantReadWith = -1;
            Want(source);
        }
    }

    /// <summary>Rules of another version, newer or older. They route nothing before the store says from where on.</summary>
    public void Learn(ShardSettings version, List<RouterEffect> effects)
    {
        rules[version.ConfigurationVersion] = new RecordRouter(version);
        foreach (var source in InOrder)
        {
            if (source.Held.Count == 0) continue;
            GoOn(source);
            Want(source);
        }
    }

    private void Want(SourceProgress source)
    {
        if (source.IsWanting) return;
        source.IsWanting = true;
        wanting.Add(source);
    }

    private RecordRouter? RulesFor(SourceProgress source, long offset) =>
        source.Grant is { } grant && offset < grant.Granted ? rules.GetValueOrDefault(grant.VersionAt(offset)) : null;

    private void GoOn(SourceProgress source)
    {
        while (source.Held.TryPeek(out var record) && RulesFor(source, record.Offset) is { } now)
        {
            source.Held.Dequeue();
            SourceTopics.Enqueue(source, now, record);
        }

        if (source.Held.Count > 0) Want(source);
    }

    private void Forget(TopicPartition partition)
    {
        read = null;
        if (!sources.Remove(partition, out var source)) return;
        if (source.IsWanting) wanting.Remove(source);
        foreach (var record in source.Held)
        {
            SourceTopics.Left(source, record);
            record.Chunk?.Release();
        }

        SourceTopics.Drop(source);
    }

    // One order for all partitions whose grant is half used up, or whose records wait.
    private void AskForGrants(List<RouterEffect> effects)
    {
        if (isRaising || wanting.Count == 0 || raiseAgainMs > clockMs) return;
        raiseAgainMs = null;
        List<GrantRequest> requests = [];
        foreach (var source in wanting.OrderBy(source => source.Partition))
        {
            source.IsWanting = false;
            var partition = source.Partition;
            var next = source.HighestSeen + 1;
            source.Pace.Look(next, clockMs);
            var upTo = next + source.Pace.Ahead;
            if (source.Grant is { } grant)
            {
                // Rules that are not known yet have been ordered. A topic that the newest rules do not declare is nobody's from there
                // on: it waits until it is declared again, or is read no more.
                if (!rules.TryGetValue(grant.Rules[^1].Version, out var last)) continue;
                if (!last.Declares(partition.Topic))
                {
                    if (source.GrantReadWith == Known) continue;
                    upTo = grant.Granted;
                }
                else if (upTo <= grant.Granted && (source.Held.Count == 0 || askedFor.Contains(grant.VersionAt(source.Held.Peek().Offset))))
                {
                    // What is held is granted, and waits for rules that have been ordered: it goes on when they are learnt.
                    continue;
                }
            }

            source.GrantReadWith = Known;
            requests.Add(new GrantRequest(partition, source.Incarnation, upTo));
        }

        wanting.Clear();
        if (requests.Count == 0) return;
        isRaising = true;
        effects.Add(new RaiseGrants(requests, Known));
    }

    private void Route(SourceProgress source, RecordRouter now, in SourceRecord record)
    {
        now.Route(record, source.Incarnation, routed);
        source.Topic.RoutedCount++;
        sinceCommit++;
        pieces.Clear();
        foreach (ref readonly var parts in routed.Parts.Records.Span) RecordPieces.Cut(routed.Parts, parts, shards.EnvelopeBytesMax - Lane.PieceOverhead, pieces);
        var pending = source.Begin(record.Offset, pieces.Count + routed.Manifests.Count, RecordWitness.Of(record.TimestampMs, record.Value.Span));
        foreach (var (shard, manifest) in routed.Manifests)
        {
            manifest.PreviousOffset = source.LastAnnounced[shard];
            source.LastAnnounced[shard] = record.Offset;
            Added(source, shard, lanes[shard].Add(pending, manifest, clockMs));
        }

        foreach (ref var piece in CollectionsMarshal.AsSpan(pieces))
        {
            piece.PreviousOffset = source.LastSent[piece.Shard];
            source.LastSent[piece.Shard] = record.Offset;
            foreach (ref readonly var part in routed.Parts.Parts.Of(piece.Parts))
            {
                if (part.Rejected is { } rejected) RejectedByReason[rejected.Code] = RejectedByReason.GetValueOrDefault(rejected.Code) + 1;
            }

            var lane = shards.ShardCount + piece.Shard;
            Added(source, lane, lanes[lane].Add(pending, routed.Parts, piece, clockMs));
        }

        isFull |= waitingBytes > settings.WaitingBytesMax;
    }

    /// <summary>
    /// Routes what may be routed now, hands out what may be sent, and asks for grants. To be called after whatever was told, for
    /// several facts once, so that envelopes fill.
    /// </summary>
    /// <param name="bytesMost">Routes no more than about so much of what waits.</param>
    /// <returns>More may be routed at once.</returns>
    public bool Flush(List<RouterEffect> effects, long bytesMost = long.MaxValue)
    {
        AskForGrants(effects);
        var bytes = 0L;
        while (bytes < bytesMost && !isFull && Topics.TryTake(behind.Allowance, out var next))
        {
            bytes += next.Record.Value.Length + 1;
            Route(next.Source, next.Rules, next.Record);
            next.Record.Chunk?.Release();
        }

        HandOut(effects);
        return bytes >= bytesMost;
    }

    private void HandOut(List<RouterEffect> effects)
    {
        Topics.PauseOrGoOn(effects);
        if (idle.Count == 0) return;
        idle.Sort();
        foreach (var lane in idle)
        {
            lanes[lane].IsListed = false;
            Send(lanes[lane], effects);
        }

        idle.Clear();
    }

    /// <summary>The broker has the envelope.</summary>
    /// <param name="offset">Its offset in the destination; -1: not known.</param>
    public void Acknowledged(TopicPartition destination, long number, List<RouterEffect> effects, long offset = -1)
    {
        if (LaneTo(destination) is not { InFlight: true } lane || lane.Number != number) return;
        landed.Clear();
        var routedMs = lane.Acknowledged(landed);
        foreach (var (_, bytes) in landed) waitingBytes -= bytes;
        behind.Landed(destination, offset, routedMs, landed);
        Send(lane, effects);
        isFull &= waitingBytes >= settings.WaitingBytesMax / 2;
    }

    /// <summary>How the shards stand; null: it cannot be known now, and is asked for again.</summary>
    public void Applied(ShardsProgress? progress, long nowMs)
    {
        isLooking = false;
        mayLookOften = progress is { IsCheap: true, Fullness: < NotFull };
        if (progress is not null) behind.Applied(progress.Positions, progress.Fullness, nowMs);
    }

    /// <summary>The send failed for now: the same envelope goes again, never the next.</summary>
    public void Failed(TopicPartition destination, long number, List<RouterEffect> effects)
    {
        if (LaneTo(destination) is { InFlight: true } lane && lane.Number == number) effects.Add(new SendEnvelope(destination, number, lane.Value));
    }

    /// <summary>Commits what is due. To be called every second or so also where nothing is: committed positions go to the store then.</summary>
    /// <param name="atStop">The last commit: whatever is acknowledged, now.</param>
    public void TimePassed(long nowMs, bool atStop, List<RouterEffect> effects)
    {
        // A clock that was set back takes the pause with it.
        if (nowMs < clockMs) raiseAgainMs -= clockMs - nowMs;
        clockMs = nowMs;
        AskForGrants(effects);
        StoreCommitted(nowMs, effects);
        Look(nowMs, effects);
        if (isCommitting) return;
        // A clock that was set back does not make the next commit wait until it has caught up.
        lastCommitMs = Math.Min(lastCommitMs, nowMs);
        if (!atStop && !(CommitDueMs <= nowMs)) return;
        var positions = InOrder.Where(source => source.Committable > source.Committed)
            .Select(source => (source.Partition, source.Committable)).ToList();
        if (positions.Count == 0) return;
        isCommitting = true;
        lastCommitMs = nowMs;
        sinceCommit = 0;
        foreach (var (partition, _) in positions) sources[partition].Committing = sources[partition].Position;
        effects.Add(new CommitPositions(positions));
    }

    /// <summary>A commit ended. A failed one is tried again after a pause, then with the next interval.</summary>
    public void CommitFinished(IReadOnlyList<(TopicPartition Partition, long Next)> positions, bool succeeded)
    {
        isCommitting = false;
        if (!succeeded)
        {
            commitFailures = commitFailures >= settings.MaxCommitRetries ? 0 : commitFailures + 1;
            return;
        }

        commitFailures = 0;
        foreach (var (partition, next) in positions)
        {
            // A partition that was assigned anew meanwhile may stand elsewhere.
            if (!sources.TryGetValue(partition, out var source) || source.Committing is not { } position || position.Next != next) continue;
            source.Committed = next;
            source.Committing = null;
            committed[partition] = position;
        }
    }

    private void Look(long nowMs, List<RouterEffect> effects)
    {
        lookedMs = Math.Min(lookedMs, nowMs);
        if (!(LookDueMs <= nowMs)) return;
        isLooking = true;
        lookedMs = nowMs;
        effects.Add(new ReadShardPositions());
    }

    private void StoreCommitted(long nowMs, List<RouterEffect> effects)
    {
        if (committed.Count == 0 || nowMs < storedMs + settings.StoreIntervalMs) return;
        storedMs = nowMs;
        effects.Add(new StorePositions(committed.Values.ToList()));
        committed.Clear();
    }

    private long RetryDelayMs => settings.CommitRetryDelayMs;

    private void Added(SourceProgress source, int lane, int bytes)
    {
        waitingBytes += bytes;
        Topics.Ahead(source.Topic, bytes);
        if (lanes[lane].InFlight || lanes[lane].IsListed) return;
        lanes[lane].IsListed = true;
        idle.Add(lane);
    }

    private void Send(Lane lane, List<RouterEffect> effects)
    {
        if (lane.TrySend(nextNumber)) effects.Add(new SendEnvelope(lane.Destination, nextNumber++, lane.Value));
    }

    private Lane? LaneTo(TopicPartition destination)
    {
        foreach (var first in (ReadOnlySpan<int>)[0, shards.ShardCount])
        {
            var lane = first + destination.Partition;
            if (destination.Partition >= 0 && destination.Partition < shards.ShardCount && lanes[lane].Destination == destination) return lanes[lane];
        }

        return null;
    }

    private static long? Earlier(long? left, long? right) => left is null ? right : right is null ? left : Math.Min(left.Value, right.Value);
}
