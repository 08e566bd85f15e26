using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Analytics.Actors.Storage;

/// <summary>The rows of dead letters: what a checkpoint writes of them, and what people look for.</summary>
internal static class SqliteDeadLetters
{
    private const string Columns = """
        shard, number, topic, partition, incarnation, record_offset, item_index, station, reason, detail, form,
        record_timestamp_ms, time_ms, length, checksum, replay_of_shard, replay_of_number, state, changed_by, changed_ms
        """;

    // One statement for every filter: a condition that is not set holds for all rows.
    private const string Conditions = """
        (?1 IS NULL OR topic = ?1) AND (?2 IS NULL OR reason = ?2) AND (?3 IS NULL OR station = ?3)
        AND (?4 IS NULL OR time_ms >= ?4) AND (?5 IS NULL OR time_ms < ?5) AND (?6 IS NULL OR state = ?6)
        """;

    public static void Write(SqliteSession session, ShardCheckpoint checkpoint)
    {
        Add(session, checkpoint);
        var change = session.Prepare("UPDATE dead_letter SET state = ?3, changed_by = ?4, changed_ms = ?5 WHERE shard = ?1 AND number = ?2");
        foreach (var changed in checkpoint.LettersChanged)
        {
            change.Bind(1, checkpoint.Shard.Value).Bind(2, changed.Number).Bind(3, (int)changed.State).Bind(4, changed.By).Bind(5, changed.TimeMs).Execute();
        }

        if (checkpoint.LettersExpired is not { } expired) return;
        session.Prepare("""
            DELETE FROM dead_letter WHERE shard = ?1 AND number IN
                (SELECT number FROM dead_letter WHERE shard = ?1 AND number < ?2 ORDER BY number LIMIT ?3)
            """)
            .Bind(1, checkpoint.Shard.Value).Bind(2, expired.BelowNumber).Bind(3, expired.Most).Execute();
        if (expired.BeforeMs == long.MinValue) return;
        session.Prepare("""
            DELETE FROM dead_letter WHERE shard = ?1 AND number IN
                (SELECT number FROM dead_letter WHERE shard = ?1 AND time_ms < ?2 ORDER BY number LIMIT ?3)
            """)
            .Bind(1, checkpoint.Shard.Value).Bind(2, expired.BeforeMs).Bind(3, expired.Most).Execute();
    }

    public static List<StoredDeadLetter> List(SqliteSession session, DeadLetterFilter filter, DeadLetterId? after, int limit)
    {
        if (after is not { } last)
        {
            return Bind(session.Prepare($"SELECT {Columns} FROM dead_letter WHERE {Conditions} ORDER BY time_ms DESC, shard DESC, number DESC LIMIT ?7"), filter)
                .Bind(7, limit).Read(row => Letter(row, default));
        }

        return Bind(session.Prepare($"""
            SELECT {Columns} FROM dead_letter
            WHERE {Conditions} AND (time_ms, shard, number) < (SELECT time_ms, shard, number FROM dead_letter WHERE shard = ?8 AND number = ?9)
            ORDER BY time_ms DESC, shard DESC, number DESC LIMIT ?7
            """), filter)
            .Bind(7, limit).Bind(8, last.Shard.Value).Bind(9, last.Number).Read(row => Letter(row, default));
    }

    public static List<StoredDeadLetter> Read(SqliteSession session, ShardId shard, DeadLetterFilter filter, long above, int limit) =>
        Bind(session.Prepare($"SELECT {Columns}, bytes FROM dead_letter WHERE shard = ?8 AND number > ?9 AND {Conditions} ORDER BY number LIMIT ?7"), filter)
            .Bind(7, limit).Bind(8, shard.Value).Bind(9, above).Read(row => Letter(row, row.Blob(20)));

    private static void Add(SqliteSession session, ShardCheckpoint checkpoint)
    {
        if (checkpoint.LettersAdded.Count == 0) return;
        var insert = session.Prepare($"""
            INSERT INTO dead_letter ({Columns}, bytes)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, '', 0, ?19)
            """);
        foreach (var letter in checkpoint.LettersAdded)
        {
            insert.Bind(1, checkpoint.Shard.Value).Bind(2, letter.Id!.Value.Number).Bind(3, letter.Source.Topic).Bind(4, letter.Source.Partition)
                .Bind(5, letter.Source.Incarnation).Bind(6, letter.Offset).Bind(7, letter.Index).Bind(8, letter.Station)
                .Bind(9, letter.Reason.Code).Bind(10, letter.Reason.Detail).Bind(11, (int)letter.Form).Bind(12, letter.RecordTimestampMs)
                .Bind(13, letter.TimeMs).Bind(14, letter.Length).Bind(15, letter.Checksum)
                .Bind(16, letter.ReplayOf?.Shard.Value).Bind(17, letter.ReplayOf?.Number).Bind(18, (int)DeadLetterState.Open).Bind(19, letter.Bytes.ToArray());
            try
            {
                insert.Execute();
            }
            catch (SqliteException failure) when (failure.SqliteErrorCode == raw.SQLITE_CONSTRAINT)
            {
                throw new InvalidOperationException($"Shard {checkpoint.Shard} gave the id {letter.Id} to a second dead letter.", failure);
            }
        }
    }

    private static SqliteStatement Bind(SqliteStatement statement, DeadLetterFilter filter) =>
        statement.Bind(1, filter.Topic).Bind(2, filter.Reason).Bind(3, filter.Station).Bind(4, filter.SinceMs).Bind(5, filter.UntilMs).Bind(6, (long?)filter.State);

    private static StoredDeadLetter Letter(SqliteStatement row, ReadOnlyMemory<byte> bytes) => new(
        new DeadLetter(
            new SourcePartition(row.Text(2), (int)row.Integer(4), (int)row.Integer(3)), row.Integer(5), (int)row.Integer(6), row.Text(7),
            new Rejection(row.Text(8), row.Text(9)), bytes, row.Integer(13), (uint)row.Integer(14), row.Integer(12))
        {
            Id = new DeadLetterId(new ShardId((int)row.Integer(0)), row.Integer(1)),
            Form = (RejectedForm)row.Integer(10),
            RecordTimestampMs = row.Integer(11),
            ReplayOf = row.IsNull(15) ? null : new DeadLetterId(new ShardId((int)row.Integer(15)), row.Integer(16)),
        },
        (DeadLetterState)row.Integer(17), row.Text(18), row.Integer(19));
}
