using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>
/// Inputs of load_prediction, with no model behind: once with a push that nothing was shaped from yet, and again when only the
/// parameters have changed; as a module in the process reads them, and as another process gets them.
/// </summary>
internal sealed class InputsScenario : InProcessScenario
{
    public override string Name => "inputs";

    public override string Description => "load_prediction inputs assembled, after a new hourly push and when only another topic changed";

    protected override IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var stations = options.Stations ?? 200;
        var repeats = Math.Max(1, (options.Records ?? 10_000) / stations);
        progress.Say($"{stations} stations; after each push an input, then {repeats} more after parameters alone, for each of three readers");
        var inputs = new InputFeed(stations);
        List<BenchFigure> figures = [];
        foreach (var (reader, suffix) in new[] { (InputReader.Module, ""), (InputReader.WholeModule, ", every number read"), (InputReader.Process, ", written as JSON for another process") })
        {
            inputs.Reader = reader;
            List<double> afterPush = [], afterOther = [];
            for (var run = -1; run < options.Runs; run++)
            {
                cancellation.ThrowIfCancellationRequested();
                inputs.Push();
                var pushed = Measured.Rate(() => inputs.Ask(1));
                var other = Measured.Rate(() => inputs.Ask(repeats));
                if (run < 0) continue;
                afterPush.Add(pushed);
                afterOther.Add(other);
            }

            var hasGoal = reader == InputReader.Module;
            figures.Add(Medians.Figure(Name, "after a new hourly push" + suffix, afterPush, "inputs/s", hasGoal ? BenchGoal.AtLeast(10_000) : null));
            figures.Add(Medians.Figure(Name, "when only another topic changed" + suffix, afterOther, "inputs/s", hasGoal ? BenchGoal.AtLeast(200_000) : null));
        }

        return figures;
    }
}

/// <summary>What is done with an input that was asked for.</summary>
internal enum InputReader
{
    /// <summary>Its series are asked for, and a number of each is read: what assembling alone costs.</summary>
    Module,

    /// <summary>Its series are asked for, and every number is read.</summary>
    WholeModule,

    /// <summary>It is written as one JSON object.</summary>
    Process,
}

/// <summary>
/// Stations whose inputs of load_prediction are asked for. A record of parameters triggers the module, and the core captures the
/// input, which is there when all its series can be read as numbers. The record, its window and the trigger are part of the cost;
/// storing the push is not.
/// </summary>
internal sealed class InputFeed
{
    private static readonly string[] Series =
        ["outputPowerPerGunAvg", "outputPowerPerGunMax", "outputPowerPerStationAvg", "outputPowerPerStationMax"];

    private readonly LogRecord[] read = new LogRecord[1];
    private readonly Dictionary<TopicPartition, long> offsets = [];
    private readonly GridWorkload workload;
    private readonly CoreDriver core;
    private List<WorkloadRecord> parameters = [];
    private long hour = -1, nowMs;
    private int inputs;
    private double power;

    public InputFeed(int stations)
    {
        workload = new GridWorkload(stations);
        nowMs = workload.At(0).TimestampMs;
        core = new CoreDriver(ByParameters(workload), nowMs, new CoreDriverOptions { Called = Take });
        var router = new RouterDriver(core.Settings);
        var calendar = workload.Calendar(0);
        router.Receive(new SourceRecord(new TopicPartition(calendar.Topic, 0), 0, calendar.TimestampMs, calendar.Value, null));
        router.Flush(core, nowMs);
        core.Settle(nowMs);
    }

    public InputReader Reader { get; set; }

    /// <summary>The next hour's push of every station.</summary>
    public void Push()
    {
        hour++;
        nowMs = workload.Push(0, hour + 1).TimestampMs;
        for (var station = 0; station < workload.Stations; station++) Read(workload.Push(station, hour));
        core.Settle(nowMs);
        parameters = [.. Enumerable.Range(0, workload.Stations).Select(station => workload.Parameters(station, hour))];
    }

    /// <summary>So many inputs of every station; returns how many that are.</summary>
    public int Ask(int times)
    {
        (inputs, power) = (0, 0);
        for (var time = 0; time < times; time++)
        {
            foreach (var record in parameters) Read(record);
            core.Settle(nowMs);
        }

        if (inputs != parameters.Count * times || power <= 0) throw new BenchFailedException($"{parameters.Count * times} inputs were asked for and {inputs} came");
        return inputs;
    }

    private void Read(in WorkloadRecord record)
    {
        var partition = new TopicPartition(record.Topic, Murmur2.Partition(record.Key, core.Settings.ShardCount));
        var offset = offsets[partition] = offsets.GetValueOrDefault(partition, -1) + 1;
        read[0] = new LogRecord(partition, offset, record.TimestampMs, record.Value, record.Key);
        core.Read(partition, read, nowMs);
    }

    private void Take(ModuleCall call)
    {
        inputs++;
        if (Reader == InputReader.Process)
        {
            var json = call.Input.ToJson();
            if (json.Length < 10_000) throw new BenchFailedException("an input is too short");
            power += json.Length;
            return;
        }

        foreach (var name in Series)
        {
            if (!call.Input.TryGetSeries(name, out var series)) throw new BenchFailedException($"an input has no {name}");
            power += series[series.Rows - 1, series.Columns - 1];
            if (Reader != InputReader.WholeModule) continue;
            foreach (var number in series.Values.Span) power += number;
        }
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
