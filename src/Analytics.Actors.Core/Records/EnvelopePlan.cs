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
        Expected = string.Join(", or ", topic.Envelope.Select(Describe));
    }

    public static EnvelopePlan For(TopicConfiguration topic) => Plans.GetValue(topic, static topic => new EnvelopePlan(topic));

    public bool IsGlobal { get; }
    public int ObjectRank { get; } = NoRank;
    public int OutputRank { get; } = NoRank;
    public bool AllowsList { get; }
    public (byte[] Name, int Rank)[] Members { get; }

    /// <summary>The id paths that are plain member names; used where all are.</summary>
    public byte[][] StationNames { get; }

    /// <summary>Set where an id path leads into nested objects: then ids are found in a second pass.</summary>
    public MemberLocator? NestedStations { get; }
    public IReadOnlyList<string> StationPaths { get; }

    /// <summary>Finds the member by whose time the items of a part are ordered.</summary>
    public MemberLocator? Order { get; }

    /// <summary>The envelope in words, for rejections.</summary>
    public string Expected { get; }

    private static string Describe(EnvelopeForm form) => form.Kind switch
    {
        EnvelopeKind.Object => "an object",
        EnvelopeKind.List => "a list",
        EnvelopeKind.Output => "an object with the member 'output'",
        _ => $"an object with the list '{form.Member}'",
    };
}
