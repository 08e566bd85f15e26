using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>What a shard tells, in words that a reader can search for.</summary>
public static class Story
{
    public static string Of(ShardEvent happened) => happened switch
    {
        PartApplied applied => $"{applied.Source} {applied.Place} applied to {(applied.Station.Length > 0 ? applied.Station : "all stations")}",
        PartRepeated repeated => $"{repeated.Source} {repeated.Place} is a repeat",
        CallEnded ended => $"{ended.Module} of {ended.Station}: {ended.Outcome} {ended.Reason}{(ended.IsFinal ? "" : ", tried again")}",
        BatchOpened opened => $"batch {opened.Module} {opened.BatchId} opened for {opened.Expected}",
        BatchAnswered answered => $"batch {answered.Module} {answered.BatchId} answered by {answered.Station}",
        BatchCompleted completed => $"batch {completed.Module} {completed.BatchId} complete with {completed.Results} of {completed.Expected} results",
        BatchTimedOut timedOut => $"batch {timedOut.Module} {timedOut.BatchId} at its deadline with {timedOut.Results} of {timedOut.Expected} results",
        AnswerLate late => $"late answer of {late.Station} to batch {late.Module} {late.BatchId}",
        StationSteered steered => $"{steered.Order} of {steered.Station}, order {steered.Number}",
        TimerFired fired => $"timer {fired.Kind} of {fired.Entity}",
        DeadLettered lettered => $"dead letter of {lettered.Letter.Source} {lettered.Letter.Offset}, {lettered.Letter.Station}: {lettered.Letter.Reason}",
        Uploaded uploaded => $"{uploaded.Topic} {uploaded.Key} {System.Text.Encoding.UTF8.GetString(uploaded.Value.Span)}",
        _ => happened.ToString(),
    };
}
