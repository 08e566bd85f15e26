namespace Analytics.Actors.Kafka.Embedded;

/// <summary>The requests that an embedded broker answers, with their numbers in Kafka's protocol.</summary>
public enum KafkaApi
{
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    ApiVersions = 18,
}
