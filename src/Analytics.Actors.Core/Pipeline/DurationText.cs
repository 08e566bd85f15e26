using System.Globalization;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>Durations as people write them: a number and its unit, exact to the millisecond ("500ms", "2s", "10min", "1h", "35d").</summary>
public static class DurationText
{
    /// <summary>What a duration must look like, for messages.</summary>
    public const string Form = "text of a number and a unit (ms, s, min, h, d), such as \"500ms\", \"2s\", \"10min\", \"1h\" or \"35d\"";

    /// <summary>The longest duration: what is longer is a slip of the pen, and sums of times must not overflow.</summary>
    private const long MsMax = 36_500L * 86_400_000;

    private static readonly (string Unit, long Ms)[] Units = [("ms", 1), ("min", 60_000), ("s", 1_000), ("h", 3_600_000), ("d", 86_400_000)];

    /// <summary>Reads a duration of 0 ms or more; false where the text is none, or not a whole number of milliseconds.</summary>
    public static bool TryParse(string text, out long ms)
    {
        ms = 0;
        foreach (var (unit, unitMs) in Units)
        {
            if (!text.EndsWith(unit, StringComparison.Ordinal)) continue;
            var digits = text.AsSpan(0, text.Length - unit.Length).TrimEnd(' ');
            if (digits.Length is 0 or > 15 || !char.IsAsciiDigit(digits[0]) || !char.IsAsciiDigit(digits[^1])) return false;
            if (!decimal.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) return false;
            var exact = number * unitMs;
            if (exact != decimal.Truncate(exact) || exact > MsMax) return false;
            ms = (long)exact;
            return true;
        }

        return false;
    }
}
