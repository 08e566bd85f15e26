using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Core.Modules;

namespace Analytics.Actors.Node.Modules;

/// <summary>
/// evaluation_model: how a station did over its grid's window: energy, use of its guns, evenness of its load, revenue, and
/// the equipment at work now. Nothing where the input has neither a grid nor equipment.
/// </summary>
/// <remarks>
/// Members of the result, each null where what it needs is missing. A period is a row of the grid, P its average power
/// of the station (<see cref="StationGrid"/>), d its length in hours:
/// <list type="bullet">
/// <item><c>windowFrom</c>, <c>windowTo</c>: start of the first and end of the last period, as text; <c>windowHours</c>:
/// the number of periods whose P is known, times d;</item>
/// <item><c>energyKwh</c> = sum of P x d over the periods whose P is known;</item>
/// <item><c>averagePowerKw</c> = energyKwh / windowHours; <c>peakPowerKw</c> = largest P;</item>
/// <item><c>peakToAverageRatio</c> = peakPowerKw / averagePowerKw; null also where the average is not above 0;</item>
/// <item><c>gunUtilisation</c> = gun-periods with an average power above 0 / all known gun-periods, 0 to 1;</item>
/// <item><c>electricityRevenue</c> = sum over the half hours of energy x the electricity fee of their position's kind,
/// <c>serviceRevenue</c> likewise with the service fee, <c>revenue</c> = their sum, in the currency of the fees; a period's
/// energy is spread evenly over its half hours. Null where there are no prices, no times, or no half hour with energy
/// has a price; 0 without energy;</item>
/// <item><c>pricedEnergyShare</c> = energy that has a price / energyKwh, 0 to 1 (1 where there is no energy): below 1 the
/// revenue is a lower bound;</item>
/// <item><c>dcModulesAtWorkShare</c> = power modules of all hosts in <c>device_host_dcdc</c> at work / all; at work is the
/// work state <see cref="AssumedCodes.Working"/>, or a <c>dcPower</c> above 0 where a module has no state that the table knows;
/// a module with neither is left out;</item>
/// <item><c>acHostsAtWorkShare</c> = hosts in <c>device_host_acdc</c> with <c>acPower</c> above 0 / hosts with a known one;</item>
/// <item><c>equipmentAtWorkShare</c> = both kinds together: units at work / known units;</item>
/// <item><c>dcPowerKw</c>, <c>acPowerKw</c> = sums of the known powers.</item>
/// </list>
/// </remarks>
/// <param name="tariffKinds">Code of a tariff position to the kind's name in the fee members; default: <see cref="AssumedCodes.TariffKinds"/>.</param>
/// <param name="workStates">Code of a module's work state to its meaning; default: <see cref="AssumedCodes.WorkStates"/>.</param>
public sealed class EvaluationModel(
    IReadOnlyDictionary<string, string>? tariffKinds = null, IReadOnlyDictionary<string, string>? workStates = null) : SynchronousModule
{
    public const string ModuleName = "evaluation_model";

    private readonly IReadOnlyDictionary<string, string> tariffKinds = tariffKinds ?? AssumedCodes.TariffKinds;
    private readonly IReadOnlyDictionary<string, string> workStates = workStates ?? AssumedCodes.WorkStates;

    public override string Name => ModuleName;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation)
    {
        var grid = StationGrid.Read(input);
        var modules = PowerModules(TolerantInput.Element(input, "device_host_dcdc"));
        var hosts = AcHosts(TolerantInput.Element(input, "device_host_acdc"));
        if (grid is null && modules.Units == 0 && hosts.Units == 0) return ModuleResult.Nothing;
        var load = Load.Of(grid);
        var revenue = Revenue(grid, Tariff.Read(input, tariffKinds));

        return ModuleResult.Write(writer =>
        {
            WriteTime(writer, "windowFrom", grid?.Starts is [{ } first, ..] ? first : null, 0);
            WriteTime(writer, "windowTo", grid?.Starts is [.., { } last] ? last : null, grid?.PeriodHours ?? 0);
            ResultWriting.WriteNumber(writer, "windowHours", load?.Hours);
            ResultWriting.WriteNumber(writer, "energyKwh", load?.EnergyKwh);
            ResultWriting.WriteNumber(writer, "averagePowerKw", load?.AverageKw);
            ResultWriting.WriteNumber(writer, "peakPowerKw", load?.PeakKw);
            ResultWriting.WriteNumber(writer, "peakToAverageRatio", load is { AverageKw: > 0 } ? load.PeakKw / load.AverageKw : null);
            ResultWriting.WriteNumber(writer, "gunUtilisation", GunUtilisation(input));
            ResultWriting.WriteNumber(writer, "electricityRevenue", revenue?.Electricity);
            ResultWriting.WriteNumber(writer, "serviceRevenue", revenue?.Service);
            ResultWriting.WriteNumber(writer, "revenue", revenue?.Electricity + revenue?.Service);
            ResultWriting.WriteNumber(writer, "pricedEnergyShare", revenue?.PricedShare);
            ResultWriting.WriteNumber(writer, "dcModulesAtWorkShare", modules.Share);
            ResultWriting.WriteNumber(writer, "acHostsAtWorkShare", hosts.Share);
            ResultWriting.WriteNumber(writer, "equipmentAtWorkShare", modules.And(hosts).Share);
            ResultWriting.WriteNumber(writer, "dcPowerKw", modules.PowerKw);
            ResultWriting.WriteNumber(writer, "acPowerKw", hosts.PowerKw);
        });
    }

    private static double? GunUtilisation(ModuleInput input)
    {
        if (!TolerantInput.TrySeries(input, "outputPowerPerGunAvg", out var series)) return null;
        int known = 0, used = 0;
        foreach (var value in series.Values.Span[..(series.Rows * series.Columns)])
        {
            if (!double.IsFinite(value)) continue;
            known++;
            if (value > 0) used++;
        }

        return known == 0 ? null : (double)used / known;
    }

    private static (double Electricity, double Service, double? PricedShare)? Revenue(StationGrid? grid, Tariff? tariff)
    {
        if (grid?.Starts is null || tariff is null) return null;
        double electricity = 0, service = 0, priced = 0, energy = 0;
        for (var period = 0; period < grid.AverageKw.Length; period++)
        {
            var kwh = grid.AverageKw[period] * grid.PeriodHours;
            if (double.IsNaN(kwh)) continue;
            energy += kwh;
            if (kwh == 0 || grid.Starts[period] is not { } start) continue;
            var (periodElectricity, periodService, periodPriced) = tariff.Price(start, grid.PeriodHours, kwh);
            electricity += periodElectricity;
            service += periodService;
            priced += periodPriced;
        }

        if (energy == 0) return (electricity, service, 1);
        return priced == 0 ? null : (electricity, service, priced / energy);
    }

    private Equipment PowerModules(JsonElement hosts)
    {
        var found = new Equipment();
        foreach (var host in TolerantInput.Items(hosts))
        {
            var states = TolerantInput.Items(TolerantInput.Member(host, "dcWorkStatus")).Select(TolerantInput.Code).ToList();
            var powers = TolerantInput.Items(TolerantInput.Member(host, "dcPower")).Select(TolerantInput.Number).ToList();
            for (var module = 0; module < Math.Max(states.Count, powers.Count); module++)
            {
                var power = module < powers.Count ? powers[module] : null;
                var state = module < states.Count && states[module] is { } code ? workStates.GetValueOrDefault(code) : null;
                found = found.With(state is null ? power > 0 : state == AssumedCodes.Working, state is not null || power is not null, power);
            }
        }

        return found;
    }

    private static Equipment AcHosts(JsonElement hosts)
    {
        var found = new Equipment();
        foreach (var host in TolerantInput.Items(hosts))
        {
            var power = TolerantInput.Number(TolerantInput.Member(host, "acPower"));
            found = found.With(power > 0, power is not null, power);
        }

        return found;
    }

    private static void WriteTime(Utf8JsonWriter writer, string name, DateTime? time, double plusHours)
    {
        if (time is { } start && start.Year is > 1 and < 9999 && plusHours < 24 * 366)
            writer.WriteString(name, start.AddHours(plusHours).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
        else
            writer.WriteNull(name);
    }

    private sealed record Load(double Hours, double EnergyKwh, double PeakKw)
    {
        public double AverageKw => EnergyKwh / Hours;

        public static Load? Of(StationGrid? grid)
        {
            if (grid is null) return null;
            var known = grid.AverageKw.Where(power => !double.IsNaN(power)).ToList();
            return new Load(known.Count * grid.PeriodHours, known.Sum() * grid.PeriodHours, known.Max());
        }
    }

    /// <summary>Units whose work is known, how many of them work, and the sum of the known powers.</summary>
    private readonly record struct Equipment(int Units, int AtWork, double? PowerKw)
    {
        public double? Share => Units == 0 ? null : (double)AtWork / Units;

        public Equipment With(bool atWork, bool known, double? power) => new(
            Units + (known ? 1 : 0), AtWork + (known && atWork ? 1 : 0), power is null ? PowerKw : (PowerKw ?? 0) + power);

        public Equipment And(Equipment other) => new(Units + other.Units, AtWork + other.AtWork, null);
    }
}
