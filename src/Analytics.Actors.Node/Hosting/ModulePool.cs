using System.Diagnostics;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Runs module calls outside the shards' thread, on threads of its own: at most so many at once per pool, modules of one
/// pool in turn, so that none waits behind another's queue.
/// </summary>
/// <remarks>
/// Code that blocks must not hold up the rest: where a pool has calls waiting and none has ended for
/// <see cref="StallAfter"/>, the calls that run that long lend their places to others. A busy processor alone never looks
/// like that, because calls keep ending. The places that one module's calls have lent are bounded; at the bound it waits
/// for itself, not the others for it.
/// </remarks>
public sealed class ModulePool : IDisposable
{
    /// <summary>A pool in which nothing ends for so long although calls wait is held up by blocked code.</summary>
    public static readonly TimeSpan StallAfter = TimeSpan.FromMilliseconds(100);

    /// <summary>Places that calls of one module may have lent at once.</summary>
    public const int LentPlacesMax = 64;

    private readonly Dictionary<string, Pool> pools = new(StringComparer.Ordinal);
    private readonly IReadOnlyDictionary<string, int> limits;
    private volatile IReadOnlyDictionary<string, IModule> modules;
    private readonly Action<NodeMessage> report;
    private readonly Action<string, TimeSpan, CallOutcomeKind>? finished;
    private readonly Timer watch;
    private bool isWatching;
    private bool isDisposed;

    /// <param name="limits">Calls at once per pool; a pool that is not named has as many as "default".</param>
    /// <param name="report">Takes the answers; called on the pool's threads.</param>
    /// <param name="finished">Hears of each call: module, duration, outcome.</param>
    public ModulePool(
        IReadOnlyDictionary<string, IModule> modules, IReadOnlyDictionary<string, int> limits,
        Action<NodeMessage> report, Action<string, TimeSpan, CallOutcomeKind>? finished = null)
    {
        this.modules = modules;
        this.limits = limits;
        this.report = report;
        this.finished = finished;
        watch = new Timer(_ => Watch());
    }

    /// <summary>Calls that begin from now on are of these modules.</summary>
    public void Use(IReadOnlyDictionary<string, IModule> others) => modules = others;

    /// <summary>Calls running now.</summary>
    public int RunningCount => Pools().Sum(pool => pool.Read(state => state.Running.Count));

    /// <summary>Calls whose time is up but whose code still runs: module, station, seconds.</summary>
    public IReadOnlyList<(string Module, string Station, double Seconds)> Stuck =>
        Pools().SelectMany(pool => pool.Read(state => state.Running.Where(call => call.IsTimedOut)
            .Select(call => (call.Order.Module.Name, call.Order.Input.Station, call.Elapsed.TotalSeconds)).ToList())).ToList();

    /// <summary>Calls of each module that run now, and that wait for a place.</summary>
    public IReadOnlyDictionary<string, (int Running, int Waiting)> Load
    {
        get
        {
            var load = new Dictionary<string, (int Running, int Waiting)>(StringComparer.Ordinal);
            foreach (var pool in Pools())
            {
                foreach (var call in pool.Read(state => state.Running.Select(call => call.Order.Module.Name).ToList()))
                {
                    load[call] = (load.GetValueOrDefault(call).Running + 1, load.GetValueOrDefault(call).Waiting);
                }

                foreach (var (module, waiting) in pool.Waiting) load[module] = (load.GetValueOrDefault(module).Running, load.GetValueOrDefault(module).Waiting + waiting);
            }

            return load;
        }
    }

    public void Begin(ModuleCall call)
    {
        Pool? pool;
        lock (pools)
        {
            if (isDisposed) return;
            var name = call.Module.Pool;
            if (!pools.TryGetValue(name, out pool))
            {
                var limit = limits.TryGetValue(name, out var given) ? given : limits.GetValueOrDefault("default", Environment.ProcessorCount);
                pools.Add(name, pool = new Pool(name, limit, Run));
            }
        }

        pool.Enqueue(call);
        lock (pools)
        {
            // A node without calls is not woken for them.
            if (isWatching || isDisposed) return;
            isWatching = true;
            watch.Change(StallAfter / 2, StallAfter / 2);
        }
    }

    /// <summary>The shard's calls are of no more use: those that wait are dropped, those that run are asked to end.</summary>
    public void Cancel(Core.ShardId shard, Core.Epoch epoch)
    {
        foreach (var pool in Pools())
        {
            foreach (var call in pool.Drop(call => call.Id.Shard == shard && call.Id.Epoch == epoch)) call.Cancel();
        }
    }

