using System.Globalization;
using System.Text.Json;

namespace Analytics.Actors.Node.Replay;

/// <summary>
/// A day's 24 hourly prices as a tariff of five kinds: the kind's code per half hour, and each kind's price.
/// </summary>
/// <remarks>
/// Up to five distinct prices are kept exactly, as written. More (a few stations change price every hour) are sorted and
/// cut at the four widest gaps, the cheaper one first where gaps are equal; a group's price is the lower median over its
/// hours, so that it is a price that the day had. Kinds fall from the dearest group to the cheapest: sharp, peak, flat, ebb,
/// and other only where there are five; one price alone is flat, two are peak and ebb, three are peak, flat and ebb.
/// Codes are those of <see cref="Modules.AssumedCodes.TariffKinds"/>.
/// </remarks>
internal static class DayTariff
{
    private static readonly string[][] Kinds =
    [
        ["flat"], ["peak", "ebb"], ["peak", "flat", "ebb"], ["sharp", "peak", "flat", "ebb"], ["sharp", "peak", "flat", "ebb", "other"],
    ];

    /// <summary>Writes feeNo1 to feeNo48 and the fees of the kinds that occur.</summary>
    public static void Write(Utf8JsonWriter writer, IReadOnlyList<string> hourly)
    {
        var groups = Group(hourly);
        var kinds = Kinds[groups.Count - 1];
        var codes = Modules.AssumedCodes.TariffKinds.ToDictionary(code => code.Value, code => code.Key);
        for (var kind = 0; kind < groups.Count; kind++)
        {
            writer.WritePropertyName(kinds[kind] + "ElectricFee");
            writer.WriteRawValue(groups[kind].Price);
            writer.WriteNumber(kinds[kind] + "ServerFee", 0);
        }

        for (var position = 0; position < 48; position++)
        {
            var price = Value(hourly[position / 2]);
            writer.WriteString($"feeNo{position + 1}", codes[kinds[groups.FindIndex(group => price >= group.Lowest)]]);
        }
    }

    /// <summary>Groups of the day's prices, the dearest first.</summary>
    internal static List<(string Price, decimal Lowest)> Group(IReadOnlyList<string> hourly)
    {
        var sorted = hourly.OrderBy(Value).ToList();
        var gaps = Enumerable.Range(1, sorted.Count - 1)
            .Where(at => Value(sorted[at]) > Value(sorted[at - 1]))
            .OrderByDescending(at => Value(sorted[at]) - Value(sorted[at - 1]))
            .ThenBy(at => at)
            .Take(4);
        int[] starts = [0, .. gaps.Order()];
        var groups = new List<(string, decimal)>();
        for (var group = starts.Length - 1; group >= 0; group--)
        {
            var end = group + 1 < starts.Length ? starts[group + 1] : sorted.Count;
            groups.Add((sorted[(starts[group] + end - 1) / 2], Value(sorted[starts[group]])));
        }

        return groups;
    }

    private static decimal Value(string price) => decimal.Parse(price, NumberStyles.Float, CultureInfo.InvariantCulture);
}
