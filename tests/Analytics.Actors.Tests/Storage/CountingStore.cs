using System.Diagnostics;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Tests.Storage;

/// <summary>A store that counts what passes through it.</summary>
internal sealed class CountingStore(ICheckpointStore store, CountingStore.Counts counts) : ICheckpointStore
{
    /// <summary>Outlives the store: a restarted node opens another.</summary>
    internal sealed class Counts
    {
        /// <summary>When the last takeover began, on the clock of <see cref="Stopwatch"/>.</summary>
        public long TakeOverTicks { get; set; }

        /// <summary>Rows of stations and windows that takeovers gave.</summary>
        public int TakenOver { get; set; }

        /// <summary>Rows of stations and windows that were read for stations that somebody needed.</summary>
        public int Loaded { get; set; }

        /// <summary>Rows that a search for owed calls and timers read.</summary>
        public int Searched { get; set; }
    }

    public ValueTask<StoreIdentity> OpenAsync(string group, int shardCount, CancellationToken cancellation) => store.OpenAsync(group, shardCount, cancellation);

    public async ValueTask<RecoveredShard> TakeOverAsync(ShardId shard, string owner, CancellationToken cancellation)
    {
        counts.TakeOverTicks = Stopwatch.GetTimestamp();
        var recovered = await store.TakeOverAsync(shard, owner, cancellation);
        counts.TakenOver += recovered.Entities.Count(entity => entity.Kind is EntityKind.Station or EntityKind.Window);
        return recovered;
    }

    public ValueTask<IReadOnlyList<CheckpointOutcome>> CommitAsync(IReadOnlyList<ShardCheckpoint> checkpoints, CancellationToken cancellation) => store.CommitAsync(checkpoints, cancellation);

    public async ValueTask<IReadOnlyList<EntityState>> ReadEntitiesAsync(ShardId shard, EntityKind kind, IReadOnlyList<string>? keys, CancellationToken cancellation)
    {
        var rows = await store.ReadEntitiesAsync(shard, kind, keys, cancellation);
        counts.Loaded += rows.Count;
        return rows;
    }

    public async ValueTask<IReadOnlyList<EntityState>> ReadPageAsync(ShardId shard, EntityKind kind, string? after, int limit, CancellationToken cancellation)
    {
        var rows = await store.ReadPageAsync(shard, kind, after, limit, cancellation);
        counts.Searched += rows.Count;
        return rows;
    }

    public ValueTask<IReadOnlyList<SourceState>> UpdateSourcesAsync(IReadOnlyList<SourceState> changed, CancellationToken cancellation) => store.UpdateSourcesAsync(changed, cancellation);

    public ValueTask<IReadOnlyList<PartitionPosition>> ReadPositionsAsync(CancellationToken cancellation) => store.ReadPositionsAsync(cancellation);

    public ValueTask<IReadOnlyList<ChangedRule>> PinRulesAsync(IReadOnlyList<RoutingRule> rules, CancellationToken cancellation) => store.PinRulesAsync(rules, cancellation);

    public ValueTask<ConfigurationVersion?> ReadConfigurationAsync(long? number, CancellationToken cancellation) => store.ReadConfigurationAsync(number, cancellation);

    public ValueTask<IReadOnlyList<ConfigurationVersion>> ListConfigurationsAsync(CancellationToken cancellation) => store.ListConfigurationsAsync(cancellation);

    public ValueTask<ConfigurationOutcome> ApplyConfigurationAsync(ConfigurationChange change, CancellationToken cancellation) => store.ApplyConfigurationAsync(change, cancellation);

    public ValueTask<IReadOnlyList<SourceGrant>> RaiseGrantsAsync(IReadOnlyList<GrantRequest> requests, long known, CancellationToken cancellation) => store.RaiseGrantsAsync(requests, known, cancellation);

    public ValueTask<IReadOnlyList<SourceGrant>> ReadGrantsAsync(CancellationToken cancellation) => store.ReadGrantsAsync(cancellation);

    public ValueTask<IReadOnlyList<StoredDeadLetter>> ListDeadLettersAsync(DeadLetterFilter filter, DeadLetterId? after, int limit, CancellationToken cancellation) =>
        store.ListDeadLettersAsync(filter, after, limit, cancellation);

    public ValueTask<IReadOnlyList<StoredDeadLetter>> ReadDeadLettersAsync(ShardId shard, DeadLetterFilter filter, long above, int limit, CancellationToken cancellation) =>
        store.ReadDeadLettersAsync(shard, filter, above, limit, cancellation);

    public ValueTask<ShardOwner> OwnerAsync(ShardId shard, CancellationToken cancellation) => store.OwnerAsync(shard, cancellation);

    public ValueTask DisposeAsync() => store.DisposeAsync();
}
