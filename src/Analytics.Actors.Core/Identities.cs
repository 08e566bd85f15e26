namespace Analytics.Actors.Core;

// Own types for what must not be mixed up. All of them are small values that print as users write them.

/// <summary>A shard: the stations (and batches) whose key hashes to one partition of the anchor topic.</summary>
public readonly record struct ShardId(int Value) : IComparable<ShardId>
{
    public int CompareTo(ShardId other) => Value.CompareTo(other.Value);
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>How often a shard has changed hands. Raised in SQL by every takeover; a checkpoint of an older epoch is fenced.</summary>
public readonly record struct Epoch(long Value) : IComparable<Epoch>
{
    public int CompareTo(Epoch other) => Value.CompareTo(other.Value);
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>One partition of one Kafka topic.</summary>
public readonly record struct TopicPartition(string Topic, int Partition) : IComparable<TopicPartition>
{
    public int CompareTo(TopicPartition other)
    {
        var byTopic = string.CompareOrdinal(Topic, other.Topic);
        return byTopic != 0 ? byTopic : Partition.CompareTo(other.Partition);
    }

    public override string ToString() => $"{Topic}[{Partition}]";
}

/// <summary>
/// A source partition in one of its lives: a topic that is deleted and made again starts its offsets anew, and its
/// incarnation (kept in SQL) is raised, so that old marks do not swallow new records.
/// </summary>
public readonly record struct SourcePartition(string Topic, int Incarnation, int Partition) : IComparable<SourcePartition>
{
    public int CompareTo(SourcePartition other)
    {
        var byTopic = string.CompareOrdinal(Topic, other.Topic);
        if (byTopic != 0) return byTopic;
        var byIncarnation = Incarnation.CompareTo(other.Incarnation);
        return byIncarnation != 0 ? byIncarnation : Partition.CompareTo(other.Partition);
    }

    public override string ToString() => $"{Topic}[{Partition}]#{Incarnation}";
}

/// <summary>
/// Where a part stands in its source partition: the record's offset, the index of the item inside the record, and the
/// ordinal of the station inside the item. Marks are the highest place seen.
/// </summary>
public readonly record struct Place(long Offset, int Index, int Ordinal) : IComparable<Place>
{
    /// <summary>Below every real place.</summary>
    public static readonly Place None = new(-1, -1, -1);

    public int CompareTo(Place other)
    {
        var byOffset = Offset.CompareTo(other.Offset);
        if (byOffset != 0) return byOffset;
        var byIndex = Index.CompareTo(other.Index);
        return byIndex != 0 ? byIndex : Ordinal.CompareTo(other.Ordinal);
    }

    public static bool operator <(Place left, Place right) => left.CompareTo(right) < 0;
    public static bool operator >(Place left, Place right) => left.CompareTo(right) > 0;
    public static bool operator <=(Place left, Place right) => left.CompareTo(right) <= 0;
    public static bool operator >=(Place left, Place right) => left.CompareTo(right) >= 0;
    /// <summary>
    /// A well-mixed hash (SplitMix64's finaliser over the three numbers). The XOR of the hashes of all applied places
    /// witnesses what a shard applied, independent of order.
    /// </summary>
    public ulong Hash()
    {
        var mixed = Mix((ulong)Offset + 0x9e3779b97f4a7c15);
        mixed = Mix(mixed ^ (uint)Index);
        return Mix(mixed ^ ((ulong)(uint)Ordinal << 32));
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }

    public override string ToString() => $"{Offset}.{Index}.{Ordinal}";
}

/// <summary>
/// Who wrote an output: the store (random id of the database), the shard, the partition it was written to and the
/// entry's sequence there. Printed in the header <c>aa-origin</c>; sequences are contiguous per (shard, topic, partition).
/// </summary>
public readonly record struct Origin(string Store, ShardId Shard, int Partition, long Sequence)
{
    public override string ToString() =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Store}.{Shard.Value}.{Partition}.{Sequence}");

    /// <summary>Reads the text form; false where the text is not an origin (then the record is not one of ours).</summary>
    public static bool TryParse(string? text, out Origin origin)
    {
        origin = default;
        var parts = text?.Split('.');
        if (parts is not { Length: 4 } || parts[0].Length == 0) return false;
        var invariant = System.Globalization.CultureInfo.InvariantCulture;
        const System.Globalization.NumberStyles digits = System.Globalization.NumberStyles.None;
        if (!int.TryParse(parts[1], digits, invariant, out var shard)
            || !int.TryParse(parts[2], digits, invariant, out var partition)
            || !long.TryParse(parts[3], digits, invariant, out var sequence)) return false;
        origin = new Origin(parts[0], new ShardId(shard), partition, sequence);
        return true;
    }
}

/// <summary>A dead letter: the shard that wrote it, and its number there, from 1 on. Printed as people type it: 3-17.</summary>
public readonly record struct DeadLetterId(ShardId Shard, long Number) : IComparable<DeadLetterId>
{
    public int CompareTo(DeadLetterId other)
    {
        var byShard = Shard.CompareTo(other.Shard);
        return byShard != 0 ? byShard : Number.CompareTo(other.Number);
    }

    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Shard.Value}-{Number}");

    /// <summary>Reads the text form; false where the text is not one.</summary>
    public static bool TryParse(string? text, out DeadLetterId id)
    {
        id = default;
        var invariant = System.Globalization.CultureInfo.InvariantCulture;
        const System.Globalization.NumberStyles digits = System.Globalization.NumberStyles.None;
        if (text?.Split('-') is not [var shard, var number]
            || !int.TryParse(shard, digits, invariant, out var shardValue)
            || !long.TryParse(number, digits, invariant, out var numberValue)) return false;
        id = new DeadLetterId(new ShardId(shardValue), numberValue);
        return true;
    }
}
