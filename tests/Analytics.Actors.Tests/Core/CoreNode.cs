using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Tests.Pipeline;

// Not "Core": inside Analytics.Actors.Tests that name would hide Analytics.Actors.Core.
namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What a test chooses about its node.</summary>
internal sealed record CoreNodeOptions
{
    public int Shards { get; init; } = 1;
    /// <summary>Opens the store for each process anew, as a restart does; null: one in memory.</summary>
    public Func<ICheckpointStore>? OpenStore { get; init; }

    /// <summary>0: every change is committed by the next step.</summary>
    public long CheckpointIntervalMs { get; init; }

    /// <summary>Null: work is done in the order in which it came up. Else which of the things that may happen next happens is drawn.</summary>
    public int? Seed { get; init; }

    /// <summary>After these steps the process is gone, and a new one starts.</summary>
    public IReadOnlySet<int> CrashAtSteps { get; init; } = new HashSet<int>();

    /// <summary>Records of a shard's log that are read together, at most.</summary>
    public int RunMost { get; init; } = 1;

    public IReadOnlyDictionary<string, int> PartitionCounts { get; init; } = new Dictionary<string, int>();
    public Func<ShardSettings, ShardSettings> Adjust { get; init; } = settings => settings;
}

/// <summary>A call as the module saw it.</summary>
internal sealed record SeenCall(string Module, string Station, JsonObject Input, ModuleCall Call);

/// <summary>
/// The production router and node core on virtual time, and what outlives them: logs, committed positions and the store.
/// The process may be thrown away between any two steps, and a new one takes over. What a broker, a database and modules
/// do is done in single steps: a record is in the log before its sender hears of it, a checkpoint committed before its
/// shard does.
/// </summary>
internal sealed class CoreNode
{
    public const string Group = "core";
    public const long StartMs = 1_763_000_000_000;

    private readonly Dictionary<TopicPartition, List<LogEntry>> logs = [];
    private readonly Dictionary<TopicPartition, long> committed = [];
    private readonly Dictionary<string, Func<SeenCall, CallOutcome?>> modules = new(StringComparer.Ordinal);
    private ICheckpointStore store;
    private readonly CoreNodeOptions options;
    private readonly Random? random;
    private StoreIdentity identity;
    private PipelineConfiguration pipeline;
    private Process? process;

    public CoreNode(string pipeline, CoreNodeOptions? options = null) : this(PipelineFiles.Valid(pipeline), options) { }

    public CoreNode(PipelineConfiguration pipeline, CoreNodeOptions? options = null)
    {
        this.pipeline = pipeline;
        this.options = options ?? new CoreNodeOptions();
        random = this.options.Seed is { } seed ? new Random(seed) : null;
        store = this.options.OpenStore?.Invoke() ?? new MemoryCheckpointStore("c0decafe0123");
        identity = Open();
        Start();
        Run();
    }

    public long NowMs { get; private set; } = StartMs;
    public int Steps { get; private set; }

    /// <summary>How many of the next sends of outputs fail.</summary>
    public int SendFailures { get; set; }

    /// <summary>What shards told, of all processes.</summary>
    public List<ShardEvent> Events { get; } = [];

    public List<SeenCall> Calls { get; } = [];
    public List<string> Warnings { get; } = [];
    public List<StationOrderEnded> OrdersEnded { get; } = [];

    /// <summary>Calls that wait for <see cref="Answer"/>, in the order of their beginning.</summary>
    public IReadOnlyList<SeenCall> WaitingCalls => process!.Waiting;

    /// <summary>Every checkpoint as it was given to the store.</summary>
    public List<ShardCheckpoint> Checkpoints { get; } = [];

    public NodeCore Core => process!.Core;
    public Router Router => process!.Router;
    public Shard Shard => Core.Find(new ShardId(0))!;
    public ICheckpointStore Store => store;
    public ShardSettings Settings => process!.Settings;

    /// <summary>What a module answers; null: its call waits for <see cref="Answer"/>. One that is not named answers {"ok":true}.</summary>
    public CoreNode Module(string name, Func<SeenCall, CallOutcome?> answer)
    {
        modules[name] = answer;
        return this;
    }

