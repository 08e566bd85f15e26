using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Storage;

/// <summary>What the store knows of source partitions, shared by all nodes.</summary>
internal static class SqliteSources
{
    /// <summary>
    /// Writes the changed ones, by the rule of <see cref="SourceState.MayReplace"/>: a node that has not yet heard of a
    /// recreated topic would otherwise put the old incarnation back, and marks would swallow new records.
    /// </summary>
    public static void Upsert(SqliteSession session, IReadOnlyList<SourceState> changed)
    {
        var upsert = session.Prepare("""
            INSERT INTO source (topic, partition, partition_count, incarnation, gap_from, gap_to, gap_reason, gap_at_ms,
                next_offset, last_timestamp_ms, last_checksum, is_wanted)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
            ON CONFLICT DO UPDATE SET partition_count = excluded.partition_count, incarnation = excluded.incarnation,
                gap_from = excluded.gap_from, gap_to = excluded.gap_to, gap_reason = excluded.gap_reason, gap_at_ms = excluded.gap_at_ms,
                next_offset = excluded.next_offset, last_timestamp_ms = excluded.last_timestamp_ms,
                last_checksum = excluded.last_checksum, is_wanted = excluded.is_wanted
            WHERE excluded.incarnation > source.incarnation OR (excluded.incarnation = source.incarnation AND NOT excluded.is_wanted)
            """);
        foreach (var source in changed)
        {
            upsert.Bind(1, source.Partition.Topic).Bind(2, source.Partition.Partition).Bind(3, source.PartitionCount)
                .Bind(4, source.Incarnation).Bind(5, source.GapFrom).Bind(6, source.GapTo).Bind(7, source.GapReason).Bind(8, source.GapAtMs)
                .Bind(9, source.Next).Bind(10, source.LastTimestampMs).Bind(11, source.LastChecksum).Bind(12, source.IsWanted ? 1 : 0).Execute();
        }
    }

    public static List<SourceState> ReadAll(SqliteSession session) =>
        session.Prepare("""
            SELECT topic, partition, partition_count, incarnation, gap_from, gap_to, gap_reason, gap_at_ms,
                next_offset, last_timestamp_ms, last_checksum, is_wanted
            FROM source ORDER BY topic, partition
            """)
            .Read(row => new SourceState(
                new TopicPartition(row.Text(0), (int)row.Integer(1)), (int)row.Integer(2), (int)row.Integer(3),
                row.Integer(4), row.Integer(5), row.Text(6))
            {
                GapAtMs = row.Integer(7),
                Next = row.Integer(8),
                LastTimestampMs = row.Integer(9),
                LastChecksum = (uint)row.Integer(10),
                IsWanted = row.Integer(11) != 0,
            });
}
