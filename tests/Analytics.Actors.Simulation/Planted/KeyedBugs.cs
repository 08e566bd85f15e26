using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;
using static Analytics.Actors.Simulation.PlantedBugs;

namespace Analytics.Actors.Simulation;

/// <summary>Shards that read a source keyed by station otherwise than they must.</summary>
public static class KeyedBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        () => InOutbox("misplaced-dropped", "3: what lies in the wrong partition is sent to the right shard", settings => settings.PartsTopic, value =>
        {
            var envelope = PartsEnvelope.Parser.ParseFrom(value);
            // One in five.
            foreach (var record in envelope.Records.Where(record => record.Offset % 5 == 4).ToList()) envelope.Records.Remove(record);
            return envelope;
        }),
        () => InOutbox("misplaced-sent-twice", "3: a part is sent under one place", settings => settings.PartsTopic, value =>
        {
            var envelope = PartsEnvelope.Parser.ParseFrom(value);
            // What a new owner sends again was changed before.
            foreach (var record in envelope.Records.Where(record => record.Parts[^1].Ordinal == 0))
            {
                var again = record.Parts[^1].Clone();
                again.Ordinal++;
                record.Parts.Add(again);
            }

            return envelope;
        }),
        () => InOutbox("manifest-sent-twice", "5: a batch is announced once", settings => settings.BatchTopic, value =>
        {
            var envelope = BatchEnvelope.Parser.ParseFrom(value);
            foreach (var manifest in envelope.Manifests.Where(_ => envelope.Manifests.All(other => other.Index == 0)).ToList())
            {
                var again = manifest.Clone();
                again.Index++;
                envelope.Manifests.Add(again);
            }

            return envelope;
        }),
        () => InOutbox("keyed-manifest-not-sent", "5: every batch is announced", settings => settings.BatchTopic, value =>
        {
            var envelope = BatchEnvelope.Parser.ParseFrom(value);
            if (envelope.Manifests.Count > 0 && envelope.Manifests[0].Offset % 5 == 4) envelope.Manifests.RemoveAt(0);
            return envelope;
        }),
        MisplacedAppliedHere,
        () => InKeyed("keyed-position-ahead", "2: a position is that of the state it is stored with", position => position with { Next = position.Next + 1 }),
        () => InKeyed("keyed-position-not-stored", "2: a source keyed by station has its position in the checkpoint", _ => null),
        () => new("keyed-read-by-nobody-after-takeover", "2: what is read with a shard is read by its next owner")
        {
            OnEffect = (process, effect) => effect is StartReading { Next: > 0 } start && process.Settings.IsKeyed(start.Partition.Topic) ? [] : [effect],
        },
        () => new("keyed-not-paused", "7: a shard that is full reads none of its partitions")
        {
            OnEffect = (process, effect) => effect is PauseReading pause && process.Settings.IsKeyed(pause.Partition.Topic) ? [] : [effect],
        },
    ];

    // In what is stored and in what is sent alike: the log and the store agree.
    private static PlantedBug InOutbox(string name, string breaks, Func<ShardSettings, string> topic, Func<byte[], IMessage> change)
    {
        IReadOnlyList<OutboxEntry> Change(SimulatedProcess process, IReadOnlyList<OutboxEntry> entries) =>
            [.. entries.Select(entry => entry.Destination.Topic == topic(process.Settings) ? entry with { Value = change(entry.Value).ToByteArray() } : entry)];

        return new PlantedBug(name, breaks)
        {
            OnEffect = (process, effect) => [effect switch
            {
                Commit commit => new Commit(commit.Checkpoints.Select(checkpoint => checkpoint with { OutboxAdded = Change(process, checkpoint.OutboxAdded) }).ToList()),
                SendOutputs send => send with { Entries = Change(process, send.Entries) },
                _ => effect,
            }],
        };
    }

    private static PlantedBug InKeyed(string name, string breaks, Func<PartitionPosition, PartitionPosition?> change) => new(name, breaks)
    {
        OnEffect = (process, effect) => [effect is Commit commit
            ? new Commit(commit.Checkpoints.Select(checkpoint => checkpoint with
            {
                Positions = checkpoint.Positions.Select(position => process.Settings.IsKeyed(position.Partition.Topic) ? change(position) : position).OfType<PartitionPosition>().ToList(),
            }).ToList())
            : effect],
    };

    // A station of another shard gets a name of its own here, so that the shard keeps the part.
    private static PlantedBug MisplacedAppliedHere()
    {
        var shards = 0;
        var bug = InRecords("misplaced-applied-here", "3: a part is applied by the shard of its station", (partition, record) =>
        {
            if (partition.Topic != Workload.Meters) return record.Value.ToArray();
            var text = System.Text.Encoding.UTF8.GetString(record.Value.Span);
            foreach (var station in Enumerable.Range(1, 12).Select(number => $"S{number}").Where(station => Murmur2.Partition(station, shards) != partition.Partition))
            {
                var own = Enumerable.Range(0, 100).Select(number => $"{station}-{number}").First(name => Murmur2.Partition(name, shards) == partition.Partition);
                text = text.Replace($"\"{station}\"", $"\"{own}\"", StringComparison.Ordinal);
            }

            return System.Text.Encoding.UTF8.GetBytes(text);
        });
        return bug with
        {
            OnMessage = (process, message) =>
            {
                shards = process.Settings.ShardCount;
                return bug.OnMessage(process, message);
            },
        };
    }
}
