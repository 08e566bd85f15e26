namespace Analytics.Actors.Core.Protocol;

/// <summary>
/// What records say of stations, on its way from the router to the shards: the messages <see cref="RecordParts"/> and
/// <see cref="Protocol.Part"/> of wire.proto as structs over reused memory. What is seldom (rejections, replays, batches)
/// are messages as generated. <see cref="PartsReader"/> fills it from an envelope, the routing rules from a source record;
/// <see cref="PartsWriter"/> writes it.
/// </summary>
/// <remarks>Bytes are slices of whatever was read, and valid as long as that is.</remarks>
public sealed class RoutedParts
{
    /// <summary>What one source record says of the stations of one shard.</summary>
    public struct Record
    {
        /// <summary>The shard that it is for; of what was read from an envelope it is not set.</summary>
        public int Shard;
        public string Topic;
        public int Incarnation;
        public int Partition;
        public long Offset;
        public long TimestampMs;
        public long PreviousOffset;
        public string Origin;
        public bool Global;
        public ReplayedFrom? Replay;
        public long Rules;

        /// <summary>Its parts, and the batches that it opened for every station in it.</summary>
        public Run Parts, Batches;
    }

    /// <summary>What a record says of one station, or something of it that cannot be used.</summary>
    public struct Part
    {
        /// <summary>UTF-8.</summary>
        public ReadOnlyMemory<byte> Station;
        public int Index;
        public int Ordinal;
        public RejectedPart? Rejected;

        /// <summary>Its items, their indexes where they do not count on from <see cref="Index"/>, and its own batches.</summary>
        public Run Items, ItemIndexes, Batches;
    }

    /// <summary>Some rows of a table that follow each other.</summary>
    public readonly record struct Run(int First, int Count)
    {
        public int End => First + Count;
    }

    public Rows<Record> Records { get; } = new();
    public Rows<Part> Parts { get; } = new();
    public Rows<ReadOnlyMemory<byte>> Items { get; } = new();
    public Rows<int> ItemIndexes { get; } = new();
    public Rows<BatchReference> Batches { get; } = new();

    public void Clear()
    {
        Records.Clear();
        Parts.Clear();
        Items.Clear();
        ItemIndexes.Clear();
        Batches.Clear();
    }
}

/// <summary>A list whose memory is used again, and whose rows are changed in their place.</summary>
public sealed class Rows<T>
{
    // More than this is not kept for the next time.
    private const int KeptMax = 16_384;

    private T[] rows = new T[4];

    public int Count { get; private set; }

    public Span<T> Span => rows.AsSpan(0, Count);

    public ref T this[int index] => ref rows.AsSpan(0, Count)[index];

    public Span<T> Of(RoutedParts.Run run) => rows.AsSpan(0, Count).Slice(run.First, run.Count);

    public ReadOnlyMemory<T> MemoryOf(RoutedParts.Run run) => rows.AsMemory(0, Count).Slice(run.First, run.Count);

    /// <summary>Adds a row with nothing in it.</summary>
    public ref T Add()
    {
        if (Count == rows.Length) Array.Resize(ref rows, 2 * Count);
        return ref rows[Count++];
    }

    public void Add(T row) => Add() = row;

    /// <summary>The rows added since there were so many.</summary>
    public RoutedParts.Run Since(int first) => new(first, Count - first);

    public void Clear()
    {
        if (rows.Length > KeptMax) rows = new T[4];
        else rows.AsSpan(0, Count).Clear();
        Count = 0;
    }
}
