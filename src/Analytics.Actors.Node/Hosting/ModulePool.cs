using System.Diagnostics;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Runs module calls outside the shards' thread, on threads of its own: at most so many at once per pool, modules of one
/// pool in turn, so that none waits behind another's queue.
/// </summary>
/// <remarks>
/// A call that takes longer than <see cref="SlowAfter"/> is slow: it lends its place to others, so that blocked code does
/// not hold up the rest. A module's slow calls are bounded; at the bound it waits for itself, not for others.
/// </remarks>
public sealed class ModulePool : IDisposable
{
    /// <summary>After this time a call no longer counts against its pool's limit.</summary>
    public static readonly TimeSpan SlowAfter = TimeSpan.FromMilliseconds(50);

    /// <summary>Slow calls of one module that may run at once.</summary>
    public const int SlowCallsMax = 64;

    private readonly Lock gate = new();
    private readonly Dictionary<string, Lanes> pools = new(StringComparer.Ordinal);
    private readonly IReadOnlyDictionary<string, int> limits;
    private readonly IReadOnlyDictionary<string, IModule> modules;
    private readonly Action<NodeMessage> report;
    private readonly Action<string, TimeSpan, string>? finished;
    private readonly HashSet<Running> running = [];
    private readonly Queue<Running> startable = new();
    private readonly Timer watch;
    private int idleThreads;
    private int threads;
    private bool isDisposed;

    /// <param name="limits">Calls at once per pool; a pool that is not named has as many as "default".</param>
    /// <param name="report">Takes the answers; called on the pool's threads.</param>
    /// <param name="finished">Hears of each call: module, duration, outcome.</param>
    public ModulePool(
        IReadOnlyDictionary<string, IModule> modules, IReadOnlyDictionary<string, int> limits,
        Action<NodeMessage> report, Action<string, TimeSpan, string>? finished = null)
    {
        this.modules = modules;
        this.limits = limits;
        this.report = report;
        this.finished = finished;
        watch = new Timer(_ => Watch(), null, SlowAfter / 2, SlowAfter / 2);
    }

    /// <summary>Calls running now.</summary>
    public int RunningCount
    {
        get { lock (gate) return running.Count; }
    }

    /// <summary>Calls whose time is up but whose code still runs: module, station, seconds.</summary>
    public IReadOnlyList<(string Module, string Station, double Seconds)> Stuck
    {
        get
        {
            lock (gate) return running.Where(call => call.IsTimedOut).Select(call => (call.Order.Module.Name, call.Order.Input.Station, call.Elapsed.TotalSeconds)).ToList();
        }
    }

    public void Begin(ModuleCall call)
    {
        lock (gate)
        {
            if (isDisposed) return;
            var pool = call.Module.Pool;
            if (!pools.TryGetValue(pool, out var lanes))
            {
                pools.Add(pool, lanes = new Lanes(limits.TryGetValue(pool, out var limit) ? limit : limits.GetValueOrDefault("default", Environment.ProcessorCount)));
            }

            lanes.Enqueue(call);
            Dispatch(lanes);
        }
    }

    /// <summary>The shard's calls are of no more use: those that wait are dropped, those that run are asked to end.</summary>
    public void Cancel(Core.ShardId shard, Core.Epoch epoch)
    {
        List<Running> cancelled;
        lock (gate)
        {
            foreach (var lanes in pools.Values) lanes.Drop(call => call.Id.Shard == shard && call.Id.Epoch == epoch);
            cancelled = running.Where(call => call.Order.Id.Shard == shard && call.Order.Id.Epoch == epoch).ToList();
        }

        foreach (var call in cancelled) call.Cancellation.Cancel();
    }

    public void Dispose()
    {
        List<Running> left;
        lock (gate)
        {
            isDisposed = true;
            left = running.ToList();
            Monitor.Enter(startable);
            Monitor.PulseAll(startable);
            Monitor.Exit(startable);
        }

        watch.Dispose();
        foreach (var call in left) call.Cancellation.Cancel();
    }

    // Under the gate.
    private void Dispatch(Lanes lanes)
    {
        while (lanes.TakeNext() is { } order)
        {
            var call = new Running(order, lanes);
            running.Add(call);
            Monitor.Enter(startable);
            startable.Enqueue(call);
            if (idleThreads > 0)
            {
                idleThreads--;
                Monitor.Pulse(startable);
            }
            else
            {
                threads++;
                new Thread(Work) { IsBackground = true, Name = $"module-call-{threads}" }.Start();
            }

            Monitor.Exit(startable);
        }
    }

    private void Work()
    {
        while (true)
        {
            Running call;
            lock (startable)
            {
                while (startable.Count == 0)
                {
                    if (isDisposed) return;
                    idleThreads++;
                    Monitor.Wait(startable);
                }

                call = startable.Dequeue();
            }

            Run(call);
        }
    }

