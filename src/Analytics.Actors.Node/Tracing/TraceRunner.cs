using System.Text.Json;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Node.Tracing;

/// <summary>
/// Runs recorded records through the production router and node core, on virtual time, without broker and database, and
/// tells every effect. The same input gives the same output, byte for byte.
/// </summary>
public sealed class TraceRunner
{
    private const string StoreId = "000000000000";

    private readonly PipelineConfiguration pipeline;
    private readonly IReadOnlyDictionary<string, IModule> modules;
    private readonly IReadOnlySet<string> answeredByHand;
    private readonly Action<Action<Utf8JsonWriter>> write;
    private readonly MemoryCheckpointStore store = new(StoreId);
    private readonly NodeCore core;
    private readonly Router router;
    private readonly ShardSettings settings;
    private readonly Dictionary<TopicPartition, List<LogRecord>> logs = [];
    private readonly Dictionary<TopicPartition, long> nextOffsets = [];
    private readonly HashSet<TopicPartition> sources = [];
    private readonly HashSet<TopicPartition> reading = [];
    private readonly Dictionary<(string Module, string Station), Queue<ModuleCall>> waiting = [];
    private readonly Queue<Action> work = new();

    /// <param name="answeredByHand">Modules whose calls wait for answers among the records.</param>
    /// <param name="write">Takes one effect: writes the members of its JSON object.</param>
    public TraceRunner(
        PipelineConfiguration pipeline, IReadOnlyDictionary<string, IModule> modules, IReadOnlySet<string> answeredByHand,
        Action<Action<Utf8JsonWriter>> write, long startMs, int shards = 1)
    {
        this.pipeline = pipeline;
        this.modules = modules;
        this.answeredByHand = answeredByHand;
        this.write = write;
        NowMs = startMs;
        settings = new ShardSettings { Pipeline = pipeline, Group = "trace", ShardCount = shards, StoreId = StoreId, DetailedEvents = true };
        // A memory store takes no time: every change is committed at once, so that effects appear with their cause.
        core = new NodeCore(new NodeSettings { Shards = settings, CheckpointIntervalMs = 0, UrgentIntervalMs = 0 });
        router = new Router(settings, new RouterSettings());
        store.OpenAsync(settings.Group, shards, default).AsTask().GetAwaiter().GetResult();
        Tell(new ShardsAssigned(Enumerable.Range(0, shards).Select(shard => new ShardId(shard)).ToList()));
        Drain();
    }

    /// <summary>Virtual time, ms since 1970 UTC.</summary>
    public long NowMs { get; private set; }

    /// <summary>The node under trace, for those who look at its state.</summary>
    public NodeCore Core => core;

    /// <summary>A record of a source topic; time moves on to its timestamp if that is later than now.</summary>
    public void Record(TopicPartition partition, long offset, long timestampMs, ReadOnlyMemory<byte> value, string? origin = null)
    {
        AdvanceTo(timestampMs);
        Route(partition, offset, timestampMs, value, origin);
        Drain();
    }

    public void Advance(long ms) => AdvanceTo(NowMs + ms);

    /// <summary>Answers the oldest waiting call of the module and station; false where there is none.</summary>
    public bool Answer(string module, string station, CallOutcome outcome)
    {
        if (!waiting.TryGetValue((module, station), out var calls) || !calls.TryDequeue(out var call)) return false;
        Tell(new CallReturned(call.Id, outcome, true));
        Drain();
        return true;
    }

    private void AdvanceTo(long untilMs)
    {
        while (core.NextDueMs is { } due && due <= untilMs)
        {
            NowMs = Math.Max(NowMs, due);
            Tell(new TimePassed());
            Drain();
        }

        NowMs = Math.Max(NowMs, untilMs);
    }

    private void Route(TopicPartition partition, long offset, long timestampMs, ReadOnlyMemory<byte> value, string? origin)
    {
        // A recorded partition that has no shard here goes through the router, which does the same with it.
        if (settings.IsKeyed(partition.Topic) && partition.Partition < settings.ShardCount)
        {
            work.Enqueue(() => Tell(new RecordsRead(partition, [new LogRecord(partition, offset, timestampMs, value, null, origin)])));
            return;
        }

        List<RouterEffect> effects = [];
        if (sources.Add(partition)) router.Assigned(partition, 0, offset, SourceGrant.Everything(partition, 0, 0));
        nextOffsets[partition] = Math.Max(nextOffsets.GetValueOrDefault(partition), offset + 1);
        router.Receive(new SourceRecord(partition, offset, timestampMs, value, origin));
        router.Flush(effects);
        CarryOut(effects);
    }

    private void Drain()
    {
        while (work.TryDequeue(out var next)) next();
    }

    private void Tell(NodeMessage message)
    {
        List<NodeEffect> effects = [];
        core.Handle(message, NowMs, effects);
        core.Settle(NowMs, effects);
        List<ShardEvent> events = [];
        core.TakeEvents(events);
        foreach (var happened in events) Print(happened);
        foreach (var effect in effects) CarryOut(effect);
    }

    private void CarryOut(List<RouterEffect> effects)
    {
        foreach (var effect in effects)
        {
            if (effect is not SendEnvelope send) continue;
            Append(send.Destination, send.Value.ToArray());
            work.Enqueue(() =>
            {
                List<RouterEffect> after = [];
                router.Acknowledged(send.Destination, send.Number, after);
                router.Flush(after);
                CarryOut(after);
            });
        }
    }

