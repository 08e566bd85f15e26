namespace Analytics.Actors.Node.Configuration;

/// <summary>
/// The librdkafka options that a user may not set, because an invariant of the system rests on them (ARCHITECTURE.md),
/// with the reason that the message gives.
/// </summary>
public static class KafkaOptionRules
{
    private sealed record Rule(string[] Names, string[] Allowed, string Reason);

    private static readonly Rule[] Rules =
    [
        new(["enable.auto.commit", "auto.commit.enable"], ["false"],
            "must stay false: positions are committed only after the work that they stand for is durable"),
        new(["enable.auto.offset.store"], ["false"],
            "must stay false: an offset counts as done when its parts are acknowledged, not when it is read"),
        new(["auto.offset.reset"], ["error"],
            "must stay \"error\": no position jumps silently; use the topics' \"start\" and \"outOfRange\" in the pipeline"),
        new(["acks", "request.required.acks"], ["all", "-1"],
            "must stay \"all\": a record acknowledged by fewer replicas can vanish"),
        new(["enable.idempotence"], [],
            "is set by the system itself, together with one outstanding message per destination, which is what keeps records in order and single"),
        new(["max.in.flight.requests.per.connection", "max.in.flight"], [],
            "is set by the system itself: with several messages in flight to one partition a repeat can overtake"),
        new(["message.timeout.ms", "delivery.timeout.ms"], ["0"],
            "must stay 0 (no limit): a message that gave up would be overtaken by the next one"),
        new(["partition.assignment.strategy"], ["cooperative-sticky"],
            "must stay \"cooperative-sticky\": a rebalance moves few shards and stops no other"),
        new(["group.protocol"], ["classic"],
            "must stay \"classic\": ownership of shards rests on the cooperative-sticky assignor"),
        new(["group.id"], [], "is set by the system itself; use the option \"group\" of the node"),
        new(["group.instance.id"], [], "is set from \"kafka.groupInstanceId\""),
        new(["transactional.id"], [], "is refused: outputs are made single by their origin and sequence, not by Kafka transactions"),
        new(["isolation.level"], ["read_committed"],
            "must stay \"read_committed\": records of an aborted transaction were never sent"),
        new(["bootstrap.servers", "metadata.broker.list"], [], "is set from \"kafka.bootstrapServers\""),
        new(["queued.max.messages.kbytes"], [], "is set from \"limits.queuedMaxMessagesKbytes\""),
        new(["queuing.strategy"], ["fifo"], "must stay \"fifo\": records of a partition must keep their order"),
        new(["plugin.library.paths"], [], "is refused: it loads foreign code into the node"),
    ];

    /// <summary>Why an option may not have a value; null where it may.</summary>
    public static string? Check(string name, string value)
    {
        var normal = name.Trim().ToLowerInvariant();
        if (normal.Length == 0 || normal != name) return "must be an option of librdkafka, in lower case";
        if (value.Contains('\0')) return "must not contain a zero character";
        var rule = Rules.FirstOrDefault(rule => rule.Names.Contains(normal));
        return rule is null || rule.Allowed.Contains(value.Trim(), StringComparer.OrdinalIgnoreCase) ? null : rule.Reason;
    }
}
