using Analytics.Actors.Integration.Faults;
using Xunit.Abstractions;

namespace Analytics.Actors.Integration.Support;

/// <summary>Tests that ask how fast something is, or how much memory it takes: nothing of ours may run beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class MeasuringTests
{
    public const string Name = "measuring";
}

/// <summary>Which classes begin first, where several run at a time.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Long =
        [nameof(CrashPointTests), nameof(RebalanceTests), nameof(HostTests), nameof(BenchTests), nameof(FaultTests), nameof(DemoTests), nameof(MelbourneTests), nameof(BrokerAndNodeTests)];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) => testCollections.OrderBy(Place);

    private static int Place(ITestCollection collection) =>
        Array.FindIndex(Long, name => collection.DisplayName.Contains(name, StringComparison.Ordinal)) is >= 0 and var place ? place : Long.Length;
}
