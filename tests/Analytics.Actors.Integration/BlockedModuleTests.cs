using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Hosting;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration;

/// <summary>Module code that blocks a thread: the other stations must not notice, and the operator must see it.</summary>
[Collection(MeasuringTests.Name)]
public class BlockedModuleTests(ITestOutputHelper log)
{
    private const string Measured = "MEASURED";
    private const string Timed = "TIMED";
    private const string MeasuredModule = "patient_module";
    private const string TimedModule = "hasty_module";
    private const int Places = 4;
    private const int StationCount = 50;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan FreeFlow = TimeSpan.FromSeconds(6);
    private static readonly TimeSpan BlockedFlow = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ReadLimit = TimeSpan.FromSeconds(120);

    /// <summary>Other work on the machine can make one measurement bad; stations that really wait make all of them bad.</summary>
    private const int Attempts = 3;

    /// <summary>Differences below this are the machine's noise, not the system's.</summary>
    private static readonly TimeSpan Noise = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Where every place of a pool is blocked, it takes so long until that is believed; with the flow of these tests, that
    /// is more than one record of a hundred.
    /// </summary>
    private static readonly TimeSpan Stall = 1.5 * ModulePool.StallAfter;

    [Fact]
    public async Task The_other_stations_do_not_wait_for_blocked_calls()
    {
        await using var run = await BlockedRun.StartAsync();
        await run.FlowAsync(TimeSpan.FromSeconds(1), 0);
        var free = await run.FlowAsync(FreeFlow, 0);
        log.WriteLine($"nothing blocked: p99 {free.TotalMilliseconds:0} ms");
        foreach (var blocked in new[] { 1, Places })
        {
            var limit = Longest(2 * free, Noise) + (blocked == Places ? Stall : TimeSpan.Zero);
            var p99 = TimeSpan.MaxValue;
            for (var attempt = 0; attempt < Attempts && p99 > limit; attempt++)
            {
                p99 = await run.FlowAsync(BlockedFlow, blocked);
                log.WriteLine($"{blocked} of {Places} places blocked: p99 {p99.TotalMilliseconds:0} ms");
            }

            p99.ShouldBeLessThanOrEqualTo(limit, $"with {blocked} blocked, in each of {Attempts} attempts; {free.TotalMilliseconds:0} ms with none");
        }
    }

    [Fact]
    public async Task A_call_past_its_time_is_answered_with_an_error_shows_as_stuck_and_keeps_its_slot()
    {
        await using var run = await BlockedRun.StartAsync();
        var module = run.Modules[TimedModule];
        using (var gate = module.Block(["stuck"]))
        {
            var first = await run.Producer.SendAsync(Timed, null, """[{"stationId":"stuck"},{"stationId":"other"}]""");
            var upload = await run.UploadAsync(first);
            Texts(upload, "failed").ShouldBe(["stuck"]);
            Stations(upload).ShouldBe(["other"]);
            var stuck = run.Node.Host.Pool!.Stuck.ShouldHaveSingleItem();
            stuck.Module.ShouldBe(TimedModule);
            stuck.Station.ShouldBe("stuck");
            stuck.Seconds.ShouldBeGreaterThanOrEqualTo(0.5);

            // Its slot is taken: the next call of this station waits, that of the other one does not.
            var calls = module.CallsOf("other");
            var second = await run.Producer.SendAsync(Timed, null, """[{"stationId":"stuck"},{"stationId":"other"}]""");
            await Wait.UntilAsync(() => module.CallsOf("other") > calls, ReadLimit, () => "the other station's call");
            await Wait.UntilAsync(() => run.Node.Host.Pool!.RunningCount == 1, ReadLimit, () => "only the stuck call runs");
            module.CallsOf("stuck").ShouldBe(1);

            gate.Release();
            upload = await run.UploadAsync(second);
            Texts(upload, "failed").ShouldBeEmpty();
            Stations(upload).ShouldBe(["stuck", "other"], ignoreOrder: true);
            module.CallsOf("stuck").ShouldBe(2);
        }

        await Wait.UntilAsync(() => run.Node.Host.Pool!.Stuck.Count == 0 && run.Node.Host.Pool!.RunningCount == 0, ReadLimit, () => "nothing is stuck any more");
        (await run.Node.Host.StopAsync()).ShouldBeEmpty();
    }

