namespace Analytics.Actors.Node.Replay;

/// <summary>The Melbourne weather by day.</summary>
internal static class MelbourneWeather
{
    /// <summary>The most frequent condition code of each day, as text; of equally frequent ones the smaller.</summary>
    public static IReadOnlyDictionary<DateOnly, string> Read(string directory)
    {
        var table = new CsvTable(directory, "charged_mel_weather.csv.gz");
        var conditions = table.Column("conditions");
        return table.Rows()
            .GroupBy(row => DateOnly.FromDateTime(table.Time(row[0])), row => row[conditions])
            .ToDictionary(day => day.Key, day => day
                .GroupBy(code => code)
                .OrderByDescending(code => code.Count())
                .ThenBy(code => code.Key, StringComparer.Ordinal)
                .First().Key);
    }

    /// <summary>The meteorological season on the southern half of the earth.</summary>
    public static string Season(DateOnly date) => date.Month switch
    {
        12 or 1 or 2 => "summer",
        3 or 4 or 5 => "autumn",
        6 or 7 or 8 => "winter",
        _ => "spring",
    };
}
