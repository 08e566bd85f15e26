using System.Diagnostics;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Positions;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Tests.Kafka;

/// <summary>Facts about logs, as takeovers of many shards ask for them at once.</summary>
public class PositionLookupTests
{
    private const int Logs = 24;
    private static readonly TimeSpan RoundTrip = TimeSpan.FromMilliseconds(100);

    [Fact]
    public async Task Questions_of_many_shards_at_once_take_a_few_round_trips_and_each_gets_its_own_answer()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["log"] = Logs });
        var options = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        using var producer = new PartitionProducer(options);
        foreach (var partition in Enumerable.Range(0, Logs)) await producer.SendNumbersAsync(new TopicPartition("log", partition), partition, 1 + partition % 3, number => 1_000 + number);
        using var lookup = new PositionLookup(options, "group");
        broker.SetRoundTrip(1, (int)RoundTrip.TotalMilliseconds);
        var took = Stopwatch.StartNew();

        // Two of each log: its first record, and one that it does not hold.
        var first = Enumerable.Range(0, Logs).Select(partition => AskAsync(partition, 0)).ToList();
        var beyond = Enumerable.Range(0, Logs).Select(partition => AskAsync(partition, 5)).ToList();
        await Task.WhenAll(first.Concat(beyond));

        // One after another they would take three round trips each, whatever the machine.
        took.Elapsed.ShouldBeLessThan(RoundTrip * 3 * (first.Count + beyond.Count));
        for (var partition = 0; partition < Logs; partition++)
        {
            foreach (var answer in new[] { await first[partition], await beyond[partition] })
            {
                answer.Keys.ShouldBe([new TopicPartition("log", partition)]);
                answer.Values.Single().Log.High.ShouldBe(1 + partition % 3);
            }

            (await first[partition]).Values.Single().Found!.Value.TimestampMs.ShouldBe(1_000 + partition);
            (await beyond[partition]).Values.Single().Found.ShouldBeNull();
        }

        Task<IReadOnlyDictionary<TopicPartition, LogFacts>> AskAsync(int partition, long offset) =>
            lookup.ReadAsync(new Dictionary<TopicPartition, long?> { [new TopicPartition("log", partition)] = offset });
    }

    /// <summary>A node with sixty-four shards and four keyed topics asked two questions of each partition, one after another: seven seconds.</summary>
    [Fact]
    public async Task An_end_of_a_log_whose_range_is_known_is_no_question()
    {
        // Nobody answers there.
        using var lookup = new PositionLookup(KafkaClientOptions.ForEmbeddedBroker("127.0.0.1:1"), "group", _ => { });
        var log = new TopicPartition("log", 0);
        var earliest = lookup.FindAsync(log, new StartPosition(StartKind.Earliest), new LogRange(3, 9));
        var latest = lookup.FindAsync(log, new StartPosition(StartKind.Latest), new LogRange(3, 9));
        earliest.IsCompletedSuccessfully.ShouldBeTrue();
        (await earliest).ShouldBe(3);
        latest.IsCompletedSuccessfully.ShouldBeTrue();
        (await latest).ShouldBe(9);
    }
}
