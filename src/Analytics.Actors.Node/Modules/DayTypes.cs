using System.Globalization;
using Analytics.Actors.Core.Modules;

namespace Analytics.Actors.Node.Modules;

/// <summary>
/// Tells free days from working days. The calendar of the input (<c>date[]</c>, <c>isHoliday[]</c>, <c>isWeekend[]</c>)
/// has the say, so that a Saturday that must be worked counts as a working day; for a date that it lacks, Saturdays and
/// Sundays are free.
/// </summary>
internal sealed class DayTypes
{
    private readonly Dictionary<DateOnly, bool> free = [];

    public DayTypes(ModuleInput input)
    {
        var holidays = TolerantInput.Items(TolerantInput.Element(input, "isHoliday")).Select(TolerantInput.Flag).ToList();
        var weekends = TolerantInput.Items(TolerantInput.Element(input, "isWeekend")).Select(TolerantInput.Flag).ToList();
        var index = -1;
        foreach (var entry in TolerantInput.Items(TolerantInput.Element(input, "date")))
        {
            index++;
            if (Date(TolerantInput.Text(entry)) is not { } date) continue;
            var holiday = index < holidays.Count ? holidays[index] : null;
            var weekend = index < weekends.Count ? weekends[index] : null;
            if (holiday is null && weekend is null) continue;
            free[date] = (holiday ?? false) || (weekend ?? IsWeekend(date));
        }
    }

    public bool IsFree(DateTime time)
    {
        var date = DateOnly.FromDateTime(time);
        return free.TryGetValue(date, out var known) ? known : IsWeekend(date);
    }

    private static bool IsWeekend(DateOnly date) => date.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday;

    // Some calendars carry a time of day behind the date.
    private static DateOnly? Date(string? text) =>
        text is { Length: >= 8 }
        && DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var date)
            ? DateOnly.FromDateTime(date)
            : null;
}
