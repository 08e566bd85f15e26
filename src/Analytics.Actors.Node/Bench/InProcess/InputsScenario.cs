using Analytics.Actors.Core;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>
/// Inputs of load_prediction, with no model behind. A record of parameters triggers the module and the core captures its input: once
/// with a push that nothing was shaped from yet, and again when only the parameters have changed. The input is there when all its series
/// can be read as numbers. The record, its window and the trigger are part of the cost; storing the push is not (see grid).
/// </summary>
internal sealed class InputsScenario : InProcessScenario
{
    private static readonly string[] Series =
        ["outputPowerPerGunAvg", "outputPowerPerGunMax", "outputPowerPerStationAvg", "outputPowerPerStationMax"];

    private readonly LogRecord[] read = new LogRecord[1];
    private readonly Dictionary<TopicPartition, long> offsets = [];
    private long inputs;
    private double power;
    private bool asJson;

    public override string Name => "inputs";

    public override string Description => "load_prediction inputs assembled, after a new hourly push and when only another topic changed";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var stations = options.Stations ?? 200;
        var repeats = Math.Max(1, (options.Records ?? 10_000) / stations);
        var workload = new GridWorkload(stations);
        progress.Say($"{stations} stations; after each push an input, then {repeats} more after parameters alone");
        var nowMs = workload.At(0).TimestampMs;
        offsets.Clear();
        var core = new CoreDriver(ByParameters(workload), nowMs, new CoreDriverOptions { Called = Take });
        var router = new RouterDriver(core.Settings);
        var calendar = workload.Calendar(0);
        router.Receive(new SourceRecord(new TopicPartition(calendar.Topic, 0), 0, calendar.TimestampMs, calendar.Value, null));
        router.Flush(core, nowMs);
        core.Settle(nowMs);

        List<double> afterPush = [], afterOther = [], written = [];
        for (var run = -1; run < options.Runs; run++)
        {
            cancellation.ThrowIfCancellationRequested();
            var hour = run + 1;
            nowMs = workload.Push(0, hour + 1).TimestampMs;
            for (var station = 0; station < stations; station++) Read(core, workload.Push(station, hour), nowMs);
            core.Settle(nowMs);
            var parameters = Enumerable.Range(0, stations).Select(station => workload.Parameters(station, hour)).ToList();
            var rates = (Rate(core, parameters, 1, nowMs), Rate(core, parameters, repeats, nowMs));
            asJson = true;
            var json = Rate(core, parameters, Math.Min(repeats, 5), nowMs);
            asJson = false;
            if (run < 0) continue;
            afterPush.Add(rates.Item1);
            afterOther.Add(rates.Item2);
            written.Add(json);
        }

        if (power <= 0) throw new BenchFailedException("the inputs hold no power");
        return
        [
            Figure("after a new hourly push", afterPush, BenchGoal.AtLeast(10_000)),
            Figure("when only another topic changed", afterOther, BenchGoal.AtLeast(200_000)),
            Figure("the same, written as JSON for another process", written, null),
        ];
    }

    private BenchFigure Figure(string variant, List<double> rates, BenchGoal? goal) =>
        new(Name, variant, Measured.Median(rates), "inputs/s", null, null, rates.Count) { Goal = goal };

    private double Rate(CoreDriver core, List<WorkloadRecord> parameters, int repeats, long nowMs)
    {
        var before = inputs;
        var seconds = Measured.ProcessorSeconds(() =>
        {
            for (var repeat = 0; repeat < repeats; repeat++)
            {
                foreach (var record in parameters) Read(core, record, nowMs);
                core.Settle(nowMs);
            }
        });
        if (inputs - before != parameters.Count * repeats) throw new BenchFailedException($"{parameters.Count * repeats} inputs were asked for and {inputs - before} came");
        return (inputs - before) / seconds;
    }

    private void Read(CoreDriver core, in WorkloadRecord record, long nowMs)
    {
        var partition = new TopicPartition(record.Topic, Murmur2.Partition(record.Key, core.Settings.ShardCount));
        var offset = offsets[partition] = offsets.GetValueOrDefault(partition, -1) + 1;
        read[0] = new LogRecord(partition, offset, record.TimestampMs, record.Value, record.Key);
        core.Read(partition, read, nowMs);
    }

    private void Take(ModuleCall call)
    {
        inputs++;
        foreach (var name in Series)
        {
            if (!call.Input.TryGetSeries(name, out var series)) throw new BenchFailedException($"an input has no {name}");
            power += series[series.Rows - 1, series.Columns - 1];
        }

        if (asJson && call.Input.ToJson().Length < 10_000) throw new BenchFailedException("an input is too short");
    }

    // Pushes trigger nothing, so that the input after one can be told from it; each result alone, so that no batch is gathered.
    private static PipelineConfiguration ByParameters(GridWorkload workload)
    {
        var all = workload.Configuration(keyed: true);
        return all with
        {
            Topics = all.Topics.ToDictionary(topic => topic.Key, topic => topic.Key == ScheduleTopics.RealtimeData ? topic.Value with { Triggers = false } : topic.Value),
            Modules = all.Modules.ToDictionary(module => module.Key, module => module.Value with { Batch = module.Value.Batch with { Kind = BatchKind.None } }),
        };
    }
}
