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

    /// <summary>
    /// Measures a value and what it is held against in turns, so that both meet the same machine; the ratio is that of the two
    /// of one turn. One turn before is not counted.
    /// </summary>
    public static BenchFigure Compare(string scenario, string variant, string unit, int runs, Func<double> value, Func<double> limit, BenchGoal? goal, CancellationToken cancellation)
    {
        List<double> values = [], limits = [];
        for (var run = -1; run < runs; run++)
        {
            cancellation.ThrowIfCancellationRequested();
            var (measured, held) = (value(), limit());
            if (run < 0) continue;
            values.Add(measured);
            limits.Add(held);
        }

        return Medians.Figure(scenario, variant, values, unit, limits, goal);
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

        return Medians.Figure(scenario, variant, values, unit, goal);
    }
}
