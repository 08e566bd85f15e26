using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Integration;

/// <summary>
/// The verbs <c>broker</c> and <c>node</c> as processes: records flow while a broker goes away and while the node is killed;
/// afterwards the database and the output topics must tell of every record exactly once.
/// </summary>
public class BrokerAndNodeTests
{
    private const string Param = "SCHEDULE-STATION-PARAM";
    private const string Realtime = "SCHEDULE-STATION-REALTIME-DATA";
    private const string Price = "SCHEDULE-CAR-PRICE";
    private const string Calendar = "SCHEDULE-ENVIRONMENT-CALENDAR";
    private const int StationsPerRecord = 5;
    private const double PowerKw = 12.5;
    private const double FeePerKwh = 0.8;
    private static readonly TimeSpan ReadLimit = TimeSpan.FromSeconds(180);
    private static readonly TimeSpan RoundLimit = TimeSpan.FromSeconds(5);
    private static readonly string[] Stations = [.. Enumerable.Range(1, 40).Select(number => $"station-{number}")];

    [Fact]
    public async Task Brokers_go_and_come_back_the_node_stops_and_starts_and_nothing_is_lost()
    {
        await using var processes = await NodeProcesses.StartAsync();
        var sent = await WarmUpAsync(processes);

        await using (var flow = new Flow(processes, sent))
        {
            await flow.AtLeastAsync(50);
            var waited = 0;
            foreach (var broker in new[] { 1, 2, 3 })
            {
                await processes.BrokerDownAsync(broker);
                await flow.AtLeastAsync(flow.Count + 60);
                // Records for the partitions that it leads wait, if it leads some; the others go on.
                waited += flow.Unacknowledged;
                await processes.BrokerUpAsync(broker);
                await flow.AllAcknowledgedAsync();
            }

            waited.ShouldBeGreaterThan(0);
        }

        await CheckUploadsAsync(processes, sent);
        (await processes.StopNodeAsync()).ShouldBe(0, processes.Node.State());
        await CheckMarksAsync(processes.Database, sent);

        // Only prices come now: what the modules know of the grid is from before the stop.
        await processes.StartNodeAsync();
        foreach (var stations in Stations.Chunk(StationsPerRecord)) sent.Add(await SentRecord.SendAsync(processes.Producer, Price, PriceJson(stations), stations));
        foreach (var result in (await UploadsOfAsync(processes, NodeProcesses.Evaluation, [.. sent.Where(record => record.Record.Topic == Price)])).Values.SelectMany(upload => upload.Stations.Values))
        {
            result.GetProperty("energyKwh").GetDouble().ShouldBe(168 * PowerKw, 1e-6);
            result.GetProperty("revenue").GetDouble().ShouldBe(168 * PowerKw * FeePerKwh, 1e-6);
        }

        (await processes.StopNodeAsync()).ShouldBe(0, processes.Node.State());
        await CheckMarksAsync(processes.Database, sent);
    }

    [Fact]
    public async Task A_node_that_is_killed_while_records_flow_applies_each_once_and_uploads_each_batch_once()
    {
        await using var processes = await NodeProcesses.StartAsync();
        var sent = await WarmUpAsync(processes);

        await using (var flow = new Flow(processes, sent))
        {
            await flow.AtLeastAsync(100);
            await processes.KillNodeAsync();
            await processes.StartNodeAsync();
            await flow.AtLeastAsync(50 + flow.Count);
        }

        await CheckUploadsAsync(processes, sent);
        (await processes.StopNodeAsync()).ShouldBe(0, processes.Node.State());
        await CheckMarksAsync(processes.Database, sent);
    }

    // Every station gets its grid, and both results that guidance requires.
    private static async Task<List<SentRecord>> WarmUpAsync(NodeProcesses processes)
    {
        List<SentRecord> sent = [await SentRecord.SendAsync(processes.Producer, Calendar, """{"calendar":[{"date":"2023-04-01","isHoliday":0,"isWeekend":1}]}""", [])];
        foreach (var stations in Stations.Chunk(StationsPerRecord)) sent.Add(await SentRecord.SendAsync(processes.Producer, Param, ParamJson(stations), stations));
        // Once more where the calendar, in another partition, came after a station's grid: it triggers nothing by itself.
        var ready = new HashSet<string>(StringComparer.Ordinal);
        for (var round = 0; round < 10 && ready.Count < Stations.Length; round++)
        {
            foreach (var stations in Stations.Where(station => !ready.Contains(station)).Chunk(StationsPerRecord))
            {
                sent.Add(await SentRecord.SendAsync(processes.Producer, Realtime, RealtimeJson(stations), stations));
            }

            var waited = Stopwatch.StartNew();
            await Wait.UntilAsync(
                () =>
                {
                    foreach (var upload in Read(processes, NodeProcesses.Guidance)) ready.UnionWith(upload.Stations.Keys);
                    return ready.Count == Stations.Length || waited.Elapsed > RoundLimit;
                },
                ReadLimit, () => "");
        }

        ready.Count.ShouldBe(Stations.Length, $"stations with guidance; the node {processes.Node.State()}");
        return sent;
    }

