using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Stations;

/// <summary>How a module call ended.</summary>
public enum CallOutcomeKind { Result, Nothing, Error, Timeout }

/// <param name="Json">The result object in UTF-8; empty unless Kind is Result.</param>
/// <param name="Reason">Why there is none.</param>
public readonly record struct CallOutcome(CallOutcomeKind Kind, ReadOnlyMemory<byte> Json, string Reason);

/// <summary>What the stations of one shard see of it: configuration, global windows, outputs, and the register of calls.</summary>
public sealed class StationSurroundings
{
    private readonly Dictionary<string, IReadOnlyList<ModuleConfiguration>> triggeredBy = new(StringComparer.Ordinal);
    private readonly Dictionary<long, (Station Station, Trigger Trigger)> owed = [];
    private readonly Dictionary<string, LastOwners> owners = new(StringComparer.Ordinal);
    private readonly Action<Station, ModuleConfiguration, Trigger> start;

    public StationSurroundings(PipelineConfiguration pipeline, ShardOutputs outputs, Action<Station, ModuleConfiguration, Trigger> start)
    {
        Pipeline = pipeline;
        Outputs = outputs;
        this.start = start;
        Modules = pipeline.Modules.Values.Where(module => module.Enabled).ToDictionary(module => module.Name, StringComparer.Ordinal);
        Contexts = new WindowContexts(pipeline.TimeZone, topic => topic.Triggers ? TriggeredBy(topic.Name) : []);
        IntervalModules = Modules.Values.Where(module => module.IntervalMs is not null).ToList();
        foreach (var topic in pipeline.Topics.Keys)
        {
            triggeredBy[topic] = Modules.Values.Where(module => module.TriggerOnEvent && module.Topics.Contains(topic)).ToList();
        }
    }

    public PipelineConfiguration Pipeline { get; }
    public ShardOutputs Outputs { get; }

    /// <summary>Enabled modules by name.</summary>
    public IReadOnlyDictionary<string, ModuleConfiguration> Modules { get; }
    public IReadOnlyList<ModuleConfiguration> IntervalModules { get; }

    /// <summary>What windows of one topic share.</summary>
    internal WindowContexts Contexts { get; }

    /// <summary>Windows of the global topics.</summary>
    public Dictionary<string, TopicWindow> Globals { get; } = new(StringComparer.Ordinal);

    /// <summary>The number of the next trigger.</summary>
    public long NextTriggerId { get; set; } = 1;

    public int OwedCount => owed.Count;

    /// <summary>No call begins any more: the shard is being given up.</summary>
    public bool IsClosed { get; set; }

    public long NextTrigger() => NextTriggerId++;

    public IReadOnlyList<ModuleConfiguration> TriggeredBy(string topic) => triggeredBy.TryGetValue(topic, out var modules) ? modules : [];

    internal LastOwners OwnersOf(ModuleConfiguration module)
    {
        if (!owners.TryGetValue(module.Name, out var last)) owners.Add(module.Name, last = new LastOwners());
        return last;
    }

    public void Register(Trigger trigger, Station station) => owed[trigger.Id] = (station, trigger);

    public void Forget(Trigger trigger) => owed.Remove(trigger.Id);

    public bool TryFind(long triggerId, out Station station, out Trigger trigger)
    {
        var found = owed.TryGetValue(triggerId, out var pair);
        (station, trigger) = found ? pair : (null!, null!);
        return found;
    }

    public void Start(Station station, ModuleConfiguration module, Trigger trigger) => start(station, module, trigger);
}
