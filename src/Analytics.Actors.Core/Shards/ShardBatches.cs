using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Core.Shards;

/// <summary>How a shard takes what routers and shards say of its batches: manifests, and answers.</summary>
public sealed partial class Shard
{
    /// <summary>False where the record was not taken.</summary>
    private bool ReceiveBatches(in LogRecord record, long nowMs)
    {
        if (WireMessages.Read(BatchEnvelope.Parser, record.Value.Span, out var failure) is not { } envelope)
        {
            RejectEnvelope(record, failure, nowMs);
            return true;
        }

        if (envelope.Manifests.Count > 0 && !MayTake(envelope.Manifests.Max(manifest => manifest.Rules))) return false;
        foreach (var manifest in envelope.Manifests) ReceiveManifest(manifest, nowMs);
        if (envelope.Answers.Count > 0) ReceiveAnswers(envelope, record, nowMs);
        return true;
    }

    private void ReceiveAnswers(BatchEnvelope envelope, in LogRecord record, long nowMs)
    {
        if (!Origin.TryParse(envelope.Origin, out var origin) || (origin.Store != settings.StoreId && !settings.Earlier.Contains(origin.Store)))
        {
            RejectEnvelope(record, $"answers of another store: origin '{envelope.Origin}', this store is '{settings.StoreId}'", nowMs);
            return;
        }

        if (IsTakenBack(origin, settings.BatchTopic)) return;
        var mark = Marks.Of(BatchLog, new OriginRun(origin.Store, origin.Shard, settings.BatchTopic, origin.Partition));
        for (var index = 0; index < envelope.Answers.Count; index++)
        {
            if (mark.Advance(new Place(origin.Sequence, index, 0))) Batches.Answer(envelope.Answers[index], nowMs);
        }
    }

    private void ReceiveManifest(Manifest manifest, long nowMs)
    {
        var source = new SourcePartition(manifest.Topic, manifest.Incarnation, manifest.Partition);
        var mark = Marks.Of(BatchLog, source);
        NoticeMissing(source, mark, manifest.PreviousOffset);

        if (!mark.Advance(new Place(manifest.Offset, manifest.Index, 0))) return;
        // A repeated output opens the same batch again, at another offset: it is over or open already.
        if (Origin.TryParse(manifest.Origin, out var origin)
            && (IsTakenBack(origin, manifest.Topic) || !Marks.Of(BatchLog, new OriginRun(origin.Store, origin.Shard, manifest.Topic, origin.Partition)).Advance(new Place(origin.Sequence, manifest.Index, 0))))
        {
            return;
        }

        Batches.Announce(manifest, source, nowMs);
    }
}