    public void Dispose()
    {
        lock (pools) isDisposed = true;
        watch.Dispose();
        foreach (var pool in Pools())
        {
            pool.Close();
            foreach (var call in pool.Drop(_ => true)) call.Cancel();
        }
    }

    private List<Pool> Pools()
    {
        lock (pools) return [.. pools.Values];
    }

    private void Run(Pool pool, RunningCall call)
    {
        if (!modules.TryGetValue(call.Order.Module.Name, out var module))
        {
            Finish(pool, call, new CallOutcome(CallOutcomeKind.Error, default, $"no module '{call.Order.Module.Name}' is installed on this node"));
            return;
        }

        try
        {
            var task = module.CallAsync(call.Order.Input, call.Token);
            CrashPoint.Reached(CrashPoint.ModuleRunning);
            if (task.IsCompleted) Finish(pool, call, Outcome(task.Result));
            // The module waits for something: its thread is free, its answer comes by itself.
            else _ = AwaitAsync(pool, call, task.AsTask());
        }
        catch (Exception failure)
        {
            Finish(pool, call, new CallOutcome(CallOutcomeKind.Error, default, Describe(failure)));
        }
    }

    private async Task AwaitAsync(Pool pool, RunningCall call, Task<ModuleResult> task)
    {
        try
        {
            Finish(pool, call, Outcome(await task.ConfigureAwait(false)));
        }
        catch (Exception failure)
        {
            Finish(pool, call, new CallOutcome(CallOutcomeKind.Error, default, Describe(failure)));
        }
    }

    private static CallOutcome Outcome(ModuleResult result)
    {
        if (result.IsNothing) return new CallOutcome(CallOutcomeKind.Nothing, default, "");
        return ModuleResult.Problem(result.Json.Span) is { } problem
            ? new CallOutcome(CallOutcomeKind.Error, default, problem)
            : new CallOutcome(CallOutcomeKind.Result, result.Json, "");
    }

    private static string Describe(Exception failure) =>
        failure is AggregateException { InnerException: { } inner } ? Describe(inner) : $"{failure.GetType().Name}: {failure.Message}";

    private void Finish(Pool pool, RunningCall call, CallOutcome outcome)
    {
        var elapsed = call.Elapsed;
        if (!pool.Returned(call))
        {
            report(new CallReleased(call.Order.Id));
            return;
        }

        finished?.Invoke(call.Order.Module.Name, elapsed, outcome.Kind);
        report(new CallReturned(call.Order.Id, outcome, true));
    }

