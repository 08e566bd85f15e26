using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Node.Modules;

/// <summary>
/// Reads members of a module input without ever throwing: what is absent, null or of another type is null. The built-in
/// modules read through it, because what a station sends is not in our hands and a module's exception would cost retries.
/// </summary>
internal static class TolerantInput
{
    /// <summary>The member; undefined where it is absent or nested deeper than JSON readers accept.</summary>
    public static JsonElement Element(ModuleInput input, string name)
    {
        try
        {
            return input.GetElement(name);
        }
        catch (JsonException)
        {
            return default;
        }
    }

    /// <summary>The member of an object; undefined where the element is no object or lacks it.</summary>
    public static JsonElement Member(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value : default;

    /// <summary>The entries of a list; none where the element is no list.</summary>
    public static IEnumerable<JsonElement> Items(JsonElement element) =>
        element.ValueKind == JsonValueKind.Array ? element.EnumerateArray() : [];

    /// <summary>A finite number, written as a number or as text.</summary>
    public static double? Number(JsonElement element)
    {
        double value;
        switch (element.ValueKind)
        {
            case JsonValueKind.Number:
                if (!element.TryGetDouble(out value)) return null;
                break;
            case JsonValueKind.String:
                if (!double.TryParse(Text(element), NumberStyles.Float, CultureInfo.InvariantCulture, out value)) return null;
                break;
            default:
                return null;
        }

        return double.IsFinite(value) ? value : null;
    }

    public static double? Number(ModuleInput input, string name) => Number(Element(input, name));

    /// <summary>Text, or a number's digits; null for all else.</summary>
    public static string? Text(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Number:
                return element.GetRawText();
            case JsonValueKind.String:
                try
                {
                    return element.GetString();
                }
                catch (InvalidOperationException)
                {
                    // An escaped lone surrogate is well-formed JSON but no text.
                    return null;
                }

            default:
                return null;
        }
    }

    /// <summary>A two-digit code such as "01", also where it was written as 1 or "1"; null where there is none.</summary>
    public static string? Code(JsonElement element) => Text(element) is { Length: > 0 } text
        ? text.Length == 1 && char.IsAsciiDigit(text[0]) ? "0" + text : text
        : null;

    /// <summary>A flag written as true, 1 or "1" (or their opposites).</summary>
    public static bool? Flag(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => Number(element) is { } number ? number != 0 : null,
    };

    /// <summary>A wall clock time as written: a zone in the text is not applied.</summary>
    public static DateTime? Time(JsonElement element) =>
        element.ValueKind == JsonValueKind.String
        && DateTimeOffset.TryParse(Text(element), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time.DateTime
            : null;

    /// <summary>
    /// The member as rows of numbers, where it has at least one; a value that is not finite reads as missing (NaN).
    /// The span is the window's own column: nothing is parsed.
    /// </summary>
    public static bool TrySeries(ModuleInput input, string name, out NumericSeries series) =>
        input.TryGetSeries(name, out series)
        && series is { Rows: > 0, Columns: > 0 }
        && series.Values.Length >= (long)series.Rows * series.Columns;
}
