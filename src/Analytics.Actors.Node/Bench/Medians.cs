namespace Analytics.Actors.Node.Bench;

/// <summary>Medians of runs, and figures of alternating ones.</summary>
internal static class Medians
{
    public static double Of(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted.Count == 0 ? double.NaN : sorted.Count % 2 == 1 ? sorted[sorted.Count / 2] : (sorted[(sorted.Count / 2) - 1] + sorted[sorted.Count / 2]) / 2;
    }

    /// <summary>A figure held against a limit that was measured beside it, run by run.</summary>
    public static BenchFigure Figure(string scenario, string variant, IReadOnlyList<double> values, string unit, IReadOnlyList<double> limits, BenchGoal? goal = null) => new(
        scenario, variant, Of(values), unit, Of(limits), Of(values.Zip(limits, (value, limit) => value / limit)), values.Count) { Goal = goal };

    /// <summary>A figure alone.</summary>
    public static BenchFigure Figure(string scenario, string variant, IReadOnlyList<double> values, string unit, BenchGoal? goal = null) =>
        new(scenario, variant, Of(values), unit, null, null, values.Count) { Goal = goal };
}
