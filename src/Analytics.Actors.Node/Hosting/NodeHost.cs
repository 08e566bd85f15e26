using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Logging;
using Microsoft.Extensions.Logging;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>What a node is made of beside its options; tests and the demo give their own.</summary>
public sealed record NodeParts
{
    /// <summary>Version 1 of the configuration where the store has none yet; else the store's counts.</summary>
    public required PipelineConfiguration Pipeline { get; init; }
    public required KafkaClientOptions Kafka { get; init; }

    /// <summary>One that is an <see cref="IClusterStore"/> too holds what nodes tell of themselves; with another one the node stands alone.</summary>
    public required ICheckpointStore Store { get; init; }

    /// <summary>Modules by name; an enabled module that is not here answers every call with an error.</summary>
    public required IReadOnlyDictionary<string, IModule> Modules { get; init; }

    /// <summary>The same for a pipeline, where modules take something of it (code tables); null: <see cref="Modules"/> always.</summary>
    public Func<PipelineConfiguration, IReadOnlyDictionary<string, IModule>>? ModulesOf { get; init; }
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
    private PartitionProducer? producer;
    private DataConsumer? data;
    private Ownership? ownership;
    private RouterSource? source;
    private ModulePool? pool;
    private PositionLookup? lookup;
    private PositionWatch? watch;
    private ConfigurationWatch? configurations;
    private readonly TaskCompletionSource<NodeEnd> ending = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool hasStarted;
    private volatile bool isStopped;
    private NodeReading reading;

