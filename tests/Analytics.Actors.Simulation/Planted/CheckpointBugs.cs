using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using Google.Protobuf;
using static Analytics.Actors.Simulation.PlantedBugs;

namespace Analytics.Actors.Simulation;

/// <summary>Checkpoints that lack something, or hold something else than the shard's state.</summary>
public static class CheckpointBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        InCheckpoint("marks-not-stored", "3: marks are stored with the state", checkpoint => checkpoint with { Marks = [] }),
        InCheckpoint("mark-off-by-one", "3: a mark is the highest place seen, not the next",
            checkpoint => checkpoint with { Marks = checkpoint.Marks.Select(mark => mark with { Highest = mark.Highest with { Offset = mark.Highest.Offset + 1 } }).ToList() }),
        InCheckpoint("positions-ahead", "2: a position is that of the state it is stored with",
            checkpoint => checkpoint with { Positions = checkpoint.Positions.Select(position => position with { Next = position.Next + 1 }).ToList() }),
        PositionsStoredLate,
        InRows("windows-not-stored", "2: state goes into the checkpoint with its positions", EntityKind.Window, _ => null),
        InRows("globals-not-stored", "2: global data is state too", EntityKind.Global, _ => null),
        InRows("batches-not-stored", "5: an open batch survives its owner", EntityKind.Batch, _ => null),
        InRows("triggers-not-stored", "5: a trigger is recorded until its answer is", EntityKind.Station, row => row.Edit(StationState.Parser, state => state.Triggers.Clear())),
        InRows("waiting-seconds-not-stored", "5: a batch that waits for a second of orders is owed an answer", EntityKind.Station, row => row.Edit(StationState.Parser, state => state.Waiting.Clear())),
        InRows("coalesced-debts-lost", "5: a call that covers several triggers answers every batch of theirs", EntityKind.Station, row => row.Edit(StationState.Parser, state =>
        {
            foreach (var trigger in state.Triggers)
            {
                while (trigger.Batches.Count > 1) trigger.Batches.RemoveAt(0);
            }
        })),
        InRows("attempts-not-counted", "5: attempts are in the checkpoint, so that a deadly call ends", EntityKind.Station, row => row.Edit(StationState.Parser, state =>
        {
            foreach (var trigger in state.Triggers) trigger.Attempts = trigger.Failures = 0;
        })),
        InRows("deadline-not-stored", "timers: a batch's deadline survives its owner", EntityKind.Batch, row => row.Edit(BatchState.Parser, state => state.DeadlineMs = 0)),
        InRows("answers-of-batch-not-stored", "5: what a batch was answered is its state", EntityKind.Batch, row => row.Edit(BatchState.Parser, state => state.Answers.Clear())),
        InCheckpoint("release-flag-always-set", "5: after a crash the next owner is careful", checkpoint => checkpoint with { Release = true }),
        InCheckpoint("sequences-not-stored", "4: sequences are contiguous over owners",
            checkpoint => checkpoint with { ShardState = Without(checkpoint.ShardState) }),
    ];

    // Each position is that of the checkpoint before: state and position are two transactions.
    private static PlantedBug PositionsStoredLate()
    {
        var before = new Dictionary<(string, ShardId, Epoch), IReadOnlyList<PartitionPosition>>();
        return new PlantedBug("positions-stored-late", "2: positions are stored in the transaction of the state")
        {
            OnEffect = (process, effect) => [effect is Commit commit
                ? new Commit(commit.Checkpoints.Select(checkpoint =>
                {
                    var key = (process.Name, checkpoint.Shard, checkpoint.Epoch);
                    var late = before.GetValueOrDefault(key, []);
                    before[key] = checkpoint.Positions;
                    return checkpoint with { Positions = late };
                }).ToList())
                : effect],
        };
    }

    private static byte[] Without(byte[] state)
    {
        var message = ShardState.Parser.ParseFrom(state);
        message.Destinations.Clear();
        return message.ToByteArray();
    }
}
