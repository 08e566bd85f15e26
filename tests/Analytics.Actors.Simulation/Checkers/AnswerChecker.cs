using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Invariant 5: every batch that a part names gets one answer of its station, computed on what that part said; every batch
/// that was announced ends once, and its upload holds just what was answered.
/// </summary>
public sealed class AnswerChecker(Cluster cluster, Workload workload, IReadOnlyList<ShardFold> folds)
{
    private readonly Dictionary<(string Module, string BatchId, string Station), Answer> answers = [];
    private readonly Dictionary<(string Module, string BatchId), List<JsonElement>> uploads = [];
    private readonly HashSet<(string Module, string BatchId)> forgotten = [];
    private readonly HashSet<string> skippedBatches = [];

    public void Judge(bool isAtRest, Action<Finding> report)
    {
        var stores = new Dictionary<(string, string, string), string>();
        foreach (var (answer, store) in folds.SelectMany(fold => fold.Answers))
        {
            var key = (answer.Module, answer.BatchId, answer.Station);
            // What a restored backup undid is done again, under its new id: the first answer holds.
            if (!answers.TryAdd(key, answer) && stores[key] == store)
                report(new Finding($"station {answer.Station} answered batch {answer.Module} {answer.BatchId} twice", answer.Station, answer.BatchId));
            stores.TryAdd(key, store);
        }

        skippedBatches.UnionWith(workload.Expected.Where(record => cluster.Checkers.IsSkipped(record.Partition, record.Offset))
            .Select(record => $"{record.Partition.Topic}:{record.Partition.Partition}:{record.Offset}"));
        CheckDebts(isAtRest, report);
        CollectUploads(report);
        CheckBatches(isAtRest, report);
    }

    private void CheckDebts(bool isAtRest, Action<Finding> report)
    {
        var named = new HashSet<(string, string, string)>();
        foreach (var debt in folds.SelectMany(fold => fold.Debts))
        {
            named.Add((debt.Module, debt.BatchId, debt.Station));
            if (!answers.TryGetValue((debt.Module, debt.BatchId, debt.Station), out var answer))
            {
                if (isAtRest) report(new Finding($"station {debt.Station} never answered batch {debt.Module} {debt.BatchId}", debt.Station, debt.BatchId));
                continue;
            }

            if (WhatIsWrong(debt, answer) is { } wrong) report(new Finding($"batch {debt.Module} {debt.BatchId}, station {debt.Station}: {wrong}", debt.Station, debt.BatchId));
        }

        foreach (var (module, batch, station) in answers.Keys.Where(key => !named.Contains(key)))
        {
            if (isAtRest) report(new Finding($"station {station} answered batch {module} {batch}, and no part names it", station, batch));
        }
    }

    private string? WhatIsWrong(in Debt debt, Answer answer)
    {
        // The module went with a later version.
        if (debt.Module == Workload.Extra && answer.Reason.StartsWith("the module is gone", StringComparison.Ordinal) && IsOutdated(debt.BatchId)) return null;
        // Whether it was paused or forgotten then is the steering checker's affair.
        if (answer.Outcome == Outcome.Nothing) return answer.Reason == "the module returned nothing" || SteeringChecker.IsReason(answer.Reason) ? null : $"nothing was answered: {answer.Reason}";
        if (answer.Outcome == Outcome.Error)
        {
            var isExplained = answer.Reason == "simulated" || answer.Reason.StartsWith("the process ended", StringComparison.Ordinal);
            return isExplained ? null : $"an error was answered: {answer.Reason}";
        }

        using var result = JsonDocument.Parse(answer.Result.Memory);
        if (!result.RootElement.TryGetProperty(debt.Module + "_saw", out var told)) return $"the answer is that of another module: {result.RootElement}";
        var saw = told.GetString()!;
        if (debt.Module == Workload.First) return saw == debt.Saw ? null : $"the call saw {saw}, the record gives {debt.Saw}";
        // An upload of the module first may come after a newer one of the other partition; a node whose clock is off takes
        // an order for an older one.
        if (debt.Gone.FirstOrDefault(order => saw.Contains($"\"order\":\"{order}\"", StringComparison.Ordinal)) is { } gone) return $"the call saw order {gone}, which was forgotten before its record came";
        var isOrder = debt.BatchId.StartsWith(Workload.Orders, StringComparison.Ordinal);
        return isOrder && cluster.HasTrueClocks && NewestOrder(saw) < Number(debt.Saw) ? $"the call saw {saw}, older than order {debt.Saw}" : null;
    }

