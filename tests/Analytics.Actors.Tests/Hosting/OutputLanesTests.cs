using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Kafka;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Kafka;
using Analytics.Actors.Tests.Pipeline;
using Microsoft.Extensions.Logging.Abstractions;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Tests.Hosting;

/// <summary>What leaves a shard, on a real producer.</summary>
public class OutputLanesTests
{
    [Fact]
    public async Task An_entry_that_the_broker_refuses_for_good_leaves_as_an_empty_record_of_its_origin_and_the_next_ones_follow()
    {
        using var broker = EmbeddedBroker.Start(topics: new Dictionary<string, int> { ["t"] = 2 });
        var kafka = KafkaClientOptions.ForEmbeddedBroker(broker.BootstrapServers);
        using var producer = new PartitionProducer(kafka);
        await producer.PrepareAsync(["t"], TimeSpan.FromSeconds(10));
        using var observer = new NodeObserver(NullLogger.Instance, PipelineFiles.Valid(SmallPipelines.OneModule()), TimeProvider.System);
        var reports = new EventLog<OutputsSent>();
        using var lanes = new OutputLanes(producer, observer, message =>
        {
            reports.Add((OutputsSent)message);
            return true;
        }, TimeProvider.System);
        var (refused, other) = (new TopicPartition("t", 0), new TopicPartition("t", 1));
        OutboxEntry Entry(TopicPartition destination, long sequence, string value) =>
            new(destination, sequence, Encoding.UTF8.GetBytes("key"), Encoding.UTF8.GetBytes(value), [new(Header.Origin, $"c0decafe0123.3.{destination.Partition}.{sequence}")], 1_234);

        broker.PushErrors(KafkaApi.Produce, BrokerError.InvalidRecord);
        lanes.Send(new SendOutputs(new ShardId(3), new Epoch(2), [Entry(refused, 5, "too much for this topic"), Entry(refused, 6, "next")]));
        await reports.WaitFor(report => report.Destination == refused && report.UpToSequence == 6);
        lanes.Send(new SendOutputs(new ShardId(3), new Epoch(2), [Entry(other, 0, "elsewhere")]));
        await reports.WaitFor(report => report.Destination == other && report.UpToSequence == 0);

        var sink = new RecordingSink();
        await using var consumer = new DataConsumer(kafka, "reader", sink);
        _ = consumer.Assign(refused, 0);
        await sink.WaitForOffset(refused, 1);
        sink.Records.All.Select(record => $"{record.Offset} {record.Origin} {record.TimestampMs} '{Encoding.UTF8.GetString(record.Value)}'")
            .ShouldBe(["0 c0decafe0123.3.0.5 1234 ''", "1 c0decafe0123.3.0.6 1234 'next'"]);
        observer.Problems.Take(10).Newest.ShouldHaveSingleItem().Text.ShouldContain("t[0] does not take entry 5 of 23 bytes");
        reports.All.ShouldAllBe(report => report.Shard == new ShardId(3) && report.Epoch == new Epoch(2));
    }
}