    private static TimeSpan Longest(TimeSpan left, TimeSpan right) => left > right ? left : right;

    private static List<string> Texts(JsonElement upload, string member) => [.. upload.GetProperty(member).EnumerateArray().Select(text => text.GetString()!)];

    private static List<string> Stations(JsonElement upload) => [.. upload.GetProperty("stations").EnumerateArray().Select(station => station.GetProperty("station_id").GetString()!)];

    /// <summary>Answers at once, but for the stations that it is told to block in: their next call holds its thread until the gate opens.</summary>
    private sealed class BlockableModule(string name) : SynchronousModule
    {
        private readonly ConcurrentDictionary<string, int> calls = new(StringComparer.Ordinal);
        private readonly ConcurrentDictionary<string, BlockGate> blocked = new(StringComparer.Ordinal);

        public override string Name => name;

        public int CallsOf(string station) => calls.GetValueOrDefault(station);

        public BlockGate Block(IEnumerable<string> stations)
        {
            var gate = new BlockGate();
            foreach (var station in stations) blocked[station] = gate;
            return gate;
        }

        public override ModuleResult Call(ModuleInput input, CancellationToken cancellation)
        {
            calls.AddOrUpdate(input.Station, 1, (_, count) => count + 1);
            // Code that does not look at its cancellation, as most does not.
            if (blocked.TryRemove(input.Station, out var gate)) gate.Wait();
            return ModuleResult.FromJson("""{"done":true}"""u8.ToArray());
        }
    }

    private sealed class BlockGate : IDisposable
    {
        private readonly ManualResetEventSlim opened = new();
        private int holding;

        /// <summary>Calls that hold their thread here now.</summary>
        public int Holding => Volatile.Read(ref holding);

        public void Wait()
        {
            Interlocked.Increment(ref holding);
            opened.Wait();
            Interlocked.Decrement(ref holding);
        }

        public void Release() => opened.Set();

        public void Dispose() => opened.Set();
    }

    private sealed class BlockedRun : IAsyncDisposable
    {
        private const string Pipeline = """
            {
              "topics": {
                "MEASURED": { "envelope": "list" },
                "TIMED": { "envelope": "list" }
              },
              "modules": {
                "patient_module": { "topics": ["MEASURED"], "retries": 0, "callTimeout": "60s", "batch": { "kind": "record", "deadline": "60s" } },
                "hasty_module": { "topics": ["TIMED"], "retries": 0, "callTimeout": "2s", "batch": { "kind": "record", "deadline": "60s" } }
              }
            }
            """;

        private readonly PipelineConfiguration pipeline = PipelineReader.Read(Encoding.UTF8.GetBytes(Pipeline), "blocked.json").Configuration!;
        private readonly EmbeddedBroker broker;
        private readonly TestFolder folder = new();
        private int flowed;

        private BlockedRun()
        {
            broker = TestNode.StartBroker(pipeline);
            Producer = new SourceProducer(broker.BootstrapServers, TestNode.Partitions);
        }

        public IReadOnlyDictionary<string, BlockableModule> Modules { get; } =
            new[] { MeasuredModule, TimedModule }.ToDictionary(name => name, name => new BlockableModule(name));

        public SourceProducer Producer { get; }
        public TopicReader Reader { get; private set; } = null!;
        public TestNode Node { get; private set; } = null!;

