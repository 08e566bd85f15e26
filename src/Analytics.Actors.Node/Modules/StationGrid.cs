using Analytics.Actors.Core.Modules;

namespace Analytics.Actors.Node.Modules;

/// <summary>
/// The grid of SCHEDULE-STATION-REALTIME-DATA as the built-in modules use it: the station's average power per period,
/// oldest first, with the time of each period where the input tells it.
/// </summary>
internal sealed class StationGrid
{
    private StationGrid(double[] averageKw, DateTime?[]? starts, double periodHours)
    {
        AverageKw = averageKw;
        Starts = starts;
        PeriodHours = periodHours;
    }

    /// <summary>Average power of the station per period in kW; NaN where it is missing.</summary>
    public double[] AverageKw { get; }

    /// <summary>Start of each period as written; null where the input has no time for every period.</summary>
    public DateTime?[]? Starts { get; }

    /// <summary>Length of a period, from the newest two times; 1 where they do not tell, or tell more than a month.</summary>
    public double PeriodHours { get; }

    /// <summary>
    /// Reads <c>outputPowerPerStationAvg[]</c>; where no value of it is known, the sum over the guns of
    /// <c>outputPowerPerGunAvg[][]</c> (a missing gun adds nothing). Null where neither holds a number.
    /// </summary>
    public static StationGrid? Read(ModuleInput input)
    {
        var power = StationSeries(input) ?? SumOverGuns(input);
        if (power is null) return null;
        var starts = Times(input, power.Length);
        return new StationGrid(power, starts, Period(starts));
    }

    private static double[]? StationSeries(ModuleInput input)
    {
        if (!TolerantInput.TrySeries(input, "outputPowerPerStationAvg", out var series) || series.Columns != 1) return null;
        var power = new double[series.Rows];
        for (var row = 0; row < power.Length; row++) power[row] = Known(series[row, 0]);
        return Array.TrueForAll(power, double.IsNaN) ? null : power;
    }

    private static double[]? SumOverGuns(ModuleInput input)
    {
        if (!TolerantInput.TrySeries(input, "outputPowerPerGunAvg", out var series)) return null;
        var power = new double[series.Rows];
        for (var row = 0; row < power.Length; row++)
        {
            var sum = double.NaN;
            foreach (var value in series.Row(row))
            {
                if (double.IsFinite(value)) sum = double.IsNaN(sum) ? value : sum + value;
            }

            power[row] = Known(sum);
        }

        return Array.TrueForAll(power, double.IsNaN) ? null : power;
    }

    private static DateTime?[]? Times(ModuleInput input, int rows)
    {
        var element = TolerantInput.Element(input, "sendTime");
        if (element.ValueKind != System.Text.Json.JsonValueKind.Array || element.GetArrayLength() != rows) return null;
        return [.. TolerantInput.Items(element).Select(TolerantInput.Time)];
    }

    private static double Period(DateTime?[]? starts)
    {
        if (starts is not [.., { } before, { } newest]) return 1;
        var hours = (newest - before).TotalHours;
        return hours is > 0 and <= 24 * 31 ? hours : 1;
    }

    private static double Known(double value) => double.IsFinite(value) ? value : double.NaN;
}
