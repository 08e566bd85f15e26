using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>How long dead letters can be looked at, replayed and discarded. Their topic has a retention of its own.</summary>
public sealed record DeadLetterOptions
{
    public TimeSpan Kept { get; init; } = TimeSpan.FromDays(14);

    /// <summary>The newest ones of each shard; each may have 64 KB.</summary>
    public int KeptPerShard { get; init; } = 10_000;

    internal static DeadLetterOptions Read(ConfigurationObject section)
    {
        var defaults = new DeadLetterOptions();
        var options = new DeadLetterOptions
        {
            Kept = TimeSpan.FromDays(section.Find("keptDays")?.Number(0.01, 3_650) ?? defaults.Kept.TotalDays),
            KeptPerShard = (int)(section.Find("keptPerShard")?.Integer(1, 1_000_000) ?? defaults.KeptPerShard),
        };
        section.Close();
        return options;
    }

    internal IEnumerable<(string Path, string Value)> Describe() =>
    [
        ("deadLetters.keptDays", NodeOptions.Text(Kept.TotalDays)),
        ("deadLetters.keptPerShard", NodeOptions.Text(KeptPerShard)),
    ];
}
