using Analytics.Actors.Core;
using Analytics.Actors.Core.Cluster;

namespace Analytics.Actors.Storage;

// What nodes tell of themselves, on a connection of its own: a long checkpoint makes no node look vanished.
partial class SqliteCheckpointStore
{
    public async ValueTask<IReadOnlyList<NodeRow>> RegisterAsync(NodeEntry entry, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(registering, session => session.Write(() =>
        {
            SqliteCluster.Register(session, entry);
            return SqliteCluster.ReadNodes(session);
        }), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<NodeRow>> ReadNodesAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(SqliteCluster.ReadNodes, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ShardOwnerRow>> ReadOwnersAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(SqliteCluster.ReadOwners, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ShardId>> FenceNodeAsync(string node, string by, CancellationToken cancellation)
    {
        RequireOpen();
        ArgumentException.ThrowIfNullOrEmpty(node);
        return await WriteRepeatable(registering, session => session.Write(() => SqliteCluster.Fence(session, node, by)), cancellation).ConfigureAwait(false);
    }

    public async ValueTask ForgetNodeAsync(string node, CancellationToken cancellation)
    {
        RequireOpen();
        await WriteRepeatable(
            registering, session => session.Write(() => session.Prepare("DELETE FROM cluster_node WHERE node = ?1").Bind(1, node).Execute()), cancellation).ConfigureAwait(false);
    }

    public async ValueTask AppendEventsAsync(IReadOnlyList<ClusterEvent> events, CancellationToken cancellation)
    {
        RequireOpen();
        if (events.Count == 0) return;
        await WriteRepeatable(registering, session => session.Write(() =>
        {
            SqliteCluster.Append(session, events);
            return true;
        }), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<NumberedEvent>> ReadEventsAsync(long? after, int limit, CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(session => SqliteCluster.ReadEvents(session, after, limit), cancellation).ConfigureAwait(false);
    }
}
