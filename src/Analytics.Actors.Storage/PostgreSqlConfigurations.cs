using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>
/// Versions of the configuration and grants, shared by all nodes. What writes runs inside a transaction whose first statement
/// locks the store's row: a change of the configuration alone, raises of grants side by side. What is read after it is what
/// has committed by then.
/// </summary>
internal static class PostgreSqlConfigurations
{
    public static async Task<ConfigurationVersion?> ReadAsync(NpgsqlConnection connection, long? number) => (await connection.QueryAsync(
        "SELECT number, text, applied_by, applied_ms, comment FROM configuration WHERE number = coalesce(nullif($1, 0), (SELECT max(number) FROM configuration))",
        row => new ConfigurationVersion(row.GetInt64(0), row.GetString(1), row.GetString(2), row.GetInt64(3), row.GetString(4)), number ?? 0L).ConfigureAwait(false)).SingleOrDefault();

    public static async Task<IReadOnlyList<ConfigurationVersion>> ListAsync(NpgsqlConnection connection) => await connection.QueryAsync(
        "SELECT number, applied_by, applied_ms, comment FROM configuration ORDER BY number DESC",
        row => new ConfigurationVersion(row.GetInt64(0), "", row.GetString(1), row.GetInt64(2), row.GetString(3))).ConfigureAwait(false);

    public static async Task<ConfigurationOutcome> ApplyAsync(NpgsqlConnection connection, ConfigurationChange change)
    {
        await connection.RunAsync("SELECT 1 FROM store FOR NO KEY UPDATE").ConfigureAwait(false);
        var current = await CurrentAsync(connection).ConfigureAwait(false);
        if (current != change.Expected) return new ConfigurationOutcome(false, current);
        if (change.Reroutes && current > 0)
        {
            // A partition that was read before there were grants has none yet.
            await connection.RunAsync(
                """
                INSERT INTO rules_from (topic, partition, incarnation, version, from_offset)
                SELECT topic, partition, incarnation, $1, 0 FROM source
                WHERE NOT EXISTS (SELECT 1 FROM source_grant AS g WHERE g.topic = source.topic AND g.partition = source.partition AND g.incarnation = source.incarnation)
                """, current).ConfigureAwait(false);
            await connection.RunAsync(
                """
                INSERT INTO source_grant (topic, partition, incarnation, granted)
                SELECT topic, partition, incarnation, greatest(next_offset, 0) FROM source ON CONFLICT DO NOTHING
                """).ConfigureAwait(false);
            await connection.RunAsync(
                """
                INSERT INTO rules_from (topic, partition, incarnation, version, from_offset)
                SELECT topic, partition, incarnation, $1, granted FROM source_grant
                """, current + 1).ConfigureAwait(false);
        }

        await connection.RunAsync("INSERT INTO configuration (number, text, applied_by, applied_ms, comment) VALUES ($1, $2, $3, $4, $5)",
            current + 1, change.Text, change.By, change.AppliedMs, change.Comment).ConfigureAwait(false);
        return new ConfigurationOutcome(true, current + 1);
    }

    public static async Task<IReadOnlyList<SourceGrant>> RaiseAsync(NpgsqlConnection connection, IReadOnlyList<GrantRequest> requests, long known)
    {
        // In one order everywhere, so that two nodes never wait for each other's rows.
        var asked = requests.OrderBy(request => request.Partition).ThenBy(request => request.Incarnation).ToList();
        object[] keys = [asked.Select(request => request.Partition.Topic).ToArray(), asked.Select(request => request.Partition.Partition).ToArray(), asked.Select(request => request.Incarnation).ToArray()];
        await connection.RunAsync("SELECT 1 FROM store FOR SHARE").ConfigureAwait(false);
        // A partition's first list is the current version.
        await connection.RunAsync(
            """
            INSERT INTO rules_from (topic, partition, incarnation, version, from_offset)
            SELECT topic, partition, incarnation, number, 0
            FROM unnest($1, $2, $3) AS a(topic, partition, incarnation), (SELECT max(number) AS number FROM configuration) AS c
            WHERE number <= $4 AND NOT EXISTS (SELECT 1 FROM rules_from AS r WHERE r.topic = a.topic AND r.partition = a.partition AND r.incarnation = a.incarnation)
            ORDER BY topic, partition, incarnation
            ON CONFLICT DO NOTHING
            """, [.. keys, known]).ConfigureAwait(false);
        await connection.RunAsync(
            """
            INSERT INTO source_grant (topic, partition, incarnation, granted)
            SELECT topic, partition, incarnation, up_to FROM unnest($1, $2, $3, $4) AS a(topic, partition, incarnation, up_to)
            WHERE (SELECT max(version) FROM rules_from AS r WHERE r.topic = a.topic AND r.partition = a.partition AND r.incarnation = a.incarnation) <= $5
            ORDER BY topic, partition, incarnation
            ON CONFLICT (topic, partition, incarnation) DO UPDATE SET granted = greatest(source_grant.granted, excluded.granted)
            """, [.. keys, asked.Select(request => request.UpTo).ToArray(), known]).ConfigureAwait(false);
        var current = await CurrentAsync(connection).ConfigureAwait(false);
        var read = (await ReadAsync(connection, "WHERE (topic, partition, incarnation) IN (SELECT * FROM unnest($1, $2, $3))", keys).ConfigureAwait(false)).ToDictionary(grant => (grant.Partition, grant.Incarnation));
        return requests.Select(request => read.GetValueOrDefault((request.Partition, request.Incarnation))
            ?? new SourceGrant(request.Partition, request.Incarnation, 0, [new RulesFrom(current, 0)])).ToList();
    }

    public static Task<IReadOnlyList<SourceGrant>> ReadGrantsAsync(NpgsqlConnection connection) => ReadAsync(connection, "", []);

    // Each statement sees what has committed by then: grants first, because a grant never comes without its list.
    private static async Task<IReadOnlyList<SourceGrant>> ReadAsync(NpgsqlConnection connection, string which, object[] keys)
    {
        var grants = await connection.QueryAsync($"SELECT topic, partition, incarnation, granted FROM source_grant {which} ORDER BY topic, partition, incarnation",
            row => (Partition: new TopicPartition(row.GetString(0), row.GetInt32(1)), Incarnation: row.GetInt32(2), Granted: row.GetInt64(3)), keys).ConfigureAwait(false);
        var rules = (await connection.QueryAsync($"SELECT topic, partition, incarnation, version, from_offset FROM rules_from {which} ORDER BY version",
            row => (Key: (new TopicPartition(row.GetString(0), row.GetInt32(1)), row.GetInt32(2)), Rules: new RulesFrom(row.GetInt64(3), row.GetInt64(4))), keys).ConfigureAwait(false))
            .ToLookup(row => row.Key, row => row.Rules);
        return grants.ConvertAll(row => new SourceGrant(row.Partition, row.Incarnation, row.Granted, [.. rules[(row.Partition, row.Incarnation)]]));
    }

    private static async Task<long> CurrentAsync(NpgsqlConnection connection) =>
        (await connection.QueryAsync("SELECT coalesce(max(number), 0) FROM configuration", row => row.GetInt64(0)).ConfigureAwait(false)).Single();
}
