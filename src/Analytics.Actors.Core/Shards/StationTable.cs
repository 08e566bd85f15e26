using System.Collections;
using System.Diagnostics.CodeAnalysis;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Shards;

/// <summary>Stations by id. Enumerated in the order in which they were added, as long as none is removed.</summary>
/// <remarks>
/// There may be a million, each of them far away in memory: a search touches one place of the table and then the station, which
/// holds the bytes of its id itself. Both may be asked for before they are needed, those of many stations side by side.
/// </remarks>
internal sealed class StationTable : IReadOnlyDictionary<string, Station>
{
    // How many stations pass until what was asked for is there.
    private const int Ahead = 8;

    // Open addressing: a station stands at its hash or behind it, with no gap between. At most five of eight slots are taken.
    private Slot[] slots = new Slot[8];
    private Station[] stations = new Station[5];

    public int Count { get; private set; }

    public IEnumerable<string> Keys => Values.Select(station => station.Id);

    public IEnumerable<Station> Values
    {
        get
        {
            for (var index = 0; index < Count; index++) yield return stations[index];
        }
    }

    public Station this[string key] => TryGetValue(key, out var station) ? station : throw new KeyNotFoundException($"There is no station {key}.");

    private int Mask => slots.Length - 1;

    public static int HashOf(ReadOnlySpan<byte> id) => Utf8Names.Comparer.GetHashCode(id);

    /// <summary>The station of this id in UTF-8; null: there is none.</summary>
    /// <param name="hash">The id's.</param>
    public Station? Find(ReadOnlySpan<byte> id, int hash)
    {
        for (var at = hash & Mask; slots[at].Station is { } station; at = (at + 1) & Mask)
        {
            if (slots[at].Hash == hash && station.HasId(id)) return station;
        }

        return null;
    }

    public bool ContainsKey(string key) => TryGetValue(key, out _);

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out Station value)
    {
        var hash = Utf8Names.Comparer.GetHashCode(key);
        for (var at = hash & Mask; (value = slots[at].Station) is not null; at = (at + 1) & Mask)
        {
            if (slots[at].Hash == hash && value.Id == key) return true;
        }

        return false;
    }

    /// <summary>Asks memory for where a station of this hash would stand.</summary>
    public void PrefetchSlot(int hash) => Prefetch.Line(in slots[hash & Mask]);

    /// <summary>The first station of this hash, which nearly always is the one that will be found; its own memory is not touched.</summary>
    public Station? Guess(int hash)
    {
        for (var at = hash & Mask; slots[at].Station is { } station; at = (at + 1) & Mask)
        {
            if (slots[at].Hash == hash) return station;
        }

        return null;
    }

    /// <summary>The station of a place from 0 on. When one is removed the last one takes its place.</summary>
    public Station At(int index) => stations[index];

    /// <summary>Asks memory for the stations behind a place, for who goes through all of them.</summary>
    public void PrefetchFrom(int index)
    {
        if (index + 3 * Ahead < Count) Station.Prefetch(stations[index + 3 * Ahead]);
        if (index + 2 * Ahead < Count) stations[index + 2 * Ahead].PrefetchWindows();
        if (index + Ahead < Count) stations[index + Ahead].PrefetchFirstWindow();
    }

    /// <summary>Adds a station whose id none has.</summary>
    public void Add(Station station)
    {
        if (Count == stations.Length) Grow();
        station.TableIndex = Count;
        stations[Count++] = station;
        Put(new Slot(station, Utf8Names.Comparer.GetHashCode(station.Id)));
    }

    public void Remove(Station station)
    {
        var at = Utf8Names.Comparer.GetHashCode(station.Id) & Mask;
        while (slots[at].Station != station) at = (at + 1) & Mask;
        // Those behind it move up, but none in front of its hash.
        for (var next = (at + 1) & Mask; slots[next].Station is not null; next = (next + 1) & Mask)
        {
            if (((next - slots[next].Hash) & Mask) < ((next - at) & Mask)) continue;
            slots[at] = slots[next];
            at = next;
        }

        slots[at] = default;
        var last = stations[--Count];
        stations[last.TableIndex = station.TableIndex] = last;
        stations[Count] = null!;
    }

    public IEnumerator<KeyValuePair<string, Station>> GetEnumerator() => Values.Select(station => KeyValuePair.Create(station.Id, station)).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private void Put(Slot slot)
    {
        var at = slot.Hash & Mask;
        while (slots[at].Station is not null) at = (at + 1) & Mask;
        slots[at] = slot;
    }

    private void Grow()
    {
        var old = slots;
        slots = new Slot[old.Length * 2];
        Array.Resize(ref stations, slots.Length / 8 * 5);
        foreach (var slot in old)
        {
            if (slot.Station is not null) Put(slot);
        }
    }

    private readonly record struct Slot(Station? Station, int Hash);
}