    public NodeHost(NodeOptions options, NodeParts parts)
    {
        this.options = options;
        this.parts = parts;
        Log = new RecentLog(parts.Time);
        parts.Logging.AddProvider(Log);
        logger = parts.Logging.CreateLogger("Analytics.Actors.Node");
        Observer = new NodeObserver(logger, parts.Pipeline, parts.Time, options.NodeId);
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

    /// <summary>The newest lines of the log.</summary>
    public RecentLog Log { get; }

    public NodeObserver Observer { get; }
    public NodeOptions Options => options;

    /// <summary>The pipeline that the node runs.</summary>
    public PipelineConfiguration Pipeline => ShardSettings?.Pipeline ?? parts.Pipeline;

    /// <summary>The version of the configuration that all of this node runs: its router, and each of its shards. 0 before the start.</summary>
    public long ConfigurationVersion => configurations?.Runs ?? 0;

    /// <summary>Why the node does not run the newest version of the configuration; null where it does, or will in a moment.</summary>
    public string? ConfigurationProblem => configurations?.Problem;
    public string StoreId { get; private set; } = "";
    public DateTimeOffset StartedAt { get; private set; }
    public ShardSettings? ShardSettings { get; private set; }
    public NodeLoop? Shards { get; private set; }
    public RouterLoop? Router { get; private set; }
    public ModulePool? Pool => pool;

    /// <summary>Null until the node has started.</summary>
    public DeadLetterDesk? DeadLetters { get; private set; }

    /// <summary>Pauses, resumes and forgets stations for an operator; null before the start.</summary>
    public StationDesk? Stations { get; private set; }

    /// <summary>The other nodes, and what happens in the cluster; null before the start, and where the store holds nothing of them.</summary>
    public ClusterRegistrar? Cluster { get; private set; }

    /// <summary>Where the API listens; null while it does not. The others are told what <see cref="NodeRoles.AddressOf"/> makes of it.</summary>
    public Uri? ListeningAt { get; set; }

    /// <summary>Sets positions for an operator; null before the start.</summary>
    public PositionSetter? Positions { get; private set; }

    /// <summary>This node has the module's code; calls of an enabled one that it lacks are answered with an error.</summary>
    public bool IsInstalled(string module) => parts.Modules.ContainsKey(module);

    /// <summary>Plans and applies versions of the configuration; null before the start.</summary>
    public ConfigurationDesk? Configurations { get; private set; }

    /// <summary>Looks for a newer version of the configuration now: one was applied through this node.</summary>
    public void LookForConfiguration() => configurations?.Look();

    /// <summary>Ends where the process is to end though nothing in it failed and no signal came: it was told to leave, or may not be this node any more.</summary>
    public Task<NodeEnd> Ending => ending.Task;

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
        if (isStopped || FailureReason is not null || !hasStarted) return false;
        if (ownership is { Joined.IsCompleted: false } || (options.Roles.Router && !Router!.IsPositioned)) return false;
        try
        {
            var phases = await Shards!.Ask(node => node.Phases.Select(slot => slot.Phase).ToList()).WaitAsync(AnswerLimit, parts.Time).ConfigureAwait(false);
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
        StartRegistrar();
        var versions = new ConfigurationVersions(parts.Store, options);
        var (version, pipeline) = await versions.BeginAsync(parts.Pipeline, StartedAt, logger, cancellation).ConfigureAwait(false);
        Observer.Use(pipeline);
        var counts = await PrepareTopicsAsync(pipeline, cancellation).ConfigureAwait(false);
        ShardSettings = new ShardSettings
        {
            Pipeline = pipeline,
            ConfigurationVersion = version,
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
        await producer.PrepareAsync([ShardSettings.PartsTopic, ShardSettings.BatchTopic, .. counts.Keys.Where(topic => IsWritten(topic, pipeline))], TimeSpan.FromSeconds(10)).ConfigureAwait(false);
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
        if (options.Roles.Shard)
        {
            pool = new ModulePool(ModulesOf(pipeline), options.Pools, Shards.Post, Observer.CallFinished);
            data = new DataConsumer(parts.Kafka, $"{options.Group}.data", Shards, kafkaLog);
        }

        lookup = new PositionLookup(parts.Kafka, $"{options.Group}.router", kafkaLog);
        var positioner = new ShardPositioner(() => ShardSettings, options.InternalOutOfRange, parts.Store, lookup, Observer, parts.Time);
        Shards.Start(data, pool, positioner);
        Router = new RouterLoop(
            ShardSettings,
            new RouterSettings
            {
                CommitIntervalMs = (long)options.Commit.Interval.TotalMilliseconds,
                CommitBatchSize = options.Commit.BatchSize,
                MaxCommitRetries = options.Commit.RetriesMax,
                CommitRetryDelayMs = (long)options.Commit.RetryDelay.TotalMilliseconds,
                // Of all topics together no more than four mailboxes; of one at least what makes a pause worth while: the client
                // forgets what it has fetched of a partition that is paused.
                TopicWaitingBytesMax = Math.Max(1024 * 1024, 4 * options.Limits.MailboxBytes / (TopicsToRead(pipeline).Count() + 1)),
                AheadBytesMax = options.Limits.AheadBytes,
            },
            parts.Store, producer, Observer, new AppliedPositions(ShardSettings, Shards, parts.Store), options.Limits.MailboxBytes / RouterMailboxPart, parts.Time);
        if (options.Roles.Router) source = new RouterSource(parts.Kafka, $"{options.Group}.router", TopicsToRead(pipeline), parts.Store, Router, kafkaLog, parts.Time, lookup);
        configurations = new ConfigurationWatch(ShardSettings, versions, parts.Store, Router, Shards, TakeUpAsync, Observer);
        Router.RulesWanted = Shards.ConfigurationWanted = configurations.Need;
        Router.Start(source);
        configurations.Start();
        Configurations = new ConfigurationDesk(this, versions, parts.Store, parts.Time);
        watch = new PositionWatch(() => ShardSettings, parts.Store, lookup, positioner, Router, Shards, Observer, parts.Time);
        Positions = new PositionSetter(() => ShardSettings, () => SourceTopics(Pipeline).Select(topic => topic.Name).ToList(), parts.Store, lookup, watch, Shards, parts.Time);
        watch.Start();
        if (options.Roles.Shard) ownership = new Ownership(parts.Kafka, options.Group, ShardSettings.PartsTopic, Shards, kafkaLog);
        DeadLetters = new DeadLetterDesk(this, parts.Store, parts.Time, logger);
        Stations = new StationDesk(this, parts.Store, parts.Time);
        Failure = Task.WhenAny(new[] { Shards.Completion, Router.Completion, data?.Completion, source?.Completion, ownership?.Completion }.OfType<Task>()).Unwrap();
        hasStarted = true;
        Cluster?.Become(NodeState.Running);
        logger.LogInformation("NodeStarted: {NodeId} of {Group}, store {StoreId}, {Shards} shards", options.NodeId, options.Group, StoreId, options.Shards);
    }

    /// <summary>
    /// The node is to leave: it takes no new shards, hands over those that it has, and its process ends with 0. Returns at once;
    /// what becomes of it is told by its row and its events. Asked again, it changes nothing.
    /// </summary>
    /// <param name="by">Who ordered it.</param>
    public void Leave(string by)
    {
        if (isStopped || !ending.TrySetResult(new NodeEnd(false, $"told to leave by {by}"))) return;
        logger.LogInformation("NodeLeaving: told to leave by {By}", by);
        Cluster?.Tell(new ClusterEvent("leaving", options.NodeId, null, null, by, ""));
        Cluster?.Become(NodeState.Leaving);
    }

    /// <summary>
    /// Declares a node down, this one or another, dead or alive: from now on its shards accept no checkpoint of it, and its process
    /// ends with 1 as soon as it hears of it. Its shards go to others when Kafka's group has noticed that it is gone.
    /// </summary>
    /// <returns>The shards that were fenced.</returns>
    /// <exception cref="StoreUnavailableException">The store cannot be reached, or holds nothing of nodes.</exception>
    public async Task<IReadOnlyList<ShardId>> DownAsync(string node, string by, CancellationToken cancellation)
    {
        if (Cluster is not { } cluster) throw new StoreUnavailableException("the node is starting, or its store knows no nodes");
        var fenced = await FenceAsync(cluster.Store, node, by, cancellation).ConfigureAwait(false);
        logger.LogWarning("NodeDown: {NodeId} was declared down by {By}, fenced shards: {Shards}", node, by, fenced.Count == 0 ? "none" : string.Join(", ", fenced));
        cluster.Wake();
        return fenced;
    }

    // A node that froze in the middle of a commit holds its shards' rows until the database ends its transaction.
    private static async Task<IReadOnlyList<ShardId>> FenceAsync(IClusterStore store, string node, string by, CancellationToken cancellation)
    {
        const int Attempts = 3;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await store.FenceNodeAsync(node, by, cancellation).ConfigureAwait(false);
            }
            catch (StoreUnavailableException) when (attempt < Attempts)
            {
                // Once more: its rows are free by then, or the database is really away.
            }
        }
    }

