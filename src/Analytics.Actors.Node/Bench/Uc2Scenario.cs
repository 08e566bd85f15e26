using System.Globalization;
using Analytics.Actors.Kafka.Raw;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// Theodolite's UC2: one value a second of each sensor, six statistics of each of its minutes. The log is read many times faster than
/// it was meant, so the minute is shortened in the same measure: about one call for 60 records, a dozen windows a run.
/// </summary>
public sealed class Uc2Scenario : IBenchScenario
{
    private const int DefaultRecords = 1_800_000, DefaultStations = 2_500;
    private const double RecordsPerWindow = 60;

    public string Name => "uc2";

    public string Description => "Theodolite's UC2: six statistics of each sensor's minute";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var records = options.Records ?? DefaultRecords;
        var stations = options.Stations ?? DefaultStations;
        var workload = new Uc2Workload(stations, new WorkloadOptions { StartMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - (records * 1_000L / stations) });
        await using var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
        progress.Say($"writing {records:#,0} records of {stations:#,0} sensors");
        var log = await broker.WriteAsync(workload, records, cancellation).ConfigureAwait(false);
        await broker.AddOutputAsync(Uc2Workload.Module, cancellation).ConfigureAwait(false);
        List<RawOutcome> raws = [];
        List<NodeOutcome> ours = [];
        await using var node = new BenchNode();
        var windowMs = 1_000;
        // Two to warm up: the window of all that count is that of the speed of the second one.
        for (var run = options.FirstRun == 0 ? -1 : options.FirstRun; run <= options.Runs; run++)
        {
            var raw = await Runs.RawAsync(() => broker.Raw.Consume(log.Partitions, records, cancellation)).ConfigureAwait(false);
            var window = string.Create(CultureInfo.InvariantCulture, $"{windowMs}ms");
            var pipeline = BenchPipelines.Edit(workload.Pipeline(keyed: true), root =>
            {
                root["modules"]![Uc2Workload.Module]!["trigger"]!["interval"] = window;
                // The newest 60 values are the minute: by the clock all of them are past it when the log is read again.
                root["topics"]![Uc2Workload.Topic]!.AsObject().Remove("ttl");
            });
            var outcome = await Runs.NodeAsync(node, broker, pipeline, log, cancellation).ConfigureAwait(false);
            progress.Say(string.Create(CultureInfo.InvariantCulture, $"{Runs.Label(run, options)}: raw {Runs.Rate(raw):#,0}/s, node {Runs.Rate(outcome):#,0}/s with {outcome.Uploads:#,0} results, windows of {windowMs} ms"));
            if (outcome.Uploads == 0 && outcome.Seconds * 1_000 > 3 * windowMs) throw new BenchFailedException($"in {outcome.Seconds:0.0} s not one window of {windowMs} ms had a result");
            if (run <= 0)
            {
                windowMs = (int)Math.Clamp(RecordsPerWindow * stations / Runs.Rate(outcome) * 1_000, 100, 60_000);
                continue;
            }

            raws.Add(raw);
            ours.Add(outcome);
        }

        return
        [
            Medians.Figure(Name, "keyed", [.. ours.Select(Runs.Rate)], "records/s", [.. raws.Select(Runs.Rate)]),
            Medians.Figure(Name, "keyed, processor", [.. ours.Select(Runs.Microseconds)], "us/record", [.. raws.Select(Runs.Microseconds)]),
            Medians.Figure(Name, "results", [.. ours.Select(outcome => outcome.Uploads / outcome.Seconds)], "results/s", [.. ours.Select(outcome => Runs.Rate(outcome) / RecordsPerWindow)]),
        ];
    }
}
