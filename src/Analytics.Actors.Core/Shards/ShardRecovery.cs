using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Windows;
using Google.Protobuf;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// A shard's own state as rows, and back: what a new owner has at once. Stations are rows of their own
/// (<see cref="StationRows"/>), loaded when they are needed.
/// </summary>
internal static class ShardRecovery
{
    /// <summary>Fills a new shard object with what a takeover read.</summary>
    public static void Load(Shard shard, RecoveredShard recovered)
    {
        var state = ShardState.Parser.ParseFrom(recovered.ShardState);
        shard.Around.NextTriggerId = Math.Max(1, state.NextTrigger);
        shard.MissingRecords = state.MissingRecords;
        shard.Batches.LateAnswers = state.LateAnswers;
        shard.Outputs.Letters.Restore(state.LastLetter, state.LastLetterMs);
        foreach (var clock in state.WindowClocks) shard.Batches.Restore(clock);
        shard.StationCount = state.Stations;
        // Station rows of the first version do not tell which stations have timers, and their shard did not count them.
        shard.IsCounting = recovered.CheckpointNumber > 0 && !state.HasStations;
        foreach (var destination in state.Destinations)
        {
            shard.Outputs.Outbox.Restore(new TopicPartition(destination.Topic, destination.Partition), destination.NextSequence);
        }

        foreach (var position in recovered.Positions) shard.Restore(position);
        foreach (var position in recovered.Moved) shard.Move(position);
        foreach (var mark in recovered.Marks) shard.Marks.Restore(mark);
        foreach (var entry in recovered.Outbox) shard.Outputs.Outbox.Restore(entry);
        foreach (var entity in recovered.Entities)
        {
            if (entity.Kind == EntityKind.Global) LoadGlobal(shard, entity);
        }

        foreach (var batch in BatchStateMessage.Load(recovered.Entities.Where(entity => entity.Kind == EntityKind.Batch))) shard.Batches.Restore(batch);
    }

    public static byte[] SaveShard(Shard shard)
    {
        var state = new ShardState
        {
            NextTrigger = shard.Around.NextTriggerId,
            MissingRecords = shard.MissingRecords,
            LateAnswers = shard.Batches.LateAnswers,
            LastLetter = shard.Outputs.Letters.LastNumber,
            LastLetterMs = shard.Outputs.Letters.LastTimeMs,
        };
        state.WindowClocks.AddRange(shard.Batches.SaveClocks());
        // While the stations of a first version are still being counted, the next owner has to begin anew.
        if (!shard.IsCounting) state.Stations = shard.StationCount;
        foreach (var (destination, next) in shard.Outputs.Outbox.NextSequences)
        {
            state.Destinations.Add(new DestinationState { Topic = destination.Topic, Partition = destination.Partition, NextSequence = next });
        }

        return state.ToByteArray();
    }

    private static void LoadGlobal(Shard shard, EntityState entity)
    {
        var pipeline = shard.Around.Pipeline;
        if (!pipeline.Topics.TryGetValue(entity.Key, out var configuration)) return;
        shard.Around.Globals[entity.Key] = TopicWindows.Load(configuration, pipeline.TimeZone, entity.State);
    }
}
