using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// The names that the objects at one place of a topic's records have had so far, with the slots of those that somebody asks
/// for. They only make reading cheaper: a record's members mostly come as in the one before, so that a name is found by one
/// comparison, and a repeat by one bit. What is read never depends on them.
/// </summary>
/// <param name="asked">The slot of each name that is asked for.</param>
internal sealed class ObjectNames((byte[] Name, int Slot)[] asked)
{
    /// <summary>No slot: nobody asks for the member.</summary>
    public const int NoSlot = -1;

    // Objects whose names are data have no end of names; they begin anew now and then, which costs little if it is seldom.
    private const int MissesBeforeRenewal = 10_000;

    private int misses;

    /// <summary>
    /// What is known now. Threads may share it: a table never changes once it can be seen, and of two that are set at the
    /// same time either will do.
    /// </summary>
    public NameTable Known { get; private set; } = NameTable.Empty;

    /// <summary>Adds a name that a table lacks; null where it is not to be kept.</summary>
    /// <param name="quoted">As it is written, with its quotes, and without escapes.</param>
    public NameTable? Learn(NameTable table, ReadOnlySpan<byte> quoted)
    {
        if (table.Count == NameTable.CountMax)
        {
            if (++misses % MissesBeforeRenewal == 0) Known = NameTable.Empty;
            return null;
        }

        if (quoted.Length > NameTable.BytesMax) return null;
        var slot = NoSlot;
        foreach (var (name, at) in asked)
            if (quoted[1..^1].SequenceEqual(name)) slot = at;
        return Known = table.With(quoted, slot);
    }
}

/// <summary>Names of members, numbered in the order in which they were learnt. Immutable.</summary>
internal sealed class NameTable
{
    // As many as MemberWalk has bits.
    public const int CountMax = 128;

    // Of a name with its quotes: nobody's names are longer, and they stay in memory.
    public const int BytesMax = 258;

    public static readonly NameTable Empty = new([]);

    private const int Buckets = 2 * CountMax;

    private readonly Entry[] entries;

    // Number of an entry plus 1, by hash; 0 is free.
    private readonly byte[] buckets = new byte[Buckets];

    private NameTable(Entry[] entries)
    {
        this.entries = entries;
        for (var number = 0; number < entries.Length; number++)
        {
            var at = Hash(entries[number].Spelling.AsSpan()[..^1]);
            while (buckets[at] != 0) at = (at + 1) % Buckets;
            buckets[at] = (byte)(number + 1);
        }
    }

    public int Count => entries.Length;

    public NameTable With(ReadOnlySpan<byte> quoted, int slot) => new([.. entries, new Entry([.. quoted, (byte)':'], slot)]);

    public int Slot(int number) => entries[number].Slot;

    /// <summary>The length of a name with its quotes and the colon if it stands at this place; else 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Match(int number, ReadOnlySpan<byte> json, int at)
    {
        var known = entries;
        if ((uint)number >= (uint)known.Length) return 0;
        ref readonly var entry = ref known[number];
        var spelling = entry.Spelling;
        if (spelling.Length > Vector256<byte>.Count || at > json.Length - Vector256<byte>.Count) return json[at..].StartsWith(spelling) ? spelling.Length : 0;
        var equal = Vector256.Equals(Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(json), (nuint)at), entry.Head).ExtractMostSignificantBits();
        return (equal | entry.Behind) == uint.MaxValue ? spelling.Length : 0;
    }

    /// <summary>The number of the name that stands here with its colon, and the length of both; -1 where it is not known.</summary>
    public int FindAt(ReadOnlySpan<byte> json, int at, out int length)
    {
        length = 0;
        if (PlainJson.At(json, at) != '"') return -1;
        var end = PlainJson.Text(json, at);
        if (end < 0 || PlainJson.At(json, end) != ':') return -1;
        length = end + 1 - at;
        return Find(json[at..end]);
    }

    /// <summary>The number of a name; -1 where it is not known.</summary>
    public int Find(ReadOnlySpan<byte> quoted)
    {
        for (var at = Hash(quoted); buckets[at] != 0; at = (at + 1) % Buckets)
            if (entries[buckets[at] - 1].Spelling.AsSpan()[..^1].SequenceEqual(quoted)) return buckets[at] - 1;
        return -1;
    }

    // With its quotes a name has two bytes at least. Equal hashes cost a comparison, and there are few names.
    private static int Hash(ReadOnlySpan<byte> quoted)
    {
        const ulong multiplier = 0x9E3779B97F4A7C15;
        var (head, tail) = quoted.Length >= 8
            ? (BinaryPrimitives.ReadUInt64LittleEndian(quoted), BinaryPrimitives.ReadUInt64LittleEndian(quoted[^8..]))
            : ((ulong)quoted[1] | (ulong)quoted[quoted.Length / 2] << 8, (ulong)quoted[^2]);
        var hash = (head ^ BitOperations.RotateLeft(tail, 31) ^ (ulong)quoted.Length) * multiplier;
        return (int)(hash >> 56) % Buckets;
    }

    private readonly struct Entry
    {
        public readonly Vector256<byte> Head;
        public readonly byte[] Spelling;
        public readonly int Slot;

        // A bit for each byte of the head behind the spelling.
        public readonly uint Behind;

        /// <param name="spelling">The name with its quotes and the colon.</param>
        public Entry(byte[] spelling, int slot)
        {
            (Spelling, Slot) = (spelling, slot);
            Span<byte> head = stackalloc byte[Vector256<byte>.Count];
            var length = Math.Min(spelling.Length, head.Length);
            head.Clear();
            spelling.AsSpan(0, length).CopyTo(head);
            Head = Vector256.Create<byte>(head);
            Behind = length == head.Length ? 0 : uint.MaxValue << length;
        }
    }
}

