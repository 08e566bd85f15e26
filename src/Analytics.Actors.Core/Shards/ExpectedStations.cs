using Analytics.Actors.Core.Stations;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Shards;

/// <summary>
/// The stations that the keys of a run's next records name. A record under a key is mostly of that station. With very many
/// stations most of them are far away in memory, and so is what a record changes of them: a chain of places, each of which tells
/// where the next one is. Asked for one behind the other they take several times what they take side by side.
/// </summary>
/// <remarks>
/// Each step is a short loop of its own: a processor waits with a prefetch until it knows the page, and looks for the pages of several
/// only as far as it sees ahead. So which station it is, its hash alone tells, until it is needed.
/// </remarks>
internal sealed class ExpectedStations(StationTable table)
{
    /// <summary>Records whose stations are looked for together.</summary>
    public const int Most = 32;

    private readonly Expected[] expected = new Expected[Most];

    /// <summary>Asks memory for all that the records from one on will probably need.</summary>
    /// <param name="topic">Of whose windows they will probably change one; null: unknown.</param>
    public void Approach(IReadOnlyList<LogRecord> records, int from, string? topic)
    {
        Clear();
        if (records[from].Key is null) return;
        var coming = expected.AsSpan(0, Math.Min(records.Count - from, Most));
        for (var index = 0; index < coming.Length; index++)
        {
            var record = records[from + index];
            Prefetch.Bytes(record.Value.Span);
            coming[index].Hash = StationTable.HashOf(record.Key.GetValueOrDefault().Span);
        }

        foreach (ref readonly var record in coming) table.PrefetchSlot(record.Hash);
        foreach (ref var record in coming)
        {
            if (table.Guess(record.Hash) is not { } station) continue;
            record.Station = station;
            Station.Prefetch(station);
        }

        foreach (ref readonly var record in coming) record.Station?.PrefetchWindows();
        if (topic is null) return;
        foreach (ref var record in coming)
        {
            if (record.Station?.FindWindow(topic) is not { } window) continue;
            record.Window = window;
            TopicWindow.Prefetch(window);
        }

        foreach (ref readonly var record in coming) record.Window?.PrefetchHeld();
    }

    /// <summary>The station that the record's key names, if it is known to exist; null where that has to be looked for.</summary>
    /// <param name="index">The record's place in the run, which has been approached.</param>
    public Station? Find(in LogRecord record, int index) =>
        expected[index % Most].Station is { } station && record.Key is { } key && station.HasId(key.Span) && station.IsCounted ? station : null;

    public void Clear() => Array.Clear(expected);

    private struct Expected
    {
        public int Hash;
        public Station? Station;
        public TopicWindow? Window;
    }
}
