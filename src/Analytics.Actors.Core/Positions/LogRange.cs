namespace Analytics.Actors.Core.Positions;

/// <summary>The offsets that a partition's log holds.</summary>
/// <param name="Low">The first offset.</param>
/// <param name="High">One above the last offset: where the next record goes.</param>
public readonly record struct LogRange(long Low, long High)
{
    /// <summary>Reading can go on at this position: the end itself is inside.</summary>
    public bool Contains(long position) => position >= Low && position <= High;

    /// <summary>There is, or was before compaction, a record at this offset.</summary>
    public bool Holds(long offset) => offset >= Low && offset < High;

    public override string ToString() => $"{Low} to {High}";
}

/// <summary>What is remembered of a record to know it again: another record at its offset means another log.</summary>
/// <param name="TimestampMs">Milliseconds since 1970 UTC; -1 where the record has none.</param>
/// <param name="Checksum">CRC-32C of its value.</param>
public readonly record struct RecordWitness(long TimestampMs, uint Checksum)
{
    public static RecordWitness Of(long timestampMs, ReadOnlySpan<byte> value) => new(timestampMs, Analytics.Actors.Core.Records.Checksum.Of(value));
}
