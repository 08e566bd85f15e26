using System.Text.Json;
using Analytics.Actors.Node.Replay;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// What must become of a replayed record, found by reading it plainly with a JSON document, not by the production
/// splitter. Replayed data is good data: nothing of it is to be rejected.
/// </summary>
public static class ReplayExpectation
{
    public static DemoRecord Of(ReplayRecord record)
    {
        using var document = JsonDocument.Parse(record.Value);
        var root = document.RootElement;
        if (record.Topic == ScheduleTopics.Calendar) return New(record, Expectation.Global);
        var items = root.ValueKind == JsonValueKind.Array ? root
            : root.TryGetProperty("stationId", out _) ? default
            : root.EnumerateObject().First().Value;
        if (items.ValueKind != JsonValueKind.Array) return New(record, Expectation.Of(Id(root)));
        List<ExpectedPart> parts = [];
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var index = 0;
        foreach (var item in items.EnumerateArray())
        {
            var station = Id(item);
            if (seen.Add(station)) parts.Add(new ExpectedPart(station, index));
            index++;
        }

        return New(record, new Expectation { Parts = parts });
    }

    private static DemoRecord New(ReplayRecord record, Expectation expectation) =>
        new(record.Topic, record.Key is null ? null : System.Text.Encoding.UTF8.GetString(record.Key), record.TimestampMs, record.Value, expectation);

    private static string Id(JsonElement item)
    {
        var id = item.GetProperty("stationId");
        return id.ValueKind == JsonValueKind.String ? id.GetString()! : id.GetRawText();
    }
}
