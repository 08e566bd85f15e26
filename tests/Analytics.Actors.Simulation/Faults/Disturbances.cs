namespace Analytics.Actors.Simulation;

/// <summary>
/// Faults that strike from outside at a time of their own: freezes, cut lines, clocks that are set, a store that is down or
/// restored from a backup, producers that start again. They end when the faults do.
/// </summary>
public sealed class Disturbances(Cluster cluster)
{
    private int orders;

    private World World => cluster.World;

    public void Start(int phaseMs)
    {
        var faults = cluster.Faults;
        Repeat(faults.FreezeEveryMs, Freeze);
        Repeat(faults.ClockJumpEveryMs, SetClock);
        Repeat(faults.CutLogEveryMs, CutLog);
        Repeat(faults.CutStoreEveryMs, CutStore);
        Repeat(faults.StoreDownEveryMs, StopStore);
        Repeat(faults.TrimEveryMs, Trim);
        Repeat(faults.RecreateEveryMs, Recreate);
        Repeat(faults.ApplyEveryMs, () =>
        {
            if (!cluster.Store.IsDown) cluster.Store.Apply();
        });
        Repeat(faults.SteerEveryMs, Steer);
        Repeat(faults.ProducerRestartEveryMs, () =>
        {
            if (AnyProcess() is { IsFrozen: false } process) cluster.Network.RestartProducer(process);
        });
        for (var node = 0; faults.ClockSkewMs > 0 && node < cluster.Scenario.Nodes; node++) cluster.SetClock(node, World.Between(-faults.ClockSkewMs, faults.ClockSkewMs));
        if (!faults.RestoresBackup) return;
        var backup = World.Between(1_000, phaseMs / 2);
        World.After(backup, () =>
        {
            World.Note("the store is backed up");
            cluster.Store.Backup();
        });
        World.After(World.Between((int)backup + 100, phaseMs - 1_000), cluster.RestoreBackup);
    }

    private void Freeze()
    {
        if (AnyProcess() is not { IsFrozen: false } process) return;
        process.Freeze();
        World.After(cluster.Scenario.SessionTimeoutMs, () =>
        {
            if (process.IsFrozen) cluster.Expel(process);
        });
        World.After(World.Between(50, 5_000), process.Thaw);
    }

    private void CutLog()
    {
        var node = World.Random.Next(cluster.Scenario.Nodes);
        var link = cluster.Network.ToLog(node);
        if (!link.IsUp) return;
        Cut(link, $"node {node} from the log");
        World.After(cluster.Scenario.SessionTimeoutMs, () =>
        {
            if (!link.IsUp && cluster.Alive.FirstOrDefault(process => process.Node == node) is { } process) cluster.Expel(process);
        });
        World.After(World.Between(50, 5_000), () =>
        {
            link.To = link.From = true;
            World.Note($"node {node} reaches the log again");
            if (cluster.Alive.FirstOrDefault(process => process.Node == node) is { IsExpelled: true, IsFrozen: false } process) cluster.Rejoin(process);
        });
    }

    private void CutStore()
    {
        var node = World.Random.Next(cluster.Scenario.Nodes);
        var link = cluster.Network.ToStore(node);
        if (!link.IsUp) return;
        Cut(link, $"node {node} from the store");
        World.After(World.Between(50, 5_000), () =>
        {
            link.To = link.From = true;
            World.Note($"node {node} reaches the store again");
        });
    }

    // Both ways, or one: then requests arrive and answers do not, or the other way round.
    private void Cut(Link link, string what)
    {
        var way = World.Random.Next(3);
        link.To = way == 1;
        link.From = way == 2;
        World.Note($"cut off: {what}, {(way == 0 ? "both ways" : way == 1 ? "answers only" : "requests only")}");
    }

    private void StopStore()
    {
        if (cluster.Store.IsDown) return;
        cluster.Store.IsDown = true;
        World.Note("the store is down");
        World.After(World.Between(50, 4_000), () =>
        {
            cluster.Store.IsDown = false;
            World.Note("the store is up");
        });
    }

    private void Trim()
    {
        var sources = cluster.Sources.Where(source => source.Topic is Workload.Meters or Workload.States or Workload.Orders).ToList();
        var source = sources[World.Random.Next(sources.Count)];
        var start = World.Between((int)cluster.Log.Start(source), (int)cluster.Log.End(source));
        cluster.Log.Trim(source, start);
        World.Note($"{source} begins at {start} now");
    }

    // The topic of global data: a batch's id is topic, partition and offset, so that one of stations would repeat ids.
    private void Recreate()
    {
        var source = new Core.TopicPartition(Workload.Calendar, 0);
        // A known limit: before the store knows a record of the topic, nothing tells that another one stands in its place.
        var isKnown = cluster.Store.Sources([]).Any(row => row.Partition == source && row.Position.HasWitness);
        if (cluster.Log.End(source) > 0 && !isKnown) return;
        World.Note($"{source} is deleted with {cluster.Log.End(source)} records and made again");
        cluster.Log.Recreate(source);
        foreach (var process in cluster.Alive) process.Landed(source);
    }

    // An operator looks for the owner of a station; the order reaches it a moment later, in whatever epoch it is then.
    private void Steer()
    {
        var station = $"S{World.Random.Next(1, cluster.Scenario.Stations + 1)}";
        var shard = new Core.ShardId(Core.Records.Murmur2.Partition(station, cluster.Settings.ShardCount));
        var owner = cluster.Alive.FirstOrDefault(process => !process.IsFrozen && process.Core.Find(shard) is not null);
        if (owner?.Core.Find(shard) is not { } found) return;
        var order = new Core.Nodes.StationOrdered(++orders, shard, found.Epoch, station, (Core.Shards.StationOrder)World.Random.Next(1, 4), "sim");
        World.Note($"{owner.Name} is told to {order.Order} {station}, order {order.Number}");
        World.After(World.Between(0, 300), () => owner.Tell(order));
    }

    private void SetClock()
    {
        var node = World.Random.Next(cluster.Scenario.Nodes);
        cluster.SetClock(node, World.Random.Next(3) == 0 ? 0 : World.Between(-30_000, 30_000));
    }

    private SimulatedProcess? AnyProcess()
    {
        var alive = cluster.Alive.ToList();
        return alive.Count == 0 ? null : alive[World.Random.Next(alive.Count)];
    }

    private void Repeat(int everyMs, Action strike)
    {
        if (everyMs == 0) return;
        World.After(World.Between(everyMs / 2, everyMs * 2), () =>
        {
            if (cluster.Faults == Faults.None) return;
            strike();
            Repeat(everyMs, strike);
        });
    }
}
