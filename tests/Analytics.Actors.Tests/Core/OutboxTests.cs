using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What leaves a shard: after its checkpoint, in order, one at a time per destination, and again after a recovery.</summary>
public class OutboxTests
{
    private static readonly TopicPartition First = new("FIRST", 0);
    private static readonly TopicPartition Second = new("SECOND", 3);

    [Fact]
    public void Nothing_leaves_before_its_checkpoint_has_committed()
    {
        var outbox = new Outbox();
        var entry = Add(outbox, First);
        Sendable(outbox).ShouldBeEmpty();
        outbox.HasAdded.ShouldBeTrue();
        outbox.TakeAdded().ShouldBe([entry]);
        Sendable(outbox).ShouldBeEmpty("it is written, but not committed");
        outbox.Committed([entry]);
        Sendable(outbox).ShouldBe([entry]);
    }

    [Fact]
    public void One_is_outstanding_per_destination_and_they_go_in_order()
    {
        var outbox = new Outbox();
        OutboxEntry[] entries = [Add(outbox, First), Add(outbox, First), Add(outbox, Second), Add(outbox, First)];
        entries.Select(entry => entry.Sequence).ShouldBe([0, 1, 0, 2]);
        outbox.Committed(outbox.TakeAdded());
        var sendable = Sendable(outbox);
        sendable.ShouldBe(entries);
        Sendable(outbox).ShouldBeEmpty("handed out once");

        var sender = new OutputSender();
        List<OutboxEntry> send = [];
        sender.Enqueue(sendable, send);
        send.ShouldBe([entries[0], entries[2]]);
        sender.Failed(First).ShouldBe(entries[0], "the same again, never the next");
        sender.Acknowledged(First).ShouldBe(entries[1]);
        sender.Acknowledged(Second).ShouldBeNull();
        send.Clear();
        var late = Add(outbox, First);
        sender.Enqueue([late], send);
        send.ShouldBeEmpty("one is outstanding");
        sender.Acknowledged(First).ShouldBe(entries[3]);
        sender.Acknowledged(First).ShouldBe(late);
    }

    [Fact]
    public void Acknowledgements_are_a_prefix_and_late_echoes_change_nothing()
    {
        var outbox = new Outbox();
        OutboxEntry[] entries = [Add(outbox, First), Add(outbox, First), Add(outbox, Second), Add(outbox, First)];
        outbox.Committed(outbox.TakeAdded());
        outbox.Acknowledged(First, 1);
        outbox.Acknowledged(First, 0);
        outbox.Acknowledged(Second, 0);
        outbox.Acknowledged(new TopicPartition("THIRD", 0), 7);
        outbox.TakeRemoved().ShouldBe([new OutboxAcknowledgement(First, 1), new OutboxAcknowledgement(Second, 0)]);
        outbox.TakeRemoved().ShouldBeEmpty();
        outbox.Count.ShouldBe(1);
        outbox.Bytes.ShouldBe(entries[3].Value.Length);
    }

    [Fact]
    public void What_was_read_at_takeover_is_sent_again_in_order_before_anything_new()
    {
        var outbox = new Outbox();
        outbox.Restore(First, 7);
        outbox.Restore(Entry(First, 5));
        outbox.Restore(Entry(First, 6));
        var added = Add(outbox, First);
        added.Sequence.ShouldBe(7);
        Sendable(outbox).Select(entry => entry.Sequence).ShouldBe([5, 6]);
        outbox.Committed(outbox.TakeAdded());
        Sendable(outbox).Single().Sequence.ShouldBe(7);
    }

    [Fact]
    public void Sequences_go_on_after_everything_was_acknowledged_and_the_node_restarted()
    {
        var node = new CoreNode(OneModule());
        node.Produce(Meters, Values(1, "S1"));
        node.Produce(Meters, Values(2, "S1"));
        node.Restart();
        node.Produce(Meters, Values(3, "S1"));
        Sequences(node, "MODULE-OUTPUT-M").ShouldBe([0, 1, 2]);
        Sequences(node, Group + ".batch-results").ShouldBe([0, 1, 2]);
    }

