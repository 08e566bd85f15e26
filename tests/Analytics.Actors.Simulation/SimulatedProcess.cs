using System.Text;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Simulation;

/// <summary>
/// One process of a node: the production NodeCore and Router, with a host that carries out their effects on the simulated
/// log and store, late, twice or not at all. A crash forgets the process; what it had sent may still land.
/// </summary>
public sealed class SimulatedProcess
{
    private readonly Cluster cluster;
    private readonly NodeCore core;
    private readonly Router router;
    private readonly Dictionary<TopicPartition, (long Next, bool Paused)> reading = [];
    private readonly Dictionary<TopicPartition, long> sources = [];
    private readonly Dictionary<(ShardId Shard, Epoch Epoch), OutputSender> senders = [];
    private bool sourcesPaused;
    private bool isSettlePlanned;
    private long tickPlannedMs = long.MaxValue;

    public SimulatedProcess(Cluster cluster, int node, int number)
    {
        this.cluster = cluster;
        Node = node;
        Name = $"node{node}.{number}";
        core = new NodeCore(new NodeSettings { Shards = cluster.Settings, Seed = cluster.World.Random.Next(), ReleaseLimitMs = 500 });
        router = new Router(cluster.Settings, new RouterSettings { CommitIntervalMs = 500, CommitBatchSize = 20 });
    }

    public int Node { get; }
    public string Name { get; }
    public bool IsAlive { get; private set; } = true;

    private World World => cluster.World;

    /// <summary>Nothing waits anywhere in this process.</summary>
    public bool IsQuiet => !Restless.Any();

    /// <summary>What still waits in this process.</summary>
    public IEnumerable<string> Restless
    {
        get
        {
            if (!router.IsIdle) yield return $"{Name}: the router waits for acknowledgements";
            foreach (var (source, next) in sources)
            {
                if (next < cluster.Log.Read(source).Count) yield return $"{Name}: {source} is read up to {next} of {cluster.Log.Read(source).Count}{(sourcesPaused ? ", paused" : "")}";
            }

            foreach (var (log, state) in reading)
            {
                if (state.Next < cluster.Log.Read(log).Count) yield return $"{Name}: {log} is read up to {state.Next} of {cluster.Log.Read(log).Count}{(state.Paused ? ", paused" : "")}";
            }

            foreach (var (shard, phase) in core.Phases)
            {
                if (phase != ShardPhase.Running) yield return $"{Name}: shard {shard} is {phase}";
            }

            foreach (var shard in core.Running)
            {
                if (shard.IsDirty || shard.IsCommitting) yield return $"{Name}: shard {shard.Id} has something to commit";
                if (shard.Outputs.Outbox.Count > 0) yield return $"{Name}: shard {shard.Id} has {shard.Outputs.Outbox.Count} outputs to send";
                if (shard.ArrivalCount > 0 || !shard.IsScanned) yield return $"{Name}: shard {shard.Id} waits for stations";
                if (shard.RunningCalls > 0) yield return $"{Name}: shard {shard.Id} has {shard.RunningCalls} calls running";
                if (shard.Batches.Batches.Count > 0) yield return $"{Name}: shard {shard.Id} has {shard.Batches.Batches.Count} batches";
                if (shard.Batches.WaitingRevisions > 0) yield return $"{Name}: shard {shard.Id} has {shard.Batches.WaitingRevisions} revisions to send";
                if (shard.Stations.Values.Sum(station => station.TriggerCount) is > 0 and var owed) yield return $"{Name}: shard {shard.Id} owes {owed} calls";
            }
        }
    }

    public void Crash()
    {
        if (!IsAlive) return;
        World.Note($"{Name} crashes");
        IsAlive = false;
        cluster.Crashed(this);
    }

    public void Tell(NodeMessage message)
    {
        if (!IsAlive) return;
        List<NodeEffect> effects = [];
        core.Handle(message, World.NowMs, effects);
        // A host may take several facts before it settles.
        if (World.Chance(0.7)) core.Settle(World.NowMs, effects);
        else if (!isSettlePlanned)
        {
            isSettlePlanned = true;
            World.After(World.Between(0, 3), SettleLater);
        }

        CarryOutAll(effects);
    }

    private void SettleLater()
    {
        isSettlePlanned = false;
        if (!IsAlive) return;
        List<NodeEffect> effects = [];
        core.Settle(World.NowMs, effects);
        CarryOutAll(effects);
    }

    private void CarryOutAll(List<NodeEffect> effects)
    {
        List<ShardEvent> events = [];
        core.TakeEvents(events);
        foreach (var happened in events) cluster.Observe(this, happened);
        foreach (var effect in effects)
        {
            if (World.Chance(cluster.Faults.CrashAtEffect)) Crash();
            if (!IsAlive) return;
            CarryOut(cluster.Bug.OnEffect(effect));
        }

        PlanTick();
    }

