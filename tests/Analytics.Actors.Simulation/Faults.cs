namespace Analytics.Actors.Simulation;

/// <summary>What may go wrong, drawn from the seed. Probabilities are per occasion.</summary>
public sealed record Faults
{
    public double CrashAtEffect { get; init; }
    public double SendTwice { get; init; }
    public double SendAnswerLost { get; init; }
    public double SendLate { get; init; }
    public double CommitFails { get; init; }
    public double CommitUnknown { get; init; }
    public double TakeOverFails { get; init; }
    public double CallFails { get; init; }
    public double CallLate { get; init; }
    public int RebalanceEveryMs { get; init; }
    public double LoseWithoutNotice { get; init; }

    public static readonly Faults None = new();

    public static Faults Draw(Random random)
    {
        double Rate(double most) => random.Next(3) == 0 ? 0 : random.NextDouble() * most;
        return new Faults
        {
            CrashAtEffect = Rate(0.002),
            SendTwice = Rate(0.1),
            SendAnswerLost = Rate(0.1),
            SendLate = Rate(0.05),
            CommitFails = Rate(0.05),
            CommitUnknown = Rate(0.05),
            TakeOverFails = Rate(0.2),
            CallFails = Rate(0.05),
            CallLate = Rate(0.02),
            RebalanceEveryMs = random.Next(2) == 0 ? 0 : random.Next(500, 4_000),
            LoseWithoutNotice = random.NextDouble(),
        };
    }
}
