using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Google.Protobuf;

namespace Analytics.Actors.Core.Batches;

/// <summary>A batch's identity: its id and the module whose results it gathers.</summary>
public readonly record struct BatchKey(string Module, string BatchId)
{
    public string ToEntityKey() => $"{Module}\u001f{BatchId}";
}

/// <summary>
/// A batch actor: waits for one answer of every expected station, or for its deadline, then sends one upload. Answers
/// that arrive before the manifest are held. Members count, not messages. When it is over, late answers go out together
/// as the next revision, which holds only them.
/// </summary>
/// <remarks>
/// In a window of event time each record announces its stations, and each announcement gets one answer. A station is one
/// member all the same: its newest result stands; an error where it has no result; nothing where it has neither.
/// </remarks>
public sealed class Batch(BatchDebt opening, string module)
{
    /// <summary>Late answers wait this long for others, to go out as one revision, ms.</summary>
    public const long RevisionGatherMs = 1_000;

    private readonly Dictionary<string, BatchMember> members = new(StringComparer.Ordinal);
    private readonly List<BatchMember> expected = [];

    // Members of which not every announced record has been answered, or which answered a record whose manifest is to come.
    private int unsettled;

    // Expected stations that have not answered all of theirs.
    private int waiting;

    // What the next checkpoint has to write: these members, or all of them where some have gone.
    private readonly HashSet<BatchMember> changed = [];
    private bool isReshaped;

    // Bytes of its row, and of the further rows with what changed since.
    private int headBytes, tailRows, tailBytes;

    // What a further row costs on top of its bytes.
    private const int TailRowBytes = 200;

    public BatchKey Key { get; } = new(module, opening.BatchId);

    /// <summary>The record that opened it, or the first one whose answer came before its manifest.</summary>
    public BatchDebt Opening => opening;

    /// <summary>Start of a window of event time, ms; null: the batch of one record.</summary>
    public long? WindowStartMs => opening.WindowStartMs;

    /// <summary>The manifest has come, and the batch waits for answers: the expected stations are known and the deadline runs.</summary>
    public bool IsOpen => HasManifest && !IsOver;

    /// <summary>It ended, and is kept for late answers.</summary>
    public bool IsOver => EndedMs > 0;

    /// <summary>The stations that an upload may still speak of, in the order of their announcement.</summary>
    public IEnumerable<BatchMember> Expected => expected;
    public int ExpectedCount { get; private set; }

    /// <summary>Expected stations that have answered; while answers are held for a manifest: all that have.</summary>
    public int AnsweredCount => HasManifest ? ExpectedCount - waiting : members.Count;
    public long OpenedMs { get; private set; }
    public long DeadlineMs { get; private set; }
    public long EndedMs { get; private set; }

    /// <summary>Until when late answers go out as revisions, ms.</summary>
    public long RetainedUntilMs { get; private set; }

    /// <summary>Uploads written so far.</summary>
    public int Revision { get; private set; }

    /// <summary>When the late answers that wait go out, ms; 0 where none waits.</summary>
    public long RevisionDueMs { get; private set; }

    /// <summary>Something may still come: a late answer, or, for a window, a late record.</summary>
    public bool IsAwaited => WindowStartMs is not null || unsettled > 0;

    /// <summary>No station that was announced is still to answer.</summary>
    public bool HasAllAnswers => waiting == 0;

    /// <summary>When the batch wants to hear of time, ms; null while it is held.</summary>
    public long? DueMs => IsOver ? (RevisionDueMs > 0 ? Math.Min(RevisionDueMs, RetainedUntilMs) : RetainedUntilMs) : HasManifest ? DeadlineMs : null;

    internal bool HasManifest { get; private set; }

    /// <summary>The time for which the register has it noted; null: for none.</summary>
    internal long? ScheduledMs { get; set; }

    /// <summary>Stations that the register counts for it among the batches that are over.</summary>
    internal int RetainedStations { get; set; }
    internal int StationCount => members.Count;

    /// <summary>The manifest: opens the batch of a record.</summary>
    public void Open(IEnumerable<string> stations, BatchConfiguration configuration, long nowMs)
    {
        Begin(nowMs, nowMs + configuration.DeadlineMs);
        foreach (var station in stations) Announce(station, 1);
        DropStrangers();
    }

    /// <summary>A record adds stations to a window. While the window is open, its deadline runs from its last record.</summary>
    public void Extend(IEnumerable<string> stations, bool isClosed, BatchConfiguration configuration, long nowMs)
    {
        if (!HasManifest) Begin(nowMs, nowMs + configuration.DeadlineMs);
        else if (!IsOver && !isClosed) DeadlineMs = nowMs + configuration.DeadlineMs;
        // A late record's answers may have come before its manifest.
        foreach (var station in stations) PlanRevision(Announce(station, 1), nowMs);
    }

