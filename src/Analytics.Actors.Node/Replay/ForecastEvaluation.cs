using System.Globalization;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Modules;

namespace Analytics.Actors.Node.Replay;

/// <summary>
/// How good load_prediction is on measured data, beside naive forecasts under the same protocol: Melbourne's 37 usable
/// stations, one forecast of 24 hours at each midnight from only the 168 hours before it, errors over the last 20 % of the
/// hours. The module is called as in production: through a <see cref="ModuleInput"/>.
/// </summary>
public static class ForecastEvaluation
{
    private const int WindowHours = 168;
    private const int Day = 24;

    /// <summary>Names of the rows of the report; the module's is first.</summary>
    public static IReadOnlyList<string> Methods { get; } =
        [LoadPrediction.ModuleName, "7-day hourly median", "previous day", "previous week"];

    public static ForecastReport Run(string directory, IReadOnlyList<string>? stations = null)
    {
        var ids = stations ?? MelbourneStations.Usable;
        var (times, load) = ReadLoad(directory, ids);
        var firstTestHour = times.Count * 8 / 10;
        var perStation = ids.Select((id, station) => Evaluate(id, times, load[station], firstTestHour)).ToList();
        return new ForecastReport(times[firstTestHour], times[^1], times.Count - firstTestHour, perStation);
    }

    private static StationErrors Evaluate(string id, IReadOnlyList<DateTime> times, double[] load, int firstTestHour)
    {
        var module = new LoadPrediction();
        var errors = new double[Methods.Count];
        var forecastKwh = new double[Methods.Count];
        double energy = 0;
        var hours = 0;
        // Hours of the first test day before the test begins are forecast with it, but do not count.
        for (var origin = 0; origin + Day <= times.Count; origin++)
        {
            if (times[origin].Hour != 0 || origin < WindowHours || origin + Day <= firstTestHour) continue;
            var window = load[(origin - WindowHours)..origin];
            double[][] forecasts = [Call(module, id, times, origin, window), HourlyMedian(window), window[^Day..], window[..Day]];
            for (var hour = Math.Max(0, firstTestHour - origin); hour < Day; hour++)
            {
                var actual = load[origin + hour];
                energy += actual;
                hours++;
                for (var method = 0; method < forecasts.Length; method++)
                {
                    errors[method] += Math.Abs(forecasts[method][hour] - actual);
                    forecastKwh[method] += forecasts[method][hour];
                }
            }
        }

        return new StationErrors(id, [.. errors.Select(sum => sum / hours)], [.. errors.Select(sum => energy == 0 ? double.NaN : sum / energy)], forecastKwh, energy);
    }

    private static double[] Call(LoadPrediction module, string id, IReadOnlyList<DateTime> times, int origin, double[] window)
    {
        var hours = Enumerable.Range(origin - WindowHours, WindowHours).Select(hour => times[hour]).ToList();
        var today = DateOnly.FromDateTime(times[origin]);
        var dates = Enumerable.Range(-7, 15).Select(today.AddDays).ToList();
        TopicFragment[] fragments =
        [
            new("SCHEDULE-STATION-REALTIME-DATA", new ColumnsFragment()
                .Add("sendTime", hours.Select(time => time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)))
                .Add("outputPowerPerStationAvg", window)),
            new("SCHEDULE-ENVIRONMENT-CALENDAR", new ColumnsFragment()
                .Add("date", dates.Select(date => date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)))
                .Add("isHoliday", [.. dates.Select(date => MelbourneStations.Holidays.Contains(date) ? 1.0 : 0.0)])
                .Add("isWeekend", [.. dates.Select(date => date.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday ? 1.0 : 0.0)])),
        ];
        var quality = new DataQuality
        {
            AvailableTopics = [.. fragments.Select(fragment => fragment.Topic)],
            MissingTopics = [],
            FailedTopics = [],
            TotalTopics = fragments.Length,
            AgeSeconds = [],
            Overwritten = [],
        };
        var input = new ModuleInput(id, new DateTimeOffset(times[origin], TimeSpan.Zero).ToUnixTimeMilliseconds(), fragments, quality);
        using var result = JsonDocument.Parse(module.Call(input, CancellationToken.None).Json);
        return [.. result.RootElement.GetProperty("loadForecast").EnumerateArray().Select(value => value.GetDouble())];
    }

    private static double[] HourlyMedian(double[] window) => [.. Enumerable.Range(0, Day).Select(hour =>
    {
        var values = Enumerable.Range(0, WindowHours / Day).Select(day => window[day * Day + hour]).Order().ToList();
        return values[values.Count / 2];
    })];

    private static (List<DateTime> Times, double[][] Load) ReadLoad(string directory, IReadOnlyList<string> ids)
    {
        var table = new CsvTable(directory, "charged_mel_volume.csv.gz");
        var columns = ids.Select(table.Column).ToArray();
        var times = new List<DateTime>();
        var load = columns.Select(_ => new List<double>()).ToArray();
        foreach (var row in table.Rows())
        {
            times.Add(table.Time(row[0]));
            for (var station = 0; station < columns.Length; station++)
                load[station].Add(double.Parse(table.Number(row[columns[station]]), CultureInfo.InvariantCulture));
        }

        if (times.Count < (WindowHours + Day) * 5)
            throw new ReplayDataException($"{directory}: {times.Count} hours are too few; the last 20 % must hold a day with a week before it");
        return (times, [.. load.Select(values => values.ToArray())]);
    }
}

