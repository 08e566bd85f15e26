using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Configuration;
using Microsoft.Extensions.Logging;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>What a node is made of beside its options; tests and the demo give their own.</summary>
public sealed record NodeParts
{
    public required PipelineConfiguration Pipeline { get; init; }
    public required KafkaClientOptions Kafka { get; init; }
    public required ICheckpointStore Store { get; init; }

    /// <summary>Modules by name; an enabled module that is not here answers every call with an error.</summary>
    public required IReadOnlyDictionary<string, IModule> Modules { get; init; }
    public required ILoggerFactory Logging { get; init; }
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>See <see cref="ShardSettings.ApplyTimes"/>.</summary>
    public Func<SourcePartition, Place, int>? ApplyTimes { get; init; }
}

/// <summary>
/// One node: the store, the Kafka clients, the router's and the shards' loops, and the module pool, started in the order
/// in which they need each other and stopped in the opposite one.
/// </summary>
public sealed class NodeHost : IAsyncDisposable
{
    private readonly NodeOptions options;
    private readonly NodeParts parts;
    private readonly ILogger logger;
    private readonly ClientLog kafkaLog;
    private TopicAdmin? admin;
    private PartitionProducer? producer;
    private DataConsumer? data;
    private Ownership? ownership;
    private RouterSource? source;
    private ModulePool? pool;
    private PositionLookup? lookup;
    private PositionWatch? watch;
    private volatile bool isStopped;

    public NodeHost(NodeOptions options, NodeParts parts)
    {
        this.options = options;
        this.parts = parts;
        logger = parts.Logging.CreateLogger("Analytics.Actors.Node");
        Observer = new NodeObserver(logger, parts.Pipeline, parts.Time);
        var kafkaLogger = parts.Logging.CreateLogger("Analytics.Actors.Kafka");
        kafkaLog = entry => kafkaLogger.Log(
            entry.Level switch
            {
                ClientLogLevel.Error => LogLevel.Error,
                ClientLogLevel.Warning => LogLevel.Warning,
                ClientLogLevel.Information => LogLevel.Information,
                _ => LogLevel.Debug,
            },
            "{Client}: {Message}", entry.Client, entry.Message);
    }

    public NodeObserver Observer { get; }
    public NodeOptions Options => options;
    public PipelineConfiguration Pipeline => parts.Pipeline;
    public string StoreId { get; private set; } = "";
    public DateTimeOffset StartedAt { get; private set; }
    public ShardSettings? ShardSettings { get; private set; }
    public NodeLoop? Shards { get; private set; }
    public RouterLoop? Router { get; private set; }
    public ModulePool? Pool => pool;

    /// <summary>Null until the node has started.</summary>
    public DeadLetterDesk? DeadLetters { get; private set; }

    /// <summary>Sets positions for an operator; null before the start.</summary>
    public PositionSetter? Positions { get; private set; }

    /// <summary>This node has the module's code; calls of an enabled one that it lacks are answered with an error.</summary>
    public bool IsInstalled(string module) => parts.Modules.ContainsKey(module);

    /// <summary>Ends, faulted, where one of the node's threads ended by itself: then the process should end too.</summary>
    public Task Failure { get; private set; } = Task.CompletedTask;

    /// <summary>Why the node cannot go on: a loop or a consumer has ended by itself; null while all run.</summary>
    public string? FailureReason =>
        Observer.Failure ?? (Failure.IsFaulted ? Failure.Exception!.GetBaseException().Message : null);

    /// <summary>It has been ready once; what is missing since then is a change, not the start.</summary>
    public bool WasReady { get; private set; }

    public bool IsStopping => isStopped;

