using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;

namespace Analytics.Actors.Core.Routing;

/// <summary>An order of the router to its host.</summary>
public abstract record RouterEffect;

/// <summary>Send this record; report with the same number. There is at most one outstanding per destination.</summary>
public sealed record SendEnvelope(TopicPartition Destination, long Number, byte[] Value) : RouterEffect;

/// <summary>Commit these positions (next offsets) to the router's group; report with <see cref="Router.CommitFinished"/>.</summary>
public sealed record CommitPositions(IReadOnlyList<(TopicPartition Partition, long Next)> Positions) : RouterEffect;

/// <summary>
/// Write these committed positions, each with the record before it, to the store: they tell a topic that was made anew.
/// Nothing is reported back; a write that fails is made up for by the next one.
/// </summary>
public sealed record StorePositions(IReadOnlyList<PartitionPosition> Positions) : RouterEffect;

/// <summary>Stop or go on reading a source topic, all partitions of it: as much of it is in hand as may be.</summary>
public sealed record PauseTopic(string Topic, bool Pause) : RouterEffect;

/// <summary>How far the shards have got with what routers send them.</summary>
/// <param name="Positions">Next offsets of their logs, as far as they can be known; a log that is left out is not begun.</param>
/// <param name="Fullness">What the shards that can be asked have in hand on average, as a part of what they may have: see <see cref="Shard.Fullness"/>.</param>
public sealed record ShardsProgress(IReadOnlyDictionary<TopicPartition, long> Positions, double Fullness);

/// <summary>Find out how far the shards have applied their logs, and report it with <see cref="Router.Applied"/>.</summary>
public sealed record ReadShardPositions : RouterEffect;

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

    /// <summary>Bytes waiting for acknowledgement at which nothing more is routed; it goes on at half of it.</summary>
    public long WaitingBytesMax { get; init; } = 32 * 1024 * 1024;

    /// <summary>Bytes of one topic that are read and not routed at which reading of the topic pauses; it goes on at half of it.</summary>
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

    /// <summary>Looks in a row at which a log's position stood still, after which its shard is waited for no more.</summary>
    public int LooksUntilStalled { get; init; } = 100;
}

/// <summary>
/// The router of one node: takes records apart, packs what goes to one partition into envelopes, and commits what has
/// been acknowledged. It keeps nothing that it cannot lose: the group's offsets are the truth, and the shards' marks drop
/// what it sends twice.
/// </summary>
/// <remarks>
/// Must keep true: one envelope outstanding per destination, sent again until it is acknowledged; a source partition's
/// parts reach each destination in order; a position is committed only when everything below it is acknowledged.
/// </remarks>
public sealed class Router
{
    // A piece's tag and length in its envelope.
    private const int PieceOverhead = 8;

    private readonly ShardSettings shards;
    private readonly RouterSettings settings;
    private readonly RecordRouter rules;
    private readonly SortedDictionary<TopicPartition, SourceProgress> sources = [];
    private readonly SortedDictionary<TopicPartition, Lane> lanes = [];
    private readonly HashSet<TopicPartition> idle = [];
    private long nextNumber = 1;
    private long waitingBytes;
    private bool isFull;
    private bool isCommitting;
    private int commitFailures;
    private long lastCommitMs;
    private long sinceCommit;
    private readonly SortedDictionary<TopicPartition, PartitionPosition> committed = [];
    private long storedMs;
    private readonly SourceTopics topics;
    private readonly ShardsBehind behind;
    private long clockMs;
    private bool isLooking;
    private long lookedMs;

    public Router(ShardSettings shards, RouterSettings settings)
    {
        this.shards = shards;
        this.settings = settings;
        rules = new RecordRouter(shards);
        topics = new SourceTopics(settings);
        behind = new ShardsBehind(settings, topics);
    }

    /// <summary>Records routed since the start, by topic.</summary>
    public Dictionary<string, long> RoutedByTopic { get; } = new(StringComparer.Ordinal);

    /// <summary>Items rejected since the start, by reason code.</summary>
    public Dictionary<string, long> RejectedByReason { get; } = new(StringComparer.Ordinal);

    /// <summary>Nothing waits to be routed, sent or acknowledged.</summary>
    public bool IsIdle => topics.IsEmpty && waitingBytes == 0 && lanes.Values.All(lane => !lane.InFlight);

    /// <summary>By topic: what was read of it, what the shards have still to apply, and whether it is held for their sake.</summary>
    public IReadOnlyDictionary<string, TopicFlow> Flows => topics.Flows;

    /// <summary>Bytes that may be routed and not applied, as the shards' pace has it now.</summary>
    public long AheadBytesAllowed => behind.Allowance;

    /// <summary>The positions that may be committed, of all assigned partitions.</summary>
    public IReadOnlyList<(TopicPartition Partition, long Next)> Committable =>
        sources.Values.Select(source => (source.Partition, source.Committable)).ToList();

    /// <summary>The same with the record before each position, for the store.</summary>
    public IReadOnlyList<PartitionPosition> Positions => sources.Values.Select(source => source.Position).ToList();

