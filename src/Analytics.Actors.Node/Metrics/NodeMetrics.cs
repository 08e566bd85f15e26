using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Node.Metrics;

/// <summary>Why a checkpoint did not commit.</summary>
public enum CheckpointFailure { Fenced, Unavailable, OutcomeUnknown }

/// <summary>
/// What a node counts. The host calls these methods where things happen, also on hot paths: they allocate nothing once a
/// series exists. Labels are topics, modules, partitions, shards and fixed words, never a station. What belongs to a
/// shard or a partition leaves the text when <see cref="ShardLost"/> or <see cref="PartitionLost"/> says that it is
/// another node's now. README.md in this folder explains every metric.
/// </summary>
public sealed class NodeMetrics : IDisposable
{
    private static readonly double[] SecondsBuckets =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
    private static readonly double[] RatioBuckets = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
    private static readonly long[] StationBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
    private static readonly long[] ShardBuckets = [1, 2, 4, 8, 16, 32, 64];
    private static readonly long[] ByteBuckets =
        [1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864, 268_435_456];

    private readonly Meter meter = new("Analytics.Actors");
    private readonly Counter<long> processed, errors, batchSuccess, batchTimeout, batchEmpty, batchRevisions, batchForgotten, batchLateAnswers, fetched, records, results,
        deadLetters, gaps, gapRecords, missingRecords, misrouted, lateItems, dependencyInputs, checkpointFailures;
    private readonly Histogram<double> shardMoveSeconds, processingSeconds, availabilityRatio, callSeconds, produceSeconds, checkpointSeconds;
    private readonly Histogram<long> batchStations, checkpointBytes, checkpointShards;
    private readonly Gauge<long> missingTopics, failedTopics;

    private readonly ConcurrentDictionary<ShardId, Epoch> ownedShards = [];
    private readonly ConcurrentDictionary<ShardId, long> stations = [];
    private readonly ConcurrentDictionary<(ShardId Shard, string Topic), long> windowBytes = [];
    private readonly ConcurrentDictionary<TopicPartition, long> lags = [];
    private readonly ConcurrentDictionary<TopicPartition, bool> stoppedPartitions = [];
    private volatile IReadOnlyDictionary<string, TopicFlow> flows = new Dictionary<string, TopicFlow>();

    public NodeMetrics()
    {
        // Listening begins before the instruments exist, so that no measurement is missed.
        Text = new PrometheusText(meter);

        processed = meter.CreateCounter<long>("data_analysis_processed_total", null, "Station inputs that a module has answered, whatever its answer.");
        errors = meter.CreateCounter<long>("data_analysis_errors_total", null, "Errors by type: call_error, call_timeout, dead_letter, checkpoint, or as the host names them.");
        meter.CreateObservableGauge("data_analysis_station_count", () => stations.Sum(shard => shard.Value), null, "Stations of the shards that this node owns.");
        meter.CreateObservableGauge("data_analysis_memory_usage", () => Environment.WorkingSet / (1024.0 * 1024.0), null, "Memory of the process (working set) in MB of 1024 * 1024 bytes.");
        processingSeconds = Seconds("data_analysis_processing_seconds", "Time from a station input to its answer, all modules together: waiting, every attempt and the pauses between them.");

        batchSuccess = meter.CreateCounter<long>("batch_success_total", null, "Batches that completed and were uploaded.");
        batchTimeout = meter.CreateCounter<long>("batch_timeout_total", null, "Batches that ended by their deadline.");
        batchEmpty = meter.CreateCounter<long>("batch_empty_total", null, "Batches that ended without any result and so were not uploaded.");
        batchRevisions = meter.CreateCounter<long>("batch_revisions_total", null, "Uploads of late answers, beyond the first one of their batch.");
        batchForgotten = meter.CreateCounter<long>("batch_forgotten_total", null, "Batches no longer kept for late answers before their retention was over.");
        batchLateAnswers = meter.CreateCounter<long>("batch_late_answers_total", null, "Answers that came when their batch was no longer kept.");
        batchStations = Numbers("batch_station_count", "Stations with a result per completed batch.", StationBuckets);

        availabilityRatio = meter.CreateHistogram("data_quality_availability_ratio", null, "Available topics of all topics, per module input.", null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = RatioBuckets });
        missingTopics = meter.CreateGauge<long>("data_quality_missing_topics", null, "Topics without data in the module's latest input.");
        failedTopics = meter.CreateGauge<long>("data_quality_failed_topics", null, "Topics whose data could not be shaped in the module's latest input.");