/// <summary>
/// Goes through the members of one object, in JSON as machines write it. What it cannot vouch for ends it: what is not JSON,
/// a name that is written twice or with escapes, more names than are kept.
/// </summary>
internal ref struct MemberWalk
{
    /// <summary>The object has been read to its end.</summary>
    public const int End = -2;

    /// <summary>The object has to be read in the general way.</summary>
    public const int Failed = -3;

    private readonly ReadOnlySpan<byte> json;
    private readonly ObjectNames names;
    private NameTable table;
    private ulong seen, seenAbove;
    private int expected;
    private bool isBegun;

    /// <param name="at">The place of the object's brace.</param>
    public MemberWalk(ReadOnlySpan<byte> json, int at, ObjectNames names)
    {
        this.json = json;
        this.names = names;
        table = names.Known;
        At = at;
    }

    /// <summary>
    /// The place of the value of the member just met: the caller moves it behind the value, and at the end it is behind the
    /// object.
    /// </summary>
    public int At { get; set; }

    /// <summary>Goes to the next member; returns its slot, <see cref="ObjectNames.NoSlot"/>, <see cref="End"/> or <see cref="Failed"/>.</summary>
    public int Next()
    {
        var at = At;
        if (!isBegun)
        {
            isBegun = true;
            at = PlainJson.Blanks(json, at + 1);
            if (PlainJson.At(json, at) == '}') return Ended(at);
        }
        else
        {
            at = PlainJson.Blanks(json, at);
            var next = PlainJson.At(json, at);
            if (next != ',') return next == '}' ? Ended(at) : Failed;
            at = PlainJson.Blanks(json, at + 1);
        }

        var number = expected;
        if ((uint)at >= (uint)json.Length) return Failed;
        var matched = table.Match(number, json, at);
        if (matched > 0)
        {
            at += matched;
        }
        else
        {
            number = Find(ref at);
            if (number < 0) return Failed;
        }

        ref var bits = ref seen;
        if (number >= 64) bits = ref seenAbove;
        var bit = 1ul << number;
        if ((bits & bit) != 0) return Failed;
        bits |= bit;
        expected = number + 1;
        At = PlainJson.Blanks(json, at);
        return table.Slot(number);
    }

    private int Ended(int at)
    {
        At = at + 1;
        return End;
    }

    private int Find(ref int at)
    {
        if (json[at] != '"') return -1;
        var end = PlainJson.Text(json, at);
        if (end < 0) return -1;
        var quoted = json[at..end];
        at = PlainJson.Blanks(json, end);
        if (PlainJson.At(json, at) != ':') return -1;
        at++;
        var number = table.Find(quoted);
        if (number >= 0) return number;
        if (quoted.Contains((byte)'\\') || names.Learn(table, quoted) is not { } larger) return -1;
        table = larger;
        return larger.Count - 1;
    }
}
