namespace Analytics.Actors.Node.Hosting;

/// <summary>Why a node's process is to end.</summary>
/// <param name="IsFailure">It may not be this node any more; false: somebody told it to leave.</param>
public sealed record NodeEnd(bool IsFailure, string Reason);

/// <summary>The time that a stop may take, handed out to its steps: each names the share of the whole by which it must be over.</summary>
internal sealed class StopDeadline(TimeSpan whole, TimeProvider time)
{
    private readonly long begun = time.GetTimestamp();

    public TimeSpan Share(double share) => whole * share;

    /// <summary>What is left until so much of the whole has passed; a little where nothing is, so that what needs no time is done.</summary>
    public TimeSpan Until(double share)
    {
        var left = whole * share - time.GetElapsedTime(begun);
        var least = whole * 0.02;
        return left > least ? left : least;
    }

    /// <summary>Waits for the tasks, null is none; true where all have ended in time. What fails has ended.</summary>
    public async Task<bool> WithinAsync(double share, params Task?[] tasks)
    {
        var all = Task.WhenAll(tasks.OfType<Task>());
        if (all.IsCompleted) return true;
        using var over = new CancellationTokenSource();
        var first = await Task.WhenAny(all, Task.Delay(Until(share), time, over.Token)).ConfigureAwait(false);
        await over.CancelAsync().ConfigureAwait(false);
        return first == all;
    }
}
