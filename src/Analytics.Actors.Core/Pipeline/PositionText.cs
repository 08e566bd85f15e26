using System.Globalization;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>Places in a log as people write them.</summary>
public static class PositionText
{
    public const string Form = "earliest, latest, or a time such as 2025-11-04T00:00:00+08:00";

    /// <summary>Reads <see cref="Form"/>. A time without a zone is in the pipeline's own, as it is in payloads.</summary>
    public static bool TryRead(string text, TimeSpan timeZone, out StartPosition place)
    {
        place = text switch
        {
            "earliest" => new StartPosition(StartKind.Earliest),
            "latest" => new StartPosition(StartKind.Latest),
            _ when TryReadTime(text, timeZone, out var ms) => new StartPosition(StartKind.Timestamp, ms),
            _ => new StartPosition(StartKind.Group),
        };
        return place.Kind != StartKind.Group;
    }

    /// <summary>Reads "timestamp:TIME", as the pipeline's file has it; milliseconds since 1970 UTC.</summary>
    internal static bool TryReadTimestamp(string text, TimeSpan timeZone, out long ms)
    {
        const string prefix = "timestamp:";
        ms = 0;
        return text.StartsWith(prefix, StringComparison.Ordinal) && TryReadTime(text[prefix.Length..], timeZone, out ms);
    }

    private static bool TryReadTime(string time, TimeSpan timeZone, out long ms)
    {
        string[] zoned = ["yyyy-MM-dd'T'HH:mm:sszzz", "yyyy-MM-dd HH:mm:sszzz", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFzzz"];
        string[] local = ["yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd"];
        ms = 0;
        if (time.EndsWith('Z')) time = $"{time[..^1]}+00:00";
        if (DateTimeOffset.TryParseExact(time, zoned, CultureInfo.InvariantCulture, DateTimeStyles.None, out var instant)) ms = instant.ToUnixTimeMilliseconds();
        else if (DateTime.TryParseExact(time, local, CultureInfo.InvariantCulture, DateTimeStyles.None, out var clock))
        {
            ms = (clock.Ticks - DateTime.UnixEpoch.Ticks - timeZone.Ticks) / TimeSpan.TicksPerMillisecond;
        }
        else return false;
        return ms >= 0;
    }
}
