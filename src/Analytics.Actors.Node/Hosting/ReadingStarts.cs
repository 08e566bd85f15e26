using Analytics.Actors.Core;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Tells the records that were read before a partition's last start from those after it. A mailbox hands orders over before data:
/// a shard that is given up and taken over again may start while records of its earlier reading still wait there. They are further
/// on than where it begins, and taken for its own they would hide all before them. On the loop's thread only.
/// </summary>
internal sealed class ReadingStarts
{
    private readonly Dictionary<TopicPartition, int> awaited = [];

    /// <summary>Reading of the partition was ordered; what comes before it has begun is of before.</summary>
    public void Ordered(TopicPartition partition) => awaited[partition] = awaited.GetValueOrDefault(partition) + 1;

    /// <summary>The reader has begun, and says so in its place among the records.</summary>
    public void Begun(TopicPartition partition)
    {
        if (!awaited.TryGetValue(partition, out var count)) return;
        if (count > 1) awaited[partition] = count - 1;
        else awaited.Remove(partition);
    }

    /// <summary>Records of the partition that come now were read before its last start.</summary>
    public bool IsEcho(TopicPartition partition) => awaited.ContainsKey(partition);
}