    /// <summary>The module's calls wait for <see cref="Answer"/>.</summary>
    public CoreNode Hold(string name) => Module(name, _ => null);

    public static CallOutcome Result(string json) => new(CallOutcomeKind.Result, Encoding.UTF8.GetBytes(json), "");
    public static CallOutcome Error(string reason) => new(CallOutcomeKind.Error, default, reason);
    public static CallOutcome Nothing { get; } = new(CallOutcomeKind.Nothing, default, "");
    public static CallOutcome TimedOut { get; } = new(CallOutcomeKind.Timeout, default, "no answer in time");

    /// <summary>Writes a source record and runs all that follows from it now. Gives its offset.</summary>
    public long Produce(string topic, string value, int partition = 0, long? timestampMs = null)
    {
        var offset = Write(topic, value, partition, timestampMs);
        Run();
        return offset;
    }

    /// <summary>Writes a source record without running anything.</summary>
    public long Write(string topic, string value, int partition = 0, long? timestampMs = null) =>
        Append(new TopicPartition(topic, partition), null, Encoding.UTF8.GetBytes(value), null, timestampMs ?? NowMs);

    /// <summary>Writes bytes to any log, as a foreign or repeated sender would.</summary>
    public long Append(TopicPartition partition, byte[]? key, byte[] value, string? origin, long timestampMs)
    {
        var log = LogOf(partition);
        log.Add(new LogEntry(key, value, origin, timestampMs));
        process?.Appended(partition);
        return log.Count - 1;
    }

    public IReadOnlyList<LogEntry> Log(string topic, int partition = 0) => LogOf(new TopicPartition(topic, partition));

    public IEnumerable<LogEntry> Logs(string topic) => logs.Where(log => log.Key.Topic == topic).OrderBy(log => log.Key).SelectMany(log => log.Value);

    /// <summary>Answers the oldest waiting call of the module and station, and runs what follows.</summary>
    public void Answer(string module, string station, CallOutcome outcome, bool releases = true)
    {
        process!.Answer(module, station, outcome, releases);
        Run();
    }

    /// <summary>The code of a call past its time returns.</summary>
    public void Release(CallId call)
    {
        process!.Tell(new CallReleased(call));
        Run();
    }

    public void Tell(NodeMessage message)
    {
        process!.Tell(message);
        Run();
    }

    /// <summary>Does all that can be done without time passing.</summary>
    public void Run()
    {
        while (process is not null && Step()) { }
    }

    /// <summary>Does one thing; false where there is nothing to do.</summary>
    public bool Step()
    {
        if (process is null || !process.Step()) return false;
        Steps++;
        if (Steps > 2_000_000) throw new InvalidOperationException("the node does not come to rest");
        if (options.CrashAtSteps.Contains(Steps)) Restart();
        return true;
    }

    public void Advance(long ms)
    {
        var until = NowMs + ms;
        Run();
        for (var wakes = 0; process?.NextDueMs is { } due && due <= until; wakes++)
        {
            if (wakes > 100_000) throw new InvalidOperationException("the node asks for a time that has come, again and again");
            NowMs = Math.Max(NowMs, due);
            process.TimePassed();
            Run();
        }

        NowMs = until;
    }

    /// <summary>The process is gone: whatever it held in memory and had not done yet is lost.</summary>
    public void Crash() => process = null;

    /// <summary>A new process takes over from the store and the logs, perhaps with another pipeline.</summary>
    public void Start(PipelineConfiguration? changed = null)
    {
        pipeline = changed ?? pipeline;
        if (process is null && Calls.Count + Steps > 0 && options.OpenStore is not null) Reopen();
        process = new Process(this);
        process.Begin();
    }

    public void Restart(PipelineConfiguration? changed = null)
    {
        Crash();
        Start(changed);
        if (options.CrashAtSteps.Count == 0) Run();
    }

