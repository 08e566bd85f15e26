using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Configuration;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration;

/// <summary>A backlog of a million records in one topic: fresh records of another do not wait behind it, and it flows all the same.</summary>
[Collection(MeasuringTests.Name)]
public class FairnessTests(ITestOutputHelper log)
{
    private const string Backlog = "BACKLOG";
    private const string Fresh = "FRESH";
    private const string FreshModule = "fresh_module";
    private const string BacklogModule = "backlog_module";
    private const int BacklogRecords = 1_000_000;

    // The embedded broker keeps 5 MB of a partition.
    private const int BacklogPartitions = 40;
    private const int BacklogStations = 500;
    private const int StationsPerRecord = 5;
    private const long BacklogParts = (long)BacklogRecords * StationsPerRecord;
    private const int FreshStations = 50;
    private static readonly TimeSpan FreshLimit = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan SlowFreshLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FreshEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Alone = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Together = TimeSpan.FromSeconds(6);

    /// <summary>Other work on the machine can make one measurement bad; records that really wait behind the backlog make all of them bad.</summary>
    private const int Attempts = 3;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(180);

    /// <param name="calls">Every record of the backlog calls a module, too.</param>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Fresh_records_are_applied_in_time_beside_a_backlog_of_a_million(bool calls)
    {
        var pipeline = PipelineReader.Read(Encoding.UTF8.GetBytes($$"""
            {
              "topics": {
                "{{Backlog}}": { "envelope": "list", "start": "earliest", "triggers": {{(calls ? "true" : "false")}} },
                "{{Fresh}}": { "start": "earliest" }
              },
              "modules": {
                "{{FreshModule}}": { "topics": ["{{Fresh}}"], "batch": { "kind": "record", "deadline": "60s" } },
                "{{BacklogModule}}": { "topics": ["{{Backlog}}"], "batch": "none", "trigger": { "event": true, "interval": "1h" } }
              }
            }
            """), "fair.json").Configuration.ShouldNotBeNull();
        var (worst, together, alone) = (TimeSpan.MaxValue, 0.0, 0.0);
        // Each attempt has a backlog of its own: what is left of the one before may be over too soon.
        for (var attempt = 0; attempt < Attempts && (worst > LimitAt(alone) || together <= alone / 3); attempt++) (worst, together, alone) = await MeasureAsync(pipeline, calls);
        worst.ShouldBeLessThanOrEqualTo(LimitAt(alone), $"in each of {Attempts} attempts");
        together.ShouldBeGreaterThan(alone / 3);
    }

    // On a slow machine everything takes longer: one that waits behind the backlog waits for most of it. But with calls that is minutes on
    // any machine, and one that waits for all that may be on the way to the shards waits for less.
    private static TimeSpan LimitAt(double partsPerSecond) =>
        TimeSpan.FromSeconds(Math.Clamp(BacklogParts / 4 / Math.Max(1, partsPerSecond), FreshLimit.TotalSeconds, SlowFreshLimit.TotalSeconds));

    /// <summary>How long the slowest fresh record took beside the backlog, and how many parts a second flowed of that with and without fresh records.</summary>
    private async Task<(TimeSpan Worst, double Together, double Alone)> MeasureAsync(PipelineConfiguration pipeline, bool calls)
    {
        using var folder = new TestFolder();
        using var broker = EmbeddedBroker.Start(1, Topics(pipeline));
        await FillAsync(broker.BootstrapServers);
        await using var reader = await TopicReader.StartAsync(
            broker.BootstrapServers, Enumerable.Repeat(KeyValuePair.Create(pipeline.Modules[FreshModule].OutputTopic, TestNode.Partitions), 1));
        using var producer = new SourceProducer(broker.BootstrapServers, TestNode.Partitions);
        var options = TestNode.Options(broker.BootstrapServers, folder.File("node.db"), 16);
        await using var node = await TestNode.StartAsync(options, pipeline, new[] { FreshModule, BacklogModule }.ToDictionary(name => name, IModule (name) => new Echo(name)));

        await Wait.UntilAsync(async () => await AppliedAsync(node, Backlog) > 0, Limit, () => "the backlog begins to flow");
        using var measured = new PeriodicTimer(Alone);
        var alone = await RateAsync(node, async () => await measured.WaitForNextTickAsync());
        List<Task<Acknowledged>> sent = [];
        List<TimeSpan> applied = [];
        using var ended = new CancellationTokenSource();
        var watching = WatchAsync(node, applied, ended.Token);
        var together = await RateAsync(node, async () =>
        {
            using var timer = new PeriodicTimer(FreshEvery);
            // A fast node would be at the backlog's end before that: while a record is sent there is a tenth of it left.
            for (var flow = Stopwatch.StartNew(); flow.Elapsed < Together && await AppliedAsync(node, Backlog) < BacklogParts * 9 / 10 && await timer.WaitForNextTickAsync();)
                sent.Add(producer.SendAsync(Fresh, null, $$"""{"stationId":"fresh-{{sent.Count % FreshStations}}"}"""));
        });
        sent.Count.ShouldBeGreaterThanOrEqualTo(5, "the backlog lasted for some fresh records");
        var records = await Task.WhenAll(sent).WaitAsync(Limit);
        Dictionary<string, long> uploads = [];
        await Wait.UntilAsync(
            () =>
            {
                uploads = Uploads(reader);
                return records.All(record => uploads.ContainsKey(record.BatchId));
            },
            Limit, () => $"{uploads.Count} uploads\n{string.Join('\n', node.Log.Lines)}");
        await ended.CancelAsync();
        await watching;
        // The n-th record counts as applied when n are: none of them waited longer than the longest of these.
        var delays = records.Select((record, index) => applied[index] - Stopwatch.GetElapsedTime(0, record.AckTicks)).Order().ToList();
        var uploaded = records.Select(record => Stopwatch.GetElapsedTime(record.AckTicks, uploads[record.BatchId])).Order().ToList();
        log.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{(calls ? "with" : "without")} calls: backlog {alone:0} parts/s alone, {together:0} beside fresh records; {delays.Count} fresh records, from acknowledgement to state at most {delays[^1].TotalMilliseconds:0} ms, to upload p50 {uploaded[uploaded.Count / 2].TotalMilliseconds:0}, at most {uploaded[^1].TotalMilliseconds:0} ms"));
        (await node.Host.StopAsync()).ShouldBeEmpty();
        // With calls the two checkpoints before the upload hold the results of the backlog too.
        return (calls ? delays[^1] : uploaded[^1], together, alone);
    }

