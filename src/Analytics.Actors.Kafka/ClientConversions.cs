using Confluent.Kafka;
using CorePartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>Between our types and the client library's.</summary>
internal static class ClientConversions
{
    public static TopicPartition ToClient(this CorePartition partition) => new(partition.Topic, partition.Partition);

    public static TopicPartitionOffset ToClient(this PartitionOffset position) => new(position.Partition.ToClient(), position.Next);

    public static CorePartition ToCore(this TopicPartition partition) => new(partition.Topic, partition.Partition.Value);

    /// <summary>A consumer of raw bytes whose log and errors go to the logger.</summary>
    /// <param name="log">Takes the log instead.</param>
    public static ConsumerBuilder<byte[]?, byte[]?> NewConsumer(Dictionary<string, string> configuration, ClientLogger logger, Action<LogMessage>? log = null)
    {
        KafkaNative.Initialize();
        return new ConsumerBuilder<byte[]?, byte[]?>(configuration)
            .SetKeyDeserializer(Bytes)
            .SetValueDeserializer(Bytes)
            .SetLogHandler((_, message) => (log ?? logger.Native)(message))
            // Fatal ones also end the consumer's loop; the others say that brokers are away, which the client retries.
            .SetErrorHandler((_, error) => logger.Warning(error.Reason));
    }

    /// <summary>The end of a partition's log as of the last fetch; null where there was none.</summary>
    public static long? KnownHighWatermark(this IConsumer<byte[]?, byte[]?> consumer, CorePartition partition)
    {
        try
        {
            var high = consumer.GetWatermarkOffsets(partition.ToClient()).High;
            return high.IsSpecial ? null : high.Value;
        }
        catch (KafkaException)
        {
            return null;
        }
    }

    private static readonly IDeserializer<byte[]?> Bytes = new NullableBytes();

    private sealed class NullableBytes : IDeserializer<byte[]?>
    {
        public byte[]? Deserialize(ReadOnlySpan<byte> data, bool isNull, SerializationContext context) => isNull ? null : data.ToArray();
    }
}

/// <summary>
/// Asks a broker for a topic's leaders on behalf of a client. A topic that a client meets for the first time by a record
/// or an assignment is otherwise looked up by a timer of one second.
/// </summary>
internal static class TopicKnowledge
{
    public static void Refresh(Handle client, string topic, TimeSpan limit, ClientLogger logger)
    {
        try
        {
            using var admin = new DependentAdminClientBuilder(client).Build();
            admin.GetMetadata(topic, limit);
        }
        catch (KafkaException unreachable)
        {
            logger.Information($"the leaders of {topic} are not known yet: {unreachable.Error.Reason}");
        }
    }
}
