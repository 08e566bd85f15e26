using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>The production Router of one process, with a host that reads source partitions and sends its envelopes.</summary>
public sealed class RouterHost(Cluster cluster, SimulatedProcess process, ShardSettings settings)
{
    private readonly Router router = new(settings, new RouterSettings
    {
        CommitIntervalMs = 500,
        CommitBatchSize = 20,
        WaitingBytesMax = cluster.Scenario.WaitingBytesMax,
        TopicWaitingBytesMax = cluster.Scenario.TopicWaitingBytesMax,
        AheadBytesMax = cluster.Scenario.AheadBytesMax,
        AheadBytesStart = cluster.Scenario.AheadBytesMax,
        AheadBytesMin = Math.Min(1_000, cluster.Scenario.AheadBytesMax),
    });

    private readonly Dictionary<TopicPartition, Reading> sources = [];
    private readonly HashSet<string> paused = [];
    private readonly Dictionary<(TopicPartition, int), IReadOnlyList<RulesFrom>> cached = [];
    private bool isTickPlanned;

    private World World => cluster.World;

    /// <summary>Source partitions that this router reads, whether they are still its own or not.</summary>
    public IReadOnlyCollection<TopicPartition> Sources => sources.Keys;

    public Router Core => router;

    public IEnumerable<string> Restless
    {
        get
        {
            if (!router.IsIdle) yield return $"{process.Name}: the router waits for acknowledgements, or for grants of {string.Join(" ", router.Waiting)}";
            foreach (var (source, reading) in sources)
            {
                if (reading.Next < 0 || reading.Life != cluster.Log.Life(source)) yield return $"{process.Name}: {source} is being positioned";
                else if (reading.Next < cluster.Log.End(source)) yield return $"{process.Name}: {source} is read up to {reading.Next} of {cluster.Log.End(source)}{(paused.Contains(source.Topic) ? ", paused" : "")}";
                else if (router.Committable.First(position => position.Partition == source).Next is var done && cluster.Log.RouterOffsets.GetValueOrDefault(source) is var committed && done > committed)
                    yield return $"{process.Name}: {source} is done up to {done} and committed up to {committed}; the router wants to hear of time at {router.NextDueMs - process.ClockMs} ms from now";
            }
        }
    }

    /// <summary>The first offset of a partition that this router has not routed wholly.</summary>
    public IEnumerable<(TopicPartition Partition, long Read, long Done)> Progress =>
        router.Committable.Where(position => sources.TryGetValue(position.Partition, out var reading) && reading.Next >= 0)
            .Select(position => (position.Partition, sources[position.Partition].Next, position.Next));

    public void Assign(TopicPartition partition) => Position(partition, null);

    public void Revoke(TopicPartition partition)
    {
        if (!sources.Remove(partition)) return;
        World.Note($"{process.Name} routes {partition} no more");
        Do(_ => router.Revoked(partition));
    }

    public void Landed(TopicPartition partition)
    {
        if (sources.TryGetValue(partition, out var reading)) PlanFetch(partition, reading);
    }

    public void Close() => sources.Clear();

    /// <summary>Rules of a version; what waited for them is routed.</summary>
    public void Learn(ShardSettings version) => Do(effects => router.Learn(version, effects));

    private void Do(Action<List<RouterEffect>> step)
    {
        List<RouterEffect> effects = [];
        step(effects);
        router.Flush(effects);
        CheckTurns();
        CarryOut(effects);
        PlanTick();
    }

    // A topic of which the shards have nothing to do goes on, whatever backlog others have; only grants and a broker that does
    // not answer may hold it up.
    private void CheckTurns()
    {
        if (cluster.Scenario.WaitingBytesMax < 1024 * 1024) return;
        foreach (var (topic, flow) in router.Flows)
        {
            if (flow is { WaitingBytes: > 0, AheadBytes: 0 } && !router.Waiting.Any(waiting => waiting.Partition.Topic == topic))
                cluster.Checkers.Report(new Finding($"{process.Name}: records of {topic} wait, although the shards have applied all that they got of it"));
        }
    }

    // Before a partition is read its position is checked, by the production code, against the log and what the store knows.
    private void Position(TopicPartition partition, (long Next, int Incarnation)? running)
    {
        var reading = sources[partition] = new Reading { Next = -1 };
        World.After(World.Between(1, 20), () => process.Reach(() => Position(partition, running, reading)));
    }