    /// <summary>
    /// Stops in order within <see cref="NodeOptions.StopDeadline"/>: no new records, what runs may finish within half of it, the
    /// last checkpoints, everything sent that can be. Returns what was not finished, and why; empty when all was.
    /// </summary>
    public async Task<IReadOnlyList<string>> StopAsync()
    {
        if (isStopped) return [];
        isStopped = true;
        var deadline = new StopDeadline(options.StopDeadline, parts.Time);
        List<string> unfinished = [];
        if (!ending.Task.IsCompleted) Cluster?.Tell(new ClusterEvent("leaving", options.NodeId, null, null, "", "its process was told to stop"));
        Cluster?.Become(NodeState.Leaving);
        // Nothing of what a node does that was declared down is taken any more.
        if (Cluster is { IsDown: true } && Shards is not null) await Shards.LoseAllAsync(deadline.Share(0.1)).ConfigureAwait(false);
        await deadline.WithinAsync(0.1, watch?.DisposeAsync().AsTask(), configurations?.DisposeAsync().AsTask()).ConfigureAwait(false);
        // Leaving the groups revokes everything, which releases shards in order, and commits what has been routed.
        if (!await deadline.WithinAsync(0.7, source?.DisposeAsync().AsTask(), ownership?.DisposeAsync().AsTask()).ConfigureAwait(false)) unfinished.Add("the brokers did not let the node leave its groups in time; its sessions have to end");
        if (Shards is not null) unfinished.AddRange(await Shards.ReleaseAllAsync(deadline.Until(0.8)).ConfigureAwait(false));
        Router?.End();
        if (producer is not null && !producer.Flush(deadline.Until(0.9))) unfinished.Add($"{producer.UnderWayCount} records were not acknowledged; they are sent again");
        Shards?.End();
        if (await deadline.WithinAsync(0.95, data?.DisposeAsync().AsTask()).ConfigureAwait(false))
        {
            pool?.Dispose();
            producer?.Dispose();
            lookup?.Dispose();
        }

        if (Cluster is not null && !await Cluster.LeaveAsync(string.Join("; ", unfinished)).ConfigureAwait(false)) logger.LogWarning("the store could not be told that the node has left: it will look vanished");
        logger.LogInformation("NodeStopped: {NodeId}{Unfinished}", options.NodeId, unfinished.Count == 0 ? "" : "; " + string.Join("; ", unfinished));
        return unfinished;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        DeadLetters?.Dispose();
        if (Cluster is not null) await Cluster.DisposeAsync().ConfigureAwait(false);
        Observer.Dispose();
    }

