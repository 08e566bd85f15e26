using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Looks at what the cluster did and says what is wrong: while it runs, at the store, the log and the limits; and in the end
/// at everything that committed, against what the log says must have happened. Observes only: nothing here helps the
/// cluster to be right.
/// </summary>
public sealed class Checkers(Cluster cluster)
{
    private readonly List<Finding> findings = [];
    private readonly FenceChecker fences = new();
    private readonly BoundsChecker bounds = new(cluster);
    private readonly CallChecker calls = new(cluster);
    private readonly HashSet<(TopicPartition, long)> skipped = [];
    private readonly SteeringChecker steering = new(cluster);
    private OutboxChecker? outboxes;

    public Envelopes Envelopes { get; } = new();

    public RoutedChecker? Routed { get; set; }

    /// <summary>The version that an owner of a shard ran, as it took its checkpoints.</summary>
    public Dictionary<(ShardId Shard, Epoch Epoch), long> Versions { get; } = [];

    /// <summary>By which version each record of a source keyed by station was processed: that of the owner who committed it.</summary>
    public Dictionary<(TopicPartition Partition, long Offset), long> KeyedVersions { get; } = [];

    public long PartsApplied { get; private set; }
    public long PartsSentOn { get; private set; }
    public long BatchesTimedOut { get; private set; }
    public long Passivated { get; private set; }
    public long StationsSteered => steering.Done;
    public long Uploads { get; set; }
    public long Revisions { get; set; }

    /// <summary>What has been found so far; the first ones matter.</summary>
    public IReadOnlyList<Finding> Findings => findings;

    private OutboxChecker Outboxes => outboxes ??= new OutboxChecker(cluster);

    public void Report(Finding finding)
    {
        if (findings.Count == 50) return;
        findings.Add(finding);
        cluster.World.Tell(() => "FOUND: " + finding.Text);
    }

    public void Happened(SimulatedProcess process, ShardEvent happened)
    {
        switch (happened)
        {
            case PartApplied: PartsApplied++; break;
            case RecordMisplaced misplaced: PartsSentOn += misplaced.PartsSentOn; break;
            case BatchTimedOut: BatchesTimedOut++; break;
            case StationsPassivated passivated: Passivated += passivated.Count; break;
            case RecordMissing missing:
                Report(new Finding($"shard {missing.Shard} misses record {missing.Offset} of {missing.Source}, which a router says it sent", $"shard {missing.Shard}", missing.Source.ToString()));
                break;
        }

        cluster.World.Tell(() => $"{process.Name} shard {happened.Shard}: {Story.Of(happened)}");
    }

    public void TookOver(TakenOver taken)
    {
        fences.Look(taken, cluster.Store.Generation, Report);
        calls.Look(taken, Report);
    }

    public void Committed(Committed committed)
    {
        fences.Look(committed, cluster.Store.Generation, Report);
        Outboxes.Committed(committed, Report);
        bounds.Committed(committed);
        calls.Look(committed, Report);
    }

    public void Landed(TopicPartition partition, StoredRecord record)
    {
        Envelopes.Landed(cluster.Settings, partition, record);
        Outboxes.Landed(partition, record, Report);
        Routed?.Landed(partition, record);
    }

    public void OrderEnded(SimulatedProcess process, StationOrderEnded ended) => steering.Ended(process, ended, Report);

    public void CallBegins(SimulatedProcess process, ModuleCall call) => calls.Begins(process, call, Report);

    public void CallEnds(SimulatedProcess process, ModuleCall call) => calls.Ends(process, call);

    public void CommitHeard(SimulatedProcess process, IReadOnlyList<ShardId> shards) => bounds.CommitHeard(process, shards, Report);

    /// <summary>A router says that it skips these offsets: what they held may be missing.</summary>
    public void Skipped(TopicPartition partition, long from, long to)
    {
        for (var offset = from; offset < to; offset++) skipped.Add((partition, offset));
    }

    public bool HasSkipped => skipped.Count > 0;

    /// <summary>The record was skipped, and that was told: it may have been applied before or not.</summary>
    public bool IsSkipped(TopicPartition partition, long offset) => skipped.Contains((partition, offset));

    public void Settled(SimulatedProcess process) => bounds.Settled(process, Report);

    public void Read(SimulatedProcess process, RecordsRead read) => bounds.Read(process, read, Report);

    public void Killed(string station, long trigger) => bounds.Killed(station, trigger, Report);

    public void RouterCommitted(SimulatedProcess process, TopicPartition partition, long next) => Routed?.Committed(process, partition, next, Report);

    /// <summary>In the end: everything that committed, against the log and what was sent.</summary>
    /// <param name="isAtRest">The cluster came to rest: then nothing may be missing either.</param>
    public void Judge(Workload workload, bool isAtRest)
    {
        var folds = Enumerable.Range(0, cluster.Settings.ShardCount).Select(shard => new ShardFold(cluster, new ShardId(shard))).ToList();
        foreach (var fold in folds) fold.Walk(Report);
        new AnswerChecker(cluster, workload, folds).Judge(isAtRest, Report);
        new WindowChecker(cluster, folds).Judge(isAtRest, Report);
        new TimerChecker(cluster).Judge(Report);
        new RulesChecker(cluster).Judge(Report);
        steering.Judge(Report);
        if (!isAtRest) return;
        Outboxes.Judge(Report);
        new AppliedChecker(cluster, workload, folds).Judge(Report);
        new LetterChecker(cluster, workload).Judge(Report);
    }
}
