namespace Analytics.Actors.Kafka;

/// <summary>A record's header; Kafka allows a name to occur more than once.</summary>
public readonly record struct RecordHeader(string Name, byte[] Value);
