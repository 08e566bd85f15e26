using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Storage;

/// <summary>Versions of the configuration and grants, shared by all nodes. What writes runs inside a write transaction, of which there is one at a time.</summary>
internal static class SqliteConfigurations
{
    public static ConfigurationVersion? Read(SqliteSession session, long? number) =>
        session.Prepare("SELECT number, text, applied_by, applied_ms, comment FROM configuration WHERE number = ?1")
            .Bind(1, number ?? Current(session))
            .Read(row => new ConfigurationVersion(row.Integer(0), row.Text(1), row.Text(2), row.Integer(3), row.Text(4))).SingleOrDefault();

    public static List<ConfigurationVersion> List(SqliteSession session) =>
        session.Prepare("SELECT number, applied_by, applied_ms, comment FROM configuration ORDER BY number DESC")
            .Read(row => new ConfigurationVersion(row.Integer(0), "", row.Text(1), row.Integer(2), row.Text(3)));

    public static ConfigurationOutcome Apply(SqliteSession session, ConfigurationChange change)
    {
        var current = Current(session);
        if (current != change.Expected) return new ConfigurationOutcome(false, current);
        if (change.Reroutes && current > 0)
        {
            // A partition that was read before there were grants has none yet.
            session.Prepare("""
                INSERT INTO rules_from (topic, partition, incarnation, version, from_offset)
                SELECT topic, partition, incarnation, ?1, 0 FROM source
                WHERE NOT EXISTS (SELECT 1 FROM source_grant AS g WHERE g.topic = source.topic AND g.partition = source.partition AND g.incarnation = source.incarnation)
                """).Bind(1, current).Execute();
            session.Prepare("""
                INSERT INTO source_grant (topic, partition, incarnation, granted)
                SELECT topic, partition, incarnation, max(next_offset, 0) FROM source WHERE true
                ON CONFLICT DO NOTHING
                """).Execute();
            session.Prepare("""
                INSERT INTO rules_from (topic, partition, incarnation, version, from_offset)
                SELECT topic, partition, incarnation, ?1, granted FROM source_grant
                """).Bind(1, current + 1).Execute();
        }

        session.Prepare("INSERT INTO configuration (number, text, applied_by, applied_ms, comment) VALUES (?1, ?2, ?3, ?4, ?5)")
            .Bind(1, current + 1).Bind(2, change.Text).Bind(3, change.By).Bind(4, change.AppliedMs).Bind(5, change.Comment).Execute();
        return new ConfigurationOutcome(true, current + 1);
    }

    public static List<SourceGrant> Raise(SqliteSession session, IReadOnlyList<GrantRequest> requests, long known)
    {
        var current = Current(session);
        var read = session.Prepare("SELECT version, from_offset FROM rules_from WHERE topic = ?1 AND partition = ?2 AND incarnation = ?3 ORDER BY version");
        var begin = session.Prepare("INSERT INTO rules_from (topic, partition, incarnation, version, from_offset) VALUES (?1, ?2, ?3, ?4, 0)");
        var raise = session.Prepare("""
            INSERT INTO source_grant (topic, partition, incarnation, granted) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET granted = max(granted, excluded.granted)
            """);
        var granted = session.Prepare("SELECT granted FROM source_grant WHERE topic = ?1 AND partition = ?2 AND incarnation = ?3");
        List<SourceGrant> grants = [];
        foreach (var request in requests)
        {
            SqliteStatement Of(SqliteStatement statement) => statement.Bind(1, request.Partition.Topic).Bind(2, request.Partition.Partition).Bind(3, request.Incarnation);
            var rules = Of(read).Read(row => new RulesFrom(row.Integer(0), row.Integer(1)));
            var isNew = rules.Count == 0;
            if (isNew) rules.Add(new RulesFrom(current, 0));
            if (rules[^1].Version <= known)
            {
                if (isNew) Of(begin).Bind(4, current).Execute();
                Of(raise).Bind(4, request.UpTo).Execute();
            }

            grants.Add(new SourceGrant(request.Partition, request.Incarnation, Of(granted).Read(row => row.Integer(0)).SingleOrDefault(), rules));
        }

        return grants;
    }

    public static List<SourceGrant> ReadGrants(SqliteSession session)
    {
        var rules = session.Prepare("SELECT topic, partition, incarnation, version, from_offset FROM rules_from ORDER BY version")
            .Read(row => (Key: (new TopicPartition(row.Text(0), (int)row.Integer(1)), (int)row.Integer(2)), Rules: new RulesFrom(row.Integer(3), row.Integer(4))))
            .ToLookup(row => row.Key, row => row.Rules);
        return session.Prepare("SELECT topic, partition, incarnation, granted FROM source_grant ORDER BY topic, partition, incarnation")
            .Read(row => (Partition: new TopicPartition(row.Text(0), (int)row.Integer(1)), Incarnation: (int)row.Integer(2), Granted: row.Integer(3)))
            .ConvertAll(row => new SourceGrant(row.Partition, row.Incarnation, row.Granted, [.. rules[(row.Partition, row.Incarnation)]]));
    }

    private static long Current(SqliteSession session) =>
        session.Prepare("SELECT coalesce(max(number), 0) FROM configuration").Read(row => row.Integer(0)).Single();
}
