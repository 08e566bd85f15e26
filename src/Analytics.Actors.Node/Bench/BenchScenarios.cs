using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Bench.InProcess;

namespace Analytics.Actors.Node.Bench;

/// <summary>What <c>analytics bench</c> can measure, in its order, and the modules that nodes under test need for it.</summary>
internal static class BenchScenarios
{
    public static IReadOnlyList<IBenchScenario> All =>
    [
        new MixScenario(), new PushesScenario(), new Uc2Scenario(), new ShuffleScenario(), new CheckpointsScenario(), new LatencyScenario(), new RestartScenario(), new IdleScenario(),
        .. InProcessScenario.All,
    ];

    public static IReadOnlyList<IModule> Modules => [new Uc2Statistics(), new ShuffleConsumer(), new Echo(), new GridReader()];
}
