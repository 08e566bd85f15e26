using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Node.Hosting;

namespace Analytics.Actors.Node.Http;

/// <summary>One line of the list of stations.</summary>
internal readonly record struct StationLine(string Id, int Shard, int Topics, long? NewestMs, int CallsOwed, bool IsPaused, bool IsInMemory);

/// <summary>A window as it was; the fragment is immutable and may be read outside the loop.</summary>
internal sealed record CapturedWindow(string Topic, bool IsEmpty, long Bytes, long? NewestMs, InputFragment? Fragment, string? Failure);

/// <summary>A station as it was.</summary>
/// <param name="Globals">Windows of its shard that its modules see too.</param>
internal sealed record CapturedStation(
    string Id, ShardId Shard, Epoch Epoch, bool IsInMemory, bool IsPaused, IReadOnlyList<OpenCall> Calls, IReadOnlyList<RecentAnswer> Recent,
    IReadOnlyList<CapturedWindow> Windows, IReadOnlyList<CapturedWindow> Globals);

/// <summary>
/// Stations, taken from the loop as little as possible and written outside it: a station's windows may be large, and there
/// may be many stations.
/// </summary>
internal static class StationViews
{
    private const int AnswersShown = 20;

    public static List<StationLine> Lines(NodeCore core, ShardId shard) => core.Find(shard) is { } found
        ? found.Stations.Values.Where(station => !station.IsEmpty).Select(station => new StationLine(
            station.Id, shard.Value, station.Windows.Count(window => !window.Value.IsEmpty), station.NewestTimeMs, station.TriggerCount, station.IsPaused, true)).ToList()
        : [];

    /// <summary>Stations that are not in memory, from the rows of their windows.</summary>
    public static IEnumerable<StationLine> Lines(PipelineConfiguration pipeline, ShardId shard, IEnumerable<EntityState> windows) => windows
        .GroupBy(row => StationRows.StationOf(row.Key), StringComparer.Ordinal)
        .Select(rows =>
        {
            var held = rows.Select(row => StationRows.LoadWindow(row, pipeline)).OfType<TopicWindow>().Where(window => !window.IsEmpty).ToList();
            return new StationLine(rows.Key, shard.Value, held.Count, held.Max(window => window.NewestTimeMs), 0, false, false);
        });

    public static JsonObject Line(in StationLine line) => new()
    {
        ["station"] = line.Id,
        ["shard"] = line.Shard,
        ["topics"] = line.Topics,
        ["newest"] = line.NewestMs,
        ["calls_owed"] = line.CallsOwed,
        ["paused"] = line.IsPaused,
        ["in_memory"] = line.IsInMemory,
    };

    /// <summary>On the loop's thread.</summary>
    public static CapturedStation? Capture(NodeCore core, string id)
    {
        var shard = core.Running.FirstOrDefault(candidate => candidate.Stations.TryGetValue(id, out var here) && !here.IsEmpty);
        if (shard is null) return null;
        var station = shard.Stations[id];
        return new CapturedStation(
            id, shard.Id, shard.Epoch, true, station.IsPaused, station.OpenCalls, shard.Outputs.Recent.Of(id, AnswersShown),
            station.Windows.Values.Select(Capture).ToList(), Globals(shard));
    }

    /// <summary>What the shard alone knows of a station that is not in memory; on the loop's thread.</summary>
    public static CapturedStation? Surroundings(NodeCore core, string id, ShardId shard) => core.Find(shard) is { } found
        ? new CapturedStation(id, shard, found.Epoch, false, false, [], found.Outputs.Recent.Of(id, AnswersShown), [], Globals(found))
        : null;

    /// <summary>A station that is not in memory, as the store has it; null where there is none.</summary>
    public static CapturedStation? Restore(NodeHost node, CapturedStation surroundings, IReadOnlyList<EntityState> rows)
    {
        // A station that owes a call is loaded by its shard soon after a takeover.
        return rows.Count == 0 ? null : surroundings with
        {
            IsPaused = rows.Any(row => row.Kind == EntityKind.Station && StationRows.IsPaused(row)),
            Windows = rows.Where(row => row.Kind == EntityKind.Window).Select(row => StationRows.LoadWindow(row, node.Pipeline)).OfType<TopicWindow>().Select(Capture).ToList(),
        };
    }