    private void Position(TopicPartition partition, (long Next, int Incarnation)? running, Reading reading)
    {
        if (!sources.TryGetValue(partition, out var current) || current != reading) return;
        var isReached = cluster.Network.ToLog(process.Node).IsUp && cluster.Network.ToStore(process.Node).IsUp && !cluster.Store.IsDown;
        if (!isReached || !TryPosition(partition, running, reading)) World.After(World.Between(50, 300), () => process.Reach(() => Position(partition, running, reading)));
    }

    private bool TryPosition(TopicPartition partition, (long Next, int Incarnation)? running, Reading reading)
    {
        var log = cluster.Log;
        var row = cluster.Store.Sources([]).FirstOrDefault(row => row.Partition == partition);
        var topic = settings.Pipeline.Topics[partition.Topic];
        var facts = new PositionFacts
        {
            Stored = row?.Position,
            IsWanted = row is { IsWanted: true },
            ReadingIncarnation = running?.Incarnation,
            Committed = running?.Next ?? (log.RouterOffsets.TryGetValue(partition, out var committed) ? committed : null),
            Log = new LogRange(log.Start(partition), log.End(partition)),
            Start = topic.Start,
            Policy = topic.OutOfRange,
        };
        if (PositionCheck.WitnessOffset(facts) is { } last && facts.Log.Holds(last)) facts = facts with { Found = RecordWitness.Of(log.At(partition, last).TimestampMs, log.At(partition, last).Value) };
        var state = row ?? new SourceState(partition, 1, 0);
        SourceState Begun(long next, int incarnation) =>
            state.At(new PartitionPosition(partition, next, -1, 0)) with { Incarnation = cluster.Bug.KeepsIncarnation ? state.Incarnation : incarnation };
        var decision = PositionCheck.Decide(facts);
        var (place, to) = decision switch
        {
            PositionDecision.GoOn(var on, _) => (state.Next < 0 ? Begun(on, state.Incarnation) : state, on),
            PositionDecision.Begin(_, var incarnation) => (Begun(facts.Log.Low, incarnation), facts.Log.Low),
            PositionDecision.Skip(var reason, var from, _, var incarnation) => (Begun(facts.Log.Low, incarnation) with
            {
                GapFrom = from, GapTo = facts.Log.Low, GapReason = reason.ToString(), GapAtMs = process.ClockMs, IsWanted = incarnation > state.Incarnation && !cluster.Bug.KeepsIncarnation,
            }, facts.Log.Low),
            _ => throw new InvalidOperationException($"{decision}: no topic of the workload stops"),
        };
        // Somebody else may have changed the row meanwhile: then it is looked at anew.
        if (place != row && !cluster.Store.Sources([place]).Contains(place)) return false;
        if (decision is PositionDecision.Skip gap)
        {
            World.Note($"{process.Name}: {partition} goes on at {to} instead of {gap.From}, {gap.Reason}, incarnation {place.Incarnation}");
            cluster.Checkers.Skipped(partition, gap.From, to);
        }

        // What was trimmed before anybody had read it is no gap: nobody had a position.
        if (decision is PositionDecision.Begin) cluster.Checkers.Skipped(partition, 0, to);
        // The group does not take a position from who is not its member any more, and nothing is read before it has. A gap
        // that a zombie has recorded stands all the same: the owner follows it.
        if (facts.IsWanted || facts.Committed is null || decision is not PositionDecision.GoOn)
        {
            if (process.IsExpelled || cluster.RouterOf(partition) != process) return false;
            log.RouterOffsets[partition] = to;
        }

        World.Note($"{process.Name} routes {partition} from {to}");
        (reading.Next, reading.Incarnation, reading.Life) = (to, place.Incarnation, log.Life(partition));
        router.Assigned(partition, place.Incarnation, to);
        if (place.IsWanted) Store(new StorePositions([place.Position]));
        PlanFetch(partition, reading);
        PlanTick();
        return true;
    }