    /// <summary>Each record of the flow gave one batch of both modules, and each upload of those one of guidance, all with all stations.</summary>
    private static async Task CheckUploadsAsync(NodeProcesses processes, IReadOnlyList<SentRecord> sent)
    {
        var flowed = sent.Where(record => record.IsFlow).ToList();
        foreach (var topic in new[] { NodeProcesses.Load, NodeProcesses.Evaluation })
        {
            var uploads = await UploadsOfAsync(processes, topic, flowed);
            var followers = uploads.Values.ToDictionary(upload => $"{topic}:{upload.Origin}", upload => upload.Stations.Keys);
            await UploadsOfAsync(processes, NodeProcesses.Guidance, followers.ToDictionary(pair => pair.Key, pair => (IReadOnlyCollection<string>)[.. pair.Value]));
        }

        var records = processes.Reader.Records;
        records.Where(record => record.Topic == NodeProcesses.DeadLetters).ShouldBeEmpty();
        // Sent twice is allowed after a crash, as long as the origin tells; what it says is the same then.
        foreach (var repeats in records.GroupBy(record => (record.Topic, record.Origin.ShouldNotBeNull())))
        {
            repeats.Select(record => Convert.ToBase64String(record.Value)).Distinct().Count().ShouldBe(1, repeats.Key.ToString());
        }
    }

    private static Task<Dictionary<string, Upload>> UploadsOfAsync(NodeProcesses processes, string topic, IReadOnlyList<SentRecord> records) =>
        UploadsOfAsync(processes, topic, records.ToDictionary(record => record.Record.BatchId, record => (IReadOnlyCollection<string>)record.Stations));

    /// <summary>Waits for the uploads of these batches, and checks that each is one, with all of its stations.</summary>
    private static async Task<Dictionary<string, Upload>> UploadsOfAsync(NodeProcesses processes, string topic, Dictionary<string, IReadOnlyCollection<string>> batches)
    {
        List<Upload> uploads = [];
        await Wait.UntilAsync(
            () => (uploads = Read(processes, topic).Where(upload => batches.ContainsKey(upload.BatchId)).ToList()).Select(upload => upload.BatchId).Distinct().Count() == batches.Count,
            ReadLimit, () => $"{batches.Count} batches in {topic}, {uploads.Select(upload => upload.BatchId).Distinct().Count()} read; the node {processes.Node.State()}");
        var distinct = uploads.DistinctBy(upload => upload.Origin).ToList();
        distinct.Select(upload => upload.BatchId).ShouldBeUnique();
        foreach (var upload in distinct)
        {
            upload.Stations.Keys.ShouldBe(batches[upload.BatchId], ignoreOrder: true, upload.BatchId);
            upload.ExpectedCount.ShouldBe(batches[upload.BatchId].Count, upload.BatchId);
        }

        return distinct.ToDictionary(upload => upload.BatchId);
    }

    private static IEnumerable<Upload> Read(NodeProcesses processes, string topic) =>
        processes.Reader.Records.Where(record => record.Topic == topic).Select(Upload.Read);

    /// <summary>The database's own account of what was applied, against the acknowledgements: the number of parts, and which.</summary>
    private static async Task CheckMarksAsync(string database, IReadOnlyList<SentRecord> sent)
    {
        await using var store = new SqliteCheckpointStore(database);
        await store.OpenAsync(NodeProcesses.Group, NodeProcesses.Shards, CancellationToken.None);
        for (var shard = 0; shard < NodeProcesses.Shards; shard++)
        {
            var expected = new SortedDictionary<string, (long Count, ulong Hash)>(StringComparer.Ordinal);
            foreach (var record in sent)
            {
                var key = $"p|{record.Record.Topic}|0|{record.Record.Partition}";
                foreach (var place in record.PlacesOf(shard))
                {
                    var (count, hash) = expected.GetValueOrDefault(key);
                    expected[key] = (count + 1, hash ^ place.Hash());
                }
            }

            var recovered = await store.TakeOverAsync(new ShardId(shard), "the test", CancellationToken.None);
            recovered.ReleasedInOrder.ShouldBeTrue();
            recovered.Outbox.ShouldBeEmpty();
            var applied = new SortedDictionary<string, (long Count, ulong Hash)>(
                recovered.Marks
                    .Where(mark => mark.Log.Topic == $"{NodeProcesses.Group}.station-events" && mark.Source.StartsWith("p|SCHEDULE-", StringComparison.Ordinal) && mark.AppliedCount > 0)
                    .ToDictionary(mark => mark.Source, mark => (mark.AppliedCount, mark.AppliedHash)), StringComparer.Ordinal);
            applied.ShouldBe(expected, $"shard {shard}");
        }
    }

