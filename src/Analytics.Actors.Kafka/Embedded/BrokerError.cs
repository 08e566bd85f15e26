namespace Analytics.Actors.Kafka.Embedded;

/// <summary>
/// The errors worth having an embedded broker answer, with their numbers in Kafka's protocol. Any other number can be
/// cast to this type.
/// </summary>
public enum BrokerError
{
    /// <summary>No answer: the connection breaks.</summary>
    Transport = -195,

    /// <summary>Lets one request pass, between two that fail.</summary>
    None = 0,
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    LeaderNotAvailable = 5,
    NotLeaderForPartition = 6,
    RequestTimedOut = 7,
    MessageTooLarge = 10,
    CoordinatorLoadInProgress = 14,
    CoordinatorNotAvailable = 15,
    NotCoordinator = 16,
    InvalidTopic = 17,
    NotEnoughReplicas = 19,
    NotEnoughReplicasAfterAppend = 20,
    IllegalGeneration = 22,
    UnknownMemberId = 25,
    RebalanceInProgress = 27,
    TopicAuthorizationFailed = 29,
    GroupAuthorizationFailed = 30,
    InvalidTimestamp = 32,
    KafkaStorageError = 56,
    FencedInstanceId = 82,
    InvalidRecord = 87,
}
