using System.Text.Json;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Modules;

/// <summary>
/// Which of an input's fragments gives each member. That hangs on the names of their members alone, which are the same for
/// station after station: so it is worked out once for all inputs whose fragments have the same lists of names.
/// </summary>
internal sealed class MemberOwners
{
    private readonly IReadOnlyList<string>?[] names;
    private readonly Dictionary<string, int> owners = new(StringComparer.Ordinal);

    // A member that more than one fragment has: the one that gave it before, and the one that gives it instead.
    private readonly List<(string Name, int Before, int After)> repeats = [];

    // Threads may make it at once: it is the same each time.
    private WrittenMember[]? written;

    public MemberOwners(IReadOnlyList<TopicFragment> fragments)
    {
        names = new IReadOnlyList<string>?[fragments.Count];
        for (var index = 0; index < names.Length; index++)
        {
            names[index] = fragments[index].Fragment?.Names;
            foreach (var name in names[index] ?? [])
            {
                if (name is "stationId" or "_data_quality") continue;
                if (owners.TryGetValue(name, out var before)) repeats.Add((name, before, index));
                owners[name] = index;
            }
        }
    }

    /// <summary>Place of the owning fragment by member, in the order in which members first come.</summary>
    public IReadOnlyDictionary<string, int> Owners => owners;

    /// <summary>Place of the fragment that gives a member; below 0 where none does.</summary>
    public int OwnerOf(string name) => owners.TryGetValue(name, out var index) ? index : -1;

    /// <summary>The members in that order, as JSON writes them.</summary>
    public IReadOnlyList<WrittenMember> Written => written ??=
        [.. owners.Select(member => new WrittenMember(member.Key, [(byte)',', (byte)'"', .. JsonEncodedText.Encode(member.Key).EncodedUtf8Bytes, (byte)'"', (byte)':'], member.Value))];

    /// <summary>Says the same of these fragments: they have the very lists of names that it was made from.</summary>
    public bool Fits(IReadOnlyList<TopicFragment> fragments)
    {
        if (fragments.Count != names.Length) return false;
        for (var index = 0; index < names.Length; index++)
            if (!ReferenceEquals(fragments[index].Fragment?.Names, names[index])) return false;
        return true;
    }

    /// <summary>The members whose value another fragment changed, each once, in order of the first overwriting.</summary>
    public IReadOnlyList<string> FindOverwritten(IReadOnlyList<TopicFragment> fragments)
    {
        List<string>? overwritten = null;
        foreach (var (name, before, after) in repeats)
        {
            if (overwritten?.Contains(name) == true) continue;
            if (!fragments[before].Fragment!.GetJson(name).Span.SequenceEqual(fragments[after].Fragment!.GetJson(name).Span)) (overwritten ??= []).Add(name);
        }

        return overwritten ?? (IReadOnlyList<string>)[];
    }
}

/// <summary>A member of an input on its way into JSON.</summary>
/// <param name="Prefix">A comma, the name with its quotes, and a colon.</param>
/// <param name="Owner">Place of the fragment that gives it.</param>
internal sealed record WrittenMember(string Name, byte[] Prefix, int Owner);

/// <summary>The owners of the last input of a module; mostly they are those of the next one. Of one thread.</summary>
internal sealed class LastOwners
{
    private MemberOwners? last;

    public MemberOwners Of(IReadOnlyList<TopicFragment> fragments) => last?.Fits(fragments) == true ? last : last = new MemberOwners(fragments);
}
