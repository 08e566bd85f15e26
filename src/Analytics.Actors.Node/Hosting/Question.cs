namespace Analytics.Actors.Node.Hosting;

/// <summary>A question in a loop's mailbox: only the loop's thread may read its state. It is answered, or cancelled when the loop ends.</summary>
internal abstract class Question<TState>
{
    public abstract void Answer(TState state);

    public abstract void Cancel();

    /// <summary>The loop has ended: closes its mailbox and cancels what is left of it, so that nobody waits for ever.</summary>
    public static void CancelAll(IReadOnlyList<(object Item, long Bytes)> taken, Mailbox<object> mailbox)
    {
        mailbox.Close();
        foreach (var (item, _) in taken) (item as Question<TState>)?.Cancel();
        foreach (var (item, _) in mailbox.Take(TimeSpan.Zero)) (item as Question<TState>)?.Cancel();
    }
}

internal sealed class Question<TState, TAnswer>(Func<TState, TAnswer> question) : Question<TState>
{
    private readonly TaskCompletionSource<TAnswer> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<TAnswer> Answered => answer.Task;

    public override void Answer(TState state)
    {
        try
        {
            answer.TrySetResult(question(state));
        }
        catch (Exception failure)
        {
            // The asker's failure, not the loop's.
            answer.TrySetException(failure);
        }
    }

    public override void Cancel() => answer.TrySetCanceled();
}
