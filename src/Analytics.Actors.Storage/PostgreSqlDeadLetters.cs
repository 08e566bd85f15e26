using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>The rows of dead letters: what checkpoints write of them, and what people look for.</summary>
internal static class PostgreSqlDeadLetters
{
    private const string Columns = """
        shard, number, topic, partition, incarnation, record_offset, item_index, station, reason, detail, form,
        record_timestamp_ms, time_ms, length, checksum, replay_of_shard, replay_of_number, state, changed_by, changed_ms
        """;

    /// <summary>The new letters of some checkpoints.</summary>
    public static void Add(NpgsqlBatch batch, IReadOnlyList<DeadLetter> letters) => batch.Add(
        $"""
        INSERT INTO dead_letter ({Columns}, bytes)
        SELECT shard, number, topic, partition, incarnation, record_offset, item_index, station, reason, detail, form,
            record_timestamp_ms, time_ms, length, checksum, replay_of_shard, replay_of_number, {(int)DeadLetterState.Open}, '', 0, bytes
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) AS given
            (shard, number, topic, partition, incarnation, record_offset, item_index, station, reason, detail, form,
            record_timestamp_ms, time_ms, length, checksum, replay_of_shard, replay_of_number, bytes)
        """,
        letters.Select(letter => letter.Id!.Value.Shard.Value).ToList(), letters.Select(letter => letter.Id!.Value.Number).ToList(),
        letters.Select(letter => letter.Source.Topic).ToList(), letters.Select(letter => letter.Source.Partition).ToList(),
        letters.Select(letter => letter.Source.Incarnation).ToList(), letters.Select(letter => letter.Offset).ToList(), letters.Select(letter => letter.Index).ToList(),
        letters.Select(letter => PostgreSqlCommands.Utf8.GetBytes(letter.Station)).ToList(), letters.Select(letter => letter.Reason.Code).ToList(),
        letters.Select(letter => PostgreSqlCommands.Utf8.GetBytes(letter.Reason.Detail)).ToList(), letters.Select(letter => (short)letter.Form).ToList(),
        letters.Select(letter => letter.RecordTimestampMs).ToList(), letters.Select(letter => letter.TimeMs).ToList(),
        letters.Select(letter => letter.Length).ToList(), letters.Select(letter => (long)letter.Checksum).ToList(),
        letters.Select(letter => letter.ReplayOf?.Shard.Value).ToList(), letters.Select(letter => letter.ReplayOf?.Number).ToList(),
        letters.Select(letter => letter.Bytes.ToArray()).ToList());

    /// <summary>What one checkpoint changes and deletes, after its new letters.</summary>
    public static void Change(NpgsqlBatch batch, ShardCheckpoint checkpoint)
    {
        foreach (var change in checkpoint.LettersChanged)
        {
            batch.Add(
                "UPDATE dead_letter SET state = $3, changed_by = $4, changed_ms = $5 WHERE shard = $1 AND number = $2",
                checkpoint.Shard.Value, change.Number, (short)change.State, change.By, change.TimeMs);
        }

        if (checkpoint.LettersExpired is not { } expired) return;
        batch.Add(
            "DELETE FROM dead_letter WHERE shard = $1 AND number IN (SELECT number FROM dead_letter WHERE shard = $1 AND number < $2 ORDER BY number LIMIT $3)",
            checkpoint.Shard.Value, expired.BelowNumber, expired.Most);
        if (expired.BeforeMs == long.MinValue) return;
        batch.Add(
            "DELETE FROM dead_letter WHERE shard = $1 AND number IN (SELECT number FROM dead_letter WHERE shard = $1 AND time_ms < $2 ORDER BY number LIMIT $3)",
            checkpoint.Shard.Value, expired.BeforeMs, expired.Most);
    }

    public static async Task<IReadOnlyList<StoredDeadLetter>> ListAsync(NpgsqlConnection connection, DeadLetterFilter filter, DeadLetterId? after, int limit)
    {
        List<object> parameters = [limit];
        var conditions = Conditions(filter, parameters);
        if (after is { } last)
        {
            parameters.AddRange([last.Shard.Value, last.Number]);
            conditions += $" AND (time_ms, shard, number) < (SELECT time_ms, shard, number FROM dead_letter WHERE shard = ${parameters.Count - 1} AND number = ${parameters.Count})";
        }

        return await connection.QueryAsync(
            $"SELECT {Columns} FROM dead_letter WHERE {conditions} ORDER BY time_ms DESC, shard DESC, number DESC LIMIT $1",
            row => Letter(row, default), [.. parameters]).ConfigureAwait(false);
    }

    public static async Task<IReadOnlyList<StoredDeadLetter>> ReadAsync(NpgsqlConnection connection, ShardId shard, DeadLetterFilter filter, long above, int limit)
    {
        List<object> parameters = [limit, shard.Value, above];
        var conditions = Conditions(filter, parameters);
        return await connection.QueryAsync(
            $"SELECT {Columns}, bytes FROM dead_letter WHERE shard = $2 AND number > $3 AND {conditions} ORDER BY number LIMIT $1",
            row => Letter(row, row.Bytes(20)), [.. parameters]).ConfigureAwait(false);
    }

    private static string Conditions(DeadLetterFilter filter, List<object> parameters)
    {
        var conditions = "true";
        void Add(string condition, object? value)
        {
            if (value is null) return;
            parameters.Add(value);
            conditions += $" AND {condition} ${parameters.Count}";
        }

        Add("topic =", filter.Topic);
        Add("reason =", filter.Reason);
        Add("station =", filter.Station is { } station ? PostgreSqlCommands.Utf8.GetBytes(station) : null);
        Add("time_ms >=", filter.SinceMs);
        Add("time_ms <", filter.UntilMs);
        Add("state =", (short?)filter.State);
        return conditions;
    }

    private static StoredDeadLetter Letter(NpgsqlDataReader row, ReadOnlyMemory<byte> bytes) => new(
        new DeadLetter(
            new SourcePartition(row.GetString(2), row.GetInt32(4), row.GetInt32(3)), row.GetInt64(5), row.GetInt32(6), row.Key(7),
            new Rejection(row.GetString(8), row.Key(9)), bytes, row.GetInt64(13), (uint)row.GetInt64(14), row.GetInt64(12))
        {
            Id = new DeadLetterId(new ShardId(row.GetInt32(0)), row.GetInt64(1)),
            Form = (RejectedForm)row.GetInt16(10),
            RecordTimestampMs = row.GetInt64(11),
            ReplayOf = row.IsDBNull(15) ? null : new DeadLetterId(new ShardId(row.GetInt32(15)), row.GetInt64(16)),
        },
        (DeadLetterState)row.GetInt16(17), row.GetString(18), row.GetInt64(19));
}
