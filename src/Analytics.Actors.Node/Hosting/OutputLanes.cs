using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Kafka;
using Analytics.Actors.Storage;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Node.Hosting;

/// <summary>
/// Sends what shards' outboxes hand out, each destination's next as soon as its last is acknowledged, on the client's own
/// threads: the shards' loop may be busy. It hears of acknowledgements in bundles.
/// </summary>
public sealed class OutputLanes(PartitionProducer producer, NodeObserver observer, Func<NodeMessage, bool> report, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan SendAgainAfter = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ReportAfter = TimeSpan.FromMilliseconds(10);

    private readonly Lock gate = new();
    private readonly Dictionary<(ShardId Shard, Epoch Epoch), OutputSender> senders = [];
    private readonly Dictionary<(ShardId Shard, Epoch Epoch, TopicPartition Destination), long> acknowledged = [];
    private ITimer? timer;
    private bool isDisposed;

    public void Send(SendOutputs order)
    {
        List<OutboxEntry> now = [];
        OutputSender? sender;
        lock (gate)
        {
            if (!senders.TryGetValue((order.Shard, order.Epoch), out sender)) senders.Add((order.Shard, order.Epoch), sender = new OutputSender());
            sender.Enqueue(order.Entries, now);
        }

        foreach (var entry in now) Send(order.Shard, order.Epoch, sender, entry);
    }

    /// <summary>The shard was given up in this epoch: what is outstanding may land, nothing more follows.</summary>
    public void Abandon(ShardId shard, Epoch epoch)
    {
        lock (gate) senders.Remove((shard, epoch));
    }

    public void Dispose()
    {
        lock (gate)
        {
            isDisposed = true;
            timer?.Dispose();
            senders.Clear();
        }
    }

    private void Send(ShardId shard, Epoch epoch, OutputSender sender, OutboxEntry entry)
    {
        var headers = new RecordHeader[entry.Headers.Count];
        for (var index = 0; index < headers.Length; index++)
        {
            headers[index] = new RecordHeader(entry.Headers[index].Key, Encoding.UTF8.GetBytes(entry.Headers[index].Value));
        }

        var begun = time.GetTimestamp();
        observer.SendBegins();
        CrashPoint.Reached(CrashPoint.OutboxBeforeSend);
        producer.Send(entry.Destination, entry.Key, entry.Value, headers, entry.TimestampMs, outcome =>
        {
            observer.SendEnded(entry.Destination.Topic, time.GetElapsedTime(begun), outcome.Result == SendResult.Sent, isOutput: true);
            if (outcome.Result == SendResult.Sent)
            {
                CrashPoint.Reached(CrashPoint.OutboxSent);
                if (Next(shard, epoch, sender, entry) is { } next) Send(shard, epoch, sender, next);
                return;
            }

            if (outcome.Result == SendResult.Impossible && entry.Value.Length > 0)
            {
                // Sizes were checked before the commit, but a topic may take less than we know. Its sequence must not be
                // missing: an empty record of the same origin goes instead.
                observer.Warned($"{entry.Destination} does not take entry {entry.Sequence} of {entry.Value.Length} bytes; an empty record goes instead: {outcome.Error}");
                Send(shard, epoch, sender, entry with { Value = [] });
                return;
            }

            // Never the next: the same one again, after a pause.
            observer.Warned($"sending {entry.Sequence} to {entry.Destination} failed, it is sent again: {outcome.Error}");
            _ = SendAgainAsync(shard, epoch, sender, entry);
        });
    }

    private OutboxEntry? Next(ShardId shard, Epoch epoch, OutputSender sender, OutboxEntry entry)
    {
        lock (gate)
        {
            // Others that come until then travel with it; where none comes, nobody is woken.
            if (acknowledged.Count == 0 && !isDisposed)
            {
                timer ??= time.CreateTimer(_ => Report(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                timer.Change(ReportAfter, Timeout.InfiniteTimeSpan);
            }

            acknowledged[(shard, epoch, entry.Destination)] = entry.Sequence;
            var next = sender.Acknowledged(entry.Destination);
            return senders.TryGetValue((shard, epoch), out var current) && current == sender ? next : null;
        }
    }

    private async Task SendAgainAsync(ShardId shard, Epoch epoch, OutputSender sender, OutboxEntry entry)
    {
        await Task.Delay(SendAgainAfter, time).ConfigureAwait(false);
        lock (gate)
        {
            if (!senders.TryGetValue((shard, epoch), out var current) || current != sender) return;
        }

        try
        {
            Send(shard, epoch, sender, entry);
        }
        catch (ObjectDisposedException)
        {
            // The node has stopped: the next owner sends it.
        }
    }

    private void Report()
    {
        KeyValuePair<(ShardId Shard, Epoch Epoch, TopicPartition Destination), long>[] bundle;
        lock (gate)
        {
            if (acknowledged.Count == 0) return;
            bundle = [.. acknowledged];
            acknowledged.Clear();
        }

        foreach (var (lane, upTo) in bundle) report(new OutputsSent(lane.Shard, lane.Epoch, lane.Destination, upTo));
    }
}