    // Blocked calls lend their places; calls past their time are answered for.
    private void Watch()
    {
        foreach (var pool in Pools())
        {
            foreach (var call in pool.Watch(AnswerFor)) call.Cancel();
        }

        lock (pools)
        {
            // A call that comes after this look finds that nobody watches.
            if (isDisposed || pools.Values.Any(pool => pool.IsBusy)) return;
            isWatching = false;
            watch.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    private void AnswerFor(RunningCall call)
    {
        finished?.Invoke(call.Order.Module.Name, call.Elapsed, CallOutcomeKind.Timeout);
        var reason = $"no answer within {call.Order.Module.CallTimeoutMs} ms";
        report(new CallReturned(call.Order.Id, new CallOutcome(CallOutcomeKind.Timeout, default, reason), false));
    }

    /// <summary>A call that runs. All but its cancellation is guarded by its pool.</summary>
    private sealed class RunningCall(ModuleCall order)
    {
        private readonly long startedAt = Stopwatch.GetTimestamp();
        private readonly CancellationTokenSource cancellation = new();

        public ModuleCall Order => order;
        public CancellationToken Token => cancellation.Token;
        public bool HasLent { get; set; }
        public bool IsTimedOut { get; set; }
        public TimeSpan Elapsed => Stopwatch.GetElapsedTime(startedAt);

        // On another thread, because what the module registered may block or throw. Never disposed: it has no timer, and
        // the module may hold its token for longer than the call.
        public void Cancel() => _ = cancellation.CancelAsync();
    }

    /// <summary>What a pool holds, for its readers.</summary>
    private sealed record PoolState(HashSet<RunningCall> Running);

    /// <summary>One pool: a queue per module, served in turn by the pool's threads.</summary>
    private sealed class Pool(string name, int limit, Action<Pool, RunningCall> run)
    {
        private readonly object gate = new();
        private readonly List<(string Module, Queue<ModuleCall> Calls)> queues = [];
        private readonly Dictionary<string, int> lent = new(StringComparer.Ordinal);
        private readonly PoolState state = new([]);
        private int next;
        private int waiting;
        private int active;
        private int idle;
        private int coming;
        private long lastEndedAt = Stopwatch.GetTimestamp();
        private bool isClosed;

        public T Read<T>(Func<PoolState, T> read)
        {
            lock (gate) return read(state);
        }

        /// <summary>A call waits or runs.</summary>
        public bool IsBusy
        {
            get
            {
                lock (gate) return waiting > 0 || state.Running.Count > 0;
            }
        }

        /// <summary>Calls that wait for a place, by module.</summary>
        public List<(string Module, int Calls)> Waiting
        {
            get
            {
                lock (gate) return queues.Select(queue => (queue.Module, queue.Calls.Count)).ToList();
            }
        }

        public void Enqueue(ModuleCall call)
        {
            lock (gate)
            {
                if (isClosed) return;
                var queue = queues.Find(candidate => candidate.Module == call.Module.Name).Calls;
                if (queue is null) queues.Add((call.Module.Name, queue = new Queue<ModuleCall>()));
                if (waiting == 0 && active == 0) lastEndedAt = Stopwatch.GetTimestamp();
                queue.Enqueue(call);
                waiting++;
                Wake();
            }
        }

        /// <summary>Takes back the place; false where the call had been answered for.</summary>
        public bool Returned(RunningCall call)
        {
            lock (gate)
            {
                state.Running.Remove(call);
                lastEndedAt = Stopwatch.GetTimestamp();
                if (call.HasLent) lent[call.Order.Module.Name]--;
                else active--;
                Wake();
                return !call.IsTimedOut;
            }
        }

        /// <summary>Drops the waiting calls that are not wanted, and returns the running ones.</summary>
        public List<RunningCall> Drop(Predicate<ModuleCall> unwanted)
        {
            lock (gate)
            {
                foreach (var (_, calls) in queues)
                {
                    for (var count = calls.Count; count > 0; count--)
                    {
                        var call = calls.Dequeue();
                        if (unwanted(call)) waiting--;
                        else calls.Enqueue(call);
                    }
                }

                return state.Running.Where(call => unwanted(call.Order)).ToList();
            }
        }

        /// <summary>
        /// Lets blocked calls lend their places; returns the calls whose time is up, each answered for before it can return:
        /// its release must not overtake that answer.
        /// </summary>
        public List<RunningCall> Watch(Action<RunningCall> answerFor)
        {
            List<RunningCall> timedOut = [];
            lock (gate)
            {
                var isStalled = waiting > 0 && active >= limit && Stopwatch.GetElapsedTime(lastEndedAt) >= StallAfter;
                foreach (var call in state.Running)
                {
                    var elapsed = call.Elapsed;
                    if (isStalled && !call.HasLent && elapsed >= StallAfter)
                    {
                        call.HasLent = true;
                        active--;
                        lent[call.Order.Module.Name] = lent.GetValueOrDefault(call.Order.Module.Name) + 1;
                        Wake();
                    }

                    if (call.IsTimedOut || elapsed.TotalMilliseconds < call.Order.Module.CallTimeoutMs) continue;
                    call.IsTimedOut = true;
                    answerFor(call);
                    timedOut.Add(call);
                }
            }

            return timedOut;
        }

        public void Close()
        {
            lock (gate)
            {
                isClosed = true;
                Monitor.PulseAll(gate);
            }
        }

        // Under the gate: one more thread goes to work if there is work and room for it. A thread that was woken or started
        // and has not come yet counts already: else two calls would wait for one thread.
        private void Wake()
        {
            if (waiting <= coming || active + coming >= limit) return;
            coming++;
            if (idle > 0)
            {
                idle--;
                Monitor.Pulse(gate);
                return;
            }

            new Thread(Work) { IsBackground = true, Name = $"module-{name}" }.Start();
        }

        private void Work()
        {
            var isComing = true;
            while (true)
            {
                RunningCall call;
                lock (gate)
                {
                    while (true)
                    {
                        if (isComing) coming--;
                        isComing = false;
                        if (TakeNext() is { } order)
                        {
                            call = new RunningCall(order);
                            state.Running.Add(call);
                            break;
                        }

                        // Places that were lent made more threads than there are places: those go again.
                        if (isClosed || idle >= limit) return;
                        idle++;
                        Monitor.Wait(gate);
                        isComing = !isClosed;
                    }
                }

                run(this, call);
            }
        }

        private ModuleCall? TakeNext()
        {
            if (active >= limit || waiting == 0) return null;
            for (var tried = 0; tried < queues.Count; tried++)
            {
                var (module, calls) = queues[next];
                next = (next + 1) % queues.Count;
                if (calls.Count == 0 || lent.GetValueOrDefault(module) >= LentPlacesMax) continue;
                active++;
                waiting--;
                return calls.Dequeue();
            }

            return null;
        }
    }
}
