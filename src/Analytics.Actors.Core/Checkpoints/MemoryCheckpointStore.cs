using Analytics.Actors.Core.Cluster;

namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// The checkpoint store without a disk, for the simulator and the trace: it answers before it returns, knows no clock and
/// no chance (the store id is given), and lists everything in one order, so that a seed reproduces a run. It survives the
/// nodes of a simulated cluster as a database would: several of them open the same object, and disposing it forgets
/// nothing. Byte arrays are copied in both directions, because what is "on disk" must not change with the caller's state.
/// </summary>
/// <param name="storeId">What a database would have made up at its creation: 12 hex digits.</param>
/// <param name="clockMs">The time by which nodes' rows age, milliseconds since 1970 UTC; null: it stands still.</param>
public sealed partial class MemoryCheckpointStore(string storeId, Func<long>? clockMs = null) : ICheckpointStore, IClusterStore
{
    // One store may be shared by hosts that do have threads (a demo without a database); a simulation never waits here.
    private readonly Lock gate = new();
    private readonly Dictionary<TopicPartition, SourceState> sources = [];
    private readonly Dictionary<string, string> rules = new(StringComparer.Ordinal);
    private readonly MemoryConfigurations configurations = new();
    private string? group;
    private Shard[] shards = [];

    public ValueTask<StoreIdentity> OpenAsync(string group, int shardCount, CancellationToken cancellation)
    {
        ArgumentException.ThrowIfNullOrEmpty(group);
        ArgumentOutOfRangeException.ThrowIfLessThan(shardCount, 1);
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            if (this.group is null)
            {
                this.group = group;
                shards = Enumerable.Range(0, shardCount).Select(_ => new Shard()).ToArray();
            }
            if (shards.Length != shardCount)
                throw new StoreRefusedException($"The store was made for {shards.Length} shards and is opened with {shardCount}; the shard count of a store never changes.");
            if (this.group != group)
                throw new StoreRefusedException($"The store belongs to the group '{this.group}' and is opened by the group '{group}'.");
            return ValueTask.FromResult(new StoreIdentity(storeId, 0));
        }
    }

    public ValueTask<RecoveredShard> TakeOverAsync(ShardId shard, string owner, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate) return ValueTask.FromResult(Find(shard).TakeOver(shard, owner));
    }

    public ValueTask<IReadOnlyList<CheckpointOutcome>> CommitAsync(IReadOnlyList<ShardCheckpoint> checkpoints, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        ShardCheckpoint.RequireOnePerShard(checkpoints);
        lock (gate)
        {
            // All refusals come before the first change: the group commits as a whole, or not at all.
            foreach (var checkpoint in checkpoints) Find(checkpoint.Shard).Verify(checkpoint);
            var outcomes = new CheckpointOutcome[checkpoints.Count];
            for (var i = 0; i < outcomes.Length; i++) outcomes[i] = Find(checkpoints[i].Shard).Commit(checkpoints[i]);
            return ValueTask.FromResult<IReadOnlyList<CheckpointOutcome>>(outcomes);
        }
    }

    public ValueTask<IReadOnlyList<EntityState>> ReadEntitiesAsync(ShardId shard, EntityKind kind, IReadOnlyList<string>? keys, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate) return ValueTask.FromResult<IReadOnlyList<EntityState>>(Find(shard).ReadEntities(kind, keys));
    }

    public ValueTask<IReadOnlyList<EntityState>> ReadPageAsync(ShardId shard, EntityKind kind, string? after, int limit, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate) return ValueTask.FromResult<IReadOnlyList<EntityState>>(Find(shard).ReadPage(kind, after, limit));
    }

    public ValueTask<IReadOnlyList<SourceState>> UpdateSourcesAsync(IReadOnlyList<SourceState> changed, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            foreach (var source in changed)
            {
                if (!sources.TryGetValue(source.Partition, out var stored) || source.MayReplace(stored))
                    sources[source.Partition] = source;
            }
            return ValueTask.FromResult<IReadOnlyList<SourceState>>([.. sources.Values.OrderBy(source => source.Partition)]);
        }
    }

    public ValueTask<IReadOnlyList<PartitionPosition>> ReadPositionsAsync(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            return ValueTask.FromResult<IReadOnlyList<PartitionPosition>>([.. shards.SelectMany(shard => shard.Positions)]);
        }
    }

    public ValueTask<IReadOnlyList<ChangedRule>> PinRulesAsync(IReadOnlyList<RoutingRule> rules, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            var changed = rules.Where(rule => this.rules.TryGetValue(rule.Name, out var stored) && stored != rule.Rule)
                .Select(rule => new ChangedRule(rule.Name, this.rules[rule.Name], rule.Rule)).ToList();
            if (changed.Count == 0)
            {
                foreach (var rule in rules) this.rules[rule.Name] = rule.Rule;
            }

            return ValueTask.FromResult<IReadOnlyList<ChangedRule>>(changed);
        }
    }

    public ValueTask<ConfigurationVersion?> ReadConfigurationAsync(long? number, CancellationToken cancellation) => WithConfigurations(() => configurations.Read(number), cancellation);

    public ValueTask<IReadOnlyList<ConfigurationVersion>> ListConfigurationsAsync(CancellationToken cancellation) => WithConfigurations(configurations.List, cancellation);

    public ValueTask<ConfigurationOutcome> ApplyConfigurationAsync(ConfigurationChange change, CancellationToken cancellation) =>
        WithConfigurations(() => configurations.Apply(change, sources.Values), cancellation);

    public ValueTask<IReadOnlyList<SourceGrant>> RaiseGrantsAsync(IReadOnlyList<GrantRequest> requests, long known, CancellationToken cancellation) =>
        WithConfigurations(() => configurations.Raise(requests, known), cancellation);

    public ValueTask<IReadOnlyList<SourceGrant>> ReadGrantsAsync(CancellationToken cancellation) => WithConfigurations(configurations.ReadGrants, cancellation);

    public ValueTask<IReadOnlyList<StoredDeadLetter>> ListDeadLettersAsync(DeadLetterFilter filter, DeadLetterId? after, int limit, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            var all = shards.SelectMany(shard => shard.Letters.Values);
            if (after is { } last)
            {
                var from = Find(last.Shard).Letters.GetValueOrDefault(last.Number);
                all = from is null ? [] : all.Where(letter => (letter.Letter.TimeMs, letter.Id).CompareTo((from.Letter.TimeMs, from.Id)) < 0);
            }

            return ValueTask.FromResult<IReadOnlyList<StoredDeadLetter>>(
            [
                .. all.Where(filter.Matches).OrderByDescending(letter => (letter.Letter.TimeMs, letter.Id)).Take(limit)
                    .Select(letter => letter with { Letter = letter.Letter with { Bytes = default } }),
            ]);
        }
    }

    public ValueTask<IReadOnlyList<StoredDeadLetter>> ReadDeadLettersAsync(ShardId shard, DeadLetterFilter filter, long above, int limit, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            return ValueTask.FromResult<IReadOnlyList<StoredDeadLetter>>(
                [.. Find(shard).Letters.Values.Where(letter => letter.Id.Number > above && filter.Matches(letter)).Take(limit).Select(Copied)]);
        }
    }

    public ValueTask<ShardOwner> OwnerAsync(ShardId shard, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate) return ValueTask.FromResult(Find(shard).Owner);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private ValueTask<T> WithConfigurations<T>(Func<T> work, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (gate)
        {
            RequireOpen();
            return ValueTask.FromResult(work());
        }
    }

    private void RequireOpen()
    {
        if (group is null) throw new InvalidOperationException("OpenAsync comes first.");
    }

    private Shard Find(ShardId shard)
    {
        RequireOpen();
        return (uint)shard.Value < (uint)shards.Length
            ? shards[shard.Value]
            : throw new ArgumentOutOfRangeException(nameof(shard), shard, $"The store has the shards 0 to {shards.Length - 1}.");
    }

    private static byte[] Copy(byte[] bytes) => [.. bytes];

    private static StoredDeadLetter Copied(StoredDeadLetter stored) => stored with { Letter = stored.Letter with { Bytes = stored.Letter.Bytes.ToArray() } };

    /// <summary>The rows of one shard.</summary>
    private sealed class Shard
    {
        private readonly Dictionary<(EntityKind Kind, string Key), byte[]> entities = [];
        private readonly Dictionary<TopicPartition, PartitionPosition> positions = [];
        private readonly Dictionary<(TopicPartition Log, string Source), MarkState> marks = [];
        private readonly Dictionary<TopicPartition, SortedDictionary<long, OutboxEntry>> outbox = [];
        private long epoch;
        private long number;
        private bool released = true;
        private byte[] state = [];

        public SortedDictionary<long, StoredDeadLetter> Letters { get; } = [];
        public IEnumerable<PartitionPosition> Positions => positions.Values;
        public ShardOwner Owner => new(owner, new Epoch(epoch));
        private string owner = "";

        public ShardOwnerRow OwnerRow(ShardId shard) => new(shard, released ? "" : owner, new Epoch(epoch), released);

        public bool FenceOwner(string node)
        {
            if (owner != node) return false;
            owner = "";
            epoch++;
            return true;
        }

        public RecoveredShard TakeOver(ShardId shard, string owner)
        {
            this.owner = owner;
            var releasedInOrder = released;
            epoch++;
            released = false;
            return new RecoveredShard
            {
                Shard = shard,
                Epoch = new Epoch(epoch),
                CheckpointNumber = number,
                ReleasedInOrder = releasedInOrder,
                ShardState = Copy(state),
                Entities = [.. InOrder(entities.Where(row => row.Key.Kind is EntityKind.Batch or EntityKind.Global))],
                Positions = [.. positions.Values.OrderBy(position => position.Partition)],
                Marks = [.. marks.Values.OrderBy(mark => mark.Log).ThenBy(mark => mark.Source, Utf8Order.Instance)],
                Outbox = [.. outbox.OrderBy(destination => destination.Key).SelectMany(destination => destination.Value.Values).Select(Copied)],
            };
        }

        /// <summary>Throws where the checkpoint breaks an invariant of the shard that made it.</summary>
        public void Verify(ShardCheckpoint checkpoint)
        {
            if (IsFenced(checkpoint)) return;
            var removed = checkpoint.OutboxRemoved.GroupBy(acknowledged => acknowledged.Destination)
                .ToDictionary(destination => destination.Key, destination => destination.Max(acknowledged => acknowledged.UpToSequence));
            var added = new HashSet<(TopicPartition, long)>();
            foreach (var entry in checkpoint.OutboxAdded)
            {
                var stored = outbox.TryGetValue(entry.Destination, out var entries) && entries.ContainsKey(entry.Sequence)
                    && !(removed.TryGetValue(entry.Destination, out var upTo) && entry.Sequence <= upTo);
                if (stored || !added.Add((entry.Destination, entry.Sequence)))
                    throw new InvalidOperationException($"Shard {checkpoint.Shard} gave the sequence {entry.Sequence} of {entry.Destination} to a second outbox entry.");
            }

            foreach (var letter in checkpoint.LettersAdded)
                if (Letters.ContainsKey(letter.Id!.Value.Number)) throw new InvalidOperationException($"Shard {checkpoint.Shard} gave the id {letter.Id} to a second dead letter.");
        }

        public CheckpointOutcome Commit(ShardCheckpoint checkpoint)
        {
            if (IsFenced(checkpoint)) return CheckpointOutcome.Fenced;
            number = checkpoint.Number;
            released = checkpoint.Release;
            state = Copy(checkpoint.ShardState);
            foreach (var entity in checkpoint.Entities)
            {
                if (entity.State is null) entities.Remove((entity.Kind, entity.Key));
                else entities[(entity.Kind, entity.Key)] = Copy(entity.State);
            }
            foreach (var position in checkpoint.Positions) positions[position.Partition] = position;
            foreach (var mark in checkpoint.Marks) marks[(mark.Log, mark.Source)] = mark;
            foreach (var acknowledged in checkpoint.OutboxRemoved) RemoveFromOutbox(acknowledged);
            foreach (var entry in checkpoint.OutboxAdded)
            {
                if (!outbox.TryGetValue(entry.Destination, out var entries)) outbox.Add(entry.Destination, entries = []);
                entries.Add(entry.Sequence, Copied(entry));
            }
            WriteLetters(checkpoint);
            return CheckpointOutcome.Committed;
        }

        private void WriteLetters(ShardCheckpoint checkpoint)
        {
            foreach (var letter in checkpoint.LettersAdded) Letters.Add(letter.Id!.Value.Number, MemoryCheckpointStore.Copied(new StoredDeadLetter(letter, DeadLetterState.Open, "", 0)));
            foreach (var change in checkpoint.LettersChanged)
            {
                if (Letters.TryGetValue(change.Number, out var stored)) Letters[change.Number] = stored with { State = change.State, ChangedBy = change.By, ChangedMs = change.TimeMs };
            }

            if (checkpoint.LettersExpired is not { } expired) return;
            foreach (var number in Letters.Keys.TakeWhile(number => number < expired.BelowNumber).Take(expired.Most).ToList()) Letters.Remove(number);
            foreach (var number in Letters.Where(letter => letter.Value.Letter.TimeMs < expired.BeforeMs).Take(expired.Most).Select(letter => letter.Key).ToList()) Letters.Remove(number);
        }

        public List<EntityState> ReadEntities(EntityKind kind, IReadOnlyList<string>? keys)
        {
            if (keys is null) return [.. InOrder(entities.Where(row => row.Key.Kind == kind))];
            var found = new List<EntityState>(keys.Count);
            foreach (var key in keys)
                if (entities.TryGetValue((kind, key), out var state)) found.Add(new EntityState(kind, key, Copy(state)));
            return found;
        }

        public List<EntityState> ReadPage(EntityKind kind, string? after, int limit) =>
            [.. InOrder(entities.Where(row => row.Key.Kind == kind && (after is null || Utf8Order.Instance.Compare(row.Key.Key, after) > 0))).Take(limit)];

        private bool IsFenced(ShardCheckpoint checkpoint) => checkpoint.Epoch.Value != epoch || checkpoint.Number != number + 1;

        private void RemoveFromOutbox(OutboxAcknowledgement acknowledged)
        {
            if (!outbox.TryGetValue(acknowledged.Destination, out var entries)) return;
            while (entries.Count > 0 && entries.First().Key is var first && first <= acknowledged.UpToSequence) entries.Remove(first);
        }

        private static IEnumerable<EntityState> InOrder(IEnumerable<KeyValuePair<(EntityKind Kind, string Key), byte[]>> rows) =>
            rows.OrderBy(row => row.Key.Kind).ThenBy(row => row.Key.Key, Utf8Order.Instance)
                .Select(row => new EntityState(row.Key.Kind, row.Key.Key, Copy(row.Value)));

        private static OutboxEntry Copied(OutboxEntry entry) =>
            entry with { Key = entry.Key is null ? null : Copy(entry.Key), Value = Copy(entry.Value), Headers = [.. entry.Headers] };
    }

    /// <summary>
    /// The order in which databases sort text by its bytes in UTF-8, which is the order of code points. It differs from
    /// .NET's ordinal order in one place: characters beyond U+FFFF, surrogates in UTF-16, come after U+E000 to U+FFFF.
    /// </summary>
    private sealed class Utf8Order : IComparer<string>
    {
        public static readonly Utf8Order Instance = new();

        public int Compare(string? left, string? right)
        {
            var common = left.AsSpan().CommonPrefixLength(right);
            if (common == left!.Length || common == right!.Length) return left.Length.CompareTo(right!.Length);
            return Rank(left[common]).CompareTo(Rank(right[common]));
        }

        private static int Rank(char unit) => char.IsSurrogate(unit) ? unit + 0x10000 : unit;
    }
}
