using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>What all nodes share beside the shards: source partitions and pinned rules. Each method runs inside a transaction.</summary>
internal static class PostgreSqlSources
{
    /// <summary>
    /// Writes the changed ones, by the rule of <see cref="SourceState.MayReplace"/>. In one order everywhere, so that two nodes
    /// never wait for each other's rows.
    /// </summary>
    public static async Task UpsertAsync(NpgsqlConnection connection, IReadOnlyList<SourceState> changed)
    {
        await using var batch = connection.CreateBatch();
        foreach (var source in changed.OrderBy(source => source.Partition))
        {
            batch.Add(
                """
                INSERT INTO source (topic, partition, partition_count, incarnation, gap_from, gap_to, gap_reason, gap_at_ms,
                    next_offset, last_timestamp_ms, last_checksum, is_wanted)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                ON CONFLICT (topic, partition) DO UPDATE SET partition_count = excluded.partition_count, incarnation = excluded.incarnation,
                    gap_from = excluded.gap_from, gap_to = excluded.gap_to, gap_reason = excluded.gap_reason, gap_at_ms = excluded.gap_at_ms,
                    next_offset = excluded.next_offset, last_timestamp_ms = excluded.last_timestamp_ms,
                    last_checksum = excluded.last_checksum, is_wanted = excluded.is_wanted
                WHERE excluded.incarnation > source.incarnation OR (excluded.incarnation = source.incarnation AND NOT excluded.is_wanted)
                """,
                source.Partition.Topic, source.Partition.Partition, source.PartitionCount, source.Incarnation, source.GapFrom, source.GapTo, source.GapReason, source.GapAtMs,
                source.Next, source.LastTimestampMs, (long)source.LastChecksum, source.IsWanted);
        }

        await batch.ExecuteNonQueryAsync(CancellationToken.None).ConfigureAwait(false);
    }

    public static async Task<IReadOnlyList<SourceState>> ReadAllAsync(NpgsqlConnection connection) => await connection.QueryAsync(
        """
        SELECT topic, partition, partition_count, incarnation, gap_from, gap_to, gap_reason, gap_at_ms,
            next_offset, last_timestamp_ms, last_checksum, is_wanted
        FROM source ORDER BY topic, partition
        """,
        row => new SourceState(
            new TopicPartition(row.GetString(0), row.GetInt32(1)), row.GetInt32(2), row.GetInt32(3),
            row.GetInt64(4), row.GetInt64(5), row.GetString(6))
        {
            GapAtMs = row.GetInt64(7),
            Next = row.GetInt64(8),
            LastTimestampMs = row.GetInt64(9),
            LastChecksum = (uint)row.GetInt64(10),
            IsWanted = row.GetBoolean(11),
        }).ConfigureAwait(false);

    public static async Task<IReadOnlyList<ChangedRule>> PinRulesAsync(NpgsqlConnection connection, IReadOnlyList<RoutingRule> rules)
    {
        await PostgreSqlSchema.LockForStartAsync(connection).ConfigureAwait(false);
        var stored = (await connection.QueryAsync("SELECT name, rule FROM routing_rule", row => (Name: row.GetString(0), Rule: row.GetString(1))).ConfigureAwait(false))
            .ToDictionary(row => row.Name, row => row.Rule, StringComparer.Ordinal);
        var changed = rules.Where(rule => stored.TryGetValue(rule.Name, out var known) && known != rule.Rule)
            .Select(rule => new ChangedRule(rule.Name, stored[rule.Name], rule.Rule)).ToList();
        if (changed.Count > 0) return changed;
        foreach (var rule in rules.Where(rule => !stored.ContainsKey(rule.Name)))
        {
            await connection.RunAsync("INSERT INTO routing_rule (name, rule) VALUES ($1, $2)", rule.Name, rule.Rule).ConfigureAwait(false);
        }

        return changed;
    }
}
