using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>What a measurement chooses about the core that it runs.</summary>
internal sealed record CoreDriverOptions
{
    public int Shards { get; init; } = 16;

    /// <summary>Null: what a checkpoint holds is thrown away, and nothing was stored before.</summary>
    public ICheckpointStore? Store { get; init; }

    /// <summary>Null: no checkpoints at all.</summary>
    public long? CheckpointIntervalMs { get; init; }

    public Func<ShardSettings, ShardSettings> Adjust { get; init; } = settings => settings;

    /// <summary>Hears of every module call; each is answered at once, with nothing.</summary>
    public Action<ModuleCall>? Called { get; init; }
}

/// <summary>
/// The production core of one node on the caller's thread and the caller's clock: what the host would do about its effects is done
/// at once, without Kafka. Effects of up to 64 reads are carried out together, as the host's loop does under load.
/// </summary>
internal sealed class CoreDriver : IAsyncDisposable
{
    public const string Group = "bench", StoreId = "be4c4be4c4be";
    private const int SettleAfter = 64;
    private const long Never = long.MaxValue / 4;

    private readonly ICheckpointStore? store;
    private readonly Action<ModuleCall>? called;
    private readonly TimePassed time = new();
    private readonly List<ShardEvent> events = [];
    private List<NodeEffect> effects = [], carrying = [];
    private int unsettled;

    /// <summary>Takes all shards over; returns when every one of them runs.</summary>
    public CoreDriver(PipelineConfiguration pipeline, long nowMs, CoreDriverOptions options)
    {
        store = options.Store;
        called = options.Called;
        var identity = store?.OpenAsync(Group, options.Shards, default).AsTask().GetAwaiter().GetResult();
        Settings = options.Adjust(new ShardSettings { Pipeline = pipeline, Group = Group, ShardCount = options.Shards, StoreId = identity?.StoreId ?? StoreId });
        Core = new NodeCore(new NodeSettings
        {
            Shards = Settings,
            CheckpointIntervalMs = options.CheckpointIntervalMs ?? Never,
            UrgentIntervalMs = options.CheckpointIntervalMs is null ? Never : 20,
        });
        Tell(new ShardsAssigned([.. Enumerable.Range(0, options.Shards).Select(shard => new ShardId(shard))]), nowMs);
        if (Core.Running.Count() != options.Shards) throw new BenchFailedException("not every shard runs");
    }

    public NodeCore Core { get; }
    public ShardSettings Settings { get; }

    /// <summary>Rows of state that checkpoints wrote, and group commits.</summary>
    public long RowsWritten { get; private set; }
    public long Commits { get; private set; }

    /// <summary>Parts applied so far.</summary>
    public long Applied => Core.AppliedByTopic().Values.Sum();

    /// <summary>Records of one partition, as Kafka's client hands them over.</summary>
    public void Read(TopicPartition partition, IReadOnlyList<LogRecord> records, long nowMs)
    {
        Core.Handle(new RecordsRead(partition, records), nowMs, effects);
        if (++unsettled == SettleAfter) Settle(nowMs);
    }

    /// <summary>A fact, and all that follows from it.</summary>
    public void Tell(NodeMessage message, long nowMs)
    {
        Core.Handle(message, nowMs, effects);
        Settle(nowMs);
    }

    /// <summary>Carries out what follows from the records read so far.</summary>
    public void Settle(long nowMs)
    {
        unsettled = 0;
        if (Core.NextDueMs <= nowMs) Core.Handle(time, nowMs, effects);
        do
        {
            Core.Settle(nowMs, effects);
            Core.TakeEvents(events);
            events.Clear();
            (effects, carrying) = (carrying, effects);
            foreach (var effect in carrying) CarryOut(effect, nowMs);
            carrying.Clear();
        }
        while (effects.Count > 0);
    }

    public ValueTask DisposeAsync() => store?.DisposeAsync() ?? ValueTask.CompletedTask;

