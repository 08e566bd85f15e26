using Analytics.Actors.Node.Replay;

namespace Analytics.Actors.Node.Demo;

/// <summary>How the demo replays real data: the last weeks of it, moved by whole weeks so that they end now.</summary>
public static class DemoReplay
{
    private const int Days = 28;
    private static readonly DateTime DataEnd = new(2023, 10, 1, 0, 0, 0, DateTimeKind.Unspecified);

    /// <summary>When a record so far into the data is sent.</summary>
    public static TimeSpan Due(long sinceFirstMs, TimeSpan duration) => duration * (sinceFirstMs / TimeSpan.FromDays(Days).TotalMilliseconds) * 0.98;

    /// <param name="timeZone">The pipeline's zone for times without one.</param>
    /// <param name="nowUtc">Now: windows whose data is older than their ttl would expire at once.</param>
    public static ReplayOptions Options(TimeSpan timeZone, DateTime nowUtc)
    {
        var local = DateTime.SpecifyKind(nowUtc + timeZone, DateTimeKind.Unspecified);
        return new ReplayOptions
        {
            From = DataEnd.AddDays(-Days),
            Stations = MelbourneStations.Usable,
            TimeZone = timeZone,
            ShiftWeeks = (int)Math.Floor((local - DataEnd).TotalDays / 7),
        };
    }
}
