using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Simulation;

/// <summary>
/// One process of a node: the production NodeCore, with a host that carries out its effects on the simulated log, store and
/// modules, late, twice or not at all; and its router. A crash forgets the process, what it had sent may still land. A
/// frozen process handles nothing: what reaches it waits.
/// </summary>
public sealed class SimulatedProcess
{
    private readonly Cluster cluster;
    private readonly NodeCore core;
    private ShardSettings settings;
    private readonly Dictionary<TopicPartition, Reading> readings = [];
    private readonly Dictionary<(ShardId Shard, Epoch Epoch), OutputSender> senders = [];
    private readonly Dictionary<(ShardId Shard, Epoch Epoch), List<ShardEvent>> told = [];
    private readonly Dictionary<(ShardId Shard, Epoch Epoch, long Number), List<ShardEvent>> committing = [];
    private readonly Dictionary<ShardId, RecoveredShard> readEarly = [];
    private readonly Queue<Action> waiting = new();
    private IReadOnlyList<ShardId> inCommit = [];
    private long clockAtDeathMs;
    private bool isSettlePlanned;
    private long tickAtMs = long.MaxValue;

    public SimulatedProcess(Cluster cluster, int node, int number, ShardSettings settings)
    {
        this.cluster = cluster;
        this.settings = settings;
        Node = node;
        Name = $"node{node}.{number}";
        var scenario = cluster.Scenario;
        core = new NodeCore(new NodeSettings
        {
            Shards = settings,
            Seed = World.Random.Next(),
            CheckpointIntervalMs = scenario.CheckpointIntervalMs,
            UrgentIntervalMs = scenario.UrgentIntervalMs,
            ReleaseLimitMs = scenario.ReleaseLimitMs,
        });
        Router = new RouterHost(cluster, this, settings);
        PlanLook();
    }

    public int Node { get; }
    public string Name { get; }
    public RouterHost Router { get; }
    public bool IsAlive { get; private set; } = true;
    public bool IsFrozen { get; private set; }

    /// <summary>Kafka's group has given this process up: it said nothing for too long.</summary>
    public bool IsExpelled { get; set; }

    /// <summary>Messages to the log that this process has not heard of.</summary>
    public List<Sending> Outstanding { get; } = [];

    /// <summary>The process's own clock.</summary>
    public long ClockMs => IsAlive ? cluster.ClockOf(Node) : clockAtDeathMs;

    public NodeCore Core => core;

    public ShardSettings Settings => settings;

    public SimulatedLog Log => cluster.Log;

    private World World => cluster.World;

    /// <summary>Looks at the store for another version of the configuration, a moment from now.</summary>
    public void LookSoon() => World.After(World.Between(1, 50), () => Reach(() =>
    {
        if (!Look()) World.After(World.Between(50, 300), () => Reach(LookSoon));
    }));

    // A host looks now and then, and when its router or a shard has met another version.
    private void PlanLook() => World.After(World.Between(100, 2_000), () => Reach(() =>
    {
        Look();
        PlanLook();
    }));

    private bool Look()
    {
        if (!cluster.Network.ToStore(Node).IsUp || cluster.Store.IsDown) return false;
        if (cluster.Store.Version <= settings.ConfigurationVersion) return true;
        settings = cluster.SettingsOf(cluster.Store.Version);
        World.Note($"{Name} takes over configuration version {settings.ConfigurationVersion}");
        Router.Learn(settings);
        Tell(new ConfigurationChanged(settings));
        return true;
    }

    /// <summary>What still waits in this process. Interval calls come for ever and do not count.</summary>
    public IEnumerable<string> Restless
    {
        get
        {
            if (core.ConfigurationVersion < cluster.Store.Version) yield return $"{Name} runs configuration version {core.ConfigurationVersion} of {cluster.Store.Version}";
            if (IsFrozen || IsExpelled) yield return $"{Name} is frozen or expelled";
            foreach (var waits in Router.Restless) yield return waits;
            foreach (var (log, reading) in readings)
            {
                if (reading.Next < cluster.Log.End(log)) yield return $"{Name}: {log} is read up to {reading.Next} of {cluster.Log.End(log)}{(reading.IsPaused ? ", paused" : "")}";
            }

            foreach (var (shard, phase) in core.Phases)
            {
                if (phase != ShardPhase.Running) yield return $"{Name}: shard {shard} is {phase}";
            }

            foreach (var shard in core.Running)
            {
                if (shard.ArrivalCount > 0 || !shard.IsScanned) yield return $"{Name}: shard {shard.Id} waits for stations";
                // An answer whose manifest retention took away waits for the next manifest of its partition.
                if (shard.Batches.Batches.Values.Any(batch => batch.IsOpen || !cluster.Checkers.HasSkipped)) yield return $"{Name}: shard {shard.Id} has {shard.Batches.Batches.Count} batches";
                if (shard.Batches.WaitingRevisions > 0) yield return $"{Name}: shard {shard.Id} has {shard.Batches.WaitingRevisions} revisions to send";
                if (shard.StuckCalls.Any()) yield return $"{Name}: shard {shard.Id} has calls past their time";
                var owed = shard.Stations.Values.Sum(station => station.Queues.Where(queue => queue.Key != Workload.Watch).Sum(queue => queue.Value.Count));
                if (shard.Stations.Values.Any(station => station.WaitingForSecond.Count > 0)) yield return $"{Name}: shard {shard.Id} waits for seconds to close";
                if (owed > 0) yield return $"{Name}: shard {shard.Id} owes {owed} calls";
            }
        }
    }

