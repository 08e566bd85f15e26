using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Routing;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Which topic the router goes on with, and which it reads no more, against shards of many paces.</summary>
public class RouterFairnessTests
{
    private static readonly TopicPartition Old = new(Meters, 0);
    private static readonly TopicPartition Fresh = new(Params, 0);

    [Fact]
    public void A_full_queue_pauses_its_topic_alone_and_half_of_it_resumes_it()
    {
        var run = new Run(1, new RouterSettings { TopicWaitingBytesMax = 2_000, AheadBytesMax = 300, AheadBytesMin = 300 });
        while (run.Effects.OfType<PauseTopic>().FirstOrDefault() is null) run.Offer(Old);
        run.Effects.OfType<PauseTopic>().ShouldBe([new PauseTopic(Meters, true)]);
        run.Router.Flows[Meters].IsHeld.ShouldBeTrue();
        run.Offer(Fresh);
        run.AcknowledgeAll();
        run.Landed.SelectMany(envelope => envelope.Sources).ShouldContain((Fresh, 0L), "the other topic has room");
        for (var round = 0; round < 100 && run.Effects.OfType<PauseTopic>().Count() == 1; round++) run.ApplyAll();
        run.Effects.OfType<PauseTopic>().ShouldBe([new PauseTopic(Meters, true), new PauseTopic(Meters, false)]);
        run.Router.Flows[Meters].WaitingBytes.ShouldBeLessThanOrEqualTo(1_000);
    }

    [Fact]
    public void Bytes_that_are_not_acknowledged_hold_all_topics_until_half_of_them_are()
    {
        var run = new Run(1, new RouterSettings { WaitingBytesMax = 1_000, AheadBytesMin = 1_000_000 });
        for (var count = 0; count < 100; count++) run.Offer(Old);
        run.Router.Flows[Meters].AheadBytes.ShouldBeLessThan(1_300);
        run.Router.Flows[Meters].WaitingBytes.ShouldBeGreaterThan(0);
        run.Offer(Fresh);
        run.Router.Flows[Params].AheadBytes.ShouldBe(0);
        run.ApplyAll();
        while (!run.Router.IsIdle) run.ApplyAll();
        run.Landed.SelectMany(envelope => envelope.Sources).Count().ShouldBe(101);
    }

    [Fact]
    public void A_shard_that_stands_still_does_not_hold_the_others_for_ever()
    {
        var run = new Run(4, new RouterSettings { AheadBytesMin = 1_000, AheadBytesMax = 1_000 });
        for (var count = 0; count < 400; count++) run.Offer(Old);
        for (var round = 0; round < 400 && !run.Router.IsIdle; round++) run.Pass(100, _ => long.MaxValue, stopped: 2);
        run.Router.IsIdle.ShouldBeTrue();
        for (var round = 0; round < 3; round++) run.Pass(100, _ => long.MaxValue, stopped: 2);
        run.Router.Flows[Meters].AheadBytes.ShouldBe(0, "what nobody applies is not waited for");
    }

    [Fact]
    public void Near_shards_are_asked_more_often_while_a_topic_waits_for_them_and_one_that_stands_still_has_its_ten_seconds()
    {
        var run = new Run(4, new RouterSettings { AheadBytesMin = 1_000, AheadBytesMax = 1_000 }) { AreNear = true };
        for (var count = 0; count < 400; count++) run.Offer(Old);
        for (var looks = 0; looks < 2; looks++) run.Pass(100, _ => long.MaxValue, stopped: 2);
        run.Router.NextDueMs.ShouldBe(run.NowMs + 20);
        for (var round = 0; round < 450; round++) run.Pass(20, _ => long.MaxValue, stopped: 2);
        run.Router.IsIdle.ShouldBeFalse();
        for (var round = 0; round < 400 && !run.Router.IsIdle; round++) run.Pass(20, _ => long.MaxValue, stopped: 2);
        run.Router.IsIdle.ShouldBeTrue();
    }

