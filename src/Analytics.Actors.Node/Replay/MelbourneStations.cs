using System.Globalization;

namespace Analytics.Actors.Node.Replay;

/// <summary>One station of the Melbourne data, its texts as in the file.</summary>
/// <param name="Guns">Ceiling of the largest number of plug-hours in an hour: as many were in use at once.</param>
/// <param name="GridCapacityKw">ASSUMED: guns x average power of a plug; the data name no connection.</param>
internal sealed record MelbourneStation(string Id, string Longitude, string Latitude, int Guns, decimal GridCapacityKw);

/// <summary>The stations of the Melbourne data, with what is derived from whole files.</summary>
public static class MelbourneStations
{
    /// <summary>Stations whose volumes look measured; the others' look estimated (constant or copied).</summary>
    public static IReadOnlyList<string> Usable { get; } =
    [
        "0", "1", "10", "11", "13", "14", "19", "2", "21", "22", "23", "24", "25", "26", "28", "29", "31", "32", "34", "39", "40", "43",
        "45", "46", "5", "52", "53", "54", "55", "56", "57", "58", "59", "6", "62", "7", "9",
    ];

    /// <summary>The id under which a station of the files is sent: a bare 0 is no valid station id.</summary>
    public static string IdOf(string column) => "mel-" + column;

    /// <summary>Victoria's public holidays in the span of the data.</summary>
    public static IReadOnlySet<DateOnly> Holidays { get; } = new HashSet<DateOnly>
    {
        new(2023, 4, 7), new(2023, 4, 10), new(2023, 4, 25), new(2023, 6, 12), new(2023, 9, 29),
    };

    internal static IReadOnlyList<MelbourneStation> Read(string directory, IReadOnlyList<string> ids)
    {
        var plugs = LargestDurations(directory, ids);
        var table = new CsvTable(directory, "charged_mel_stations.csv");
        int id = table.Column("station_id"), longitude = table.Column("longitude"), latitude = table.Column("latitude");
        var averagePower = table.Column("avg_power");
        var rows = table.Rows().ToDictionary(row => row[id], StringComparer.Ordinal);
        return [.. ids.Select(station =>
        {
            if (!rows.TryGetValue(station, out var row))
                throw new ReplayDataException($"{Path.Combine(directory, "charged_mel_stations.csv")}: has no station \"{station}\"");
            // Sums of parts of an hour end a little above a whole number: that is not one gun more.
            var guns = (int)Math.Ceiling(plugs[station] - 1e-9);
            var perGun = decimal.Parse(table.Number(row[averagePower]), NumberStyles.Float, CultureInfo.InvariantCulture);
            return new MelbourneStation(station, table.Number(row[longitude]), table.Number(row[latitude]), guns, guns * perGun);
        })];
    }

    private static Dictionary<string, double> LargestDurations(string directory, IReadOnlyList<string> ids)
    {
        var table = new CsvTable(directory, "charged_mel_duration.csv.gz");
        var columns = ids.Select(table.Column).ToArray();
        var largest = new double[ids.Count];
        foreach (var row in table.Rows())
        {
            for (var station = 0; station < columns.Length; station++)
                largest[station] = Math.Max(largest[station], double.Parse(row[columns[station]], CultureInfo.InvariantCulture));
        }

        return ids.Zip(largest).ToDictionary(pair => pair.First, pair => pair.Second, StringComparer.Ordinal);
    }
}
