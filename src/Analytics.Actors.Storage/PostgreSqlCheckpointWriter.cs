using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>
/// The rows of a group of checkpoints, inside one transaction. First the fences of all shards: a shard's row changes only
/// where epoch and number are the expected ones, and nothing else of a shard is written unless it did. Then the rows of all
/// shards that passed, a statement per table, in one round trip.
/// </summary>
internal static class PostgreSqlCheckpointWriter
{
    /// <summary>What one statement carries at most, about; the server takes a message of 1 GB as a whole into memory.</summary>
    private const int StatementBytesMax = 16 * 1024 * 1024;

    public static async Task<CheckpointOutcome[]> WriteAsync(NpgsqlConnection connection, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var passed = await PassFencesAsync(connection, checkpoints).ConfigureAwait(false);
        var writing = checkpoints.Where(checkpoint => passed.Contains(checkpoint.Shard.Value)).ToList();
        CrashPoint.Reached(CrashPoint.CheckpointAfterFence);
        if (writing.Count > 0) await WriteRowsAsync(connection, writing).ConfigureAwait(false);
        CrashPoint.Reached(CrashPoint.CheckpointBeforeCommit);
        return [.. checkpoints.Select(checkpoint => passed.Contains(checkpoint.Shard.Value) ? CheckpointOutcome.Committed : CheckpointOutcome.Fenced)];
    }