    /// <summary>
    /// How far this node has read the source partitions that are its own: what its router may commit, and of sources keyed
    /// by station what its shards have processed; with the log's end, null where that is not known.
    /// </summary>
    public async Task<IReadOnlyList<(TopicPartition Partition, long Next, long? End)>> SourcePositionsAsync()
    {
        List<(TopicPartition Partition, long Next, long? End)> read = [];
        if (Router is not null && source is not null)
        {
            var positions = await Router.Ask(router => router.Committable).ConfigureAwait(false);
            var ends = await source.GetHighWatermarksAsync(positions.Select(position => position.Partition).ToList()).ConfigureAwait(false);
            read.AddRange(positions.Select(position => (position.Partition, position.Next, ends.TryGetValue(position.Partition, out var end) ? end : (long?)null)));
        }

        read.AddRange(await LogPositionsAsync(log => ShardSettings!.IsKeyed(log.Topic)).ConfigureAwait(false));
        return read;
    }

    /// <summary>By source topic: what the router has read and not routed, what the shards have still to apply, and whether it is held for their sake.</summary>
    public async Task<IReadOnlyDictionary<string, TopicFlow>> SourceFlowsAsync() =>
        Router is null ? new Dictionary<string, TopicFlow>() : await Router.Ask(router => router.Flows).ConfigureAwait(false);

    /// <summary>What the store knows of partitions, of the whole cluster.</summary>
    public async Task<IReadOnlyDictionary<TopicPartition, SourceState>> StoredPositionsAsync() =>
        (await parts.Store.UpdateSourcesAsync([], CancellationToken.None).ConfigureAwait(false)).ToDictionary(row => row.Partition);

    /// <summary>How far each shard has read its two internal logs; the end is null where it is not known.</summary>
    public Task<IReadOnlyList<(TopicPartition Partition, long Next, long? End)>> ShardPositionsAsync() => LogPositionsAsync(log => !ShardSettings!.IsKeyed(log.Topic));

