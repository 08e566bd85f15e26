using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Windows;

/// <summary>What the windows of one topic share in all stations of a shard.</summary>
internal sealed class WindowContext(TopicConfiguration topic, TimeSpan timeZone, ItemPool pool)
{
    private GridRows? rows;
    private string[] lastNames = [];

    public TopicConfiguration Topic => topic;
    public WindowPlan Plan { get; } = WindowPlan.For(topic);

    /// <summary>Offset of times written without a zone.</summary>
    public TimeSpan TimeZone => timeZone;
    public ItemPool Pool => pool;

    /// <summary>For the rows of a grid's part while it is applied.</summary>
    public GridRows Rows
    {
        get
        {
            rows ??= new GridRows(Plan);
            rows.Clear();
            return rows;
        }
    }

    /// <summary>The same names, as an array that other fragments of the topic have too if they have them.</summary>
    public string[] Shared(string[] names)
    {
        if (!names.AsSpan().SequenceEqual(lastNames)) lastNames = names;
        return lastNames;
    }

    /// <summary>The one name of a fragment that is one member.</summary>
    public string[] MemberNames { get; } = topic.ShapeMember is null ? [] : [topic.ShapeMember];
}

/// <summary>The contexts of a pipeline's topics, made when they are needed. Of one thread.</summary>
internal sealed class WindowContexts(TimeSpan timeZone)
{
    private readonly Dictionary<TopicConfiguration, WindowContext> contexts = new(ReferenceEqualityComparer.Instance);
    private readonly ItemPool pool = new();

    public WindowContext Of(TopicConfiguration topic)
    {
        if (!contexts.TryGetValue(topic, out var context)) contexts.Add(topic, context = new WindowContext(topic, timeZone, pool));
        return context;
    }
}
