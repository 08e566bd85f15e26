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

    private readonly Expected[] expected = new Expected[Most];

    /// <summary>Of a record, by its place from the one on that was named last; null where it has none that is known.</summary>
    public Station? this[int index] => expected[index].Station;

    /// <summary>Looks for those of the records from one on.</summary>
    /// <param name="topic">Of whose windows they will probably change one; null: unknown.</param>
    public void Find(IReadOnlyList<LogRecord> records, int from, string? topic)
    {
        Clear();
        if (records[from].Key is null) return;
        var coming = expected.AsSpan(0, Math.Min(records.Count - from, Most));
        for (var index = 0; index < coming.Length; index++)
        {
            var record = records[from + index];
            Prefetch.Bytes(record.Value.Span);
            if (record.Key is not { } key) continue;
            coming[index].Key = key;
            coming[index].Hash = StationTable.HashOf(key.Span);
            table.PrefetchSlot(coming[index].Hash);
        }

        foreach (ref readonly var record in coming)
        {
            if (table.Guess(record.Hash) is { } station) Station.Prefetch(station);
        }

        foreach (ref var record in coming)
        {
            if (record.Key.IsEmpty || table.Find(record.Key.Span, record.Hash) is not { IsCounted: true } station) continue;
            record.Station = station;
            station.PrefetchWindows();
        }

        if (topic is null) return;
        foreach (ref var record in coming)
        {
            if (record.Station?.FindWindow(topic) is not { } window) continue;
            record.Window = window;
            TopicWindow.Prefetch(window);
        }

        foreach (ref readonly var record in coming) record.Window?.PrefetchHeld();
    }

    public void Clear() => Array.Clear(expected);

    private struct Expected
    {
        public ReadOnlyMemory<byte> Key;
        public int Hash;
        public Station? Station;
        public TopicWindow? Window;
    }
}
