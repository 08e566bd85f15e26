namespace Analytics.Actors.Core.Checkpoints;

/// <summary>The configuration's versions and the grants of a store in memory. Its owner sees to it that one caller is in here at a time.</summary>
internal sealed class MemoryConfigurations
{
    private readonly List<ConfigurationVersion> versions = [];
    private readonly SortedDictionary<(TopicPartition Partition, int Incarnation), (long Granted, List<RulesFrom> Rules)> grants = [];

    private long Current => versions.Count;

    public ConfigurationVersion? Read(long? number) => (number ?? Current) is var wanted && wanted >= 1 && wanted <= Current ? versions[(int)wanted - 1] : null;

    public IReadOnlyList<ConfigurationVersion> List() => [.. versions.Select(version => version with { Text = "" }).Reverse()];

    public ConfigurationOutcome Apply(ConfigurationChange change, IEnumerable<SourceState> sources)
    {
        if (change.Expected != Current) return new ConfigurationOutcome(false, Current);
        if (change.Reroutes && Current > 0)
        {
            foreach (var source in sources)
            {
                // One that was read before there were grants.
                grants.TryAdd((source.Partition, source.Incarnation), (Math.Max(0, source.Next), [new RulesFrom(Current, 0)]));
            }

            foreach (var (granted, rules) in grants.Values) rules.Add(new RulesFrom(Current + 1, granted));
        }

        versions.Add(new ConfigurationVersion(Current + 1, change.Text, change.By, change.AppliedMs, change.Comment));
        return new ConfigurationOutcome(true, Current);
    }

    public IReadOnlyList<SourceGrant> Raise(IReadOnlyList<GrantRequest> requests, long known) => [.. requests.Select(request => Raise(request, known))];

    public IReadOnlyList<SourceGrant> ReadGrants() => [.. grants.Select(grant => new SourceGrant(grant.Key.Partition, grant.Key.Incarnation, grant.Value.Granted, [.. grant.Value.Rules]))];

    private SourceGrant Raise(GrantRequest request, long known)
    {
        var key = (request.Partition, request.Incarnation);
        var (granted, rules) = grants.TryGetValue(key, out var stored) ? stored : (0, [new RulesFrom(Current, 0)]);
        if (rules[^1].Version <= known) grants[key] = (granted = Math.Max(granted, request.UpTo), rules);
        return new SourceGrant(request.Partition, request.Incarnation, granted, [.. rules]);
    }
}
