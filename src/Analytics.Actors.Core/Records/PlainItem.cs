using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Unicode;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Reads records that are one object and themselves the only item, in one pass: that they are well-formed, whose they are, and
/// where the members stand that are looked for in an item. What is unusual in any way it leaves to others, who come to the same where
/// it succeeds. One object serves one record after another.
/// </summary>
internal sealed class PlainItem
{
    private readonly Asked[] asked;
    private readonly ObjectNames names;
    private readonly JsonSlice[] found;
    private readonly bool isUsable;
    private readonly bool isLocated;
    private ReadOnlyMemory<byte> item;
    private JsonSlice station;
    private int stationRank;

    /// <param name="members">What is looked for in an item of the topic.</param>
    public PlainItem(TopicConfiguration topic, MemberLocator members)
    {
        var envelope = EnvelopePlan.For(topic);
        var flat = members.Flat;
        isUsable = envelope.TakesObjects;
        isLocated = flat is not null;
        found = new JsonSlice[members.SlotCount];
        var all = envelope.Roles.Select(role => role.Name).Concat((flat ?? []).Select(member => member.Name)).DistinctBy(Convert.ToHexString).ToList();
        asked = [.. all.Select(name => AskedOf(name, envelope, flat ?? []))];
        names = new ObjectNames([.. all.Select((name, place) => (name, place))]);
    }

    /// <summary>Reads a record; false says nothing of it.</summary>
    /// <param name="id">Of the station: a slice of the record, unless it is written with escapes.</param>
    public bool TryRead(ReadOnlyMemory<byte> record, out ReadOnlySpan<byte> id)
    {
        id = default;
        item = default;
        var json = record.Span;
        if (!isUsable || (!TryWalkDense(json) && !TryWalk(json))) return false;
        if (!station.IsPresent || !Utf8.IsValid(json) || StationIds.Read(station.Of(json), station.Kind, out id) is not null) return false;
        item = record;
        return true;
    }

    /// <summary>Tells where the members stand if it is the record that was read last; the same bytes elsewhere are not.</summary>
    public bool TryLocate(ReadOnlySpan<byte> json, Span<JsonSlice> slices)
    {
        if (!isLocated || json.IsEmpty || item.Span != json) return false;
        found.CopyTo(slices);
        return true;
    }

    /// <summary>The record's bytes may go.</summary>
    public void Forget() => item = default;

    // Without blanks, and with no name that is new: of these there is little to do from one value to the next.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryWalkDense(ReadOnlySpan<byte> json)
    {
        Begin();
        var table = names.Known;
        var seen = 0ul;
        var number = 0;
        var before = (byte)'{';
        for (var at = 0; ; before = (byte)',')
        {
            var next = PlainJson.At(json, at);
            if (next != before) return next == '}' && seen != 0 && at == json.Length - 1;
            at++;
            var length = table.Match(number, json, at);
            if (length == 0)
            {
                number = table.FindAt(json, at, out length);
                if (number < 0) return false;
            }

            if (number >= 64 || (seen & (1ul << number)) != 0) return false;
            seen |= 1ul << number;
            var start = at + length;
            at = PlainJson.ShortValue(json, start, RecordSplitter.DepthMax - 1);
            if (at < 0) return false;
            var slot = table.Slot(number++);
            if (slot >= 0 && !Note(slot, json, start, at)) return false;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryWalk(ReadOnlySpan<byte> json)
    {
        Begin();
        var at = PlainJson.Blanks(json, 0);
        if (PlainJson.At(json, at) != '{') return false;
        var walk = new MemberWalk(json, at, names);
        while (walk.Next() is var slot && slot != MemberWalk.End)
        {
            if (slot == MemberWalk.Failed) return false;
            var start = walk.At;
            walk.At = PlainJson.Value(json, start, RecordSplitter.DepthMax - 1);
            if (walk.At < 0) return false;
            if (slot >= 0 && !Note(slot, json, start, walk.At)) return false;
        }

        return PlainJson.Blanks(json, walk.At) == json.Length;
    }

    private void Begin()
    {
        Array.Clear(found);
        (station, stationRank) = (default, int.MaxValue);
    }

    private bool Note(int slot, ReadOnlySpan<byte> json, int start, int end)
    {
        ref readonly var member = ref asked[slot];
        // The record's items may be in there.
        if (member.IsEnvelope) return false;
        var slice = new JsonSlice(start, end - start, PlainJson.Kind(json[start]));
        if (member.Slot >= 0) found[member.Slot] = slice;
        if (member.Station < stationRank) (stationRank, station) = (member.Station, slice);
        return true;
    }

    private static Asked AskedOf(byte[] name, EnvelopePlan envelope, IReadOnlyList<(byte[] Name, int Slot)> members)
    {
        var slot = -1;
        foreach (var member in members)
            if (member.Name.AsSpan().SequenceEqual(name)) slot = member.Slot;
        foreach (var role in envelope.Roles)
        {
            if (!role.Name.AsSpan().SequenceEqual(name)) continue;
            return new Asked(slot, role.Station >= 0 ? role.Station : int.MaxValue, role.Rank != EnvelopePlan.NoRank || role.IsOutput);
        }

        return new Asked(slot, int.MaxValue, false);
    }

    /// <summary>What a member is asked for.</summary>
    /// <param name="Slot">Of the locator; -1 where it does not look for it.</param>
    /// <param name="Station">Its rank among the station's paths; the lowest one counts.</param>
    /// <param name="IsEnvelope">It may hold the record's items.</param>
    private readonly record struct Asked(int Slot, int Station, bool IsEnvelope);
}
