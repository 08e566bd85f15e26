namespace Analytics.Actors.Core.Stations;

/// <summary>The batches that wait for seconds of one topic to close, by second.</summary>
internal sealed class WaitingSeconds(string topic) : SortedDictionary<long, List<(string Module, BatchDebt Debt)>>, INamed
{
    public string Name => topic;
}

/// <summary>When a module that is called by the clock is due next, ms.</summary>
internal readonly record struct Interval(string Name, long DueMs) : INamed;
