using System.Globalization;
using Analytics.Actors.Kafka.Raw;

namespace Analytics.Actors.Node.Bench;

/// <summary>Single runs of the raw loops and of the node, and what is read off them.</summary>
internal static class Runs
{
    // A loop alone is over in half a second: several passes make one run.
    private const int Passes = 3;

    public static Task<RawOutcome> RawAsync(Func<RawOutcome> loop) => Task.Factory.StartNew(
        () =>
        {
            // It has a heap of its own, as far as that goes.
            GC.Collect();
            var sum = default(RawOutcome);
            for (var pass = 0; pass < Passes; pass++)
            {
                var one = loop();
                sum = new RawOutcome(sum.Records + one.Records, sum.Seconds + one.Seconds, sum.ProcessorSeconds + one.ProcessorSeconds, sum.AllocatedBytes + one.AllocatedBytes);
            }

            return sum;
        },
        CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>A node of a new group reads the whole log, and stops.</summary>
    /// <param name="uncounted">What the first so many parts take does not count.</param>
    public static async Task<NodeOutcome> NodeAsync(BenchNode node, BenchBroker broker, string pipeline, BenchLog log, CancellationToken cancellation, long uncounted = 0)
    {
        await node.StartAsync(broker, pipeline, cancellation).ConfigureAwait(false);
        var outcome = await node.ReadWholeAsync(log, cancellation, uncounted).ConfigureAwait(false);
        await node.StopAsync(cancellation).ConfigureAwait(false);
        return outcome;
    }

    /// <summary>What a run is called.</summary>
    public static string Label(int run, BenchOptions options) => run <= 0 ? "warm-up" : string.Create(CultureInfo.InvariantCulture, $"run {run} of {options.Runs}");

    /// <summary>Numbers of stations, up to the largest that is asked for.</summary>
    public static IReadOnlyList<int> Sizes(IReadOnlyList<int> sizes, BenchOptions options) =>
        options.Stations is not { } most ? sizes : sizes.Any(size => size <= most) ? [.. sizes.Where(size => size <= most)] : [most];

    public static double Rate(RawOutcome outcome) => outcome.Records / outcome.Seconds;

    public static double Rate(NodeOutcome outcome) => outcome.Parts / outcome.Seconds;

    public static double Microseconds(RawOutcome outcome) => outcome.ProcessorSeconds * 1e6 / outcome.Records;

    public static double Microseconds(NodeOutcome outcome) => outcome.ProcessorSeconds * 1e6 / outcome.Parts;
}
