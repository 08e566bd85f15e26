using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// The whole cluster: nodes that crash and come back, one log, one store, and a coordinator that moves shards and source
/// partitions as Kafka's groups do: in order, or without the old owner knowing.
/// </summary>
public sealed partial class Cluster
{
    private readonly SimulatedProcess?[] processes;
    private readonly long[] clockSkewMs;
    private readonly Dictionary<ShardId, SimulatedProcess> shardOwners = [];
    private readonly Dictionary<TopicPartition, SimulatedProcess> sourceOwners = [];
    private readonly Dictionary<ShardId, SimulatedProcess> moving = [];
    private int started;
    private bool isRestoring;
    private bool isStopping;

    public Cluster(World world, Scenario scenario, ShardSettings settings, Faults faults, PlantedBug bug)
    {
        World = world;
        Scenario = scenario;
        Settings = settings;
        Faults = faults;
        Bug = bug;
        processes = new SimulatedProcess?[scenario.Nodes];
        clockSkewMs = new long[scenario.Nodes];
        Network = new Network(this, scenario.Nodes);
        Modules = new SimulatedModules(this);
        Checkers = new Checkers(this);
        Store = new SimulatedStore(this, settings.StoreId);
        Log.Landed += Landed;
    }

    public World World { get; }
    public Scenario Scenario { get; }
    public ShardSettings Settings { get; private set; }

    /// <summary>What a node runs with this version of the configuration.</summary>
    public ShardSettings SettingsOf(long version) => Bug.OnSettings(Settings with { Pipeline = Workload.Version(Settings.Pipeline, version), ConfigurationVersion = version });
    public Faults Faults { get; set; }
    public PlantedBug Bug { get; }
    public Network Network { get; }
    public SimulatedModules Modules { get; }
    public SimulatedLog Log { get; } = new();
    public SimulatedStore Store { get; }
    public Checkers Checkers { get; }

    /// <summary>All source partitions. Those of topics keyed by station are read with their shard, the others by routers.</summary>
    public required IReadOnlyList<TopicPartition> Sources { get; init; }

    public IEnumerable<SimulatedProcess> Alive => processes.OfType<SimulatedProcess>().Where(process => process.IsAlive);

    /// <summary>What keeps the cluster from resting, for the story of a failure.</summary>
    public IEnumerable<string> Restless =>
        Alive.SelectMany(process => process.Restless)
            .Concat(Enumerable.Range(0, processes.Length).Where(node => processes[node] is null && IsWanted(node)).Select(node => $"node {node} is down"))
            .Concat(Enumerable.Range(0, Settings.ShardCount).Select(shard => new ShardId(shard)).Where(shard => !shardOwners.ContainsKey(shard)).Select(shard => $"shard {shard} has no owner"))
            .Concat(moving.Keys.Select(shard => $"shard {shard} is moving"));

    /// <summary>Every process has released what it had, after <see cref="Stop"/>.</summary>
    public bool IsStopped => Alive.All(process => process.IsStopped);

    /// <summary>There are no faults any more.</summary>
    public bool IsHealing { get; private set; }

    /// <summary>No clock has ever been off.</summary>
    public bool HasTrueClocks { get; private set; } = true;

    public long ClockOf(int node) => World.NowMs + clockSkewMs[node];

    public void SetClock(int node, long skewMs)
    {
        World.Note($"the clock of node {node} goes from {clockSkewMs[node]} to {skewMs} ms off");
        clockSkewMs[node] = skewMs;
        HasTrueClocks = false;
    }

    /// <summary>Whom Kafka's group has given a source partition.</summary>
    public SimulatedProcess? RouterOf(TopicPartition source) => sourceOwners.GetValueOrDefault(source);

    public void Start()
    {
        for (var node = 0; node < processes.Length; node++) if (IsWanted(node)) StartProcess(node);
        Rebalance();
        PlanRebalance();
    }

    public void Crashed(SimulatedProcess process)
    {
        processes[process.Node] = null;
        Forget(process);
        PlanStart(process.Node);
        World.After(World.Between(50, 500), Rebalance);
    }

    /// <summary>A process that Kafka has not heard of for too long is out of its groups; it hears of that when it can.</summary>
    public void Expel(SimulatedProcess process)
    {
        if (!process.IsAlive || process.IsExpelled) return;
        World.Note($"{process.Name} is expelled from its groups");
        process.IsExpelled = true;
        Forget(process);
        Rebalance();
    }

    public void Thawed(SimulatedProcess process)
    {
        if (process.IsAlive && process.IsExpelled && Network.ToLog(process.Node).IsUp) Rejoin(process);
    }

    /// <summary>An expelled process is heard again: it goes on with what is no longer its own for a moment, then learns of it.</summary>
    public void Rejoin(SimulatedProcess process) => World.After(World.Between(0, 1_000), () => process.Reach(() =>
    {
        if (!process.IsExpelled) return;
        World.Note($"{process.Name} joins again");
        process.IsExpelled = false;
        var lost = process.Core.Phases.Select(pair => pair.Shard).Where(shard => shardOwners.GetValueOrDefault(shard) != process).ToList();
        if (lost.Count > 0) process.Tell(new ShardsLost(lost));
        foreach (var source in process.Router.Sources.Where(source => RouterOf(source) != process).ToList()) process.Router.Revoke(source);
        Rebalance();
    }));

    /// <summary>The old owner is done with the shard: the new one begins.</summary>
    public void Released(SimulatedProcess process, ShardId shard)
    {
        if (!moving.Remove(shard, out var next)) return;
        World.Note($"{process.Name} released shard {shard}");
        Give(shard, next);
    }

