using System.Text.Json;
using Analytics.Actors.Core.Modules;

namespace Analytics.Actors.Node.Modules;

/// <summary>Meanings of the codes in tariff positions and of power modules' work states; the pipeline's code tables overwrite them.</summary>
public static class AssumedCodes
{
    /// <summary>Name of the pipeline's code table for <c>feeNo</c>.</summary>
    public const string TariffKindsTable = "tariffKinds";

    /// <summary>Name of the pipeline's code table for <c>dcWorkStatus</c>.</summary>
    public const string WorkStatesTable = "workStates";

    /// <summary>The meaning of a work state that counts as at work.</summary>
    public const string Working = "working";

    /// <summary>ASSUMED: no published table says which kind a position's code means. "ebb" is the valley tariff.</summary>
    public static IReadOnlyDictionary<string, string> TariffKinds { get; } = new Dictionary<string, string>
    {
        ["00"] = "sharp", ["01"] = "peak", ["02"] = "flat", ["03"] = "ebb", ["04"] = "other",
    };

    /// <summary>ASSUMED: likewise.</summary>
    public static IReadOnlyDictionary<string, string> WorkStates { get; } = new Dictionary<string, string>
    {
        ["00"] = "idle", ["01"] = Working, ["02"] = "fault", ["03"] = "offline",
    };
}

/// <summary>
/// The prices of a day by half-hour position, from <c>car_price</c>: <c>feeNo[i]</c> is the code of the kind that holds
/// from i x 30 minutes after midnight, and the kind's prices are <c>{kind}ElectricFee</c> and <c>{kind}ServerFee</c> per kWh.
/// </summary>
internal sealed class Tariff
{
    public const int Positions = 48;
    private const double PositionHours = 24.0 / Positions;

    private readonly double?[] electric = new double?[Positions];
    private readonly double?[] service = new double?[Positions];

    /// <summary>Null where the input has no prices.</summary>
    public static Tariff? Read(ModuleInput input, IReadOnlyDictionary<string, string> kinds)
    {
        var price = TolerantInput.Element(input, "car_price");
        if (price.ValueKind != JsonValueKind.Object) return null;
        var tariff = new Tariff();
        var position = 0;
        foreach (var entry in TolerantInput.Items(TolerantInput.Member(price, "feeNo")).Take(Positions))
        {
            if (TolerantInput.Code(entry) is { } code && kinds.TryGetValue(code, out var kind))
            {
                tariff.electric[position] = TolerantInput.Number(TolerantInput.Member(price, kind + "ElectricFee"));
                tariff.service[position] = TolerantInput.Number(TolerantInput.Member(price, kind + "ServerFee"));
            }

            position++;
        }

        return tariff;
    }

    /// <summary>
    /// What a period's energy costs. The energy is spread evenly over the period, and so over the positions that the
    /// period touches; a part whose position has no electricity price is not priced, a service fee that is absent is 0.
    /// </summary>
    public (double Electricity, double Service, double PricedKwh) Price(DateTime start, double hours, double energyKwh)
    {
        double electricity = 0, services = 0, priced = 0;
        var from = start.TimeOfDay.TotalHours;
        var end = from + hours;
        while (end - from > 1e-9)
        {
            var position = (int)Math.Floor(from / PositionHours + 1e-9);
            var until = Math.Min(end, (position + 1) * PositionHours);
            var part = energyKwh * (until - from) / hours;
            if (electric[position % Positions] is { } fee)
            {
                electricity += part * fee;
                services += part * (service[position % Positions] ?? 0);
                priced += part;
            }

            from = until;
        }

        return (electricity, services, priced);
    }
}
