namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// The marks of one shard: per input log and sender's run the highest place seen. What is not higher has been seen
/// before and is dropped, so repeats, late copies and zombies vanish. With each mark goes a witness of what was applied.
/// </summary>
/// <remarks>
/// "Seen" is always a prefix of a run, because a sender has one message outstanding per destination and starts a run no
/// higher than what is already there.
/// </remarks>
public sealed class Marks
{
    private readonly Dictionary<(TopicPartition Log, SourcePartition Source), Mark> bySource = new(new BySource());
    private readonly Dictionary<(TopicPartition Log, OriginRun Run), Mark> byOrigin = [];
    private readonly List<(TopicPartition Log, string Source, Mark Mark)> dirty = [];

    /// <summary>The mark of a source partition's run in <paramref name="log"/>.</summary>
    public Mark Of(TopicPartition log, SourcePartition source)
    {
        if (bySource.TryGetValue((log, source), out var mark)) return mark;
        mark = new Mark();
        mark.Attach(this, log, $"p|{source.Topic}|{source.Incarnation}|{source.Partition}");
        bySource.Add((log, source), mark);
        return mark;
    }

    /// <summary>The mark of the outputs that one shard wrote to one partition, as they arrive in <paramref name="log"/>.</summary>
    public Mark Of(TopicPartition log, OriginRun run)
    {
        if (byOrigin.TryGetValue((log, run), out var mark)) return mark;
        mark = new Mark();
        mark.Attach(this, log, $"o|{run.Topic}|{run.Store}|{run.Shard.Value}|{run.Partition}");
        byOrigin.Add((log, run), mark);
        return mark;
    }

    /// <summary>The mark without making one; null where the run has not been seen.</summary>
    public Mark? Find(TopicPartition log, SourcePartition source) => bySource.GetValueOrDefault((log, source));

    /// <summary>All marks of source partitions, for reports.</summary>
    public IEnumerable<(TopicPartition Log, SourcePartition Source, Mark Mark)> Sources =>
        bySource.Select(pair => (pair.Key.Log, pair.Key.Source, pair.Value));

    /// <summary>Restores a saved mark; an unknown form is refused, because dropping a mark would apply records twice.</summary>
    public void Restore(MarkState state)
    {
        var parts = state.Source.Split('|');
        var invariant = System.Globalization.CultureInfo.InvariantCulture;
        var mark = parts switch
        {
            ["p", var topic, var incarnation, var partition] =>
                Of(state.Log, new SourcePartition(topic, int.Parse(incarnation, invariant), int.Parse(partition, invariant))),
            ["o", var topic, var store, var shard, var partition] =>
                Of(state.Log, new OriginRun(store, new ShardId(int.Parse(shard, invariant)), topic, int.Parse(partition, invariant))),
            _ => throw new InvalidDataException($"A stored mark has an unknown source '{state.Source}'."),
        };
        mark.Restore(state.Highest, state.AppliedCount, state.AppliedHash);
    }

    /// <summary>The marks changed since the last call, for a checkpoint.</summary>
    public IReadOnlyList<MarkState> TakeChanged()
    {
        if (dirty.Count == 0) return [];
        var changed = new List<MarkState>(dirty.Count);
        foreach (var (log, source, mark) in dirty)
        {
            mark.Clean();
            changed.Add(new MarkState(log, source, mark.Highest, mark.AppliedCount, mark.AppliedHash));
        }

        dirty.Clear();
        return changed;
    }

    private void MarkDirty(TopicPartition log, string source, Mark mark) => dirty.Add((log, source, mark));

    // Asked for every record of a router, with topics that are all different: their names need not be read for it.
    private sealed class BySource : IEqualityComparer<(TopicPartition Log, SourcePartition Source)>
    {
        public bool Equals((TopicPartition Log, SourcePartition Source) left, (TopicPartition Log, SourcePartition Source) right) => left == right;

        public int GetHashCode((TopicPartition Log, SourcePartition Source) run) => HashCode.Combine(
            run.Log.Partition, run.Log.Topic.Length, run.Source.Partition, run.Source.Incarnation, run.Source.Topic.Length, run.Source.Topic.Length > 0 ? run.Source.Topic[^1] : 0);
    }

    /// <summary>One run's mark.</summary>
    public sealed class Mark
    {
        private Marks? owner;
        private TopicPartition log;
        private string source = "";
        private bool isDirty;

        /// <summary>The highest place seen.</summary>
        public Place Highest { get; private set; } = Place.None;

        /// <summary>How many parts of the run this shard applied.</summary>
        public long AppliedCount { get; private set; }

        /// <summary>XOR of the hashes of the applied places.</summary>
        public ulong AppliedHash { get; private set; }

        /// <summary>Moves the mark up to <paramref name="place"/>; false where it had been seen.</summary>
        public bool Advance(Place place)
        {
            if (place <= Highest) return false;
            Highest = place;
            Touch();
            return true;
        }

        /// <summary>Witnesses that the part at <paramref name="place"/> was applied.</summary>
        public void Applied(Place place)
        {
            AppliedCount++;
            AppliedHash ^= place.Hash();
            Touch();
        }

        internal void Attach(Marks marks, TopicPartition inLog, string named)
        {
            owner = marks;
            log = inLog;
            source = named;
        }

        internal void Restore(Place highest, long count, ulong hash)
        {
            Highest = highest;
            AppliedCount = count;
            AppliedHash = hash;
        }

        internal void Clean() => isDirty = false;

        private void Touch()
        {
            if (isDirty) return;
            isDirty = true;
            owner!.MarkDirty(log, source, this);
        }
    }
}

/// <summary>The outputs that one shard of one store wrote to one partition of one topic: contiguous sequences.</summary>
public readonly record struct OriginRun(string Store, ShardId Shard, string Topic, int Partition);
