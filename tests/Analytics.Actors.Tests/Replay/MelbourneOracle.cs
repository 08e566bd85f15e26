using System.Globalization;
using System.IO.Compression;

namespace Analytics.Actors.Tests.Replay;

/// <summary>
/// What a station's state must be after a replay of the Melbourne data, computed straight from the CSV files: an
/// independent check that shares no code with the replay, the windows or the modules.
/// </summary>
public sealed class MelbourneOracle
{
    private readonly string dataDirectory;
    private readonly List<string> times = [];
    private readonly Dictionary<string, int> rows;
    private readonly Dictionary<string, List<string>> volume;
    private readonly Dictionary<string, List<string>> price;

    public MelbourneOracle(string dataDirectory)
    {
        this.dataDirectory = dataDirectory;
        volume = Load(Path.Combine(dataDirectory, "charged_mel_volume.csv.gz"), times);
        price = Load(Path.Combine(dataDirectory, "charged_mel_e_price.csv.gz"), null);
        rows = times.Select((time, row) => (time, row)).ToDictionary(pair => pair.time, pair => pair.row);
    }

    /// <summary>The 37 stations that the data's README recommends.</summary>
    public static IReadOnlyList<string> Stations { get; } =
        "0 1 10 11 13 14 19 2 21 22 23 24 25 26 28 29 31 32 34 39 40 43 45 46 5 52 53 54 55 56 57 58 59 6 62 7 9".Split(' ');

    /// <summary>
    /// The grid after the push at a midnight: 168 periods, the newest being the last hour before it. Periods before the
    /// data begin are filled with zero.
    /// </summary>
    /// <param name="days">Whole days since the data's begin, 2023-04-01 00:00: the push is at that midnight.</param>
    public ExpectedWindow Window(string station, int days)
    {
        var pushed = new DateTime(2023, 4, 1).AddDays(days);
        var sendTime = new string[168];
        var power = new string[168];
        for (var i = 0; i < 168; i++)
        {
            sendTime[i] = pushed.AddHours(i - 168).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
            power[i] = rows.TryGetValue(sendTime[i], out var row) ? volume[station][row] : "0";
        }

        return new ExpectedWindow(sendTime, power);
    }

    /// <summary>
    /// evaluation_model's numbers for that window with the prices in force at its end. Only for stations whose price does
    /// not change within that day, so that the tariff of the replay is exact.
    /// </summary>
    /// <param name="priceDays">Whole days at which the prices in force were published; null: the same midnight.</param>
    public ExpectedEvaluation Evaluation(string station, int days, int? priceDays = null)
    {
        var load = Window(station, days).OutputPowerPerStationAvg.Select(text => double.Parse(text, CultureInfo.InvariantCulture)).ToList();
        double energy = 0, peak = 0;
        foreach (var kilowatts in load)
        {
            energy += kilowatts;
            peak = Math.Max(peak, kilowatts);
        }

        // At a midnight the new day's prices are published before the grid; after the last day the last prices stay.
        var day = Math.Min(priceDays ?? days, times.Count / 24 - 1);
        var prices = price[station].Skip(day * 24).Take(24).Distinct().ToList();
        double? revenue = prices.Count == 1 ? energy * double.Parse(prices[0], CultureInfo.InvariantCulture) : null;
        return new ExpectedEvaluation(energy, energy / 168, peak, energy == 0 ? null : peak / (energy / 168), revenue);
    }

    /// <summary>The calendar published at that midnight: a week back to a week on, Victoria's public holidays, weekends.</summary>
    public static IReadOnlyList<(string Date, bool IsHoliday, bool IsWeekend)> Calendar(int days)
    {
        string[] holidays = ["2023-04-07", "2023-04-10", "2023-04-25", "2023-06-12", "2023-09-29"];
        return [.. Enumerable.Range(days - 7, 15).Select(day =>
        {
            var date = new DateTime(2023, 4, 1).AddDays(day);
            var text = date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
            return (text, holidays.Contains(text), date.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday);
        })];
    }

    /// <summary>Grid capacities, kW: the ceiling of the largest plug-hours in an hour times the average power of a plug.</summary>
    public IReadOnlyDictionary<string, double> GridCapacities()
    {
        var plugHours = Load(Path.Combine(dataDirectory, "charged_mel_duration.csv.gz"), null);
        var lines = File.ReadAllLines(Path.Combine(dataDirectory, "charged_mel_stations.csv"));
        var names = lines[0].Replace("\"", "").Split(',');
        int id = Array.IndexOf(names, "station_id"), power = Array.IndexOf(names, "avg_power");
        return lines.Skip(1).Where(line => line.Length > 0).Select(line => line.Split(',')).Where(values => plugHours.ContainsKey(values[id])).ToDictionary(
            values => values[id],
            values => (double)((decimal)Math.Ceiling(plugHours[values[id]].Max(text => double.Parse(text, CultureInfo.InvariantCulture)) - 1e-9)
                * decimal.Parse(values[power], NumberStyles.Float, CultureInfo.InvariantCulture)));
    }

    private static Dictionary<string, List<string>> Load(string path, List<string>? times)
    {
        using var reader = new StreamReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        var names = reader.ReadLine()!.Split(',');
        var columns = names.Skip(1).ToDictionary(name => name, _ => new List<string>());
        while (reader.ReadLine() is { Length: > 0 } line)
        {
            var values = line.Split(',');
            times?.Add(values[0]);
            for (var i = 1; i < names.Length; i++) columns[names[i]].Add(values[i]);
        }

        return columns;
    }
}

/// <summary>The grid's members, values as in the file ("0" where a period was filled).</summary>
public sealed record ExpectedWindow(IReadOnlyList<string> SendTime, IReadOnlyList<string> OutputPowerPerStationAvg);

/// <param name="Revenue">Null where the station's price changes within the day.</param>
public sealed record ExpectedEvaluation(
    double EnergyKwh, double AveragePowerKw, double PeakPowerKw, double? PeakToAverageRatio, double? Revenue);
