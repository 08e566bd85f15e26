using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Integration.Faults;

/// <summary>
/// What must have come of a run, computed from the records in the source topic itself, against the output topics and the
/// rows of the database.
/// </summary>
internal sealed class Verdict
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    private readonly Dictionary<string, Queue<double>> windows = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Dictionary<string, double>> batches = new(StringComparer.Ordinal);
    private readonly Dictionary<WitnessKey, Witness> expected = [];
    private readonly HashSet<Place> places = [];
    private readonly List<string> wrong = [];

    public int Records { get; private set; }
    public int Batches => batches.Count;
    public int Followers { get; private set; }
    public int Repeats { get; private set; }
    public long Lost { get; private set; }
    public long Twice { get; private set; }
    public int BatchesWrong { get; private set; }
    public int StationsWrong { get; private set; }

    /// <summary>What is wrong, in words; empty where everything is right.</summary>
    public string Wrong => string.Join('\n', wrong.Take(20));

    public override string ToString() =>
        $"{Records} records, {Batches} batches and {Followers} that follow them, {Repeats} repeated uploads dropped by origin: {Lost} lost, {Twice} applied twice, {BatchesWrong} batches wrong, {StationsWrong} stations wrong";

    /// <summary>Waits until the cluster has come to rest, then judges what it uploaded.</summary>
    /// <param name="records">Records acknowledged to the feed.</param>
    public static async Task<Verdict> OfUploadsAsync(Cluster cluster, int records)
    {
        var verdict = new Verdict();
        await Wait.UntilAsync(() => Of(cluster, Cluster.Feed).Count >= records, Limit, () => $"{records} records of {Cluster.Feed} are read back");
        verdict.Expect(Of(cluster, Cluster.Feed));
        await Wait.UntilAsync(() => Distinct(cluster, Cluster.Evaluation).Count >= verdict.Batches, Limit,
            () => $"{verdict.Batches} uploads to {Cluster.Evaluation}, {Distinct(cluster, Cluster.Evaluation).Count} came; {cluster.State()}");
        await Wait.UntilAsync(() => Distinct(cluster, Cluster.Guidance).Count >= verdict.Batches, Limit,
            () => $"{verdict.Batches} uploads to {Cluster.Guidance}, {Distinct(cluster, Cluster.Guidance).Count} came; {cluster.State()}");
        verdict.JudgeUploads(cluster);
        return verdict;
    }

    /// <summary>Judges what the shards stored; every node has ended.</summary>
    public async Task JudgeStoreAsync(Cluster cluster, ICheckpointStore store)
    {
        var pipeline = ConfigurationFile.ReadPipeline(cluster.Pipeline).Configuration.ShouldNotBeNull();
        await store.OpenAsync(Cluster.Group, Cluster.Shards, CancellationToken.None);
        List<AppliedMark> marks = [];
        var stored = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var shard = 0; shard < Cluster.Shards; shard++)
        {
            var recovered = await store.TakeOverWholeAsync(new ShardId(shard), "the test", CancellationToken.None);
            foreach (var mark in recovered.Marks.Where(mark => mark.Log.Topic == $"{Cluster.Group}.station-events" && mark.AppliedCount > 0))
            {
                // The key of a source partition: p|topic|incarnation|partition.
                if (mark.Source.Split('|') is ["p", var topic, _, var partition]) marks.Add(new AppliedMark(shard, topic, int.Parse(partition, null), mark.AppliedCount, mark.AppliedHash));
            }

            foreach (var row in recovered.Entities.Where(row => row.Kind == EntityKind.Window))
            {
                if (StationRows.LoadWindow(row, pipeline) is { Topic.Name: Cluster.Feed } window)
                    stored[StationRows.StationOf(row.Key)] = System.Text.Encoding.UTF8.GetString(window.Shape()!.GetJson("outputPowerPerStationAvg").Span);
            }

            if (recovered.Outbox.Count > 0) wrong.Add($"shard {shard} still has {recovered.Outbox.Count} outputs to send");
        }

        foreach (var difference in MarkComparison.Compare(expected, MarkComparison.Sum(marks, topic => topic == Cluster.Feed), _ => (places, true)))
        {
            Lost += difference.Lost;
            Twice += difference.Duplicated;
            wrong.Add($"shard {difference.Key.Shard}, {difference.Key.Topic}[{difference.Key.Partition}]: {difference.Applied.Count} parts applied, {difference.Expected.Count} were sent {difference.Explanation}");
        }

        // Each result of an upload is a part for one station; which ones, the followers' batches say.
        var results = batches.Values.Sum(stations => (long)stations.Count);
        var applied = marks.Where(mark => mark.Topic == Cluster.Evaluation).Sum(mark => mark.Count);
        if (applied != results) wrong.Add($"{applied} parts of {Cluster.Evaluation} applied, {results} results were uploaded");
        Lost += Math.Max(0, results - applied);
        Twice += Math.Max(0, applied - results);
        foreach (var (station, window) in windows)
        {
            var should = Padded(window);
            if (stored.GetValueOrDefault(station) is { } text && JsonSerializer.Deserialize<double[]>(text)!.SequenceEqual(should)) continue;
            StationsWrong++;
            wrong.Add($"{station} holds {stored.GetValueOrDefault(station)}, sent was {string.Join(',', should)}");
        }
    }

    private void Expect(IReadOnlyList<ReadRecord> records)
    {
        Records = records.Count;
        foreach (var record in records.OrderBy(record => record.Partition).ThenBy(record => record.Offset))
        {
            var sums = new Dictionary<string, double>(StringComparer.Ordinal);
            using var items = JsonDocument.Parse(record.Value);
            foreach (var (item, index) in items.RootElement.EnumerateArray().Select((item, index) => (item, index)))
            {
                var station = item.GetProperty("stationId").GetString()!;
                if (!windows.TryGetValue(station, out var window)) windows.Add(station, window = new Queue<double>());
                window.Enqueue(item.GetProperty("n").GetDouble());
                if (window.Count > Cluster.Window) window.Dequeue();
                sums.Add(station, window.Sum());
                var key = new WitnessKey(Murmur2.Partition(station, Cluster.Shards), Cluster.Feed, record.Partition);
                var place = new Place(record.Offset, index, 0);
                expected[key] = expected.GetValueOrDefault(key).With(place);
                places.Add(place);
            }

            batches.Add($"{Cluster.Feed}:{record.Partition}:{record.Offset}", sums);
        }
    }

    private void JudgeUploads(Cluster cluster)
    {
        var evaluations = Distinct(cluster, Cluster.Evaluation);
        var guidance = Distinct(cluster, Cluster.Guidance);
        Repeats = Of(cluster, Cluster.Evaluation).Count - evaluations.Count + Of(cluster, Cluster.Guidance).Count - guidance.Count;
        Followers = guidance.Count;
        Judge(Cluster.Evaluation, evaluations, batches, (result, sum) => result.GetProperty("energyKwh").GetDouble() == sum);
        // Where an upload came twice, the stations that follow it are still those of one batch.
        var followed = new Dictionary<string, Dictionary<string, double>>(StringComparer.Ordinal);
        foreach (var (origin, upload) in evaluations)
        {
            if (batches.TryGetValue(BatchId(upload), out var stations)) followed.TryAdd($"{Cluster.Evaluation}:{origin}", stations);
        }

        Judge(Cluster.Guidance, guidance, followed, (result, _) => result.TryGetProperty("score", out var score) && score.ValueKind == JsonValueKind.Number);
        foreach (var letter in Of(cluster, Cluster.DeadLetters)) wrong.Add($"dead letter: {System.Text.Encoding.UTF8.GetString(letter.Value)}");
        foreach (var repeats in Of(cluster, Cluster.Evaluation).Concat(Of(cluster, Cluster.Guidance)).GroupBy(record => (record.Topic, record.Origin)))
        {
            if (repeats.Select(record => Convert.ToBase64String(record.Value)).Distinct().Count() > 1) wrong.Add($"{repeats.Key} has several contents");
        }
    }

    private void Judge(string topic, Dictionary<string, JsonElement> uploads, Dictionary<string, Dictionary<string, double>> should, Func<JsonElement, double, bool> isRight)
    {
        foreach (var group in uploads.Values.GroupBy(BatchId))
        {
            var problem = "";
            var upload = group.First();
            if (!should.TryGetValue(group.Key, out var stations)) problem = "nothing was sent for it";
            else if (group.Count() > 1) problem = $"{group.Count()} uploads of different origins";
            else if (upload.GetProperty("expected_count").GetInt32() != stations.Count) problem = $"{stations.Count} stations were sent";
            else
            {
                var results = upload.GetProperty("stations").EnumerateArray().ToDictionary(result => result.GetProperty("station_id").GetString()!);
                if (!results.Keys.ToHashSet().SetEquals(stations.Keys)) problem = $"has not the results of {string.Join(", ", stations.Keys)}";
                else if (results.Any(result => !isRight(result.Value, stations[result.Key]))) problem = $"a result is not that of {string.Join(", ", stations)}";
            }

            if (problem.Length == 0) continue;
            BatchesWrong++;
            wrong.Add($"{topic}, batch {group.Key}: {problem}: {upload}");
        }

        foreach (var missing in should.Keys.Except(uploads.Values.Select(BatchId)))
        {
            BatchesWrong++;
            wrong.Add($"{topic}: no upload of batch {missing}");
        }
    }

    private static double[] Padded(Queue<double> window) => [.. Enumerable.Repeat(0.0, Cluster.Window - window.Count), .. window];

    private static string BatchId(JsonElement upload) => upload.GetProperty("batch_id").GetString()!;

    private static List<ReadRecord> Of(Cluster cluster, string topic) => [.. cluster.Reader.Records.Where(record => record.Topic == topic)];

    /// <summary>Uploads by origin: what a consumer keeps that drops repeats.</summary>
    private static Dictionary<string, JsonElement> Distinct(Cluster cluster, string topic) => Of(cluster, topic)
        .DistinctBy(record => record.Origin).ToDictionary(record => record.Origin.ShouldNotBeNull(), record => JsonDocument.Parse(record.Value).RootElement);
}
