using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Core.Windows;
using Google.Protobuf;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// A shard's state as rows, and back. Only what changed is written: each window has a row of its own, so that a small
/// update does not rewrite a large window.
/// </summary>
internal static class ShardRecovery
{
    private const char KeySeparator = '\u001f';

    /// <summary>Fills a new shard object with what a takeover read.</summary>
    public static void Load(Shard shard, RecoveredShard recovered, long nowMs)
    {
        var around = shard.Around;
        var state = ShardState.Parser.ParseFrom(recovered.ShardState);
        around.NextTriggerId = Math.Max(1, state.NextTrigger);
        shard.MissingRecords = state.MissingRecords;
        shard.Batches.LateAnswers = state.LateAnswers;
        shard.Outputs.Letters.Restore(state.LastLetter, state.LastLetterMs);
        foreach (var destination in state.Destinations)
        {
            shard.Outputs.Outbox.Restore(new TopicPartition(destination.Topic, destination.Partition), destination.NextSequence);
        }

        foreach (var position in recovered.Positions) shard.Restore(position);
        foreach (var mark in recovered.Marks) shard.Marks.Restore(mark);
        foreach (var entry in recovered.Outbox) shard.Outputs.Outbox.Restore(entry);
        foreach (var entity in recovered.Entities)
        {
            if (entity.Kind is EntityKind.Window or EntityKind.Global) LoadWindow(shard, entity);
            else if (entity.Kind == EntityKind.Batch) shard.Batches.Restore(BatchStateMessage.Load(entity.State!));
        }

        // Stations last: their captured inputs refer to windows.
        foreach (var entity in recovered.Entities)
        {
            if (entity.Kind == EntityKind.Station) LoadStation(shard, entity);
        }

        foreach (var station in shard.Stations.Values)
        {
            station.Resume(nowMs);
            shard.AfterStation(station);
        }
    }

    public static byte[] SaveShard(Shard shard, StationSurroundings around)
    {
        var state = new ShardState
        {
            NextTrigger = around.NextTriggerId,
            MissingRecords = shard.MissingRecords,
            LateAnswers = shard.Batches.LateAnswers,
            LastLetter = shard.Outputs.Letters.LastNumber,
            LastLetterMs = shard.Outputs.Letters.LastTimeMs,
        };
        foreach (var (destination, next) in shard.Outputs.Outbox.NextSequences)
        {
            state.Destinations.Add(new DestinationState { Topic = destination.Topic, Partition = destination.Partition, NextSequence = next });
        }

        return state.ToByteArray();
    }

    /// <summary>The rows of all changed stations and global windows.</summary>
    public static List<EntityState> SaveChanged(
        IEnumerable<Station> stations, IEnumerable<string> globals, StationSurroundings around, IReadOnlyList<EntityState> emptied)
    {
        List<EntityState> entities = [.. emptied];
        foreach (var topic in globals) entities.Add(new EntityState(EntityKind.Global, topic, around.Globals[topic].Save()));
        foreach (var station in stations)
        {
            foreach (var topic in station.DirtyWindows)
            {
                var window = station.Windows[topic];
                entities.Add(new EntityState(EntityKind.Window, WindowKey(station.Id, topic), window.IsEmpty ? null : window.Save()));
            }

            if (station.CoreIsDirty)
            {
                var state = SaveStation(station);
                var isEmpty = state.CalculateSize() == 0;
                if (!isEmpty || station.WasSaved) entities.Add(new EntityState(EntityKind.Station, station.Id, isEmpty ? null : state.ToByteArray()));
                station.WasSaved = !isEmpty;
            }

            station.Saved();
        }

        return entities;
    }

    /// <summary>Deletes all rows of a station that has gone.</summary>
    public static void Delete(Station station, List<EntityState> entities)
    {
        foreach (var topic in station.Windows.Keys) entities.Add(new EntityState(EntityKind.Window, WindowKey(station.Id, topic), null));
        if (station.WasSaved) entities.Add(new EntityState(EntityKind.Station, station.Id, null));
    }

    private static string WindowKey(string station, string topic) => station + KeySeparator + topic;

    private static void LoadWindow(Shard shard, EntityState entity)
    {
        var (station, topic) = entity.Kind == EntityKind.Global
            ? ("", entity.Key)
            : (entity.Key[..entity.Key.LastIndexOf(KeySeparator)], entity.Key[(entity.Key.LastIndexOf(KeySeparator) + 1)..]);
        var pipeline = shard.Around.Pipeline;
        if (!pipeline.Topics.TryGetValue(topic, out var configuration)) return;
        var window = TopicWindows.Load(configuration, pipeline.TimeZone, entity.State);
        if (entity.Kind == EntityKind.Global) shard.Around.Globals[topic] = window;
        else shard.StationOf(station).Restore(window);
    }

