using Analytics.Actors.Node.Replay;

namespace Analytics.Actors.Node.Demo;

/// <summary>How the demo replays real data: the last weeks of it, moved by whole weeks so that they end now.</summary>
public static class DemoReplay
{
    private const int Days = 28;

    // Each push is a week of every station: more of them a second are more calls than a small machine finishes in time.
    private const double PushesPerSecondMax = 4;
    private static readonly DateTime DataEnd = new(2023, 10, 1, 0, 0, 0, DateTimeKind.Unspecified);

    /// <summary>When a record so far into the data is sent.</summary>
    public static TimeSpan Due(long sinceFirstMs, TimeSpan duration) => duration * (sinceFirstMs / TimeSpan.FromDays(Days).TotalMilliseconds) * 0.98;

    /// <summary>Hours between two pushes: one where the demo is long enough, more in a short one.</summary>
    internal static int HoursBetweenPushes(TimeSpan duration) =>
        Array.Find([1, 2, 3, 4, 6, 8, 12], hours => Days * 24.0 / hours <= PushesPerSecondMax * duration.TotalSeconds) is var hours and > 0 ? hours : 24;

    /// <param name="duration">Of the demo.</param>
    /// <param name="timeZone">The pipeline's zone for times without one.</param>
    /// <param name="nowUtc">Now: windows whose data is older than their ttl would expire at once.</param>
    public static ReplayOptions Options(TimeSpan duration, TimeSpan timeZone, DateTime nowUtc)
    {
        var local = DateTime.SpecifyKind(nowUtc + timeZone, DateTimeKind.Unspecified);
        return new ReplayOptions
        {
            From = DataEnd.AddDays(-Days),
            HoursBetweenPushes = HoursBetweenPushes(duration),
            Stations = MelbourneStations.Usable,
            TimeZone = timeZone,
            ShiftWeeks = (int)Math.Floor((local - DataEnd).TotalDays / 7),
        };
    }
}
