using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// What a new owner looks through in the background, page by page, while records are already processed: the rows of
/// stations that owe calls or have timers. Those are loaded, or woken when their time comes.
/// </summary>
/// <remarks>
/// Where a global topic calls modules every station has to be in memory, and a shard state of a first version does not tell
/// which stations have timers: then the windows are looked through as well, and every station is loaded.
/// </remarks>
internal sealed class StationScan(bool isNew, bool readsAll)
{
    /// <summary>Rows of a page. Windows are large.</summary>
    public const int PageSize = 200;

    // A timer within this is waited for in memory, ms.
    private const long SoonMs = 10_000;

    private readonly HashSet<string> awaited = new(StringComparer.Ordinal);
    private EntityKind? kind = isNew ? null : EntityKind.Station;
    private string? after;
    private bool isPageWanted = true;

    /// <summary>Every station that owes a call is in memory.</summary>
    public bool IsDone => kind is null && awaited.Count == 0;

    /// <summary>The next page to read, once; null while one is under way, or its stations are being loaded.</summary>
    public (EntityKind Kind, string? After)? TakePage()
    {
        if (!isPageWanted || kind is not { } next || awaited.Count > 0) return null;
        isPageWanted = false;
        return (next, after);
    }

    /// <summary>Takes a page: gives the stations that must be loaded now, and those that want to be woken later.</summary>
    public void Page(EntityKind pageKind, string? pageAfter, IReadOnlyList<EntityState> rows, long nowMs, List<string> load, List<(string Station, long DueMs)> wake)
    {
        if (pageKind != kind || pageAfter != after) return;
        foreach (var row in rows)
        {
            if (kind == EntityKind.Window) load.Add(StationRows.StationOf(row.Key));
            else if (readsAll || DueMs(row) is not { } due || due <= nowMs + SoonMs) load.Add(row.Key);
            // One without a timer is here because it is paused.
            else if (due < long.MaxValue) wake.Add((row.Key, due));
        }

        isPageWanted = true;
        if (rows.Count == PageSize) after = rows[^1].Key;
        else (kind, after) = (kind == EntityKind.Station && readsAll ? EntityKind.Window : null, null);
    }

    /// <summary>The scan goes on when this station has been loaded.</summary>
    public void Await(string station) => awaited.Add(station);

    public void Loaded(string station) => awaited.Remove(station);

    // When the station wants to be in memory; null: now, because it owes something.
    private static long? DueMs(EntityState row)
    {
        var state = StationState.Parser.ParseFrom(row.State);
        if (state.Triggers.Count > 0 || state.Waiting.Count > 0) return null;
        var due = state.WakeMs > 0 ? state.WakeMs : long.MaxValue;
        foreach (var interval in state.Intervals) due = Math.Min(due, interval.DueMs);
        return due;
    }
}