        fetched = meter.CreateCounter<long>("data_analysis_fetched_records_total", null, "Records read from a source topic.");
        records = meter.CreateCounter<long>("data_analysis_records_total", null, "Parts of a topic's records applied: one for each station of a record, one for each shard of a global one.");
        results = meter.CreateCounter<long>("data_analysis_results_total", null, "Results of a module.");
        callSeconds = Seconds("data_analysis_call_seconds", "Time of a module's calls, each attempt one, by outcome: result, nothing, error, timeout.");
        produceSeconds = Seconds("data_analysis_produce_seconds", "Time from sending a Kafka message of a topic to its acknowledgement.");
        meter.CreateObservableGauge("data_analysis_window_cache_bytes", WindowBytesByTopic, null, "Size of the windows of a topic in memory, all stations together.");
        dependencyInputs = meter.CreateCounter<long>("data_analysis_dependency_inputs_total", null, "Inputs of a module by whether the output of a module that it depends on was there.");
        lateItems = meter.CreateCounter<long>("data_analysis_late_items_total", null, "Items that came after the second they belong to was delivered.");
        deadLetters = meter.CreateCounter<long>("data_analysis_dead_letters_total", null, "Records and parts that could not be used, by topic and reason.");
        gaps = meter.CreateCounter<long>("data_analysis_gaps_total", null, "Times that reading went on elsewhere than where it stood: trimmed, recreated, beyond_end, operator.");
        meter.CreateObservableGauge("data_analysis_partition_stopped", () => stoppedPartitions.Select(entry => new Measurement<long>(1, Topic(entry.Key.Topic), new("partition", entry.Key.Partition))), null, "1 for each partition that is not read until an operator decides.");
        meter.CreateObservableGauge("data_analysis_topic_held", () => flows.Where(flow => flow.Value.IsHeld).Select(flow => new Measurement<long>(1, Topic(flow.Key))), null, "1 for each source topic whose reading waits for the shards, so that other topics do not wait behind its backlog.");
        meter.CreateObservableGauge("data_analysis_topic_ahead_bytes", () => flows.Select(flow => new Measurement<long>(flow.Value.AheadBytes, Topic(flow.Key))), null, "Bytes of a source topic that this node's router has routed and the shards have not applied.");
        gapRecords = meter.CreateCounter<long>("data_analysis_gap_records_total", null, "Offsets in those ranges.");
        missingRecords = meter.CreateCounter<long>("data_analysis_missing_records_total", null, "Records that a router sent to a shard and the shard never saw.");
        misrouted = meter.CreateCounter<long>("data_analysis_misrouted_total", null, "Records of a topic keyed by station that were not in their stations' partition, or had another key.");
        meter.CreateObservableGauge("data_analysis_lag_records", LagByPartition, null, "Records of a partition not yet processed, of partitions that this node reads.");

        checkpointSeconds = Seconds("data_analysis_checkpoint_seconds", "Time of committing a checkpoint.");
        checkpointBytes = Numbers("data_analysis_checkpoint_bytes", "Size of a checkpoint.", ByteBuckets);
        checkpointShards = Numbers("data_analysis_checkpoint_shards", "Shards that one commit covered.", ShardBuckets);
        checkpointFailures = meter.CreateCounter<long>("data_analysis_checkpoint_failures_total", null, "Checkpoints that did not commit: fenced, unavailable, unknown.");
        shardMoveSeconds = Seconds("data_analysis_shard_move_seconds", "Time of a shard's move: takeover from its assignment until it is read, release from its revocation until its last checkpoint.");
        meter.CreateObservableGauge("data_analysis_shard_owned", () => ownedShards.Select(shard => new Measurement<long>(1, Shard(shard.Key))), null, "1 for each shard that this node owns.");
        meter.CreateObservableGauge("data_analysis_shard_epoch", () => ownedShards.Select(shard => new Measurement<long>(shard.Value.Value, Shard(shard.Key))), null, "Epoch under which this node owns the shard.");
        meter.CreateObservableCounter("process_cpu_seconds_total", () => Environment.CpuUsage.TotalTime.TotalSeconds, null, "User and system CPU time of the process in seconds.");

