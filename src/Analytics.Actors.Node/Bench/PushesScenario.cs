using System.Text.Json.Nodes;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Node.Bench;

/// <summary>
/// Hourly pushes of 69.6 KB out of Kafka into grids, keyed and through the router; each has an input assembled for a module that looks
/// at its size, and an upload. Its limits are loops with nothing but the client library, over the same records.
/// </summary>
public sealed class PushesScenario : IBenchScenario
{
    // As many as fit: the fullest of 64 partitions holds half as much again as the mean.
    private const int DefaultRecords = 2_400, DefaultStations = 1_200;

    public string Name => "pushes";

    public string Description => "hourly pushes of 70 KB, keyed and through the router, each with an input and an upload";

    public async Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation)
    {
        var records = options.Records ?? DefaultRecords;
        var stations = options.Stations ?? DefaultStations;
        var uncounted = records / 5;
        await using var broker = await BenchBroker.StartAsync(cancellation).ConfigureAwait(false);
        var workload = new Pushes(stations, records);
        progress.Say($"writing {records:#,0} pushes of {stations:#,0} stations");
        var log = await broker.WriteAsync(workload, records, cancellation).ConfigureAwait(false);
        await broker.AddOutputAsync(GridReader.ModuleName, cancellation).ConfigureAwait(false);
        await using var node = new BenchNode();
        var both = await BothWays.MeasureAsync(
            options, progress, broker, log, workload.Pipeline, pipeline => NodeAsync(node, broker, pipeline, log, uncounted, cancellation), uncounted, cancellation).ConfigureAwait(false);
        return [.. both.Keyed(Name), .. both.Router(Name)];
    }

    private static async Task<NodeOutcome> NodeAsync(BenchNode node, BenchBroker broker, string pipeline, BenchLog log, long uncounted, CancellationToken cancellation)
    {
        await node.StartAsync(broker, pipeline, cancellation).ConfigureAwait(false);
        var outcome = await node.ReadWholeAsync(log, cancellation, uncounted).ConfigureAwait(false);
        await node.UploadedAsync(log.Records, cancellation).ConfigureAwait(false);
        await node.StopAsync(cancellation).ConfigureAwait(false);
        return outcome;
    }

    /// <summary>The pushes alone, hour by hour.</summary>
    private sealed class Pushes(int stations, long records)
        : Workload(stations, new WorkloadOptions { StartMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - (((records / stations) + 1) * HourMs) })
    {
        private const long HourMs = 3_600_000;

        private GridWorkload? grid;

        public override string Name => "pushes";

        public override IReadOnlyList<string> Topics { get; } = [ScheduleTopics.RealtimeData];

        private GridWorkload Grid => grid ??= new GridWorkload(Stations, Options);

        public override WorkloadRecord At(long number) => Grid.Push((int)(number % Stations), number / Stations);

        public override string Pipeline(bool keyed) => BenchPipelines.Edit(Grid.Pipeline(keyed), root =>
        {
            var topics = root["topics"]!.AsObject();
            foreach (var other in topics.Select(topic => topic.Key).Except(Topics).ToList()) topics.Remove(other);
            root["modules"] = new JsonObject
            {
                [GridReader.ModuleName] = new JsonObject { ["topics"] = new JsonArray(Topics[0]), ["batch"] = "none", ["onIncomplete"] = "wait" },
            };
        });
    }
}