    /// <summary>Uploads and single results as a reader sees them who drops repeats by their origin.</summary>
    public IReadOnlyList<JsonObject> Uploads(string module)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        return Logs(pipeline.Modules[module].OutputTopic).Where(entry => seen.Add(entry.Origin!)).Select(entry => (JsonObject)JsonNode.Parse(entry.Value)!).ToList();
    }

    public JsonObject Upload(string module) => Uploads(module).ShouldHaveSingleItem();

    public IReadOnlyList<JsonObject> DeadLetters
    {
        get
        {
            var seen = new HashSet<string>(StringComparer.Ordinal);
            return Logs(Group + ".dead-letters").Where(entry => seen.Add(entry.Origin!)).Select(entry => (JsonObject)JsonNode.Parse(entry.Value)!).ToList();
        }
    }

    public IEnumerable<string> DeadLetterReasons => DeadLetters.Select(letter => (string)letter["reason"]!);

    /// <summary>What the store holds now; takes the shards away from the process, so it is the last thing to ask.</summary>
    public IReadOnlyList<RecoveredShard> TakeOverAll() => Enumerable.Range(0, options.Shards)
        .Select(shard => store.TakeOverWholeAsync(new ShardId(shard), "test", default).AsTask().GetAwaiter().GetResult()).ToList();

    /// <summary>Ends the process and its connection to the store.</summary>
    public void Close()
    {
        Crash();
        store.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private StoreIdentity Open() => store.OpenAsync(Group, options.Shards, default).AsTask().GetAwaiter().GetResult();

    private void Reopen()
    {
        store.DisposeAsync().AsTask().GetAwaiter().GetResult();
        store = options.OpenStore!();
        var known = identity;
        identity = Open();
        if (!identity.Earlier.Contains(known.StoreId)) identity.StoreId.ShouldBe(known.StoreId, "only a renewal changes it");
    }

    private List<LogEntry> LogOf(TopicPartition partition)
    {
        if (!logs.TryGetValue(partition, out var log)) logs.Add(partition, log = []);
        return log;
    }

    /// <summary>A record as a log holds it.</summary>
    internal sealed record LogEntry(byte[]? Key, byte[] Value, string? Origin, long TimestampMs)
    {
        public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];
    }

    /// <summary>One life of the process: what is lost when it ends.</summary>
    private sealed class Process
    {
        private readonly CoreNode node;
        private readonly List<(string Lane, Action Do)> work = [];
        private readonly Dictionary<TopicPartition, Reader> reading = [];
        private readonly Dictionary<TopicPartition, long> routed = [];
        private readonly HashSet<TopicPartition> pumping = [];
        private readonly List<SeenCall> waiting = [];
        private readonly IReadOnlySet<string> sourceTopics;

        public IReadOnlyList<SeenCall> Waiting => waiting;

        public Process(CoreNode node)
        {
            this.node = node;
            Settings = node.options.Adjust(new ShardSettings
            {
                Pipeline = node.pipeline, Group = Group, ShardCount = node.options.Shards, StoreId = node.identity.StoreId, Earlier = node.identity.Earlier, DetailedEvents = true,
                PartitionCounts = node.options.PartitionCounts,
            });
            Core = new NodeCore(new NodeSettings
            {
                Shards = Settings, CheckpointIntervalMs = node.options.CheckpointIntervalMs,
                UrgentIntervalMs = Math.Min(10, node.options.CheckpointIntervalMs),
            });
            Router = new Router(Settings, new RouterSettings());
            sourceTopics = node.pipeline.Modules.Values.Where(module => module.Enabled).SelectMany(module => module.Topics).ToHashSet(StringComparer.Ordinal);
        }

        public NodeCore Core { get; }
        public Router Router { get; }
        public ShardSettings Settings { get; }

        public long? NextDueMs => (Core.NextDueMs, Router.NextDueMs) switch
        {
            ({ } core, { } router) => Math.Min(core, router),
            var (core, router) => core ?? router,
        };

        public void Begin()
        {
            Tell(new ShardsAssigned(Enumerable.Range(0, Settings.ShardCount).Select(shard => new ShardId(shard)).ToList()));
            foreach (var partition in node.logs.Keys.Order().ToList()) Appended(partition);
        }

        private readonly Dictionary<(ShardId Shard, Epoch Epoch), OutputSender> senders = [];

        public bool Step()
        {
            if (work.Count == 0) return false;
            var index = 0;
            if (node.random is { } random)
            {
                var lanes = work.Select(item => item.Lane).Distinct().ToList();
                var lane = lanes[random.Next(lanes.Count)];
                index = work.FindIndex(item => item.Lane == lane);
            }

            var next = work[index];
            work.RemoveAt(index);
            next.Do();
            return true;
        }

        public void TimePassed()
        {
            Tell(new TimePassed());
            Route(effects => Router.TimePassed(node.NowMs, false, effects));
        }

        public void Appended(TopicPartition partition)
        {
            if (Settings.IsKeyed(partition.Topic)) Pump(partition, ReadNext);
            else if (partition.Topic == Settings.ReplayTopic || sourceTopics.Contains(partition.Topic) || node.pipeline.Topics.TryGetValue(partition.Topic, out var topic) && topic.OutputOf is null) Pump(partition, RouteNext);
            else if (reading.ContainsKey(partition)) Pump(partition, ReadNext);
        }

        public void Tell(NodeMessage message)
        {
            List<NodeEffect> effects = [];
            Core.Handle(message, node.NowMs, effects);
            Core.Settle(node.NowMs, effects);
            Core.TakeEvents(node.Events);
            foreach (var effect in effects) CarryOut(effect);
        }

        public void Answer(string module, string station, CallOutcome outcome, bool releases)
        {
            var index = waiting.FindIndex(call => call.Module == module && call.Station == station);
            if (index < 0) throw new InvalidOperationException($"no call of {module} for {station} waits");
            var call = waiting[index];
            waiting.RemoveAt(index);
            Tell(new CallReturned(call.Call.Id, outcome, releases));
        }

        private void Pump(TopicPartition partition, Func<TopicPartition, bool> next)
        {
            if (!pumping.Add(partition)) return;
            Do($"read {partition}", () =>
            {
                pumping.Remove(partition);
                if (next(partition)) Pump(partition, next);
            });
        }

        private bool RouteNext(TopicPartition partition)
        {
            if (!routed.TryGetValue(partition, out var offset))
            {
                offset = node.committed.GetValueOrDefault(partition);
                Router.Assigned(partition, 0, offset, SourceGrant.Everything(partition, 0, 0));
            }

            var log = node.LogOf(partition);
            if (offset >= log.Count) return false;
            routed[partition] = offset + 1;
            var entry = log[(int)offset];
            Route(effects =>
            {
                var chunk = RecordChunk.With(entry.Value, out var value);
                Router.Receive(new SourceRecord(partition, offset, entry.TimestampMs, value, entry.Origin, chunk));
                Router.Flush(effects);
            });
            return offset + 1 < log.Count;
        }

        private bool ReadNext(TopicPartition partition)
        {
            var log = node.LogOf(partition);
            if (!reading.TryGetValue(partition, out var reader) || reader.IsPaused || reader.Next >= log.Count) return false;
            List<LogRecord> run = [];
            for (; run.Count < node.options.RunMost && reader.Next < log.Count; reader.Next++)
            {
                var record = log[(int)reader.Next];
                // Its bytes are there while the shard receives it, and then others.
                var chunk = RecordChunk.With(record.Value, out var value);
                run.Add(new LogRecord(partition, reader.Next, record.TimestampMs, value, record.Key is { } key ? key : default(ReadOnlyMemory<byte>?), record.Origin, chunk));
            }

            Tell(new RecordsRead(partition, run));
            foreach (var record in run) record.Chunk!.Release();
            return true;
        }

        private void Route(Action<List<RouterEffect>> action)
        {
            List<RouterEffect> effects = [];
            action(effects);
            foreach (var effect in effects)
            {
                switch (effect)
                {
                    case SendEnvelope send:
                        var value = send.Value.ToArray();
                        Do($"send {send.Destination}", () =>
                        {
                            node.Append(send.Destination, null, value, null, node.NowMs);
                            Do($"send {send.Destination}", () => Route(after =>
                            {
                                Router.Acknowledged(send.Destination, send.Number, after);
                                Router.Flush(after);
                            }));
                        });
                        break;
                    case CommitPositions commit:
                        Do("commit positions", () =>
                        {
                            foreach (var (partition, next) in commit.Positions) node.committed[partition] = next;
                            Router.CommitFinished(commit.Positions, true);
                        });
                        break;
                    case StorePositions or PauseTopic:
                        break;
                    default:
                        throw new InvalidOperationException($"not expected in these tests: {effect}");
                }
            }
        }

        private void CarryOut(NodeEffect effect)
        {
            switch (effect)
            {
                case TakeOver takeOver:
                    Do("store", () =>
                    {
                        var recovered = node.store.TakeOverAsync(takeOver.Shard, "node", default).AsTask().GetAwaiter().GetResult();
                        Do("store", () => Tell(new ShardTakenOver(recovered)));
                    });
                    break;
                case ShardLoad load:
                    Do("store", () =>
                    {
                        var loaded = node.store.LoadAsync(load, default).AsTask().GetAwaiter().GetResult();
                        Do("load", () => Tell(loaded));
                    });
                    break;
                case StartReading start:
                    reading[start.Partition] = new Reader { Next = start.Next };
                    Pump(start.Partition, ReadNext);
                    break;
                case StopReading stop:
                    reading.Remove(stop.Partition);
                    break;
                case PauseReading pause:
                    reading[pause.Partition].IsPaused = pause.Pause;
                    Pump(pause.Partition, ReadNext);
                    break;
                case Commit commit:
                    Do("store", () =>
                    {
                        var outcomes = node.store.CommitAsync(commit.Checkpoints, default).AsTask().GetAwaiter().GetResult();
                        node.Checkpoints.AddRange(commit.Checkpoints);
                        Do("store", () => Tell(new CommitFinished(outcomes)));
                    });
                    break;
                case SendOutputs send:
                    if (!senders.TryGetValue((send.Shard, send.Epoch), out var sender)) senders.Add((send.Shard, send.Epoch), sender = new OutputSender());
                    List<OutboxEntry> now = [];
                    sender.Enqueue(send.Entries, now);
                    foreach (var entry in now) Do($"send {entry.Destination}", () => Send(send, sender, entry));
                    break;
                case BeginCall begin:
                    Call(begin.Call);
                    break;
                case Warn warn:
                    node.Warnings.Add(warn.Text);
                    break;
                case StationOrderEnded ended:
                    node.OrdersEnded.Add(ended);
                    break;
                case AbandonShard or ReleaseShard:
                    break;
                default:
                    throw new InvalidOperationException($"not expected in these tests: {effect}");
            }
        }

        private void Send(SendOutputs order, OutputSender sender, OutboxEntry entry)
        {
            var origin = entry.Headers.Single(header => header.Key == Header.Origin).Value;
            node.LogOf(entry.Destination).Add(new LogEntry(entry.Key, entry.Value, origin, entry.TimestampMs) { Headers = entry.Headers });
            Appended(entry.Destination);
            Do($"send {entry.Destination}", () =>
            {
                if (sender.Acknowledged(entry.Destination) is { } next) Do($"send {entry.Destination}", () => Send(order, sender, next));
                Tell(new OutputsSent(order.Shard, order.Epoch, entry.Destination, entry.Sequence));
            });
        }

        private void Call(ModuleCall call)
        {
            var seen = new SeenCall(call.Module.Name, call.Input.Station, (JsonObject)JsonNode.Parse(call.Input.ToJson())!, call);
            node.Calls.Add(seen);
            Do($"call {call.Module.Name} {call.Input.Station}", () =>
            {
                var outcome = node.modules.TryGetValue(seen.Module, out var answer) ? answer(seen) : Result("""{"ok":true}""");
                if (outcome is { } given) Tell(new CallReturned(call.Id, given, true));
                else waiting.Add(seen);
            });
        }

        private void Do(string lane, Action action) => work.Add((lane, action));

        private sealed class Reader
        {
            public long Next { get; set; }
            public bool IsPaused { get; set; }
        }
    }
}
