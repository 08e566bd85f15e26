using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// Dead letters as they survive, for those who look and steer. They are written by checkpoints alone
/// (<see cref="ShardCheckpoint.LettersAdded"/> and its neighbours), so each appears exactly once; whatever reads them here
/// sees committed rows of all shards, whoever owns them. Fails as <see cref="ICheckpointStore"/> does.
/// </summary>
public interface IDeadLetterStore
{
    /// <summary>
    /// Letters of all shards, the newest first (time, then shard and number, all falling), without their bytes; those after
    /// <paramref name="after"/> in that order where it is given, none where it is not stored any more.
    /// </summary>
    ValueTask<IReadOnlyList<StoredDeadLetter>> ListDeadLettersAsync(DeadLetterFilter filter, DeadLetterId? after, int limit, CancellationToken cancellation);

    /// <summary>Letters of one shard with their bytes, by number, those above <paramref name="above"/>: the order in which they are replayed.</summary>
    ValueTask<IReadOnlyList<StoredDeadLetter>> ReadDeadLettersAsync(ShardId shard, DeadLetterFilter filter, long above, int limit, CancellationToken cancellation);

    /// <summary>Who took the shard over last, and in which epoch; no name for one that nobody ever owned.</summary>
    ValueTask<ShardOwner> OwnerAsync(ShardId shard, CancellationToken cancellation);
}

/// <summary>What became of a dead letter. The numbers are stored: never change one.</summary>
public enum DeadLetterState
{
    Open = 1,

    /// <summary>Sent through the normal path again; where that failed, there is a new letter that names this one.</summary>
    Replayed = 2,

    /// <summary>Somebody decided that nothing is to be done.</summary>
    Discarded = 3,
}

/// <summary>A letter as its row has it.</summary>
/// <param name="ChangedBy">Who replayed or discarded it; empty while it is open.</param>
/// <param name="ChangedMs">When, ms since 1970 UTC; 0 while it is open.</param>
public sealed record StoredDeadLetter(DeadLetter Letter, DeadLetterState State, string ChangedBy, long ChangedMs)
{
    public DeadLetterId Id => Letter.Id!.Value;
}

/// <summary>Which letters are meant: all conditions that are set.</summary>
/// <param name="SinceMs">Written at this time or later, ms since 1970 UTC.</param>
/// <param name="UntilMs">Written before this time.</param>
public sealed record DeadLetterFilter(
    string? Topic = null, string? Reason = null, string? Station = null, long? SinceMs = null, long? UntilMs = null, DeadLetterState? State = null)
{
    public static readonly DeadLetterFilter All = new();

    public bool Matches(StoredDeadLetter stored) =>
        (Topic is null || stored.Letter.Source.Topic == Topic)
        && (Reason is null || stored.Letter.Reason.Code == Reason)
        && (Station is null || stored.Letter.Station == Station)
        && !(stored.Letter.TimeMs < SinceMs) && !(stored.Letter.TimeMs >= UntilMs)
        && (State is null || stored.State == State);
}

/// <summary>A letter was replayed or discarded.</summary>
/// <param name="By">Who ordered it.</param>
public sealed record DeadLetterChange(long Number, DeadLetterState State, string By, long TimeMs);

/// <summary>
/// Letters of a shard that have been kept long enough: those below a number, and those older than a time; the lowest
/// numbers first, and at most so many of each kind in one checkpoint.
/// </summary>
public sealed record DeadLetterExpiry(long BelowNumber, long BeforeMs, int Most);

/// <summary>What every store can do by the methods that it has.</summary>
public static class DeadLetterStoreExtensions
{
    /// <summary>One letter with its bytes; null where it is not stored (any more).</summary>
    public static async ValueTask<StoredDeadLetter?> FindDeadLetterAsync(this IDeadLetterStore store, DeadLetterId id, CancellationToken cancellation)
    {
        var found = await store.ReadDeadLettersAsync(id.Shard, DeadLetterFilter.All, id.Number - 1, 1, cancellation).ConfigureAwait(false);
        return found is [var letter] && letter.Id == id ? letter : null;
    }
}