    /// <summary>Nothing of this process is under way any more: it was told to stop, and has.</summary>
    public bool IsStopped => !core.Phases.Any();

    /// <summary>Something reaches the process: at once, after it thaws, or never.</summary>
    public void Reach(Action action)
    {
        if (!IsAlive) return;
        if (IsFrozen) waiting.Enqueue(action);
        else action();
    }

    /// <summary>The same, a moment later.</summary>
    public void ReachSoon(Action action) => World.After(1, () => Reach(action));

    public void TellSoon(NodeMessage message) => World.After(1, () => Tell(message));

    public void Crash()
    {
        if (!IsAlive) return;
        World.Note($"{Name} crashes");
        clockAtDeathMs = ClockMs;
        IsAlive = false;
        Router.Close();
        cluster.Crashed(this);
    }

    public void Freeze()
    {
        World.Note($"{Name} freezes");
        IsFrozen = true;
    }

    public void Thaw()
    {
        if (!IsAlive || !IsFrozen) return;
        World.Note($"{Name} thaws with {waiting.Count} messages waiting");
        IsFrozen = false;
        while (IsAlive && !IsFrozen && waiting.TryDequeue(out var action)) action();
        cluster.Thawed(this);
    }

    /// <summary>A fact for the shards of this process.</summary>
    public void Tell(NodeMessage message) => Reach(() =>
    {
        foreach (var heard in cluster.Bug.OnMessage(this, message))
        {
            if (!IsAlive) return;
            List<NodeEffect> effects = [];
            if (heard is RecordsRead read)
            {
                cluster.Checkers.Read(this, read);
                PooledRecords.Handle(core, read, ClockMs, effects);
            }
            else
            {
                core.Handle(heard, ClockMs, effects);
            }

            if (heard is CommitFinished) cluster.Checkers.CommitHeard(this, inCommit);
            // A host may take several facts before it settles.
            if (World.Chance(0.7)) core.Settle(ClockMs, effects);
            else if (!isSettlePlanned)
            {
                isSettlePlanned = true;
                World.After(World.Between(0, 3), () => Reach(SettleLater));
            }

            CarryOutAll(effects);
        }
    });

    /// <summary>A record landed in a partition: who waits for it reads on.</summary>
    public void Landed(TopicPartition partition)
    {
        if (readings.TryGetValue(partition, out var reading)) PlanRead(partition, reading);
        Router.Landed(partition);
    }

    /// <summary>What the shard told that this checkpoint made lasting.</summary>
    public IReadOnlyList<ShardEvent> EventsOf(ShardCheckpoint checkpoint) =>
        committing.TryGetValue((checkpoint.Shard, checkpoint.Epoch, checkpoint.Number), out var events) ? events : [];

    /// <summary>For one planted bug: the state as it was when the takeover began.</summary>
    public RecoveredShard? ReadEarly(ShardId shard) => readEarly.Remove(shard, out var read) ? read : null;

    private void SettleLater()
    {
        isSettlePlanned = false;
        List<NodeEffect> effects = [];
        core.Settle(ClockMs, effects);
        CarryOutAll(effects);
    }

    private void CarryOutAll(List<NodeEffect> effects)
    {
        List<ShardEvent> events = [];
        core.TakeEvents(events);
        foreach (var happened in events)
        {
            cluster.Checkers.Happened(this, happened);
            var epoch = core.Find(happened.Shard)?.Epoch;
            if (epoch is null) continue;
            if (!told.TryGetValue((happened.Shard, epoch.Value), out var list)) told.Add((happened.Shard, epoch.Value), list = []);
            list.Add(happened);
        }

        cluster.Checkers.Settled(this);
        foreach (var effect in effects.OfType<Commit>())
        {
            inCommit = effect.Checkpoints.Select(checkpoint => checkpoint.Shard).ToList();
            foreach (var checkpoint in effect.Checkpoints)
            {
                if (core.Find(checkpoint.Shard) is { } shard && shard.Epoch == checkpoint.Epoch) cluster.Checkers.Versions[(shard.Id, shard.Epoch)] = shard.ConfigurationVersion;
                // The same checkpoint is ordered again after a failure: what was told since then belongs to the next one.
                if (committing.ContainsKey((checkpoint.Shard, checkpoint.Epoch, checkpoint.Number))) continue;
                told.Remove((checkpoint.Shard, checkpoint.Epoch), out var list);
                committing.Add((checkpoint.Shard, checkpoint.Epoch, checkpoint.Number), list ?? []);
            }
        }

        foreach (var effect in effects)
        {
            foreach (var ordered in cluster.Bug.OnEffect(this, effect))
            {
                if (World.Chance(cluster.Faults.CrashAtEffect)) Crash();
                if (!IsAlive) return;
                CarryOut(ordered);
            }
        }

        PlanTick();
    }

