using Analytics.Actors.Kafka;

namespace Analytics.Actors.Node.Configuration;

/// <summary>A node's options as its Kafka clients take them.</summary>
public static class KafkaClientOptionsExtensions
{
    public static KafkaClientOptions ToKafkaClientOptions(this NodeOptions options) => new()
    {
        BootstrapServers = options.Kafka.BootstrapServers,
        ClientId = options.NodeId,
        MaxRecordBytes = options.MaxRecordBytes,
        ConsumerQueueKilobytesMax = options.Limits.QueuedMaxMessagesKbytes,
        RevokeLimit = options.StopDeadline,
        // client.id is the node's own name.
        Common = options.Kafka.Common.Where(option => option.Key != "client.id").ToDictionary(),
        // Of a node's consumers two are members of a group, each of another one.
        Consumer = options.Kafka.GroupInstanceId is { } instance
            ? options.Kafka.Consumer.Append(new("group.instance.id", instance)).ToDictionary()
            : options.Kafka.Consumer,
        Producer = options.Kafka.Producer,
    };
}