    private void Run(Running call)
    {
        if (!modules.TryGetValue(call.Order.Module.Name, out var module))
        {
            Finish(call, new CallOutcome(CallOutcomeKind.Error, default, $"no module '{call.Order.Module.Name}' is installed on this node"));
            return;
        }

        ValueTask<ModuleResult> task;
        call.Started();
        try
        {
            task = module.CallAsync(call.Order.Input, call.Cancellation.Token);
            if (!task.IsCompleted)
            {
                // The module waits for something: its thread is free, its answer comes by itself.
                _ = Await(call, task.AsTask());
                return;
            }

            Finish(call, Outcome(task.Result));
        }
        catch (Exception failure)
        {
            Finish(call, new CallOutcome(CallOutcomeKind.Error, default, Describe(failure)));
        }
    }

    private async Task Await(Running call, Task<ModuleResult> task)
    {
        try
        {
            Finish(call, Outcome(await task.ConfigureAwait(false)));
        }
        catch (Exception failure)
        {
            Finish(call, new CallOutcome(CallOutcomeKind.Error, default, Describe(failure)));
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

    private void Finish(Running call, CallOutcome outcome)
    {
        bool wasTimedOut;
        lock (gate)
        {
            running.Remove(call);
            wasTimedOut = call.IsTimedOut;
            call.Lanes.Returned(call.Order.Module.Name, call.IsSlow);
            Dispatch(call.Lanes);
        }

        call.Cancellation.Dispose();
        if (wasTimedOut)
        {
            report(new CallReleased(call.Order.Id));
            return;
        }

        finished?.Invoke(call.Order.Module.Name, call.Elapsed, outcome.Kind.ToString().ToLowerInvariant());
        report(new CallReturned(call.Order.Id, outcome, true));
    }

    // Slow calls lend their place; calls past their time are answered for.
    private void Watch()
    {
        List<Running> timedOut = [];
        lock (gate)
        {
            if (isDisposed) return;
            foreach (var call in running)
            {
                var elapsed = call.Elapsed;
                if (!call.IsSlow && elapsed >= SlowAfter)
                {
                    call.IsSlow = true;
                    call.Lanes.Lend(call.Order.Module.Name);
                }

                if (call.IsTimedOut || elapsed.TotalMilliseconds < call.Order.Module.CallTimeoutMs) continue;
                call.IsTimedOut = true;
                timedOut.Add(call);
            }

            foreach (var lanes in pools.Values) Dispatch(lanes);
        }

        foreach (var call in timedOut)
        {
            var reason = $"no answer within {call.Order.Module.CallTimeoutMs} ms";
            finished?.Invoke(call.Order.Module.Name, call.Elapsed, "timeout");
            report(new CallReturned(call.Order.Id, new CallOutcome(CallOutcomeKind.Timeout, default, reason), false));
            try
            {
                call.Cancellation.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // It has returned in this very moment.
            }
        }
    }

    private sealed class Running(ModuleCall order, Lanes lanes)
    {
        private long startedAt = Stopwatch.GetTimestamp();

        public ModuleCall Order => order;
        public Lanes Lanes => lanes;
        public CancellationTokenSource Cancellation { get; } = new();
        public bool IsSlow { get; set; }
        public bool IsTimedOut { get; set; }
        public TimeSpan Elapsed => Stopwatch.GetElapsedTime(startedAt);
        public void Started() => startedAt = Stopwatch.GetTimestamp();
    }

    /// <summary>One pool: a queue per module, served in turn.</summary>
    private sealed class Lanes(int limit)
    {
        private readonly List<(string Module, Queue<ModuleCall> Calls)> queues = [];
        private readonly Dictionary<string, int> slow = new(StringComparer.Ordinal);
        private int next;
        private int active;

        public void Enqueue(ModuleCall call)
        {
            var queue = queues.Find(candidate => candidate.Module == call.Module.Name).Calls;
            if (queue is null) queues.Add((call.Module.Name, queue = new Queue<ModuleCall>()));
            queue.Enqueue(call);
        }

        public ModuleCall? TakeNext()
        {
            if (active >= limit) return null;
            for (var tried = 0; tried < queues.Count; tried++)
            {
                var (module, calls) = queues[next];
                next = (next + 1) % queues.Count;
                if (calls.Count == 0 || slow.GetValueOrDefault(module) >= SlowCallsMax) continue;
                active++;
                return calls.Dequeue();
            }

            return null;
        }

        public void Lend(string module)
        {
            active--;
            slow[module] = slow.GetValueOrDefault(module) + 1;
        }

        public void Returned(string module, bool wasSlow)
        {
            if (wasSlow) slow[module]--;
            else active--;
        }

        public void Drop(Predicate<ModuleCall> unwanted)
        {
            foreach (var (_, calls) in queues)
            {
                for (var count = calls.Count; count > 0; count--)
                {
                    var call = calls.Dequeue();
                    if (!unwanted(call)) calls.Enqueue(call);
                }
            }
        }
    }
}
