using System.Globalization;
using Analytics.Actors.Core.Positions;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>A topic that is there.</summary>
/// <param name="Created">It was not there before.</param>
public sealed record TopicState(string Name, int Partitions, bool Created);

/// <summary>A topic is missing or unfit; the message says what would be right.</summary>
public sealed class TopicException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The brokers could not be reached in time, or refused the question; trying again later may help.</summary>
public sealed class BrokerUnavailableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Topics, and questions about offsets, outside any consumer: what a node needs at start and users ask for. Every method
/// asks brokers, and fails with <see cref="BrokerUnavailableException"/> where they cannot be reached in time.
/// </summary>
public sealed class TopicAdmin : IDisposable
{
    private static readonly TimeSpan Retention = TimeSpan.FromDays(7);
    private static readonly TimeSpan VisibleWithin = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan VisibleRetry = TimeSpan.FromMilliseconds(100);

    private readonly KafkaClientOptions options;
    private readonly TimeSpan timeout;
    private readonly IAdminClient admin;
    private readonly IConsumer<byte[]?, byte[]?> reader;
    private readonly OffsetLookup lookup;

    /// <param name="timeout">How long one question may take; 10 s by default.</param>
    public TopicAdmin(KafkaClientOptions options, ClientLog? log = null, TimeSpan? timeout = null)
    {
        this.options = options;
        this.timeout = timeout ?? TimeSpan.FromSeconds(10);
        KafkaNative.Initialize();
        var logger = new ClientLogger("admin", log);
        lookup = new OffsetLookup(options, logger, this.timeout);
        admin = new AdminClientBuilder(options.ForAdmin())
            .SetLogHandler((_, message) => logger.Native(message))
            .SetErrorHandler((_, error) => logger.Warning(error.Reason))
            .Build();
        reader = lookup.NewReader("none");
    }

    /// <summary>Number of partitions; null where there is no such topic.</summary>
    public Task<int?> GetPartitionCountAsync(string topic) => Ask($"asking for topic {topic}", () => PartitionCount(topic));

    /// <summary>
    /// Makes sure that a topic is there with that many partitions; creates it where it is missing and the broker allows it.
    /// One that is there keeps its configuration. Throws <see cref="TopicException"/> where it has another partition count
    /// or cannot be created.
    /// </summary>
    /// <param name="configuration">Kafka's topic options for a new topic; null: the broker's defaults.</param>
    public async Task<TopicState> EnsureTopicAsync(
        string topic, int partitions, IReadOnlyDictionary<string, string>? configuration = null, CancellationToken cancellation = default)
    {
        var count = await GetPartitionCountAsync(topic).ConfigureAwait(false);
        var created = false;
        if (count is null)
        {
            await CreateAsync(topic, partitions, configuration).ConfigureAwait(false);
            created = true;
            // Created on the controller; the other brokers hear of it a moment later.
            var waited = System.Diagnostics.Stopwatch.StartNew();
            while ((count = await GetPartitionCountAsync(topic).ConfigureAwait(false)) is null && waited.Elapsed < VisibleWithin)
                await Task.Delay(VisibleRetry, cancellation).ConfigureAwait(false);
            if (count is null) throw new TopicException($"Topic {topic} was created but does not appear within {VisibleWithin.TotalSeconds:0} s.");
        }

        if (count != partitions)
        {
            throw new TopicException(
                $"Topic {topic} has {count} partitions, but {partitions} are needed. Create it with {partitions} partitions" +
                (created ? "; somebody else was quicker." : ", or use another name."));
        }

        return new TopicState(topic, partitions, created);
    }

