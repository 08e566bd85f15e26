using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Kafka;

namespace Analytics.Actors.Tests.Kafka;

/// <summary>Records are taken from the native client many at a time: nothing of a record may get lost or mixed up on the way.</summary>
public sealed class BatchReadingTests(BrokerFixture fixture) : IClassFixture<BrokerFixture>
{

    [Fact]
    public async Task Records_of_several_topics_and_partitions_arrive_whole_and_in_order_whatever_they_have()
    {
        var partitions = new[] { fixture.NewTopic(3), fixture.NewTopic(2) }.SelectMany((topic, index) => Enumerable.Range(0, 3 - index).Select(number => new TopicPartition(topic, number))).ToArray();
        using var producer = new PartitionProducer(fixture.Options);
        var random = new Random(5);
        var sent = partitions.ToDictionary(partition => partition, _ => new List<ReadRecord>());
        for (var number = 0; number < 4_000; number++)
        {
            var partition = partitions[random.Next(partitions.Length)];
            var value = Bytes(random, random.Next(10) switch { 0 => 0, 1 => random.Next(20_000), _ => random.Next(500) });
            var hasValue = random.Next(20) > 0;
            var key = random.Next(4) switch { 0 => null, 1 => [], _ => Bytes(random, random.Next(1, 20)) };
            // The last header of a name counts; those of others are none of ours.
            List<RecordHeader> headers = random.Next(6) switch
            {
                0 => [new("traceparent", Bytes(random, 50))],
                1 => [new("aa-origin", "first"u8.ToArray()), new("aa-origin", "zweiter-ü"u8.ToArray()), new("aa", [1])],
                2 => [new("aa-origin", [])],
                // Kafka has headers without a value; of this name only somebody else writes them.
                3 => [new("aa-origin", [1]), new("aa-origin", null!)],
                _ => [],
            };
            var origin = headers.LastOrDefault(header => header.Name == "aa-origin") is { Value: { } text } ? Encoding.UTF8.GetString(text) : null;
            sent[partition].Add(new ReadRecord(partition, sent[partition].Count, 1_000 + number, key, hasValue ? value : [], hasValue, origin));
            producer.Send(partition, key, hasValue ? value : default(ReadOnlyMemory<byte>?), headers, 1_000 + number, _ => { });
        }

        producer.Flush(Waiting.AtMost).ShouldBeTrue();
        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        foreach (var partition in partitions) _ = consumer.Assign(partition, 0);
        await sink.Records.WaitUntil(records => records.Count >= 4_000);

        sink.Records.All.Count.ShouldBe(4_000);
        foreach (var (partition, expected) in sent) sink.Records.All.Where(record => record.Partition == partition).Select(Text).ShouldBe(expected.Select(Text));
    }

    [Fact]
    public async Task A_run_ends_where_its_chunk_is_full_and_a_record_larger_than_any_chunk_is_one_of_its_own()
    {
        var partition = new TopicPartition(fixture.NewTopic(1), 0);
        using var producer = new PartitionProducer(fixture.Options);
        var random = new Random(6);
        // The embedded broker keeps 5 MB of a partition.
        byte[][] values = [.. new[] { 600_000, 500_000, 300_000, 2_000_000, 10, RecordChunk.PooledBytesMax, 20 }.Select(size => Bytes(random, size))];
        foreach (var value in values) (await producer.SendAsync(partition, value)).Result.ShouldBe(SendResult.Sent);

        var sink = new RunSink();
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        _ = consumer.Assign(partition, 0);
        await sink.Runs.WaitUntil(runs => runs.Sum(run => run.Count) == values.Length);

        var runs = sink.Runs.All;
        runs.SelectMany(run => run).Select(record => Convert.ToHexString(Checksum(record.Value))).ShouldBe(values.Select(value => Convert.ToHexString(Checksum(value))));
        foreach (var run in runs) (run.Count == 1 || run.Sum(record => record.Value.Length) <= RecordChunk.PooledBytesMax).ShouldBeTrue();
    }

