using System.Text.Json.Nodes;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Node.Hosting;

namespace Analytics.Actors.Node.Http;

/// <summary>What is being worked on and what came of it: batches, modules, counters, problems.</summary>
internal static class WorkViews
{
    /// <summary>
    /// Batches that are not over, the oldest first; then those that have answers but no manifest yet; then those that are
    /// over and kept for late answers, the newest first.
    /// </summary>
    public static JsonArray Batches(NodeCore core, int limit) => new(
    [
        .. core.Running.SelectMany(shard => shard.Batches.Batches.Values.Select(batch => (Shard: shard, Batch: batch)))
            .OrderBy(found => found.Batch.IsOpen ? found.Batch.OpenedMs : long.MaxValue).ThenBy(found => found.Batch.Key.BatchId, StringComparer.Ordinal)
            .Concat(core.Running.SelectMany(shard => shard.Batches.Over.Values.Select(batch => (Shard: shard, Batch: batch)))
                .OrderByDescending(found => found.Batch.EndedMs).ThenBy(found => found.Batch.Key.BatchId, StringComparer.Ordinal))
            .Take(limit)
            .Select(found => (JsonNode)new JsonObject
            {
                ["batch_id"] = found.Batch.Key.BatchId,
                ["module"] = found.Batch.Key.Module,
                ["shard"] = found.Shard.Id.Value,
                ["open"] = found.Batch.IsOpen,
                ["expected"] = found.Batch.ExpectedCount,
                ["answered"] = found.Batch.AnsweredCount,
                ["opened"] = found.Batch.IsOpen || found.Batch.IsOver ? found.Batch.OpenedMs : null,
                ["deadline"] = found.Batch.IsOpen ? found.Batch.DeadlineMs : null,
                ["ended"] = found.Batch.IsOver ? found.Batch.EndedMs : null,
                ["retained_until"] = found.Batch.IsOver ? found.Batch.RetainedUntilMs : null,
                ["revision"] = found.Batch.Revision,
                ["waits_for"] = new JsonArray([.. found.Batch.Expected.Where(member => member.IsAwaited).Take(10).Select(member => (JsonNode)member.Station)]),
            }),
    ]);

    /// <summary>Batches that are not over, by module; on the loop's thread.</summary>
    public static Dictionary<string, int> OpenBatches(NodeCore core) =>
        core.Running.SelectMany(shard => shard.Batches.Batches.Keys).CountBy(key => key.Module).ToDictionary(StringComparer.Ordinal);

    public static JsonArray Modules(NodeHost node, Dictionary<string, int> openBatches)
    {
        var counters = node.Observer.Counters;
        var load = node.Pool?.Load;
        var stuck = (node.Pool?.Stuck ?? []).CountBy(call => call.Module).ToDictionary(StringComparer.Ordinal);
        return new JsonArray([.. node.Pipeline.Modules.Values.Select(module =>
        {
            var (running, waiting) = load?.GetValueOrDefault(module.Name) ?? default;
            var calls = new JsonObject();
            foreach (var outcome in (string[])["result", "nothing", "error", "timeout"]) calls[outcome] = counters.Calls.GetValueOrDefault((module.Name, outcome));
            return (JsonNode)new JsonObject
            {
                ["module"] = module.Name,
                ["enabled"] = module.Enabled,
                ["installed"] = node.IsInstalled(module.Name),
                ["topics"] = new JsonArray([.. module.Topics.Select(topic => (JsonNode)topic)]),
                ["depends_on"] = new JsonArray([.. module.DependsOn.Select(name => (JsonNode)name)]),
                ["output"] = module.OutputTopic,
                ["pool"] = module.Pool,
                ["calls"] = calls,
                ["calls_running"] = running,
                ["calls_waiting"] = waiting,
                ["calls_stuck"] = stuck.GetValueOrDefault(module.Name),
                ["batches_open"] = openBatches.GetValueOrDefault(module.Name),
                ["batches_completed"] = counters.BatchesByModule.GetValueOrDefault((module.Name, false)),
                ["batches_timed_out"] = counters.BatchesByModule.GetValueOrDefault((module.Name, true)),
                ["uploads"] = counters.UploadsByTopic.GetValueOrDefault(module.OutputTopic),
            };
        })]);
    }

    public static JsonObject Counters(NodeHost node, Dictionary<string, long> applied)
    {
        var counters = node.Observer.Counters;
        return new JsonObject
        {
            ["since"] = node.StartedAt.ToString("O"),
            ["records_fetched"] = ByName(counters.FetchedByTopic),
            ["parts_applied"] = ByName(applied),
            ["uploads"] = ByName(counters.UploadsByTopic),
            ["dead_letters"] = ByName(counters.DeadLettersByReason),
            ["answers"] = counters.Answers,
            ["batches_opened"] = counters.BatchesOpened,
            ["batches_completed"] = counters.BatchesCompleted,
            ["batches_timed_out"] = counters.BatchesTimedOut,
            ["revisions"] = counters.Revisions,
            ["late_answers"] = counters.LateAnswers,
            ["late_orders"] = counters.LateOrders,
            ["missing_records"] = counters.Missing,
            ["checkpoints"] = counters.Checkpoints,
            ["checkpoint_bytes"] = counters.CheckpointBytes,
            ["checkpoint_seconds"] = counters.CheckpointTime.TotalSeconds,
            ["outputs_sent"] = counters.OutputsSent,
        };
    }

    public static JsonObject Problems(NodeHost node, int limit)
    {
        var (newest, counts) = node.Observer.Problems.Take(limit);
        return new JsonObject
        {
            ["counts"] = ByName(counts),
            ["problems"] = new JsonArray([.. newest.Select(problem => (JsonNode)new JsonObject
            {
                ["time"] = problem.Time.ToString("O"),
                ["kind"] = problem.Kind,
                ["station"] = problem.Station.Length == 0 ? null : problem.Station,
                ["text"] = problem.Text,
            })]),
        };
    }

    private static JsonObject ByName(IReadOnlyDictionary<string, long> counts)
    {
        var shown = new JsonObject();
        foreach (var (name, count) in counts.OrderBy(pair => pair.Key, StringComparer.Ordinal)) shown[name] = count;
        return shown;
    }
}