    /// <summary>When the router next wants to hear of time, ms; null: never.</summary>
    public long? NextDueMs => (CommitDueMs, LookDueMs) switch
    {
        (null, var look) => look,
        (var commit, null) => commit,
        var (commit, look) => Math.Min(commit.Value, look.Value),
    };

    private long? LookDueMs => isLooking || !behind.IsAny ? null : lookedMs + settings.LookIntervalMs;

    private long? CommitDueMs => isCommitting || !sources.Values.Any(source => source.Committable > source.Committed) ? null
        : commitFailures > 0 ? lastCommitMs + RetryDelayMs
        : sinceCommit >= settings.CommitBatchSize ? lastCommitMs + settings.CommitSpacingMs
        : lastCommitMs + settings.CommitIntervalMs;

    /// <summary>A source partition is ours, from this position on.</summary>
    public void Assigned(TopicPartition partition, int incarnation, long next) =>
        sources[partition] = new SourceProgress(partition, incarnation, next, shards.ShardCount);

    /// <summary>A source partition is no longer ours: what is not on its way is forgotten, the next owner sends it.</summary>
    public void Revoked(TopicPartition partition, List<RouterEffect> effects)
    {
        committed.Remove(partition);
        if (!sources.Remove(partition, out var source)) return;
        topics.Drop(source, effects);
        foreach (var lane in lanes.Values)
        {
            var dropped = lane.Drop(source);
            waitingBytes -= dropped;
            topics.Ahead(partition.Topic, -dropped);
        }
    }

    /// <summary>Takes one record in; <see cref="Flush"/> routes it when it is its topic's turn.</summary>
    public void Receive(in SourceRecord record, List<RouterEffect> effects)
    {
        if (sources.TryGetValue(record.Partition, out var source) && record.Offset > source.HighestSeen) topics.Add(source, record, effects);
    }

    private void Route(SourceProgress source, in SourceRecord record)
    {
        // What was read before the partition was taken up anew, or twice.
        if (sources.GetValueOrDefault(record.Partition) != source || record.Offset <= source.HighestSeen) return;
        var routed = rules.Route(record, source.Incarnation);
        RoutedByTopic[record.Partition.Topic] = RoutedByTopic.GetValueOrDefault(record.Partition.Topic) + 1;
        sinceCommit++;
        var pieces = RecordPieces.Of(routed.Parts, shards.EnvelopeBytesMax - PieceOverhead);
        var pending = source.Begin(record.Offset, pieces.Count + routed.Manifests.Count, RecordWitness.Of(record.TimestampMs, record.Value.Span));
        foreach (var (shard, manifest) in routed.Manifests)
        {
            manifest.PreviousOffset = source.LastAnnounced[shard];
            source.LastAnnounced[shard] = record.Offset;
            Enqueue(new TopicPartition(shards.BatchTopic, shard), new Piece(pending, null, manifest));
        }

        foreach (var (shard, parts) in pieces)
        {
            parts.PreviousOffset = source.LastSent[shard];
            source.LastSent[shard] = record.Offset;
            foreach (var part in parts.Parts)
            {
                if (part.Rejected is { } rejected) RejectedByReason[rejected.Code] = RejectedByReason.GetValueOrDefault(rejected.Code) + 1;
            }

            Enqueue(new TopicPartition(shards.PartsTopic, shard), new Piece(pending, parts, null));
        }

        isFull |= waitingBytes > settings.WaitingBytesMax;
    }

    /// <summary>
    /// Routes what may be routed now, and hands out what may be sent. To be called after whatever was told, for several facts
    /// once, so that envelopes fill.
    /// </summary>
    /// <param name="bytesMost">Routes no more than about so much of what waits.</param>
    /// <returns>More may be routed at once.</returns>
    public bool Flush(List<RouterEffect> effects, long bytesMost = long.MaxValue)
    {
        var isMore = true;
        for (var bytes = 0L; bytes < bytesMost && isMore;)
        {
            if (isFull || topics.Take(behind.Allowance, effects) is not var (source, record))
            {
                isMore = false;
                continue;
            }

            bytes += record.Value.Length;
            Route(source, record);
        }

        HandOut(effects);
        return isMore;
    }

    private void HandOut(List<RouterEffect> effects)
    {
        if (idle.Count == 0) return;
        foreach (var destination in idle.Order()) Send(destination, lanes[destination], effects);
        idle.Clear();
    }

    /// <summary>The broker has the envelope.</summary>
    /// <param name="offset">Its offset in the destination; -1: not known.</param>
    public void Acknowledged(TopicPartition destination, long number, List<RouterEffect> effects, long offset = -1)
    {
        if (!lanes.TryGetValue(destination, out var lane) || lane.Number != number || !lane.InFlight) return;
        var (bytes, routedMs) = lane.Acknowledged();
        foreach (var (_, count) in bytes) waitingBytes -= count;
        behind.Landed(destination, offset, routedMs, bytes);
        Send(destination, lane, effects);
        isFull &= waitingBytes >= settings.WaitingBytesMax / 2;
    }

