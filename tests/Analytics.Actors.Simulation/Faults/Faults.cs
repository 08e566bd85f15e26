namespace Analytics.Actors.Simulation;

/// <summary>What may go wrong, drawn from the seed. Probabilities are per occasion, periods are mean times between occasions.</summary>
public sealed record Faults
{
    // The process.
    public double CrashAtEffect { get; init; }
    public int FreezeEveryMs { get; init; }
    public int ClockJumpEveryMs { get; init; }
    public int ClockSkewMs { get; init; }

    // The way to the log and what it does with a message.
    public int CutLogEveryMs { get; init; }
    public double SendTwice { get; init; }
    public double SendAnswerLost { get; init; }
    public double SendLate { get; init; }
    public double SendLost { get; init; }
    public int ProducerRestartEveryMs { get; init; }

    /// <summary>Retention takes records away, also such as nobody has read.</summary>
    public int TrimEveryMs { get; init; }

    /// <summary>A source topic is deleted and made again.</summary>
    public int RecreateEveryMs { get; init; }

    // The way to the store and the store itself.
    public int CutStoreEveryMs { get; init; }
    public int StoreDownEveryMs { get; init; }
    public bool RestoresBackup { get; init; }
    public double CommitFails { get; init; }
    public double CommitAnswerLost { get; init; }
    public double CommitLandsLate { get; init; }
    public double CommitSlow { get; init; }
    public double TakeOverFails { get; init; }
    public double GrantSlow { get; init; }

    /// <summary>Another version of the configuration is applied.</summary>
    public int ApplyEveryMs { get; init; }
    public double LoadSlow { get; init; }

    // Modules.
    public double CallFails { get; init; }
    public double CallLate { get; init; }
    public double CallHangs { get; init; }
    public double CallSlow { get; init; }
    public double CallSaysNothing { get; init; }

    // Operators: stations are paused, resumed and forgotten.
    public int SteerEveryMs { get; init; }

    // Ownership.
    public int RebalanceEveryMs { get; init; }
    public double LoseWithoutNotice { get; init; }

    public static readonly Faults None = new();

    public static Faults Draw(Random random)
    {
        double Rate(double most) => random.Next(3) == 0 ? 0 : random.NextDouble() * most;
        int Every(int one, int fromMs, int toMs) => random.Next(one) == 0 ? random.Next(fromMs, toMs) : 0;
        var drawn = new Faults
        {
            CrashAtEffect = Rate(0.002),
            FreezeEveryMs = Every(3, 2_000, 10_000),
            ClockJumpEveryMs = Every(4, 2_000, 10_000),
            ClockSkewMs = random.Next(3) == 0 ? random.Next(1, 3_000) : 0,
            CutLogEveryMs = Every(3, 2_000, 10_000),
            SendTwice = Rate(0.1),
            SendAnswerLost = Rate(0.1),
            SendLate = Rate(0.05),
            SendLost = Rate(0.05),
            ProducerRestartEveryMs = Every(4, 1_000, 8_000),
            TrimEveryMs = Every(6, 3_000, 10_000),
            RecreateEveryMs = Every(5, 4_000, 12_000),
            CutStoreEveryMs = Every(3, 2_000, 10_000),
            StoreDownEveryMs = Every(4, 3_000, 12_000),
            RestoresBackup = random.Next(8) == 0,
            CommitFails = Rate(0.05),
            CommitAnswerLost = Rate(0.05),
            CommitLandsLate = Rate(0.03),
            CommitSlow = Rate(0.03),
            TakeOverFails = Rate(0.2),
            LoadSlow = Rate(0.05),
            CallFails = Rate(0.05),
            CallLate = Rate(0.02),
            CallHangs = Rate(0.01),
            CallSlow = Rate(0.05),
            CallSaysNothing = Rate(0.05),
            SteerEveryMs = Every(2, 300, 3_000),
            RebalanceEveryMs = random.Next(2) == 0 ? 0 : random.Next(500, 4_000),
            LoseWithoutNotice = random.NextDouble(),
            GrantSlow = Rate(0.1),
            ApplyEveryMs = Every(2, 1_000, 10_000),
        };
        // A topic that is made again between a backup and its restoration may get an incarnation that the lost future has
        // used: that is a limit of the design.
        // So it is with a version of the configuration that was applied in between: records of it are in the logs, and the store
        // has lost it.
        return drawn.RestoresBackup ? drawn with { RecreateEveryMs = 0, ApplyEveryMs = 0 } : drawn;
    }
}
