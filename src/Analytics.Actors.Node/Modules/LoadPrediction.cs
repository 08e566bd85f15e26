using System.Globalization;
using Analytics.Actors.Core.Modules;

namespace Analytics.Actors.Node.Modules;

/// <summary>
/// load_prediction: the station's average power in each of the next 24 hours, from its hourly grid (168 hours) and the
/// calendar. Nothing where the grid holds no number, or its period is not an hour.
/// </summary>
/// <remarks>
/// Members of the result:
/// <list type="bullet">
/// <item><c>loadForecast</c>: 24 numbers in kW (watts are rounded), the first for the hour after the newest one of the
/// grid; the method is <see cref="AnalogDayMedian"/>;</item>
/// <item><c>forecastTime</c>: the start of each of those hours, <c>yyyy-MM-dd HH:mm:ss</c> in the zone of the grid's own
/// times; null where the newest time cannot be read;</item>
/// <item><c>unit</c>: <c>kW</c>; <c>method</c>: <see cref="Method"/>, changed whenever the forecast for an equal input would;</item>
/// <item><c>historyHours</c>: hours of the grid that took part (what is missing or looks like a dropout did not);</item>
/// <item><c>forecastEnergyKwh</c>, <c>forecastPeakKw</c>: sum and largest value of the forecast (medians: both tend
/// to lie below what comes, see Replay/README.md);</item>
/// <item><c>gridCapacityKw</c>: the station's <c>gridCapacity</c>, handed on for modules that see only this result; null
/// where PARAM is missing.</item>
/// </list>
/// </remarks>
public sealed class LoadPrediction : SynchronousModule
{
    public const string ModuleName = "load_prediction";
    public const string Method = "analog-day-median/1";

    public override string Name => ModuleName;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation)
    {
        if (StationGrid.Read(input) is not { PeriodHours: 1 } grid) return ModuleResult.Nothing;
        var newest = NewestStart(grid);
        var days = new DayTypes(input);
        var hours = grid.AverageKw.Length;
        bool[] freeHistory = [], freeForecast = [];
        if (newest is { } last)
        {
            freeHistory = [.. Enumerable.Range(0, hours).Select(hour => days.IsFree(last.AddHours(hour + 1 - hours)))];
            freeForecast = [.. Enumerable.Range(1, AnalogDayMedian.Horizon).Select(hour => days.IsFree(last.AddHours(hour)))];
        }

        var forecast = new double[AnalogDayMedian.Horizon];
        var historyHours = AnalogDayMedian.Forecast(grid.AverageKw, freeHistory, freeForecast, forecast);
        if (!Array.TrueForAll(forecast, double.IsFinite)) return ModuleResult.Nothing;
        for (var hour = 0; hour < forecast.Length; hour++) forecast[hour] = Math.Round(forecast[hour], 3);

        return ModuleResult.Write(writer =>
        {
            writer.WriteStartArray("loadForecast");
            foreach (var value in forecast) writer.WriteNumberValue(value);
            writer.WriteEndArray();
            if (newest is { } time)
            {
                writer.WriteStartArray("forecastTime");
                for (var hour = 1; hour <= forecast.Length; hour++)
                    writer.WriteStringValue(time.AddHours(hour).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
                writer.WriteEndArray();
            }
            else
            {
                writer.WriteNull("forecastTime");
            }

            writer.WriteString("unit", "kW");
            writer.WriteString("method", Method);
            writer.WriteNumber("historyHours", historyHours);
            ResultWriting.WriteNumber(writer, "forecastEnergyKwh", forecast.Sum());
            ResultWriting.WriteNumber(writer, "forecastPeakKw", forecast.Max());
            ResultWriting.WriteNumber(writer, "gridCapacityKw", TolerantInput.Number(input, "gridCapacity"));
        });
    }

    // Years so close to the calendar's ends that a window or a forecast would leave it count as unreadable.
    private static DateTime? NewestStart(StationGrid grid) =>
        grid.Starts is [.., { } newest] && newest.Year is > 1 and < 9999 && grid.AverageKw.Length < 8_000 ? newest : null;
}
