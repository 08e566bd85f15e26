using System.Globalization;

namespace Analytics.Actors.Node.Replay;

/// <summary>One record of a replay, as it is produced to its source topic.</summary>
/// <param name="Key">The station's id in UTF-8 where the record is about one station; null where it names several or none.</param>
/// <param name="TimestampMs">Event time, ms since 1970 UTC: never before the record before it.</param>
/// <param name="Value">UTF-8 JSON.</param>
public sealed record ReplayRecord(string Topic, byte[]? Key, long TimestampMs, byte[] Value);

/// <summary>What a replay contains.</summary>
public sealed record ReplayOptions
{
    /// <summary>Hours between two pushes of the grid, counted from midnight: 1 for every hour, 24 for each midnight.</summary>
    public int HoursBetweenPushes { get; init; } = 1;

    /// <summary>Melbourne's stations; null: <see cref="MelbourneStations.Usable"/>.</summary>
    public IReadOnlyList<string>? Stations { get; init; }

    /// <summary>
    /// First and last (exclusive) wall clock moment of the records, in the files' own time. The first push carries the rows before it, as far as
    /// there are any.
    /// </summary>
    public DateTime From { get; init; } = DateTime.MinValue;
    public DateTime To { get; init; } = DateTime.MaxValue;

    /// <summary>The pipeline's <c>timeZone</c>: wall clock times in the files become timestamps by it, so that both agree.</summary>
    public TimeSpan TimeZone { get; init; } = TimeSpan.FromHours(8);

    /// <summary>
    /// Weeks by which every time moves, in payloads and timestamps: a pipeline that runs on today's clock lets measurements
    /// of years ago expire at once (ttl). Weeks, so that weekdays stay; holidays move with their days.
    /// </summary>
    public int ShiftWeeks { get; init; }

    public bool Melbourne { get; init; } = true;

    /// <summary>Charging sessions of a DC fast-charging station, 2022-04 to 2023-07, as orders.</summary>
    public bool Epfl { get; init; }

    /// <summary>Charging sessions of 27 level-2 stations, 2018 to 2021, as orders.</summary>
    public bool Boulder { get; init; }

    /// <summary>No record is larger, unless a single station's rows are.</summary>
    public int RecordBytesMax { get; init; } = 200_000;

    /// <summary>A wall clock time of a file as the records write it.</summary>
    internal string Text(DateTime time) =>
        time.AddDays(7 * ShiftWeeks).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    internal string Text(DateOnly date) => date.AddDays(7 * ShiftWeeks).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    internal long TimestampMs(DateTime time) =>
        new DateTimeOffset(DateTime.SpecifyKind(time.AddDays(7 * ShiftWeeks), DateTimeKind.Unspecified), TimeZone).ToUnixTimeMilliseconds();
}

/// <summary>A data directory cannot be replayed; the message names the file, the line where there is one, and what would be right.</summary>
public sealed class ReplayDataException(string message, Exception? inner = null) : Exception(message, inner);
