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
            Batch = ToMessage(new BatchDebt(batch.Key.BatchId, batch.Source, batch.Offset)),
            ManifestSeen = batch.IsOpen,
            OpenedMs = batch.OpenedMs,
            DeadlineMs = batch.DeadlineMs,
        };
        state.Expected.AddRange(batch.Expected);
        foreach (var answer in batch.Answers.Values)
        {
            state.Answers.Add(new BatchAnswerState
            {
                Station = answer.Station,
                Outcome = (int)answer.Outcome,
                Result = answer.Result,
                Reason = answer.Reason,
            });
        }

        return state.ToByteArray();
    }

    public static Batch Load(byte[] bytes)
    {
        var state = BatchState.Parser.ParseFrom(bytes);
        var debt = FromMessage(state.Batch);
        var loaded = new Batch(new BatchKey(state.Module, debt.BatchId), debt.Source, debt.Offset) { WasSaved = true };
        foreach (var answer in state.Answers)
        {
            loaded.Take(new Answer
            {
                Module = state.Module,
                BatchId = debt.BatchId,
                Station = answer.Station,
                Outcome = (Outcome)answer.Outcome,
                Result = answer.Result,
                Reason = answer.Reason,
            });
        }

        if (state.ManifestSeen) loaded.Restore(state.Expected, state.OpenedMs, state.DeadlineMs);
        return loaded;
    }

    public static OpenBatch ToMessage(in BatchDebt debt) => new()
    {
        BatchId = debt.BatchId,
        Topic = debt.Source.Topic,
        Incarnation = debt.Source.Incarnation,
        Partition = debt.Source.Partition,
        Offset = debt.Offset,
    };

    public static BatchDebt FromMessage(OpenBatch message) =>
        new(message.BatchId, new SourcePartition(message.Topic, message.Incarnation, message.Partition), message.Offset);
}
