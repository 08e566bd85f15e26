using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Stations;
using Google.Protobuf;

namespace Analytics.Actors.Core.Batches;

/// <summary>
/// The persisted form of a batch: a row with all of it, and further rows with the members that changed since and all
/// single values. A large batch is not written anew for each answer.
/// </summary>
internal static class BatchStateMessage
{
    private const char KeySeparator = '\u001f';

    public static byte[] Save(Batch batch, IEnumerable<BatchMember> members)
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
        foreach (var member in members)
        {
            if (member.Answered > 0) state.Answers.Add(ToMessage(member));
            if (member.Announced == 0) continue;
            state.Expected.Add(member.Station);
            if (batch.WindowStartMs is not null) state.Announced.Add(member.Announced);
        }

        return state.ToByteArray();
    }

    /// <summary>Key of a further row: that of the batch, U+001F, its number.</summary>
    public static string TailKey(BatchKey key, int row) =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{key.ToEntityKey()}{KeySeparator}{row}");

    /// <summary>Reads the rows of batches, in any order.</summary>
    public static IEnumerable<Batch> Load(IEnumerable<EntityState> rows)
    {
        var batches = new Dictionary<string, Batch>(StringComparer.Ordinal);
        List<(string Key, int Row, byte[] State)> tails = [];
        foreach (var row in rows)
        {
            var last = row.Key.LastIndexOf(KeySeparator);
            if (last == row.Key.IndexOf(KeySeparator)) batches.Add(row.Key, Load(row.State!));
            else tails.Add((row.Key[..last], int.Parse(row.Key.AsSpan(last + 1), System.Globalization.CultureInfo.InvariantCulture), row.State!));
        }

        foreach (var (key, _, state) in tails.OrderBy(tail => tail.Row)) batches[key].Restore(BatchState.Parser.ParseFrom(state), state.Length, true);
        return batches.Values;
    }

    public static Batch Load(byte[] bytes)
    {
        var state = BatchState.Parser.ParseFrom(bytes);
        var loaded = new Batch(FromMessage(state.Batch), state.Module);
        loaded.Restore(state, bytes.Length, false);
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