    private void PlanFetch(TopicPartition partition, Reading reading)
    {
        if (reading.Next < 0 || reading.IsPlanned || paused.Contains(partition.Topic) || (reading.Next == cluster.Log.End(partition) && reading.Life == cluster.Log.Life(partition))) return;
        reading.IsPlanned = true;
        World.After(World.Between(1, 30), () => process.Reach(() =>
        {
            reading.IsPlanned = false;
            // A new assignment of the partition supersedes this one.
            if (!sources.TryGetValue(partition, out var current) || current != reading || paused.Contains(partition.Topic)) return;
            if (!cluster.Network.ToLog(process.Node).IsUp)
            {
                World.After(World.Between(50, 300), () => process.Reach(() => PlanFetch(partition, reading)));
                return;
            }

            // The broker says that the position is outside its log.
            if (reading.Life != cluster.Log.Life(partition) || reading.Next < cluster.Log.Start(partition))
            {
                Position(partition, (reading.Next, reading.Incarnation));
                return;
            }

            List<RouterEffect> effects = [];
            for (var count = World.Between(1, 10); count > 0 && reading.Next < cluster.Log.End(partition); count--, reading.Next++)
            {
                var record = cluster.Log.At(partition, reading.Next);
                var given = new SourceRecord(partition, reading.Next, record.TimestampMs, record.Value, record.Origin);
                foreach (var heard in cluster.Bug.OnSource(process, given)) router.Receive(PooledRecords.Of(heard));
            }

            router.Flush(effects);
            CheckTurns();
            router.TimePassed(process.ClockMs, false, effects);
            CarryOut(effects);
            PlanFetch(partition, reading);
            PlanTick();
        }));
    }

    private void CarryOut(List<RouterEffect> effects)
    {
        foreach (var effect in effects.SelectMany(effect => cluster.Bug.OnRouterEffect(process, effect)))
        {
            if (World.Chance(cluster.Faults.CrashAtEffect)) process.Crash();
            if (!process.IsAlive) return;
            switch (effect)
            {
                case SendEnvelope send:
                    Send(send);
                    break;
                case CommitPositions commit:
                    Commit(commit);
                    break;
                case StorePositions store:
                    Store(store);
                    break;
                case RaiseGrants raise:
                    Raise(raise);
                    break;
                case ReadRules read:
                    ReadRules(read.Version);
                    break;
                case PauseTopic pause:
                    if (pause.Pause) paused.Add(pause.Topic);
                    else paused.Remove(pause.Topic);
                    foreach (var (partition, reading) in sources.ToList()) PlanFetch(partition, reading);
                    break;
                case ReadShardPositions:
                    Look();
                    break;
                default:
                    throw new InvalidOperationException(effect.ToString());
            }
        }
    }

    // The store may be away, slow, and its answer lost; a process that is frozen meanwhile hears it late.
    private void Raise(RaiseGrants order)
    {
        var generation = cluster.Store.Generation;
        var early = cluster.Bug.ReadsRulesBeforeGrant ? cluster.Store.Grants().ToDictionary(grant => (grant.Partition, grant.Incarnation)) : null;
        if (cluster.Bug.GrantsItself) process.ReachSoon(() => Do(effects => router.Granted(order.Requests.Select(OfItself).ToList(), effects)));
        World.After(World.Chance(cluster.Faults.GrantSlow) ? World.Between(50, 2_000) : World.Between(1, 20), () =>
        {
            var link = cluster.Network.ToStore(process.Node);
            if (cluster.Store.Generation != generation) return;
            if (!link.To || cluster.Store.IsDown || World.Chance(cluster.Faults.CommitFails))
            {
                Fail(order);
                return;
            }

            var grants = cluster.Store.Raise(order.Requests, early is null ? order.Known : long.MaxValue);
            if (early is not null) grants = grants.Select(grant => early.TryGetValue((grant.Partition, grant.Incarnation), out var read) ? grant with { Rules = read.Rules } : grant).ToList();
            if (cluster.Bug.GrantsNeverEnd) grants = grants.Select(grant => grant with { Granted = long.MaxValue }).ToList();
            World.Tell(() => $"{process.Name} is granted {string.Join(", ", grants.Select(grant => $"{grant.Partition} up to {grant.Granted} by {string.Join(" ", grant.Rules.Select(rules => $"{rules.Version} from {rules.FromOffset}"))}"))}");
            if (!link.From || World.Chance(cluster.Faults.CommitAnswerLost)) Fail(order);
            else World.After(World.Between(1, 20), () => process.Reach(() =>
            {
                foreach (var grant in grants) cached[(grant.Partition, grant.Incarnation)] = grant.Rules;
                Do(effects => router.Granted(cluster.Bug.OnGrants(grants), effects));
            }));
        });
    }

    private void Fail(RaiseGrants order) => World.After(World.Between(1, 300), () => process.Reach(() =>
    {
        router.GrantsFailed(order.Requests);
        PlanTick();
    }));