    private bool IsOutdated(string batchId)
    {
        var words = batchId.Split(':');
        return cluster.Store.VersionAt(new TopicPartition(words[0], Number("v" + words[1])), Number("v" + words[2])) < cluster.Store.Version;
    }

    private void CollectUploads(Action<Finding> report)
    {
        foreach (var entry in cluster.Store.Timeline.OfType<Committed>().SelectMany(entry => entry.Checkpoint.OutboxAdded))
        {
            if (entry.Destination.Topic is not (Workload.FirstOutput or Workload.SecondOutput)) continue;
            var root = JsonDocument.Parse(entry.Value).RootElement;
            var key = (root.GetProperty("module").GetString()!, root.GetProperty("batch_id").GetString()!);
            if (!uploads.TryGetValue(key, out var revisions)) uploads.Add(key, revisions = []);
            revisions.Add(root);
            if (root.GetProperty("revision").GetInt32() != revisions.Count) report(new Finding($"batch {key.Item1} {key.Item2}: revision {root.GetProperty("revision")} is its upload number {revisions.Count}", key.Item2));
        }

        cluster.Checkers.Uploads = uploads.Values.Sum(revisions => revisions.Count);
        cluster.Checkers.Revisions = uploads.Values.Sum(revisions => revisions.Count - 1);
    }

    private void CheckBatches(bool isAtRest, Action<Finding> report)
    {
        var ended = new Dictionary<(string, string), int>();
        var begun = new Dictionary<(string, string), long>();
        var complete = new HashSet<(string, string)>();
        foreach (var (happened, fromMs, toMs) in folds.SelectMany(fold => fold.Events))
        {
            // Those of windows are looked at elsewhere; what becomes of a module's batches when it goes is told by its answers.
            if (happened is BatchOpened { Module: Workload.Span or Workload.Extra } or BatchCompleted { Module: Workload.Span or Workload.Extra } or BatchTimedOut { Module: Workload.Span or Workload.Extra }) continue;
            switch (happened)
            {
                case BatchOpened opened:
                    if (!begun.TryAdd((opened.Module, opened.BatchId), fromMs)) report(new Finding($"batch {opened.Module} {opened.BatchId} was opened twice", opened.BatchId));
                    break;
                case BatchCompleted completed:
                    End(ended, (completed.Module, completed.BatchId), report);
                    complete.Add((completed.Module, completed.BatchId));
                    break;
                case BatchForgotten gone:
                    forgotten.Add((gone.Module, gone.BatchId));
                    break;
                case BatchTimedOut timedOut:
                    End(ended, (timedOut.Module, timedOut.BatchId), report);
                    var deadlineMs = cluster.Settings.Pipeline.Modules[timedOut.Module].Batch.DeadlineMs;
                    if (!cluster.HasTrueClocks || !begun.TryGetValue((timedOut.Module, timedOut.BatchId), out var openedMs) || toMs >= openedMs + deadlineMs) break;
                    report(new Finding($"batch {timedOut.Module} {timedOut.BatchId} ended at its deadline after less than {toMs - openedMs} ms", timedOut.BatchId));
                    break;
            }
        }

        foreach (var key in ended.Keys) CheckUploads(key, complete.Contains(key), isAtRest, report);
        if (!isAtRest) return;
        foreach (var (module, batch) in folds.SelectMany(fold => fold.Opened.Keys).Where(key => key.Module != Workload.Extra && !ended.ContainsKey(key)))
            report(new Finding($"batch {module} {batch} never ended", batch));
        foreach (var record in workload.Expected.Where(record => record.Parts.Count > 0 && record.Partition.Topic != Workload.States && !cluster.Checkers.IsSkipped(record.Partition, record.Offset)))
        {
            var key = (record.Partition.Topic == Workload.Meters ? Workload.First : Workload.Second, $"{record.Partition.Topic}:{record.Partition.Partition}:{record.Offset}");
            if (!ended.ContainsKey(key)) report(new Finding($"batch {key.Item1} {key.Item2} never was", key.Item2));
        }
    }

