namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>A scenario that runs the production core on one thread, without Kafka. Figures are of processor time.</summary>
internal abstract class InProcessScenario : IBenchScenario
{
    public abstract string Name { get; }

    public abstract string Description { get; }

    public Task<IReadOnlyList<BenchFigure>> RunAsync(BenchOptions options, IBenchProgress progress, CancellationToken cancellation) =>
        Task.Factory.StartNew(() => Run(options, progress, cancellation), cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    protected abstract IReadOnlyList<BenchFigure> Run(BenchOptions options, IBenchProgress progress, CancellationToken cancellation);

    /// <summary>All scenarios without Kafka.</summary>
    public static IReadOnlyList<IBenchScenario> All { get; } =
    [
        new DecodeScenario(), new GridScenario(), new InputsScenario(), new MemoryScenario(), new ScaleScenario(), new RecoveryScenario(), new AllocationsScenario(),
    ];
}