    /// <summary>Takes an answer; false for one that was not asked for or has been given.</summary>
    public bool Take(Answer answer, long nowMs)
    {
        var known = members.TryGetValue(answer.Station, out var member);
        if (WindowStartMs is null && (known ? member!.Answered > 0 : HasManifest)) return false;
        if (!known) members.Add(answer.Station, member = new BatchMember(answer.Station));
        Count(member!, 0, 1);
        // A result always stands for what came before it; nothing else takes the place of a result.
        if (answer.Outcome == Outcome.Result || BatchMember.Rank(answer.Outcome) > BatchMember.Rank(member!.Outcome))
        {
            member!.Outcome = answer.Outcome;
            member.Result = answer.Result;
            member.Reason = answer.Reason;
            member.IsTold = false;
        }

        PlanRevision(member!, nowMs);
        return true;
    }

    /// <summary>All have answered, or as many as the module's completeAt asks for.</summary>
    public bool IsComplete(BatchConfiguration configuration)
    {
        if (!HasManifest) return false;
        if (unsettled == 0) return true;
        // 0.55 of 100 are 55, although the product of the doubles is a little more.
        return configuration.CompleteAt is { } share && AnsweredCount >= Math.Ceiling(share * ExpectedCount - 1e-9);
    }

    /// <summary>Ends the batch: sends its upload, unless there is no result at all. Returns the number of results.</summary>
    public int Finish(ModuleConfiguration configuration, ShardOutputs outputs, long nowMs)
    {
        isReshaped = true;
        EndedMs = nowMs;
        RetainedUntilMs = nowMs + configuration.Batch.RetentionMs;
        return Upload(configuration, outputs, nowMs);
    }

    /// <summary>
    /// Sends what no upload has told of yet; none where that would be nothing new. Without any upload before, an error
    /// alone is nothing new: a batch without results is not uploaded.
    /// </summary>
    public int Upload(ModuleConfiguration configuration, ShardOutputs outputs, long nowMs)
    {
        List<KeyValuePair<string, ReadOnlyMemory<byte>>> results = [];
        List<string> failed = [], missing = [];
        foreach (var member in expected)
        {
            if (member.IsTold) continue;
            if (member.Outcome == Outcome.Result) results.Add(KeyValuePair.Create(member.Station, member.Result.Memory));
            else if (member.Outcome == Outcome.Error) failed.Add(member.Station);
            else missing.Add(member.Station);
        }

        RevisionDueMs = 0;
        if (results.Count == 0 && (Revision == 0 || failed.Count == 0)) return 0;
        Revision++;
        var value = UploadWriter.Batch(Key.BatchId, Key.Module, configuration.UploadFormat, results, ExpectedCount, failed, missing, Revision, nowMs);
        outputs.Upload(configuration.OutputTopic, Key.BatchId, value, Key.BatchId, nowMs);
        if (Revision > 1) outputs.Raise(new BatchRevised(outputs.Shard, Key.Module, Key.BatchId, Revision, results.Count, failed.Count));
        ForgetTold();
        return results.Count;
    }

    /// <summary>Its rows since the last call: itself whole, or, where it is large, a further row with what changed.</summary>
    internal void Save(List<EntityState> rows, int wholeBytesMax)
    {
        if (isReshaped || headBytes <= wholeBytesMax || tailBytes >= headBytes)
        {
            DeleteTail(rows);
            var state = Save();
            rows.Add(new EntityState(EntityKind.Batch, Key.ToEntityKey(), state));
            (headBytes, tailBytes, isReshaped) = (state.Length, 0, false);
        }
        else
        {
            var state = BatchStateMessage.Save(this, changed);
            rows.Add(new EntityState(EntityKind.Batch, BatchStateMessage.TailKey(Key, tailRows++), state));
            tailBytes += state.Length + TailRowBytes;
        }

        changed.Clear();
    }

    internal byte[] Save() => BatchStateMessage.Save(this, expected.Concat(members.Values.Where(member => member.Announced == 0)));

    /// <summary>Deletes its rows.</summary>
    internal void Delete(List<EntityState> rows)
    {
        if (headBytes == 0) return;
        DeleteTail(rows);
        rows.Add(new EntityState(EntityKind.Batch, Key.ToEntityKey(), null));
    }

