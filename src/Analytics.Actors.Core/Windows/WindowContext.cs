using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>What the windows of one topic share in all stations of a shard.</summary>
internal sealed class WindowContext(TopicConfiguration topic, TimeSpan timeZone, ItemPool pool, StateWriter writer)
{
    private GridRows? rows;

    public TopicConfiguration Topic => topic;
    public WindowPlan Plan { get; } = WindowPlan.For(topic);

    /// <summary>Offset of times written without a zone.</summary>
    public TimeSpan TimeZone => timeZone;
    public ItemPool Pool => pool;

    /// <summary>The modules that the topic calls.</summary>
    public IReadOnlyList<ModuleConfiguration> Triggered { get; init; } = [];

    /// <summary>For the state of a window while it is saved.</summary>
    public StateWriter Writer { get; } = writer;

    /// <summary>For the rows of a grid's part while it is applied: empty, and to be cleared behind it.</summary>
    public GridRows Rows => rows ??= new GridRows(Plan);

    /// <summary>Has read the item that is being applied, if it is a whole record.</summary>
    public PlainItem? Read { get; set; }

    /// <summary>Where the members of an item stand that the plan looks for; false where it is no object.</summary>
    public bool TryLocate(ReadOnlySpan<byte> item, Span<JsonSlice> found) => Read?.TryLocate(item, found) == true || Plan.Members.TryLocate(item, found);

    /// <summary>The one name of a fragment that is one member.</summary>
    public string[] MemberNames { get; } = topic.ShapeMember is null ? [] : [topic.ShapeMember];
}

/// <summary>The contexts of a pipeline's topics, made when they are needed. Of one thread.</summary>
/// <param name="triggered">The modules that a topic calls.</param>
internal sealed class WindowContexts(TimeSpan timeZone, Func<TopicConfiguration, IReadOnlyList<ModuleConfiguration>> triggered)
{
    private readonly Dictionary<TopicConfiguration, WindowContext> contexts = new(ReferenceEqualityComparer.Instance);
    private readonly ItemPool pool = new();
    private readonly StateWriter writer = new();

    public WindowContext Of(TopicConfiguration topic)
    {
        if (!contexts.TryGetValue(topic, out var context)) contexts.Add(topic, context = new WindowContext(topic, timeZone, pool, writer) { Triggered = triggered(topic) });
        return context;
    }
}