        public static async Task<BlockedRun> StartAsync()
        {
            var run = new BlockedRun();
            try
            {
                run.Reader = await TopicReader.StartAsync(
                    run.broker.BootstrapServers, TestNode.OutputTopics(run.pipeline).Select(topic => KeyValuePair.Create(topic, TestNode.Partitions)));
                var options = TestNode.Options(run.broker.BootstrapServers, run.folder.File("node.db")) with { Pools = new Dictionary<string, int> { ["default"] = Places } };
                run.Node = await TestNode.StartAsync(options, run.pipeline, run.Modules.ToDictionary(pair => pair.Key, pair => (IModule)pair.Value));
                return run;
            }
            catch
            {
                await run.DisposeAsync();
                throw;
            }
        }

        /// <summary>
        /// A record of one station every few milliseconds, the stations in turn, while the first so many are blocked from
        /// their next call on until the end. The p99 of the others, from a record's acknowledgement to its upload read back.
        /// </summary>
        public async Task<TimeSpan> FlowAsync(TimeSpan duration, int blocked)
        {
            var names = Enumerable.Range(0, blocked).Select(Station).ToHashSet(StringComparer.Ordinal);
            List<Task<Acknowledged>> measured = [], held = [];
            using (var gate = Modules[MeasuredModule].Block(names))
            using (var timer = new PeriodicTimer(Period))
            {
                var begun = Stopwatch.StartNew();
                while (begun.Elapsed < duration && await timer.WaitForNextTickAsync())
                {
                    var station = Station(flowed++ % StationCount);
                    (names.Contains(station) ? held : measured).Add(Producer.SendAsync(Measured, station, $$"""[{"stationId":"{{station}}"}]"""));
                }

                var uploads = await UploadsOfAsync(measured);
                // They were blocked all the time, or the test would show nothing.
                gate.Holding.ShouldBe(blocked);
                Node.Host.Pool!.RunningCount.ShouldBe(blocked);
                gate.Release();
                await UploadsOfAsync(held);
                var latencies = measured.Select(record => Stopwatch.GetElapsedTime(record.Result.AckTicks, uploads[record.Result.BatchId])).Order().ToList();
                return latencies[(int)Math.Ceiling(latencies.Count * 0.99) - 1];
            }
        }

        public async Task<JsonElement> UploadAsync(Acknowledged record)
        {
            JsonElement? found = null;
            await Wait.UntilAsync(
                () => (found = Uploads().Select(upload => (JsonElement?)upload.Json).FirstOrDefault(json => json!.Value.GetProperty("batch_id").GetString() == record.BatchId)) is not null,
                ReadLimit, () => $"the upload of {record.BatchId}\n{string.Join('\n', Node.Log.Lines)}");
            return found!.Value;
        }

        private async Task<Dictionary<string, long>> UploadsOfAsync(IReadOnlyList<Task<Acknowledged>> records)
        {
            var batches = (await Task.WhenAll(records).WaitAsync(ReadLimit)).Select(record => record.BatchId).ToHashSet(StringComparer.Ordinal);
            Dictionary<string, long> found = [];
            var counted = -1;
            await Wait.UntilAsync(
                () =>
                {
                    if (Reader.Count == counted) return false;
                    counted = Reader.Count;
                    found = Uploads().Select(upload => (Id: upload.Json.GetProperty("batch_id").GetString()!, upload.ReadTicks))
                        .Where(upload => batches.Contains(upload.Id)).ToDictionary(upload => upload.Id, upload => upload.ReadTicks);
                    return found.Count == batches.Count;
                },
                ReadLimit, () => $"{batches.Count} uploads, {found.Count} read\n{string.Join('\n', Node.Log.Lines)}");
            return found;
        }

        private IEnumerable<(JsonElement Json, long ReadTicks)> Uploads() => Reader.Records.Select(record => (JsonDocument.Parse(record.Value).RootElement, record.ReadTicks));

        private static string Station(int index) => $"station-{index + 1}";

        public async ValueTask DisposeAsync()
        {
            if (Node is not null) await Node.DisposeAsync();
            if (Reader is not null) await Reader.DisposeAsync();
            Producer.Dispose();
            broker.Dispose();
            folder.Dispose();
        }
    }
}
