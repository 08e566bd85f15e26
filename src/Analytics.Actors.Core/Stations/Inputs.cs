using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Stations;

/// <summary>
/// Assembles a module's input from windows. A topic that did not change is not shaped again: its window keeps the
/// fragment, and inputs share it.
/// </summary>
internal static class Inputs
{
    /// <summary>The required topics that have no data now; empty: the call may begin.</summary>
    /// <param name="pinned">A topic whose data the trigger itself brings (a closed second of orders).</param>
    public static IReadOnlyList<string> Missing(Station station, StationSurroundings around, ModuleConfiguration module, string? pinned, long nowMs)
    {
        List<string>? missing = null;
        foreach (var topic in module.RequiredTopics)
        {
            if (topic == pinned || HasData(WindowOf(station, around, topic), nowMs))
            {
                if (module.RequiresAny) return [];
            }
            else
            {
                (missing ??= []).Add(topic);
            }
        }

        return missing ?? (IReadOnlyList<string>)[];
    }

    /// <summary>Captures the input as it is now.</summary>
    public static CapturedInput Capture(
        Station station, StationSurroundings around, ModuleConfiguration module, (string Topic, InputFragment Fragment)? pinned, long nowMs)
    {
        var topics = new CapturedTopic[module.Topics.Count];
        for (var index = 0; index < topics.Length; index++)
        {
            var topic = module.Topics[index];
            var window = WindowOf(station, around, topic);
            topics[index] = pinned is { } given && given.Topic == topic
                ? Pin(topic, given.Fragment, window)
                : Capture(topic, window, nowMs);
        }

        return new CapturedInput(nowMs, topics) { Owners = around.OwnersOf(module) };
    }

    private static CapturedTopic Capture(string topic, TopicWindow? window, long nowMs)
    {
        if (!HasData(window, nowMs)) return new CapturedTopic(topic, TopicStatus.Missing, "", 0, null, null, 0);
        try
        {
            var age = Math.Max(0, nowMs - (window!.NewestTimeMs ?? nowMs)) / 1000.0;
            return new CapturedTopic(topic, TopicStatus.Available, "", age, window.Shape(), window, window.Version);
        }
        catch (ShapeException failure)
        {
            return new CapturedTopic(topic, TopicStatus.Failed, failure.Message, 0, null, null, 0);
        }
    }

    // The second that a trigger delivers is the window's newest one, unless others closed meanwhile.
    private static CapturedTopic Pin(string topic, InputFragment fragment, TopicWindow? window) =>
        window is not null && ReferenceEquals(window.Shape(), fragment)
            ? new CapturedTopic(topic, TopicStatus.Available, "", 0, fragment, window, window.Version)
            : new CapturedTopic(topic, TopicStatus.Available, "", 0, fragment, null, -1);

    private static bool HasData(TopicWindow? window, long nowMs)
    {
        if (window is null) return false;
        window.Expire(nowMs);
        return window is SecondsWindow seconds ? seconds.HasClosedSecond : !window.IsEmpty;
    }

    private static TopicWindow? WindowOf(Station station, StationSurroundings around, string topic) =>
        around.Pipeline.Topics[topic].Scope == TopicScope.Global
            ? around.Globals.GetValueOrDefault(topic)
            : station.Windows.GetValueOrDefault(topic);
}
