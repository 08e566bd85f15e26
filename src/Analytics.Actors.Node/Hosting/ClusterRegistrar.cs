using System.Security.Cryptography;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Hosting;

/// <summary>What a node's row says that changes while it runs.</summary>
public readonly record struct NodeReading(int Shards, double RecordsApplied, int CallsRunning, long ConfigurationVersion);

/// <summary>What makes a node's row, but for what changes.</summary>
/// <param name="Address">Where others reach its API; asked each time, because a listener's port may be known late.</param>
/// <param name="Read">What changes; takes at most a second, and gives what it last knew where a loop is held up.</param>
public sealed record NodeIdentity(
    string Node, string Version, IReadOnlyList<string> Roles, DateTimeOffset StartedAt, Func<string> Address, Func<Task<NodeReading>> Read);

/// <summary>
/// Tells the cluster of this node and hears of the others: writes its row every two seconds, keeps the rows that come back,
/// carries events to the store, and notices that another process has taken the node's id or that somebody declared it down.
/// It has a task of its own and is waited for by nobody; without the store the node goes on, and events wait, the newest so many.
/// </summary>
public sealed class ClusterRegistrar : IAsyncDisposable
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(50);

    private const int EventsWaitingMax = 1_000;

    private static readonly TimeSpan LastWordLimit = TimeSpan.FromSeconds(3);

    private readonly NodeIdentity identity;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly string session = RandomNumberGenerator.GetHexString(32, lowercase: true);
    private readonly Lock gate = new();
    private readonly List<ClusterEvent> waiting = [];
    private readonly HashSet<string> toldVanished = new(StringComparer.Ordinal);
    private readonly TaskCompletionSource<string> dismissed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim beating = new(1);
    private readonly LoadMeter meter;
    private readonly CancellationTokenSource stopping = new();
    private TaskCompletionSource wake = NewWake();
    private Task running = Task.CompletedTask;
    private volatile string? storeFailure;
    private volatile NodeState state = NodeState.Starting;
    private volatile IReadOnlyList<NodeRow> rows = [];
    private long? rowsAt;
    private long heartbeats;

    // Since when every heartbeat came in time: a node that was cut off itself does not call others vanished.
    private long? steadySince;

    public ClusterRegistrar(IClusterStore store, NodeIdentity identity, TimeProvider time, ILogger logger)
    {
        Store = store;
        this.identity = identity;
        this.time = time;
        this.logger = logger;
        meter = new LoadMeter(time);
    }

    /// <summary>For reading events and owners; what the node itself has to tell goes through <see cref="Tell"/>.</summary>
    public IClusterStore Store { get; }

    /// <summary>This process, among all that had this node's id.</summary>
    public string Session => session;

    public NodeState State => state;

    /// <summary>Heartbeats that have ended, whether the store took them or not.</summary>
    public long Heartbeats => Interlocked.Read(ref heartbeats);

    /// <summary>All rows as the store last gave them, each with its age by now; empty before the first answer.</summary>
    public IReadOnlyList<NodeRow> Rows
    {
        get
        {
            var (known, since) = (rows, Age);
            return since is not { } elapsed ? known : [.. known.Select(row => row with { AgeMs = row.AgeMs + (long)elapsed.TotalMilliseconds })];
        }
    }

    /// <summary>How long ago the store last answered; null: never.</summary>
    public TimeSpan? Age => rowsAt is { } at ? time.GetElapsedTime(at) : null;

    /// <summary>Why the store did not take the last heartbeat; null where it did.</summary>
    public string? StoreFailure => storeFailure;

    /// <summary>Somebody declared this process down: its shards are fenced.</summary>
    public bool IsDown { get; private set; }

    /// <summary>Ends with the reason where this process may not be the node any more: it must end.</summary>
    public Task<string> Dismissed => dismissed.Task;

    public void Start() => running = Task.Run(RunAsync);

    /// <summary>Says what becomes of the node, and tells the cluster soon.</summary>
    public void Become(NodeState next)
    {
        state = next;
        Wake();
    }

    /// <summary>Something happened that the cluster should know; where the store is away it waits.</summary>
    public void Tell(ClusterEvent happened)
    {
        Enqueue([happened], first: false);
        Wake();
    }

    /// <summary>Looks at the store now, and not at the next heartbeat: something hints at news.</summary>
    public void Wake() => Volatile.Read(ref wake).TrySetResult();

    /// <summary>The last word: the node has ended. Waits for the store for a few seconds at most; true where it was told.</summary>
    public async Task<bool> LeaveAsync(string detail)
    {
        await StopAsync().ConfigureAwait(false);
        if (dismissed.Task.IsCompleted) return true;
        state = NodeState.Left;
        Enqueue([new ClusterEvent("left", identity.Node, null, null, "", detail)], first: false);
        using var limit = new CancellationTokenSource(LastWordLimit, time);
        try
        {
            return await BeatAsync(limit.Token).WaitAsync(LastWordLimit, time).ConfigureAwait(false);
        }
        catch (Exception late) when (late is TimeoutException or OperationCanceledException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        stopping.Dispose();
    }

    private static TaskCompletionSource NewWake() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task StopAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        // A heartbeat that the store holds up ends by the store's own limit; nobody waits for it.
        await Task.WhenAny(running, Task.Delay(LastWordLimit, time)).ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        while (!stopping.IsCancellationRequested)
        {
            var next = NewWake();
            Volatile.Write(ref wake, next);
            try
            {
                await BeatAsync(stopping.Token).ConfigureAwait(false);
                // What happens at once is told soon, and together.
                if (await Task.WhenAny(next.Task, Task.Delay(Interval, time, stopping.Token)).ConfigureAwait(false) == next.Task) await Task.Delay(Gathering, time, stopping.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception unexpected)
            {
                // Whatever is wrong with it, the node's work does not hang on its row.
                logger.LogError(unexpected, "the node's row could not be written");
                await Task.WhenAny(Task.Delay(Interval, time, stopping.Token)).ConfigureAwait(false);
            }
        }
    }

    /// <summary>One heartbeat; false where the store was away.</summary>
    private async Task<bool> BeatAsync(CancellationToken cancellation)
    {
        await beating.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            var reading = await identity.Read().ConfigureAwait(false);
            var entry = new NodeEntry(
                identity.Node, session, identity.Address(), identity.Version, identity.Roles, state, identity.StartedAt.ToUnixTimeMilliseconds(),
                reading.Shards, meter.Read(reading), reading.ConfigurationVersion);
            var sent = time.GetTimestamp();
            var answered = await Store.RegisterAsync(entry, cancellation).ConfigureAwait(false);
            var silence = rowsAt is { } last ? time.GetElapsedTime(last) : (TimeSpan?)null;
            (rows, rowsAt) = (answered, sent);
            storeFailure = null;
            Hear(answered, silence);
            await HearOfDismissalAsync(answered, cancellation).ConfigureAwait(false);
            await TellVanishedAsync(answered, cancellation).ConfigureAwait(false);
            await FlushAsync(cancellation).ConfigureAwait(false);
            return true;
        }
        catch (StoreUnavailableException away)
        {
            steadySince = null;
            storeFailure = away.Message;
            logger.LogDebug("the node's row was not written: {Reason}", away.Message);
            return false;
        }
        finally
        {
            Interlocked.Increment(ref heartbeats);
            beating.Release();
        }
    }

    private void Hear(IReadOnlyList<NodeRow> answered, TimeSpan? silence)
    {
        // The first heartbeat, and the first one after others have seen this node vanish.
        var isBack = silence?.TotalMilliseconds > NodeRow.VanishedAfterMs;
        if (isBack) steadySince = null;
        steadySince ??= time.GetTimestamp();
        var own = answered.FirstOrDefault(row => row.Entry.Node == identity.Node)?.Entry;
        if (own?.Session != session || own.State == NodeState.Down) return;
        if (silence is not null && !isBack) return;
        var detail = silence is { } gone
            ? $"back after {gone.TotalSeconds:0} s without a sign of it"
            : $"version {identity.Version}, roles {string.Join('+', identity.Roles)}{(own.Address.Length > 0 ? $", {own.Address}" : "")}";
        // Before what already waits: that happened to a node that had joined.
        Enqueue([new ClusterEvent("joined", identity.Node, null, null, "", detail)], first: true);
    }

    private void Enqueue(IReadOnlyList<ClusterEvent> events, bool first)
    {
        lock (gate)
        {
            waiting.InsertRange(first ? 0 : waiting.Count, events);
            if (waiting.Count > EventsWaitingMax) waiting.RemoveRange(0, waiting.Count - EventsWaitingMax);
        }
    }

    private List<ClusterEvent> Take()
    {
        lock (gate)
        {
            List<ClusterEvent> taken = [.. waiting];
            waiting.Clear();
            return taken;
        }
    }

    private async Task HearOfDismissalAsync(IReadOnlyList<NodeRow> answered, CancellationToken cancellation)
    {
        var own = answered.FirstOrDefault(row => row.Entry.Node == identity.Node)?.Entry;
        if (own is null || dismissed.Task.IsCompleted) return;
        if (own.Session != session)
        {
            Dismiss($"another process with the node id \"{identity.Node}\" joined after this one (started {At(own.StartedMs)}{(own.Address.Length > 0 ? $", {own.Address}" : "")}): each node needs an id of its own, nodeId");
        }
        else if (own.State == NodeState.Down)
        {
            IsDown = true;
            var events = await Store.ReadEventsAsync(null, 1_000, cancellation).ConfigureAwait(false);
            var order = events.LastOrDefault(happened => happened.Event.Kind == "down" && happened.Event.Node == identity.Node);
            Dismiss(order is null
                ? $"the node \"{identity.Node}\" was declared down"
                : $"the node \"{identity.Node}\" was declared down by {(order.Event.By.Length > 0 ? order.Event.By : "somebody")} at {At(order.AtMs)}");
        }
    }

    private void Dismiss(string reason)
    {
        logger.LogError(new EventId(40, "NodeDismissed"), "NodeDismissed: {Reason}", reason);
        // Nothing more is told in the name of a node that is another one now.
        _ = Take();
        dismissed.TrySetResult(reason);
    }

    // One of the nodes that are there tells it, so that it is told once; who comes after it looks first whether it was.
    private async Task TellVanishedAsync(IReadOnlyList<NodeRow> answered, CancellationToken cancellation)
    {
        foreach (var row in answered.Where(row => !row.IsVanished)) toldVanished.Remove(row.Entry.Session);
        var vanished = answered.Where(row => row.IsVanished && !toldVanished.Contains(row.Entry.Session)).ToList();
        if (vanished.Count == 0 || steadySince is not { } since || time.GetElapsedTime(since).TotalMilliseconds < NodeRow.VanishedAfterMs) return;
        var teller = answered.FirstOrDefault(row => !row.IsVanished && row.Entry.State == NodeState.Running)?.Entry;
        if (teller?.Node != identity.Node) return;
        var events = await Store.ReadEventsAsync(null, ClusterEvent.Kept, cancellation).ConfigureAwait(false);
        foreach (var row in vanished)
        {
            toldVanished.Add(row.Entry.Session);
            var last = events.LastOrDefault(happened => happened.Event.Node == row.Entry.Node && happened.Event.Kind is "joined" or "vanished" or "left" or "down");
            if (last?.Event.Kind == "vanished") continue;
            logger.LogWarning(new EventId(41, "NodeVanished"), "NodeVanished: {NodeId}, last seen {Seconds:0} s ago", row.Entry.Node, row.AgeMs / 1000.0);
            Enqueue([new ClusterEvent("vanished", row.Entry.Node, null, null, "", $"no sign of it for {row.AgeMs / 1000} s, noticed by {identity.Node}")], first: false);
        }
    }

    private async Task FlushAsync(CancellationToken cancellation)
    {
        var taken = Take();
        if (taken.Count == 0) return;
        try
        {
            await Store.AppendEventsAsync(taken, cancellation).ConfigureAwait(false);
        }
        catch
        {
            Enqueue(taken, first: true);
            throw;
        }
    }

    private static string At(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>Makes rates of what a process has used and done so far.</summary>
internal sealed class LoadMeter(TimeProvider time)
{
    private long? at;
    private double records;
    private TimeSpan cpu;
    private NodeLoad load;

    public NodeLoad Read(NodeReading reading)
    {
        var (now, used) = (time.GetTimestamp(), Environment.CpuUsage.TotalTime);
        var elapsed = at is { } last ? time.GetElapsedTime(last, now).TotalSeconds : 0;
        if (at is null || elapsed >= 1)
        {
            load = elapsed > 0
                ? load with
                {
                    RecordsPerSecond = Math.Max(0, (reading.RecordsApplied - records) / elapsed),
                    CpuShare = Math.Clamp((used - cpu).TotalSeconds / elapsed / Environment.ProcessorCount, 0, 1),
                }
                : load;
            (at, records, cpu) = (now, reading.RecordsApplied, used);
        }

        return load = load with { CallsRunning = reading.CallsRunning, MemoryBytes = Environment.WorkingSet };
    }
}