    /// <summary>An internal topic: kept for 7 days, so that it outlasts an outage, and with room for the largest record.</summary>
    public Task<TopicState> EnsureInternalTopicAsync(string topic, int partitions, CancellationToken cancellation = default) =>
        EnsureTopicAsync(
            topic, partitions,
            new Dictionary<string, string>
            {
                ["cleanup.policy"] = "delete",
                ["retention.ms"] = Retention.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture),
                ["max.message.bytes"] = options.TopicMessageBytesMax.ToString(CultureInfo.InvariantCulture),
            },
            cancellation);

    /// <summary>What a partition's log holds now.</summary>
    public Task<LogRange> QueryOffsetsAsync(TopicPartition partition) => 
        Ask($"asking for the offsets of {partition}", () => lookup.Range(reader, partition));

    /// <summary>The first offset whose record is not older than the time (milliseconds since 1970 UTC); the log's end where all are older.</summary>
    public Task<long> GetOffsetForTimeAsync(TopicPartition partition, long timestampMs) =>
        Ask($"asking for an offset of {partition} by time", () => lookup.ForTime(reader, partition, timestampMs));

    /// <summary>A group's committed offsets; partitions without one are left out.</summary>
    public Task<IReadOnlyDictionary<TopicPartition, long>> GetCommittedAsync(string group, IReadOnlyList<TopicPartition> partitions) =>
        Ask<IReadOnlyDictionary<TopicPartition, long>>($"asking for the offsets of group {group}", () => lookup.Committed(group, partitions));

    /// <summary>Sets a group's committed offsets; only while the group has no members, else brokers refuse it.</summary>
    public Task SetCommittedAsync(string group, IReadOnlyList<PartitionOffset> positions) =>
        Ask($"setting the offsets of group {group} (it must have no members)", () =>
        {
            using var member = lookup.NewReader(group);
            member.Commit(positions.Select(position => position.ToClient()));
            return true;
        });

    public void Dispose()
    {
        admin.Dispose();
        reader.Dispose();
    }

    private async Task CreateAsync(string topic, int partitions, IReadOnlyDictionary<string, string>? configuration)
    {
        try
        {
            // Replication -1: as many copies as the broker's own default.
            var specification = new TopicSpecification
            {
                Name = topic,
                NumPartitions = partitions,
                ReplicationFactor = -1,
                Configs = configuration?.ToDictionary(entry => entry.Key, entry => entry.Value),
            };
            await admin.CreateTopicsAsync([specification], new CreateTopicsOptions { RequestTimeout = timeout, OperationTimeout = timeout }).ConfigureAwait(false);
        }
        catch (CreateTopicsException refused) when (refused.Results.All(result => result.Error.Code == ErrorCode.TopicAlreadyExists))
        {
            // Another node was quicker.
        }
        catch (CreateTopicsException refused) when (refused.Results.Count > 0)
        {
            var reason = refused.Results.FirstOrDefault(result => result.Error.IsError)?.Error.Reason ?? refused.Error.Reason;
            throw new TopicException($"Topic {topic} is missing and cannot be created: {reason}. Create it with {partitions} partitions.", refused);
        }
        catch (KafkaException failed)
        {
            throw new BrokerUnavailableException(
                $"Topic {topic} is missing and could not be created: {failed.Error.Reason}. An embedded broker creates topics only " +
                $"by its own command: topic {topic} {partitions}", failed);
        }
    }

    private async Task<T> Ask<T>(string what, Func<T> question)
    {
        try
        {
            return await Task.Run(question).ConfigureAwait(false);
        }
        catch (TopicPartitionOffsetException failed)
        {
            var first = failed.Results.First(result => result.Error.IsError);
            throw new BrokerUnavailableException($"{what} failed: {first.TopicPartition}: {first.Error.Reason}", failed);
        }
        catch (KafkaException failed)
        {
            throw new BrokerUnavailableException($"{what} failed at {options.BootstrapServers}: {failed.Error.Reason}", failed);
        }
    }

    // Asking for one topic by name may create it, where the broker allows that: only the list of all is harmless.
    private int? PartitionCount(string topic)
    {
        var found = admin.GetMetadata(timeout).Topics.SingleOrDefault(described => described.Topic == topic);
        if (found is null || found.Error.Code is ErrorCode.UnknownTopicOrPart) return null;
        if (found.Error.IsError && found.Partitions.Count == 0) throw new KafkaException(found.Error);
        return found.Partitions.Count == 0 ? null : found.Partitions.Count;
    }
}