    private void CarryOut(NodeEffect effect, long nowMs)
    {
        switch (effect)
        {
            case TakeOver takeOver: Core.Handle(new ShardTakenOver(TakeOver(takeOver.Shard)), nowMs, effects); break;
            case ShardLoad load: Core.Handle(Load(load), nowMs, effects); break;
            case Commit commit:
                Commits++;
                foreach (var checkpoint in commit.Checkpoints) RowsWritten += checkpoint.Entities.Count;
                Core.Handle(new CommitFinished(Write(commit.Checkpoints)), nowMs, effects);
                break;
            case BeginCall begin:
                called?.Invoke(begin.Call);
                Core.Handle(new CallReturned(begin.Call.Id, new CallOutcome(CallOutcomeKind.Nothing, default, ""), true), nowMs, effects);
                break;
            case SendOutputs send:
                foreach (var entry in send.Entries) Core.Handle(new OutputsSent(send.Shard, send.Epoch, entry.Destination, entry.Sequence), nowMs, effects);
                break;
            case Warn warn: throw new BenchFailedException(warn.Text);
        }
    }

    private RecoveredShard TakeOver(ShardId shard) =>
        store is null
            ? new RecoveredShard
            {
                Shard = shard, Epoch = new Epoch(1), CheckpointNumber = 0, ReleasedInOrder = true, ShardState = [], Entities = [], Positions = [], Marks = [], Outbox = [],
            }
            : store.TakeOverAsync(shard, "bench", default).AsTask().GetAwaiter().GetResult();

    private NodeMessage Load(ShardLoad load) =>
        store is not null ? store.LoadAsync(load, default).AsTask().GetAwaiter().GetResult()
        : load is LoadStations stations ? new StationsLoaded(stations, [])
        : new PageLoaded((LoadPage)load, []);

    private IReadOnlyList<CheckpointOutcome> Write(IReadOnlyList<ShardCheckpoint> checkpoints) =>
        store?.CommitAsync(checkpoints, default).AsTask().GetAwaiter().GetResult() ?? [.. checkpoints.Select(_ => CheckpointOutcome.Committed)];
}

/// <summary>The production router on the caller's thread; whatever it sends is acknowledged at once.</summary>
internal sealed class RouterDriver(ShardSettings settings)
{
    private readonly Router router = new(settings, new RouterSettings { AheadBytesMin = long.MaxValue / 4, AheadBytesStart = long.MaxValue / 4, AheadBytesMax = long.MaxValue / 4 });
    private readonly HashSet<TopicPartition> assigned = [];
    private readonly Dictionary<TopicPartition, long> offsets = [];
    private readonly LogRecord[] read = new LogRecord[1];
    private List<RouterEffect> effects = [], carrying = [];

    /// <summary>Takes a record in; it is routed by <see cref="Flush"/>.</summary>
    public void Receive(in SourceRecord record)
    {
        if (assigned.Add(record.Partition)) router.Assigned(record.Partition, 0, record.Offset, SourceGrant.Everything(record.Partition, 0, 0));
        router.Receive(record);
    }

    /// <summary>Routes what was received, and hands the envelopes to the shards.</summary>
    public void Flush(CoreDriver to, long nowMs)
    {
        router.Flush(effects);
        while (effects.Count > 0)
        {
            (effects, carrying) = (carrying, effects);
            foreach (var effect in carrying)
            {
                switch (effect)
                {
                    case SendEnvelope send:
                        var offset = offsets.GetValueOrDefault(send.Destination);
                        offsets[send.Destination] = offset + 1;
                        read[0] = new LogRecord(send.Destination, offset, nowMs, send.Value);
                        to.Read(send.Destination, read, nowMs);
                        router.Acknowledged(send.Destination, send.Number, effects);
                        break;
                    case CommitPositions commit: router.CommitFinished(commit.Positions, true); break;
                }
            }

            carrying.Clear();
            if (!router.IsIdle) router.Flush(effects);
        }
    }
}