    [Fact]
    public void A_partition_that_goes_to_another_router_leaves_nothing_behind()
    {
        var run = new Run(2, new RouterSettings { TopicWaitingBytesMax = 2_000, AheadBytesMax = 300, AheadBytesMin = 300 });
        while (run.Effects.OfType<PauseTopic>().FirstOrDefault() is null) run.Offer(Old);
        run.Router.Revoked(Old);
        run.Router.Flush(run.Effects);
        run.Effects.OfType<PauseTopic>().Last().ShouldBe(new PauseTopic(Meters, false));
        while (!run.Router.IsIdle) run.ApplyAll();
        run.ApplyAll();
        run.Router.Flows[Meters].ShouldBe(new TopicFlow(0, 0, false));
    }

    /// <summary>
    /// A backlog without end and a fresh record now and then, shards of a pace that is drawn and changes by a tenth or
    /// tenfold, positions that are written every so often: a fresh record waits for three seconds at most (five where
    /// positions are a second old), but for the time in which a change of pace is found out, and the shards are mostly busy.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void Fresh_records_are_applied_in_time_at_every_pace_and_the_backlog_flows(int seed)
    {
        var random = new Random(seed);
        var shards = random.Next(1, 9);
        var bytesPerMs = Math.Pow(10, 2 + random.NextDouble() * 0.9);
        var writtenEveryMs = random.Next(2) == 0 ? 20 : 1_000;
        var run = new Run(shards, new RouterSettings()) { WrittenEveryMs = writtenEveryMs };
        List<(long AtMs, long Delay)> delays = [];
        double applied = 0, possible = 0;
        var changedMs = 0L;
        for (var step = 0; step < 4_000; step++)
        {
            if (step == 2_000)
            {
                bytesPerMs *= random.Next(2) == 0 ? 0.3 : 3;
                changedMs = run.NowMs;
            }

            while (run.IsRead(Old) && run.Router.Flows.GetValueOrDefault(Meters).WaitingBytes < 1_000_000) run.Offer(Old);
            if (step % 20 == 0) run.Offer(Fresh);
            var pace = (long)(10 * bytesPerMs / shards);
            applied += run.Pass(10, _ => pace);
            if (step is > 800 and < 2_000 or > 2_800) possible += 10 * bytesPerMs;
            if (step is <= 800 or (>= 2_000 and <= 2_800)) applied = possible;
            delays.AddRange(run.TakeApplied().Where(record => record.Source == Fresh).Select(record => (run.NowMs, run.NowMs - record.OfferedMs)));
        }

        delays.Count.ShouldBeGreaterThan(150);
        var settled = delays.Where(delay => delay.AtMs > 8_000 && (delay.AtMs < changedMs || delay.AtMs > changedMs + 6_000)).Max(delay => delay.Delay);
        settled.ShouldBeLessThan(writtenEveryMs == 20 ? 3_000 : 5_000, $"{shards} shards, {bytesPerMs:0} bytes/ms, positions every {writtenEveryMs} ms");
        (applied / possible).ShouldBeGreaterThan(writtenEveryMs == 20 ? 0.7 : 0.4);
        run.OffsetsInOrder.ShouldBeTrue();
    }

    /// <summary>A router, and shards that apply so many bytes in a while.</summary>
    private sealed class Run
    {
        private readonly ShardSettings shards;
        private readonly Dictionary<TopicPartition, long> next = new() { [Old] = 0, [Fresh] = 0 };
        private readonly Dictionary<(TopicPartition, long), long> offered = [];
        private readonly Dictionary<TopicPartition, Queue<Envelope>> logs = [];
        private readonly Dictionary<TopicPartition, long> ends = [];
        private readonly Dictionary<TopicPartition, (long Applied, long Written, double Credit)> positions = [];
        private readonly Dictionary<(TopicPartition Log, TopicPartition Source), long> highest = [];
        private readonly List<(TopicPartition Source, long OfferedMs)> applied = [];
        private readonly HashSet<string> paused = [];
        private int seen;
        private int looks;

        public Run(int count, RouterSettings settings)
        {
            shards = new ShardSettings { Pipeline = PipelineFiles.Valid(With(""" "m": { "topics": ["METERS", "PARAMS"], "batch": "none" } """)), Group = CoreNode.Group, ShardCount = count, StoreId = "c0decafe0123" };
            Router = new Router(shards, settings);
            Router.Assigned(Old, 0, 0, Analytics.Actors.Core.Checkpoints.SourceGrant.Everything(Old, 0, 0));
            Router.Assigned(Fresh, 0, 0, Analytics.Actors.Core.Checkpoints.SourceGrant.Everything(Fresh, 0, 0));
        }

