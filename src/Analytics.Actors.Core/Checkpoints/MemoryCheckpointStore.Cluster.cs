using Analytics.Actors.Core.Cluster;

namespace Analytics.Actors.Core.Checkpoints;

// What nodes tell of themselves.
partial class MemoryCheckpointStore
{
    private readonly SortedDictionary<string, StoredNode> nodes = new(StringComparer.Ordinal);
    private readonly Queue<NumberedEvent> events = [];
    private long lastEvent;

    private long NowMs => clockMs?.Invoke() ?? 0;

    public ValueTask<IReadOnlyList<NodeRow>> RegisterAsync(NodeEntry entry, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            if (!nodes.TryGetValue(entry.Node, out var stored)) nodes.Add(entry.Node, stored = new StoredNode { Entry = entry });
            var mayWrite = stored.Entry.Session == entry.Session ? stored.Entry.State != NodeState.Down : !stored.Superseded.Contains(entry.Session);
            if (mayWrite)
            {
                if (stored.Entry.Session != entry.Session) stored.Superseded.Add(stored.Entry.Session);
                stored.Entry = entry;
                stored.SeenMs = NowMs;
            }

            return ValueTask.FromResult(Rows());
        }
    }

    public ValueTask<IReadOnlyList<NodeRow>> ReadNodesAsync(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            return ValueTask.FromResult(Rows());
        }
    }

    public ValueTask<IReadOnlyList<ShardOwnerRow>> ReadOwnersAsync(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            return ValueTask.FromResult<IReadOnlyList<ShardOwnerRow>>([.. shards.Select((shard, number) => shard.OwnerRow(new ShardId(number)))]);
        }
    }

    public ValueTask<IReadOnlyList<ShardId>> FenceNodeAsync(string node, string by, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        ArgumentException.ThrowIfNullOrEmpty(node);
        lock (gate)
        {
            RequireOpen();
            IReadOnlyList<ShardId> fenced = [.. Enumerable.Range(0, shards.Length).Where(number => shards[number].FenceOwner(node)).Select(number => new ShardId(number))];
            if (nodes.TryGetValue(node, out var stored) && stored.Entry.State != NodeState.Left) stored.Entry = stored.Entry with { State = NodeState.Down };
            Append(ClusterEvent.Down(node, by, fenced));
            return ValueTask.FromResult(fenced);
        }
    }

    public ValueTask ForgetNodeAsync(string node, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            nodes.Remove(node);
            return ValueTask.CompletedTask;
        }
    }

    public ValueTask AppendEventsAsync(IReadOnlyList<ClusterEvent> events, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            foreach (var happened in events) Append(happened);
            return ValueTask.CompletedTask;
        }
    }

    public ValueTask<IReadOnlyList<NumberedEvent>> ReadEventsAsync(long? after, int limit, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            return ValueTask.FromResult<IReadOnlyList<NumberedEvent>>([.. after is { } last ? events.Where(happened => happened.Number > last).Take(limit) : events.TakeLast(limit)]);
        }
    }

    private void Append(ClusterEvent happened)
    {
        events.Enqueue(new NumberedEvent(++lastEvent, NowMs, happened));
        if (events.Count > ClusterEvent.Kept) events.Dequeue();
    }

    private IReadOnlyList<NodeRow> Rows() => [.. nodes.Values.Select(node => new NodeRow(node.Entry, Math.Max(0, NowMs - node.SeenMs)))];

    /// <summary>A node's row, and the sessions that another process of the same id took it from.</summary>
    private sealed class StoredNode
    {
        public required NodeEntry Entry { get; set; }
        public HashSet<string> Superseded { get; } = new(StringComparer.Ordinal);
        public long SeenMs { get; set; }
    }
}
