using Analytics.Actors.Core.Stations;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// The stations that the keys of the next records of a run name. A record under a key is mostly of that station. With very many
/// stations most of them are far away in memory, and so is what a record changes of them: asked for one behind the other it takes
/// several times what it takes side by side.
/// </summary>
internal sealed class ExpectedStations(StationTable table)
{
    /// <summary>Records whose stations are looked for together.</summary>
    public const int Most = 32;

    private readonly int[] hashes = new int[Most];
    private readonly Station?[] stations = new Station?[Most];
    private readonly TopicWindow?[] windows = new TopicWindow?[Most];

    /// <summary>Of a record, by its place from the one on that was named last; null where it has none that is known.</summary>
    public Station? this[int index] => stations[index];

    /// <summary>Looks for those of the records from one on.</summary>
    /// <param name="topic">Of whose windows they will probably change one; null: unknown.</param>
    public void Find(IReadOnlyList<LogRecord> records, int from, string? topic)
    {
        var count = Math.Min(records.Count - from, Most);
        if (records[from].Key is null)
        {
            Array.Clear(stations);
            return;
        }

        for (var index = 0; index < count; index++)
        {
            hashes[index] = records[from + index].Key is { } key ? StationTable.HashOf(key.Span) : 0;
            table.PrefetchSlot(hashes[index]);
        }

        for (var index = 0; index < count; index++)
        {
            if (table.Guess(hashes[index]) is { } station) Station.Prefetch(station);
        }

        for (var index = 0; index < count; index++)
        {
            var station = records[from + index].Key is { } key && table.Find(key.Span, hashes[index]) is { IsCounted: true } found ? found : null;
            stations[index] = station;
            station?.PrefetchWindows();
        }

        if (topic is null) return;
        for (var index = 0; index < count; index++)
        {
            var window = windows[index] = stations[index]?.FindWindow(topic);
            if (window is not null) TopicWindow.Prefetch(window);
        }

        for (var index = 0; index < count; index++) windows[index]?.PrefetchHeld();
    }

    public void Clear()
    {
        Array.Clear(stations);
        Array.Clear(windows);
    }
}