    private void CarryOut(NodeEffect effect)
    {
        switch (effect)
        {
            case TakeOver takeOver:
                var recovered = store.TakeOverAsync(takeOver.Shard, "trace", default).AsTask().GetAwaiter().GetResult();
                work.Enqueue(() => Tell(new ShardTakenOver(recovered)));
                break;
            case ShardLoad load:
                var loaded = store.LoadAsync(load, default).AsTask().GetAwaiter().GetResult();
                work.Enqueue(() => Tell(loaded));
                break;
            case StartReading start:
                reading.Add(start.Partition);
                break;
            case Commit commit:
                var outcomes = store.CommitAsync(commit.Checkpoints, default).AsTask().GetAwaiter().GetResult();
                work.Enqueue(() => Tell(new CommitFinished(outcomes)));
                break;
            case SendOutputs send:
                foreach (var entry in send.Entries) Send(send, entry);
                break;
            case BeginCall begin:
                Call(begin.Call);
                break;
            case Warn warn:
                throw new InvalidOperationException(warn.Text);
            default:
                break;
        }
    }

    private void Send(SendOutputs send, OutboxEntry entry)
    {
        work.Enqueue(() => Tell(new OutputsSent(send.Shard, send.Epoch, entry.Destination, entry.Sequence)));
        if (entry.Destination.Topic == settings.BatchTopic || entry.Destination.Topic == settings.PartsTopic)
        {
            Append(entry.Destination, entry.Value);
        }
        else if (entry.Destination.Topic != settings.DeadLetterTopic && pipeline.Topics.ContainsKey(entry.Destination.Topic))
        {
            var offset = nextOffsets.GetValueOrDefault(entry.Destination);
            nextOffsets[entry.Destination] = offset + 1;
            var origin = entry.Headers.FirstOrDefault(header => header.Key == Header.Origin).Value;
            work.Enqueue(() => Route(entry.Destination, offset, NowMs, entry.Value, origin));
        }
    }

    private void Append(TopicPartition partition, byte[] value)
    {
        if (!logs.TryGetValue(partition, out var log)) logs.Add(partition, log = []);
        var record = new LogRecord(partition, log.Count, NowMs, value);
        log.Add(record);
        work.Enqueue(() => Tell(new RecordsRead(partition, [record])));
    }

    private void Call(ModuleCall call)
    {
        Print(call);
        if (answeredByHand.Contains(call.Module.Name))
        {
            var key = (call.Module.Name, call.Input.Station);
            if (!waiting.TryGetValue(key, out var calls)) waiting.Add(key, calls = new Queue<ModuleCall>());
            calls.Enqueue(call);
            return;
        }

        var outcome = modules.TryGetValue(call.Module.Name, out var module) ? Run(module, call) : new CallOutcome(CallOutcomeKind.Result, "{}"u8.ToArray(), "");
        work.Enqueue(() => Tell(new CallReturned(call.Id, outcome, true)));
    }

    private static CallOutcome Run(IModule module, ModuleCall call)
    {
        try
        {
            var result = module.CallAsync(call.Input, CancellationToken.None).AsTask().GetAwaiter().GetResult();
            if (result.IsNothing) return new CallOutcome(CallOutcomeKind.Nothing, default, "");
            return ModuleResult.Problem(result.Json.Span) is { } problem
                ? new CallOutcome(CallOutcomeKind.Error, default, problem)
                : new CallOutcome(CallOutcomeKind.Result, result.Json, "");
        }
        catch (Exception failure)
        {
            return new CallOutcome(CallOutcomeKind.Error, default, $"{failure.GetType().Name}: {failure.Message}");
        }
    }

    private void Print(ModuleCall call)
    {
        var batch = core.Find(call.Id.Shard)?.BatchOf(call.Id) ?? "";
        write(writer =>
        {
            writer.WriteString("event", "call");
            writer.WriteString("module", call.Module.Name);
            writer.WriteString("station", call.Input.Station);
            writer.WriteString("batch", batch);
            writer.WritePropertyName("input");
            writer.WriteRawValue(call.Input.ToJson(), skipInputValidation: true);
        });
    }

    private void Print(ShardEvent happened)
    {
        switch (happened)
        {
            case PartApplied applied:
                write(writer =>
                {
                    writer.WriteString("event", "applied");
                    writer.WriteString("station", applied.Station);
                    writer.WriteString("topic", applied.Source.Topic);
                });
                break;
            case Uploaded uploaded:
                write(writer =>
                {
                    writer.WriteString("event", "upload");
                    writer.WriteString("topic", uploaded.Topic);
                    writer.WriteString("key", uploaded.Key);
                    writer.WritePropertyName("value");
                    writer.WriteRawValue(uploaded.Value.Span, skipInputValidation: true);
                });
                break;
            case DeadLettered dead:
                write(writer =>
                {
                    writer.WriteString("event", "dead-letter");
                    writer.WriteString("topic", dead.Letter.Source.Topic);
                    writer.WriteNumber("partition", dead.Letter.Source.Partition);
                    writer.WriteNumber("offset", dead.Letter.Offset);
                    writer.WriteString("reason", dead.Letter.Reason.Code);
                    writer.WriteNumber("index", dead.Letter.Index);
                    writer.WriteString("detail", dead.Letter.Reason.Detail);
                });
                break;
            case TimerFired fired:
                write(writer =>
                {
                    writer.WriteString("event", "timer");
                    writer.WriteString("kind", fired.Kind);
                    writer.WriteString("entity", fired.Entity);
                    writer.WriteNumber("time", NowMs);
                });
                break;
            default:
                break;
        }
    }
}