    private async Task<IReadOnlyList<(TopicPartition Partition, long Next, long? End)>> LogPositionsAsync(Func<TopicPartition, bool> isWanted)
    {
        if (Shards is null || data is not { } reader) return [];
        var positions = await Shards.Ask(node => node.Running
            .SelectMany(shard => ShardSettings!.LogsOf(shard.Id).Where(isWanted)
                .Select(log => (Log: log, Next: shard.NextOf(log))))
            .ToList()).ConfigureAwait(false);
        var ends = await Task.WhenAll(positions.Select(position => reader.GetHighWatermark(position.Log))).ConfigureAwait(false);
        return positions.Select((position, index) => (position.Log, position.Next, ends[index])).ToList();
    }

    /// <summary>Records that wait in the logs of each shard of this node; a shard of which the end is not known is left out.</summary>
    public async Task<IReadOnlyDictionary<ShardId, long>> ShardLagsAsync() =>
        (await ShardPositionsAsync().ConfigureAwait(false)).Where(position => position.End is not null)
            .GroupBy(position => new ShardId(position.Partition.Partition)).ToDictionary(logs => logs.Key, logs => logs.Sum(log => Math.Max(0, log.End!.Value - log.Next)));

    /// <summary>The rows of one station and of its windows, as the last checkpoint left them.</summary>
    public async Task<IReadOnlyList<EntityState>> ReadStationAsync(ShardId shard, string station) =>
        await parts.Store.ReadStationsAsync(shard, [station], StationRows.WindowKeys([station], Pipeline), CancellationToken.None).ConfigureAwait(false);

    /// <summary>Who took a shard over last.</summary>
    public async Task<ShardOwner> OwnerAsync(ShardId shard) => await parts.Store.OwnerAsync(shard, CancellationToken.None).ConfigureAwait(false);

    /// <summary>The rows of these stations themselves, without their windows; one that owes nothing and waits for nothing has none.</summary>
    public async Task<IReadOnlyList<EntityState>> ReadStationRowsAsync(ShardId shard, IReadOnlyList<string> stations) =>
        await parts.Store.ReadEntitiesAsync(shard, EntityKind.Station, stations, CancellationToken.None).ConfigureAwait(false);

    /// <summary>A page of the rows of a shard's windows, in order of their keys, of all its stations; for looking at, not for running it.</summary>
    public async Task<IReadOnlyList<EntityState>> ReadWindowsAsync(ShardId shard, string? after, int limit) =>
        await parts.Store.ReadPageAsync(shard, EntityKind.Window, after, limit, CancellationToken.None).ConfigureAwait(false);