    public void AssignSources(IReadOnlyList<TopicPartition> partitions)
    {
        if (!IsAlive) return;
        foreach (var partition in partitions)
        {
            var next = cluster.Log.RouterOffsets.GetValueOrDefault(partition);
            World.Note($"{Name} routes {partition} from {next}");
            sources[partition] = next;
            router.Assigned(partition, 0, next);
            World.After(World.Between(1, 20), () => Fetch(partition));
        }
    }

    public void RevokeSources(IReadOnlyList<TopicPartition> partitions)
    {
        foreach (var partition in partitions)
        {
            sources.Remove(partition);
            router.Revoked(partition);
        }
    }

    private void Fetch(TopicPartition partition)
    {
        if (!IsAlive || !sources.TryGetValue(partition, out var next)) return;
        var log = cluster.Log.Read(partition);
        List<RouterEffect> effects = [];
        if (!sourcesPaused)
        {
            for (var count = World.Between(1, 10); count > 0 && next < log.Count; count--, next++)
            {
                var record = log[(int)next];
                router.Receive(new SourceRecord(partition, next, record.TimestampMs, record.Value, record.Origin), effects);
            }

            sources[partition] = next;
        }

        router.Flush(effects);
        router.TimePassed(World.NowMs, false, effects);
        CarryOut(effects);
        World.After(World.Between(5, 30), () => Fetch(partition));
    }

    private void CarryOut(List<RouterEffect> effects)
    {
        foreach (var effect in effects)
        {
            if (World.Chance(cluster.Faults.CrashAtEffect)) Crash();
            if (!IsAlive) return;
            switch (effect)
            {
                case SendEnvelope send:
                    Produce(send.Destination, null, send.Value, null, World.NowMs, sent =>
                    {
                        List<RouterEffect> after = [];
                        if (sent) router.Acknowledged(send.Destination, send.Number, after);
                        else router.Failed(send.Destination, send.Number, after);
                        CarryOut(after);
                    });
                    break;
                case CommitPositions commit:
                    World.After(World.Between(1, 20), () => CommitOffsets(commit));
                    break;
                case StorePositions store:
                    foreach (var position in store.Positions) cluster.StoreSource(position);
                    break;
                case PauseSources pause:
                    sourcesPaused = pause.Pause;
                    break;
                default:
                    throw new InvalidOperationException(effect.ToString());
            }
        }
    }

    private void CommitOffsets(CommitPositions commit)
    {
        if (!IsAlive) return;
        // A member that lost a partition has its commit refused, as the group's generation does in Kafka.
        var isOwner = commit.Positions.All(position => cluster.OwnerOf(position.Partition) == this);
        if (isOwner)
        {
            foreach (var (partition, next) in commit.Positions) cluster.Log.RouterOffsets[partition] = next;
        }

        router.CommitFinished(commit.Positions, isOwner);
    }

    private void CarryOut(NodeEffect effect)
    {
        switch (effect)
        {
            case TakeOver takeOver:
                World.After(World.Between(1, 30), () => TakeOverShard(takeOver.Shard));
                break;
            case ShardLoad load:
                World.After(World.Between(1, 30), () => LoadRows(load));
                break;
            case StartReading start:
                reading[start.Partition] = (start.Next, false);
                World.After(World.Between(1, 10), () => ReadLog(start.Partition, reading.GetValueOrDefault(start.Partition)));
                break;
            case StopReading stop:
                reading.Remove(stop.Partition);
                break;
            case PauseReading pause:
                if (reading.TryGetValue(pause.Partition, out var log)) reading[pause.Partition] = (log.Next, pause.Pause);
                break;
            case BeginCall begin:
                Call(begin.Call);
                break;
            case Commit commit:
                World.After(World.Between(1, 20), () => CommitCheckpoints(commit.Checkpoints));
                break;
            case SendOutputs send:
                if (!senders.TryGetValue((send.Shard, send.Epoch), out var sender)) senders.Add((send.Shard, send.Epoch), sender = new OutputSender());
                List<OutboxEntry> now = [];
                sender.Enqueue(send.Entries, now);
                foreach (var entry in now) Send(send, sender, entry);
                break;
            case ReleaseShard release:
                cluster.Released(this, release.Shard);
                break;
            case AbandonShard abandon:
                senders.Remove((abandon.Shard, abandon.Epoch));
                break;
            case Warn warn:
                World.Note($"{Name}: {warn.Text}");
                break;
            default:
                throw new InvalidOperationException(effect.ToString());
        }
    }

    private void Send(SendOutputs order, OutputSender sender, OutboxEntry entry)
    {
        var origin = entry.Headers.FirstOrDefault(header => header.Key == Header.Origin).Value;
        Produce(entry.Destination, entry.Key, entry.Value, origin, entry.TimestampMs, sent =>
        {
            // Given up meanwhile: what it had outstanding may land, nothing more follows.
            if (!senders.TryGetValue((order.Shard, order.Epoch), out var current) || current != sender) return;
            var next = sent ? sender.Acknowledged(entry.Destination) : sender.Failed(entry.Destination);
            if (next is not null) Send(order, sender, next);
            if (sent) Tell(new OutputsSent(order.Shard, order.Epoch, entry.Destination, entry.Sequence));
        });
    }