    /// <summary>Takes up a stored row: the whole, then the further ones in their order.</summary>
    internal void Restore(BatchState state, int bytes, bool isTail)
    {
        if (isTail) (tailRows, tailBytes) = (tailRows + 1, tailBytes + bytes + TailRowBytes);
        else headBytes = bytes;
        foreach (var saved in state.Answers)
        {
            if (!members.TryGetValue(saved.Station, out var member)) members.Add(saved.Station, member = new BatchMember(saved.Station));
            Count(member, 0, (saved.Answered == 0 ? 1 : saved.Answered) - member.Answered);
            (member.Outcome, member.Result, member.Reason, member.IsTold) = ((Outcome)saved.Outcome, saved.Result, saved.Reason, saved.Told);
        }

        if (state.ManifestSeen) Begin(state.OpenedMs, state.DeadlineMs);
        for (var index = 0; index < state.Expected.Count; index++)
        {
            var times = index < state.Announced.Count ? state.Announced[index] : 1;
            Announce(state.Expected[index], times - (members.GetValueOrDefault(state.Expected[index])?.Announced ?? 0));
        }

        changed.Clear();
        if (state.ExpectedCount > 0) ExpectedCount = state.ExpectedCount;
        EndedMs = state.EndedMs;
        RetainedUntilMs = state.RetainedUntilMs;
        Revision = state.Revision;
        RevisionDueMs = state.RevisionDueMs;
    }

    private void DeleteTail(List<EntityState> rows)
    {
        for (var row = 0; row < tailRows; row++) rows.Add(new EntityState(EntityKind.Batch, BatchStateMessage.TailKey(Key, row), null));
        tailRows = 0;
    }

    private void Begin(long nowMs, long deadlineMs)
    {
        HasManifest = true;
        OpenedMs = nowMs;
        DeadlineMs = deadlineMs;
    }

    private BatchMember Announce(string station, int times)
    {
        if (!members.TryGetValue(station, out var member)) members.Add(station, member = new BatchMember(station));
        if (member.Announced == 0)
        {
            expected.Add(member);
            ExpectedCount++;
        }

        Count(member, times, 0);
        return member;
    }

    private void Count(BatchMember member, int announced, int answered)
    {
        var (wasUnsettled, wasWaiting) = (member.Announced != member.Answered, member.Announced > member.Answered);
        changed.Add(member);
        member.Announced += announced;
        member.Answered += answered;
        unsettled += (member.Announced != member.Answered ? 1 : 0) - (wasUnsettled ? 1 : 0);
        waiting += (member.Announced > member.Answered ? 1 : 0) - (wasWaiting ? 1 : 0);
    }

    private void DropStrangers()
    {
        isReshaped = true;
        foreach (var stranger in members.Values.Where(member => member.Announced == 0).ToList())
        {
            members.Remove(stranger.Station);
            unsettled--;
        }
    }

    private void PlanRevision(BatchMember member, long nowMs)
    {
        if (!IsOver || RevisionDueMs > 0 || member.Announced == 0 || member.IsTold) return;
        if (member.Outcome == Outcome.Result || (member.Outcome == Outcome.Error && Revision > 0)) RevisionDueMs = nowMs + RevisionGatherMs;
    }

    // A station of a record answers once, so that it is done with; one of a window may come again, without its old result.
    private void ForgetTold()
    {
        isReshaped = true;
        foreach (var member in expected)
        {
            if (member.Outcome is not (Outcome.Result or Outcome.Error)) continue;
            member.IsTold = true;
            member.Result = ByteString.Empty;
            member.Reason = "";
            if (WindowStartMs is null) members.Remove(member.Station);
        }

        if (WindowStartMs is null) expected.RemoveAll(member => member.IsTold);
    }
}

/// <summary>A station of a batch, and what it answered.</summary>
public sealed class BatchMember(string station)
{
    public string Station => station;

    /// <summary>Records that named it; in a window of event time there may be several.</summary>
    public int Announced { get; internal set; }

    /// <summary>Answers that it gave: one for each of those records.</summary>
    public int Answered { get; internal set; }
    public Outcome Outcome { get; internal set; }
    public ByteString Result { get; internal set; } = ByteString.Empty;
    public string Reason { get; internal set; } = "";

    /// <summary>An upload has told of its outcome.</summary>
    public bool IsTold { get; internal set; }

    /// <summary>A record that named it has not been answered.</summary>
    public bool IsAwaited => Announced > Answered;

    internal static int Rank(Outcome outcome) => outcome switch
    {
        Outcome.Result => 3,
        Outcome.Error => 2,
        Outcome.Nothing => 1,
        _ => 0,
    };
}
