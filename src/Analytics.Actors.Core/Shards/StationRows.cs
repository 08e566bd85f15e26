using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Core.Windows;
using Google.Protobuf;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// Stations as rows, and back: one for what a station owes and waits for, where there is any, and one for each window, so
/// that a small update does not rewrite a large window. Only what changed is written.
/// </summary>
public static class StationRows
{
    private const char KeySeparator = '\u001f';

    /// <summary>The station that a window's row belongs to.</summary>
    public static string StationOf(string windowKey) => windowKey[..windowKey.LastIndexOf(KeySeparator)];

    /// <summary>The keys of all windows that these stations may have.</summary>
    public static IReadOnlyList<string> WindowKeys(IEnumerable<string> stations, PipelineConfiguration pipeline)
    {
        var topics = pipeline.Topics.Values.Where(topic => topic.Scope == TopicScope.Station).Select(topic => topic.Name).ToList();
        return [.. stations.SelectMany(station => topics.Select(topic => WindowKey(station, topic)))];
    }

    /// <summary>The rows of all changed stations and global windows.</summary>
    internal static List<EntityState> SaveChanged(
        IEnumerable<Station> stations, IEnumerable<string> globals, StationSurroundings around, IReadOnlyList<EntityState> emptied)
    {
        List<EntityState> entities = [.. emptied];
        foreach (var topic in globals) entities.Add(new EntityState(EntityKind.Global, topic, around.Globals[topic].Save()));
        foreach (var station in stations)
        {
            foreach (var window in station.Windows.All)
            {
                if (window.IsDirty) entities.Add(new EntityState(EntityKind.Window, WindowKey(station.Id, window.Topic.Name), window.IsEmpty ? null : window.Save()));
            }

            if (station.CoreIsDirty || !station.WakeIsSaved)
            {
                station.SavedWakeMs = station.NextDueMs;
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
    internal static void Delete(Station station, List<EntityState> entities)
    {
        foreach (var topic in station.Windows.Keys) entities.Add(new EntityState(EntityKind.Window, WindowKey(station.Id, topic), null));
        if (station.WasSaved) entities.Add(new EntityState(EntityKind.Station, station.Id, null));
    }

    /// <summary>Fills a station with its rows. What it owes is registered with the shard; nothing goes on before it resumes.</summary>
    internal static void Load(Station station, IEnumerable<EntityState> rows, StationSurroundings around)
    {
        // The station's own row last: its captured inputs refer to windows.
        EntityState? own = null;
        foreach (var row in rows)
        {
            if (row.Kind != EntityKind.Window) own = row;
            else if (around.Pipeline.Topics.TryGetValue(TopicOf(row), out var topic)) station.Restore(TopicWindows.Load(around.Contexts.Of(topic), row.State));
        }

        if (own is not null) LoadStation(station, own, around);
    }

    /// <summary>All keys of a station's windows are below this, and none of a later station's.</summary>
    public static string AfterWindowsOf(string station) => station + (char)(KeySeparator + 1);

    /// <summary>Whether a station's own row says that an operator has paused it.</summary>
    public static bool IsPaused(EntityState row) => StationState.Parser.ParseFrom(row.State).Paused;

    private static string WindowKey(string station, string topic) => station + KeySeparator + topic;

    /// <summary>A window from its row; null where the pipeline no longer has its topic.</summary>
    public static TopicWindow? LoadWindow(EntityState row, PipelineConfiguration pipeline)
    {
        return pipeline.Topics.TryGetValue(TopicOf(row), out var topic) ? TopicWindows.Load(topic, pipeline.TimeZone, row.State) : null;
    }

    private static string TopicOf(EntityState row) => row.Key[(row.Key.LastIndexOf(KeySeparator) + 1)..];

    private static StationState SaveStation(Station station)
    {
        var state = new StationState();
        foreach (var queue in station.Queues.All)
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

        foreach (var (module, due) in station.Intervals.All) state.Intervals.Add(new IntervalState { Module = module, DueMs = due });
        state.WakeMs = station.SavedWakeMs ?? 0;
        state.Paused = station.IsPaused;
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

    private static void LoadStation(Station station, EntityState row, StationSurroundings around)
    {
        var state = StationState.Parser.ParseFrom(row.State);
        station.WasSaved = true;
        station.IsPaused = state.Paused;
        station.SavedWakeMs = state.WakeMs > 0 ? state.WakeMs : null;
        foreach (var saved in state.Triggers.OrderBy(trigger => trigger.Id))
        {
            var trigger = new Trigger(saved.Id, saved.Module) { Attempts = saved.Attempts, Failures = saved.Failures };
            foreach (var debt in saved.Batches) trigger.Debts.Add(BatchStateMessage.FromMessage(debt));
            around.Register(trigger, station);
            var queue = station.QueueOf(saved.Module);
            if (saved.CapturedMs > 0)
            {
                trigger.Captured = new CapturedInput(saved.CapturedMs, saved.Topics.Select(topic => LoadCaptured(around, station, topic)).ToArray());
                queue.Add(trigger);
            }
            else
            {
                trigger.IncompleteDueMs = saved.IncompleteDueMs;
                if (saved.Topics.Count > 0) trigger.Pinned = (saved.Topics[0].Topic, JsonFragment.Parse(saved.Topics[0].Json.Memory));
                queue.AddWaiting(trigger);
            }
        }

        foreach (var waiting in state.Waiting)
        {
            station.WaitingOf(waiting.Topic)[waiting.Second] = waiting.Batches.Select(batch => (batch.Module, BatchStateMessage.FromMessage(batch.Batch))).ToList();
        }

        foreach (var interval in state.Intervals) station.Restore(new Interval(interval.Module, interval.DueMs));
    }

    private static Stations.CapturedTopic LoadCaptured(StationSurroundings around, Station station, Protocol.CapturedTopic saved)
    {
        var status = (TopicStatus)saved.Status;
        if (saved.Superseded)
        {
            var fragment = saved.Json.IsEmpty ? null : JsonFragment.Parse(saved.Json.Memory);
            return new Stations.CapturedTopic(saved.Topic, status, saved.Reason, saved.AgeSeconds, fragment, null, -1);
        }

        var window = status != TopicStatus.Available ? null
            : station.Windows.GetValueOrDefault(saved.Topic) ?? around.Globals.GetValueOrDefault(saved.Topic);
        return new Stations.CapturedTopic(saved.Topic, status, saved.Reason, saved.AgeSeconds, window?.Shape(), window, window?.Version ?? 0);
    }
}
