using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// The names met so far in one object, to find one that is written twice. Small objects cost a hash and a vectorised
/// search per name; a very large object (which nobody sends in good faith) falls back to a set of texts, so that the work
/// stays linear in its size.
/// </summary>
internal ref struct MemberNames
{
    public const int Capacity = 128;

    private readonly ReadOnlySpan<byte> record;
    private readonly Span<ulong> hashes;
    private readonly Span<(int Start, int Length)> names;
    private int count;
    private HashSet<string>? overflow;

    /// <param name="hashes">Room for <see cref="Capacity"/> hashes.</param>
    /// <param name="names">Room for <see cref="Capacity"/> names.</param>
    public MemberNames(ReadOnlySpan<byte> record, Span<ulong> hashes, Span<(int Start, int Length)> names)
    {
        this.record = record;
        this.hashes = hashes;
        this.names = names;
    }

    /// <summary>Whether an object, known to be well-formed, has a member twice.</summary>
    [SkipLocalsInit]
    public static bool HasRepeat(ReadOnlySpan<byte> json)
    {
        var names = new MemberNames(json, stackalloc ulong[Capacity], stackalloc (int, int)[Capacity]);
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            // A name that cannot be decoded is no other's repeat.
            var isReadable = !reader.ValueIsEscaped || (!JsonText.HasLoneSurrogate(reader.ValueSpan) && Utf8.IsValid(reader.ValueSpan));
            if (isReadable && !names.Add(reader.ValueSpan, (int)reader.TokenStartIndex + 1, reader.ValueIsEscaped ? reader.GetString() : null)) return true;
            reader.Skip();
        }

        return false;
    }

    /// <summary>Notes a name; false where it was there before.</summary>
    /// <param name="name">The name as it is written.</param>
    /// <param name="start">Where it stands in the record.</param>
    /// <param name="decoded">The text, where it is written with escapes: it then cannot be compared as it stands.</param>
    public bool Add(scoped ReadOnlySpan<byte> name, int start, string? decoded)
    {
        if (overflow is null && decoded is null && count < Capacity) return Add(name, start);
        if (overflow is null)
        {
            overflow = new HashSet<string>(StringComparer.Ordinal);
            for (var i = 0; i < count; i++) overflow.Add(Encoding.UTF8.GetString(NameAt(i)));
        }

        return overflow.Add(decoded ?? Encoding.UTF8.GetString(name));
    }

    private bool Add(scoped ReadOnlySpan<byte> name, int start)
    {
        var hash = Hash(name);
        var seen = hashes[..count];
        for (var from = 0; seen[from..].IndexOf(hash) is var hit && hit >= 0; from += hit + 1)
            if (NameAt(from + hit).SequenceEqual(name)) return false;
        hashes[count] = hash;
        names[count++] = (start, name.Length);
        return true;
    }

    private readonly ReadOnlySpan<byte> NameAt(int index) => record.Slice(names[index].Start, names[index].Length);

    private static ulong Hash(ReadOnlySpan<byte> name)
    {
        const ulong multiplier = 0x9E3779B97F4A7C15;
        var hash = (ulong)name.Length * multiplier;
        while (name.Length >= 8)
        {
            hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(name)) * multiplier;
            hash ^= hash >> 29;
            name = name[8..];
        }

        foreach (var letter in name) hash = (hash ^ letter) * multiplier;
        return hash ^ (hash >> 32);
    }
}
