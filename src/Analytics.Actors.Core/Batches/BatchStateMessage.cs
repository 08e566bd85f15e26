using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Stations;
using Google.Protobuf;

namespace Analytics.Actors.Core.Batches;

/// <summary>The persisted form of a batch.</summary>
internal readonly struct BatchStateMessage(Batch batch)
{
    public byte[] ToBytes()
    {
        var state = new BatchState
        {
            Module = batch.Key.Module,
            Batch = ToMessage(batch.Opening),
            ManifestSeen = batch.HasManifest,
            OpenedMs = batch.OpenedMs,
            DeadlineMs = batch.DeadlineMs,
            EndedMs = batch.EndedMs,
            RetainedUntilMs = batch.RetainedUntilMs,
            Revision = batch.Revision,
            ExpectedCount = batch.IsOver ? batch.ExpectedCount : 0,
            RevisionDueMs = batch.RevisionDueMs,
        };
        foreach (var member in batch.Expected)
        {
            state.Expected.Add(member.Station);
            if (batch.WindowStartMs is not null) state.Announced.Add(member.Announced);
            if (member.Answered > 0) state.Answers.Add(ToMessage(member));
        }

        foreach (var early in batch.Unexpected) state.Answers.Add(ToMessage(early));
        return state.ToByteArray();
    }

    public static Batch Load(byte[] bytes)
    {
        var state = BatchState.Parser.ParseFrom(bytes);
        var loaded = new Batch(FromMessage(state.Batch), state.Module) { WasSaved = true };
        loaded.Restore(state);
        return loaded;
    }

    private static BatchAnswerState ToMessage(BatchMember member) => new()
    {
        Station = member.Station,
        Outcome = (int)member.Outcome,
        Result = member.Result,
        Reason = member.Reason,
        Answered = member.Answered == 1 ? 0 : member.Answered,
        Told = member.IsTold,
    };

    public static OpenBatch ToMessage(in BatchDebt debt)
    {
        var message = new OpenBatch
        {
            BatchId = debt.BatchId,
            Topic = debt.Source.Topic,
            Incarnation = debt.Source.Incarnation,
            Partition = debt.Source.Partition,
            Offset = debt.Offset,
        };
        if (debt.WindowStartMs is { } start) message.WindowStartMs = start;
        return message;
    }

    public static BatchDebt FromMessage(OpenBatch message) => new(
        message.BatchId, new SourcePartition(message.Topic, message.Incarnation, message.Partition), message.Offset,
        message.HasWindowStartMs ? message.WindowStartMs : null);
}
