namespace Analytics.Actors.Node.Bench;

/// <summary>
/// One thing that <c>analytics bench</c> measures. It measures its own limit in the same run, where it has one, and gives medians
/// of <see cref="BenchOptions.Runs"/> alternating runs. What it started has ended when it returns, however it returns.
/// </summary>
public interface IBenchScenario
{
    /// <summary>The word by which it is asked for.</summary>
    string Name { get; }

    /// <summary>What it measures, in one line.</summary>
    string Description { get; }

    /// <summary>Measures. Throws <see cref="BenchFailedException"/> where what was measured did wrong, such as a record lost or applied twice.</summary>
    Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation);
}

/// <summary>What the user asked for; null: the scenario's own default.</summary>
public sealed record BenchOptions
{
    /// <summary>Measured runs of each variant, of which the median counts.</summary>
    public int Runs { get; init; } = 5;

    /// <summary>One round before them warms up and does not count: a program that has just begun is not compiled yet.</summary>
    public bool WarmUp { get; init; } = true;

    internal int FirstRun => WarmUp ? 0 : 1;

    /// <summary>Records of a run.</summary>
    public int? Records { get; init; }

    /// <summary>Stations; scenarios over several numbers of stations take none above it.</summary>
    public int? Stations { get; init; }

    /// <summary>How long a run lasts, of scenarios that are a matter of time and not of records.</summary>
    public double? Seconds { get; init; }
}

/// <summary>Says what is being done, for people.</summary>
public interface IBenchProgress
{
    /// <summary>One line.</summary>
    void Say(string line);
}

/// <summary>One figure of a scenario.</summary>
/// <param name="Variant">Which of the scenario's figures.</param>
/// <param name="Value">The median of the runs.</param>
/// <param name="Unit">Of the value and the limit, such as records/s.</param>
/// <param name="Limit">The median of what the value is held against, measured in the same run; null: nothing.</param>
/// <param name="Ratio">The median of value / limit, run by run; null: without a limit.</param>
/// <param name="Runs">How many runs the medians are of.</param>
public sealed record BenchFigure(string Scenario, string Variant, double Value, string Unit, double? Limit, double? Ratio, int Runs)
{
    /// <summary>What is aimed at; null: the figure is only told.</summary>
    public BenchGoal? Goal { get; init; }

    /// <summary>Whether the goal is reached; null: there is none.</summary>
    public bool? IsMet => Goal?.IsMetBy(this);
}

/// <summary>A bound for a figure's ratio, or for its value where <paramref name="IsOfRatio"/> is false.</summary>
public sealed record BenchGoal(double Bound, bool IsAtLeast, bool IsOfRatio)
{
    public static BenchGoal RatioAtLeast(double bound) => new(bound, true, true);

    public static BenchGoal RatioAtMost(double bound) => new(bound, false, true);

    public static BenchGoal AtLeast(double bound) => new(bound, true, false);

    public static BenchGoal AtMost(double bound) => new(bound, false, false);

    public bool IsMetBy(BenchFigure figure) => (IsOfRatio ? figure.Ratio : figure.Value) is { } measured && (IsAtLeast ? measured >= Bound : measured <= Bound);
}

/// <summary>What was measured did wrong: its figures would mean nothing.</summary>
public sealed class BenchFailedException(string message) : Exception(message);