    /// <summary>Moved to and fro while it reads at full speed, a partition is read from exactly where it was told to, without a hole.</summary>
    [Fact]
    public async Task What_was_fetched_before_a_partition_was_moved_is_not_taken_for_what_comes_after()
    {
        const int Count = 20_000;
        var topic = fixture.NewTopic(2);
        var (moved, steady) = (new TopicPartition(topic, 0), new TopicPartition(topic, 1));
        using var producer = new PartitionProducer(fixture.Options);
        foreach (var partition in new[] { moved, steady })
        {
            for (var number = 0; number < Count; number++) producer.Send(partition, null, new byte[100], [], 1, _ => { });
        }

        producer.Flush(Waiting.AtMost).ShouldBeTrue();
        var sink = new MoveSink(moved);
        await using var consumer = new DataConsumer(fixture.Options, "reader", sink);
        _ = consumer.Assign(steady, 0);
        var random = new Random(7);
        for (var round = 0; round < 60; round++)
        {
            var from = random.Next(Count - 10);
            sink.Expect(from);
            _ = consumer.Assign(moved, from);
            if (round % 3 == 0)
            {
                _ = consumer.Pause(moved);
                _ = consumer.Resume(moved);
            }

            await sink.Reached.WaitFor(offset => offset >= from);
            sink.Reached.Clear();
        }

        sink.Faults.ShouldBeEmpty();
        await sink.SteadyEnd.WaitFor(offset => offset == Count - 1);
    }

    /// <summary>
    /// A member that reads at full speed loses half of its partitions: nothing of them is delivered once their revocation was told,
    /// and the next owner goes on where they were committed, so that nothing is missing and nothing comes twice. A group that has
    /// begun its next rebalance already takes no commit any more: then comes again what was not committed, and no more.
    /// </summary>
    [Fact]
    public async Task Nothing_of_a_revoked_partition_is_delivered_after_its_revocation_and_its_next_owner_misses_nothing()
    {
        const int Partitions = 4;
        const int Count = 8_000;
        var store = new MemoryCheckpointStore("0123456789ab");
        await store.OpenAsync("group", 1, default);
        var (group, topic) = (fixture.NewName("group"), fixture.NewTopic(Partitions));
        using var producer = new PartitionProducer(fixture.Options);
        void Send(int from, int to)
        {
            for (var number = from; number < to; number++)
            {
                for (var partition = 0; partition < Partitions; partition++) producer.Send(new TopicPartition(topic, partition), null, new byte[50], [], 1_000 + number, _ => { });
            }

            producer.Flush(Waiting.AtMost).ShouldBeTrue();
        }

        Send(0, 100);
        RouterTopic[] topics = [new(topic, new StartPosition(StartKind.Earliest), new OutOfRangePolicy(OutOfRangeKind.Stop))];
        var read = new EventLog<int>();
        var first = new GroupMember(read);
        await using var one = new RouterSource(fixture.Options, group, topics, store, first);
        first.Commit = one.CommitAsync;
        await read.WaitUntil(_ => first.Total == 100 * Partitions);

        // Records keep coming while the second member joins, and until the first has given partitions up.
        var sent = 100;
        var sending = Task.Run(() =>
        {
            for (var joining = System.Diagnostics.Stopwatch.StartNew(); sent < Count || (first.RevokedCount == 0 && joining.Elapsed < Waiting.AtMost); sent += 100) Send(sent, sent + 100);
        });
        var second = new GroupMember(read);
        await using var two = new RouterSource(fixture.Options, group, topics, store, second);
        second.Commit = two.CommitAsync;
        await sending;
        await read.WaitUntil(_ => first.Total + second.Total >= sent * Partitions + first.Uncommitted + second.Uncommitted);
        first.Faults.ShouldBeEmpty();
        second.Faults.ShouldBeEmpty();
        first.RevokedCount.ShouldBeGreaterThan(0);
        (first.Total + second.Total).ShouldBe(sent * Partitions + first.Uncommitted + second.Uncommitted, $"first: {first.History}\nsecond: {second.History}");
    }

