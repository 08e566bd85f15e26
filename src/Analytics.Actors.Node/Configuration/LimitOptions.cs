using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>Bounds of memory. Reaching one pauses consumption; nothing grows instead.</summary>
public sealed record LimitOptions
{
    /// <summary>Records of one shard that wait for stations to be read from the database.</summary>
    public int MailboxMessages { get; init; } = 10_000;

    /// <summary>Bytes waiting in the mailbox of the node's shards, and in one shard for stations to be read; in the router's mailbox a quarter of it.</summary>
    public long MailboxBytes { get; init; } = 16L * 1024 * 1024;

    /// <summary>Module calls of one shard that have not come back yet.</summary>
    public int CallsInFlight { get; init; } = 10_000;

    /// <summary>Kilobytes that a Kafka consumer may fetch ahead (librdkafka's queued.max.messages.kbytes).</summary>
    public int QueuedMaxMessagesKbytes { get; init; } = 65_536;

    /// <summary>
    /// Bytes that a router may have routed and the shards not applied, at most; less, the slower the shards are, so that a
    /// fresh record of one topic does not wait behind the backlog of another.
    /// </summary>
    public long AheadBytes { get; init; } = 16L * 1024 * 1024;

    /// <summary>Stations that one shard keeps in memory; the others wait in the database.</summary>
    public int Entities { get; init; } = 10_000;

    /// <summary>A station that nothing has needed for so long leaves memory.</summary>
    public TimeSpan PassivateAfter { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>A managed heap of half a gigabyte and more is gathered into huge pages, where the system leaves that to a process.</summary>
    public bool HugePages { get; init; } = true;

    internal static LimitOptions Read(ConfigurationObject section, int recordBytesMax)
    {
        var defaults = new LimitOptions();
        var mailboxBytes = section.Find("mailboxBytes");
        var options = new LimitOptions
        {
            MailboxMessages = (int)(section.Find("mailboxMessages")?.Integer(1, 10_000_000) ?? defaults.MailboxMessages),
            MailboxBytes = mailboxBytes?.Integer(1, 1L << 40) ?? Math.Max(defaults.MailboxBytes, recordBytesMax),
            CallsInFlight = (int)(section.Find("callsInFlight")?.Integer(1, 1_000_000) ?? defaults.CallsInFlight),
            QueuedMaxMessagesKbytes = (int)(section.Find("queuedMaxMessagesKbytes")?.Integer(1, 2_097_151) ?? defaults.QueuedMaxMessagesKbytes),
            AheadBytes = section.Find("aheadBytes")?.Integer(1, 1L << 40) ?? defaults.AheadBytes,
            Entities = (int)(section.Find("entities")?.Integer(1, 100_000_000) ?? defaults.Entities),
            PassivateAfter = section.Find("passivateAfterSeconds")?.Integer(1, 31_536_000) is { } seconds ? TimeSpan.FromSeconds(seconds) : defaults.PassivateAfter,
            HugePages = section.Find("hugePages")?.Flag() ?? defaults.HugePages,
        };
        if (options.MailboxBytes < recordBytesMax)
        {
            mailboxBytes!.Refuse($"must not be less than \"maxRecordBytes\" ({recordBytesMax}): the largest record must fit into a mailbox");
        }

        section.Close();
        return options;
    }

    internal IEnumerable<(string Path, string Value)> Describe() =>
    [
        ("limits.mailboxMessages", NodeOptions.Text(MailboxMessages)),
        ("limits.mailboxBytes", NodeOptions.Text(MailboxBytes)),
        ("limits.callsInFlight", NodeOptions.Text(CallsInFlight)),
        ("limits.queuedMaxMessagesKbytes", NodeOptions.Text(QueuedMaxMessagesKbytes)),
        ("limits.aheadBytes", NodeOptions.Text(AheadBytes)),
        ("limits.entities", NodeOptions.Text(Entities)),
        ("limits.passivateAfterSeconds", NodeOptions.Text((long)PassivateAfter.TotalSeconds)),
        ("limits.hugePages", HugePages ? "true" : "false"),
    ];
}
