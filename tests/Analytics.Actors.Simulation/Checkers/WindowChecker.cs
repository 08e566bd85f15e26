using System.Text.Json;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Batches by windows of event time: each part gets one answer, computed on what it said; a window is opened and ended once;
/// its revisions follow each other and hold results that were answered; and every station with a result is told of.
/// </summary>
public sealed class WindowChecker(Cluster cluster, IReadOnlyList<ShardFold> folds)
{
    private readonly HashSet<string> forgotten = [];

    public void Judge(bool isAtRest, Action<Finding> report)
    {
        CheckEnds(isAtRest, report);
        var told = ReadUploads(report);
        var answers = folds.SelectMany(fold => fold.WindowAnswers)
            .ToLookup(answered => (answered.Answer.BatchId, answered.Answer.Station), answered => answered);
        var debts = folds.SelectMany(fold => fold.WindowDebts).ToLookup(debt => (debt.BatchId, debt.Station), debt => debt.Saw);
        foreach (var (batch, station) in answers.Select(group => group.Key).Union(debts.Select(group => group.Key)))
        {
            void Wrong(string text) => report(new Finding($"window {batch}, station {station}: {text}", batch, station));
            var given = answers[(batch, station)].ToList();
            var owed = debts[(batch, station)].ToList();
            // What a restored backup undid may be answered again under the new id.
            var most = given.GroupBy(answered => answered.Store).Select(group => group.Count()).DefaultIfEmpty().Max();
            if (most > owed.Count || (isAtRest && given.Count < owed.Count)) Wrong($"{given.Count} answers were given for {owed.Count} parts");
            var results = given.Where(answered => answered.Answer.Outcome == Outcome.Result).Select(answered => Saw(answered.Answer.Result.Memory)).ToList();
            foreach (var result in results.Where(result => !owed.Contains(result))) Wrong($"a call saw {result}, its parts said {string.Join(" ", owed)}");
            var uploaded = told.GetValueOrDefault((batch, station), []);
            foreach (var result in uploaded.Where(result => !results.Contains(result))) Wrong($"an upload holds {result}, which was not answered");
            if (isAtRest && results.Count > 0 && uploaded.Count == 0 && !forgotten.Contains(batch) && !cluster.Checkers.HasSkipped) Wrong("it has a result, and no upload tells of it");
        }
    }

    private void CheckEnds(bool isAtRest, Action<Finding> report)
    {
        var opened = new Dictionary<string, int>();
        var ended = new Dictionary<string, int>();
        foreach (var (happened, _, _) in folds.SelectMany(fold => fold.Events))
        {
            if (happened is BatchOpened { Module: Workload.Span } begin) opened[begin.BatchId] = opened.GetValueOrDefault(begin.BatchId) + 1;
            if (happened is BatchForgotten { Module: Workload.Span } gone) forgotten.Add(gone.BatchId);
            if (happened is AnswerLate { Module: Workload.Span } late) forgotten.Add(late.BatchId);
            var end = happened is BatchCompleted { Module: Workload.Span } completed ? completed.BatchId : happened is BatchTimedOut { Module: Workload.Span } timedOut ? timedOut.BatchId : null;
            if (end is not null) ended[end] = ended.GetValueOrDefault(end) + 1;
        }

        foreach (var (batch, count) in opened.Where(pair => pair.Value > 1)) report(new Finding($"window {batch} was opened {count} times", batch));
        foreach (var (batch, count) in ended.Where(pair => pair.Value > 1)) report(new Finding($"window {batch} ended {count} times", batch));
        foreach (var batch in opened.Keys.Where(batch => isAtRest && !ended.ContainsKey(batch))) report(new Finding($"window {batch} never ended", batch));
    }

    private Dictionary<(string Batch, string Station), List<string>> ReadUploads(Action<Finding> report)
    {
        var told = new Dictionary<(string, string), List<string>>();
        var revisions = new Dictionary<string, int>();
        foreach (var entry in cluster.Store.Timeline.OfType<Committed>().SelectMany(entry => entry.Checkpoint.OutboxAdded).Where(entry => entry.Destination.Topic == Workload.SpanOutput))
        {
            using var upload = JsonDocument.Parse(entry.Value);
            var batch = upload.RootElement.GetProperty("batch_id").GetString()!;
            var revision = upload.RootElement.GetProperty("revision").GetInt32();
            if (revision != revisions.GetValueOrDefault(batch) + 1) report(new Finding($"window {batch}: revision {revision} follows {revisions.GetValueOrDefault(batch)}", batch));
            revisions[batch] = revision;
            foreach (var item in upload.RootElement.GetProperty("stations").EnumerateArray())
            {
                var key = (batch, item.GetProperty("station_id").GetString()!);
                if (!told.TryGetValue(key, out var results)) told.Add(key, results = []);
                results.Add(ValueOf(item.GetProperty("span_saw").GetString()!));
            }
        }

        return told;
    }

    private static string Saw(ReadOnlyMemory<byte> json)
    {
        using var result = JsonDocument.Parse(json);
        return result.RootElement.TryGetProperty("span_saw", out var saw) ? ValueOf(saw.GetString()!) : result.RootElement.ToString();
    }

    // The input is value="v7".
    private static string ValueOf(string saw) => saw.Split('"') is { Length: > 1 } parts ? parts[1] : saw;
}
