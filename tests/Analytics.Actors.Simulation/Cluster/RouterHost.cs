using Analytics.Actors.Core;
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
    });

    private readonly Dictionary<TopicPartition, Reading> sources = [];
    private bool isPaused;
    private bool isTickPlanned;

    private World World => cluster.World;

    /// <summary>Source partitions that this router reads, whether they are still its own or not.</summary>
    public IReadOnlyCollection<TopicPartition> Sources => sources.Keys;

    public Router Core => router;

    public IEnumerable<string> Restless
    {
        get
        {
            if (!router.IsIdle) yield return $"{process.Name}: the router waits for acknowledgements";
            foreach (var (source, reading) in sources)
            {
                if (reading.Next < cluster.Log.End(source)) yield return $"{process.Name}: {source} is read up to {reading.Next} of {cluster.Log.End(source)}{(isPaused ? ", paused" : "")}";
                else if (router.Committable.First(position => position.Partition == source).Next > cluster.Log.RouterOffsets.GetValueOrDefault(source)) yield return $"{process.Name}: {source} is not committed";
            }
        }
    }

    /// <summary>The first offset of a partition that this router has not routed wholly.</summary>
    public IEnumerable<(TopicPartition Partition, long Read, long Done)> Progress =>
        router.Committable.Where(position => sources.ContainsKey(position.Partition))
            .Select(position => (position.Partition, sources[position.Partition].Next, position.Next));

    public void Assign(TopicPartition partition)
    {
        var next = cluster.Log.RouterOffsets.GetValueOrDefault(partition);
        World.Note($"{process.Name} routes {partition} from {next}");
        var reading = new Reading { Next = next };
        sources[partition] = reading;
        router.Assigned(partition, 0, next);
        PlanFetch(partition, reading);
    }

    public void Revoke(TopicPartition partition)
    {
        if (!sources.Remove(partition)) return;
        World.Note($"{process.Name} routes {partition} no more");
        router.Revoked(partition);
    }

    public void Landed(TopicPartition partition)
    {
        if (sources.TryGetValue(partition, out var reading)) PlanFetch(partition, reading);
    }

    public void Close() => sources.Clear();

    private void PlanFetch(TopicPartition partition, Reading reading)
    {
        if (reading.IsPlanned || isPaused || reading.Next >= cluster.Log.End(partition)) return;
        reading.IsPlanned = true;
        World.After(World.Between(1, 30), () => process.Reach(() =>
        {
            reading.IsPlanned = false;
            // A new assignment of the partition supersedes this one.
            if (!sources.TryGetValue(partition, out var current) || current != reading || isPaused) return;
            if (!cluster.Network.ToLog(process.Node).IsUp)
            {
                World.After(World.Between(50, 300), () => process.Reach(() => PlanFetch(partition, reading)));
                return;
            }

            List<RouterEffect> effects = [];
            for (var count = World.Between(1, 10); count > 0 && reading.Next < cluster.Log.End(partition); count--, reading.Next++)
            {
                var record = cluster.Log.At(partition, reading.Next);
                var given = new SourceRecord(partition, reading.Next, record.TimestampMs, record.Value, record.Origin);
                foreach (var heard in cluster.Bug.OnSource(process, given)) router.Receive(heard, effects);
            }

            router.Flush(effects);
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
                case PauseSources pause:
                    isPaused = pause.Pause;
                    if (isPaused) break;
                    foreach (var (partition, reading) in sources.ToList()) PlanFetch(partition, reading);
                    break;
                default:
                    throw new InvalidOperationException(effect.ToString());
            }
        }
    }

    private void Send(SendEnvelope send)
    {
        if (cluster.Bug.RouterDoesNotWait)
        {
            SendUntilThere(send);
            process.ReachSoon(() => Heard(send, true));
            return;
        }

        cluster.Network.Produce(process, send.Destination, null, send.Value, null, process.ClockMs, sent => Heard(send, sent));
    }

    private void SendUntilThere(SendEnvelope send) =>
        cluster.Network.Produce(process, send.Destination, null, send.Value, null, process.ClockMs, sent =>
        {
            if (!sent) SendUntilThere(send);
        });

    private void Heard(SendEnvelope send, bool sent)
    {
        List<RouterEffect> effects = [];
        if (sent || cluster.Bug.RouterSkipsFailed) router.Acknowledged(send.Destination, send.Number, effects);
        else router.Failed(send.Destination, send.Number, effects);
        CarryOut(effects);
        PlanTick();
    }

    private void Commit(CommitPositions commit)
    {
        var link = cluster.Network.ToLog(process.Node);
        World.After(World.Between(1, 20), () =>
        {
            // A member that lost a partition has its commit refused, as the group's generation does in Kafka.
            var isTaken = link.To && !process.IsExpelled && commit.Positions.All(position => cluster.RouterOf(position.Partition) == process);
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
        public bool IsPlanned { get; set; }
    }
}
