using System.Diagnostics.CodeAnalysis;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// How long shards took to come and to go. Assignments and revocations are noted on the ownership's thread, the rest on the
/// shards' own.
/// </summary>
internal sealed class ShardMoves(NodeObserver observer, TimeProvider time)
{
    private readonly Lock gate = new();
    private readonly Dictionary<ShardId, long> coming = [];
    private readonly Dictionary<ShardId, long> going = [];
    private readonly HashSet<ShardId> running = [];
    private readonly List<string> unfinished = [];

    /// <summary>What was not finished of the shards that were released, one line each.</summary>
    public IReadOnlyList<string> Unfinished
    {
        get
        {
            lock (gate) return [.. unfinished];
        }
    }

    public void Assigned(IEnumerable<ShardId> shards)
    {
        lock (gate)
        {
            foreach (var shard in shards)
                if (!running.Contains(shard) || going.ContainsKey(shard)) coming[shard] = time.GetTimestamp();
        }
    }

    public void Revoked(IEnumerable<ShardId> shards)
    {
        lock (gate)
        {
            foreach (var shard in shards) going[shard] = time.GetTimestamp();
        }
    }

    /// <summary>A takeover begins, if it did not with the assignment: a shard that was fenced, or whose positions are checked.</summary>
    public void TakingOver(ShardId shard)
    {
        lock (gate)
        {
            running.Remove(shard);
            coming.TryAdd(shard, time.GetTimestamp());
        }
    }

    /// <summary>The shard begins to read one of its logs; with the first of them it has been taken over.</summary>
    public void Reads(ShardId shard)
    {
        TimeSpan took;
        lock (gate)
        {
            if (!running.Add(shard)) return;
            if (!Elapsed(coming, shard, out var elapsed)) return;
            took = elapsed.Value;
        }

        observer.ShardTakenOver(shard, took);
    }

    public void Fenced(ShardFenced fenced)
    {
        lock (gate) running.Remove(fenced.Shard);
        observer.ShardFenced(fenced.Shard, fenced.Epoch);
    }

    public void Released(ReleaseShard release)
    {
        TimeSpan? took;
        bool wasRunning;
        lock (gate)
        {
            wasRunning = running.Remove(release.Shard);
            took = Elapsed(going, release.Shard, out var elapsed) ? elapsed : null;
            if (release.CallsUnfinished + release.OutputsUnsent > 0) unfinished.Add(Explain(release));
        }

        observer.ShardReleased(release, wasRunning, took);
    }

    public static string Explain(ReleaseShard release) =>
        $"shard {release.Shard}: {Count(release.CallsUnfinished, "call")} still ran, {Count(release.OutputsUnsent, "output")} not acknowledged by the brokers; its next owner goes on with them";

    private static string Count(int count, string what) => $"{count} {what}{(count == 1 ? "" : "s")}";

    private bool Elapsed(Dictionary<ShardId, long> since, ShardId shard, [NotNullWhen(true)] out TimeSpan? elapsed)
    {
        elapsed = since.Remove(shard, out var begun) ? time.GetElapsedTime(begun) : null;
        return elapsed is not null;
    }
}
