using Analytics.Actors.Core.Checkpoints;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Analytics.Actors.Storage;

/// <summary>
/// The rows of one shard's checkpoint. Its first statement is the fence: the shard's row changes only where epoch and
/// number are the expected ones, and nothing else of this shard is written unless it did.
/// </summary>
internal static class SqliteCheckpointWriter
{
    public static CheckpointOutcome Write(SqliteSession session, ShardCheckpoint checkpoint)
    {
        if (!PassFence(session, checkpoint)) return CheckpointOutcome.Fenced;
        CrashPoint.Reached(CrashPoint.CheckpointAfterFence);
        WriteEntities(session, checkpoint);
        WritePositions(session, checkpoint);
        WriteMarks(session, checkpoint);
        // Removal comes first, so that an entry of this checkpoint can never be taken for one that is acknowledged.
        RemoveFromOutbox(session, checkpoint);
        AddToOutbox(session, checkpoint);
        SqliteDeadLetters.Write(session, checkpoint);
        return CheckpointOutcome.Committed;
    }

    private static bool PassFence(SqliteSession session, ShardCheckpoint checkpoint) =>
        session.Prepare("""
            UPDATE shard SET checkpoint = ?1, state = ?2, released = ?3
            WHERE shard = ?4 AND epoch = ?5 AND checkpoint = ?1 - 1
            """)
            .Bind(1, checkpoint.Number).Bind(2, checkpoint.ShardState).Bind(3, checkpoint.Release ? 1 : 0)
            .Bind(4, checkpoint.Shard.Value).Bind(5, checkpoint.Epoch.Value)
            .Execute() == 1;

    private static void WriteEntities(SqliteSession session, ShardCheckpoint checkpoint)
    {
        var shard = checkpoint.Shard.Value;
        var upsert = session.Prepare("""
            INSERT INTO entity (shard, kind, key, state) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET state = excluded.state
            """);
        var delete = session.Prepare("DELETE FROM entity WHERE shard = ?1 AND kind = ?2 AND key = ?3");
        foreach (var entity in checkpoint.Entities)
        {
            if (entity.State is null) delete.Bind(1, shard).Bind(2, (int)entity.Kind).Bind(3, entity.Key).Execute();
            else upsert.Bind(1, shard).Bind(2, (int)entity.Kind).Bind(3, entity.Key).Bind(4, entity.State).Execute();
        }
    }

    private static void WritePositions(SqliteSession session, ShardCheckpoint checkpoint)
    {
        var upsert = session.Prepare("""
            INSERT INTO position (shard, topic, partition, next_offset, last_timestamp_ms, last_checksum, incarnation)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset, last_timestamp_ms = excluded.last_timestamp_ms,
                last_checksum = excluded.last_checksum, incarnation = excluded.incarnation
            """);
        foreach (var position in checkpoint.Positions)
        {
            upsert.Bind(1, checkpoint.Shard.Value).Bind(2, position.Partition.Topic).Bind(3, position.Partition.Partition)
                .Bind(4, position.Next).Bind(5, position.LastTimestampMs).Bind(6, position.LastChecksum)
                .Bind(7, position.Incarnation).Execute();
        }
    }

    private static void WriteMarks(SqliteSession session, ShardCheckpoint checkpoint)
    {
        var upsert = session.Prepare("""
            INSERT INTO mark (shard, log_topic, log_partition, source,
                highest_offset, highest_index, highest_ordinal, applied_count, applied_hash)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            ON CONFLICT DO UPDATE SET highest_offset = excluded.highest_offset, highest_index = excluded.highest_index,
                highest_ordinal = excluded.highest_ordinal, applied_count = excluded.applied_count,
                applied_hash = excluded.applied_hash
            """);
        foreach (var mark in checkpoint.Marks)
        {
            upsert.Bind(1, checkpoint.Shard.Value).Bind(2, mark.Log.Topic).Bind(3, mark.Log.Partition).Bind(4, mark.Source)
                .Bind(5, mark.Highest.Offset).Bind(6, mark.Highest.Index).Bind(7, mark.Highest.Ordinal)
                .Bind(8, mark.AppliedCount).Bind(9, unchecked((long)mark.AppliedHash)).Execute();
        }
    }

    private static void RemoveFromOutbox(SqliteSession session, ShardCheckpoint checkpoint)
    {
        var delete = session.Prepare("DELETE FROM outbox WHERE shard = ?1 AND topic = ?2 AND partition = ?3 AND sequence <= ?4");
        foreach (var acknowledged in checkpoint.OutboxRemoved)
        {
            delete.Bind(1, checkpoint.Shard.Value).Bind(2, acknowledged.Destination.Topic)
                .Bind(3, acknowledged.Destination.Partition).Bind(4, acknowledged.UpToSequence).Execute();
        }
    }

    private static void AddToOutbox(SqliteSession session, ShardCheckpoint checkpoint)
    {
        var insert = session.Prepare("""
            INSERT INTO outbox (shard, topic, partition, sequence, key, value, headers, timestamp_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """);
        foreach (var entry in checkpoint.OutboxAdded)
        {
            insert.Bind(1, checkpoint.Shard.Value).Bind(2, entry.Destination.Topic).Bind(3, entry.Destination.Partition)
                .Bind(4, entry.Sequence).Bind(5, entry.Key).Bind(6, entry.Value)
                .Bind(7, OutboxHeaders.Write(entry.Headers)).Bind(8, entry.TimestampMs);
            try
            {
                insert.Execute();
            }
            catch (SqliteException failure) when (failure.SqliteErrorCode == raw.SQLITE_CONSTRAINT)
            {
                throw new InvalidOperationException(
                    $"Shard {checkpoint.Shard} gave the sequence {entry.Sequence} of {entry.Destination} to a second outbox entry.", failure);
            }
        }
    }
}
