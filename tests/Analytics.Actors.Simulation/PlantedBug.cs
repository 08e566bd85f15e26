using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;

namespace Analytics.Actors.Simulation;

/// <summary>
/// A bug planted on purpose, as a filter on what a node orders or hears. A simulator that does not find it is not to be
/// believed.
/// </summary>
public sealed record PlantedBug(string Name)
{
    public Func<NodeEffect, NodeEffect> OnEffect { get; init; } = effect => effect;

    /// <summary>Whether the store keeps the fence.</summary>
    public bool StoreWithoutFence { get; init; }

    public static readonly PlantedBug None = new("none");

    public static readonly IReadOnlyList<PlantedBug> All =
    [
        new("marks-not-stored") { OnEffect = effect => effect is Commit commit ? Change(commit, checkpoint => checkpoint with { Marks = [] }) : effect },
        new("positions-ahead")
        {
            OnEffect = effect => effect is Commit commit
                ? Change(commit, checkpoint => checkpoint with { Positions = checkpoint.Positions.Select(position => position with { Next = position.Next + 1 }).ToList() })
                : effect,
        },
        new("commit-without-fence") { StoreWithoutFence = true },
        new("outbox-not-stored") { OnEffect = effect => effect is Commit commit ? Change(commit, checkpoint => checkpoint with { OutboxAdded = [] }) : effect },
        new("windows-not-stored")
        {
            OnEffect = effect => effect is Commit commit
                ? Change(commit, checkpoint => checkpoint with { Entities = checkpoint.Entities.Where(entity => entity.Kind != EntityKind.Window).ToList() })
                : effect,
        },
    ];

    private static Commit Change(Commit commit, Func<ShardCheckpoint, ShardCheckpoint> change) =>
        new(commit.Checkpoints.Select(change).ToList());
}
