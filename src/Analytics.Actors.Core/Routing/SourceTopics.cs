namespace Analytics.Actors.Core.Routing;

/// <summary>How one source topic stands with a router.</summary>
/// <param name="WaitingBytes">Read, and not routed yet.</param>
/// <param name="AheadBytes">Routed, and not applied by the shards yet as far as the router knows.</param>
/// <param name="IsHeld">Reading of the topic waits for the shards, so that other topics' records do not wait behind it.</param>
public readonly record struct TopicFlow(long WaitingBytes, long AheadBytes, bool IsHeld);

/// <summary>
/// The records that a router has read and may route, a queue per topic, and whose turn it is. Topics take turns record by
/// record; one may go on while all together are ahead of the shards by less than the allowance, or it by less than its share
/// of that. A topic whose queue is full is not read until half of it has gone.
/// </summary>
/// <remarks>
/// A shard applies its log in order: what was routed before a fresh record delays it. So the allowance bounds that delay,
/// whatever the backlog of other topics. And the client that reads has one queue for all topics and forgets what it had
/// fetched of one that is paused: hence the queues here, and reading pauses by megabytes and not by records.
/// </remarks>
internal sealed class SourceTopics(RouterSettings settings)
{
    // What a record in a queue takes beside its value.
    private const int RecordOverhead = 100;

    private readonly List<SourceTopic> topics = [];
    private readonly Dictionary<string, SourceTopic> byName = new(StringComparer.Ordinal);
    private int turn;
    private long aheadBytes;

    public bool IsEmpty => topics.TrueForAll(topic => topic.WaitingBytes == 0);

    /// <summary>Somebody had to wait for the allowance since this was last set to false.</summary>
    public bool WasHeld { get; set; }

    /// <summary>All topics of which something was read.</summary>
    public IReadOnlyList<SourceTopic> All => topics;

    public IReadOnlyDictionary<string, TopicFlow> Flows => topics.ToDictionary(
        topic => topic.Name, topic => new TopicFlow(topic.WaitingBytes, topic.AheadBytes, topic.IsPaused), StringComparer.Ordinal);

    public SourceTopic Of(string name)
    {
        if (byName.TryGetValue(name, out var topic)) return topic;
        byName.Add(name, topic = new SourceTopic(name));
        topics.Add(topic);
        return topic;
    }

    /// <summary>A record was read, and waits from now on: for its grant, then for its topic's turn.</summary>
    public static void Received(SourceProgress source, in SourceRecord record) => source.Topic.WaitingBytes += record.Value.Length + RecordOverhead;

    /// <summary>A record that waited is no longer ours.</summary>
    public static void Left(SourceProgress source, in SourceRecord record) => source.Topic.WaitingBytes -= record.Value.Length + RecordOverhead;

    /// <summary>A record may be routed by these rules, when it is its topic's turn.</summary>
    public static void Enqueue(SourceProgress source, RecordRouter rules, in SourceRecord record) => source.Topic.Waiting.Enqueue((source, rules, record));

    /// <summary>The next record to route; false where none waits or none may go on.</summary>
    public bool TryTake(long allowance, out (SourceProgress Source, RecordRouter Rules, SourceRecord Record) next)
    {
        for (var step = 0; step < topics.Count; step++)
        {
            var index = (turn + step) % topics.Count;
            var topic = topics[index];
            if (topic.Waiting.Count == 0) continue;
            if (!MayGoOn(topic, allowance))
            {
                WasHeld = true;
                continue;
            }

            turn = index + 1;
            next = topic.Waiting.Dequeue();
            Left(next.Source, next.Record);
            return true;
        }

        next = default;
        return false;
    }

    /// <summary>What waits of a source partition that is no longer ours is given back.</summary>
    public static void Drop(SourceProgress source)
    {
        var topic = source.Topic;
        for (var count = topic.Waiting.Count; count > 0; count--)
        {
            var next = topic.Waiting.Dequeue();
            if (!ReferenceEquals(next.Source, source))
            {
                topic.Waiting.Enqueue(next);
                continue;
            }

            Left(source, next.Record);
            next.Record.Chunk?.Release();
        }
    }

    /// <summary>Stops reading of topics whose queue is full, and resumes it where half has gone.</summary>
    public void PauseOrGoOn(List<RouterEffect> effects)
    {
        foreach (var topic in topics)
        {
            if (topic.IsPaused ? topic.WaitingBytes > settings.TopicWaitingBytesMax / 2 : topic.WaitingBytes < settings.TopicWaitingBytesMax) continue;
            topic.IsPaused = !topic.IsPaused;
            effects.Add(new PauseTopic(topic.Name, topic.IsPaused));
        }
    }

    /// <summary>So much more of a topic is routed and not applied; less, where it is negative.</summary>
    public void Ahead(SourceTopic topic, long bytes)
    {
        topic.AheadBytes += bytes;
        aheadBytes += bytes;
    }

    private bool MayGoOn(SourceTopic topic, long allowance)
    {
        if (aheadBytes < allowance) return true;
        var contenders = 0;
        foreach (var other in topics)
        {
            if (other.AheadBytes > 0 || other.Waiting.Count > 0) contenders++;
        }

        return topic.AheadBytes < allowance / contenders;
    }
}

/// <summary>One source topic of a router.</summary>
internal sealed class SourceTopic(string name)
{
    public string Name => name;
    public Queue<(SourceProgress Source, RecordRouter Rules, SourceRecord Record)> Waiting { get; } = new();
    public long WaitingBytes { get; set; }
    public long AheadBytes { get; set; }
    public bool IsPaused { get; set; }

    /// <summary>Records routed since the start.</summary>
    public long RoutedCount { get; set; }
}