    private void CarryOut(NodeEffect effect)
    {
        switch (effect)
        {
            case TakeOver takeOver:
                TakeOverShard(takeOver.Shard);
                break;
            case StartReading start:
                readings[start.Partition] = new Reading { Next = start.Next };
                PlanRead(start.Partition, readings[start.Partition]);
                break;
            case StopReading stop:
                readings.Remove(stop.Partition);
                break;
            case PauseReading pause:
                if (!readings.TryGetValue(pause.Partition, out var reading)) break;
                reading.IsPaused = pause.Pause;
                if (!pause.Pause) PlanRead(pause.Partition, reading);
                break;
            case ShardLoad load:
                LoadRows(load);
                break;
            case BeginCall begin:
                cluster.Modules.Call(this, begin.Call);
                break;
            case Commit commit:
                CommitCheckpoints(commit.Checkpoints);
                break;
            case SendOutputs send:
                if (!senders.TryGetValue((send.Shard, send.Epoch), out var sender)) senders.Add((send.Shard, send.Epoch), sender = new OutputSender());
                List<OutboxEntry> now = [];
                sender.Enqueue(send.Entries, now);
                foreach (var entry in cluster.Bug.SendsWithoutWaiting ? send.Entries : now) Send(send, sender, entry);
                break;
            case ReleaseShard release:
                cluster.Released(this, release.Shard);
                break;
            case AbandonShard abandon:
                senders.Remove((abandon.Shard, abandon.Epoch));
                break;
            case ReadConfiguration:
                LookSoon();
                break;
            case StationOrderEnded ended:
                cluster.Checkers.OrderEnded(this, ended);
                break;
            case Warn warn:
                World.Note($"{Name}: {warn.Text}");
                break;
            default:
                throw new InvalidOperationException(effect.ToString());
        }
    }

    // One entry is outstanding per destination, as OutputSender says; the same one again until it is acknowledged.
    private void Send(SendOutputs order, OutputSender sender, OutboxEntry entry)
    {
        var origin = entry.Headers.FirstOrDefault(header => header.Key == Header.Origin).Value;
        cluster.Network.Produce(this, entry.Destination, entry.Key, entry.Value, origin, entry.TimestampMs, (sent, _) =>
        {
            // Given up meanwhile: what it had outstanding may land, nothing more follows.
            if (!senders.TryGetValue((order.Shard, order.Epoch), out var current) || current != sender) return;
            if (sent) World.After(World.Between(0, 15), () => Tell(new OutputsSent(order.Shard, order.Epoch, entry.Destination, entry.Sequence)));
            if (cluster.Bug.SendsWithoutWaiting)
            {
                if (!sent) Send(order, sender, entry);
                return;
            }

            var goesOn = sent || cluster.Bug.SendsNextAfterFailure;
            if ((goesOn ? sender.Acknowledged(entry.Destination) : sender.Failed(entry.Destination)) is { } next) Send(order, sender, next);
        });
    }

    // The epoch is raised and committed before anything is read; the answer may be lost, and the epoch stays raised.
    private void TakeOverShard(ShardId shard)
    {
        var store = cluster.Store;
        var generation = store.Generation;
        if (cluster.Bug.ReadsBeforeRaising) readEarly[shard] = store.Peek(shard);
        World.After(World.Between(1, 50), () =>
        {
            if (!IsAlive || store.Generation != generation) return;
            var link = cluster.Network.ToStore(Node);
            if (!link.To || store.IsDown)
            {
                World.After(World.Between(1, 300), () => Tell(new TakeOverFailed(shard, "the store cannot be reached")));
                return;
            }

            var isLost = World.Chance(cluster.Faults.TakeOverFails);
            if (isLost && World.Chance(0.5))
            {
                World.After(World.Between(1, 30), () => Tell(new TakeOverFailed(shard, "simulated, the epoch is as it was")));
                return;
            }

            var recovered = store.TakeOver(shard, this);
            World.After(World.Between(1, 50), () => Reach(() =>
            {
                if (isLost || !link.From) Tell(new TakeOverFailed(shard, "simulated, the epoch was raised"));
                else if (store.Generation == generation) Tell(KeyedPositions.Check(cluster, this, recovered) is { } started ? new ShardTakenOver(started) : new TakeOverFailed(shard, "its positions are not known"));
            }));
        });
    }