    private static string ParamJson(IEnumerable<string> stations) =>
        "[" + string.Join(',', stations.Select(station => $$"""{"stationId":"{{station}}","gunNum":4,"gridCapacity":200}""")) + "]";

    private static string RealtimeJson(IEnumerable<string> stations)
    {
        var newest = DateTimeOffset.UtcNow.ToOffset(TimeSpan.FromHours(8));
        return "{\"realTimeData\":[" + string.Join(',', stations.SelectMany(station => Enumerable.Range(0, 168).Select(hour => string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"stationId":"{{station}}","sendTime":"{{newest.AddHours(-hour):yyyy-MM-dd HH}}:00:00","outputPowerPerStationAvg":{{PowerKw}}}""")))) + "]}";
    }

    private static string PriceJson(IEnumerable<string> stations)
    {
        var kinds = string.Join(',', Enumerable.Range(1, 48).Select(position => $"\"feeNo{position}\":\"02\""));
        return "{\"fee\":[" + string.Join(',', stations.Select(station => string.Create(
            CultureInfo.InvariantCulture, $$"""{"stationId":"{{station}}","flatElectricFee":{{FeePerKwh}},"flatServerFee":0,{{kinds}}}"""))) + "]}";
    }

    /// <summary>What was sent, and what the shards must have applied of it.</summary>
    private sealed record SentRecord(Acknowledged Record, IReadOnlyList<string> Stations, bool IsFlow)
    {
        public static async Task<SentRecord> SendAsync(SourceProducer producer, string topic, string json, IReadOnlyList<string> stations, bool isFlow = false) =>
            new(await producer.SendAsync(topic, null, json), stations, isFlow);

        /// <summary>A part stands at its station's first item; a global record is applied once by every shard.</summary>
        public IEnumerable<Place> PlacesOf(int shard)
        {
            if (Stations.Count == 0) return [new Place(Record.Offset, 0, 0)];
            var rows = Record.Topic == Realtime ? 168 : 1;
            return Stations.Select((station, index) => (station, index)).Where(pair => Murmur2.Partition(pair.station, NodeProcesses.Shards) == shard)
                .Select(pair => new Place(Record.Offset, pair.index * rows, 0));
        }
    }

    private sealed record Upload(string BatchId, string Origin, int ExpectedCount, IReadOnlyDictionary<string, JsonElement> Stations)
    {
        public static Upload Read(ReadRecord record)
        {
            var json = JsonDocument.Parse(record.Value).RootElement;
            return new Upload(
                json.GetProperty("batch_id").GetString()!, record.Origin.ShouldNotBeNull(), json.GetProperty("expected_count").GetInt32(),
                json.GetProperty("stations").EnumerateArray().ToDictionary(station => station.GetProperty("station_id").GetString()!));
        }
    }

    /// <summary>Parameters of stations, a record every few milliseconds until it is disposed of; then all are acknowledged.</summary>
    private sealed class Flow : IAsyncDisposable
    {
        private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(15);

        private readonly NodeProcesses processes;
        private readonly List<SentRecord> sent;
        private readonly List<Task<SentRecord>> sending = [];
        private readonly CancellationTokenSource stop = new();
        private readonly Lock gate = new();
        private readonly Task running;

        public Flow(NodeProcesses processes, List<SentRecord> sent)
        {
            this.processes = processes;
            this.sent = sent;
            running = RunAsync();
        }

        public int Count
        {
            get { lock (gate) return sending.Count; }
        }

        public int Unacknowledged
        {
            get { lock (gate) return sending.Count(record => !record.IsCompleted); }
        }

        public Task AtLeastAsync(int records) => Wait.UntilAsync(() => Count >= records, ReadLimit, () => $"{records} records are sent");

        /// <summary>All that has been sent by now.</summary>
        public Task AllAcknowledgedAsync()
        {
            lock (gate) return Task.WhenAll(sending.ToList()).WaitAsync(ReadLimit);
        }

        public async ValueTask DisposeAsync()
        {
            await stop.CancelAsync();
            await running;
            sent.AddRange(await Task.WhenAll(sending).WaitAsync(ReadLimit));
            stop.Dispose();
        }

        private async Task RunAsync()
        {
            using var timer = new PeriodicTimer(Period);
            try
            {
                for (var number = 0; await timer.WaitForNextTickAsync(stop.Token); number++)
                {
                    var stations = Enumerable.Range(0, StationsPerRecord).Select(position => Stations[(number * StationsPerRecord + position * 3) % Stations.Length]).Distinct().ToArray();
                    var sends = SentRecord.SendAsync(processes.Producer, Param, ParamJson(stations), stations, isFlow: true);
                    lock (gate) sending.Add(sends);
                }
            }
            catch (OperationCanceledException)
            {
                // The end of the flow.
            }
        }
    }
}
