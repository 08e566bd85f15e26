using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Stations;

// Where a station stands among those in memory, and how it is brought near before it is needed.
public sealed partial class Station
{
    /// <summary>When a record, timer or call last needed the station, ms.</summary>
    internal long LastUsedMs { get; set; }

    /// <summary>Its neighbours among the stations in memory, which are in order of use: see <see cref="ResidentStations"/>.</summary>
    internal Station? UsedBefore { get; set; }
    internal Station? UsedAfter { get; set; }

    /// <summary>Since when it stands between them, ms.</summary>
    internal long PlacedMs { get; set; }

    /// <summary>Its place in the table of the stations in memory.</summary>
    internal int TableIndex { get; set; }

    /// <summary>Whether it has this id, in UTF-8.</summary>
    internal bool HasId(ReadOnlySpan<byte> id) => key.Is(id, Id);

    /// <summary>Asks memory for the station itself, before a record of it is applied.</summary>
    internal static void Prefetch(Station station) => Core.Prefetch.Object(station, 4 * 64);

    /// <summary>Asks memory for where its windows stand; the station itself should be here by now.</summary>
    internal void PrefetchWindows() => windows.Prefetch();

    /// <summary>Asks memory for the window that it got first; where its windows stand should be known by now.</summary>
    internal void PrefetchFirstWindow()
    {
        if (windows.First is { } window) TopicWindow.Prefetch(window);
    }

    /// <summary>Its window of the topic, if it has one.</summary>
    internal TopicWindow? FindWindow(string topic) => windows.TryGetValue(topic, out var window) ? window : null;
}