    private void StartRegistrar()
    {
        if (parts.Store is not IClusterStore cluster) return;
        var identity = new NodeIdentity(
            options.NodeId, typeof(NodeHost).Assembly.GetName().Version!.ToString(3), options.Roles.Names, StartedAt,
            () => NodeRoles.AddressOf(options.Advertise, ListeningAt), ReadAsync);
        Cluster = new ClusterRegistrar(cluster, identity, parts.Time, logger);
        Observer.ClusterListener = Cluster.Tell;
        Cluster.Start();
        _ = Cluster.Dismissed.ContinueWith(
            dismissed => ending.TrySetResult(new NodeEnd(true, dismissed.Result)), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
    }

    private async Task<NodeReading> ReadAsync()
    {
        if (Shards is not { } shards) return reading = reading with { ConfigurationVersion = ConfigurationVersion };
        try
        {
            var (count, applied) = await shards.Ask(core => (core.Phases.Count(slot => slot.Phase == ShardPhase.Running), core.AppliedByTopic().Values.Sum()))
                .WaitAsync(TimeSpan.FromSeconds(1), parts.Time).ConfigureAwait(false);
            reading = new NodeReading(count, applied, pool?.RunningCount ?? 0, ConfigurationVersion);
        }
        catch (Exception unanswered) when (unanswered is TimeoutException or OperationCanceledException)
        {
            // Held up, or ended: then it applies nothing.
        }

        return reading;
    }

    /// <summary>Output topics of modules are read only where an enabled module depends on them.</summary>
    public static IEnumerable<TopicConfiguration> SourceTopics(PipelineConfiguration pipeline)
    {
        var wanted = pipeline.Modules.Values.Where(module => module.Enabled).SelectMany(module => module.Topics).ToHashSet(StringComparer.Ordinal);
        return pipeline.Topics.Values.Where(topic => topic.OutputOf is null || wanted.Contains(topic.Name));
    }

    private IReadOnlyList<RouterTopic> TopicsToRead(PipelineConfiguration pipeline) =>
        [.. SourceTopics(pipeline).Where(topic => !topic.Keyed).Select(RouterTopic.Of), new RouterTopic($"{options.Group}.replays", new StartPosition(StartKind.Earliest), options.InternalOutOfRange)];

    private IReadOnlyDictionary<string, IModule> ModulesOf(PipelineConfiguration pipeline) => parts.ModulesOf?.Invoke(pipeline) ?? parts.Modules;

    // Another version: its topics are made and looked up before anything is written to them, and what it reads is read.
    private async Task<ShardSettings> TakeUpAsync(long version, PipelineConfiguration pipeline, CancellationToken cancellation)
    {
        var counts = await PrepareTopicsAsync(pipeline, cancellation).ConfigureAwait(false);
        await producer!.PrepareAsync([.. counts.Keys.Where(topic => IsWritten(topic, pipeline))], TimeSpan.FromSeconds(10)).ConfigureAwait(false);
        // Earlier ones stay: an answer of before may still have to leave.
        foreach (var (topic, count) in ShardSettings!.PartitionCounts) counts.TryAdd(topic, count);
        pool?.Use(ModulesOf(pipeline));
        Observer.Use(pipeline);
        if (source is not null) await source.Read(TopicsToRead(pipeline)).ConfigureAwait(false);
        return ShardSettings = ShardSettings with { Pipeline = pipeline, ConfigurationVersion = version, PartitionCounts = counts };
    }

    private bool IsWritten(string topic, PipelineConfiguration pipeline) =>
        topic == $"{options.Group}.dead-letters" || topic == $"{options.Group}.replays" || pipeline.Modules.Values.Any(module => module.Enabled && module.OutputTopic == topic);

    private async Task<Dictionary<string, int>> PrepareTopicsAsync(PipelineConfiguration pipeline, CancellationToken cancellation)
    {
        var group = options.Group;
        // Seldom needed: kept, its two clients would do nothing but wake their threads.
        using var admin = new TopicAdmin(parts.Kafka, kafkaLog);
        await admin.EnsureInternalTopicAsync($"{group}.station-events", options.Shards, cancellation).ConfigureAwait(false);
        await admin.EnsureInternalTopicAsync($"{group}.batch-results", options.Shards, cancellation).ConfigureAwait(false);
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        var writes = pipeline.Modules.Values.Select(module => module.OutputTopic).Append($"{group}.dead-letters").Append($"{group}.replays").Where(topic => IsWritten(topic, pipeline));
        foreach (var topic in writes)
        {
            counts[topic] = await admin.GetPartitionCountAsync(topic).ConfigureAwait(false)
                ?? (await admin.EnsureInternalTopicAsync(topic, OutputPartitions, cancellation).ConfigureAwait(false)).Partitions;
        }

        foreach (var topic in SourceTopics(pipeline))
        {
            if (!counts.ContainsKey(topic.Name) && await admin.GetPartitionCountAsync(topic.Name).ConfigureAwait(false) is { } count) counts[topic.Name] = count;
        }

        return counts;
    }

    // In the router's mailbox all topics stand in one line: a fresh record waits behind what is in there.
    private const int RouterMailboxPart = 4;

    // How long a loop may take to answer a question before it counts as held up.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    // Partitions of an output or dead-letter topic that is not there yet.
    private const int OutputPartitions = 4;
}
