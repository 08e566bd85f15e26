namespace Analytics.Actors.Core.Stations;

/// <summary>A module call that a station owes, for people to look at.</summary>
/// <param name="State">running, queued, retry (failed, tried again later), or incomplete (required topics are missing).</param>
/// <param name="Attempts">Calls begun so far.</param>
/// <param name="CapturedMs">When its input was taken, ms; null while it is incomplete.</param>
/// <param name="DueMs">When it is tried again, or called without what is missing, ms; null: neither.</param>
/// <param name="Batches">The batches that wait for its answer; none: the result goes out alone.</param>
public sealed record OpenCall(string Module, string State, int Attempts, long? CapturedMs, long? DueMs, IReadOnlyList<string> Batches)
{
    internal static IReadOnlyList<OpenCall> Of(NamedItems<ModuleQueue> queues) =>
    [
        .. from queue in queues
           from trigger in queue.Value.All
           select new OpenCall(
               queue.Key,
               trigger == queue.Value.Running ? "running" : trigger.Captured is null ? "incomplete" : trigger.RetryDueMs > 0 ? "retry" : "queued",
               trigger.Attempts, trigger.Captured?.TimeMs,
               trigger.Captured is null ? trigger.IncompleteDueMs : trigger != queue.Value.Running && trigger.RetryDueMs > 0 ? trigger.RetryDueMs : null,
               [.. trigger.Debts.Select(debt => debt.BatchId)]),
    ];
}
