using System.Globalization;
using System.Text;
using Analytics.Actors.Kafka.Raw;
using Analytics.Actors.Node.Bench.Workloads;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// ShuffleBench: records of 1,024 bytes, a fifth of which match one of 1,000,000 consumers, each a station with a state; a tenth of the
/// matches make an output. The consumers are there before time begins to count: the log begins with a small record for each.
/// </summary>
public sealed class ShuffleScenario : IBenchScenario
{
    private const int DefaultRecords = 180_000, DefaultStations = 1_000_000;
    private const int RecordsPerPart = 5, RecordsPerOutput = 50;

    public string Name => "shuffle";

    public string Description => "ShuffleBench: 1,024-byte records, a fifth of them for one of 1,000,000 consumers";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var records = options.Records ?? DefaultRecords;
        var stations = options.Stations ?? DefaultStations;
        var workload = new Registered(stations, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - (records / 100));
        await using var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
        progress.Say($"writing {records:#,0} records behind {stations:#,0} consumers");
        var log = await broker.WriteAsync(workload, stations + records, cancellation, number => number < stations || (number - stations) % RecordsPerPart == 0).ConfigureAwait(false);
        await broker.AddOutputAsync(ShuffleWorkload.Module, cancellation).ConfigureAwait(false);
        var outputs = (records + RecordsPerOutput - 1) / RecordsPerOutput;
        List<RawOutcome> raws = [];
        List<NodeOutcome> ours = [];
        await using var node = new BenchNode();
        for (var run = options.FirstRun; run <= options.Runs; run++)
        {
            var raw = await Runs.RawAsync(() => broker.Raw.Consume(log.Partitions, log.Records, cancellation, uncounted: stations)).ConfigureAwait(false);
            // The default of 10,000 stations a shard would have some of them leave memory.
            await node.StartAsync(broker, workload.Pipeline(keyed: true), cancellation, BenchNode.ManyResidents()).ConfigureAwait(false);
            var outcome = await node.ReadWholeAsync(log, cancellation, uncounted: stations).ConfigureAwait(false);
            await node.UploadedAsync(outputs, cancellation).ConfigureAwait(false);
            await node.StopAsync(cancellation).ConfigureAwait(false);
            progress.Say(string.Create(CultureInfo.InvariantCulture, $"{Runs.Label(run, options)}: raw {Runs.Rate(raw):#,0}/s, node {Rate(outcome):#,0}/s, {outcome.ResidentBytes / 1e6:#,0} MB"));
            if (run == 0) continue;
            raws.Add(raw);
            ours.Add(outcome);
        }

        return
        [
            Medians.Figure(Name, "keyed", [.. ours.Select(Rate)], "records/s", [.. raws.Select(Runs.Rate)]),
            Medians.Figure(Name, "keyed, processor", [.. ours.Select(outcome => Runs.Microseconds(outcome) / RecordsPerPart)], "us/record", [.. raws.Select(Runs.Microseconds)]),
            Medians.Figure(Name, "memory", [.. ours.Select(outcome => outcome.ResidentBytes / 1e6)], "MB"),
        ];
    }

    private static double Rate(NodeOutcome outcome) => Runs.Rate(outcome) * RecordsPerPart;

    /// <summary>A record that makes each consumer, and then those of the workload.</summary>
    private sealed class Registered(int stations, long startMs) : Workload(stations, new WorkloadOptions { StartMs = startMs })
    {
        private readonly ShuffleWorkload after = new(stations, new WorkloadOptions { StartMs = startMs });

        public override string Name => after.Name;

        public override IReadOnlyList<string> Topics => after.Topics;

        public override string Pipeline(bool keyed) => after.Pipeline(keyed);

        public override WorkloadRecord At(long number)
        {
            if (number >= Stations) return after.At(number - Stations);
            var station = (int)number;
            Text.Add("{\"matches\":[{\"stationId\":\""u8).Add(StationNumber(station)).Add("\",\"number\":"u8).Add(number).Add(",\"output\":false}]}"u8);
            return new WorkloadRecord(ShuffleWorkload.Topic, Encoding.ASCII.GetBytes(StationId(station)), Options.StartMs, Text.Take());
        }
    }
}
