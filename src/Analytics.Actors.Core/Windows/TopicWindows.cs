using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Core.Windows;

/// <summary>Makes the window that a topic's configuration asks for, new or from a checkpoint.</summary>
public static class TopicWindows
{
    /// <summary>Why no window can be made for a topic; null where one can. The pipeline's reader refuses with it.</summary>
    public static string? Refuse(TopicConfiguration topic)
    {
        if (topic.Window < 1) return $"window is {topic.Window}; at least 1 is right";
        return topic.Shape switch
        {
            ShapeKind.Devices when topic.Mode != UpdateMode.Device => "shape devices needs mode device",
            ShapeKind.Devices when topic.DeviceMember is null || topic.ShapeMember is null => "shape devices needs the member that names the device, and a member of the input to hold the list",
            ShapeKind.Orders when topic.Mode != UpdateMode.Second => "shape orders needs mode second",
            ShapeKind.Orders when topic.ShapeMember is null => "shape orders needs a member of the input to hold the list",
            ShapeKind.Grid when topic.Mode is not (UpdateMode.Replace or UpdateMode.Append) => "shape grid needs mode replace or append",
            ShapeKind.Grid when topic.Grid is null || topic.PeriodMs is not > 0 => "shape grid needs its series and a period above 0",
            ShapeKind.Aligned when topic.Aligned is null => "shape aligned needs its keys and series",
            ShapeKind.Tariff when topic.Tariff is null => "shape tariff needs its run of members",
            ShapeKind.Columns when topic.Fields.Count == 0 => "shape columns needs fields",
            ShapeKind.Devices or ShapeKind.Orders or ShapeKind.Grid => null,
            _ => topic.Mode is UpdateMode.Append or UpdateMode.Replace ? null : $"shape {topic.Shape} needs mode append or replace",
        };
    }

    /// <summary>An empty window that shares nothing with others.</summary>
    public static TopicWindow Create(TopicConfiguration topic, TimeSpan timeZone) => Create(Alone(topic, timeZone));

    /// <summary>An empty window.</summary>
    internal static TopicWindow Create(WindowContext context)
    {
        var topic = context.Topic;
        if (Refuse(topic) is { } reason) throw new ArgumentException($"Topic {topic.Name}: {reason}.", nameof(topic));
        return topic.Shape switch
        {
            ShapeKind.Devices => new DeviceWindow(context),
            ShapeKind.Orders => new SecondsWindow(context),
            ShapeKind.Grid => new GridWindow(context),
            _ => new AppendWindow(context),
        };
    }

    /// <summary>
    /// The window that <see cref="TopicWindow.Save()"/> described. What the topic, as it is configured now, would not hold is
    /// left out; a state of another kind of window leaves it empty. Throws
    /// <see cref="Google.Protobuf.InvalidProtocolBufferException"/> for bytes that no Save has written.
    /// </summary>
    public static TopicWindow Load(TopicConfiguration topic, TimeSpan timeZone, ReadOnlySpan<byte> state) => Load(Alone(topic, timeZone), state);

    internal static TopicWindow Load(WindowContext context, ReadOnlySpan<byte> state)
    {
        var window = Create(context);
        var saved = WindowState.Parser.ParseFrom(state);
        switch (window, saved.KindCase)
        {
            case (AppendWindow append, WindowState.KindOneofCase.Entries):
                append.Restore(saved.Entries);
                break;
            case (GridWindow grid, WindowState.KindOneofCase.Grid):
                grid.Restore(saved.Grid);
                break;
            case (DeviceWindow devices, WindowState.KindOneofCase.Devices):
                devices.Restore(saved.Devices);
                break;
            case (SecondsWindow seconds, WindowState.KindOneofCase.Seconds):
                seconds.Restore(saved.Seconds);
                break;
        }

        return window;
    }

    private static WindowContext Alone(TopicConfiguration topic, TimeSpan timeZone) => new(topic, timeZone, new ItemPool(), new StateWriter());
}
