using System.Runtime.CompilerServices;
using System.Text;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// A topic's envelope and id paths in the form in which the splitter needs them, made once per configuration. Ranks say
/// in which order the alternatives are written; the lowest that fits wins.
/// </summary>
internal sealed class EnvelopePlan
{
    public const int NoRank = int.MaxValue;

    /// <summary>As many id paths find room on the stack; nobody has more.</summary>
    public const int PathsOnStack = 8;

    private static readonly ConditionalWeakTable<TopicConfiguration, EnvelopePlan> Plans = new();

    private EnvelopePlan(TopicConfiguration topic)
    {
        var members = new List<(byte[] Name, int Rank)>();
        for (var rank = 0; rank < topic.Envelope.Count; rank++)
        {
            var form = topic.Envelope[rank];
            switch (form.Kind)
            {
                case EnvelopeKind.Object:
                    ObjectRank = Math.Min(ObjectRank, rank);
                    break;
                case EnvelopeKind.List:
                    AllowsList = true;
                    break;
                case EnvelopeKind.Output:
                    OutputRank = Math.Min(OutputRank, rank);
                    break;
                case EnvelopeKind.Member:
                    members.Add((Encoding.UTF8.GetBytes(form.Member ?? ""), rank));
                    break;
            }
        }

        Members = members.ToArray();
        IsGlobal = topic.Scope == TopicScope.Global;
        StationNames = topic.StationPaths.Where(path => !path.Contains('.')).Select(Encoding.UTF8.GetBytes).ToArray();
        NestedStations = StationNames.Length == topic.StationPaths.Count ? null : new MemberLocator(topic.StationPaths);
        StationPaths = topic.StationPaths;
        Order = topic.OrderMember is null ? null : new MemberLocator([topic.OrderMember]);
        var output = OutputRank == NoRank ? [] : new[] { "output"u8.ToArray() };
        Roles = [.. StationNames.Concat(Members.Select(member => member.Name)).Concat(output).Select(RoleOf).DistinctBy(role => Encoding.UTF8.GetString(role.Name))];
        RecordNames = new ObjectNames([.. Roles.Select((role, place) => (role.Name, place))]);
        ItemNames = new ObjectNames([.. Roles.Where(role => role.Station >= 0).Select(role => (role.Name, role.Station))]);
        OutputNames = new ObjectNames([]);
        Expected = string.Join(", or ", topic.Envelope.Select(Describe));
    }

    public static EnvelopePlan For(TopicConfiguration topic) => Plans.GetValue(topic, static topic => new EnvelopePlan(topic));

    public bool IsGlobal { get; }

    /// <summary>A record may be an item itself, and name its station in a member of its own.</summary>
    public bool TakesObjects => !IsGlobal && ObjectRank != NoRank && NestedStations is null;
    public int ObjectRank { get; } = NoRank;
    public int OutputRank { get; } = NoRank;
    public bool AllowsList { get; }
    public (byte[] Name, int Rank)[] Members { get; }

    /// <summary>The id paths that are plain member names; used where all are.</summary>
    public byte[][] StationNames { get; }

    /// <summary>The members of a record that its envelope or its ids are made of.</summary>
    public MemberRole[] Roles { get; }

    /// <summary>The names of a record that is an object; their slots are places in <see cref="Roles"/>.</summary>
    public ObjectNames RecordNames { get; }

    /// <summary>The names of an item of a list; their slots are places in <see cref="StationNames"/>.</summary>
    public ObjectNames ItemNames { get; }

    /// <summary>The names in the member 'output'.</summary>
    public ObjectNames OutputNames { get; }

    /// <summary>Set where an id path leads into nested objects: then ids are found in a second pass.</summary>
    public MemberLocator? NestedStations { get; }
    public IReadOnlyList<string> StationPaths { get; }

    /// <summary>Finds the member by whose time the items of a part are ordered.</summary>
    public MemberLocator? Order { get; }

    /// <summary>The envelope in words, for rejections.</summary>
    public string Expected { get; }

    private MemberRole RoleOf(byte[] name)
    {
        bool Is(byte[] other) => other.AsSpan().SequenceEqual(name);
        return new MemberRole(
            name,
            Members.Where(member => Is(member.Name)).Select(member => member.Rank).DefaultIfEmpty(NoRank).Min(),
            OutputRank != NoRank && name.AsSpan().SequenceEqual("output"u8),
            Array.FindIndex(StationNames, Is));
    }

    private static string Describe(EnvelopeForm form) => form.Kind switch
    {
        EnvelopeKind.Object => "an object",
        EnvelopeKind.List => "a list",
        EnvelopeKind.Output => "an object with the member 'output'",
        _ => $"an object with the list '{form.Member}'",
    };
}

/// <summary>What a member of a record is to its envelope.</summary>
/// <param name="Rank">Of the list of items that it holds; <see cref="EnvelopePlan.NoRank"/> where it holds none.</param>
/// <param name="IsOutput">It holds a single result.</param>
/// <param name="Station">Place among the id paths; -1 where it is none.</param>
internal readonly record struct MemberRole(byte[] Name, int Rank, bool IsOutput, int Station);