    private static StationState SaveStation(Station station)
    {
        var state = new StationState();
        foreach (var queue in station.Queues.Values)
        {
            foreach (var trigger in queue.All) state.Triggers.Add(SaveTrigger(trigger));
        }

        foreach (var (topic, seconds) in station.WaitingForSecond)
        {
            foreach (var (second, waiting) in seconds)
            {
                var message = new WaitingSecond { Topic = topic, Second = second };
                foreach (var (module, debt) in waiting)
                {
                    message.Batches.Add(new WaitingBatch { Module = module, Batch = BatchStateMessage.ToMessage(debt) });
                }

                state.Waiting.Add(message);
            }
        }

        foreach (var (module, due) in station.Intervals) state.Intervals.Add(new IntervalState { Module = module, DueMs = due });
        return state;
    }

    private static TriggerState SaveTrigger(Trigger trigger)
    {
        var state = new TriggerState
        {
            Id = trigger.Id,
            Module = trigger.Module,
            Attempts = trigger.Attempts,
            Failures = trigger.Failures,
            IncompleteDueMs = trigger.IncompleteDueMs ?? 0,
            CapturedMs = trigger.Captured?.TimeMs ?? 0,
        };
        foreach (var debt in trigger.Debts) state.Batches.Add(BatchStateMessage.ToMessage(debt));
        if (trigger.Captured is { } captured)
        {
            foreach (var topic in captured.Topics) state.Topics.Add(SaveCaptured(topic));
        }
        else if (trigger.Pinned is { } pinned)
        {
            state.Topics.Add(SaveCaptured(new Stations.CapturedTopic(pinned.Topic, TopicStatus.Available, "", 0, pinned.Fragment, null, -1)));
        }

        return state;
    }

    private static Protocol.CapturedTopic SaveCaptured(Stations.CapturedTopic captured) => new()
    {
        Topic = captured.Topic,
        Status = (int)captured.Status,
        Reason = captured.Reason,
        AgeSeconds = captured.AgeSeconds,
        Superseded = captured.IsSuperseded,
        Json = captured.IsSuperseded && captured.Fragment is { } fragment ? ByteString.CopyFrom(fragment.ToJsonObject()) : ByteString.Empty,
    };

    private static void LoadStation(Shard shard, EntityState entity)
    {
        var state = StationState.Parser.ParseFrom(entity.State);
        var station = shard.StationOf(entity.Key);
        station.WasSaved = true;
        foreach (var saved in state.Triggers.OrderBy(trigger => trigger.Id))
        {
            var trigger = new Trigger(saved.Id, saved.Module) { Attempts = saved.Attempts, Failures = saved.Failures };
            foreach (var debt in saved.Batches) trigger.Debts.Add(BatchStateMessage.FromMessage(debt));
            shard.Around.Register(trigger, station);
            var queue = station.QueueOf(saved.Module);
            if (saved.CapturedMs > 0)
            {
                trigger.Captured = new CapturedInput(saved.CapturedMs, saved.Topics.Select(topic => LoadCaptured(shard, station, topic)).ToArray());
                queue.Add(trigger);
            }
            else
            {
                trigger.IncompleteDueMs = saved.IncompleteDueMs;
                if (saved.Topics.Count > 0) trigger.Pinned = (saved.Topics[0].Topic, JsonFragment.Parse(saved.Topics[0].Json.Memory));
                queue.Waiting.Add(trigger);
            }
        }

        foreach (var waiting in state.Waiting)
        {
            if (!station.WaitingForSecond.TryGetValue(waiting.Topic, out var seconds)) station.WaitingForSecond.Add(waiting.Topic, seconds = []);
            seconds[waiting.Second] = waiting.Batches.Select(batch => (batch.Module, BatchStateMessage.FromMessage(batch.Batch))).ToList();
        }

        foreach (var interval in state.Intervals) station.Intervals[interval.Module] = interval.DueMs;
    }

    private static Stations.CapturedTopic LoadCaptured(Shard shard, Station station, Protocol.CapturedTopic saved)
    {
        var status = (TopicStatus)saved.Status;
        if (saved.Superseded)
        {
            var fragment = saved.Json.IsEmpty ? null : JsonFragment.Parse(saved.Json.Memory);
            return new Stations.CapturedTopic(saved.Topic, status, saved.Reason, saved.AgeSeconds, fragment, null, -1);
        }

        var window = status != TopicStatus.Available ? null
            : station.Windows.GetValueOrDefault(saved.Topic) ?? shard.Globals.GetValueOrDefault(saved.Topic);
        return new Stations.CapturedTopic(saved.Topic, status, saved.Reason, saved.AgeSeconds, window?.Shape(), window, window?.Version ?? 0);
    }
}