    // The planted bug: what was asked for counts as granted, by the rules that were read last.
    private SourceGrant OfItself(GrantRequest request) => new(request.Partition, request.Incarnation, request.UpTo,
        cached.GetValueOrDefault((request.Partition, request.Incarnation)) ?? [new RulesFrom(router.Known, 0)]);

    private void ReadRules(long version) => World.After(World.Between(1, 50), () => process.Reach(() =>
    {
        if (cluster.Network.ToStore(process.Node).IsUp && !cluster.Store.IsDown && version <= cluster.Store.Version) Learn(cluster.SettingsOf(version));
        else World.After(World.Between(50, 300), () => process.Reach(() => ReadRules(version)));
    }));

    // The bytes are the router's, and its buffer is used again once they are acknowledged; a message may land later, and twice.
    private void Send(SendEnvelope send)
    {
        var value = send.Value.ToArray();
        if (cluster.Bug.RouterDoesNotWait)
        {
            SendUntilThere(send, value);
            process.ReachSoon(() => Heard(send, true, -1));
            return;
        }

        cluster.Network.Produce(process, send.Destination, null, value, null, process.ClockMs, (sent, offset) => Heard(send, sent, offset));
    }

    private void SendUntilThere(SendEnvelope send, byte[] value) =>
        cluster.Network.Produce(process, send.Destination, null, value, null, process.ClockMs, (sent, _) =>
        {
            if (!sent) SendUntilThere(send, value);
        });

    // The shards' positions, as the store has them or as those of this process are now.
    private void Look() => World.After(World.Between(1, 20), () =>
    {
        var isReached = cluster.Network.ToStore(process.Node).IsUp && !cluster.Store.IsDown;
        var fullness = process.Core.Running.Select(shard => Math.Min(1, shard.Fullness)).DefaultIfEmpty().Average();
        var progress = isReached ? new ShardsProgress(cluster.Store.Positions(), fullness) : null;
        World.After(World.Between(1, 20), () => process.Reach(() =>
        {
            Do(_ => router.Applied(progress, process.ClockMs));
        }));
    });

    private void Heard(SendEnvelope send, bool sent, long offset)
    {
        List<RouterEffect> effects = [];
        if (sent || cluster.Bug.RouterSkipsFailed) router.Acknowledged(send.Destination, send.Number, effects, offset);
        else router.Failed(send.Destination, send.Number, effects);
        router.Flush(effects);
        CarryOut(effects);
        PlanTick();
    }

    private void Commit(CommitPositions commit)
    {
        var link = cluster.Network.ToLog(process.Node);
        var assignments = commit.Positions.ToDictionary(position => position.Partition, position => sources.GetValueOrDefault(position.Partition));
        World.After(World.Between(1, 20), () =>
        {
            // A member that lost a partition has its commit refused, also where it has it again: Kafka's group has another
            // generation by then.
            var isTaken = link.To && !process.IsExpelled
                && commit.Positions.All(position => cluster.RouterOf(position.Partition) == process && sources.GetValueOrDefault(position.Partition) == assignments[position.Partition]);
            if (isTaken)
            {
                foreach (var (partition, next) in commit.Positions) cluster.Checkers.RouterCommitted(process, partition, cluster.Log.RouterOffsets[partition] = next);
            }

            var isHeard = isTaken && link.From;
            World.After(World.Between(1, isHeard ? 20 : 500), () => process.Reach(() =>
            {
                router.CommitFinished(commit.Positions, isHeard);
                PlanTick();
            }));
        });
    }

    // A write that fails is made up for by the next one.
    private void Store(StorePositions order)
    {
        var generation = cluster.Store.Generation;
        World.After(World.Between(1, 20), () =>
        {
            if (cluster.Store.Generation == generation && cluster.Network.ToStore(process.Node).To && !cluster.Store.IsDown) cluster.Store.Update(order.Positions);
        });
    }

    // A host asks every half second also where nothing is due: committed positions go to the store then.
    private void PlanTick()
    {
        if (isTickPlanned || sources.Count == 0) return;
        isTickPlanned = true;
        World.After(Math.Clamp((router.NextDueMs ?? long.MaxValue) - process.ClockMs, 1, 500), () => process.Reach(() =>
        {
            isTickPlanned = false;
            List<RouterEffect> effects = [];
            router.TimePassed(process.ClockMs, false, effects);
            CarryOut(effects);
            PlanTick();
        }));
    }

    private sealed class Reading
    {
        public long Next { get; set; }
        public int Incarnation { get; set; }
        public int Life { get; set; }
        public bool IsPlanned { get; set; }
    }
}