        // A counter without labels is there from the beginning: a rate needs the zero before the first event.
        foreach (var counter in new[] { processed, batchSuccess, batchTimeout, batchEmpty, batchRevisions, batchForgotten, batchLateAnswers }) counter.Add(0);
    }

    /// <summary>The text of /metrics.</summary>
    public PrometheusText Text { get; }

    public void RecordsFetched(string topic, int count) => fetched.Add(count, Topic(topic));

    public void RecordsApplied(string topic, long count) => records.Add(count, Topic(topic));

    public void DeadLettered(string topic, string reason)
    {
        deadLetters.Add(1, Topic(topic), new("reason", reason));
        Error("dead_letter");
    }

    /// <summary>An error of a kind of its own; the type is one of few fixed words.</summary>
    public void Error(string errorType) => errors.Add(1, new KeyValuePair<string, object?>("error_type", errorType));

    public void LateItems(string topic, int count) => lateItems.Add(count, Topic(topic));

    public void GapSkipped(string topic, GapReason reason, long count)
    {
        gaps.Add(1, Topic(topic), new("reason", reason switch
        {
            GapReason.Trimmed => "trimmed",
            GapReason.Recreated => "recreated",
            GapReason.BeyondEnd => "beyond_end",
            _ => "operator",
        }));
        gapRecords.Add(count, Topic(topic));
    }

    /// <summary>The partition is not read until an operator decides.</summary>
    public void PartitionStopped(TopicPartition partition) => stoppedPartitions[partition] = true;

    public IReadOnlyCollection<TopicPartition> StoppedPartitions => stoppedPartitions.Keys.ToList();

    public void PartitionStarted(TopicPartition partition) => stoppedPartitions.TryRemove(partition, out _);

    /// <summary>How the source topics stand with the router.</summary>
    public void Routing(IReadOnlyDictionary<string, TopicFlow> topics) => flows = topics;

    public void RecordsMissing(string topic, long count) => missingRecords.Add(count, Topic(topic));

    public void RecordMisrouted(string topic) => misrouted.Add(1, Topic(topic));

    /// <summary>An input was put together for a call.</summary>
    public void InputAssembled(string module, DataQuality quality)
    {
        availabilityRatio.Record(quality.AvailabilityRatio);
        missingTopics.Record(quality.MissingTopics.Count, Module(module));
        failedTopics.Record(quality.FailedTopics.Count, Module(module));
    }

    /// <summary>An input of a module had, or lacked, the output of one that it depends on.</summary>
    public void DependencySeen(string module, string dependency, bool available) =>
        dependencyInputs.Add(1, Module(module), new("dependency", dependency), new("available", available ? "true" : "false"));

    /// <summary>A call has ended. Every attempt is a call.</summary>
    public void CallFinished(string module, double seconds, CallOutcomeKind outcome) =>
        callSeconds.Record(seconds, Module(module), new("outcome", outcome switch
        {
            CallOutcomeKind.Result => "result",
            CallOutcomeKind.Nothing => "nothing",
            CallOutcomeKind.Error => "error",
            _ => "timeout",
        }));

    /// <summary>
    /// An input has its answer. <paramref name="seconds"/> is the time since the input was there: waiting for a place in
    /// the pool, every attempt, and the pauses between them.
    /// </summary>
    public void InputProcessed(string module, double seconds, CallOutcomeKind outcome)
    {
        processed.Add(1);
        processingSeconds.Record(seconds);
        if (outcome == CallOutcomeKind.Result) results.Add(1, Module(module));
        else if (outcome == CallOutcomeKind.Error) Error("call_error");
        else if (outcome == CallOutcomeKind.Timeout) Error("call_timeout");
    }

    /// <summary>A batch was uploaded because it was complete.</summary>
    public void BatchCompleted(int stationCount)
    {
        batchSuccess.Add(1);
        batchStations.Record(stationCount);
    }

    /// <summary>A batch ended by its deadline, uploaded or not.</summary>
    public void BatchTimedOut() => batchTimeout.Add(1);

    /// <summary>A batch ended without any result.</summary>
    public void BatchEmpty() => batchEmpty.Add(1);

    /// <summary>Late answers of a batch went out as its next revision.</summary>
    public void BatchRevised() => batchRevisions.Add(1);

    /// <summary>A batch was let go before its retention was over, because too many are kept.</summary>
    public void BatchForgotten() => batchForgotten.Add(1);

    public void BatchAnswersLate(int count) => batchLateAnswers.Add(count);

    public void Produced(string topic, double seconds) => produceSeconds.Record(seconds, Topic(topic));

    /// <summary>A group commit took place.</summary>
    public void CheckpointCommitted(double seconds, long bytes, int shards)
    {
        checkpointSeconds.Record(seconds);
        checkpointBytes.Record(bytes);
        checkpointShards.Record(shards);
    }

    public void CheckpointFailed(CheckpointFailure failure)
    {
        checkpointFailures.Add(1, new KeyValuePair<string, object?>("outcome", failure switch
        {
            CheckpointFailure.Fenced => "fenced",
            CheckpointFailure.Unavailable => "unavailable",
            _ => "unknown",
        }));
        Error("checkpoint");
    }

    public void Lag(string topic, int partition, long value) => lags[new TopicPartition(topic, partition)] = value;

    /// <summary>This node reads the partition no more.</summary>
    public void PartitionLost(string topic, int partition) => lags.TryRemove(new TopicPartition(topic, partition), out _);

    /// <param name="kind">takeover or release.</param>
    public void ShardMoved(string kind, double seconds) => shardMoveSeconds.Record(seconds, new KeyValuePair<string, object?>("kind", kind));

    public void ShardOwned(ShardId shard, Epoch epoch) => ownedShards[shard] = epoch;

    /// <summary>Another node's now: its stations and windows are no longer counted here.</summary>
    public void ShardLost(ShardId shard)
    {
        ownedShards.TryRemove(shard, out _);
        stations.TryRemove(shard, out _);
        foreach (var key in windowBytes.Keys)
            if (key.Shard == shard) windowBytes.TryRemove(key, out _);
    }

    /// <summary>How many stations a shard has, in memory or not.</summary>
    public void Stations(ShardId shard, long count) => stations[shard] = count;

    /// <summary>How many bytes the windows of a topic take in one shard.</summary>
    public void WindowCache(ShardId shard, string topic, long bytes) => windowBytes[(shard, topic)] = bytes;

    public void Dispose()
    {
        Text.Dispose();
        meter.Dispose();
    }

    private static KeyValuePair<string, object?> Topic(string topic) => new("topic", topic);

    private static KeyValuePair<string, object?> Module(string module) => new("module", module);

    private static KeyValuePair<string, object?> Shard(ShardId shard) => new("shard", shard.ToString());

    private Histogram<double> Seconds(string name, string help) =>
        meter.CreateHistogram(name, null, help, null, new InstrumentAdvice<double> { HistogramBucketBoundaries = SecondsBuckets });

    private Histogram<long> Numbers(string name, string help, long[] buckets) =>
        meter.CreateHistogram(name, null, help, null, new InstrumentAdvice<long> { HistogramBucketBoundaries = buckets });

    private IEnumerable<Measurement<long>> WindowBytesByTopic() =>
        windowBytes.GroupBy(entry => entry.Key.Topic).Select(topic => new Measurement<long>(topic.Sum(entry => entry.Value), Topic(topic.Key)));

    private IEnumerable<Measurement<long>> LagByPartition() =>
        lags.Select(entry => new Measurement<long>(entry.Value, Topic(entry.Key.Topic), new("partition", entry.Key.Partition)));
}
