using Analytics.Actors.Core;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;
using static Analytics.Actors.Simulation.PlantedBugs;

namespace Analytics.Actors.Simulation;

/// <summary>Routers that send otherwise than they must, and receivers that do not know what they have seen.</summary>
public static class HopBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        () => new("router-two-outstanding", "3: one envelope is outstanding per destination") { RouterDoesNotWait = true },
        () => new("router-next-after-failure", "3: after a failure the same envelope is sent again, never the next") { RouterSkipsFailed = true },
        () => new("router-commits-past-unacknowledged", "3: only what is wholly acknowledged is committed")
        {
            OnRouterEffect = (process, effect) => [effect is CommitPositions commit
                ? new CommitPositions(commit.Positions.Select(position => (position.Partition, process.Router.Progress.Where(progress => progress.Partition == position.Partition).Select(progress => progress.Read).FirstOrDefault(position.Next))).ToList())
                : effect],
        },
        () => new("incarnation-not-raised", "2: a recreated topic starts a new incarnation") { KeepsIncarnation = true },
        () => new("router-skips-records", "3: every record is routed")
        {
            OnSource = (_, record) => record.Offset % 50 == 49 ? [] : [record],
        },
        () => new("previous-offset-wrong", "3: a part names the offset before it")
        {
            OnRouterEffect = (process, effect) => [effect is SendEnvelope send && send.Destination.Topic == process.Settings.PartsTopic ? send with { Value = NameOwnOffset(send.Value.ToArray()) } : effect],
        },
        () => new("manifest-not-sent", "5: every batch is announced")
        {
            OnRouterEffect = (process, effect) => [effect is SendEnvelope send && send.Destination.Topic == process.Settings.BatchTopic ? send with { Value = WithoutFirstManifest(send.Value.ToArray()) } : effect],
        },
        () => InRecords("mark-per-origin-only", "3: a mark is kept per origin and partition", (partition, record) =>
            EditOrigins(partition, record, origin => origin with { Partition = 0 })),
        () => InRecords("mark-without-store", "4: a mark is kept per store", (partition, record) =>
            EditOrigins(partition, record, origin => origin with { Store = "5eed5eed5eed" })),
        () => InRecords("repeated-upload-applied-again", "4: a repeated output is recognised by its origin", (partition, record) =>
            EditParts(partition, record, envelope =>
            {
                foreach (var routed in envelope.Records) routed.Origin = "";
            })),
        () => InRecords("phantom-batch-of-repeated-upload", "4: a repeated output opens no batch again", (partition, record) =>
            EditBatches(partition, record, envelope =>
            {
                foreach (var manifest in envelope.Manifests) manifest.Origin = "";
            })),
        MarkLetsEqualPass,
        RepeatedAnswerCounted,
    ];

    internal static byte[] EditParts(TopicPartition partition, LogRecord record, Action<PartsEnvelope> edit)
    {
        if (!partition.Topic.EndsWith("station-events", StringComparison.Ordinal)) return record.Value.ToArray();
        var envelope = PartsEnvelope.Parser.ParseFrom(record.Value.Span);
        edit(envelope);
        return envelope.ToByteArray();
    }

    private static byte[] EditBatches(TopicPartition partition, LogRecord record, Action<BatchEnvelope> edit)
    {
        if (!partition.Topic.EndsWith("batch-results", StringComparison.Ordinal)) return record.Value.ToArray();
        var envelope = BatchEnvelope.Parser.ParseFrom(record.Value.Span);
        edit(envelope);
        return envelope.ToByteArray();
    }

    private static byte[] EditOrigins(TopicPartition partition, LogRecord record, Func<Origin, Origin> change)
    {
        string Changed(string text) => Origin.TryParse(text, out var origin) ? change(origin).ToString() : text;
        return EditBatches(partition, record with
        {
            Value = EditParts(partition, record, envelope =>
            {
                foreach (var routed in envelope.Records) routed.Origin = Changed(routed.Origin);
            }),
        }, envelope =>
        {
            envelope.Origin = Changed(envelope.Origin);
            foreach (var manifest in envelope.Manifests) manifest.Origin = Changed(manifest.Origin);
        });
    }

    private static byte[] NameOwnOffset(byte[] value)
    {
        var envelope = PartsEnvelope.Parser.ParseFrom(value);
        foreach (var routed in envelope.Records) routed.PreviousOffset = routed.Offset;
        return envelope.ToByteArray();
    }

    // One in ten is forgotten.
    private static byte[] WithoutFirstManifest(byte[] value)
    {
        var envelope = BatchEnvelope.Parser.ParseFrom(value);
        if (envelope.Manifests.Count > 0 && envelope.Manifests[0].Offset % 10 == 9) envelope.Manifests.RemoveAt(0);
        return envelope.ToByteArray();
    }

    // A part at its mark is taken as new, as if the mark were the next place.
    private static PlantedBug MarkLetsEqualPass()
    {
        var highest = new Dictionary<(TopicPartition, string), Place>();
        return InRecords("mark-lets-equal-pass", "3: what is not above its mark is dropped", (partition, record) => EditParts(partition, record, envelope =>
        {
            foreach (var routed in envelope.Records)
            {
                var key = (partition, $"{routed.Topic} {routed.Partition}");
                foreach (var part in routed.Parts)
                {
                    var place = new Place(routed.Offset, part.Index, part.Ordinal);
                    if (highest.TryGetValue(key, out var seen) && place == seen) part.Ordinal++;
                    if (!highest.TryGetValue(key, out seen) || place > seen) highest[key] = place;
                }
            }
        }));
    }

    // A repeat of an answer counts as another one: it gets a sequence of its own.
    private static PlantedBug RepeatedAnswerCounted()
    {
        var highest = new Dictionary<(TopicPartition, string, ShardId), long>();
        return InRecords("repeated-answer-counted", "5: answers that were seen are dropped", (partition, record) => EditBatches(partition, record, envelope =>
        {
            if (!Origin.TryParse(envelope.Origin, out var origin)) return;
            var key = (partition, origin.Store, origin.Shard);
            if (highest.TryGetValue(key, out var seen) && origin.Sequence <= seen) envelope.Origin = (origin with { Sequence = ++highest[key] }).ToString();
            else highest[key] = origin.Sequence;
        }));
    }
}
