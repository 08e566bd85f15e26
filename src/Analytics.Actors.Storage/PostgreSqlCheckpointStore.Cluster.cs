using Analytics.Actors.Core;
using Analytics.Actors.Core.Cluster;

namespace Analytics.Actors.Storage;

// What nodes tell of themselves, on a connection of its own: long reads make no node look vanished.
partial class PostgreSqlCheckpointStore
{
    public async ValueTask<IReadOnlyList<NodeRow>> RegisterAsync(NodeEntry entry, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(registering, connection => PostgreSqlCluster.RegisterAsync(connection, entry), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<NodeRow>> ReadNodesAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, PostgreSqlCluster.ReadNodesAsync, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ShardOwnerRow>> ReadOwnersAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, PostgreSqlCluster.ReadOwnersAsync, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ShardId>> FenceNodeAsync(string node, string by, CancellationToken cancellation)
    {
        RequireOpen();
        ArgumentException.ThrowIfNullOrEmpty(node);
        return await WriteRepeatable(registering, connection => PostgreSqlCluster.FenceAsync(connection, node, by), cancellation).ConfigureAwait(false);
    }

    public async ValueTask ForgetNodeAsync(string node, CancellationToken cancellation)
    {
        RequireOpen();
        await WriteRepeatable(registering, connection => connection.RunAsync("DELETE FROM cluster_node WHERE node = $1", node), cancellation).ConfigureAwait(false);
    }

    public async ValueTask AppendEventsAsync(IReadOnlyList<ClusterEvent> events, CancellationToken cancellation)
    {
        RequireOpen();
        if (events.Count == 0) return;
        await WriteRepeatable(registering, connection => PostgreSqlCluster.AppendAsync(connection, events), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<NumberedEvent>> ReadEventsAsync(long? after, int limit, CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, connection => PostgreSqlCluster.ReadEventsAsync(connection, after, limit), cancellation).ConfigureAwait(false);
    }
}
