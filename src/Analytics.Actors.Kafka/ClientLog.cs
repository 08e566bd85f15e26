namespace Analytics.Actors.Kafka;

/// <summary>How serious a client's log entry is.</summary>
public enum ClientLogLevel { Debug, Information, Warning, Error }

/// <summary>What a Kafka client of ours has to tell: its own events, and what librdkafka logs.</summary>
/// <param name="Client">Which client: ownership, data, router, producer, admin, broker.</param>
public readonly record struct ClientLogEntry(ClientLogLevel Level, string Client, string Message)
{
    public override string ToString() => $"{Level} {Client}: {Message}";
}

/// <summary>Takes log entries, from any thread; must not block and must not throw.</summary>
public delegate void ClientLog(ClientLogEntry entry);

/// <summary>
/// Passes entries on, and an entry that repeats (a broker that stays away is reported with every attempt to reach it)
/// only once in a while.
/// </summary>
internal sealed class ClientLogger(string client, ClientLog? log, TimeProvider? time = null)
{
    private const long RepeatAfterMs = 30_000;
    private const int RememberedMessagesMax = 256;
    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly Dictionary<string, long> lastWritten = [];

    public string Client => client;

    public void Debug(string message) => Write(ClientLogLevel.Debug, message);
    public void Information(string message) => Write(ClientLogLevel.Information, message);
    public void Warning(string message) => Write(ClientLogLevel.Warning, message);
    public void Error(string message) => Write(ClientLogLevel.Error, message);

    public void Native(Confluent.Kafka.LogMessage message) => Native((int)message.Level, message.Facility, message.Message);

    /// <summary>librdkafka's levels are syslog's: 0 to 3 are errors, 4 a warning, 5 and 6 information, 7 debug.</summary>
    public void Native(int syslogLevel, string facility, string message)
    {
        var level = syslogLevel switch
        {
            <= 3 => ClientLogLevel.Error,
            4 => ClientLogLevel.Warning,
            <= 6 => ClientLogLevel.Information,
            _ => ClientLogLevel.Debug,
        };
        Write(level, $"{facility}: {message}");
    }

    private void Write(ClientLogLevel level, string message)
    {
        if (log is null) return;
        if (level >= ClientLogLevel.Warning)
        {
            var now = time.GetTimestamp();
            lock (lastWritten)
            {
                if (lastWritten.TryGetValue(message, out var last) && time.GetElapsedTime(last, now).TotalMilliseconds < RepeatAfterMs) return;
                if (lastWritten.Count >= RememberedMessagesMax) lastWritten.Clear();
                lastWritten[message] = now;
            }
        }

        log(new ClientLogEntry(level, client, message));
    }
}
