namespace Analytics.Actors.Node.Import;

/// <summary>kafka-python's names of options in librdkafka's words.</summary>
internal static class KafkaNames
{
    private static readonly Dictionary<string, (string Name, string Section)> Known = new(StringComparer.Ordinal)
    {
        ["security_protocol"] = ("security.protocol", "common"),
        ["sasl_mechanism"] = ("sasl.mechanism", "common"),
        ["sasl_plain_username"] = ("sasl.username", "common"),
        ["sasl_kerberos_service_name"] = ("sasl.kerberos.service.name", "common"),
        ["ssl_cafile"] = ("ssl.ca.location", "common"),
        ["ssl_certfile"] = ("ssl.certificate.location", "common"),
        ["ssl_keyfile"] = ("ssl.key.location", "common"),
        ["ssl_crlfile"] = ("ssl.crl.location", "common"),
        ["ssl_ciphers"] = ("ssl.cipher.suites", "common"),
        ["metadata_max_age_ms"] = ("metadata.max.age.ms", "common"),
        ["connections_max_idle_ms"] = ("connections.max.idle.ms", "common"),
        ["reconnect_backoff_ms"] = ("reconnect.backoff.ms", "common"),
        ["reconnect_backoff_max_ms"] = ("reconnect.backoff.max.ms", "common"),
        ["retry_backoff_ms"] = ("retry.backoff.ms", "producer"),
        ["session_timeout_ms"] = ("session.timeout.ms", "consumer"),
        ["heartbeat_interval_ms"] = ("heartbeat.interval.ms", "consumer"),
        ["max_poll_interval_ms"] = ("max.poll.interval.ms", "consumer"),
        ["fetch_min_bytes"] = ("fetch.min.bytes", "consumer"),
        ["fetch_max_wait_ms"] = ("fetch.wait.max.ms", "consumer"),
        ["check_crcs"] = ("check.crcs", "consumer"),
        ["isolation_level"] = ("isolation.level", "consumer"),
        ["compression_type"] = ("compression.type", "producer"),
        ["linger_ms"] = ("linger.ms", "producer"),
        ["batch_size"] = ("batch.size", "producer"),
        ["partitioner"] = ("partitioner", "producer"),
    };

    /// <param name="section">consumer or producer, where the key stands there.</param>
    public static (string Name, string Section)? Of(string key, string? section)
    {
        // A time that a request may take is a client's own.
        if (key == "request_timeout_ms") return section == "producer" ? ("request.timeout.ms", "producer") : ("socket.timeout.ms", "common");
        return Known.TryGetValue(key, out var found) ? found : null;
    }
}
