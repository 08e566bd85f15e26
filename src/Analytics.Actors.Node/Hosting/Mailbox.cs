namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// A loop's mailbox: many writers, one reader that waits for items or for a time. Bounded by bytes: a writer of data
/// waits while more than that is inside; orders and answers (0 bytes) never wait, and are taken before data: what a loop
/// waits for must not stand behind a backlog.
/// </summary>
public sealed class Mailbox<T>(long bytesMax)
{
    /// <summary>The most data taken at once, after which orders have their turn again.</summary>
    public const long DataBytesPerTake = 256 * 1024;

    private readonly Lock gate = new();
    private readonly ManualResetEventSlim hasItems = new(false);
    private readonly ManualResetEventSlim hasRoom = new(true);
    private readonly Queue<(T Item, long Bytes)> data = new();
    private List<(T Item, long Bytes)> orders = [];
    private List<(T Item, long Bytes)> taken = [];
    private long bytes;
    private bool isClosed;

    public int Count
    {
        get { lock (gate) return orders.Count + data.Count; }
    }

    /// <summary>Puts an item in; false where the mailbox is closed. Waits for room if it has bytes.</summary>
    public bool Post(T item, long itemBytes = 0)
    {
        while (true)
        {
            lock (gate)
            {
                // Under the lock: nothing comes in after the close, so that what the reader finds then is all there ever is.
                if (isClosed) return false;
                if (itemBytes == 0 || bytes == 0 || bytes + itemBytes <= bytesMax)
                {
                    if (itemBytes == 0) orders.Add((item, 0));
                    else data.Enqueue((item, itemBytes));
                    bytes += itemBytes;
                    hasItems.Set();
                    return true;
                }

                hasRoom.Reset();
            }

            hasRoom.Wait();
        }
    }

    /// <summary>
    /// Waits for items, at most so long, and takes all orders and some data. The list is valid until the next call.
    /// </summary>
    /// <param name="dataBytes">Takes data until it has so much; none where it is 0.</param>
    public IReadOnlyList<(T Item, long Bytes)> Take(TimeSpan atMost, long dataBytes = DataBytesPerTake)
    {
        if (atMost > TimeSpan.Zero) hasItems.Wait(atMost);
        lock (gate)
        {
            (orders, taken) = (taken, orders);
            orders.Clear();
            for (var takenBytes = 0L; takenBytes < dataBytes && data.TryDequeue(out var item); takenBytes += item.Bytes) taken.Add(item);
            if (!isClosed && data.Count == 0) hasItems.Reset();
            return taken;
        }
    }

    /// <summary>An item that was taken has been dealt with: its bytes make room.</summary>
    public void Done(long itemBytes)
    {
        if (itemBytes == 0) return;
        lock (gate)
        {
            bytes -= itemBytes;
            hasRoom.Set();
        }
    }

    public void Close()
    {
        lock (gate)
        {
            isClosed = true;
            hasRoom.Set();
            hasItems.Set();
        }
    }
}
