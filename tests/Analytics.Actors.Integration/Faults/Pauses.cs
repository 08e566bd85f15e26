using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Storage;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// How long records waited for their shard: from the moment in which the test could read them in the shard's log until the
/// database had them, by its own clock. No node is asked. The one thing taken from a node's log is when its client said that
/// the group had given it a shard, to tell the group's delay from ours.
/// </summary>
internal sealed partial class Pauses
{
    private readonly List<Move> moves = [];
    private readonly List<double> others = [];

    /// <summary>A shard that went from one owner to another, or to the same one after its restart, or was taken over again by it.</summary>
    /// <param name="Pause">How long the record waited that had waited longest when the new owner first committed.</param>
    /// <param name="Group">How much of that passed between the release, or the record where there was none, and the group's giving it to the new owner.</param>
    /// <param name="IsReleased">The owner before had given it up in order.</param>
    internal sealed record Move(int Shard, string From, string To, DateTime At, double Pause, double Group, bool IsReleased)
    {
        /// <summary>What is ours: the handover before the release, the takeover and the first commit after the assignment.</summary>
        public double Ours => Pause - Group;

        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture, $"{At:HH:mm:ss.fff} shard {Shard} from {From} to {To}: {Pause:0.00} s, {Group:0.00} s of them the group's");
    }

    /// <summary>Shards that were given up or taken, and had something to do.</summary>
    public IReadOnlyList<Move> Moves => [.. moves.Where(move => move.IsReleased || move.From != move.To)];

    /// <summary>Shards that their owner took over again: it had been fenced, or did not know the outcome of a commit.</summary>
    public IReadOnlyList<Move> Retaken => [.. moves.Where(move => !move.IsReleased && move.From == move.To)];

    /// <summary>Seconds that the records waited whose shard stayed where it was.</summary>
    public IReadOnlyList<double> Others => others;

    /// <summary>The end of a run: every record must have counted once, whoever had its shard; then, and told, how long shards paused.</summary>
    /// <param name="running">Nodes that are still to be stopped.</param>
    /// <param name="records">Records acknowledged to the feed.</param>
    /// <param name="aborts">Nodes that librdkafka aborted before.</param>
    public static async Task<Pauses> OfRunAsync(
        Cluster cluster, IEnumerable<Cluster.ClusterNode> running, int records, int aborts, string address, CommitAudit audit, ITestOutputHelper output)
    {
        var verdict = await Verdict.OfUploadsAsync(cluster, records);
        foreach (var node in running) aborts += await node.StopAsync();
        await using (var store = new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(address))) await verdict.JudgeStoreAsync(cluster, store);
        var commits = await audit.ReadAsync();
        var pauses = await ReadAsync(cluster, audit);
        output.WriteLine($"{verdict}; {commits}");
        output.WriteLine(pauses.Tell(aborts));
        verdict.Wrong.ShouldBe("");
        commits.Stale.ShouldBe(0);
        return pauses;
    }

    private static async Task<Pauses> ReadAsync(Cluster cluster, CommitAudit audit)
    {
        var pauses = new Pauses();
        var (now, ticks) = (DateTime.UtcNow, Stopwatch.GetTimestamp());
        var logs = cluster.Reader.Records.Where(record => record.Topic == Cluster.Anchor).GroupBy(record => record.Partition).ToDictionary(
            group => group.Key, group => group.OrderBy(record => record.Offset).Select(record => (record.Offset, At: now - Stopwatch.GetElapsedTime(record.ReadTicks, ticks))).ToList());
        var assignments = cluster.Nodes.SelectMany(Assignments).ToLookup(one => (one.Node, one.Shard), one => one.At);
        foreach (var shard in (await audit.ReadChangesAsync()).GroupBy(change => change.Shard)) pauses.Add(shard, logs.GetValueOrDefault(shard.Key, []), assignments);
        return pauses;
    }

    /// <summary>The moves' pauses, those beyond the group's delay, and what the records of other shards waited meanwhile.</summary>
    public override string ToString() =>
        $"{Moves.Count} moves of shards with records waiting: paused {Seconds.Describe(Moves.Select(move => move.Pause))}, beyond the group's delay {Seconds.Describe(Moves.Select(move => move.Ours))}; "
        + $"records of shards that stayed waited {Seconds.Describe(others)}{(Retaken.Count == 0 ? "" : $"; {Retaken.Count} shards taken over again by their owner: paused {Seconds.Describe(Retaken.Select(move => move.Pause))}")}";

    /// <summary>The same with the three moves that took longest, and how many nodes librdkafka aborted.</summary>
    private string Tell(int aborts) => string.Join('\n', [
        $"{this}", .. Moves.OrderByDescending(move => move.Ours).Take(3).Select(move => $"  {move}"),
        .. aborts > 0 ? [$"{aborts} nodes that were to stop were aborted by librdkafka (issue 4312)"] : Array.Empty<string>(),
    ]);

    private void Add(IEnumerable<CommitAudit.ShardChange> changes, List<(long Offset, DateTime At)> log, ILookup<(string, int), DateTime> assignments)
    {
        var (index, owner) = (0, "");
        CommitAudit.ShardChange? takeover = null;
        DateTime? released = null;
        var resumed = DateTime.MinValue;
        var from = "";
        foreach (var change in changes)
        {
            if (change.Owner is not null)
            {
                // Of several in a row the first one took it from somebody.
                if (takeover is null) from = owner;
                (takeover, owner) = (change, change.Owner);
                continue;
            }

            if (change.IsRelease)
            {
                released = change.At;
                continue;
            }

            var first = index;
            while (index < log.Count && log[index].Offset < change.Next) index++;
            if (index == first) continue;
            if (takeover is null)
            {
                // What had gathered during a pause is the pause's.
                others.AddRange(log[first..index].Where(record => record.At > resumed).Select(record => (change.At - record.At).TotalSeconds));
                continue;
            }

            if (from.Length > 0)
            {
                var arrived = log[first].At;
                var given = assignments[(owner, change.Shard)].Where(at => at <= takeover.At.AddSeconds(0.1)).DefaultIfEmpty(arrived).Max();
                var free = released > arrived ? released.Value : arrived;
                moves.Add(new Move(change.Shard, from, owner, change.At, (change.At - arrived).TotalSeconds, Math.Max(0, (given - free).TotalSeconds), released is not null));
            }

            (takeover, released, resumed) = (null, null, change.At);
        }
    }

    private static IEnumerable<(string Node, int Shard, DateTime At)> Assignments(Cluster.ClusterNode node)
    {
        foreach (var line in node.AllLines.Where(line => line.Contains("ownership: assigned: ", StringComparison.Ordinal)))
        {
            var entry = JsonDocument.Parse(line).RootElement;
            var at = entry.GetProperty("timestamp").GetDateTime();
            foreach (Match shard in Number().Matches(entry.GetProperty("message").GetString()!)) yield return (node.Name, int.Parse(shard.Value, CultureInfo.InvariantCulture), at);
        }
    }

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Number();
}