    /// <param name="lag">Records that wait in the log of the station's shard; null: not known.</param>
    public static JsonObject Station(NodeHost node, CapturedStation station, long? lag)
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        var windows = new JsonObject();
        foreach (var window in station.Windows.OrderBy(window => window.Topic, StringComparer.Ordinal))
        {
            var shown = new JsonObject
            {
                ["empty"] = window.IsEmpty,
                ["bytes"] = window.Bytes,
                ["age_seconds"] = Age(window.NewestMs, now),
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
            ["paused"] = station.IsPaused,
            ["newest"] = station.Windows.Max(window => window.NewestMs),
            ["lag"] = lag,
            ["calls_owed"] = station.Calls.Count,
            ["windows"] = windows,
            ["modules"] = new JsonArray([.. node.Pipeline.Modules.Values.Where(module => module.Enabled).Select(module => (JsonNode)Module(node.Pipeline, module, station, now))]),
            ["calls"] = new JsonArray([.. station.Calls.Select(call => (JsonNode)new JsonObject
            {
                ["module"] = call.Module,
                ["state"] = call.State,
                ["attempts"] = call.Attempts,
                ["captured"] = call.CapturedMs,
                ["due"] = call.DueMs,
                ["batches"] = new JsonArray([.. call.Batches.Select(batch => (JsonNode)batch)]),
            })]),
            ["answers"] = new JsonArray([.. station.Recent.Select(answer => (JsonNode)new JsonObject
            {
                ["time"] = answer.AtMs,
                ["module"] = answer.Module,
                ["batch_id"] = answer.BatchId.Length == 0 ? null : answer.BatchId,
                ["outcome"] = answer.Outcome.ToString().ToLowerInvariant(),
                ["reason"] = answer.Reason,
                ["attempt"] = answer.Attempt,
            })]),
        };
    }

    // What a call of the module would see now.
    private static JsonObject Module(PipelineConfiguration pipeline, ModuleConfiguration module, CapturedStation station, long nowMs)
    {
        var windows = station.Windows.Concat(station.Globals).ToDictionary(window => window.Topic, StringComparer.Ordinal);
        bool Has(string topic) => windows.TryGetValue(topic, out var window) && window is { IsEmpty: false, Failure: null };
        JsonArray Names(IEnumerable<string> topics) => new([.. topics.Select(topic => (JsonNode)topic)]);
        var available = module.Topics.Where(Has).ToList();
        var required = module.RequiredTopics.ToList();
        return new JsonObject
        {
            ["module"] = module.Name,
            ["ready"] = required.Count == 0 || (module.RequiresAny ? required.Any(Has) : required.All(Has)),
            ["availability_ratio"] = module.Topics.Count == 0 ? 0 : Math.Round((double)available.Count / module.Topics.Count, 3),
            ["available_topics"] = Names(available),
            ["missing_topics"] = Names(module.Topics.Where(topic => !windows.TryGetValue(topic, out var window) || window.IsEmpty)),
            ["failed_topics"] = Names(module.Topics.Where(topic => windows.TryGetValue(topic, out var window) && window.Failure is not null)),
            ["depends_on"] = new JsonArray([.. module.DependsOn.Select(name =>
            {
                var topic = pipeline.Modules[name].OutputTopic;
                return (JsonNode)new JsonObject { ["module"] = name, ["available"] = Has(topic), ["age_seconds"] = Age(windows.GetValueOrDefault(topic)?.NewestMs, nowMs) };
            })]),
        };
    }

    private static double? Age(long? thenMs, long nowMs) => thenMs is { } then ? Math.Max(0, nowMs - then) / 1000.0 : null;

    private static List<CapturedWindow> Globals(Shard shard) => shard.Globals.Values.Select(Capture).ToList();

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