    [Fact]
    public void An_upload_is_in_the_store_before_it_is_in_the_log()
    {
        var node = new CoreNode(OneModule());
        node.Write(Meters, Values(1, "S1"));
        while (!node.Checkpoints.Any(checkpoint => checkpoint.OutboxAdded.Any(entry => entry.Destination.Topic == "MODULE-OUTPUT-M")))
        {
            node.Logs("MODULE-OUTPUT-M").ShouldBeEmpty();
            node.Step().ShouldBeTrue();
        }

        // The process ends before it hears of its commit: the next one sends what the store holds.
        node.Logs("MODULE-OUTPUT-M").ShouldBeEmpty();
        node.Restart();
        node.Logs("MODULE-OUTPUT-M").Count().ShouldBe(1);
        node.Calls.Count.ShouldBe(1);
    }

    [Fact]
    public void What_was_sent_but_not_acknowledged_is_sent_again_with_its_origin()
    {
        var node = new CoreNode(OneModule());
        node.Write(Meters, Values(1, "S1"));
        while (!node.Logs("MODULE-OUTPUT-M").Any()) node.Step().ShouldBeTrue();
        node.Restart();
        node.Logs("MODULE-OUTPUT-M").Count().ShouldBe(2);
        node.Logs("MODULE-OUTPUT-M").Select(entry => entry.Origin).Distinct().Count().ShouldBe(1);
        node.Logs("MODULE-OUTPUT-M").First().Value.ShouldBe(node.Logs("MODULE-OUTPUT-M").Last().Value);
        node.Uploads("m").Count.ShouldBe(1);
    }

    [Fact]
    public void Answers_are_packed_below_the_limit_of_an_envelope()
    {
        var node = new CoreNode(OneModule(), new CoreNodeOptions { CheckpointIntervalMs = 1_000, Adjust = settings => settings with { EnvelopeBytesMax = 1_000 } });
        node.Produce(Meters, Values(1, Enumerable.Range(0, 100).Select(number => $"S{number}").ToArray()));
        node.Advance(1_000);
        ((int)node.Upload("m")["station_count"]!).ShouldBe(100);
        var answers = node.Logs(Group + ".batch-results").Where(entry => entry.Origin is not null).ToList();
        answers.Count.ShouldBeGreaterThan(3);
        answers.ShouldAllBe(entry => entry.Value.Length < 1_000 + 50);
    }

    [Fact]
    public void Destination_partitions_are_those_of_the_key()
    {
        var node = new CoreNode(OneModule("\"batch\": \"none\""), new CoreNodeOptions { PartitionCounts = new Dictionary<string, int> { ["MODULE-OUTPUT-M"] = 4 } });
        var stations = Enumerable.Range(0, 20).Select(number => $"S{number}").ToArray();
        node.Produce(Meters, Values(1, stations));
        for (var partition = 0; partition < 4; partition++)
        {
            node.Log("MODULE-OUTPUT-M", partition).Select(entry => System.Text.Encoding.UTF8.GetString(entry.Key!))
                .ShouldBe(stations.Where(station => Analytics.Actors.Core.Records.Murmur2.Partition(station, 4) == partition));
        }
    }

    private static IEnumerable<long> Sequences(CoreNode node, string topic) =>
        node.Logs(topic).Where(entry => entry.Origin is not null).Select(entry => Origin.TryParse(entry.Origin, out var origin) ? origin.Sequence : -1).Distinct();

    private static OutboxEntry Add(Outbox outbox, TopicPartition destination) => outbox.Add(destination, sequence => Entry(destination, sequence));

    private static OutboxEntry Entry(TopicPartition destination, long sequence) => new(destination, sequence, null, [1, 2, 3], [], 0);

    private static List<OutboxEntry> Sendable(Outbox outbox)
    {
        List<OutboxEntry> sendable = [];
        outbox.TakeSendable(sendable);
        return sendable;
    }
}
