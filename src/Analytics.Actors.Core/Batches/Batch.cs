using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Batches;

/// <summary>A batch's identity: its id and the module whose results it gathers.</summary>
public readonly record struct BatchKey(string Module, string BatchId)
{
    public string ToEntityKey() => $"{Module}\u001f{BatchId}";
}

/// <summary>
/// A batch actor: waits for one answer of every expected station, or for its deadline, then sends one upload. Answers
/// that arrive before the manifest are held. Members count, not messages.
/// </summary>
public sealed class Batch(BatchKey key, SourcePartition source, long offset)
{
    private readonly Dictionary<string, Answer> answers = new(StringComparer.Ordinal);
    private List<string> expected = [];
    private HashSet<string> expectedSet = [];

    public BatchKey Key { get; } = key;

    /// <summary>The record that opened it.</summary>
    public SourcePartition Source { get; } = source;
    public long Offset { get; } = offset;

    /// <summary>The manifest has come: the expected stations are known and the deadline runs.</summary>
    public bool IsOpen { get; private set; }
    public IReadOnlyList<string> Expected => expected;
    public IReadOnlyDictionary<string, Answer> Answers => answers;
    public long OpenedMs { get; private set; }
    public long DeadlineMs { get; private set; }

    internal bool WasSaved { get; set; }

    /// <summary>The manifest: opens the batch.</summary>
    public void Open(IEnumerable<string> stations, BatchConfiguration configuration, long nowMs) =>
        Restore(stations, nowMs, nowMs + configuration.DeadlineMs);

    /// <summary>Takes an answer; false for one that was not asked for or has been given.</summary>
    public bool Take(Answer answer)
    {
        if (IsOpen && !expectedSet.Contains(answer.Station)) return false;
        if (!answers.TryAdd(answer.Station, answer)) return false;
        return true;
    }

    /// <summary>All have answered, or as many as the module's completeAt asks for.</summary>
    public bool IsComplete(BatchConfiguration configuration)
    {
        if (!IsOpen) return false;
        var answered = answers.Count;
        if (answered >= expected.Count) return true;
        // 0.55 of 100 are 55, although the product of the doubles is a little more.
        return configuration.CompleteAt is { } share && answered >= Math.Ceiling(share * expected.Count - 1e-9);
    }

    /// <summary>Ends the batch: sends its upload, unless there is no result at all. Returns the number of results.</summary>
    public int Finish(ModuleConfiguration module, ShardOutputs outputs, long nowMs)
    {
        List<KeyValuePair<string, ReadOnlyMemory<byte>>> results = [];
        List<string> failed = [], missing = [];
        foreach (var station in expected)
        {
            var outcome = answers.TryGetValue(station, out var answer) ? answer.Outcome : Outcome.Nothing;
            if (outcome == Outcome.Result) results.Add(KeyValuePair.Create(station, answer!.Result.Memory));
            else if (outcome == Outcome.Error) failed.Add(station);
            else missing.Add(station);
        }

        if (results.Count == 0) return 0;
        var value = UploadWriter.Batch(Key.BatchId, Key.Module, module.UploadFormat, results, expected.Count, failed, missing, 1, nowMs);
        outputs.Upload(module.OutputTopic, Key.BatchId, value, Key.BatchId, nowMs);
        return results.Count;
    }

    internal byte[] Save() => new BatchStateMessage(this).ToBytes();

    internal void Restore(IEnumerable<string> stations, long openedMs, long deadlineMs)
    {
        expected = stations.ToList();
        expectedSet = new HashSet<string>(expected, StringComparer.Ordinal);
        foreach (var stranger in answers.Keys.Where(station => !expectedSet.Contains(station)).ToList()) answers.Remove(stranger);
        IsOpen = true;
        OpenedMs = openedMs;
        DeadlineMs = deadlineMs;
    }
}