    /// <summary>The group has told what is ours, all of it runs, and every source has its position.</summary>
    public async Task<bool> IsReadyAsync()
    {
        if (isStopped || FailureReason is not null || Shards is null || ownership is null || !ownership.Joined.IsCompleted || Router is not { IsPositioned: true }) return false;
        try
        {
            var phases = await Shards.Ask(node => node.Phases.Select(slot => slot.Phase).ToList()).WaitAsync(AnswerLimit, parts.Time).ConfigureAwait(false);
            // A shard that waits for an operator is not on its way any more.
            WasReady |= phases.All(phase => phase is ShardPhase.Running or ShardPhase.Stopped);
            return phases.All(phase => phase == ShardPhase.Running);
        }
        catch (Exception unanswered) when (unanswered is TimeoutException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>Starts everything. Fails with a message that says what would be right.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        StartedAt = parts.Time.GetUtcNow();
        var identity = await parts.Store.OpenAsync(options.Group, options.Shards, cancellation).ConfigureAwait(false);
        StoreId = identity.StoreId;
        var changed = await parts.Store.PinRulesAsync(RoutingRules.Of(parts.Pipeline, options.MaxRecordBytes), cancellation).ConfigureAwait(false);
        if (changed.Count > 0) throw new StoreRefusedException(RoutingRules.Explain(changed));
        admin = new TopicAdmin(parts.Kafka, kafkaLog);
        var counts = await PrepareTopicsAsync(cancellation).ConfigureAwait(false);
        ShardSettings = new ShardSettings
        {
            Pipeline = parts.Pipeline,
            Group = options.Group,
            ShardCount = options.Shards,
            StoreId = StoreId,
            Earlier = identity.Earlier,
            PartitionCounts = counts,
            RecordBytesMax = options.MaxRecordBytes,
            CallsMax = options.Limits.CallsInFlight,
            LettersKeptMs = (long)options.DeadLetters.Kept.TotalMilliseconds,
            LettersKeptMax = options.DeadLetters.KeptPerShard,
            StationsMax = options.Limits.Entities,
            PassivateAfterMs = (long)options.Limits.PassivateAfter.TotalMilliseconds,
            ArrivalsMax = options.Limits.MailboxMessages,
            ArrivalBytesMax = options.Limits.MailboxBytes,
            ApplyTimes = parts.ApplyTimes,
        };
        producer = new PartitionProducer(parts.Kafka, kafkaLog);
        // The client looks up a topic that it does not know once a second: the first results would wait for that.
        await producer.PrepareAsync([ShardSettings.PartsTopic, ShardSettings.BatchTopic, .. counts.Keys.Where(IsWritten)], TimeSpan.FromSeconds(10)).ConfigureAwait(false);
        Shards = new NodeLoop(
            new NodeSettings
            {
                Shards = ShardSettings,
                CheckpointIntervalMs = (long)options.Checkpoint.Idle.TotalMilliseconds,
                UrgentIntervalMs = (long)options.Checkpoint.Waiting.TotalMilliseconds,
                ReleaseLimitMs = (long)(options.StopDeadline.TotalMilliseconds / 2),
                Seed = Random.Shared.Next(),
            },
            parts.Store, producer, Observer, options.NodeId, options.Limits.MailboxBytes, parts.Time);
        pool = new ModulePool(parts.Modules, options.Pools, Shards.Post, Observer.CallFinished);
        data = new DataConsumer(parts.Kafka, $"{options.Group}.data", Shards, kafkaLog);
        lookup = new PositionLookup(parts.Kafka, $"{options.Group}.router", kafkaLog);
        Shards.Start(data, pool, new ShardPositioner(ShardSettings, options.InternalOutOfRange, parts.Store, lookup, Observer, parts.Time));
        Router = new RouterLoop(
            ShardSettings,
            new RouterSettings
            {
                CommitIntervalMs = (long)options.Commit.Interval.TotalMilliseconds,
                CommitBatchSize = options.Commit.BatchSize,
                MaxCommitRetries = options.Commit.RetriesMax,
                CommitRetryDelayMs = (long)options.Commit.RetryDelay.TotalMilliseconds,
                // Of all topics together no more than in a mailbox; of one at least what makes a pause worth while.
                TopicWaitingBytesMax = Math.Max(1024 * 1024, options.Limits.MailboxBytes / (SourceTopics().Count() + 1)),
                AheadBytesMax = options.Limits.AheadBytes,
            },
            parts.Store, producer, Observer, new AppliedPositions(ShardSettings, Shards, parts.Store), options.Limits.MailboxBytes, parts.Time);
        source = new RouterSource(parts.Kafka, $"{options.Group}.router",
            SourceTopics().Select(RouterTopic.Of).Append(new RouterTopic(ShardSettings.ReplayTopic, new StartPosition(StartKind.Earliest), options.InternalOutOfRange)),
            parts.Store, Router, kafkaLog, parts.Time);
        Router.Start(source);
        watch = new PositionWatch(ShardSettings, parts.Store, lookup, Router, Shards, Observer, parts.Time);
        Positions = new PositionSetter(ShardSettings, SourceTopics().Select(topic => topic.Name).ToList(), parts.Store, lookup, watch, Shards, parts.Time);
        watch.Start();
        ownership = new Ownership(parts.Kafka, options.Group, ShardSettings.PartsTopic, Shards, kafkaLog);
        DeadLetters = new DeadLetterDesk(this, parts.Store, parts.Time, logger);
        Failure = Task.WhenAny(Shards.Completion, Router.Completion, data.Completion, source.Completion, ownership.Completion).Unwrap();
        logger.LogInformation("NodeStarted: {NodeId} of {Group}, store {StoreId}, {Shards} shards", options.NodeId, options.Group, StoreId, options.Shards);
    }

    /// <summary>
    /// Stops in order: no new records, what runs may finish within the limit, the last checkpoints, everything sent that
    /// can be. Returns what was not finished, empty when all was.
    /// </summary>
    public async Task<IReadOnlyList<string>> StopAsync()
    {
        if (isStopped) return [];
        isStopped = true;
        List<string> unfinished = [];
        var limit = options.StopDeadline;
        if (watch is not null) await watch.DisposeAsync().ConfigureAwait(false);
        if (Router is not null && source is not null)
        {
            await source.DisposeAsync().ConfigureAwait(false);
            Router.End();
        }

        if (Shards is not null)
        {
            // Leaving the group revokes every shard, which releases it in order.
            if (ownership is not null) await ownership.DisposeAsync().ConfigureAwait(false);
            if (!await Shards.ReleaseAllAsync(limit).ConfigureAwait(false)) unfinished.Add($"shards were not released within {limit.TotalSeconds:0.#} s; their next owner goes on from the last checkpoint");
            if (pool is { RunningCount: > 0 } busy) unfinished.Add($"{busy.RunningCount} module calls still ran; they are run again");
        }

        if (producer is not null && !producer.Flush(TimeSpan.FromSeconds(5))) unfinished.Add($"{producer.UnderWayCount} records were not acknowledged; they are sent again");
        Shards?.End();
        if (data is not null) await data.DisposeAsync().ConfigureAwait(false);
        pool?.Dispose();
        producer?.Dispose();
        admin?.Dispose();
        lookup?.Dispose();
        logger.LogInformation("NodeStopped: {NodeId}{Unfinished}", options.NodeId, unfinished.Count == 0 ? "" : "; " + string.Join("; ", unfinished));
        return unfinished;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        DeadLetters?.Dispose();
        Observer.Dispose();
    }

    /// <summary>
    /// The lag of the router per source partition: the log's end minus what may be committed; null where the end is not
    /// known.
    /// </summary>
    public async Task<IReadOnlyList<(TopicPartition Partition, long Next, long? End)>> SourcePositionsAsync()
    {
        if (Router is null || source is null) return [];
        var positions = await Router.Ask(router => router.Committable).ConfigureAwait(false);
        var ends = await source.GetHighWatermarksAsync(positions.Select(position => position.Partition).ToList()).ConfigureAwait(false);
        return positions.Select(position => (position.Partition, position.Next, ends.TryGetValue(position.Partition, out var end) ? end : (long?)null)).ToList();
    }

    /// <summary>By source topic: what the router has read and not routed, what the shards have still to apply, and whether it is held for their sake.</summary>
    public async Task<IReadOnlyDictionary<string, TopicFlow>> SourceFlowsAsync() =>
        Router is null ? new Dictionary<string, TopicFlow>() : await Router.Ask(router => router.Flows).ConfigureAwait(false);

    /// <summary>What the store knows of partitions, of the whole cluster.</summary>
    public async Task<IReadOnlyDictionary<TopicPartition, SourceState>> StoredPositionsAsync() =>
        (await parts.Store.UpdateSourcesAsync([], CancellationToken.None).ConfigureAwait(false)).ToDictionary(row => row.Partition);

    /// <summary>How far each shard has read its two logs; the end is null where it is not known.</summary>
    public async Task<IReadOnlyList<(TopicPartition Partition, long Next, long? End)>> ShardPositionsAsync()
    {
        if (Shards is null || data is not { } reader) return [];
        var positions = await Shards.Ask(node => node.Running
            .SelectMany(shard => new[] { shard.PartsLog, shard.BatchLog }
                .Select(log => (Log: log, Next: shard.Positions.TryGetValue(log, out var position) ? position.Next : 0)))
            .ToList()).ConfigureAwait(false);
        var ends = await Task.WhenAll(positions.Select(position => reader.GetHighWatermark(position.Log))).ConfigureAwait(false);
        return positions.Select((position, index) => (position.Log, position.Next, ends[index])).ToList();
    }

    /// <summary>The rows of one station and of its windows, as the last checkpoint left them.</summary>
    public async Task<IReadOnlyList<EntityState>> ReadStationAsync(ShardId shard, string station) =>
        await parts.Store.ReadStationsAsync(shard, [station], StationRows.WindowKeys([station], parts.Pipeline), CancellationToken.None).ConfigureAwait(false);

    private IEnumerable<TopicConfiguration> SourceTopics()
    {
        // Output topics of modules are read only where an enabled module depends on them.
        var wanted = parts.Pipeline.Modules.Values.Where(module => module.Enabled).SelectMany(module => module.Topics).ToHashSet(StringComparer.Ordinal);
        return parts.Pipeline.Topics.Values.Where(topic => topic.OutputOf is null || wanted.Contains(topic.Name));
    }

    private bool IsWritten(string topic) =>
        topic == $"{options.Group}.dead-letters" || topic == $"{options.Group}.replays" || parts.Pipeline.Modules.Values.Any(module => module.Enabled && module.OutputTopic == topic);

    private async Task<Dictionary<string, int>> PrepareTopicsAsync(CancellationToken cancellation)
    {
        var group = options.Group;
        await admin!.EnsureInternalTopicAsync($"{group}.station-events", options.Shards, cancellation).ConfigureAwait(false);
        await admin.EnsureInternalTopicAsync($"{group}.batch-results", options.Shards, cancellation).ConfigureAwait(false);
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        var writes = parts.Pipeline.Modules.Values.Select(module => module.OutputTopic).Append($"{group}.dead-letters").Append($"{group}.replays").Where(IsWritten);
        foreach (var topic in writes)
        {
            counts[topic] = await admin.GetPartitionCountAsync(topic).ConfigureAwait(false)
                ?? (await admin.EnsureInternalTopicAsync(topic, OutputPartitions, cancellation).ConfigureAwait(false)).Partitions;
        }

        foreach (var topic in SourceTopics())
        {
            if (!counts.ContainsKey(topic.Name) && await admin.GetPartitionCountAsync(topic.Name).ConfigureAwait(false) is { } count) counts[topic.Name] = count;
        }

        return counts;
    }

    // How long a loop may take to answer a question before it counts as held up.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    // Partitions of an output or dead-letter topic that is not there yet.
    private const int OutputPartitions = 4;
}