    /// <summary>
    /// The shards' rows are locked in the order of their numbers before any is changed: two groups of two nodes that share
    /// shards (one of them a zombie) would otherwise wait for each other. The change then sees what was committed meanwhile
    /// (READ COMMITTED: each statement has its own snapshot), and from here on no takeover of these shards gets through
    /// before the end of the transaction. All other rows of a shard are written only under this lock.
    /// </summary>
    private static async Task<HashSet<int>> PassFencesAsync(NpgsqlConnection connection, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var shards = checkpoints.Select(checkpoint => checkpoint.Shard.Value).ToList();
        await using var batch = connection.CreateBatch();
        batch.Add("SELECT shard FROM shard WHERE shard = ANY($1) ORDER BY shard FOR NO KEY UPDATE", shards);
        batch.Add(
            """
            UPDATE shard SET checkpoint = given.checkpoint, state = given.state, released = given.released
            FROM unnest($1, $2, $3, $4, $5) AS given (shard, epoch, checkpoint, state, released)
            WHERE shard.shard = given.shard AND shard.epoch = given.epoch AND shard.checkpoint = given.checkpoint - 1
            RETURNING shard.shard
            """,
            shards,
            checkpoints.Select(checkpoint => checkpoint.Epoch.Value).ToList(),
            checkpoints.Select(checkpoint => checkpoint.Number).ToList(),
            checkpoints.Select(checkpoint => checkpoint.ShardState).ToList(),
            checkpoints.Select(checkpoint => checkpoint.Release).ToList());
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false);
        return [.. await reader.NextRowsAsync(row => row.GetInt32(0)).ConfigureAwait(false)];
    }

    private static async Task WriteRowsAsync(NpgsqlConnection connection, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        await using var batch = connection.CreateBatch();
        AddEntities(batch, checkpoints);
        AddPositions(batch, checkpoints);
        AddMarks(batch, checkpoints);
        // Removal comes first, so that an entry of this checkpoint can never be taken for one that is acknowledged.
        AddRemovals(batch, checkpoints);
        AddOutbox(batch, checkpoints);
        foreach (var letters in Parts(checkpoints.SelectMany(checkpoint => checkpoint.LettersAdded), letter => letter.Bytes.Length)) PostgreSqlDeadLetters.Add(batch, letters);
        foreach (var checkpoint in checkpoints) PostgreSqlDeadLetters.Change(batch, checkpoint);
        if (batch.BatchCommands.Count == 0) return;
        try
        {
            await batch.ExecuteNonQueryAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (PostgresException failure) when (failure is { SqlState: PostgresErrorCodes.UniqueViolation, TableName: "outbox" })
        {
            throw new InvalidOperationException($"{Repeated(checkpoints, failure)} was given to a second outbox entry.", failure);
        }
        catch (PostgresException failure) when (failure is { SqlState: PostgresErrorCodes.UniqueViolation, TableName: "dead_letter" })
        {
            var repeated = checkpoints.SelectMany(checkpoint => checkpoint.LettersAdded)
                .FirstOrDefault(letter => failure.Detail?.Contains($"=({letter.Id!.Value.Shard}, {letter.Id.Value.Number})", StringComparison.Ordinal) == true);
            throw new InvalidOperationException($"The id {repeated?.Id} was given to a second dead letter.", failure);
        }
    }

    private static void AddEntities(NpgsqlBatch batch, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        // One statement may name a row once; the last change of a key wins.
        var last = new Dictionary<(int Shard, EntityKind Kind, string Key), byte[]?>();
        foreach (var checkpoint in checkpoints)
            foreach (var entity in checkpoint.Entities) last[(checkpoint.Shard.Value, entity.Kind, entity.Key)] = entity.State;

        foreach (var part in Parts(last, row => row.Value?.Length ?? 0))
        {
            var written = part.Where(row => row.Value is not null).ToList();
            var deleted = part.Where(row => row.Value is null).Select(row => row.Key).ToList();
            if (written.Count > 0)
            {
                batch.Add(
                    """
                    INSERT INTO entity (shard, kind, key, state) SELECT * FROM unnest($1, $2, $3, $4)
                    ON CONFLICT (shard, kind, key) DO UPDATE SET state = excluded.state
                    """,
                    written.Select(row => row.Key.Shard).ToList(), written.Select(row => (short)row.Key.Kind).ToList(),
                    written.Select(row => PostgreSqlCommands.Utf8.GetBytes(row.Key.Key)).ToList(), written.Select(row => row.Value!).ToList());
            }

            if (deleted.Count == 0) continue;
            batch.Add(
                "DELETE FROM entity USING unnest($1, $2, $3) AS gone (shard, kind, key) WHERE entity.shard = gone.shard AND entity.kind = gone.kind AND entity.key = gone.key",
                deleted.Select(key => key.Shard).ToList(), deleted.Select(key => (short)key.Kind).ToList(),
                deleted.Select(key => PostgreSqlCommands.Utf8.GetBytes(key.Key)).ToList());
        }
    }

    private static void AddPositions(NpgsqlBatch batch, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var rows = checkpoints.SelectMany(checkpoint => checkpoint.Positions.Select(position => (Shard: checkpoint.Shard.Value, Position: position)))
            .GroupBy(row => (row.Shard, row.Position.Partition)).Select(same => same.Last()).ToList();
        if (rows.Count == 0) return;
        batch.Add(
            """
            INSERT INTO position (shard, topic, partition, next_offset, last_timestamp_ms, last_checksum, incarnation)
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (shard, topic, partition) DO UPDATE SET next_offset = excluded.next_offset,
                last_timestamp_ms = excluded.last_timestamp_ms, last_checksum = excluded.last_checksum, incarnation = excluded.incarnation
            """,
            rows.Select(row => row.Shard).ToList(), rows.Select(row => row.Position.Partition.Topic).ToList(), rows.Select(row => row.Position.Partition.Partition).ToList(),
            rows.Select(row => row.Position.Next).ToList(), rows.Select(row => row.Position.LastTimestampMs).ToList(), rows.Select(row => (long)row.Position.LastChecksum).ToList(),
            rows.Select(row => row.Position.Incarnation).ToList());
    }

    private static void AddMarks(NpgsqlBatch batch, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var rows = checkpoints.SelectMany(checkpoint => checkpoint.Marks.Select(mark => (Shard: checkpoint.Shard.Value, Mark: mark)))
            .GroupBy(row => (row.Shard, row.Mark.Log, row.Mark.Source)).Select(same => same.Last()).ToList();
        if (rows.Count == 0) return;
        batch.Add(
            """
            INSERT INTO mark (shard, log_topic, log_partition, source, highest_offset, highest_index, highest_ordinal, applied_count, applied_hash)
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (shard, log_topic, log_partition, source) DO UPDATE SET highest_offset = excluded.highest_offset,
                highest_index = excluded.highest_index, highest_ordinal = excluded.highest_ordinal,
                applied_count = excluded.applied_count, applied_hash = excluded.applied_hash
            """,
            rows.Select(row => row.Shard).ToList(), rows.Select(row => row.Mark.Log.Topic).ToList(), rows.Select(row => row.Mark.Log.Partition).ToList(),
            rows.Select(row => row.Mark.Source).ToList(), rows.Select(row => row.Mark.Highest.Offset).ToList(), rows.Select(row => row.Mark.Highest.Index).ToList(),
            rows.Select(row => row.Mark.Highest.Ordinal).ToList(), rows.Select(row => row.Mark.AppliedCount).ToList(),
            rows.Select(row => unchecked((long)row.Mark.AppliedHash)).ToList());
    }

    private static void AddRemovals(NpgsqlBatch batch, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var rows = checkpoints.SelectMany(checkpoint => checkpoint.OutboxRemoved.Select(removed => (Shard: checkpoint.Shard.Value, Removed: removed))).ToList();
        if (rows.Count == 0) return;
        batch.Add(
            """
            DELETE FROM outbox USING unnest($1, $2, $3, $4) AS gone (shard, topic, partition, sequence)
            WHERE outbox.shard = gone.shard AND outbox.topic = gone.topic AND outbox.partition = gone.partition AND outbox.sequence <= gone.sequence
            """,
            rows.Select(row => row.Shard).ToList(), rows.Select(row => row.Removed.Destination.Topic).ToList(),
            rows.Select(row => row.Removed.Destination.Partition).ToList(), rows.Select(row => row.Removed.UpToSequence).ToList());
    }

    private static void AddOutbox(NpgsqlBatch batch, IReadOnlyList<ShardCheckpoint> checkpoints)
    {
        var all = checkpoints.SelectMany(checkpoint => checkpoint.OutboxAdded.Select(entry => (Shard: checkpoint.Shard.Value, Entry: entry)));
        foreach (var rows in Parts(all, row => row.Entry.Value.Length))
        {
            batch.Add(
                "INSERT INTO outbox (shard, topic, partition, sequence, key, value, headers, timestamp_ms) SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)",
                rows.Select(row => row.Shard).ToList(), rows.Select(row => row.Entry.Destination.Topic).ToList(), rows.Select(row => row.Entry.Destination.Partition).ToList(),
                rows.Select(row => row.Entry.Sequence).ToList(), rows.Select(row => row.Entry.Key).ToList(), rows.Select(row => row.Entry.Value).ToList(),
                rows.Select(row => OutboxHeaders.Write(row.Entry.Headers)).ToList(), rows.Select(row => row.Entry.TimestampMs).ToList());
        }
    }

    /// <summary>Which of the entries it was; the server's detail names the key: (shard, topic, partition, sequence)=(1, T, 7, 3).</summary>
    private static string Repeated(IReadOnlyList<ShardCheckpoint> checkpoints, PostgresException failure)
    {
        foreach (var checkpoint in checkpoints)
        {
            foreach (var entry in checkpoint.OutboxAdded)
            {
                if (failure.Detail?.Contains($"=({checkpoint.Shard}, {entry.Destination.Topic}, {entry.Destination.Partition}, {entry.Sequence})", StringComparison.Ordinal) == true)
                    return $"Shard {checkpoint.Shard}: the sequence {entry.Sequence} of {entry.Destination}";
            }
        }

        return "A sequence";
    }

    /// <summary>Cuts rows into runs that one statement carries.</summary>
    private static IEnumerable<List<T>> Parts<T>(IEnumerable<T> rows, Func<T, int> bytes)
    {
        var part = new List<T>();
        var size = 0L;
        foreach (var row in rows)
        {
            part.Add(row);
            size += bytes(row);
            if (size < StatementBytesMax) continue;
            yield return part;
            part = [];
            size = 0;
        }

        if (part.Count > 0) yield return part;
    }
}
