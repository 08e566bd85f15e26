using System.Globalization;
using System.IO.Compression;

namespace Analytics.Actors.Tests.Replay;

/// <summary>
/// What a station's state must be after a replay of the Melbourne data, computed straight from the CSV files: an
/// independent check that shares no code with the replay, the windows or the modules.
/// </summary>
public sealed class MelbourneOracle
{
    private readonly List<string> times = [];
    private readonly Dictionary<string, List<string>> volume;
    private readonly Dictionary<string, List<string>> price;

    public MelbourneOracle(string dataDirectory)
    {
        volume = Load(Path.Combine(dataDirectory, "charged_mel_volume.csv.gz"), times);
        price = Load(Path.Combine(dataDirectory, "charged_mel_e_price.csv.gz"), null);
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
            var row = times.IndexOf(sendTime[i]);
            power[i] = row < 0 ? "0" : volume[station][row];
        }

        return new ExpectedWindow(sendTime, power);
    }

    /// <summary>
    /// evaluation_model's numbers for that window with the prices in force at its end. Only for stations whose price does
    /// not change within that day, so that the tariff of the replay is exact.
    /// </summary>
    public ExpectedEvaluation Evaluation(string station, int days)
    {
        var load = Window(station, days).OutputPowerPerStationAvg.Select(text => double.Parse(text, CultureInfo.InvariantCulture)).ToList();
        double energy = 0, peak = 0;
        foreach (var kilowatts in load)
        {
            energy += kilowatts;
            peak = Math.Max(peak, kilowatts);
        }

        // At a midnight the new day's prices are published before the grid; after the last day the last prices stay.
        var day = Math.Min(days, times.Count / 24 - 1);
        var prices = price[station].Skip(day * 24).Take(24).Distinct().ToList();
        double? revenue = prices.Count == 1 ? energy * double.Parse(prices[0], CultureInfo.InvariantCulture) : null;
        return new ExpectedEvaluation(energy, energy / 168, peak, energy == 0 ? null : peak / (energy / 168), revenue);
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
