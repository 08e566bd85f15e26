using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Stations;

/// <summary>A batch that expects this station's answer, and the source record that announced it.</summary>
/// <param name="WindowStartMs">Start of a window of event time, ms since 1970 UTC; null: the batch of one record.</param>
public readonly record struct BatchDebt(string BatchId, SourcePartition Source, long Offset, long? WindowStartMs = null);

/// <summary>
/// A module call that is owed to the batches that it answers. Recorded by checkpoints until its answer is, with the
/// number of attempts, so that it is run again after a crash but not for ever.
/// </summary>
public sealed class Trigger(long id, string module)
{
    /// <summary>The shard's number of this trigger; never used twice.</summary>
    public long Id { get; } = id;

    public string Module { get; } = module;

    /// <summary>The batches that its answer answers: several where triggers were coalesced or a second had several orders.</summary>
    public List<BatchDebt> Debts { get; } = [];

    /// <summary>Calls begun so far.</summary>
    public int Attempts { get; set; }

    /// <summary>Those of them that came back with an error.</summary>
    public int Failures { get; set; }

    /// <summary>After a recovery: attempts during which the process ended.</summary>
    public int Deaths => Attempts - Failures;

    /// <summary>When the trigger still waits for missing topics: the time at which it is called without them, ms.</summary>
    public long? IncompleteDueMs { get; set; }

    /// <summary>After a failed attempt: not before this time, ms.</summary>
    public long RetryDueMs { get; set; }

    /// <summary>The input as it was when the trigger was complete; null while it waits.</summary>
    public CapturedInput? Captured { get; set; }

    /// <summary>The closed second of orders that this trigger delivers; kept while other topics are still missing.</summary>
    public (string Topic, InputFragment Fragment)? Pinned { get; set; }
}

/// <summary>How a topic stands in a captured input. The numbers are stored: never change one.</summary>
public enum TopicStatus { Missing = 0, Available = 1, Failed = 2 }

/// <summary>What a topic gave to a captured input. <paramref name="Version"/> is that of the window it was shaped from.</summary>
public readonly record struct CapturedTopic(
    string Topic, TopicStatus Status, string Reason, double AgeSeconds, InputFragment? Fragment, TopicWindow? Window, long Version)
{
    /// <summary>The window has moved on since: a checkpoint must hold what it gave then.</summary>
    public bool IsSuperseded => Window is null ? Fragment is not null : Window.Version != Version;
}

/// <summary>An input at the moment of its trigger: immutable fragments, shared with the windows that made them.</summary>
public sealed record CapturedInput(long TimeMs, IReadOnlyList<CapturedTopic> Topics)
{
    /// <summary>Of the module's earlier inputs; null: none.</summary>
    internal LastOwners? Owners { get; init; }

    /// <summary>The input that the module gets.</summary>
    public ModuleInput ToModuleInput(string station)
    {
        var fragments = new List<TopicFragment>(Topics.Count);
        var available = new List<string>(Topics.Count);
        List<string>? missing = null;
        List<KeyValuePair<string, string>>? failed = null;
        var ages = new List<KeyValuePair<string, double>>(Topics.Count);
        for (var index = 0; index < Topics.Count; index++)
        {
            var topic = Topics[index];
            switch (topic.Status)
            {
                case TopicStatus.Available:
                    available.Add(topic.Topic);
                    ages.Add(KeyValuePair.Create(topic.Topic, topic.AgeSeconds));
                    if (topic.Fragment is not null) fragments.Add(new TopicFragment(topic.Topic, topic.Fragment));
                    break;
                case TopicStatus.Failed:
                    (failed ??= []).Add(KeyValuePair.Create(topic.Topic, topic.Reason));
                    break;
                default:
                    (missing ??= []).Add(topic.Topic);
                    break;
            }
        }

        var owners = Owners?.Of(fragments) ?? new MemberOwners(fragments);
        return new ModuleInput(
            station, TimeMs, fragments,
            new DataQuality
            {
                AvailableTopics = available,
                MissingTopics = missing ?? (IReadOnlyList<string>)[],
                FailedTopics = failed ?? (IReadOnlyList<KeyValuePair<string, string>>)[],
                TotalTopics = Topics.Count,
                AgeSeconds = ages,
                Overwritten = owners.FindOverwritten(fragments),
            },
            owners);
    }
}