    /// <summary>How the shards stand; null: it cannot be known now, and is asked for again.</summary>
    public void Applied(ShardsProgress? progress, long nowMs)
    {
        isLooking = false;
        if (progress is not null) behind.Applied(progress.Positions, progress.Fullness, nowMs);
    }

    /// <summary>The send failed for now: the same envelope goes again, never the next.</summary>
    public void Failed(TopicPartition destination, long number, List<RouterEffect> effects)
    {
        if (!lanes.TryGetValue(destination, out var lane) || lane.Number != number || !lane.InFlight) return;
        effects.Add(new SendEnvelope(destination, lane.Number, lane.Value));
    }

    /// <summary>Commits what is due. To be called every second or so also where nothing is: committed positions go to the store then.</summary>
    /// <param name="atStop">The last commit: whatever is acknowledged, now.</param>
    public void TimePassed(long nowMs, bool atStop, List<RouterEffect> effects)
    {
        clockMs = nowMs;
        StoreCommitted(nowMs, effects);
        Look(nowMs, effects);
        if (isCommitting) return;
        // A clock that was set back does not make the next commit wait until it has caught up.
        lastCommitMs = Math.Min(lastCommitMs, nowMs);
        if (!atStop && !(CommitDueMs <= nowMs)) return;
        var positions = sources.Values.Where(source => source.Committable > source.Committed)
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

    private void Enqueue(TopicPartition destination, Piece piece)
    {
        if (!lanes.TryGetValue(destination, out var lane)) lanes.Add(destination, lane = new Lane());
        var bytes = lane.Add(piece, clockMs);
        waitingBytes += bytes;
        topics.Ahead(piece.Record.Owner.Partition.Topic, bytes);
        if (!lane.InFlight) idle.Add(destination);
    }

    private void Send(TopicPartition destination, Lane lane, List<RouterEffect> effects)
    {
        if (lane.InFlight || lane.Pack(nextNumber, shards.EnvelopeBytesMax) is not { } value) return;
        effects.Add(new SendEnvelope(destination, nextNumber++, value));
    }

    /// <summary>What one record sends to one destination.</summary>
    private readonly record struct Piece(SourceProgress.Pending Record, RecordParts? Parts, Manifest? Manifest)
    {
        public int Bytes => (Parts?.CalculateSize() ?? Manifest!.CalculateSize()) + PieceOverhead;
    }

    /// <summary>The way to one destination: what waits, and the envelope that is outstanding.</summary>
    private sealed class Lane
    {
        private readonly Queue<(Piece Piece, int Bytes, long RoutedMs)> waiting = new();
        private readonly List<(Piece Piece, int Bytes)> packed = [];
        private long routedMs;

        public bool InFlight { get; private set; }
        public long Number { get; private set; }
        public byte[] Value { get; private set; } = [];

        public int Add(Piece piece, long nowMs)
        {
            var bytes = piece.Bytes;
            waiting.Enqueue((piece, bytes, nowMs));
            return bytes;
        }

        public byte[]? Pack(long number, int bytesMax)
        {
            if (waiting.Count == 0) return null;
            packed.Clear();
            routedMs = waiting.Peek().RoutedMs;
            var packedBytes = 0;
            PartsEnvelope? parts = null;
            BatchEnvelope? manifests = null;
            while (waiting.TryPeek(out var next) && (packed.Count == 0 || packedBytes + next.Bytes <= bytesMax))
            {
                waiting.Dequeue();
                packed.Add((next.Piece, next.Bytes));
                packedBytes += next.Bytes;
                if (next.Piece.Parts is { } record) (parts ??= new PartsEnvelope()).Records.Add(record);
                else (manifests ??= new BatchEnvelope()).Manifests.Add(next.Piece.Manifest!);
            }

            InFlight = true;
            Number = number;
            return Value = parts?.ToByteArray() ?? manifests!.ToByteArray();
        }

        /// <summary>What it held, by topic, and when the oldest of it was routed.</summary>
        public (IReadOnlyList<(string Topic, long Bytes)> Bytes, long RoutedMs) Acknowledged()
        {
            InFlight = false;
            Value = [];
            var bytes = new Dictionary<string, long>(StringComparer.Ordinal);
            foreach (var (piece, count) in packed)
            {
                piece.Record.Acknowledged();
                var topic = piece.Record.Owner.Partition.Topic;
                bytes[topic] = bytes.GetValueOrDefault(topic) + count;
            }

            packed.Clear();
            return (bytes.Select(pair => (pair.Key, pair.Value)).ToList(), routedMs);
        }

        public int Drop(SourceProgress source)
        {
            var dropped = 0;
            for (var count = waiting.Count; count > 0; count--)
            {
                var next = waiting.Dequeue();
                if (ReferenceEquals(next.Piece.Record.Owner, source)) dropped += next.Bytes;
                else waiting.Enqueue(next);
            }

            return dropped;
        }
    }
}