    /// <summary>librdkafka 2.0 rests for up to a second each time when its queue was full: half a minute here.</summary>
    [Fact]
    public async Task Fetching_goes_on_as_soon_as_a_full_queue_has_room()
    {
        const int Count = 2_000;
        var topic = fixture.NewTopic(4);
        // A fetch brings at least one batch of each partition.
        using var producer = new PartitionProducer(fixture.Options with { Producer = new Dictionary<string, string> { ["batch.num.messages"] = "50" } });
        for (var number = 0; number < Count * 4; number++) producer.Send(new TopicPartition(topic, number % 4), null, new byte[1_000], [], 1, _ => { });
        producer.Flush(Waiting.AtMost).ShouldBeTrue();
        var sink = new BusySink();
        // What one fetch brings fills the queue.
        var small = new Dictionary<string, string>(fixture.Options.Consumer) { ["max.partition.fetch.bytes"] = "32768" };
        await using var consumer = new DataConsumer(fixture.Options with { ConsumerQueueKilobytesMax = 64, Consumer = small }, "reader", sink);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        for (var partition = 0; partition < 4; partition++) _ = consumer.Assign(new TopicPartition(topic, partition), 0);

        await sink.Read.WaitUntil(counts => counts.Sum() == Count * 4);
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
    }

    /// <summary>To wake its threads a client is given the credentials that it has: those of Kerberos and of tokens are none that could be given.</summary>
    [Theory]
    [InlineData("plaintext", null, "")]
    [InlineData("SASL_SSL", "user", "user")]
    [InlineData("sasl_plaintext", null, null)]
    public void A_client_is_given_no_user_that_it_does_not_have(string protocol, string? user, string? given)
    {
        var configuration = new Dictionary<string, string> { ["security.protocol"] = protocol };
        if (user is not null) (configuration["sasl.username"], configuration["sasl.password"]) = (user, "secret");

        MessageBatch.CredentialsOf(configuration)?.User.ShouldBe(given);
        MessageBatch.CredentialsOf(configuration).HasValue.ShouldBe(given is not null);
    }

    private static byte[] Bytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private static byte[] Checksum(byte[] value) => System.Security.Cryptography.SHA256.HashData(value);

    private static string Text(ReadRecord record) =>
        $"{record.Partition} {record.Offset} {record.TimestampMs} {(record.Key is null ? "none" : Convert.ToHexString(record.Key))} {record.HasValue} {Convert.ToHexString(Checksum(record.Value))} {record.Origin ?? "none"}";

    /// <summary>Slower than the client fetches, so that the client's queue is full all the time.</summary>
    private sealed class BusySink : IRecordSink
    {
        public EventLog<int> Read { get; } = new();

        public void OnRecords(RecordRun records)
        {
            var count = records.Records.Count;
            Thread.SpinWait(2_000 * count);
            records.Release();
            Read.Add(count);
        }

        public void OnOutOfRange(TopicPartition partition, long position)
        {
        }
    }

    private sealed class RunSink : IRecordSink
    {
        public EventLog<List<ReadRecord>> Runs { get; } = new();

        public void OnRecords(RecordRun records)
        {
            var run = ReadRecord.Of(records);
            records.Release();
            Runs.Add(run);
        }

        public void OnOutOfRange(TopicPartition partition, long position)
        {
        }
    }

    /// <summary>Expects each partition's offsets without a hole, and the moved one's from where the last move that was carried out says.</summary>
    private sealed class MoveSink(TopicPartition moved) : IRecordSink
    {
        private readonly Queue<long> moves = new();
        private long next = -1;
        private long steadyNext;

        public EventLog<long> Reached { get; } = new();
        public EventLog<long> SteadyEnd { get; } = new();
        public List<string> Faults { get; } = [];