    private void TakeOverShard(ShardId shard)
    {
        if (!IsAlive) return;
        if (World.Chance(cluster.Faults.TakeOverFails))
        {
            World.After(World.Between(1, 30), () => Tell(new TakeOverFailed(shard, "simulated")));
            return;
        }

        var recovered = cluster.TakeOver(shard, Name);
        World.Note($"{Name} takes over shard {shard} in epoch {recovered.Epoch}, checkpoint {recovered.CheckpointNumber}");
        World.After(World.Between(1, 50), () => Tell(new ShardTakenOver(recovered)));
    }

    private void LoadRows(ShardLoad load)
    {
        if (!IsAlive) return;
        NodeMessage loaded = World.Chance(cluster.Faults.TakeOverFails) ? new LoadFailed(load, "simulated") : cluster.Load(load);
        World.After(World.Between(1, 20), () => Tell(loaded));
    }

    // A new reading of a partition supersedes the old loop: it goes on only while the entry is the one it left.
    private void ReadLog(TopicPartition partition, (long Next, bool Paused) expected)
    {
        if (!IsAlive || !reading.TryGetValue(partition, out var state) || state.Next != expected.Next) return;
        if (!state.Paused)
        {
            var log = cluster.Log.Read(partition);
            List<LogRecord> records = [];
            var next = state.Next;
            for (var count = World.Between(1, 5); count > 0 && next < log.Count; count--, next++)
            {
                records.Add(new LogRecord(partition, next, log[(int)next].TimestampMs, log[(int)next].Value));
            }

            state = (next, state.Paused);
            reading[partition] = state;
            if (records.Count > 0) Tell(new RecordsRead(partition, records));
        }

        World.After(World.Between(2, 20), () => ReadLog(partition, state));
    }

    private void CommitCheckpoints(IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        // The order was given: it may reach the store although the process is gone.
        if (!IsAlive && World.Chance(0.5)) return;
        if (World.Chance(cluster.Faults.CommitFails))
        {
            World.After(World.Between(1, 20), () => Tell(new CommitFailed("simulated")));
            return;
        }

        var isUnknown = World.Chance(cluster.Faults.CommitUnknown);
        if (isUnknown && World.Chance(0.5))
        {
            World.After(World.Between(1, 20), () => Tell(new CommitUnknown("simulated, not committed")));
            return;
        }

        var outcomes = cluster.Commit(this, checkpoints);
        World.After(World.Between(1, 20), () => Tell(isUnknown ? new CommitUnknown("simulated, committed") : new CommitFinished(outcomes)));
    }

    private void Call(ModuleCall call)
    {
        var fails = World.Chance(cluster.Faults.CallFails);
        var late = World.Chance(cluster.Faults.CallLate);
        var outcome = fails
            ? new CallOutcome(CallOutcomeKind.Error, default, "simulated")
            : new CallOutcome(CallOutcomeKind.Result, SimulatedModule.Call(call), "");
        World.After(World.Between(1, late ? 3_000 : 40), () =>
        {
            if (late)
            {
                Tell(new CallReturned(call.Id, new CallOutcome(CallOutcomeKind.Timeout, default, "simulated"), false));
                World.After(World.Between(1, 2_000), () => Tell(new CallReleased(call.Id)));
            }
            else
            {
                Tell(new CallReturned(call.Id, outcome, true));
            }
        });
    }

    private void Produce(TopicPartition destination, byte[]? key, byte[] value, string? origin, long timestampMs, Action<bool> report)
    {
        var delay = World.Chance(cluster.Faults.SendLate) ? World.Between(50, 1_500) : World.Between(1, 10);
        var twice = World.Chance(cluster.Faults.SendTwice);
        var answerLost = World.Chance(cluster.Faults.SendAnswerLost);
        World.After(delay, () =>
        {
            cluster.Log.Append(destination, timestampMs, key, value, origin);
            if (answerLost)
            {
                World.After(World.Between(20, 200), () => { if (IsAlive) report(false); });
                return;
            }

            World.After(World.Between(1, 5), () => { if (IsAlive) report(true); });
        });
        // The same message lands once more, perhaps long after.
        if (twice) World.After(delay + World.Between(0, 2_000), () => cluster.Log.Append(destination, timestampMs, key, value, origin));
    }

    private void PlanTick()
    {
        if (core.NextDueMs is not { } due || due >= tickPlannedMs) return;
        due = Math.Max(due, World.NowMs + 1);
        tickPlannedMs = due;
        World.After(due - World.NowMs, () =>
        {
            if (!IsAlive || tickPlannedMs != due) return;
            tickPlannedMs = long.MaxValue;
            Tell(new TimePassed());
        });
    }
}

/// <summary>A module whose result tells what its input held.</summary>
public static class SimulatedModule
{
    public static byte[] Call(ModuleCall call)
    {
        var names = call.Input.Names.Order(StringComparer.Ordinal).ToList();
        var text = string.Join(";", names.Select(name => name + "=" + Encoding.UTF8.GetString(call.Input.GetJson(name).Span)));
        return JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { [call.Module.Name + "_saw"] = text });
    }
}