    private void LoadRows(ShardLoad load)
    {
        var store = cluster.Store;
        var generation = store.Generation;
        World.After(World.Between(1, World.Chance(cluster.Faults.LoadSlow) ? 1_000 : 30), () =>
        {
            if (!IsAlive || store.Generation != generation) return;
            var fails = !cluster.Network.ToStore(Node).IsUp || store.IsDown || World.Chance(cluster.Faults.TakeOverFails);
            NodeMessage loaded = fails ? new LoadFailed(load, "simulated") : store.Load(load);
            World.After(World.Between(1, 20), () => Tell(loaded));
        });
    }

    private void PlanRead(TopicPartition partition, Reading reading)
    {
        if (reading.IsPlanned || reading.IsPaused || reading.Next >= cluster.Log.End(partition)) return;
        reading.IsPlanned = true;
        World.After(World.Between(2, 20), () => Reach(() =>
        {
            reading.IsPlanned = false;
            // A new reading of the partition supersedes this one.
            if (!readings.TryGetValue(partition, out var current) || current != reading || reading.IsPaused) return;
            if (!cluster.Network.ToLog(Node).IsUp)
            {
                World.After(World.Between(50, 300), () => Reach(() => PlanRead(partition, reading)));
                return;
            }

            // Retention took away what was to be read next: the broker says so, and the shard's positions are checked again.
            if (reading.Next < cluster.Log.Start(partition))
            {
                readings.Remove(partition);
                Tell(new PositionsChanged([new ShardId(partition.Partition)]));
                return;
            }

            List<LogRecord> records = [];
            for (var count = World.Between(1, 5); count > 0 && reading.Next < cluster.Log.End(partition); count--, reading.Next++)
            {
                var record = cluster.Log.At(partition, reading.Next);
                records.Add(new LogRecord(partition, reading.Next, record.TimestampMs, record.Value, record.Key is { } key ? key : default(ReadOnlyMemory<byte>?), settings.IsKeyed(partition.Topic) ? record.Origin : null));
            }

            if (records.Count > 0) Tell(new RecordsRead(partition, records));
            PlanRead(partition, reading);
        }));
    }

    private void CommitCheckpoints(IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var store = cluster.Store;
        var generation = store.Generation;
        var faults = cluster.Faults;
        var delay = World.Chance(faults.CommitSlow) ? World.Between(100, 4_000) : World.Between(1, 20);
        var isGivenUp = World.Chance(faults.CommitLandsLate);
        if (isGivenUp)
        {
            // The connection is lost while the transaction is on its way: the node gives the shards up, and then it commits.
            World.After(World.Between(1, 20), () => Tell(new CommitUnknown("simulated, on its way")));
            delay = World.Between(20, 1_500);
        }

        World.After(delay, () =>
        {
            // The order was given: it may reach the store although the process is gone.
            if (store.Generation != generation || (!IsAlive && World.Chance(0.5))) return;
            var link = cluster.Network.ToStore(Node);
            if (!link.To || store.IsDown || World.Chance(faults.CommitFails))
            {
                if (!isGivenUp) World.After(World.Between(1, 300), () => Tell(new CommitFailed("simulated")));
                return;
            }

            var isLost = !link.From || World.Chance(faults.CommitAnswerLost);
            if (isLost && !isGivenUp && World.Chance(0.3))
            {
                World.After(World.Between(1, 300), () => Tell(new CommitUnknown("simulated, not committed")));
                return;
            }

            var outcomes = store.Commit(this, checkpoints);
            if (isGivenUp) return;
            World.After(World.Between(1, isLost ? 300 : 20), () => Tell(isLost ? new CommitUnknown("simulated, committed") : new CommitFinished(outcomes)));
        });
    }

    // A host looks at its clock at least every 500 ms: it may have been set.
    private void PlanTick()
    {
        if (core.NextDueMs is not { } due) return;
        var at = World.NowMs + Math.Clamp(due - ClockMs, 1, 500);
        if (at >= tickAtMs) return;
        tickAtMs = at;
        World.After(at - World.NowMs, () => Reach(() =>
        {
            if (tickAtMs != at) return;
            tickAtMs = long.MaxValue;
            if (core.NextDueMs <= ClockMs) Tell(new TimePassed());
            else SettleLater();
        }));
    }

    private sealed class Reading
    {
        public long Next { get; set; }
        public bool IsPaused { get; set; }
        public bool IsPlanned { get; set; }
    }
}