    // When the first, the second, ... fresh record was in its station's state, on the clock of the acknowledgements.
    private static async Task WatchAsync(TestNode node, List<TimeSpan> applied, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        var isEnding = false;
        while (true)
        {
            var count = await AppliedAsync(node, Fresh);
            while (applied.Count < count) applied.Add(Stopwatch.GetElapsedTime(0));
            if (isEnding) return;
            try
            {
                await timer.WaitForNextTickAsync(cancellation);
            }
            catch (OperationCanceledException)
            {
                isEnding = true;
            }
        }
    }

    private static Dictionary<string, int> Topics(PipelineConfiguration pipeline) => new(StringComparer.Ordinal)
    {
        [$"{TestNode.Group}.station-events"] = 16,
        [$"{TestNode.Group}.batch-results"] = 16,
        [$"{TestNode.Group}.dead-letters"] = 1,
        [$"{TestNode.Group}.replays"] = 1,
        [Backlog] = BacklogPartitions,
        [Fresh] = TestNode.Partitions,
        [pipeline.Modules[FreshModule].OutputTopic] = TestNode.Partitions,
        [pipeline.Modules[BacklogModule].OutputTopic] = TestNode.Partitions,
    };

    private static async Task FillAsync(string bootstrap)
    {
        using var producer = new PartitionProducer(KafkaClientOptions.ForEmbeddedBroker(bootstrap) with
        {
            Producer = new Dictionary<string, string> { ["linger.ms"] = "100", ["batch.num.messages"] = "10000", ["queue.buffering.max.messages"] = "2000000" },
        });
        var left = BacklogRecords;
        var filled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        for (var number = 0; number < BacklogRecords; number++)
        {
            var items = Enumerable.Range(0, StationsPerRecord).Select(station => $$"""{"stationId":"{{station}}.{{number % BacklogStations}}"}""");
            var value = Encoding.UTF8.GetBytes($"[{string.Join(',', items)}]");
            producer.Send(new Core.TopicPartition(Backlog, number % BacklogPartitions), null, value, [], 1_700_000_000_000 + number, outcome =>
            {
                if (outcome.Result != SendResult.Sent) filled.TrySetException(new InvalidOperationException(outcome.Error));
                else if (Interlocked.Decrement(ref left) == 0) filled.TrySetResult();
            });
        }

        await filled.Task.WaitAsync(Limit);
    }

    private static async Task<long> AppliedAsync(TestNode node, string topic) => (await node.AppliedAsync()).GetValueOrDefault(topic);

    private static async Task<double> RateAsync(TestNode node, Func<Task> meanwhile)
    {
        var before = await AppliedAsync(node, Backlog);
        var begun = Stopwatch.StartNew();
        await meanwhile();
        return (await AppliedAsync(node, Backlog) - before) / begun.Elapsed.TotalSeconds;
    }

    private static Dictionary<string, long> Uploads(TopicReader reader) =>
        reader.Records.Where(record => record.Topic.EndsWith("FRESH_MODULE", StringComparison.Ordinal))
            .ToDictionary(record => JsonDocument.Parse(record.Value).RootElement.GetProperty("batch_id").GetString()!, record => record.ReadTicks);

    private sealed class Echo(string name) : SynchronousModule
    {
        public override string Name => name;

        public override ModuleResult Call(ModuleInput input, CancellationToken cancellation) => ModuleResult.FromJson("""{"done":true}"""u8.ToArray());
    }
}