        public void Expect(long from)
        {
            lock (moves) moves.Enqueue(from);
        }

        public void OnAssigned(TopicPartition partition)
        {
            if (partition != moved) return;
            lock (moves) next = moves.Dequeue();
        }

        public void OnRecords(RecordRun records)
        {
            foreach (var record in records.Records)
            {
                ref var expected = ref record.Partition == moved ? ref next : ref steadyNext;
                if (record.Offset != expected) Faults.Add($"{record.Partition} offset {record.Offset} instead of {expected}");
                expected = record.Offset + 1;
            }

            var last = records.Records[^1].Offset;
            (records.Partition == moved ? Reached : SteadyEnd).Add(last);
            records.Release();
        }

        public void OnOutOfRange(TopicPartition partition, long position) => Faults.Add($"{partition} has no {position}");
    }

    /// <summary>Reads its partitions without a hole and commits what it has read when they go.</summary>
    private sealed class GroupMember(EventLog<int> read) : IRouterListener
    {
        private readonly Lock gate = new();
        private readonly Dictionary<TopicPartition, long> next = [];
        private readonly Dictionary<TopicPartition, long> begun = [];
        private readonly List<string> history = [];
        private long total, uncommitted;
        private int revoked;

        public Func<IReadOnlyList<PartitionOffset>, Task<CommitOutcome>>? Commit { get; set; }
        public List<string> Faults { get; } = [];

        /// <summary>Where it began and ended to read, for the message of a failure.</summary>
        public string History
        {
            get { lock (gate) return string.Join("; ", history); }
        }

        public int RevokedCount => Volatile.Read(ref revoked);
        public long Total => Interlocked.Read(ref total);

        /// <summary>Records that it read and could not commit when their partition went, so that somebody reads them again.</summary>
        public long Uncommitted => Interlocked.Read(ref uncommitted);

        public void OnRecords(RecordRun records)
        {
            lock (gate)
            {
                foreach (var record in records.Records)
                {
                    if (!next.TryGetValue(record.Partition, out var expected)) Faults.Add($"{record.Partition} offset {record.Offset} without a position");
                    else if (record.Offset != expected) Faults.Add($"{record.Partition} offset {record.Offset} instead of {expected}");
                    next[record.Partition] = record.Offset + 1;
                }
            }

            Interlocked.Add(ref total, records.Records.Count);
            var count = records.Records.Count;
            records.Release();
            read.Add(count);
        }

        public void OnPositioned(IReadOnlyList<SourcePlace> places)
        {
            lock (gate)
            {
                history.AddRange(places.Select(place => $"{place.Partition} from {place.Next}{(place.IsNewToGroup ? ", new to the group" : "")}"));
                foreach (var place in places) begun[place.Partition] = next[place.Partition] = place.Next!.Value;
            }
        }

        public async Task OnRevokedAsync(IReadOnlyList<TopicPartition> partitions)
        {
            List<PartitionOffset> done;
            lock (gate)
            {
                done = partitions.Where(next.ContainsKey).Select(partition => new PartitionOffset(partition, next[partition])).ToList();
                foreach (var partition in partitions) next.Remove(partition);
            }

            var outcome = await Commit!(done);
            lock (gate) history.Add($"{string.Join(", ", done)} revoked: {outcome}");
            if (!outcome.Committed)
            {
                // Only a group that goes on to its next rebalance may refuse it.
                if (!outcome.Retriable) lock (gate) Faults.Add($"the last commit failed: {outcome.Error}");
                Interlocked.Add(ref uncommitted, done.Sum(position => position.Next - begun[position.Partition]));
            }

            Interlocked.Add(ref revoked, partitions.Count);
        }

        public void OnLost(IReadOnlyList<TopicPartition> partitions)
        {
            lock (gate) Faults.Add($"lost: {string.Join(", ", partitions)}");
        }
    }
}
