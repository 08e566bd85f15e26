using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Bench.InProcess;

namespace Analytics.Actors.Node.Bench;

/// <summary>What <c>analytics bench</c> can measure, in its order, and the modules that nodes under test need for it.</summary>
internal static class BenchScenarios
{
    public static IReadOnlyList<IBenchScenario> All => [new MixScenario(), .. InProcessScenario.All];

    public static IReadOnlyList<IModule> Modules => [];
}
