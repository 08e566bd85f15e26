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
internal sealed class ResidentStations
{
    private readonly Dictionary<string, Station> stations = new(Records.Utf8Names.Comparer);

    // The one that was used longest ago first.
    private readonly LinkedList<Station> order = new();

    // Asked of the store and not come yet.
    private readonly HashSet<string> loading = new(StringComparer.Ordinal);

    // How many waiting records need a station: it stays until they are through.
    private readonly Dictionary<string, int> pins = new(StringComparer.Ordinal);
    private readonly List<string> toLoad = [];

    public IReadOnlyDictionary<string, Station> Stations => stations;

    /// <summary>Loads asked for since they were last taken, in the order of asking.</summary>
    public bool HasLoads => toLoad.Count > 0;

    public bool IsResident(string id) => stations.ContainsKey(id);

    public Station? Find(string id) => stations.GetValueOrDefault(id);

    /// <summary>The station of this id in UTF-8, if it is in memory.</summary>
    public Station? Find(ReadOnlySpan<byte> id) => stations.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(id, out var station) ? station : null;

    /// <summary>Puts a station into memory, as the one used last.</summary>
    public void Add(Station station, long nowMs)
    {
        stations.Add(station.Id, station);
        station.LastUsedMs = nowMs;
        station.Order = order.AddLast(station);
    }

    /// <summary>The station is used now: the last one to be passivated.</summary>
    public void Use(Station station, long nowMs)
    {
        station.LastUsedMs = nowMs;
        if (order.Last == station.Order) return;
        order.Remove(station.Order!);
        order.AddLast(station.Order!);
    }

    public void Remove(Station station)
    {
        stations.Remove(station.Id);
        order.Remove(station.Order!);
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
    /// Takes stations out of memory, those used longest ago first: as many as there are above <paramref name="most"/>, and
    /// all that were last used before <paramref name="idleSinceMs"/>. Returns how many went.
    /// </summary>
    /// <param name="committed">Number of the last checkpoint that is known to have committed.</param>
    public int Passivate(int most, long idleSinceMs, long committed)
    {
        var gone = 0;
        for (var node = order.First; node is not null && (stations.Count > most || node.Value.LastUsedMs < idleSinceMs);)
        {
            var station = node.Value;
            node = node.Next;
            if (station.SavedIn > committed || !station.IsAtRest || pins.ContainsKey(station.Id)) continue;
            Remove(station);
            gone++;
        }

        return gone;
    }
}
