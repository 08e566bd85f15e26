using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Core.Shards;

/// <summary>An answer that a station gave.</summary>
/// <param name="BatchId">Empty: of a call that no batch waits for.</param>
/// <param name="Attempt">Which attempt of a call it came from; 0: nothing was called.</param>
public readonly record struct RecentAnswer(long AtMs, string Station, string Module, string BatchId, Outcome Outcome, string Reason, int Attempt);

/// <summary>The last answers of one shard's stations, for people to look at. In memory only: a new owner begins with none.</summary>
public sealed class RecentAnswers
{
    private const int Kept = 4_096;

    private readonly Queue<RecentAnswer> answers = new();

    public void Add(in RecentAnswer answer)
    {
        if (answers.Count == Kept) answers.Dequeue();
        answers.Enqueue(answer);
    }

    /// <summary>Those of one station, the newest first.</summary>
    public IReadOnlyList<RecentAnswer> Of(string station, int most) => answers.Where(answer => answer.Station == station).Reverse().Take(most).ToList();
}
