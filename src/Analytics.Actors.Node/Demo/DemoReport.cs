using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Node.Demo;

/// <summary>What the nodes count themselves; the report gives it beside what was found from outside.</summary>
public sealed record NodeCounters(long Calls, long Results, long BatchesCompleted, long BatchesTimedOut, long Errors = 0);

/// <summary>Three figures of many latencies, ms.</summary>
public sealed record LatencyReport(long P50, long P99, long Max)
{
    public static LatencyReport Of(LatencyHistogram latency) => new(latency.Quantile(0.50), latency.Quantile(0.99), latency.MaxMs);
}

/// <summary>Latencies of one kind of batch, with their number.</summary>
public sealed record LatencyDetail(long Count, long P50, long P99, long Max)
{
    public static LatencyDetail Of(LatencyHistogram latency) => new(latency.Count, latency.Quantile(0.50), latency.Quantile(0.99), latency.MaxMs);
}

/// <summary>Latencies of batches, by what completed them.</summary>
public sealed record LatencyDetails(LatencyDetail Events, LatencyDetail Orders, LatencyDetail Chained, LatencyDetail Deadline, LatencyDetail Incomplete);

/// <summary>One module's calls, against what was expected of it.</summary>
public sealed record ModuleReport(string Module, int ReadyStations, int CalledStations, double CalledShare);

/// <summary>The dead letters read back, against the bad items that were sent.</summary>
public sealed record DeadLetterReport(long Expected, int Missing, int Unexpected, int Repeated, IReadOnlyList<string> Examples);

/// <summary>A source partition of which a shard applied something else than was sent.</summary>
public sealed record DifferenceReport(int Shard, string Topic, int Partition, long Expected, long Applied, long Lost, long Duplicated, string Explanation);

/// <summary>A fault planted into a copy of the ledger, and whether its check noticed.</summary>
public sealed record CanaryReport(string Fault, bool Detected);

/// <summary>
/// The demo's report. The first members are the contract; the others say how the verdict came about. Names in JSON are in
/// snake case.
/// </summary>
public sealed record DemoReport
{
    private const int ExamplesShown = 20;

    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Acknowledged by Kafka.</summary>
    public required long RecordsIn { get; init; }

    /// <summary>Of those, neither lost nor rejected whole.</summary>
    public required long RecordsApplied { get; init; }
    public required long RecordsLost { get; init; }
    public required long RecordsDuplicated { get; init; }
    public required int Stations { get; init; }
    public required long Calls { get; init; }
    public required long Results { get; init; }
    public required long BatchesCompleted { get; init; }
    public required long BatchesTimedOut { get; init; }
    public required long Uploads { get; init; }
    public required long DeadLetters { get; init; }
    public required double Seconds { get; init; }
    public required double RecordsPerSecond { get; init; }

    /// <summary>From the acknowledgement of the record that completed a trigger, and of orders from their second's closing.</summary>
    public required LatencyReport LatencyMs { get; init; }

    /// <summary>"passed" or "failed".</summary>
    public required string Verdict { get; init; }

    /// <summary>"passed" where the ledger noticed every planted fault.</summary>
    public required string Canary { get; init; }
    public required IReadOnlyList<LedgerCheck> Checks { get; init; }

    /// <summary>Records of which nothing could be applied: each became a dead letter.</summary>
    public required long RecordsRejected { get; init; }

    /// <summary>What records say of stations, each once; a global record counts once per shard.</summary>
    public required long PartsExpected { get; init; }
    public required long PartsApplied { get; init; }
    public required IReadOnlyList<ModuleReport> Modules { get; init; }
    public required LatencyDetails LatencyDetailsMs { get; init; }
    public required DeadLetterReport DeadLetterDifferences { get; init; }
    public required IReadOnlyDictionary<string, long> BadRecords { get; init; }
    public required IReadOnlyList<DifferenceReport> Differences { get; init; }
    public required IReadOnlyList<UploadFault> UploadFaults { get; init; }
    public required long UploadRepeats { get; init; }
    public required long UploadsUnchecked { get; init; }
    public required long ResultsRead { get; init; }
    public required IReadOnlyList<CanaryReport> CanaryFaults { get; init; }

    /// <summary>0 where everything holds, else 1.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public int ExitCode => Verdict == "passed" ? 0 : 1;

