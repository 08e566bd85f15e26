using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Core.Modules;

namespace Analytics.Actors.Node.Modules;

/// <summary>
/// station_guidance: how well a driver who sets out now is served at this station, from 0 (full) to 100 (free), with the
/// reasons. It reads the results of load_prediction and evaluation_model and the newest orders; nothing where neither
/// result is there.
/// </summary>
/// <remarks>
/// <para>
/// <c>score</c> = the sum of the points of four <c>reasons</c>, each <c>{code, text, points}</c>, always in this order.
/// A reason whose data are missing gives half of its points and a code that ends in <c>-unknown</c>: what is not known
/// draws the score to the middle and cannot win or lose it. <c>shareKnown</c> = points at stake for which data were there / 100.
/// </para>
/// <list type="table">
/// <item><c>spare-power</c>, up to 40: 40 x (1 - L / C), L = mean of <c>loadForecast</c> over the next three hours, C =
/// <c>gridCapacityKw</c> of load_prediction, else <c>peakPowerKw</c> of evaluation_model; L / C held between 0 and 1.
/// Unknown where C is missing or not above 0;</item>
/// <item><c>free-guns</c>, up to 30: 30 x (1 - <c>gunUtilisation</c>);</item>
/// <item><c>idle-equipment</c>, up to 15: 15 x (1 - <c>equipmentAtWorkShare</c>);</item>
/// <item><c>guns-just-freed</c>, up to 15: 5 for each gun named by an order of <c>car_order</c> that has an
/// <c>endChargeTime</c>: it came free in the newest second with orders. No order is 0, no <c>car_order</c> is unknown.</item>
/// </list>
/// Points are rounded to a tenth before they are summed.
/// </remarks>
public sealed class StationGuidance : SynchronousModule
{
    public const string ModuleName = "station_guidance";

    private const int HoursAhead = 3;
    private const double PowerPoints = 40;
    private const double GunPoints = 30;
    private const double EquipmentPoints = 15;
    private const double OrderPoints = 15;
    private const double PointsPerFreedGun = 5;

    public override string Name => ModuleName;

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation)
    {
        var load = NextLoad(input);
        var utilisation = Share(input, "gunUtilisation");
        var atWork = Share(input, "equipmentAtWorkShare");
        if (load is null && utilisation is null && atWork is null && TolerantInput.Number(input, "energyKwh") is null)
            return ModuleResult.Nothing;

        Reason[] reasons =
        [
            SparePower(load, input),
            Reason.Of("free-guns", GunPoints, 1 - utilisation,
                share => $"{Percent(1 - share)} of the gun hours of the window were in use", "use of the guns is not known"),
            Reason.Of("idle-equipment", EquipmentPoints, 1 - atWork,
                share => $"{Percent(1 - share)} of the power equipment is at work", "work of the power equipment is not known"),
            FreedGuns(TolerantInput.Element(input, "car_order")),
        ];

        return ModuleResult.Write(writer =>
        {
            ResultWriting.WriteNumber(writer, "score", reasons.Sum(reason => reason.Points));
            ResultWriting.WriteNumber(writer, "shareKnown", reasons.Where(reason => reason.Known).Sum(reason => reason.AtStake) / 100);
            writer.WriteStartArray("reasons");
            foreach (var reason in reasons)
            {
                writer.WriteStartObject();
                writer.WriteString("code", reason.Code);
                writer.WriteString("text", reason.Text);
                ResultWriting.WriteNumber(writer, "points", reason.Points);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
        });
    }

    private static Reason SparePower(double? load, ModuleInput input)
    {
        var capacity = Positive(TolerantInput.Number(input, "gridCapacityKw")) ?? Positive(TolerantInput.Number(input, "peakPowerKw"));
        double? spare = load is { } kw && capacity is { } full ? 1 - Math.Clamp(kw / full, 0, 1) : null;
        return Reason.Of("spare-power", PowerPoints, spare,
            _ => string.Create(CultureInfo.InvariantCulture, $"{load:0.#} kW of {capacity:0.#} kW are expected in the next {HoursAhead} hours"),
            "the coming load or the station's power is not known");
    }

    private static Reason FreedGuns(JsonElement orders)
    {
        const string code = "guns-just-freed";
        if (orders.ValueKind != JsonValueKind.Array) return Reason.Unknown(code, OrderPoints, "no orders are known");
        var guns = new HashSet<string>(StringComparer.Ordinal);
        foreach (var order in TolerantInput.Items(orders))
        {
            if (TolerantInput.Text(TolerantInput.Member(order, "gunNo")) is { Length: > 0 } gun
                && TolerantInput.Text(TolerantInput.Member(order, "endChargeTime")) is { Length: > 0 }) guns.Add(gun);
        }

        return Reason.Of(code, OrderPoints, Math.Min(1, guns.Count * PointsPerFreedGun / OrderPoints),
            _ => string.Create(CultureInfo.InvariantCulture, $"{guns.Count} guns came free with the newest orders"), "");
    }

    private static double? NextLoad(ModuleInput input)
    {
        var next = TolerantInput.Items(TolerantInput.Element(input, "loadForecast")).Take(HoursAhead).Select(TolerantInput.Number).ToList();
        return next.Count == HoursAhead && next.TrueForAll(value => value is not null) ? next.Average() : null;
    }

    private static double? Share(ModuleInput input, string name) =>
        TolerantInput.Number(input, name) is { } share ? Math.Clamp(share, 0, 1) : null;

    private static double? Positive(double? value) => value > 0 ? value : null;

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{share * 100:0} %");

    private sealed record Reason(string Code, string Text, double Points, double AtStake, bool Known)
    {
        /// <summary>A share of the points at stake; unknown where the share is.</summary>
        public static Reason Of(string code, double atStake, double? share, Func<double, string> text, string textUnknown) =>
            share is { } known
                ? new Reason(code, text(known), Math.Round(atStake * known, 1), atStake, true)
                : Unknown(code, atStake, textUnknown);

        public static Reason Unknown(string code, double atStake, string text) =>
            new(code + "-unknown", text, atStake / 2, atStake, false);
    }
}
