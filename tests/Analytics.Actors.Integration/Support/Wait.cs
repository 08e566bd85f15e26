using System.Diagnostics;

namespace Analytics.Actors.Integration.Support;

/// <summary>Waits for a condition that nobody announces: looks again and again, and fails with what was waited for.</summary>
internal static class Wait
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    public static Task UntilAsync(Func<bool> condition, TimeSpan limit, Func<string> what) =>
        UntilAsync(() => Task.FromResult(condition()), limit, what);

    public static async Task UntilAsync(Func<Task<bool>> condition, TimeSpan limit, Func<string> what)
    {
        var waited = Stopwatch.StartNew();
        while (!await condition())
        {
            if (waited.Elapsed > limit) throw new TimeoutException($"not within {limit.TotalSeconds:0.#} s: {what()}");
            await Task.Delay(Pause);
        }
    }

    /// <summary>The task's result, or a failure that says what did not come.</summary>
    public static async Task<T> ForAsync<T>(Task<T> task, TimeSpan limit, Func<string> what)
    {
        try
        {
            return await task.WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"not within {limit.TotalSeconds:0.#} s: {what()}");
        }
    }
}