    private static void End(Dictionary<(string, string), int> ended, (string Module, string BatchId) key, Action<Finding> report)
    {
        ended[key] = ended.GetValueOrDefault(key) + 1;
        if (ended[key] == 2) report(new Finding($"batch {key.Module} {key.BatchId} ended twice", key.BatchId));
    }

    // A complete batch holds every answer in its first upload; one that ended at its deadline gets what is late in revisions,
    // unless it had to be forgotten. Each station is told of once.
    private void CheckUploads((string Module, string BatchId) key, bool isComplete, bool isAtRest, Action<Finding> report)
    {
        void Wrong(string text) => report(new Finding($"batch {key.Module} {key.BatchId}: {text}", key.BatchId));
        var expected = folds.Select(fold => fold.Opened.GetValueOrDefault(key)).FirstOrDefault(stations => stations is not null);
        if (expected is null)
        {
            Wrong("it ended, and no manifest announced it");
            return;
        }

        var told = new Dictionary<string, Outcome>();
        var revisions = uploads.GetValueOrDefault(key, []);
        foreach (var upload in revisions)
        {
            List<string> named = [];
            foreach (var item in upload.GetProperty("stations").EnumerateArray())
            {
                var station = item.GetProperty("station_id").GetString()!;
                named.Add(station);
                if (!told.TryAdd(station, Outcome.Result)) Wrong($"its uploads tell of {station} twice");
                CheckResult(key, station, item, Wrong);
            }

            foreach (var item in upload.GetProperty("failed").EnumerateArray())
            {
                named.Add(item.GetString()!);
                if (!told.TryAdd(named[^1], Outcome.Error)) Wrong($"its uploads tell of {named[^1]} twice");
            }

            named.AddRange(upload.GetProperty("missing").EnumerateArray().Select(item => item.GetString()!));
            var before = told.Keys.Except(named);
            if (!named.Concat(before).Order(StringComparer.Ordinal).SequenceEqual(expected.Order(StringComparer.Ordinal))) Wrong($"revision {upload.GetProperty("revision")} accounts for {string.Join(" ", named)}, expected were {string.Join(" ", expected)}");
        }

        if (isComplete && revisions.Count > 1) Wrong("it was complete, and has a revision");
        foreach (var station in expected)
        {
            var answered = OutcomeOf(key, station);
            if (told.TryGetValue(station, out var outcome) ? outcome == answered : answered is Outcome.Nothing || (answered == Outcome.Error && revisions.Count == 0)) continue;
            // Of a record that retention took away a router may have sent the manifest and not the parts.
            if (!told.ContainsKey(station) && (!isAtRest || forgotten.Contains(key) || (answered == Outcome.Unspecified && skippedBatches.Contains(key.BatchId)))) continue;
            Wrong($"its uploads tell {(told.ContainsKey(station) ? outcome : "nothing")} of {station}, the answer was {answered}");
        }
    }

    private void CheckResult((string Module, string BatchId) key, string station, JsonElement item, Action<string> wrong)
    {
        if (!answers.TryGetValue((key.Module, key.BatchId, station), out var answer) || answer.Outcome != Outcome.Result) return;
        using var result = JsonDocument.Parse(answer.Result.Memory);
        var member = key.Module + "_saw";
        if (item.TryGetProperty(member, out var uploaded) && result.RootElement.TryGetProperty(member, out var given) && uploaded.GetString() == given.GetString()) return;
        wrong($"its upload holds another result of {station} than was answered");
    }

    private Outcome OutcomeOf((string Module, string BatchId) key, string station) =>
        answers.TryGetValue((key.Module, key.BatchId, station), out var answer) ? answer.Outcome : Outcome.Unspecified;

    private static int NewestOrder(string saw)
    {
        var newest = -1;
        for (var at = saw.IndexOf("\"order\":\"v", StringComparison.Ordinal); at >= 0; at = saw.IndexOf("\"order\":\"v", at + 1, StringComparison.Ordinal))
        {
            newest = Math.Max(newest, Number(new string(saw.Skip(at + 9).TakeWhile(letter => letter != '"').ToArray())));
        }

        return newest;
    }

    private static int Number(string value) => int.Parse(value.AsSpan(1), CultureInfo.InvariantCulture);
}
