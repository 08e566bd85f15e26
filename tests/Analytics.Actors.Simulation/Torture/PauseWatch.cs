using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Looks every few milliseconds who runs each shard: how long a shard that moves is run by nobody, and that one which stays
/// where it is goes on as if nothing happened.
/// </summary>
public sealed class PauseWatch(Cluster cluster)
{
    private const int EveryMs = 5;

    /// <summary>A read, its stations' rows and the decision take less than this.</summary>
    private const int StillMs = 300;

    private readonly Dictionary<ShardId, Seen> shards = [];

    /// <summary>How long nobody ran a shard that moved, ms, one per move.</summary>
    public List<long> Pauses { get; } = [];

    public void Start(long untilMs) => cluster.World.After(EveryMs, () =>
    {
        Look();
        if (cluster.World.NowMs < untilMs) Start(untilMs);
    });

    private void Look()
    {
        var now = cluster.World.NowMs;
        foreach (var process in cluster.Alive)
        {
            foreach (var (shard, phase) in process.Core.Phases)
            {
                if (phase != ShardPhase.Running || cluster.OwnerOf(shard) != process) continue;
                var running = process.Core.Find(shard)!;
                var next = running.Positions.GetValueOrDefault(running.PartsLog)?.Next ?? 0;
                var isBehind = next < cluster.Log.End(running.PartsLog);
                if (!shards.TryGetValue(shard, out var seen)) shards.Add(shard, seen = new Seen(running.Epoch, now, next, now));
                if (seen.Epoch != running.Epoch) Pauses.Add(now - seen.SeenMs);
                else if (now - seen.SeenMs > EveryMs) Report(shard, $"was not run for {now - seen.SeenMs} ms, although it stayed with {process.Name}");
                else if (isBehind && next == seen.Next && now - seen.MovedMs > StillMs) Report(shard, $"stood still for {now - seen.MovedMs} ms, although it stayed with {process.Name}");
                shards[shard] = new Seen(running.Epoch, now, next, isBehind && seen.Epoch == running.Epoch && next == seen.Next ? seen.MovedMs : now);
            }
        }
    }

    private void Report(ShardId shard, string what) => cluster.Checkers.Report(new Finding($"shard {shard} {what}", [$"shard {shard}"]));

    private sealed record Seen(Epoch Epoch, long SeenMs, long Next, long MovedMs);
}
