using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// The stations of one shard that are in memory, the others being rows in the store. A station is loaded when a record, a
/// timer or a call that is owed needs it, and passivated when it has been idle or when there are too many.
/// </summary>
/// <remarks>
/// Must keep true: a station leaves memory only when its row says all of it (nothing changed since a checkpoint that has
/// committed), when it owes nothing, and when no record waits for it.
/// </remarks>
/// <param name="most">Stations that may be in memory.</param>
/// <param name="passivateAfterMs">How long a station may be idle, ms.</param>
internal sealed class ResidentStations(int most, long passivateAfterMs)
{
    // Below the limit a station keeps its place for this part of the time after which it goes: a station in use is
    // not moved with each record, which would touch its neighbours too.
    private const int PlacesKept = 8;

    private readonly StationTable stations = new();

    // The one that was placed longest ago first.
    private Station? first, last;

    // Asked of the store and not come yet.
    private readonly HashSet<string> loading = new(StringComparer.Ordinal);

    // How many waiting records need a station: it stays until they are through.
    private readonly Dictionary<string, int> pins = new(StringComparer.Ordinal);
    private readonly List<string> toLoad = [];

    public IReadOnlyDictionary<string, Station> Stations => stations;

    /// <summary>Loads asked for since they were last taken, in the order of asking.</summary>
    public bool HasLoads => toLoad.Count > 0;

    public bool IsResident(string id) => stations.ContainsKey(id);

    public StationTable Table => stations;

    public Station? Find(string id) => stations.TryGetValue(id, out var station) ? station : null;

    /// <summary>The station of this id in UTF-8, if it is in memory.</summary>
    public Station? Find(ReadOnlySpan<byte> id) => stations.Find(id, StationTable.HashOf(id));

    /// <summary>Puts a station into memory, as the one used last.</summary>
    public void Add(Station station, long nowMs)
    {
        stations.Add(station);
        station.LastUsedMs = nowMs;
        PlaceLast(station, nowMs);
    }

    /// <summary>The station is used now: among the last ones to be passivated.</summary>
    public void Use(Station station, long nowMs)
    {
        station.LastUsedMs = nowMs;
        if (stations.Count < most && nowMs - station.PlacedMs <= passivateAfterMs / PlacesKept) return;
        if (station != last)
        {
            TakeOut(station);
            PlaceLast(station, nowMs);
        }

        station.PlacedMs = nowMs;
    }

    public void Remove(Station station)
    {
        stations.Remove(station);
        TakeOut(station);
    }

    /// <summary>Asks for a station unless it is here or on its way.</summary>
    public void Load(string id)
    {
        if (!stations.ContainsKey(id) && loading.Add(id)) toLoad.Add(id);
    }

    /// <summary>A load has come; false for one that nobody asked for.</summary>
    public bool EndLoad(string id) => loading.Remove(id);

    public IReadOnlyList<string> TakeLoads()
    {
        string[] taken = [.. toLoad];
        toLoad.Clear();
        return taken;
    }

    public void Pin(string id) => pins[id] = pins.GetValueOrDefault(id) + 1;

    public void Unpin(string id)
    {
        if (pins[id] == 1) pins.Remove(id);
        else pins[id]--;
    }

    /// <summary>Forgets what was asked for and pinned: the shard is being given up.</summary>
    public void Close()
    {
        loading.Clear();
        toLoad.Clear();
        pins.Clear();
    }

    /// <summary>
    /// Takes stations out of memory, those used longest ago first: as many as there are above the limit, and
    /// all that were last used before <paramref name="idleSinceMs"/>. Returns how many went.
    /// </summary>
    /// <param name="committed">Number of the last checkpoint that is known to have committed.</param>
    public int Passivate(long idleSinceMs, long committed)
    {
        var gone = 0;
        for (var next = first; next is not null && (stations.Count > most || next.PlacedMs < idleSinceMs);)
        {
            var station = next;
            next = station.UsedAfter;
            if (stations.Count <= most && station.LastUsedMs >= idleSinceMs) continue;
            if (station.SavedIn > committed || !station.IsAtRest || pins.ContainsKey(station.Id)) continue;
            Remove(station);
            gone++;
        }

        return gone;
    }

    private void PlaceLast(Station station, long nowMs)
    {
        (station.UsedBefore, station.UsedAfter, station.PlacedMs) = (last, null, nowMs);
        if (last is null) first = station;
        else last.UsedAfter = station;
        last = station;
    }

    private void TakeOut(Station station)
    {
        if (station.UsedBefore is { } earlier) earlier.UsedAfter = station.UsedAfter;
        else first = station.UsedAfter;
        if (station.UsedAfter is { } later) later.UsedBefore = station.UsedBefore;
        else last = station.UsedBefore;
    }
}
