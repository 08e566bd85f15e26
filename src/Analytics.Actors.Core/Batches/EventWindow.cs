using System.Globalization;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Batches;

/// <summary>
/// Windows of event time: spans of one length that follow each other, laid out by the pipeline's clock, so that a window
/// of a day begins at its midnight.
/// </summary>
public static class EventWindow
{
    /// <summary>Start of the window that <paramref name="timeMs"/> falls into, ms since 1970 UTC.</summary>
    public static long StartOf(long timeMs, long lengthMs, TimeSpan timeZone)
    {
        var zoneMs = (long)timeZone.TotalMilliseconds;
        var local = timeMs + zoneMs;
        var into = local % lengthMs;
        return local - (into < 0 ? into + lengthMs : into) - zoneMs;
    }

    /// <summary>The batch's id: <c>topic:start</c>, the start in ISO 8601, UTC, with milliseconds only where it has some.</summary>
    public static string BatchId(string topic, long startMs)
    {
        var start = DateTimeOffset.FromUnixTimeMilliseconds(startMs);
        var format = startMs % 1000 == 0 ? "yyyy-MM-ddTHH:mm:ssZ" : "yyyy-MM-ddTHH:mm:ss.fffZ";
        return $"{topic}:{start.UtcDateTime.ToString(format, CultureInfo.InvariantCulture)}";
    }

    /// <summary>
    /// The shard that holds all windows of a topic for a module. The key does not name a window: which one closes follows
    /// from the event time of all of them.
    /// </summary>
    public static int ShardOf(string topic, string module, int shards) => Murmur2.Partition($"{topic}:{module}", shards);
}
