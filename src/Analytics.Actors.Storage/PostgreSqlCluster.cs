using Analytics.Actors.Core;
using Analytics.Actors.Core.Cluster;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>The rows of nodes and of what happened to them. Methods that write run inside a transaction.</summary>
internal static class PostgreSqlCluster
{
    // The time of the statement, not of the transaction's beginning, which may have waited for a lock since.
    private const string NowMs = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

    public static async Task<IReadOnlyList<NodeRow>> RegisterAsync(NpgsqlConnection connection, NodeEntry entry)
    {
        var load = entry.Load;
        await connection.RunAsync(
            $"""
            INSERT INTO cluster_node (node, session, address, version, roles, state, started_ms, shards, records_per_second, calls_running,
                cpu_share, memory_bytes, configuration_version, seen_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, {NowMs})
            ON CONFLICT (node) DO UPDATE SET
                superseded = CASE WHEN cluster_node.session = excluded.session THEN cluster_node.superseded
                    ELSE left(cluster_node.session || ' ' || cluster_node.superseded, {ClusterRows.SupersededMax}) END,
                session = excluded.session, address = excluded.address, version = excluded.version, roles = excluded.roles, state = excluded.state,
                started_ms = excluded.started_ms, shards = excluded.shards, records_per_second = excluded.records_per_second,
                calls_running = excluded.calls_running, cpu_share = excluded.cpu_share, memory_bytes = excluded.memory_bytes,
                configuration_version = excluded.configuration_version, seen_ms = excluded.seen_ms
            WHERE CASE WHEN cluster_node.session = excluded.session THEN cluster_node.state <> {(int)NodeState.Down}
                ELSE strpos(cluster_node.superseded, excluded.session) = 0 END
            """,
            entry.Node, entry.Session, entry.Address, entry.Version, ClusterRows.Join(entry.Roles), (short)entry.State, entry.StartedMs, entry.Shards,
            load.RecordsPerSecond, load.CallsRunning, load.CpuShare, load.MemoryBytes, entry.ConfigurationVersion).ConfigureAwait(false);
        return await ReadNodesAsync(connection).ConfigureAwait(false);
    }

    public static async Task<IReadOnlyList<NodeRow>> ReadNodesAsync(NpgsqlConnection connection) => await connection.QueryAsync(
        $"""
        SELECT node, session, address, version, roles, state, started_ms, shards, records_per_second, calls_running,
            cpu_share, memory_bytes, configuration_version, greatest(0, {NowMs} - seen_ms)
        FROM cluster_node ORDER BY node
        """,
        row => new NodeRow(
            new NodeEntry(
                row.GetString(0), row.GetString(1), row.GetString(2), row.GetString(3), ClusterRows.Split(row.GetString(4)), (NodeState)row.GetInt16(5), row.GetInt64(6), row.GetInt32(7),
                new NodeLoad(row.GetDouble(8), row.GetInt32(9), row.GetDouble(10), row.GetInt64(11)), row.GetInt64(12)),
            row.GetInt64(13))).ConfigureAwait(false);

    public static async Task<IReadOnlyList<ShardOwnerRow>> ReadOwnersAsync(NpgsqlConnection connection) => await connection.QueryAsync(
        "SELECT shard, CASE WHEN released THEN '' ELSE owner END, epoch, released FROM shard ORDER BY shard",
        row => new ShardOwnerRow(new ShardId(row.GetInt32(0)), row.GetString(1), new Epoch(row.GetInt64(2)), row.GetBoolean(3))).ConfigureAwait(false);

    public static async Task<IReadOnlyList<ShardId>> FenceAsync(NpgsqlConnection connection, string node, string by)
    {
        // In the order in which a group commit takes its locks, or the two could wait for each other.
        await connection.RunAsync("SELECT 1 FROM shard WHERE owner = $1 ORDER BY shard FOR NO KEY UPDATE", node).ConfigureAwait(false);
        // Released stays as it is: a shard that was not released in order is still one whose calls may have to be counted.
        var fenced = (await connection.QueryAsync(
            "UPDATE shard SET epoch = epoch + 1, owner = '' WHERE owner = $1 RETURNING shard", row => new ShardId(row.GetInt32(0)), node).ConfigureAwait(false)).Order().ToList();
        await connection.RunAsync($"UPDATE cluster_node SET state = {(int)NodeState.Down} WHERE node = $1 AND state <> {(int)NodeState.Left}", node).ConfigureAwait(false);
        await AppendAsync(connection, [ClusterEvent.Down(node, by, fenced)]).ConfigureAwait(false);
        return fenced;
    }

    public static async Task<int> AppendAsync(NpgsqlConnection connection, IReadOnlyList<ClusterEvent> events)
    {
        // Numbers are given before the commit: without the lock a reader could see 11 before 10, and never look for 10 again.
        await connection.RunAsync("LOCK TABLE cluster_event IN SHARE ROW EXCLUSIVE MODE").ConfigureAwait(false);
        await connection.RunAsync(
            $"""
            INSERT INTO cluster_event (at_ms, kind, node, shard, duration_ms, ordered_by, detail)
            SELECT {NowMs}, kind, node, shard, duration_ms, ordered_by, detail
            FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY AS given (kind, node, shard, duration_ms, ordered_by, detail, place) ORDER BY place
            """,
            events.Select(happened => happened.Kind).ToList(), events.Select(happened => happened.Node).ToList(),
            events.Select(happened => happened.Shard?.Value).ToList(), events.Select(happened => happened.DurationMs).ToList(),
            events.Select(happened => PostgreSqlCommands.Utf8.GetBytes(happened.By)).ToList(),
            events.Select(happened => PostgreSqlCommands.Utf8.GetBytes(happened.Detail)).ToList()).ConfigureAwait(false);
        return await connection.RunAsync($"DELETE FROM cluster_event WHERE number <= (SELECT max(number) FROM cluster_event) - {ClusterEvent.Kept}").ConfigureAwait(false);
    }

    public static async Task<IReadOnlyList<NumberedEvent>> ReadEventsAsync(NpgsqlConnection connection, long? after, int limit)
    {
        const string Columns = "number, at_ms, kind, node, shard, duration_ms, ordered_by, detail";
        static NumberedEvent Event(NpgsqlDataReader row) => new(
            row.GetInt64(0), row.GetInt64(1),
            new ClusterEvent(
                row.GetString(2), row.GetString(3), row.IsDBNull(4) ? null : new ShardId(row.GetInt32(4)), row.IsDBNull(5) ? null : row.GetInt64(5), row.Key(6), row.Key(7)));
        return after is { } last
            ? await connection.QueryAsync($"SELECT {Columns} FROM cluster_event WHERE number > $2 ORDER BY number LIMIT $1", Event, limit, last).ConfigureAwait(false)
            : await connection.QueryAsync($"SELECT * FROM (SELECT {Columns} FROM cluster_event ORDER BY number DESC LIMIT $1) AS newest ORDER BY number", Event, limit).ConfigureAwait(false);
    }
}