/// <summary>Times as a report gives them.</summary>
internal static class Seconds
{
    public static string Describe(IEnumerable<double> seconds)
    {
        var sorted = seconds.Order().ToList();
        return sorted.Count == 0 ? "never" : string.Create(CultureInfo.InvariantCulture, $"p50 {At(sorted, 0.5):0.000} s, p99 {At(sorted, 0.99):0.000} s, at most {sorted[^1]:0.000} s");
    }

    /// <summary>From a record of FEED in its topic to the upload of its batch.</summary>
    /// <param name="since">Of records that came since then, on the clock of <see cref="Stopwatch"/>.</param>
    public static IReadOnlyList<double> FromRecordToUpload(Cluster cluster, long since)
    {
        var records = cluster.Reader.Records;
        var sent = records.Where(record => record.Topic == Cluster.Feed && record.ReadTicks >= since).ToDictionary(record => $"{record.Topic}:{record.Partition}:{record.Offset}", record => record.ReadTicks);
        return [.. records.Where(record => record.Topic == Cluster.Evaluation).DistinctBy(record => record.Origin)
            .Select(record => (Batch: JsonDocument.Parse(record.Value).RootElement.GetProperty("batch_id").GetString()!, record.ReadTicks))
            .Where(upload => sent.ContainsKey(upload.Batch)).Select(upload => Stopwatch.GetElapsedTime(sent[upload.Batch], upload.ReadTicks).TotalSeconds)];
    }

    private static double At(List<double> sorted, double share) => sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * share))];
}
