namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>How figures without Kafka are taken.</summary>
internal static class Measured
{
    /// <summary>
    /// Processor time that the whole process needs for some work, s: that of the collector's threads and of the database included, and
    /// independent of what else the machine does, but for its caches.
    /// </summary>
    public static double ProcessorSeconds(Action work)
    {
        var before = Environment.CpuUsage.TotalTime;
        work();
        return (Environment.CpuUsage.TotalTime - before).TotalSeconds;
    }

    /// <summary>Things done a second of processor time.</summary>
    /// <param name="work">Returns how many it did.</param>
    public static double Rate(Func<int> work)
    {
        var done = 0;
        var seconds = ProcessorSeconds(() => done = work());
        return done / seconds;
    }

    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted.Count % 2 == 1 ? sorted[sorted.Count / 2] : (sorted[sorted.Count / 2 - 1] + sorted[sorted.Count / 2]) / 2;
    }

    /// <summary>
    /// Measures a value and what it is held against in turns, so that both meet the same machine; the ratio is that of the two
    /// of one turn. One turn before is not counted.
    /// </summary>
    public static BenchFigure Compare(string scenario, string variant, string unit, int runs, Func<double> value, Func<double> limit, BenchGoal? goal, CancellationToken cancellation)
    {
        List<double> values = [], limits = [], ratios = [];
        for (var run = -1; run < runs; run++)
        {
            cancellation.ThrowIfCancellationRequested();
            var (measured, held) = (value(), limit());
            if (run < 0) continue;
            values.Add(measured);
            limits.Add(held);
            ratios.Add(measured / held);
        }

        return new BenchFigure(scenario, variant, Median(values), unit, Median(limits), Median(ratios), runs) { Goal = goal };
    }

    /// <summary>Measures a value that is held against nothing of the same run; one run before is not counted.</summary>
    public static BenchFigure Alone(string scenario, string variant, string unit, int runs, Func<double> value, BenchGoal? goal, CancellationToken cancellation)
    {
        value();
        var values = new List<double>();
        for (var run = 0; run < runs; run++)
        {
            cancellation.ThrowIfCancellationRequested();
            values.Add(value());
        }

        return new BenchFigure(scenario, variant, Median(values), unit, null, null, runs) { Goal = goal };
    }
}
