using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Node.Hosting;

namespace Analytics.Actors.Node.Http;

/// <summary>One line of the list of stations.</summary>
internal readonly record struct StationLine(string Id, int Shard, int Topics, long? NewestMs, int CallsOwed);

/// <summary>A window as it was; the fragment is immutable and may be read outside the loop.</summary>
internal sealed record CapturedWindow(string Topic, bool IsEmpty, long Bytes, long? NewestMs, InputFragment? Fragment, string? Failure);

/// <summary>A station as it was.</summary>
internal sealed record CapturedStation(string Id, ShardId Shard, Epoch Epoch, bool IsInMemory, int CallsOwed, IReadOnlyList<CapturedWindow> Windows);

/// <summary>
/// Stations, taken from the loop as little as possible and written outside it: a station's windows may be large, and there
/// may be many stations.
/// </summary>
internal static class StationViews
{
    public static List<StationLine> Lines(NodeCore core, ShardId shard) => core.Find(shard) is { } found
        ? found.Stations.Values.Select(station => new StationLine(
            station.Id, shard.Value, station.Windows.Count(window => !window.Value.IsEmpty), station.NewestTimeMs, station.TriggerCount)).ToList()
        : [];

    /// <summary>The stations after that id, in order of their ids' characters; <c>next</c> is what to ask for after the last one.</summary>
    public static JsonObject Stations(List<StationLine> all, long count, string after, int limit)
    {
        var wanted = all.Where(line => string.CompareOrdinal(line.Id, after) > 0).OrderBy(line => line.Id, StringComparer.Ordinal).Take(limit + 1).ToList();
        var shown = wanted.Take(limit).ToList();
        return new JsonObject
        {
            ["station_count"] = count,
            ["stations"] = new JsonArray([.. shown.Select(line => (JsonNode)new JsonObject
            {
                ["station"] = line.Id,
                ["shard"] = line.Shard,
                ["topics"] = line.Topics,
                ["newest"] = line.NewestMs,
                ["calls_owed"] = line.CallsOwed,
            })]),
            ["next"] = wanted.Count > limit ? shown[^1].Id : null,
        };
    }

    /// <summary>On the loop's thread.</summary>
    public static CapturedStation? Capture(NodeCore core, string id)
    {
        var shard = core.Running.FirstOrDefault(candidate => candidate.Stations.ContainsKey(id));
        if (shard is null) return null;
        var station = shard.Stations[id];
        return new CapturedStation(id, shard.Id, shard.Epoch, true, station.TriggerCount, station.Windows.Values.Select(Capture).ToList());
    }

    /// <summary>A station that is not in memory, as the store has it; null where there is none.</summary>
    public static CapturedStation? Restore(NodeHost node, string id, ShardId shard, Epoch epoch, IReadOnlyList<EntityState> rows)
    {
        var windows = rows.Where(row => row.Kind == EntityKind.Window)
            .Select(row => StationRows.LoadWindow(row, node.Pipeline)).OfType<TopicWindow>().Select(Capture).ToList();
        // A station that owes a call is loaded by its shard soon after a takeover.
        return rows.Count == 0 ? null : new CapturedStation(id, shard, epoch, false, 0, windows);
    }

    public static JsonObject Station(NodeHost node, CapturedStation station)
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        var windows = new JsonObject();
        foreach (var window in station.Windows.OrderBy(window => window.Topic, StringComparer.Ordinal))
        {
            var shown = new JsonObject
            {
                ["empty"] = window.IsEmpty,
                ["bytes"] = window.Bytes,
                ["age_seconds"] = window.NewestMs is { } newest ? Math.Max(0, now - newest) / 1000.0 : null,
            };
            if (window.Failure is not null) shown["failed"] = window.Failure;
            if (window.Fragment is { } fragment)
            {
                var members = new JsonObject();
                foreach (var name in fragment.Names) members[name] = JsonNode.Parse(fragment.GetJson(name).Span);
                shown["input"] = members;
            }

            windows[window.Topic] = shown;
        }

        return new JsonObject
        {
            ["station"] = station.Id,
            ["node"] = node.Options.NodeId,
            ["shard"] = station.Shard.Value,
            ["epoch"] = station.Epoch.Value,
            ["in_memory"] = station.IsInMemory,
            ["calls_owed"] = station.CallsOwed,
            ["windows"] = windows,
        };
    }

    private static CapturedWindow Capture(TopicWindow window)
    {
        try
        {
            return new CapturedWindow(window.Topic.Name, window.IsEmpty, window.SizeBytes, window.NewestTimeMs, window.Shape(), null);
        }
        catch (ShapeException failure)
        {
            return new CapturedWindow(window.Topic.Name, window.IsEmpty, window.SizeBytes, window.NewestTimeMs, null, failure.Message);
        }
    }
}