    /// <summary>The documented procedure: all nodes stop, the backup comes back under a new store id, all nodes start.</summary>
    public void RestoreBackup()
    {
        World.Note("the store's backup is to be restored: all nodes stop");
        isRestoring = true;
        foreach (var process in Alive.ToList()) process.Crash();
        World.After(300, () =>
        {
            var storeId = World.Random.NextInt64(1L << 48).ToString("x12", System.Globalization.CultureInfo.InvariantCulture);
            var earlier = Settings.StoreId;
            if (!Bug.KeepsStoreId) Settings = Settings with { StoreId = storeId };
            Store.Restore(Settings.StoreId);
            if (!Bug.KeepsStoreId) Settings = Settings with { Earlier = new EarlierStores(Store.EndsOf(earlier)) };
            World.Note($"the backup is restored, the store id is now {Settings.StoreId}");
            isRestoring = false;
        });
    }

    /// <summary>Faults end: every node comes up, and the cluster must come to rest with everything right.</summary>
    public void Heal()
    {
        Faults = Faults.None;
        IsHealing = true;
        World.Note("healing");
        Network.Heal();
        Store.IsDown = false;
        for (var node = 0; node < clockSkewMs.Length; node++) clockSkewMs[node] = 0;
        foreach (var process in Alive.ToList())
        {
            process.Thaw();
            if (process.IsExpelled) Rejoin(process);
        }
    }

    /// <summary>Every process stops in order.</summary>
    public void Stop()
    {
        World.Note("stopping");
        isStopping = true;
        foreach (var process in Alive.ToList()) process.Tell(new StopRequested());
    }

    private void Landed(TopicPartition partition, StoredRecord record)
    {
        Checkers.Landed(partition, record);
        foreach (var process in Alive) process.Landed(partition);
    }

    private void PlanStart(int node) => World.After(World.Between(100, 3_000), () => StartProcess(node));

    private void StartProcess(int node)
    {
        if (!IsWanted(node)) return;
        if (isRestoring || Store.IsDown || !Network.ToStore(node).IsUp)
        {
            PlanStart(node);
            return;
        }

        var process = processes[node] = new SimulatedProcess(this, node, ++started, SettingsOf(Store.Version));
        World.Note($"{process.Name} starts");
        Rebalance();
    }

    private void Forget(SimulatedProcess process)
    {
        foreach (var shard in shardOwners.Where(pair => pair.Value == process).Select(pair => pair.Key).ToList()) shardOwners.Remove(shard);
        foreach (var source in sourceOwners.Where(pair => pair.Value == process).Select(pair => pair.Key).ToList()) sourceOwners.Remove(source);
    }

    private void PlanRebalance()
    {
        if (Faults.RebalanceEveryMs == 0) return;
        World.After(World.Between(Faults.RebalanceEveryMs / 2, Faults.RebalanceEveryMs * 2), () =>
        {
            if (Faults.RebalanceEveryMs > 0) Rebalance();
            PlanRebalance();
        });
    }

    private void Rebalance()
    {
        var members = Alive.Where(process => !process.IsExpelled && IsWanted(process.Node)).ToList();
        if (members.Count == 0 || isStopping) return;
        if (Wanted is not null)
        {
            BalanceStickily(members);
            return;
        }

        for (var number = 0; number < Settings.ShardCount; number++)
        {
            var shard = new ShardId(number);
            if (moving.ContainsKey(shard)) continue;
            var target = members[World.Random.Next(members.Count)];
            if (!shardOwners.TryGetValue(shard, out var owner)) Give(shard, target);
            else if (World.Chance(0.3) && owner != target) Move(shard, owner, target);
        }

        foreach (var source in Sources.Where(source => !Settings.IsKeyed(source.Topic)))
        {
            var target = members[World.Random.Next(members.Count)];
            // Telling one of its shards may have crashed it a moment ago; its crash plans another rebalance.
            if (!target.IsAlive) continue;
            sourceOwners.TryGetValue(source, out var owner);
            if (owner is not null && (owner == target || !World.Chance(0.3))) continue;
            sourceOwners[source] = target;
            // A zombie router goes on for a while with what is no longer its own.
            if (owner is not null)
            {
                World.After(World.Chance(Faults.LoseWithoutNotice) ? World.Between(100, 2_000) : 0, () => owner.Reach(() =>
                {
                    if (RouterOf(source) != owner) owner.Router.Revoke(source);
                }));
            }

            target.Reach(() =>
            {
                if (RouterOf(source) == target) target.Router.Assign(source);
            });
        }
    }

    private void Move(ShardId shard, SimulatedProcess owner, SimulatedProcess target)
    {
        if (World.Chance(Faults.LoseWithoutNotice))
        {
            // The old owner hears of it late: two processes believe that the shard is theirs.
            World.Note($"shard {shard} moves from {owner.Name} to {target.Name} without notice");
            Give(shard, target);
            World.After(World.Between(100, 3_000), () => owner.Reach(() =>
            {
                if (shardOwners.GetValueOrDefault(shard) != owner) owner.Tell(new ShardsLost([shard]));
            }));
            return;
        }

        moving.Add(shard, target);
        owner.Tell(new ShardsRevoked([shard]));
        // Kafka does not wait for ever either.
        World.After(2_500, () =>
        {
            if (!moving.TryGetValue(shard, out var still) || still != target) return;
            moving.Remove(shard);
            owner.Tell(new ShardsLost([shard]));
            Give(shard, target);
        });
    }

    private void Give(ShardId shard, SimulatedProcess target)
    {
        if (!target.IsAlive || target.IsExpelled)
        {
            shardOwners.Remove(shard);
            World.After(100, Rebalance);
            return;
        }

        shardOwners[shard] = target;
        World.Note($"{target.Name} is given shard {shard}");
        target.Tell(new ShardsAssigned([shard]));
    }
}
