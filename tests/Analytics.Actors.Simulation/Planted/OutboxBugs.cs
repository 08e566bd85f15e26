using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using static Analytics.Actors.Simulation.PlantedBugs;

namespace Analytics.Actors.Simulation;

/// <summary>Outputs that leave too early, in another order, under another name, or never.</summary>
public static class OutboxBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        InCheckpoint("outbox-not-stored", "4: an entry is in the checkpoint of what made it", checkpoint => checkpoint with { OutboxAdded = [] }),
        ReleasedEarly,
        InCheckpoint("outbox-removed-too-far", "4: only what was acknowledged is removed", checkpoint => checkpoint with
        {
            OutboxRemoved = checkpoint.OutboxRemoved.Select(removed => removed with { UpToSequence = removed.UpToSequence + 1 }).ToList(),
        }),
        InCheckpoint("outbox-never-removed", "7: what was acknowledged goes", checkpoint => checkpoint with { OutboxRemoved = [] }),
        () => new("outputs-without-waiting", "4: one entry is outstanding per destination") { SendsWithoutWaiting = true },
        () => new("next-output-after-failure", "4: a failed entry stays in its place") { SendsNextAfterFailure = true },
        () => new("acknowledged-when-sent", "4: an entry is removed when the broker has it")
        {
            OnEffect = (process, effect) =>
            {
                if (effect is SendOutputs send)
                {
                    foreach (var entry in send.Entries) process.TellSoon(new OutputsSent(send.Shard, send.Epoch, entry.Destination, entry.Sequence));
                }

                return [effect];
            },
        },
        InCheckpoint("origin-without-partition", "4: sequences are counted per partition, so the origin names it", checkpoint => checkpoint with
        {
            OutboxAdded = checkpoint.OutboxAdded.Select(entry => entry with { Headers = entry.Headers.Select(WithoutPartition).ToList() }).ToList(),
        }),
        DeadLettersDoubled,
    ];

    private static KeyValuePair<string, string> WithoutPartition(KeyValuePair<string, string> header) =>
        header.Key == Header.Origin && Origin.TryParse(header.Value, out var origin) ? KeyValuePair.Create(header.Key, (origin with { Partition = 0 }).ToString()) : header;

    // The entries of a checkpoint leave with the order to commit it.
    private static PlantedBug ReleasedEarly()
    {
        var sent = new HashSet<(ShardId, Epoch, TopicPartition, long)>();
        return new PlantedBug("outbox-released-early", "4: nothing leaves before the checkpoint that holds it has committed")
        {
            OnEffect = (_, effect) =>
            {
                if (effect is SendOutputs send)
                {
                    var rest = send.Entries.Where(entry => !sent.Contains((send.Shard, send.Epoch, entry.Destination, entry.Sequence))).ToList();
                    return rest.Count > 0 ? [send with { Entries = rest }] : [];
                }

                if (effect is not Commit commit) return [effect];
                List<NodeEffect> ordered = [];
                foreach (var checkpoint in commit.Checkpoints)
                {
                    var early = checkpoint.OutboxAdded.Where(entry => sent.Add((checkpoint.Shard, checkpoint.Epoch, entry.Destination, entry.Sequence))).ToList();
                    if (early.Count > 0) ordered.Add(new SendOutputs(checkpoint.Shard, checkpoint.Epoch, early));
                }

                return [.. ordered, commit];
            },
        };
    }

    // Each dead letter is written again by the next checkpoint, under the sequence after the last one.
    private static PlantedBug DeadLettersDoubled() => InRecords("dead-letters-doubled", "6: a bad item makes one dead letter", (partition, record) =>
        HopBugs.EditParts(partition, record, envelope =>
        {
            foreach (var routed in envelope.Records)
            {
                if (routed.Parts.Count == 0 || routed.Parts[^1].Rejected is null) continue;
                var again = routed.Parts[^1].Clone();
                again.Ordinal++;
                routed.Parts.Add(again);
            }
        }));
}
