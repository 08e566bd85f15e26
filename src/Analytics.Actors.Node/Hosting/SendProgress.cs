namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Whether what is sent is acknowledged. No timer gives a message up, so a broker that is away shows only in this: messages
/// are under way and none has come through for a while.
/// </summary>
public sealed class SendProgress(TimeProvider time)
{
    private long underWay;
    private long progressAt;

    /// <summary>Messages without an outcome.</summary>
    public long UnderWay => Interlocked.Read(ref underWay);

    /// <summary>For how long messages have been under way without any coming through; zero while none is.</summary>
    public TimeSpan StalledFor => UnderWay > 0 ? time.GetElapsedTime(Interlocked.Read(ref progressAt)) : TimeSpan.Zero;

    internal void Begun()
    {
        if (Interlocked.Increment(ref underWay) == 1) Interlocked.Exchange(ref progressAt, time.GetTimestamp());
    }

    internal void Ended(bool sent)
    {
        if (sent) Interlocked.Exchange(ref progressAt, time.GetTimestamp());
        Interlocked.Decrement(ref underWay);
    }
}