/// <summary>Errors of one station, in the order of <see cref="ForecastEvaluation.Methods"/>.</summary>
/// <param name="Mae">Mean absolute error, kWh in the hour.</param>
/// <param name="Wape">Sum of absolute errors / sum of the load; NaN for a station without any load.</param>
/// <param name="ForecastKwh">Sum of the forecasts.</param>
/// <param name="ActualKwh">Sum of the load.</param>
public sealed record StationErrors(
    string Station, IReadOnlyList<double> Mae, IReadOnlyList<double> Wape, IReadOnlyList<double> ForecastKwh, double ActualKwh);

/// <summary>The errors of all stations over the hours from <see cref="From"/> to <see cref="Last"/>.</summary>
public sealed record ForecastReport(DateTime From, DateTime Last, int Hours, IReadOnlyList<StationErrors> Stations)
{
    /// <summary>Mean over the stations, per method; a station without a value is left out.</summary>
    public IReadOnlyList<double> Mae => Mean(station => station.Mae);
    public IReadOnlyList<double> Wape => Mean(station => station.Wape);

    /// <summary>Energy forecast for all stations and hours / energy measured - 1, per method: below 0 is too little.</summary>
    public IReadOnlyList<double> Bias =>
    [
        .. Enumerable.Range(0, ForecastEvaluation.Methods.Count)
            .Select(method => Stations.Sum(station => station.ForecastKwh[method]) / Stations.Sum(station => station.ActualKwh) - 1),
    ];

    public string ToText(bool perStation = false)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Stations.Count} stations, {Hours} hours from {From:yyyy-MM-dd HH:mm} to {Last:yyyy-MM-dd HH:mm}; ")
            .AppendLine("24 hours ahead at each midnight; mean over stations").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"{"method",-22}{"MAE kWh",10}{"WAPE",8}{"bias",9}");
        for (var method = 0; method < ForecastEvaluation.Methods.Count; method++)
            text.AppendLine(CultureInfo.InvariantCulture, $"{ForecastEvaluation.Methods[method],-22}{Mae[method],10:0.00}{Wape[method],8:0.000}{Bias[method] * 100,7:0.0} %");
        if (!perStation) return text.ToString();

        text.AppendLine().Append("station ");
        foreach (var method in ForecastEvaluation.Methods) text.Append(CultureInfo.InvariantCulture, $"{method,22}");
        text.AppendLine("   (MAE kWh / WAPE)");
        foreach (var station in Stations)
        {
            text.Append(CultureInfo.InvariantCulture, $"{station.Station,-8}");
            for (var method = 0; method < ForecastEvaluation.Methods.Count; method++)
                text.Append(CultureInfo.InvariantCulture, $"{station.Mae[method],13:0.00} / {station.Wape[method],-6:0.000}");
            text.AppendLine();
        }

        return text.ToString();
    }

    public string ToJson()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("from", From.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
            writer.WriteString("last", Last.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
            writer.WriteNumber("hours", Hours);
            writer.WriteString("unit", "kWh");
            WriteMethods(writer, Mae, Wape, Bias);
            writer.WriteStartArray("stations");
            foreach (var station in Stations)
            {
                writer.WriteStartObject();
                writer.WriteString("stationId", station.Station);
                WriteMethods(writer, station.Mae, station.Wape, null);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void WriteMethods(Utf8JsonWriter writer, IReadOnlyList<double> mae, IReadOnlyList<double> wape, IReadOnlyList<double>? bias)
    {
        writer.WriteStartObject("methods");
        for (var method = 0; method < mae.Count; method++)
        {
            writer.WriteStartObject(ForecastEvaluation.Methods[method]);
            ResultWriting.WriteNumber(writer, "mae", mae[method]);
            ResultWriting.WriteNumber(writer, "wape", wape[method]);
            if (bias is not null) ResultWriting.WriteNumber(writer, "bias", bias[method]);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }

    private List<double> Mean(Func<StationErrors, IReadOnlyList<double>> errors) =>
        [.. Enumerable.Range(0, ForecastEvaluation.Methods.Count).Select(method => 
            Stations.Select(station => errors(station)[method]).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average())];
}