    /// <param name="verdict">What the ledger found.</param>
    /// <param name="canary">What it noticed of planted faults; a ledger that misses one is not believed.</param>
    /// <param name="nodes">What the nodes counted.</param>
    /// <param name="seconds">For how long records were produced.</param>
    /// <param name="furtherChecks">What the demo itself checked (the drain ended, the nodes stopped in order, ...).</param>
    public static DemoReport Of(LedgerVerdict verdict, CanaryOutcome canary, NodeCounters nodes, double seconds, IEnumerable<LedgerCheck>? furtherChecks = null)
    {
        var missed = canary.Planted.Where(fault => !fault.Detected).Select(fault => fault.Fault).ToArray();
        LedgerCheck[] checks =
        [
            .. verdict.Checks,
            .. furtherChecks ?? [],
            new("the ledger notices planted faults", canary.Passed, canary.Passed ? $"{canary.Planted.Count} planted" : $"not noticed: {string.Join("; ", missed)}"),
        ];
        var letters = verdict.DeadLetterDifferences;
        return new DemoReport
        {
            RecordsIn = verdict.RecordsIn,
            RecordsApplied = verdict.RecordsApplied,
            RecordsLost = verdict.RecordsLost,
            RecordsDuplicated = verdict.RecordsDuplicated,
            Stations = verdict.Stations,
            Calls = nodes.Calls,
            Results = nodes.Results,
            BatchesCompleted = nodes.BatchesCompleted,
            BatchesTimedOut = nodes.BatchesTimedOut,
            Uploads = verdict.Uploads,
            DeadLetters = verdict.DeadLetters,
            Seconds = Math.Round(seconds, 3),
            RecordsPerSecond = seconds > 0 ? Math.Round(verdict.RecordsIn / seconds, 1) : 0,
            LatencyMs = LatencyReport.Of(verdict.Latency.All()),
            Verdict = Array.TrueForAll(checks, check => check.Passed) ? "passed" : "failed",
            Canary = canary.Passed ? "passed" : "failed",
            Checks = checks,
            RecordsRejected = verdict.RecordsRejected,
            PartsExpected = verdict.PartsExpected,
            PartsApplied = verdict.PartsApplied,
            Modules = [.. verdict.Modules.Select(share => new ModuleReport(share.Module, share.Ready, share.Called, Math.Round(share.Share, 4)))],
            LatencyDetailsMs = new LatencyDetails(
                LatencyDetail.Of(verdict.Latency.Events), LatencyDetail.Of(verdict.Latency.Orders), LatencyDetail.Of(verdict.Latency.Chained),
                LatencyDetail.Of(verdict.Latency.Deadline), LatencyDetail.Of(verdict.Latency.Incomplete)),
            DeadLetterDifferences = new DeadLetterReport(
                verdict.DeadLettersExpected, letters.Missing.Count, letters.Unexpected.Count, letters.Repeated.Count,
                [
                    .. letters.Missing.Select(letter => $"missing: {letter}").Concat(letters.Unexpected.Select(letter => $"unexpected: {letter}"))
                        .Concat(letters.Repeated.Select(letter => $"repeated: {letter}")).Take(ExamplesShown),
                ]),
            BadRecords = verdict.BadRecords,
            Differences =
            [
                .. verdict.Differences.Take(ExamplesShown).Select(difference => new DifferenceReport(
                    difference.Key.Shard, difference.Key.Topic, difference.Key.Partition, difference.Expected.Count, difference.Applied.Count,
                    difference.Lost, difference.Duplicated, difference.Explanation)),
            ],
            UploadFaults = verdict.UploadFaults,
            UploadRepeats = verdict.UploadRepeats,
            UploadsUnchecked = verdict.UploadsUnchecked,
            ResultsRead = verdict.ResultsRead,
            CanaryFaults = [.. canary.Planted.Select(fault => new CanaryReport(fault.Fault, fault.Detected))],
        };
    }

    public string ToJson() => JsonSerializer.Serialize(this, Format);

    /// <summary>The report for people: figures, then the checks, the failed ones with what was found.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        void Line(FormattableString line) => text.AppendLine(line.ToString(CultureInfo.InvariantCulture));
        Line($"records    {RecordsIn:N0} in, {RecordsApplied:N0} applied, {RecordsRejected:N0} rejected, {RecordsLost:N0} lost, {RecordsDuplicated:N0} duplicated");
        Line($"           {RecordsPerSecond:N0} a second for {Seconds:N1} s, from {Stations:N0} stations");
        Line($"modules    {Calls:N0} calls, {Results:N0} results");
        foreach (var module in Modules) Line($"           {module.Module}: {module.CalledStations:N0} of {module.ReadyStations:N0} ready stations");
        Line($"batches    {BatchesCompleted:N0} completed, {BatchesTimedOut:N0} timed out, {Uploads:N0} uploads read back");
        Line($"dead       {DeadLetters:N0} letters read back, {DeadLetterDifferences.Expected:N0} expected");
        Line($"latency    p50 {LatencyMs.P50} ms, p99 {LatencyMs.P99} ms, max {LatencyMs.Max} ms");
        Kind("events", LatencyDetailsMs.Events);
        Kind("orders, from their second's closing", LatencyDetailsMs.Orders);
        Kind("outputs of other modules", LatencyDetailsMs.Chained);
        Kind("ended by deadline", LatencyDetailsMs.Deadline);
        Kind("called incomplete", LatencyDetailsMs.Incomplete);
        text.AppendLine();
        foreach (var check in Checks) Line($"{(check.Passed ? "ok    " : "FAILED")} {check.Name}{(check.Detail.Length > 0 ? ": " : "")}{check.Detail}");
        text.AppendLine();
        Line($"{Verdict}");
        return text.ToString();

        void Kind(string name, LatencyDetail latency)
        {
            if (latency.Count > 0) Line($"           {name}: {latency.Count:N0}, p50 {latency.P50} ms, p99 {latency.P99} ms, max {latency.Max} ms");
        }
    }
}
