using Analytics.Actors.Core;
using Analytics.Actors.Core.Cluster;

namespace Analytics.Actors.Storage;

/// <summary>The rows of nodes and of what happened to them. The caller holds one transaction around each method.</summary>
internal static class SqliteCluster
{
    private const string NowMs = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";

    public static void Register(SqliteSession session, NodeEntry entry)
    {
        var load = entry.Load;
        session.Prepare($"""
            INSERT INTO cluster_node (node, session, address, version, roles, state, started_ms, shards, records_per_second, calls_running,
                cpu_share, memory_bytes, configuration_version, seen_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, {NowMs})
            ON CONFLICT DO UPDATE SET
                superseded = CASE WHEN cluster_node.session = excluded.session THEN cluster_node.superseded
                    ELSE substr(cluster_node.session || ' ' || cluster_node.superseded, 1, {ClusterRows.SupersededMax}) END,
                session = excluded.session, address = excluded.address, version = excluded.version, roles = excluded.roles, state = excluded.state,
                started_ms = excluded.started_ms, shards = excluded.shards, records_per_second = excluded.records_per_second,
                calls_running = excluded.calls_running, cpu_share = excluded.cpu_share, memory_bytes = excluded.memory_bytes,
                configuration_version = excluded.configuration_version, seen_ms = excluded.seen_ms
            WHERE CASE WHEN cluster_node.session = excluded.session THEN cluster_node.state <> {(int)NodeState.Down}
                ELSE instr(cluster_node.superseded, excluded.session) = 0 END
            """)
            .Bind(1, entry.Node).Bind(2, entry.Session).Bind(3, entry.Address).Bind(4, entry.Version).Bind(5, ClusterRows.Join(entry.Roles))
            .Bind(6, (int)entry.State).Bind(7, entry.StartedMs).Bind(8, entry.Shards).Bind(9, load.RecordsPerSecond).Bind(10, load.CallsRunning)
            .Bind(11, load.CpuShare).Bind(12, load.MemoryBytes).Bind(13, entry.ConfigurationVersion).Execute();
    }

    public static List<NodeRow> ReadNodes(SqliteSession session) =>
        session.Prepare($"""
            SELECT node, session, address, version, roles, state, started_ms, shards, records_per_second, calls_running,
                cpu_share, memory_bytes, configuration_version, max(0, {NowMs} - seen_ms)
            FROM cluster_node ORDER BY node
            """)
            .Read(row => new NodeRow(
                new NodeEntry(
                    row.Text(0), row.Text(1), row.Text(2), row.Text(3), ClusterRows.Split(row.Text(4)), (NodeState)row.Integer(5), row.Integer(6), (int)row.Integer(7),
                    new NodeLoad(row.Real(8), (int)row.Integer(9), row.Real(10), row.Integer(11)), row.Integer(12)),
                row.Integer(13)));

    public static List<ShardOwnerRow> ReadOwners(SqliteSession session) =>
        session.Prepare("SELECT shard, CASE WHEN released THEN '' ELSE owner END, epoch, released FROM shard ORDER BY shard")
            .Read(row => new ShardOwnerRow(new ShardId((int)row.Integer(0)), row.Text(1), new Epoch(row.Integer(2)), row.Integer(3) != 0));

    public static List<ShardId> Fence(SqliteSession session, string node, string by)
    {
        // Released stays as it is: a shard that was not released in order is still one whose calls may have to be counted.
        var fenced = session.Prepare("UPDATE shard SET epoch = epoch + 1, owner = '' WHERE owner = ?1 RETURNING shard").Bind(1, node)
            .Read(row => new ShardId((int)row.Integer(0))).Order().ToList();
        session.Prepare($"UPDATE cluster_node SET state = {(int)NodeState.Down} WHERE node = ?1 AND state <> {(int)NodeState.Left}").Bind(1, node).Execute();
        Append(session, [ClusterEvent.Down(node, by, fenced)]);
        return fenced;
    }

    public static void Append(SqliteSession session, IReadOnlyList<ClusterEvent> events)
    {
        var insert = session.Prepare($"INSERT INTO cluster_event (at_ms, kind, node, shard, duration_ms, ordered_by, detail) VALUES ({NowMs}, ?1, ?2, ?3, ?4, ?5, ?6)");
        foreach (var happened in events)
        {
            insert.Bind(1, happened.Kind).Bind(2, happened.Node).Bind(3, happened.Shard?.Value).Bind(4, happened.DurationMs)
                .Bind(5, happened.By).Bind(6, happened.Detail).Execute();
        }

        session.Prepare($"DELETE FROM cluster_event WHERE number <= (SELECT max(number) FROM cluster_event) - {ClusterEvent.Kept}").Execute();
    }

    public static List<NumberedEvent> ReadEvents(SqliteSession session, long? after, int limit)
    {
        const string Columns = "number, at_ms, kind, node, shard, duration_ms, ordered_by, detail";
        var rows = after is { } last
            ? session.Prepare($"SELECT {Columns} FROM cluster_event WHERE number > ?1 ORDER BY number LIMIT ?2").Bind(1, last)
            : session.Prepare($"SELECT * FROM (SELECT {Columns} FROM cluster_event ORDER BY number DESC LIMIT ?2) ORDER BY number");
        return rows.Bind(2, limit).Read(row => new NumberedEvent(
            row.Integer(0), row.Integer(1),
            new ClusterEvent(
                row.Text(2), row.Text(3), row.IsNull(4) ? null : new ShardId((int)row.Integer(4)), row.IsNull(5) ? null : row.Integer(5), row.Text(6), row.Text(7))));
    }
}

/// <summary>How a node's row is written, the same in every database.</summary>
internal static class ClusterRows
{
    /// <summary>Characters of superseded sessions that a row keeps: some fifty of them.</summary>
    public const int SupersededMax = 1_700;

    public static string Join(IReadOnlyList<string> roles) => string.Join(',', roles);

    public static IReadOnlyList<string> Split(string roles) => roles.Split(',', StringSplitOptions.RemoveEmptyEntries);
}
