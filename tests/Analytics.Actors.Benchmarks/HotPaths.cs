using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Node.Bench.InProcess;
using Analytics.Actors.Node.Bench.Workloads;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Benchmarks;

/// <summary>
/// A hot path with what it may allocate. The benchmarks measure how fast it is, and the tests hold it to its limit: this is the one
/// list of both.
/// </summary>
/// <param name="name">What one operation is.</param>
/// <param name="bytesMax">Bytes that an operation may allocate in steady state, amortised.</param>
/// <param name="operations">Operations of one run.</param>
internal abstract class HotPath(string name, double bytesMax, int operations)
{
    public string Name => name;
    public double BytesMax => bytesMax;
    public int Operations => operations;

    /// <summary>What comes before each run and is no part of it.</summary>
    public virtual void Prepare() { }

    /// <summary>Does <see cref="Operations"/> operations, all on the caller's thread.</summary>
    public abstract void Run();

    /// <summary>All of them, each ready to run. Tighten a limit as soon as the code allows it; never loosen one to make a test pass.</summary>
    public static IReadOnlyDictionary<string, Func<HotPath>> All { get; } = new Dictionary<string, Func<HotPath>>
    {
        ["split"] = () => new Split(bytesMax: 1),
        ["keyed"] = () => new Keyed(shards: 1, bytesMax: 32),
        ["keyed-64"] = () => new Keyed(shards: 64, bytesMax: 32),
        ["routed"] = () => new ThroughRouter(bytesMax: 64),
        ["push"] = () => new Push(bytesMax: 15_000),
        ["input-after-push"] = () => new Input(isAfterPush: true, bytesMax: 29_000),
        ["input-after-other"] = () => new Input(isAfterPush: false, bytesMax: 2_800),
        ["save"] = () => new Save(bytesMax: 2_600_000),
    };

    /// <summary>A record of the mix is taken apart.</summary>
    internal sealed class Split : HotPath
    {
        private readonly List<(TopicConfiguration Topic, byte[] Value)> records;
        private readonly SplitRecord split = new();

        public Split(double bytesMax) : base("record split", bytesMax, 2_000)
        {
            var workload = new MixWorkload();
            var topics = workload.Configuration(keyed: true).Topics;
            records = [.. Enumerable.Range(0, Operations).Select(number => workload.At(number)).Select(record => (topics[record.Topic], record.Value))];
        }

        public override void Run()
        {
            foreach (var (topic, value) in records)
            {
                RecordSplitter.Split(topic, value, split);
                if (split.Parts.Count != 1) throw new InvalidOperationException("a record of the mix is about one station");
            }
        }
    }

    /// <summary>A record of the mix, keyed by station, is decoded and changes its window.</summary>
    internal sealed class Keyed : HotPath
    {
        private readonly RecordRing ring;
        private readonly Clock clock;
        private readonly CoreDriver core;

        public Keyed(int shards, double bytesMax) : base($"keyed record, {shards} shards", bytesMax, 10_000)
        {
            var workload = new MixWorkload();
            ring = new RecordRing(workload, 0, 40_000, shards, perRun: shards == 1 ? 100 : 20);
            clock = new Clock(workload.TimeOf(0), recordsPerMs: 40_000 / (double)(workload.TimeOf(40_000) - workload.TimeOf(0)));
            core = new CoreDriver(workload.Configuration(keyed: true), clock.NowMs, new CoreDriverOptions { Shards = shards });
        }

        public override void Run() => ring.Read(core, Operations, clock);
    }

    /// <summary>A record of the mix goes through the router, an envelope, and its shard's window.</summary>
    internal sealed class ThroughRouter(double bytesMax) : HotPath("routed record", bytesMax, 10_000)
    {
        private readonly Routed routed = new(new MixWorkload(), 40_000);

        public override void Run() => routed.Read(Operations);
    }

    /// <summary>An hourly push of 168 hours and 8 guns is decoded and stored.</summary>
    internal sealed class Push : HotPath
    {
        private readonly RecordRing ring;
        private readonly Clock clock;
        private readonly CoreDriver core;

        public Push(double bytesMax) : base("grid push", bytesMax, 100)
        {
            var workload = new GridWorkload(50);
            ring = new RecordRing(workload, 1 + workload.Stations, 2 * workload.Stations, 4, perRun: 10);
            clock = new Clock(ring.LastMs + 3_600_000, recordsPerMs: 1);
            core = new CoreDriver(GridScenario.GridOnly(workload), clock.NowMs, new CoreDriverOptions { Shards = 4 });
        }

        public override void Run() => ring.Read(core, Operations, clock);
    }

    /// <summary>An input of load_prediction, after a push or when only the parameters changed.</summary>
    internal sealed class Input : HotPath
    {
        private const int Stations = 50;

        private readonly InputFeed feed = new(Stations);
        private readonly bool isAfterPush;

        public Input(bool isAfterPush, double bytesMax) : base(isAfterPush ? "input after a push" : "input after another topic", bytesMax, isAfterPush ? Stations : 20 * Stations)
        {
            this.isAfterPush = isAfterPush;
            feed.Push();
            feed.Ask(1);
        }

        public override void Prepare()
        {
            if (isAfterPush) feed.Push();
        }

        public override void Run() => feed.Ask(Operations / Stations);
    }

    /// <summary>What changed of 250 stations is written into their shard's checkpoint.</summary>
    internal sealed class Save : HotPath
    {
        private readonly RecordRing ring;
        private readonly Clock clock;
        private readonly CoreDriver core;
        private readonly Shard shard;

        public Save(double bytesMax) : base("checkpoint of 250 stations", bytesMax, 1)
        {
            var workload = new MixWorkload(250);
            ring = new RecordRing(workload, 0, 20_000, 1);
            clock = new Clock(workload.TimeOf(0), recordsPerMs: 20_000 / (double)(workload.TimeOf(20_000) - workload.TimeOf(0)));
            core = new CoreDriver(workload.Configuration(keyed: true), clock.NowMs, new CoreDriverOptions { Shards = 1 });
            shard = core.Core.Running.Single();
        }

        public override void Prepare() => ring.Read(core, ring.Count, clock);

        public override void Run()
        {
            var checkpoint = shard.TakeCheckpoint(release: false, clock.NowMs);
            if (checkpoint.Entities.Count < 3 * 250) throw new InvalidOperationException($"the checkpoint holds {checkpoint.Entities.Count} rows");
            shard.Committed(checkpoint.Number);
        }
    }
}