        public Router Router { get; }
        public List<RouterEffect> Effects { get; } = [];
        public List<Envelope> Landed { get; } = [];
        public long NowMs { get; private set; } = 1_000;
        public long WrittenEveryMs { get; init; } = 1;

        /// <summary>Asking the shards takes no question to the store.</summary>
        public bool AreNear { get; init; }
        public bool OffsetsInOrder { get; private set; } = true;

        public bool IsRead(TopicPartition source)
        {
            foreach (var pause in Effects.Skip(seen).OfType<PauseTopic>())
            {
                if (pause.Pause) paused.Add(pause.Topic);
                else paused.Remove(pause.Topic);
            }

            seen = Effects.Count;
            return !paused.Contains(source.Topic);
        }

        public void Offer(TopicPartition source)
        {
            var offset = next[source]++;
            offered[(source, offset)] = NowMs;
            Router.Receive(new SourceRecord(source, offset, CoreNode.StartMs, Encoding.UTF8.GetBytes($$"""[{"stationId":"S{{offset % 50}}"}]"""), null));
            Router.Flush(Effects);
        }

        public void AcknowledgeAll()
        {
            while (Effects.OfType<SendEnvelope>().ToList() is { Count: > 0 } sends)
            {
                Effects.RemoveAll(effect => effect is SendEnvelope);
                seen = Math.Min(seen, Effects.Count);
                foreach (var send in sends)
                {
                    var offset = ends[send.Destination] = ends.GetValueOrDefault(send.Destination, -1) + 1;
                    var envelope = new Envelope(offset, send.Value.Length, PartsEnvelope.Parser.ParseFrom(send.Value.Span).Records.Select(record => (new TopicPartition(record.Topic, record.Partition), record.Offset)).ToList());
                    Landed.Add(envelope);
                    if (!logs.TryGetValue(send.Destination, out var log)) logs.Add(send.Destination, log = new());
                    log.Enqueue(envelope);
                    Router.Acknowledged(send.Destination, send.Number, Effects, offset);
                }

                Router.Flush(Effects);
            }
        }

        public void ApplyAll() => Pass(100, _ => long.MaxValue);

        /// <summary>Time passes, and each shard applies so many bytes of its log, or none.</summary>
        /// <returns>Bytes applied.</returns>
        public double Pass(long ms, Func<TopicPartition, long> bytes, int stopped = -1)
        {
            NowMs += ms;
            Router.TimePassed(NowMs, false, Effects);
            AcknowledgeAll();
            var done = 0.0;
            foreach (var (log, queue) in logs)
            {
                var position = positions.GetValueOrDefault(log);
                if (log.Partition != stopped) position.Credit = queue.Count == 0 ? 0 : position.Credit + bytes(log);
                while (queue.TryPeek(out var envelope) && envelope.Bytes <= position.Credit)
                {
                    queue.Dequeue();
                    position.Credit -= envelope.Bytes;
                    position.Applied = envelope.Offset + 1;
                    done += envelope.Bytes;
                    foreach (var (source, offset) in envelope.Sources)
                    {
                        OffsetsInOrder &= offset >= highest.GetValueOrDefault((log, source), -1);
                        highest[(log, source)] = offset;
                        applied.Add((source, offered[(source, offset)]));
                    }
                }

                if (NowMs / WrittenEveryMs != (NowMs - ms) / WrittenEveryMs) position.Written = position.Applied;
                positions[log] = position;
            }

            looks += Effects.RemoveAll(effect => effect is ReadShardPositions);
            seen = Math.Min(seen, Effects.Count);
            if (looks > 0)
            {
                looks = 0;
                Router.Applied(new ShardsProgress(positions.ToDictionary(pair => pair.Key, pair => pair.Value.Written), 0, AreNear), NowMs);
            }

            Router.Flush(Effects);
            AcknowledgeAll();
            return done;
        }

        public List<(TopicPartition Source, long OfferedMs)> TakeApplied()
        {
            List<(TopicPartition, long)> taken = [.. applied];
            applied.Clear();
            return taken;
        }
    }

    private sealed record Envelope(long Offset, int Bytes, IReadOnlyList<(TopicPartition Source, long Offset)> Sources);
}
