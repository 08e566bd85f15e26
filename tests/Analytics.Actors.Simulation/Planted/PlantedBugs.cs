using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;

namespace Analytics.Actors.Simulation;

/// <summary>All planted bugs, and what they are made of.</summary>
public static class PlantedBugs
{
    /// <summary>Makes each of them anew: a bug may remember things, and serves one run.</summary>
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        .. CheckpointBugs.All, .. OwnershipBugs.All, .. RecoveryBugs.All, .. OutboxBugs.All, .. HopBugs.All, .. KeyedBugs.All, .. RulesBugs.All, .. CallBugs.All, .. SteeringBugs.All,
    ];

    public static Func<PlantedBug>? Find(string name) => All.FirstOrDefault(make => make().Name == name);

    /// <summary>A bug in what a checkpoint holds.</summary>
    internal static Func<PlantedBug> InCheckpoint(string name, string breaks, Func<ShardCheckpoint, ShardCheckpoint> change) => () => new PlantedBug(name, breaks)
    {
        OnEffect = (_, effect) => [effect is Commit commit ? new Commit(commit.Checkpoints.Select(change).ToList()) : effect],
    };

    /// <summary>A bug in the rows of one kind that a checkpoint holds; null leaves a row out.</summary>
    internal static Func<PlantedBug> InRows(string name, string breaks, EntityKind kind, Func<EntityState, EntityState?> change) =>
        InCheckpoint(name, breaks, checkpoint => checkpoint with { Entities = Change(checkpoint.Entities, kind, change) });

    /// <summary>A bug in what a takeover reads.</summary>
    internal static Func<PlantedBug> InRecovered(string name, string breaks, Func<RecoveredShard, RecoveredShard> change) => () => new PlantedBug(name, breaks)
    {
        OnMessage = (_, message) => [message is ShardTakenOver taken ? new ShardTakenOver(change(taken.Recovered)) : message],
    };

    /// <summary>
    /// A bug in how a shard understands a record of an internal log. What it remembers of the record itself stays right:
    /// positions tell the checksum of what the log holds.
    /// </summary>
    internal static PlantedBug InRecords(string name, string breaks, Func<TopicPartition, LogRecord, byte[]> change) => new(name, breaks)
    {
        OnMessage = (_, message) => [message is RecordsRead read
            ? read with { Records = read.Records.Select(record => record with { Value = change(read.Partition, record) }).ToList() }
            : message],
        OnEffect = (process, effect) => [effect is Commit commit
            ? new Commit(commit.Checkpoints.Select(checkpoint => checkpoint with { Positions = checkpoint.Positions.Select(position => TellTruth(process, position)).ToList() }).ToList())
            : effect],
    };

    internal static List<EntityState> Change(IReadOnlyList<EntityState> rows, EntityKind kind, Func<EntityState, EntityState?> change) =>
        rows.Select(row => row.Kind == kind && row.State is not null ? change(row) : row).OfType<EntityState>().ToList();

    /// <summary>Changes a row's message, and writes it back.</summary>
    internal static EntityState Edit<T>(this EntityState row, MessageParser<T> parser, Action<T> edit) where T : IMessage<T>
    {
        var state = parser.ParseFrom(row.State);
        edit(state);
        return row with { State = state.ToByteArray() };
    }

    private static PartitionPosition TellTruth(SimulatedProcess process, PartitionPosition position) =>
        position.Next == 0 ? position : position with { LastChecksum = Checksum.Of(process.Log.At(position.Partition, position.Next - 1).Value) };
}
